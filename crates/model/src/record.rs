//! Records on their way to the gatherer: projected to the fields that an analysis uses.
//!
//! A [`RecordBatch`] is the unit of everything that happens to records: it is filled by a source, written to the
//! job's journal as it stands, and analysed. It holds one text arena and one row of cells a record, so that a
//! reused batch allocates nothing per record.

use std::cmp::Ordering;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// How an analysis uses a field, which decides how a source projects it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    /// Its number is wanted (a metric, a summary count).
    pub number: bool,
    /// Its text is wanted (a by, partition or influencer field).
    pub text: bool,
}

/// The fields of an analysis, in the order of a batch's cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    pub fields: Vec<Field>,
}

impl Schema {
    /// The column of a field; it is added when it is new.
    pub fn column(&mut self, name: &str, number: bool, text: bool) -> usize {
        let at = self.position(name).unwrap_or_else(|| {
            self.fields.push(Field {
                name: name.to_owned(),
                number: false,
                text: false,
            });
            self.fields.len() - 1
        });
        self.fields[at].number |= number;
        self.fields[at].text |= text;
        at
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// What was read from the source, good records and bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputCounts {
    /// Bytes of the source that the records took, delimiters included.
    pub bytes: u64,
    /// Records read: those in the batch and those without a usable time.
    pub records: u64,
    /// Fields of the records, the time not counted.
    pub fields: u64,
    /// Records left out: not an object, or a time that is missing or can't be parsed.
    pub invalid_dates: u64,
    /// Fields of the analysis that a record lacks, or whose value can't be used.
    pub missing_fields: u64,
}

impl std::ops::AddAssign for InputCounts {
    fn add_assign(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.records += more.records;
        self.fields += more.fields;
        self.invalid_dates += more.invalid_dates;
        self.missing_fields += more.missing_fields;
    }
}

impl std::ops::Sub for InputCounts {
    type Output = Self;

    /// What has been read since it was `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            records: self.records - earlier.records,
            fields: self.fields - earlier.fields,
            invalid_dates: self.invalid_dates - earlier.invalid_dates,
            missing_fields: self.missing_fields - earlier.missing_fields,
        }
    }
}

/// A place in a batch.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    input: InputCounts,
    records: usize,
    text: usize,
}

/// One field of one record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cell {
    /// NaN when missing.
    number: f64,
    start: u32,
    /// 0 when missing: as in Elasticsearch, an empty string is no value.
    len: u32,
}

const MISSING: Cell = Cell {
    number: f64::NAN,
    start: 0,
    len: 0,
};

/// Records in the order of the source, each with its time and one cell a field of the schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordBatch {
    pub input: InputCounts,
    width: usize,
    times: Vec<i64>,
    cells: Vec<Cell>,
    text: String,
}

