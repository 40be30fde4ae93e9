use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;

use super::*;
use crate::projection::Projection;

/// A datafeed's wish, by its aggregations, with `airline` (text), `responsetime`, `doc_count` and `place` as fields.
fn wanted(aggregations: Value) -> Wanted {
    let mut schema = Schema::default();
    schema.column("airline", false, true);
    schema.column("responsetime", true, false);
    schema.column("place", false, true);
    schema.column("doc_count", true, false);
    Wanted {
        datafeed_id: "d".to_owned(),
        indices: vec!["a".to_owned()],
        query: Map::new(),
        aggregations: aggregations.as_object().cloned(),
        runtime_mappings: Map::new(),
        script_fields: Map::new(),
        indices_options: crate::config::IndicesOptions::default(),
        histogram: None,
        page_size: 1000,
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        written_time: TimeFormat::EpochMs,
        bucket_span: 60_000,
        summary_is_doc_count: true,
    }
}

fn flatten(aggregations: Value, answer: Value) -> Result<Vec<Value>> {
    let flattener = Flattener::new(&wanted(aggregations)).unwrap();
    let records = flattener.records(&answer, 1_000)?;
    Ok(records
        .into_iter()
        .map(|(_, record)| json!(record))
        .collect())
}

fn reason(outcome: Result<Vec<Value>>) -> String {
    outcome.unwrap_err().to_string()
}

fn max() -> Value {
    json!({"max": {"field": "time"}})
}

#[test]
fn every_innermost_bucket_is_a_record() {
    let aggregations = json!({"buckets": {
        "date_histogram": {"field": "time", "fixed_interval": "1s"},
        "aggs": {
            "time": max(),
            "airline": {"terms": {"field": "airline"}, "aggs": {"responsetime": {"avg": {"field": "r"}}}}
        }
    }});
    let answer = json!({"buckets": {"buckets": [
        {"key": 0, "doc_count": 9, "time": {"value": 999.0}, "airline": {"buckets": [{"key": "old", "doc_count": 9}]}},
        {"key": 1000, "key_as_string": "1970-01-01T00:00:01Z", "doc_count": 3, "time": {"value": 1.9e3},
         "airline": {"buckets": [
            {"key": "AAL", "doc_count": 2, "responsetime": {"value": 1.5}},
            {"key": "BAW", "doc_count": 1, "responsetime": {"value": null}}]}},
        {"key": 2000, "doc_count": 0, "time": {"value": null}, "airline": {"buckets": []}}
    ]}});
    assert_eq!(
        flatten(aggregations.clone(), answer.clone()),
        Ok(vec![
            json!({"time": 1900, "airline": "AAL", "responsetime": 1.5, "doc_count": 2}),
            json!({"time": 1900, "airline": "BAW", "doc_count": 1}),
        ])
    );
    let wanted = wanted(aggregations);
    let flattener = Flattener::new(&wanted).unwrap();
    let records = flattener.records(&answer, 1_000).unwrap();
    let batch = flattener.batch(&wanted, &records);
    let read: Vec<_> = batch
        .records()
        .map(|r| (r.time, r.text(0), r.number(1), r.number(3)))
        .collect();
    assert_eq!(
        read,
        [
            (1900, Some("AAL"), Some(1.5), Some(2.0)),
            (1900, Some("BAW"), None, Some(1.0))
        ]
    );
    assert_eq!((batch.input.records, batch.input.missing_fields), (2, 3));
}

#[test]
fn records_come_in_the_order_of_their_times_whatever_is_outside() {
    let aggregations = json!({"airline": {
        "terms": {"field": "airline"},
        "aggregations": {"buckets": {
            "histogram": {"field": "time", "interval": 1000},
            "aggs": {"time": max(), "responsetime": {"percentiles": {"field": "r", "percents": [95]}}}
        }}
    }});
    let bucket = |key: i64, value: Value| json!({"key": key as f64, "doc_count": 1, "time": {"value": key as f64 + 1.0}, "responsetime": {"values": value}});
    let answer = json!({"airline": {"buckets": [
        {"key": "a", "doc_count": 2, "buckets": {"buckets": [
            bucket(1000, json!({"95.0": 5.0, "95.0_as_string": "five"})), bucket(3000, json!([{"key": 95.0, "value": 7.0}]))]}},
        {"key": "b", "doc_count": 1, "buckets": {"buckets": [bucket(2000, json!({"95.0": null}))]}}
    ]}});
    assert_eq!(
        flatten(aggregations.clone(), answer),
        Ok(vec![
            json!({"airline": "a", "time": 1001, "responsetime": 5.0, "doc_count": 1}),
            json!({"airline": "b", "time": 2001, "doc_count": 1}),
            json!({"airline": "a", "time": 3001, "responsetime": 7.0, "doc_count": 1}),
        ])
    );
    let two = json!({"airline": {"buckets": [{"key": "a", "doc_count": 1, "buckets": {"buckets": [
        bucket(1000, json!({"50.0": 1.0, "95.0": 5.0}))]}}]}});
    assert_eq!(
        reason(flatten(aggregations, two)),
        "Multi-percentile aggregation [responsetime] is not supported"
    );
}

