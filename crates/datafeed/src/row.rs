//! One record's values, on their way to the batch.

use std::fmt::Write;

use tidewatch_model::record::RecordBatch;
use tidewatch_model::time_format::TimeFormat;

use crate::projection::{MAX_RECORD_BYTES, Projection};

/// Strings above this size give their memory back after the record.
const KEEP_TEXT_BYTES: usize = 64 << 10;

/// Where a value goes; nowhere by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target {
    pub time: bool,
    pub column: Option<Column>,
}

impl Target {
    pub fn is_wanted(&self) -> bool {
        self.time || self.column.is_some()
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub at: usize,
    pub number: bool,
    pub text: bool,
}

/// A value without parts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

impl Scalar<'_> {
    /// NaN when it isn't a number, or not a finite one.
    fn number(&self) -> f64 {
        let number = match *self {
            Self::Unsigned(number) => number as f64,
            Self::Signed(number) => number as f64,
            Self::Float(number) => number,
            Self::Text(text) => text.trim_ascii().parse().unwrap_or(f64::NAN),
            Self::Null | Self::Bool(_) => f64::NAN,
        };
        if number.is_finite() { number } else { f64::NAN }
    }

    fn time(&self, format: &TimeFormat) -> Option<i64> {
        match self {
            Self::Text(text) => format.parse(text),
            _ => format.from_number(self.number()),
        }
    }

    fn write(&self, to: &mut String) {
        // Writing to a String can't fail.
        let _ = match self {
            Self::Null => Ok(()),
            Self::Bool(value) => write!(to, "{value}"),
            Self::Unsigned(number) => write!(to, "{number}"),
            Self::Signed(number) => write!(to, "{number}"),
            Self::Float(number) => write!(to, "{number}"),
            Self::Text(text) => to.write_str(text),
        };
    }
}

/// One record on its way to the batch. It is kept apart until it is whole: nothing of a bad record reaches the
/// batch, and a field that occurs twice has its last value, or none if that can't be used.
#[derive(Debug)]
pub(crate) struct Row {
    /// NaN when missing.
    numbers: Vec<f64>,
    /// Empty when missing.
    texts: Vec<String>,
    time: Option<i64>,
    has_time: bool,
    /// Scalars and arrays, the time among them.
    leaves: u64,
    list: List,
}

/// The array that is being read.
#[derive(Debug, Default)]
struct List {
    len: usize,
    joined: String,
    /// Of the first element.
    number: f64,
    time: Option<i64>,
    /// It has something else than scalars, or is too long: no value.
    unusable: bool,
}

impl Row {
    pub fn new(projection: &Projection) -> Self {
        let width = projection.schema().fields.len();
        Self {
            numbers: vec![f64::NAN; width],
            texts: vec![String::new(); width],
            time: None,
            has_time: false,
            leaves: 0,
            list: List::default(),
        }
    }

    pub fn clear(&mut self) {
        self.numbers.fill(f64::NAN);
        for text in self.texts.iter_mut().chain([&mut self.list.joined]) {
            text.clear();
            if text.capacity() > KEEP_TEXT_BYTES {
                *text = String::new();
            }
        }
        (self.time, self.has_time, self.leaves) = (None, false, 0);
    }

    /// Epoch milliseconds; none where the record has no usable time.
    pub fn time(&self) -> Option<i64> {
        self.time
    }

    /// Counts a field that is not used.
    pub fn skip(&mut self) {
        self.leaves += 1;
    }

    pub fn put(&mut self, projection: &Projection, target: Target, value: Scalar) {
        self.leaves += 1;
        if target.time {
            self.has_time = true;
            self.time = value.time(projection.time_format());
        }
        let Some(column) = target.column else { return };
        if column.number {
            self.numbers[column.at] = value.number();
        }
        if column.text {
            let text = &mut self.texts[column.at];
            text.clear();
            value.write(text);
        }
    }

    /// A value that is a point in time, epoch milliseconds.
    pub fn put_instant(&mut self, projection: &Projection, target: Target, time: i64) {
        let column = Target {
            time: false,
            ..target
        };
        self.put(projection, column, Scalar::Signed(time));
        if target.time {
            (self.has_time, self.time) = (true, Some(time));
        }
    }

    pub fn open_list(&mut self) {
        let List {
            len,
            joined,
            number,
            time,
            unusable,
        } = &mut self.list;
        joined.clear();
        (*len, *number, *time, *unusable) = (0, f64::NAN, None, false);
    }

    /// An element of the list; those without text leave no comma.
    pub fn add_to_list(&mut self, projection: &Projection, target: Target, value: Scalar) {
        let list = &mut self.list;
        list.len += 1;
        if list.len == 1 {
            list.number = value.number();
            list.time = if target.time {
                value.time(projection.time_format())
            } else {
                None
            };
        }
        if list.unusable || !target.column.is_some_and(|column| column.text) {
            return;
        }
        let before = list.joined.len();
        if before > 0 {
            list.joined.push(',');
        }
        let start = list.joined.len();
        value.write(&mut list.joined);
        if list.joined.len() == start {
            list.joined.truncate(before);
        }
        // The display of 1e300 is long.
        list.unusable |= list.joined.len() > MAX_RECORD_BYTES;
    }

    /// Something that isn't a scalar makes the whole list no value.
    pub fn spoil_list(&mut self) {
        self.list.unusable = true;
    }

    /// A list is one text of its elements, and a number or a time if it has exactly one.
    pub fn put_list(&mut self, target: Target) {
        self.leaves += 1;
        let list = &mut self.list;
        if list.unusable {
            list.joined.clear();
        }
        let single = list.len == 1 && !list.unusable;
        if target.time {
            self.has_time = true;
            self.time = list.time.filter(|_| single);
        }
        let Some(column) = target.column else { return };
        if column.number {
            self.numbers[column.at] = if single { list.number } else { f64::NAN };
        }
        if column.text {
            std::mem::swap(&mut self.texts[column.at], &mut list.joined);
        }
    }

    /// Counts the record, and adds it to the batch if it has a time.
    pub fn deliver(&self, projection: &Projection, batch: &mut RecordBatch) {
        let fields = &projection.schema().fields;
        let missing = fields.iter().enumerate().filter(|(at, field)| {
            (field.number && self.numbers[*at].is_nan())
                || (field.text && self.texts[*at].is_empty())
        });
        let input = &mut batch.input;
        input.missing_fields += missing.count() as u64;
        input.fields += self.leaves - u64::from(self.has_time);
        let Some(time) = self.time else {
            return reject(batch);
        };
        input.records += 1;
        batch.begin();
        for (at, (number, text)) in self.numbers.iter().zip(&self.texts).enumerate() {
            batch.set_number(at, *number);
            if !text.is_empty() {
                batch.set_text(at, text);
            }
        }
        batch.commit(time);
    }
}

/// Counts a record that is left out.
pub(crate) fn reject(batch: &mut RecordBatch) {
    batch.input.records += 1;
    batch.input.invalid_dates += 1;
}
