//! Values of documents into records, without text between where none is wanted.

use std::fmt::Write;

use tidewatch_model::record::RecordBatch;
use tidewatch_store::search::Scalar;

use super::fields::{Field, Fields};
use crate::projection::{MAX_RECORD_BYTES, Projection};

/// Fills records of one datafeed.
pub(super) struct Filler {
    /// All values of a field as one text, and how many there are.
    text: String,
    count: usize,
    number: f64,
    bytes: usize,
}

impl Filler {
    pub fn new() -> Self {
        Self {
            text: String::new(),
            count: 0,
            number: f64::NAN,
            bytes: 0,
        }
    }

    /// Begins with a field of a document.
    pub fn begin(&mut self) {
        self.text.clear();
        self.count = 0;
        self.number = f64::NAN;
    }

    /// A value of the field. Times are epoch milliseconds.
    pub fn value(&mut self, field: &Field, value: Scalar<'_>) {
        self.count += 1;
        self.bytes += match value {
            Scalar::Str(text) => text.len(),
            Scalar::Point(..) => 16,
            Scalar::Bool(_) => 1,
            Scalar::I64(_) | Scalar::U64(_) | Scalar::F64(_) => 8,
        };
        if field.number && self.count == 1 {
            self.number = match value {
                Scalar::Str(text) => text.trim_ascii().parse().unwrap_or(f64::NAN),
                Scalar::Bool(_) | Scalar::Point(..) => f64::NAN,
                value => value.number().unwrap_or(f64::NAN),
            };
        }
        if !field.text || self.text.len() > MAX_RECORD_BYTES {
            return;
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push(',');
        }
        let start = self.text.len();
        // Writing to a String can't fail.
        let _ = match value {
            Scalar::I64(value) => write!(self.text, "{value}"),
            Scalar::U64(value) => write!(self.text, "{value}"),
            Scalar::F64(value) => write!(self.text, "{value}"),
            Scalar::Bool(value) => write!(self.text, "{value}"),
            Scalar::Str(value) => self.text.write_str(value),
            Scalar::Point(lat, lon) => write!(self.text, "{lat:?},{lon:?}"),
        };
        if self.text.len() == start {
            self.text.truncate(before);
        }
    }

    /// Puts what the field came to into the open record: several values are one text, and no number.
    pub fn put(&mut self, field: &Field, batch: &mut RecordBatch) {
        if self.count == 1 {
            batch.set_number(field.column, self.number);
        }
        if !self.text.is_empty() && self.text.len() <= MAX_RECORD_BYTES {
            batch.set_text(field.column, &self.text);
        }
        batch.input.fields += u64::from(self.count > 0);
    }

    /// Ends the open record, and counts it.
    pub fn commit(
        &mut self,
        time: i64,
        fields: &Fields,
        projection: &Projection,
        batch: &mut RecordBatch,
    ) {
        let schema = &projection.schema().fields;
        let missing = fields.0.iter().filter(|field| {
            schema
                .get(field.column)
                .is_some_and(|of| !batch.has(field.column, of))
        });
        let missing = missing.count() as u64;
        batch.input.missing_fields += missing;
        batch.input.records += 1;
        // The time, and what was read.
        batch.input.bytes += 8 + std::mem::take(&mut self.bytes) as u64;
        batch.commit(time);
    }
}

/// A value as records have it: a time in nanoseconds is one in milliseconds.
pub(super) fn in_millis<'v>(field: &Field, index: &str, value: Scalar<'v>) -> Scalar<'v> {
    match value {
        Scalar::I64(nanos) if !field.nanos.is_empty() && field.nanos.contains(index) => {
            Scalar::I64(nanos.div_euclid(1_000_000))
        }
        value => value,
    }
}