#[test]
fn a_composite_has_its_keys_as_fields_and_single_buckets_are_passed_through() {
    let aggregations = json!({"all": {
        "composite": {"sources": [
            {"airline": {"terms": {"field": "airline"}}},
            {"t": {"date_histogram": {"field": "time", "fixed_interval": "1s"}}}]},
        "aggs": {
            "time": max(),
            "place": {"geo_centroid": {"field": "location"}},
            "slow": {"filter": {"range": {"r": {"gt": 1}}}, "aggs": {"responsetime": {"max": {"field": "r"}}}}
        }
    }});
    let answer = json!({"all": {"after_key": {"t": 2000, "airline": "b"}, "buckets": [
        {"key": {"t": 0, "airline": "a"}, "doc_count": 1, "time": {"value": 5.0}},
        {"key": {"t": 1000, "airline": "a"}, "doc_count": 4, "time": {"value": 1500.0},
         "place": {"location": {"lat": 1.5, "lon": -2.0}, "count": 4}, "slow": {"doc_count": 1, "responsetime": {"value": 3.0}}},
        {"key": {"t": 2000, "airline": "b"}, "doc_count": 1, "time": {"value": 2000.0},
         "place": {"count": 0}, "slow": {"doc_count": 0, "responsetime": {"value": null}}}
    ]}});
    assert_eq!(
        flatten(aggregations, answer),
        Ok(vec![
            json!({"airline": "a", "time": 1500, "place": "1.5,-2.0", "responsetime": 3.0, "doc_count": 4}),
            json!({"airline": "b", "time": 2000, "doc_count": 1}),
        ])
    );
}

#[test]
fn several_filters_beside_each_other_make_records_each() {
    let inner = |name: &str| json!({"filter": {"term": {"a": name}}, "aggs": {"airline": {"terms": {"field": "a"}}}});
    let aggregations = json!({"buckets": {"date_histogram": {"field": "time", "fixed_interval": "1s"},
        "aggs": {"time": max(), "one": inner("x"), "two": inner("y")}}});
    let answer = json!({"buckets": {"buckets": [{"key": 1000, "doc_count": 5, "time": {"value": 1000.0},
        "one": {"doc_count": 2, "airline": {"buckets": [{"key": "x", "doc_count": 2}]}},
        "two": {"doc_count": 3, "airline": {"buckets": [{"key": "y", "doc_count": 3}]}}}]}});
    // As in Elasticsearch, more than one of them may not have buckets.
    assert_eq!(
        reason(flatten(aggregations, answer)),
        "Multiple bucket aggregations at the same level are not supported"
    );
}

#[test]
fn what_only_pipelines_use_makes_no_records() {
    let aggregations = json!({"buckets": {"date_histogram": {"field": "time", "fixed_interval": "1s"}, "aggs": {
        "time": max(),
        "hosts": {"terms": {"field": "h"}, "aggs": {"m": {"max": {"field": "r"}}}},
        "responsetime": {"max_bucket": {"buckets_path": "hosts>m"}}
    }}});
    let answer = json!({"buckets": {"buckets": [{"key": 1000, "doc_count": 5, "time": {"value": 1000.0},
        "hosts": {"buckets": [{"key": "x", "doc_count": 2, "m": {"value": 1.0}}]},
        "responsetime": {"value": 1.0, "keys": ["x"]}}]}});
    assert_eq!(
        flatten(aggregations, answer),
        Ok(vec![
            json!({"time": 1000, "responsetime": 1.0, "doc_count": 5})
        ])
    );
}

#[test]
fn what_makes_no_records_is_refused_as_elasticsearch_does() {
    let histogram =
        |inner: Value| json!({"b": {"date_histogram": {"field": "time"}, "aggs": inner}});
    let bucket = |inner: Value| {
        let mut bucket = json!({"key": 1000, "doc_count": 1});
        bucket
            .as_object_mut()
            .unwrap()
            .extend(inner.as_object().unwrap().clone());
        json!({"b": {"buckets": [bucket]}})
    };
    let min = histogram(json!({"time": {"min": {"field": "time"}}}));
    let missing = "Missing max aggregation for time_field [time]";
    assert_eq!(
        reason(flatten(min, bucket(json!({"time": {"value": 1.0}})))),
        missing
    );
    assert_eq!(
        reason(flatten(histogram(json!({})), bucket(json!({})))),
        missing
    );
    let stats = histogram(json!({"time": max(), "responsetime": {"stats": {"field": "r"}}}));
    assert_eq!(
        reason(flatten(
            stats,
            bucket(json!({"time": {"value": 1.0}, "responsetime": {"count": 1, "max": 1.0}}))
        )),
        "Unsupported aggregation type [responsetime]"
    );
    let terms = || json!({"terms": {"field": "x"}});
    let two = histogram(json!({"time": max(), "airline": terms(), "place": terms()}));
    assert_eq!(
        reason(flatten(two, bucket(json!({"time": {"value": 1.0}})))),
        "Multiple bucket aggregations at the same level are not supported"
    );
    assert_eq!(
        reason(flatten(
            json!({"a": terms(), "b": terms()}),
            json!({"a": {}, "b": {}})
        )),
        "Multiple top level aggregations not supported; found: [a, b]"
    );
    let again = histogram(json!({"time": max(), "c": {"date_histogram": {"field": "time"}}}));
    assert_eq!(
        reason(flatten(
            again,
            bucket(json!({"time": {"value": 1.0}, "c": {"buckets": []}}))
        )),
        "More than one composite or date_histogram cannot be used in the aggregation. [c] is another instance of a \
         composite or date_histogram aggregation"
    );
}
