//! Small sets of documents, and answers that were worked out by hand.

use serde_json::{Value, json};

use super::{HOUR, T, over_json};

fn documents() -> Vec<Value> {
    vec![
        json!({"time": T, "host": "a", "value": 1.5, "bytes": 10, "up": true}),
        json!({"time": T + HOUR / 2, "host": "b", "value": 2.5, "bytes": 20, "up": false}),
        json!({"time": T + HOUR, "host": "a", "value": 4.0, "bytes": 30, "up": true, "tags": ["x", "y"]}),
        json!({"time": T + 3 * HOUR, "host": "c", "bytes": 40, "tags": "x"}),
        json!({"time": T + 3 * HOUR + 1, "host": "a", "value": -1.0, "bytes": 50, "up": true}),
    ]
}

#[track_caller]
fn answers(aggs: Value, expected: Value) {
    let told = over_json(&documents(), &json!({"match_all": {}}), &aggs).unwrap();
    assert_eq!(
        serde_json::to_string(&told["x"]).unwrap(),
        serde_json::to_string(&expected).unwrap(),
        "{aggs}"
    );
}

#[track_caller]
fn refused(aggs: Value, kind: &str, reason: &str) {
    let error = over_json(&documents(), &json!({"match_all": {}}), &aggs).unwrap_err();
    let super::super::SearchError::Refused(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.reason.contains(reason), "{error}");
}

#[test]
fn numbers_of_all_documents() {
    answers(
        json!({"x": {"max": {"field": "value"}}}),
        json!({"value": 4.0}),
    );
    answers(
        json!({"x": {"max": {"field": "time"}}}),
        json!({"value": (T + 3 * HOUR + 1) as f64, "value_as_string": "2016-06-01T03:00:00.001Z"}),
    );
    answers(
        json!({"x": {"sum": {"field": "none"}}}),
        json!({"value": 0.0}),
    );
    answers(
        json!({"x": {"avg": {"field": "none"}}}),
        json!({"value": null}),
    );
    answers(
        json!({"x": {"avg": {"field": "value", "missing": 3}}}),
        json!({"value": 2.0}),
    );
    answers(
        json!({"x": {"stats": {"field": "value"}}}),
        json!({"count": 4, "min": -1.0, "max": 4.0, "avg": 1.75, "sum": 7.0}),
    );
    answers(
        json!({"x": {"value_count": {"field": "tags"}}}),
        json!({"value": 3}),
    );
    answers(
        json!({"x": {"cardinality": {"field": "host"}}}),
        json!({"value": 3}),
    );
    answers(
        json!({"x": {"percentiles": {"field": "bytes", "percents": [50, 75.5]}}}),
        json!({"values": {"50.0": 30.0, "75.5": 40.2}}),
    );
    answers(
        json!({"x": {"median_absolute_deviation": {"field": "bytes"}}}),
        json!({"value": 10.0}),
    );
    let told = over_json(
        &documents(),
        &json!({"match_all": {}}),
        &json!({"x": {"extended_stats": {"field": "value"}}}),
    )
    .unwrap();
    // Squares 2.25 + 6.25 + 16 + 1, less 4 times the square of the mean, by 4.
    assert_eq!(told["x"]["variance"], 3.3125);
    assert_eq!(
        told["x"]["std_deviation_bounds"]["upper"],
        1.75 + 2.0 * 3.3125_f64.sqrt()
    );
}

