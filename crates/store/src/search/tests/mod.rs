//! What a search finds, over JSON and over an index.

mod aggregations;
mod plain;
mod random;

use serde_json::{Map, Value};

use super::aggregations::{Aggregation, At, Tally};
use crate::query::{Context, Document, Dsl, FieldType, Loose};

/// 2016-06-01
const T: i64 = 1_464_739_200_000;
const HOUR: i64 = 3_600_000;

fn type_of(field: &str) -> FieldType {
    match field {
        "time" => FieldType::Date,
        "value" | "bytes" => FieldType::Number,
        "up" => FieldType::Bool,
        "message" => FieldType::Text,
        _ => FieldType::Keyword,
    }
}

/// The answer over documents in JSON.
fn over_json(documents: &[Value], query: &Value, aggs: &Value) -> super::Result<Value> {
    let schema = Loose(type_of);
    let query = Dsl::new(query.clone())?.read(&Context::new(&schema))?;
    let aggregations = Aggregation::parse(aggs)?;
    let mut tally = Tally::new(&aggregations, 0)?;
    tally.bind(&schema, None, 0)?;
    for (number, source) in (0..).zip(documents) {
        let document = Document {
            index: "i",
            id: &number.to_string(),
            source,
            schema: None,
        };
        if query.matches(document) {
            tally.take(At {
                doc: 0,
                score: 1.0,
                json: Some((document, number)),
            })?;
        }
    }
    tally.answer(&[], false).map(Value::Object)
}

/// The same, with numbers that are equal taken for the same, and without texts of keys and values.
fn bare(value: &Value) -> Value {
    match value {
        Value::Number(number) => serde_json::json!(number.as_f64()),
        Value::Array(all) => all.iter().map(bare).collect(),
        Value::Object(map) => map
            .iter()
            .filter(|(name, _)| !name.ends_with("_as_string"))
            .map(|(name, value)| (name.clone(), bare(value)))
            .collect::<Map<_, _>>()
            .into(),
        value => value.clone(),
    }
}
