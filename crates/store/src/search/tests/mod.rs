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

#[test]
fn a_search_refuses_what_would_change_its_answer() {
    let parsed = |body: Value| match body {
        Value::Object(body) => super::Search::parse(body),
        _ => panic!("an object"),
    };
    for body in [
        serde_json::json!({"explain": true}),
        serde_json::json!({"profile": "true"}),
        serde_json::json!({"indices_boost": [{"a": 2}]}),
        serde_json::json!({"ext": {"b": {}}}),
        serde_json::json!({"highlight": {}}),
    ] {
        let error = parsed(body).expect_err("refused");
        assert!(error.to_string().contains("is not supported"), "{error}");
    }
    let plain =
        serde_json::json!({"explain": false, "profile": false, "indices_boost": [], "ext": {}});
    assert!(!parsed(plain).unwrap().source.hidden);
    for (stored, source, hidden) in [
        ("_none_", None, true),
        ("a", None, true),
        ("_source", None, false),
        ("a", Some(true), false),
    ] {
        let mut body = serde_json::json!({"stored_fields": [stored]});
        if let Some(source) = source {
            body["_source"] = source.into();
        }
        assert_eq!(parsed(body).unwrap().source.hidden, hidden, "{stored}");
    }
}