#[test]
fn parts_by_their_keys() {
    answers(
        json!({"x": {"terms": {"field": "host", "size": 2}, "aggs": {"m": {"max": {"field": "value"}}}}}),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 1, "buckets": [
            {"key": "a", "doc_count": 3, "m": {"value": 4.0}}, {"key": "b", "doc_count": 1, "m": {"value": 2.5}}
        ]}),
    );
    answers(
        json!({"x": {"terms": {"field": "host", "order": {"m": "asc"}}, "aggs": {"m": {"max": {"field": "value"}}}}}),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key": "b", "doc_count": 1, "m": {"value": 2.5}}, {"key": "a", "doc_count": 3, "m": {"value": 4.0}},
            {"key": "c", "doc_count": 1, "m": {"value": null}}
        ]}),
    );
    answers(
        json!({"x": {"terms": {"field": "up", "missing": false}}}),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [
            {"key_as_string": "true", "key": 1, "doc_count": 3}, {"key_as_string": "false", "key": 0, "doc_count": 2}
        ]}),
    );
    answers(
        json!({"x": {"terms": {"field": "host", "include": "a|b", "exclude": ["b"]}}}),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": [{"key": "a", "doc_count": 3}]}),
    );
    answers(
        json!({"x": {"terms": {"field": "time", "size": 1, "order": {"_key": "asc"}}}}),
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 4, "buckets": [
            {"key_as_string": "2016-06-01T00:00:00.000Z", "key": T, "doc_count": 1}
        ]}),
    );
    answers(
        json!({"x": {"histogram": {"field": "bytes", "interval": 25, "min_doc_count": 0}}}),
        json!({"buckets": [
            {"key": 0.0, "doc_count": 2}, {"key": 25.0, "doc_count": 2}, {"key": 50.0, "doc_count": 1}
        ]}),
    );
    answers(
        json!({"x": {"range": {"field": "value", "ranges": [{"to": 2}, {"from": 2, "to": 4}, {"key": "high", "from": 4}]}}}),
        json!({"buckets": [
            {"key": "*-2.0", "to": 2.0, "doc_count": 2}, {"key": "2.0-4.0", "from": 2.0, "to": 4.0, "doc_count": 1},
            {"key": "high", "from": 4.0, "doc_count": 1}
        ]}),
    );
    answers(
        json!({"x": {"date_range": {"field": "time", "format": "HH:mm", "ranges": [{"from": T + HOUR}]}}}),
        json!({"buckets": [
            {"key": "01:00-*", "from": (T + HOUR) as f64, "from_as_string": "01:00", "doc_count": 3}
        ]}),
    );
    answers(
        json!({"x": {"missing": {"field": "value"}}}),
        json!({"doc_count": 1}),
    );
    answers(
        json!({"x": {"filters": {"other_bucket": true, "filters": {"a": {"term": {"host": "a"}}, "low": {"range": {"bytes": {"lt": 20}}}}}}}),
        json!({"buckets": {"a": {"doc_count": 3}, "low": {"doc_count": 1}, "_other_": {"doc_count": 2}}}),
    );
    answers(
        json!({"x": {"filters": {"filters": [{"term": {"host": "a"}}]}, "aggs": {"s": {"sum": {"field": "bytes"}}}}}),
        json!({"buckets": [{"doc_count": 3, "s": {"value": 90.0}}]}),
    );
}

#[test]
fn parts_of_time_have_no_gaps() {
    answers(
        json!({"x": {"date_histogram": {"field": "time", "fixed_interval": "1h"}, "aggs": {"s": {"sum": {"field": "bytes"}}}}}),
        json!({"buckets": [
            {"key_as_string": "2016-06-01T00:00:00.000Z", "key": T, "doc_count": 2, "s": {"value": 30.0}},
            {"key_as_string": "2016-06-01T01:00:00.000Z", "key": T + HOUR, "doc_count": 1, "s": {"value": 30.0}},
            {"key_as_string": "2016-06-01T02:00:00.000Z", "key": T + 2 * HOUR, "doc_count": 0, "s": {"value": 0.0}},
            {"key_as_string": "2016-06-01T03:00:00.000Z", "key": T + 3 * HOUR, "doc_count": 2, "s": {"value": 90.0}}
        ]}),
    );
    answers(
        json!({"x": {"date_histogram": {
            "field": "time", "calendar_interval": "day", "time_zone": "+02:00", "format": "yyyy-MM-dd", "keyed": true,
            "extended_bounds": {"min": "2016-05-31", "max": "2016-06-01"}
        }}}),
        json!({"buckets": {
            "2016-05-31": {"key_as_string": "2016-05-31", "key": T - 26 * HOUR, "doc_count": 0},
            "2016-06-01": {"key_as_string": "2016-06-01", "key": T - 2 * HOUR, "doc_count": 5}
        }}),
    );
    answers(
        json!({"x": {"date_histogram": {
            "field": "time", "fixed_interval": "2h", "offset": "+30m", "min_doc_count": 1, "order": {"_count": "desc"},
            "hard_bounds": {"min": T}
        }}}),
        json!({"buckets": [
            {"key_as_string": "2016-06-01T00:30:00.000Z", "key": T + HOUR / 2, "doc_count": 2},
            {"key_as_string": "2016-06-01T02:30:00.000Z", "key": T + 5 * HOUR / 2, "doc_count": 2}
        ]}),
    );
    refused(
        json!({"x": {"date_histogram": {"field": "time", "fixed_interval": "1s", "extended_bounds": {"min": 0, "max": T}}}}),
        "too_many_buckets_exception",
        "Must be less than or equal to: [65536]",
    );
}

