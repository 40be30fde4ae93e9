//! How each field of the analysis is had from a document, by what the mappings say.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::Hit;

use crate::projection::Projection;
use crate::source::{Result, SourceError, Wanted};

/// Where the fields of one datafeed's records are.
#[derive(Debug)]
pub(super) struct Fields {
    doc_values: Vec<Value>,
    source: BTreeSet<String>,
    /// The time field holds nanoseconds.
    pub in_nanos: bool,
    /// What is read, under the names by which it comes.
    pub projection: Arc<Projection>,
    /// A field, and the name by which it comes.
    pub names: Vec<(String, String)>,
}

/// The types of a field in all indices, and whether all of them have it in columns.
struct Known<'a> {
    types: Vec<&'a str>,
    is_aggregatable: bool,
}

/// Patterns of fields to ask the mappings of: a field's parent too, which a multi-field is read from.
pub(super) fn asked(wanted: &Wanted) -> Vec<String> {
    let mut asked: Vec<String> = Vec::new();
    for name in wanted.fields().chain([wanted.time_field()]) {
        if is_made_up(wanted, name) {
            continue;
        }
        asked.push(name.to_owned());
        if let Some(parent) = parent(name) {
            asked.push(parent.to_owned());
        }
    }
    asked.sort_unstable();
    asked.dedup();
    asked
}

fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(parent, _)| parent)
}

fn is_made_up(wanted: &Wanted, name: &str) -> bool {
    wanted.runtime_mappings.contains_key(name) || wanted.script_fields.contains_key(name)
}

impl Fields {
    /// Nothing is read of the documents themselves.
    pub fn none(wanted: &Wanted) -> Self {
        Self {
            doc_values: Vec::new(),
            source: BTreeSet::new(),
            in_nanos: false,
            projection: wanted.projection.clone(),
            names: Vec::new(),
        }
    }

    /// By the `fields` of what `_field_caps` answers.
    ///
    /// # Errors
    /// Refused, in Elasticsearch's words, where a field can't be had.
    pub fn new(wanted: &Wanted, caps: &Value) -> Result<Self> {
        let refuse = |reason: String| {
            SourceError::refused(400, format!("[{}] {reason}", wanted.datafeed_id))
        };
        let time_field = wanted.time_field();
        let time = known(caps, time_field).ok_or_else(|| refuse(unmapped(time_field)))?;
        if !time.is_aggregatable {
            return Err(refuse(format!(
                "cannot retrieve time field [{time_field}] because it is not aggregatable"
            )));
        }
        let mut fields = Self {
            doc_values: vec![epoch_millis(time_field)],
            source: BTreeSet::new(),
            in_nanos: time.types.contains(&"date_nanos"),
            projection: wanted.projection.clone(),
            names: Vec::new(),
        };
        let mut schema = wanted.projection.schema().clone();
        for name in wanted.fields() {
            let read = fields.add(wanted, caps, name).map_err(refuse)?;
            if read != name {
                if schema.position(&read).is_some() {
                    return Err(refuse(format!(
                        "cannot retrieve field [{name}] beside [{read}], from whose source it is read"
                    )));
                }
                for field in schema.fields.iter_mut().filter(|field| field.name == name) {
                    field.name.clone_from(&read);
                }
            }
            fields.names.push((name.to_owned(), read));
        }
        if schema != *wanted.projection.schema() {
            let format = wanted.projection.time_format().clone();
            fields.projection = Arc::new(Projection::new(schema, time_field, format));
        }
        Ok(fields)
    }