impl RecordBatch {
    /// An empty batch for records of `width` fields.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            ..Self::default()
        }
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.input = InputCounts::default();
        self.times.clear();
        self.cells.clear();
        self.text.clear();
    }

    /// Records with a usable time.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Bytes of memory that the records take, to say when a batch is full.
    pub fn weight(&self) -> usize {
        self.text.len() + self.cells.len() * size_of::<Cell>() + self.times.len() * 8
    }

    /// Opens a row with every field missing. Its time is given at the end, as a source may read it last:
    /// [`RecordBatch::commit`] or [`RecordBatch::abandon`] must follow.
    pub fn begin(&mut self) {
        debug_assert_eq!(
            self.cells.len(),
            self.times.len() * self.width,
            "the row before was neither kept nor left"
        );
        self.cells.resize(self.cells.len() + self.width, MISSING);
    }

    /// Sets the number of a field in the open row. What is not finite stays missing.
    pub fn set_number(&mut self, column: usize, number: f64) {
        if number.is_finite() {
            self.open_cell(column).number = number;
        }
    }

    /// Sets the text of a field in the open row.
    pub fn set_text(&mut self, column: usize, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.point(column, start);
    }

    /// Sets the text of a field in the open row from its display, without a string between.
    pub fn set_display(&mut self, column: usize, value: impl std::fmt::Display) {
        let start = self.text.len();
        // Writing to a String can't fail.
        let _ = write!(self.text, "{value}");
        self.point(column, start);
    }

    /// Appends to the text of a field in the open row, after a comma when there is some: arrays become one value.
    pub fn append_text(&mut self, column: usize, text: &str) {
        let cell = *self.open_cell(column);
        if cell.len == 0 {
            return self.set_text(column, text);
        }
        let start = self.text.len();
        self.text
            .extend_from_within(cell.start as usize..(cell.start + cell.len) as usize);
        self.text.push(',');
        self.text.push_str(text);
        self.point(column, start);
    }

    /// Whether the open row has a value for a field.
    pub fn has(&self, column: usize, field: &Field) -> bool {
        let cell = self.cells[self.cells.len() - self.width + column];
        (!field.text || cell.len > 0) && (!field.number || !cell.number.is_nan())
    }

    /// Keeps the open row as a record at `time`, epoch milliseconds.
    pub fn commit(&mut self, time: i64) {
        self.times.push(time);
    }

    /// Drops the open row.
    pub fn abandon(&mut self) {
        self.cells.truncate(self.times.len() * self.width);
    }

    /// Adds a record of another batch with the same fields.
    pub fn push(&mut self, record: Record<'_>) {
        self.begin();
        for column in 0..self.width {
            let Cell { number, .. } = record.cells[column];
            self.open_cell(column).number = number;
            if let Some(text) = record.text(column) {
                self.set_text(column, text);
            }
        }
        self.commit(record.time);
    }

    /// The batch as it stands, to be taken back to.
    pub fn mark(&self) -> Mark {
        Mark {
            input: self.input,
            records: self.times.len(),
            text: self.text.len(),
        }
    }

    /// Forgets what has come since.
    pub fn rewind(&mut self, mark: Mark) {
        self.input = mark.input;
        self.times.truncate(mark.records);
        self.cells.truncate(mark.records * self.width);
        self.text.truncate(mark.text);
    }

    /// Moves the records of another batch of the same width, and its counts, behind those of this one.
    pub fn append(&mut self, other: &mut Self) {
        debug_assert_eq!(self.width, other.width);
        let base = self.text.len();
        self.text.push_str(&other.text);
        self.times.append(&mut other.times);
        self.cells.extend(other.cells.iter().map(|cell| {
            let end = base + cell.start as usize + cell.len as usize;
            match u32::try_from(base) {
                Ok(base) if u32::try_from(end).is_ok() => Cell {
                    start: base + cell.start,
                    ..*cell
                },
                // As in `point`.
                _ => Cell { len: 0, ..*cell },
            }
        }));
        self.input += other.input;
        other.clear();
    }

    /// Puts the records into the order of their times, and those of the same time into that of their content: it is
    /// the same however they came.
    pub fn order(&mut self) {
        if (1..self.len()).all(|row| self.compare(row - 1, row).is_le()) {
            return;
        }
        let mut rows: Vec<usize> = (0..self.len()).collect();
        rows.sort_by(|a, b| self.compare(*a, *b));
        self.times = rows.iter().map(|row| self.times[*row]).collect();
        let row = |row: usize| row * self.width..(row + 1) * self.width;
        self.cells = rows
            .iter()
            .flat_map(|at| &self.cells[row(*at)])
            .copied()
            .collect();
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (one, other) = (self.record(a), self.record(b));
        let cells = || one.cells.iter().zip(other.cells);
        let text = |cell: &Cell| &self.text[cell.start as usize..(cell.start + cell.len) as usize];
        one.time.cmp(&other.time).then_with(|| {
            cells()
                .map(|(a, b)| a.number.total_cmp(&b.number).then(text(a).cmp(text(b))))
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        })
    }

    /// The record at `row`.
    pub fn record(&self, row: usize) -> Record<'_> {
        Record {
            time: self.times[row],
            cells: &self.cells[row * self.width..(row + 1) * self.width],
            text: &self.text,
            category: None,
        }
    }

    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|row| self.record(row))
    }

    fn open_cell(&mut self, column: usize) -> &mut Cell {
        let row = self.cells.len() - self.width;
        &mut self.cells[row + column]
    }

    fn point(&mut self, column: usize, start: usize) {
        let len = self.text.len() - start;
        // A batch is cut long before 4 GiB; a value that would pass it counts as missing.
        if let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(len)) {
            let cell = self.open_cell(column);
            (cell.start, cell.len) = (start, len);
        }
    }
}

/// One record of a batch.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Epoch milliseconds.
    pub time: i64,
    cells: &'a [Cell],
    text: &'a str,
    /// The text of the column behind the last: the record was given it.
    category: Option<&'a str>,
}

impl<'a> Record<'a> {
    pub fn number(&self, column: usize) -> Option<f64> {
        let number = self.cells[column].number;
        (!number.is_nan()).then_some(number)
    }

    /// The record with its category, which is the text of the column behind the last.
    pub fn with_category(self, category: Option<&'a str>) -> Self {
        Self { category, ..self }
    }

    pub fn text(&self, column: usize) -> Option<&'a str> {
        if column == self.cells.len() {
            return self.category;
        }
        let Cell { start, len, .. } = self.cells[column];
        (len > 0).then(|| &self.text[start as usize..(start + len) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_was_set() {
        let mut batch = RecordBatch::new(3);
        batch.begin();
        batch.set_text(0, "web-1");
        batch.set_number(1, 2.5);
        batch.commit(1_000);
        batch.begin();
        batch.set_text(0, "lost");
        batch.abandon();
        batch.begin();
        batch.append_text(2, "a");
        batch.append_text(2, "b");
        batch.set_number(1, f64::INFINITY);
        batch.commit(2_000);

        assert_eq!(batch.len(), 2);
        let first = batch.record(0);
        assert_eq!(
            (first.time, first.text(0), first.number(1), first.text(2)),
            (1_000, Some("web-1"), Some(2.5), None)
        );
        let second = batch.record(1);
        assert_eq!(
            (second.text(0), second.number(1), second.text(2)),
            (None, None, Some("a,b"))
        );
    }

    #[test]
    fn the_order_of_records_is_that_of_their_content() {
        let rows = [
            (2, 1.0, "b"),
            (1, 2.0, "x"),
            (1, 1.0, "y"),
            (1, 1.0, "a"),
            (1, f64::NAN, ""),
        ];
        let mut all = RecordBatch::new(2);
        for (time, number, text) in rows {
            let mut one = RecordBatch::new(2);
            one.begin();
            one.set_number(0, number);
            one.set_text(1, text);
            one.commit(time);
            one.input.records = 1;
            all.append(&mut one);
            assert!(one.is_empty() && one.input == InputCounts::default());
        }
        all.order();
        let read: Vec<_> = all
            .records()
            .map(|record| (record.time, record.number(0), record.text(1)))
            .collect();
        let expected = [
            (1, Some(1.0), Some("a")),
            (1, Some(1.0), Some("y")),
            (1, Some(2.0), Some("x")),
            (1, None, None),
            (2, Some(1.0), Some("b")),
        ];
        assert_eq!((read.as_slice(), all.input.records), (&expected[..], 5));
    }
}
