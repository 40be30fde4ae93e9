//! Which fields of the indices are the fields of the records.

use std::collections::HashSet;

use tidewatch_store::query::{FieldType, Schema};
use tidewatch_store::search::{Target, script_field_path};

use crate::source::{Result, SourceError, Wanted};

/// A field of the records.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    /// Where its values are.
    pub path: String,
    /// Its place in the records, and what of it is wanted there.
    pub column: usize,
    pub number: bool,
    pub text: bool,
    /// The indices in which its values are times in nanoseconds.
    pub nanos: HashSet<String>,
}

/// The fields of the records, in their order, without the time.
#[derive(Debug)]
pub(super) struct Fields(pub Vec<Field>);

impl Fields {
    /// # Errors
    /// Refused, in Elasticsearch's words, where no index has a field, or none can give it.
    pub fn new(wanted: &Wanted, targets: &[Target]) -> Result<Self> {
        let refuse = |reason: String| {
            SourceError::refused(400, format!("[{}] {reason}", wanted.datafeed_id))
        };
        let time_field = wanted.time_field();
        let mut times = found(targets, time_field).peekable();
        if times.peek().is_none() {
            return Err(refuse(unmapped(time_field)));
        }
        if times.any(|field| !field.has_column) {
            return Err(refuse(format!(
                "cannot retrieve time field [{time_field}] because it is not aggregatable"
            )));
        }
        let fields = Self::of(wanted, targets);
        for field in &fields.0 {
            let name = &field.name;
            if wanted.script_fields.contains_key(name) {
                continue;
            }
            let mut known = found(targets, name).peekable();
            if known.peek().is_none() {
                return Err(refuse(unmapped(name)));
            }
            for field in known {
                if field.type_name == "aggregate_metric_double" {
                    return Err(refuse(format!(
                        "field [{name}] is of type [aggregate_metric_double] and cannot be used in a datafeed without \
                         aggregations"
                    )));
                }
                if field.of == FieldType::Point && !field.has_column {
                    let reason = "cannot use [geo_point] field with disabled doc values";
                    return Err(refuse(reason.to_owned()));
                }
            }
        }
        Ok(fields)
    }

    /// Without asking whether they are there.
    pub fn of(wanted: &Wanted, targets: &[Target]) -> Self {
        let schema = wanted.projection.schema().fields.iter().enumerate();
        let fields = schema.map(|(column, field)| {
            let of_script = wanted.script_fields.contains_key(&field.name);
            let in_nanos = |target: &&Target| match target {
                Target::Documents { view, .. } => view
                    .field(&field.name)
                    .is_some_and(|found| found.of == FieldType::DateNanos),
                Target::Results { .. } | Target::Made { .. } => false,
            };
            let nanos = targets
                .iter()
                .filter(in_nanos)
                .map(|target| target.index().to_owned());
            Field {
                path: match of_script {
                    true => script_field_path(&field.name),
                    false => field.name.clone(),
                },
                nanos: if of_script {
                    HashSet::new()
                } else {
                    nanos.collect()
                },
                name: field.name.clone(),
                column,
                number: field.number,
                text: field.text,
            }
        });
        Self(fields.collect())
    }

    pub fn paths(&self) -> Vec<String> {
        self.0.iter().map(|field| field.path.clone()).collect()
    }
}

fn unmapped(name: &str) -> String {
    format!("cannot retrieve field [{name}] because it has no mappings")
}

/// A field as those indices have it that do.
fn found<'t>(
    targets: &'t [Target],
    name: &'t str,
) -> impl Iterator<Item = tidewatch_store::query::Field> + 't {
    targets.iter().filter_map(move |target| match target {
        Target::Documents { view, .. } => view.field(name),
        Target::Results { schema, .. } | Target::Made { schema, .. } => schema.field(name),
    })
}
