//! The query of a datafeed, on the records of files.

use serde_json::{Map, Value};
use tidewatch_model::time_format::TimeFormat;
use tidewatch_store::query::{self, Context, Document, FieldType, Query};

use crate::source::{Result, SourceError};

/// What records are asked for. There is no mapping: a field is what its value in a record is, the time a date.
#[derive(Debug)]
pub(super) struct Filter {
    query: Query,
    /// The name of the source.
    index: String,
    time_field: String,
}

impl Filter {
    /// None when all records are asked for.
    pub fn new(query: &Value, index: &str, time_field: &str) -> Result<Option<Self>> {
        let type_of = |field: &str| match field == time_field {
            true => FieldType::Date,
            false => FieldType::Keyword,
        };
        let context = Context {
            type_of: &type_of,
            date: &|text, _| date(text),
        };
        let query = query::parse(query, &context).map_err(|error| SourceError::Refused {
            status: 400,
            kind: error.kind,
            reason: error.reason,
        })?;
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

/// Epoch milliseconds, or ISO 8601. A time that depends on now would give other records each time it is asked.
fn date(text: &str) -> std::result::Result<i64, String> {
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    TimeFormat::Iso8601.parse(text).ok_or_else(|| {
        format!(
            "failed to parse date field [{text}]: on files it is epoch milliseconds or ISO 8601"
        )
    })
}
