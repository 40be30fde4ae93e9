//! The values of one column, some rows at a time.

use std::fmt::Write;

use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::errors::Result;
use parquet::schema::types::ColumnDescriptor;

use super::schema::Kind;
use crate::row::Scalar;

pub(super) struct Column {
    reader: ColumnReader,
    kind: Kind,
    max_def: i16,
    /// From this definition on there is an element.
    list_def: Option<i16>,
    defs: Vec<i16>,
    reps: Vec<i16>,
    values: Values,
    /// Of the next row.
    level: usize,
    value: usize,
    /// A value that had to be written out.
    text: String,
}

enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// What a row has in a column.
pub(super) enum Cell<'a> {
    Value(Scalar<'a>),
    /// Epoch milliseconds.
    Instant(i64),
}

impl Column {
    pub fn new(reader: ColumnReader, descriptor: &ColumnDescriptor, kind: Kind) -> Self {
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Values::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
        };
        let is_list = descriptor.max_rep_level() > 0;
        Self {
            reader,
            kind,
            max_def: descriptor.max_def_level(),
            list_def: is_list.then(|| descriptor.repeated_ancestor_def_level()),
            defs: Vec::new(),
            reps: Vec::new(),
            values,
            level: 0,
            value: 0,
            text: String::new(),
        }
    }

    /// Reads so many rows, if there are as many, in place of those before, and says how many.
    pub fn fill(&mut self, rows: usize) -> Result<usize> {
        (self.level, self.value) = (0, 0);
        self.defs.clear();
        self.reps.clear();
        let (defs, reps) = (Some(&mut self.defs), Some(&mut self.reps));
        macro_rules! read {
            ($reader:expr, $values:expr) => {{
                $values.clear();
                $reader.read_records(rows, defs, reps, $values)?.0
            }};
        }
        Ok(match (&mut self.reader, &mut self.values) {
            (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => read!(reader, values),
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => {
                read!(reader, values)
            }
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => {
                read!(reader, values)
            }
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => {
                read!(reader, values)
            }
            (ColumnReader::FloatColumnReader(reader), Values::Float(values)) => {
                read!(reader, values)
            }
            (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => {
                read!(reader, values)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => {
                read!(reader, values)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                read!(reader, values)
            }
            _ => 0,
        })
    }

    /// Passes over rows behind those that have been read.
    pub fn skip(&mut self, rows: usize) -> Result<usize> {
        macro_rules! skip {
            ($($variant:ident),*) => {
                match &mut self.reader {
                    $(ColumnReader::$variant(reader) => reader.skip_records(rows),)*
                }
            };
        }
        skip!(
            BoolColumnReader,
            Int32ColumnReader,
            Int64ColumnReader,
            Int96ColumnReader,
            FloatColumnReader,
            DoubleColumnReader,
            ByteArrayColumnReader,
            FixedLenByteArrayColumnReader
        )
    }

    /// Shows what the next row has: `None` where it has nothing, else its value; of a list `open`, and its elements.
    pub fn row(&mut self, take: &mut dyn FnMut(Shown<'_>)) {
        let Some(list_def) = self.list_def else {
            let is_there = self.max_def == 0 || self.defs.get(self.level) == Some(&self.max_def);
            self.level += 1;
            take(Shown::Single(match is_there {
                true => self.cell(),
                false => Cell::Value(Scalar::Null),
            }));
            return;
        };
        let first = self.level;
        self.level += 1;
        while self.reps.get(self.level).is_some_and(|rep| *rep > 0) {
            self.level += 1;
        }
        if self.defs.get(first).is_none_or(|def| *def < list_def) {
            return take(Shown::Single(Cell::Value(Scalar::Null)));
        }
        take(Shown::Open);
        for level in first..self.level {
            let is_there = self.defs.get(level) == Some(&self.max_def);
            take(Shown::Element(match is_there {
                true => self.cell(),
                false => Cell::Value(Scalar::Null),
            }));
        }
        take(Shown::Close);
    }

    /// The next value.
    fn cell(&mut self) -> Cell<'_> {
        let at = self.value;
        self.value += 1;
        let scalar = match (&self.values, self.kind) {
            (Values::Bool(values), _) => values.get(at).map(|value| Scalar::Bool(*value)),
            (Values::Int32(values), kind) => {
                let Some(value) = values.get(at) else {
                    return Cell::Value(Scalar::Null);
                };
                match kind {
                    Kind::Unsigned => Some(Scalar::Unsigned(u64::from(*value as u32))),
                    kind => return integer(i64::from(*value), kind, &mut self.text),
                }
            }
            (Values::Int64(values), kind) => {
                let Some(value) = values.get(at) else {
                    return Cell::Value(Scalar::Null);
                };
                match kind {
                    Kind::Unsigned => Some(Scalar::Unsigned(*value as u64)),
                    kind => return integer(*value, kind, &mut self.text),
                }
            }
            (Values::Int96(values), _) => {
                let millis = values.get(at).map(Int96::to_millis);
                return millis.map_or(Cell::Value(Scalar::Null), Cell::Instant);
            }
            (Values::Float(values), _) => {
                values.get(at).map(|value| Scalar::Float(f64::from(*value)))
            }
            (Values::Double(values), _) => values.get(at).map(|value| Scalar::Float(*value)),
            (Values::Bytes(values), kind) => values
                .get(at)
                .and_then(|value| text(value.data(), kind, &mut self.text)),
            (Values::Fixed(values), kind) => values
                .get(at)
                .and_then(|value| text(value.data(), kind, &mut self.text)),
        };
        Cell::Value(scalar.unwrap_or(Scalar::Null))
    }
}

pub(super) enum Shown<'a> {
    Single(Cell<'a>),
    Open,
    Element(Cell<'a>),
    Close,
}

fn integer(value: i64, kind: Kind, to: &mut String) -> Cell<'_> {
    if let Some(time) = instant(value, kind) {
        return Cell::Instant(time);
    }
    Cell::Value(match kind {
        Kind::Decimal(scale) => {
            write_decimal(i128::from(value), scale, to);
            Scalar::Text(to)
        }
        _ => Scalar::Signed(value),
    })
}

/// The milliseconds of what is a time.
pub(super) fn instant(value: i64, kind: Kind) -> Option<i64> {
    match kind {
        Kind::Instant(1_000) => Some(value),
        Kind::Instant(per_second) => Some(value.div_euclid(per_second / 1_000)),
        Kind::Date => value.checked_mul(86_400_000),
        _ => None,
    }
}

/// Bytes as a text, if they are one.
fn text<'a>(bytes: &'a [u8], kind: Kind, to: &'a mut String) -> Option<Scalar<'a>> {
    match kind {
        Kind::Decimal(scale) => {
            if bytes.is_empty() || bytes.len() > 16 {
                return None;
            }
            // Big-endian, and negative by its first bit.
            let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
            let value = bytes
                .iter()
                .fold(sign, |value: i128, byte| value << 8 | i128::from(*byte));
            write_decimal(value, scale, to);
        }
        Kind::Uuid if bytes.len() == 16 => {
            to.clear();
            for (at, byte) in bytes.iter().enumerate() {
                if matches!(at, 4 | 6 | 8 | 10) {
                    to.push('-');
                }
                // Writing to a String can't fail.
                let _ = write!(to, "{byte:02x}");
            }
        }
        _ => return std::str::from_utf8(bytes).ok().map(Scalar::Text),
    }
    Some(Scalar::Text(to))
}

fn write_decimal(value: i128, scale: u32, to: &mut String) {
    to.clear();
    let unit = 10_u128.pow(scale);
    let (whole, part) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    if value < 0 {
        to.push('-');
    }
    // Writing to a String can't fail.
    let _ = match scale {
        0 => write!(to, "{whole}"),
        scale => write!(to, "{whole}.{part:0width$}", width = scale as usize),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_out() {
        let mut to = String::new();
        for (value, scale, text) in [
            (12_345, 2, "123.45"),
            (-5, 3, "-0.005"),
            (7, 0, "7"),
            (i128::MIN, 38, "-1.70141183460469231731687303715884105728"),
        ] {
            write_decimal(value, scale, &mut to);
            assert_eq!(to, text);
        }
        let Some(Scalar::Text(negative)) = text(&[0xff, 0x38], Kind::Decimal(1), &mut to) else {
            panic!("no text");
        };
        assert_eq!(negative, "-20.0");
    }

    #[test]
    fn times_before_1970_are_rounded_down() {
        assert_eq!(instant(-1, Kind::Instant(1_000_000)), Some(-1));
        assert_eq!(instant(1_999, Kind::Instant(1_000_000)), Some(1));
        assert_eq!(instant(-1, Kind::Date), Some(-86_400_000));
    }
}
