//! The query of a datafeed, on the records of files.

use serde_json::{Map, Value};
use tidewatch_store::query::{Context, Document, Dsl, Field, FieldType, Query, Schema};

use crate::source::{Result, SourceError};

/// What records are asked for.
#[derive(Debug)]
pub(super) struct Filter {
    query: Query,
    /// The name of the source.
    index: String,
    time_field: String,
}

/// There is no mapping: a field is what its value in a record is, the time a date.
struct Unmapped<'a> {
    time_field: &'a str,
}

impl Schema for Unmapped<'_> {
    fn field(&self, path: &str) -> Option<Field> {
        Some(match path == self.time_field {
            true => Field::new(FieldType::Date, "date"),
            false => Field::new(FieldType::Keyword, "keyword"),
        })
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn has_loose_texts(&self) -> bool {
        true
    }
}

impl Filter {
    /// None when all records are asked for.
    pub fn new(query: &Map<String, Value>, index: &str, time_field: &str) -> Result<Option<Self>> {
        let refused = |error: tidewatch_store::query::QueryError| SourceError::Refused {
            status: 400,
            kind: error.kind,
            reason: error.reason,
        };
        if query.is_empty() {
            return Ok(None);
        }
        let query = Dsl::new(Value::Object(query.clone())).map_err(refused)?;
        let query = query
            .read(&Context::new(&Unmapped { time_field }))
            .map_err(refused)?;
        Ok((query != Query::All).then(|| Self {
            query,
            index: index.to_owned(),
            time_field: time_field.to_owned(),
        }))
    }

    pub fn takes(&self, mut document: Map<String, Value>, time: i64) -> bool {
        put(&mut document, &self.time_field, time.into());
        self.query.matches(Document {
            index: &self.index,
            id: "",
            source: &Value::Object(document),
            schema: None,
        })
    }
}

/// Sets a field, in the objects on its way where it is there.
fn put(document: &mut Map<String, Value>, field: &str, value: Value) {
    if !document.contains_key(field)
        && let Some((outer, inner)) = field.split_once('.')
        && let Some(Value::Object(object)) = document.get_mut(outer)
    {
        return put(object, inner, value);
    }
    document.insert(field.to_owned(), value);
}
