//! What of a source's records an analysis uses, and how they are cut into batches.

use rustc_hash::{FxHashMap, FxHashSet};
use tidewatch_model::record::{RecordBatch, Schema};
use tidewatch_model::time_format::TimeFormat;

use crate::row::{Column, Target};

/// The longest record that is read; a longer one is bad.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// The fields, and the time, that are taken from a source's records.
#[derive(Debug, Clone)]
pub struct Projection {
    schema: Schema,
    time_field: String,
    time_format: TimeFormat,
    targets: FxHashMap<String, Target>,
    /// `a` and `a.b` of a field `a.b.c`: the objects in which fields can be found.
    parents: FxHashSet<String>,
}

impl Projection {
    pub fn new(schema: Schema, time_field: impl Into<String>, time_format: TimeFormat) -> Self {
        let time_field = time_field.into();
        let mut targets = FxHashMap::default();
        for (at, field) in schema.fields.iter().enumerate() {
            let column = Column {
                at,
                number: field.number,
                text: field.text,
            };
            targets.insert(
                field.name.clone(),
                Target {
                    time: false,
                    column: Some(column),
                },
            );
        }
        targets.entry(time_field.clone()).or_default().time = true;
        let parents = targets.keys().flat_map(|name| {
            name.match_indices('.')
                .map(|(dot, _)| name[..dot].to_owned())
        });
        let parents = parents.collect();
        Self {
            schema,
            time_field,
            time_format,
            targets,
            parents,
        }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn time_field(&self) -> &str {
        &self.time_field
    }

    pub fn time_format(&self) -> &TimeFormat {
        &self.time_format
    }

    /// An empty batch for records of this projection.
    pub fn batch(&self) -> RecordBatch {
        RecordBatch::new(self.schema.fields.len())
    }

    /// Where the value of a field goes; an object's fields have its name and a dot before theirs.
    pub(crate) fn target(&self, name: &str) -> Target {
        self.targets.get(name).copied().unwrap_or_default()
    }

    /// Whether any wanted field can be in an object.
    pub(crate) fn nested(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Whether a wanted field can be in the object of this name.
    pub(crate) fn is_parent(&self, name: &str) -> bool {
        self.parents.contains(name)
    }
}

/// When a batch is full, and is to be taken away: at so many records, good or bad, or bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    pub records: usize,
    pub weight: usize,
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self {
            records: 4096,
            weight: 1 << 20,
        }
    }
}

impl BatchLimit {
    pub fn reached(&self, batch: &RecordBatch) -> bool {
        batch.len() >= self.records
            || batch.input.records >= self.records as u64
            || batch.weight() >= self.weight
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::row::reject;

    /// What was read: the counts, and each record as a line of its time and the number and text of each field.
    #[derive(Debug, Default, PartialEq)]
    pub struct Read {
        pub input: tidewatch_model::record::InputCounts,
        pub records: Vec<String>,
    }

    impl Read {
        pub fn take(&mut self, batch: &mut RecordBatch, width: usize) {
            self.input += batch.input;
            for record in batch.records() {
                let mut line = record.time.to_string();
                for at in 0..width {
                    let number = record
                        .number(at)
                        .map_or("-".to_owned(), |number| number.to_string());
                    line += &format!(" {number}/{}", record.text(at).unwrap_or("-"));
                }
                self.records.push(line);
            }
            batch.clear();
        }

        /// Records, those left out, fields, missing fields.
        pub fn counts(&self) -> (u64, u64, u64, u64) {
            let input = self.input;
            (
                input.records,
                input.invalid_dates,
                input.fields,
                input.missing_fields,
            )
        }
    }

    /// A number `n`, a text `s`, both of `b`, a text `o.p`, and the time `t` in epoch milliseconds.
    pub fn projection() -> Projection {
        let mut schema = Schema::default();
        schema.column("n", true, false);
        schema.column("s", false, true);
        schema.column("b", true, true);
        schema.column("o.p", false, true);
        Projection::new(schema, "t", TimeFormat::EpochMs)
    }

    #[test]
    fn parents_are_the_objects_on_the_way() {
        let mut schema = Schema::default();
        schema.column("a.b.c", true, false);
        let projection = Projection::new(schema, "x.t", TimeFormat::Epoch);
        let known = ["a", "a.b", "x"].map(|name| projection.is_parent(name));
        let unknown = ["a.b.c", "b", ""].map(|name| projection.is_parent(name));
        assert_eq!((known, unknown), ([true; 3], [false; 3]));
        assert!(projection.target("x.t").is_wanted() && !projection.target("x").is_wanted());
    }

    #[test]
    fn a_batch_of_nothing_but_bad_records_is_full_too() {
        let limit = BatchLimit {
            records: 2,
            weight: usize::MAX,
        };
        let mut batch = RecordBatch::new(0);
        reject(&mut batch);
        assert!(!limit.reached(&batch));
        reject(&mut batch);
        assert!(limit.reached(&batch));
    }
}
