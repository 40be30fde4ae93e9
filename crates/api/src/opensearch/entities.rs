//! The entities that there are in the data of a detector.

use serde_json::{Map, Value, json};

use super::data::Data;
use super::detector::Detector;
use crate::ApiState;
use crate::error::Result;

/// Entities that are looked at.
const MOST: usize = 10_000;

/// Values of the categories, by their names.
pub struct Entity {
    pub values: Map<String, Value>,
    /// How many documents it has.
    pub count: u64,
}

impl Entity {
    /// The query that finds its documents.
    pub fn query(&self) -> Value {
        let terms = self.values.iter();
        let terms: Vec<Value> = terms
            .map(|(field, value)| json!({"term": {field.as_str(): value}}))
            .collect();
        json!({"bool": {"filter": terms}})
    }
}

/// The entities of the documents that a query finds. None where the data is in another cluster.
pub async fn found(
    state: &ApiState,
    detector: &Detector,
    query: &Value,
) -> Result<Option<Vec<Entity>>> {
    let Some(data) = Data::of(state, detector).await? else {
        return Ok(None);
    };
    let source = |field: &String| json!({field.as_str(): {"terms": {"field": field}}});
    let sources: Vec<Value> = detector.categories().iter().map(source).collect();
    let asked = json!({
        "size": 0, "query": query,
        "aggs": {"entities": {"composite": {"size": MOST, "sources": sources}}}
    });
    let answer = data.search(state, asked).await?.aggregations;
    let answer = answer.unwrap_or_default();
    let buckets = answer
        .get("entities")
        .and_then(|entities| entities["buckets"].as_array());
    let entity = |bucket: &Value| {
        Some(Entity {
            values: bucket["key"].as_object()?.clone(),
            count: bucket["doc_count"].as_u64()?,
        })
    };
    let found = buckets.into_iter().flatten().filter_map(entity);
    Ok(Some(found.collect()))
}