#[test]
fn a_composite_goes_on_where_it_ended() {
    let page = |after: Option<Value>| {
        let mut composite = json!({"size": 3, "sources": [
            {"hour": {"date_histogram": {"field": "time", "fixed_interval": "1h"}}},
            {"host": {"terms": {"field": "host", "order": "desc"}}}
        ]});
        if let Some(after) = after {
            composite["after"] = after;
        }
        json!({"x": {"composite": composite, "aggs": {"s": {"sum": {"field": "bytes"}}}}})
    };
    let last = json!({"hour": T + HOUR, "host": "a"});
    answers(
        page(None),
        json!({"after_key": last, "buckets": [
            {"key": {"hour": T, "host": "b"}, "doc_count": 1, "s": {"value": 20.0}},
            {"key": {"hour": T, "host": "a"}, "doc_count": 1, "s": {"value": 10.0}},
            {"key": last, "doc_count": 1, "s": {"value": 30.0}}
        ]}),
    );
    answers(
        page(Some(last)),
        json!({"after_key": {"hour": T + 3 * HOUR, "host": "a"}, "buckets": [
            {"key": {"hour": T + 3 * HOUR, "host": "c"}, "doc_count": 1, "s": {"value": 40.0}},
            {"key": {"hour": T + 3 * HOUR, "host": "a"}, "doc_count": 1, "s": {"value": 50.0}}
        ]}),
    );
    answers(
        page(Some(json!({"hour": T + 3 * HOUR, "host": "a"}))),
        json!({"buckets": []}),
    );
    answers(
        json!({"x": {"composite": {"sources": [{"v": {"terms": {"field": "value", "missing_bucket": true}}}], "size": 2}}}),
        json!({"after_key": {"v": -1.0}, "buckets": [
            {"key": {"v": null}, "doc_count": 1}, {"key": {"v": -1.0}, "doc_count": 1}
        ]}),
    );
    answers(
        json!({"x": {"composite": {"sources": [{"t": {"terms": {"field": "tags"}}}, {"u": {"terms": {"field": "up"}}}]}}}),
        json!({"after_key": {"t": "y", "u": true}, "buckets": [
            {"key": {"t": "x", "u": true}, "doc_count": 1}, {"key": {"t": "y", "u": true}, "doc_count": 1}
        ]}),
    );
}

#[test]
fn numbers_are_made_of_numbers() {
    let hours = |within: Value| json!({"x": {"date_histogram": {"field": "time", "fixed_interval": "1h"}, "aggs": within}});
    let told = over_json(
        &documents(),
        &json!({"match_all": {}}),
        &hours(json!({
            "s": {"sum": {"field": "bytes"}}, "d": {"derivative": {"buckets_path": "s"}},
            "c": {"cumulative_sum": {"buckets_path": "s"}}, "n": {"derivative": {"buckets_path": "_count"}}
        })),
    )
    .unwrap();
    let of = |name: &str| -> Vec<Value> {
        let buckets = told["x"]["buckets"].as_array().unwrap();
        buckets
            .iter()
            .map(|bucket| bucket[name]["value"].clone())
            .collect()
    };
    assert_eq!(json!(of("d")), json!([null, 0.0, null, 60.0]));
    assert_eq!(json!(of("c")), json!([30.0, 60.0, 60.0, 150.0]));
    assert_eq!(json!(of("n")), json!([null, -1.0, -1.0, 2.0]));
    let mut beside = hours(json!({"s": {"sum": {"field": "bytes"}}}));
    beside["best"] = json!({"max_bucket": {"buckets_path": "x>s"}});
    beside["mean"] = json!({"avg_bucket": {"buckets_path": "x>s"}});
    let told = over_json(&documents(), &json!({"match_all": {}}), &beside).unwrap();
    assert_eq!(
        told["best"],
        json!({"value": 90.0, "keys": ["2016-06-01T03:00:00.000Z"]})
    );
    assert_eq!(told["mean"], json!({"value": 50.0}));
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    refused(
        json!({"x": {"rare_terms": {"field": "a"}}}),
        "parsing_exception",
        "Unknown aggregation type [rare_terms]",
    );
    refused(
        json!({"x": {"max": {"field": "value", "hm": 1}}}),
        "x_content_parse_exception",
        "[max] unknown field [hm]",
    );
    refused(
        json!({"x": {}}),
        "parsing_exception",
        "Missing definition for aggregation [x]",
    );
    refused(
        json!({"x": {"max": {"field": "value"}, "min": {"field": "value"}}}),
        "parsing_exception",
        "Found two aggregation type definitions in [x]: [max] and [min]",
    );
    refused(
        json!({"a>b": {"max": {"field": "value"}}}),
        "parsing_exception",
        "Invalid aggregation name [a>b]",
    );
    refused(
        json!({"x": {"terms": {"field": "host"}, "aggs": {"c": {"composite": {"sources": []}}}}}),
        "illegal_argument_exception",
        "cannot be used with a parentAggregation",
    );
    refused(
        json!({"x": {"terms": {"field": "host", "order": {"none": "asc"}}}}),
        "illegal_argument_exception",
        "Invalid aggregation order path [none]",
    );
    refused(
        json!({"x": {"terms": {"field": "host", "size": 0}}}),
        "illegal_argument_exception",
        "[size] must be greater than 0",
    );
    refused(
        json!({"x": {"date_histogram": {"field": "time", "calendar_interval": "2d"}}}),
        "illegal_argument_exception",
        "The supplied interval [2d] could not be parsed as a calendar interval.",
    );
    refused(
        json!({"x": {"max": {"field": "value"}, "aggs": {"y": {"min": {"field": "value"}}}}}),
        "aggregation_initialization_exception",
        "cannot accept sub-aggregations",
    );
}