    /// The name by which a field comes.
    fn add(
        &mut self,
        wanted: &Wanted,
        caps: &Value,
        name: &str,
    ) -> std::result::Result<String, String> {
        if wanted.script_fields.contains_key(name) {
            return Ok(name.to_owned());
        }
        if let Some(mapping) = wanted.runtime_mappings.get(name) {
            self.doc_values.push(match mapping["type"].as_str() {
                Some("date") => epoch_millis(name),
                _ => json!({"field": name}),
            });
            return Ok(name.to_owned());
        }
        let known_as = known(caps, name).ok_or_else(|| unmapped(name))?;
        if let Some(bad) = known_as
            .types
            .iter()
            .find(|kind| **kind == "aggregate_metric_double")
        {
            return Err(format!(
                "field [{name}] is of type [{bad}] and cannot be used in a datafeed without aggregations"
            ));
        }
        if known_as.is_aggregatable {
            let is_date = matches!(known_as.types.as_slice(), ["date" | "date_nanos"]);
            self.doc_values.push(match is_date {
                true => epoch_millis(name),
                false => json!({"field": name}),
            });
            return Ok(name.to_owned());
        }
        if known_as.types == ["geo_point"] {
            return Err("cannot use [geo_point] field with disabled doc values".to_owned());
        }
        // A multi-field isn't in the source, its parent is.
        let parent = parent(name).filter(|parent| {
            known(caps, parent)
                .is_some_and(|known| known.types != ["object"] && known.types != ["nested"])
        });
        let read = parent.unwrap_or(name);
        self.source.insert(read.to_owned());
        Ok(read.to_owned())
    }

    /// The parts of a search's body that ask for the fields.
    pub fn ask(&self, wanted: &Wanted) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("docvalue_fields".to_owned(), json!(self.doc_values));
        if self.source.is_empty() {
            body.insert("_source".to_owned(), json!(false));
            // Not even their ids.
            body.insert("stored_fields".to_owned(), json!("_none_"));
        } else {
            body.insert("_source".to_owned(), json!(self.source));
        }
        if !wanted.script_fields.is_empty() {
            body.insert("script_fields".to_owned(), json!(wanted.script_fields));
        }
        body
    }

    /// A document as a record that a client could send.
    pub fn shown(&self, wanted: &Wanted, hit: &Hit) -> Map<String, Value> {
        let read = |part: Option<&RawValue>| -> Value {
            let part = part.and_then(|part| serde_json::from_str(part.get()).ok());
            part.unwrap_or_default()
        };
        let (columns, source) = (read(hit.fields), read(hit.source));
        let time_field = wanted.time_field();
        let mut record = Map::new();
        let time = columns[time_field][0].as_str().and_then(|time| {
            let format = wanted.projection.time_format();
            format.parse(time)
        });
        record.extend(time.map(|time| (time_field.to_owned(), time.into())));
        for (name, read) in &self.names {
            let values = match columns[read].as_array() {
                Some(values) => values.iter().collect(),
                None => in_source(&source, read),
            };
            let value = match values.as_slice() {
                [] => continue,
                [value] => (*value).clone(),
                values => json!(values),
            };
            record.insert(name.clone(), value);
        }
        record
    }
}

/// The values of a field that comes in the source: an object's fields are in it or have its name before theirs.
fn in_source<'a>(source: &'a Value, name: &str) -> Vec<&'a Value> {
    if let Some(value) = source.get(name) {
        return match value {
            Value::Array(values) => values.iter().collect(),
            Value::Null => Vec::new(),
            value => vec![value],
        };
    }
    let parts = name.match_indices('.').filter_map(|(dot, _)| {
        let inner = source.get(&name[..dot])?;
        Some(in_source(inner, &name[dot + 1..]))
    });
    parts
        .into_iter()
        .find(|values| !values.is_empty())
        .unwrap_or_default()
}

fn epoch_millis(name: &str) -> Value {
    json!({"field": name, "format": "epoch_millis"})
}

fn unmapped(name: &str) -> String {
    format!("cannot retrieve field [{name}] because it has no mappings")
}

fn known<'a>(caps: &'a Value, name: &str) -> Option<Known<'a>> {
    let types = caps["fields"][name].as_object()?;
    // Indices without the field are told of where others have it.
    let types: Vec<_> = types
        .iter()
        .filter(|(kind, _)| *kind != "unmapped")
        .collect();
    (!types.is_empty()).then(|| Known {
        is_aggregatable: types.iter().all(|(_, caps)| caps["aggregatable"] == true),
        types: types.iter().map(|(kind, _)| kind.as_str()).collect(),
    })
}
