//! Records on their way to the gatherer: projected to the fields that an analysis uses.
//!
//! A [`RecordBatch`] is the unit of everything that happens to records: it is filled by a source, written to the
//! job's journal as it stands, and analysed. It holds one text arena and one row of cells a record, so that a
//! reused batch allocates nothing per record.

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
}
