//! Requests of all kinds of nonsense: each is answered, in Elasticsearch's form, and none with a fault of the server.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use axum::response::Response;
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::gone;

/// Parts of paths; between them they make up every route.
const PARTS: [&str; 88] = [
    "_ml",
    "anomaly_detectors",
    "j",
    "missing",
    "_all",
    "*",
    "j*,g",
    "_open",
    "_close",
    "_flush",
    "_reset",
    "_update",
    "_stats",
    "_data",
    "_forecast",
    "_validate",
    "detector",
    "_estimate_model_memory",
    "results",
    "buckets",
    "records",
    "influencers",
    "categories",
    "overall_buckets",
    "forecasts",
    "model_plots",
    "annotations",
    "model_snapshots",
    "_revert",
    "_upgrade",
    "calendars",
    "filters",
    "events",
    "jobs",
    "c",
    "f",
    "info",
    "memory",
    "set_upgrade_mode",
    "_delete_expired_data",
    "_retention",
    "_cat",
    "ml",
    "_tasks",
    "_cluster",
    "health",
    "settings",
    "_nodes",
    "_xpack",
    "usage",
    "_license",
    "_doc",
    "_create",
    "_bulk",
    "_search",
    "_count",
    "_refresh",
    "_mapping",
    "_settings",
    "_alias",
    "_aliases",
    "_pit",
    "scroll",
    "_mget",
    "_msearch",
    "_field_caps",
    "_source",
    "_update",
    "_delete_by_query",
    "indices",
    "_resolve",
    "index",
    "logs",
    "logs*,-x",
    "%3Clogs-%7Bnow%7D%3E",
    "_validate",
    ".ml-anomalies-shared",
    ".ml-config",
    ".ml-*",
    "1403481600000",
    "now-1d",
    "1",
    "a%20b",
    "%C3%A9",
    "%2F..%2F",
    "%00",
    "%zz",
    "%FF",
];
const NAMES: [&str; 52] = [
    "pretty",
    "human",
    "error_trace",
    "filter_path",
    "format",
    "source",
    "source_content_type",
    "allow_no_match",
    "force",
    "timeout",
    "start",
    "end",
    "from",
    "size",
    "sort",
    "desc",
    "anomaly_score",
    "record_score",
    "influencer_score",
    "expand",
    "exclude_interim",
    "top_n",
    "bucket_span",
    "overall_score",
    "calc_interim",
    "advance_time",
    "skip_time",
    "reset_start",
    "reset_end",
    "duration",
    "expires_in",
    "max_model_memory",
    "requests_per_second",
    "wait_for_completion",
    "delete_intervening_results",
    "enabled",
    "partition_field_value",
    "category_id",
    "job_id",
    "q",
    "refresh",
    "scroll",
    "keep_alive",
    "_source",
    "version",
    "if_seq_no",
    "if_primary_term",
    "expand_wildcards",
    "ignore_unavailable",
    "fields",
    "track_total_hits",
    "fource",
];
const VALUES: [&str; 34] = [
    "",
    "true",
    "false",
    "maybe",
    "0",
    "1",
    "-1",
    "10001",
    "99999999999999999999",
    "-9223372036854775808",
    "1e308",
    "NaN",
    "-1e-400",
    "1d",
    "-1h",
    "8w",
    "99999999999999999d",
    "0nanos",
    "5M",
    "1.5gb",
    "99999999pb",
    "now",
    "now-1d/d",
    "now%2B999999999y",
    "2014",
    "1403481600",
    "2014-06-23T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z||%2B1y",
    "**.*",
    "-jobs.*,jobs.job_id",
    "a.**.**.**.b%5C.c",
    "%7B%22page%22:%7B%22size%22:-1%7D%7D",
    "application/json",
    "%E2%82",
];
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW",
];
const TYPES: [&str; 9] = [
    "application/json",
    "application/x-ndjson",
    "application/vnd.elasticsearch+json;compatible-with=8",
    "application/vnd.elasticsearch+json; compatible-with=7",
    "application/json; charset=UTF-8",
    "application/yaml",
    "text/plain",
    "nonsense",
    "*/*",
];
/// Routes, and which of [`bodies`] is fine for each.
const ROUTES: [(&str, &str, usize); 66] = [
    ("PUT", "/_ml/anomaly_detectors/new", 0),
    ("PUT", "/_ml/anomaly_detectors/j2", 0),
    ("GET", "/_ml/anomaly_detectors", 13),
    ("GET", "/_ml/anomaly_detectors/j*", 13),
    ("GET", "/_ml/anomaly_detectors/_stats", 13),
    ("GET", "/_ml/anomaly_detectors/j/_stats", 13),
    ("POST", "/_ml/anomaly_detectors/j/_update", 1),
    ("POST", "/_ml/anomaly_detectors/j/_open", 2),
    ("POST", "/_ml/anomaly_detectors/j/_open", 13),
    ("POST", "/_ml/anomaly_detectors/*/_close", 2),
    ("POST", "/_ml/anomaly_detectors/j/_flush", 3),
    ("POST", "/_ml/anomaly_detectors/j/_data", 12),
    ("POST", "/_ml/anomaly_detectors/j/_forecast", 6),
    ("POST", "/_ml/anomaly_detectors/j/_reset", 13),
    ("DELETE", "/_ml/anomaly_detectors/new", 13),
    ("DELETE", "/_ml/anomaly_detectors/j/_forecast", 13),
    ("POST", "/_ml/anomaly_detectors/_validate", 0),
    ("POST", "/_ml/anomaly_detectors/_validate/detector", 10),
    ("POST", "/_ml/anomaly_detectors/_estimate_model_memory", 11),
    ("GET", "/_ml/anomaly_detectors/j/results/buckets", 4),
    ("POST", "/_ml/anomaly_detectors/j/results/buckets", 13),
    (
        "GET",
        "/_ml/anomaly_detectors/j/results/buckets/1403481600000",
        13,
    ),
    ("POST", "/_ml/anomaly_detectors/j/results/records", 4),
    ("GET", "/_ml/anomaly_detectors/j/results/records", 13),
    ("GET", "/_ml/anomaly_detectors/j/results/influencers", 4),
    ("GET", "/_ml/anomaly_detectors/j/results/categories", 13),
    ("GET", "/_ml/anomaly_detectors/j/results/model_plots", 13),
    ("GET", "/_ml/anomaly_detectors/j/results/forecasts", 13),
    (
        "POST",
        "/_ml/anomaly_detectors/*/results/overall_buckets",
        5,
    ),
    (
        "GET",
        "/_ml/anomaly_detectors/j/results/overall_buckets",
        13,
    ),
    ("GET", "/_ml/anomaly_detectors/j/model_snapshots", 4),
    ("GET", "/_ml/anomaly_detectors/j/annotations", 13),
    ("PUT", "/_ml/calendars/c", 7),
    ("GET", "/_ml/calendars", 13),
    ("POST", "/_ml/calendars/c/events", 8),
    ("GET", "/_ml/calendars/_all/events", 13),
    ("PUT", "/_ml/calendars/c/jobs/j", 13),
    ("DELETE", "/_ml/calendars/c", 13),
    ("PUT", "/_ml/filters/f", 9),
    ("POST", "/_ml/filters/f/_update", 9),
    ("GET", "/_ml/filters", 13),
    ("DELETE", "/_ml/filters/f", 13),
    ("GET", "/_ml/info", 13),
    ("DELETE", "/_ml/_delete_expired_data", 13),
    ("GET", "/_cluster/health", 13),
    ("GET", "/", 13),
    ("PUT", "/logs", 14),
    ("GET", "/logs", 13),
    ("PUT", "/logs/_doc/1", 15),
    ("POST", "/logs/_update/1", 16),
    ("GET", "/logs/_doc/1", 13),
    ("POST", "/logs/_search", 17),
    ("GET", "/logs/_search", 13),
    ("POST", "/logs/_count", 18),
    ("POST", "/logs/_delete_by_query", 18),
    ("POST", "/_aliases", 19),
    ("PUT", "/logs/_mapping", 20),
    ("PUT", "/logs/_settings", 21),
    ("POST", "/_mget", 22),
    ("POST", "/logs/_field_caps", 23),
    ("POST", "/logs/_pit", 13),
    ("POST", "/_search/scroll", 24),
    ("DELETE", "/_search/scroll", 24),
    ("POST", "/logs/_bulk", 25),
    ("GET", "/_cat/indices", 13),
    ("POST", "/logs/_refresh", 13),
];

/// Bodies that are fine for one endpoint or another; the thirteenth is none.
fn bodies() -> [Value; 26] {
    let config = json!({"detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p",
        "custom_rules": [{"actions": ["skip_result"], "conditions": [{"applies_to": "actual", "operator": "gt", "value": 1.0}]}]}],
        "bucket_span": "5m", "influencers": ["p"]});
    [
        json!({"analysis_config": config, "data_description": {"time_field": "t", "time_format": "epoch"},
            "analysis_limits": {"model_memory_limit": "11mb"}, "groups": ["g"], "custom_settings": {"a": [1, null]}}),
        json!({"description": "x", "groups": ["g"], "detectors": [{"detector_index": 0, "description": "y"}],
            "model_plot_config": {"enabled": true}, "results_retention_days": 7}),
        json!({"timeout": "1ms", "force": true, "allow_no_match": false}),
        json!({"calc_interim": true, "start": "1403481600", "end": "1403482000", "advance_time": "now"}),
        json!({"desc": true, "sort": "timestamp", "page": {"from": 0, "size": 5}, "start": "2014", "end": 1_403_481_600_000_i64}),
        json!({"top_n": 2, "bucket_span": "1h", "overall_score": 5.5}),
        json!({"duration": "1h", "expires_in": "1d", "max_model_memory": "20mb"}),
        json!({"job_ids": ["j", "g"], "description": "c"}),
        json!({"events": [{"description": "e", "start_time": 1_403_481_600_000_i64, "end_time": "2014-06-24"}]}),
        json!({"items": ["a", "*.b"], "add_items": ["c"]}),
        json!({"function": "count", "by_field_name": "b"}),
        json!({"analysis_config": config, "overall_cardinality": {"p": 5}, "max_bucket_cardinality": {"p": 5}}),
        json!({"t": 1_403_481_600, "v": 1.5, "p": "a"}),
        Value::Null,
        json!({"mappings": {"properties": {"n": {"type": "long"}, "t": {"type": "text", "fields": {"k": {"type": "keyword"}}}},
            "runtime": {"r": {"type": "long", "script": "emit(doc['n'].value * 2)"}}}, "settings": {"index.hidden": true},
            "aliases": {"a": {"filter": {"term": {"n": 1}}}}}),
        json!({"n": 5, "t": "some words", "@timestamp": "2024-01-01T00:00:00Z", "o": {"p": [1.5, 2]}, "b": true}),
        json!({"doc": {"n": 6}, "doc_as_upsert": true, "detect_noop": false}),
        json!({"query": {"bool": {"filter": [{"range": {"n": {"gte": 1}}}, {"match": {"t": "words"}}]}}, "size": 3,
            "sort": [{"n": "desc"}, "_doc"], "_source": ["n*"], "docvalue_fields": ["n"], "track_total_hits": true,
            "aggs": {"h": {"histogram": {"field": "n", "interval": 2}, "aggs": {"m": {"avg": {"field": "o.p"}}}}}}),
        json!({"query": {"query_string": {"query": "n:[1 TO 9] AND t:words"}}}),
        json!({"actions": [{"add": {"index": "logs", "alias": "b", "routing": "1"}}, {"remove": {"index": "logs", "alias": "a"}}]}),
        json!({"properties": {"m": {"type": "date", "format": "epoch_millis"}}, "dynamic": "strict"}),
        json!({"index": {"refresh_interval": "1s", "max_result_window": 100}}),
        json!({"docs": [{"_index": "logs", "_id": "1", "_source": false}], "ids": ["1"]}),
        json!({"fields": ["*"], "runtime_mappings": {"x": {"type": "keyword"}}}),
        json!({"scroll_id": "00000000000000000000000000000000ffffffffffffffff", "scroll": "1m"}),
        json!({"index": {"_index": "logs", "_id": "1", "routing": "r"}}),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(&VALUES[..]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,8}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

/// Puts a value somewhere into a body: the field, element or whole that `way` leads to.
fn put(body: &mut Value, way: u32, new: Value) {
    let next = way / 7;
    match body {
        Value::Object(fields) if !fields.is_empty() && !way.is_multiple_of(7) => {
            let at = next as usize % fields.len();
            if let Some((_, value)) = fields.iter_mut().nth(at) {
                put(value, next / 3, new);
            }
        }
        Value::Array(values) if !values.is_empty() && !way.is_multiple_of(7) => {
            let at = next as usize % values.len();
            put(&mut values[at], next / 3, new);
        }
        other => *other = new,
    }
}

/// What is sent instead of the body that is fine.
#[derive(Debug, Clone)]
enum Sent {
    Fine,
    Changed(u32, Value),
    Torn(prop::sample::Index, u8),
    Other(Vec<u8>),
}

impl Sent {
    fn bytes(self, fine: Option<Value>) -> Vec<u8> {
        match (self, fine) {
            (Self::Other(bytes), _) => bytes,
            (_, None) => Vec::new(),
            (Self::Fine, Some(body)) => body.to_string().into_bytes(),
            (Self::Changed(way, new), Some(mut body)) => {
                put(&mut body, way, new);
                body.to_string().into_bytes()
            }
            (Self::Torn(at, byte), Some(body)) => {
                let mut bytes = body.to_string().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            }
        }
    }
}

fn any_sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        6 => Just(Sent::Fine),
        6 => (any::<u32>(), any_json()).prop_map(|(way, new)| Sent::Changed(way, new)),
        2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Sent::Torn(at, byte)),
        1 => any_json().prop_map(|body| Sent::Other(body.to_string().into_bytes())),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Sent::Other),
    ]
}

/// Paths that are there, and some that are not.
fn any_path() -> impl Strategy<Value = String> {
    let parts = || prop::collection::vec(prop::sample::select(&PARTS[..]), 0..4);
    prop_oneof![
        3 => parts().prop_map(|parts| format!("/_ml/anomaly_detectors/j/{}", parts.join("/"))),
        2 => parts().prop_map(|parts| format!("/_ml/{}", parts.join("/"))),
        1 => parts().prop_map(|parts| format!("/{}", parts.join("/"))),
        1 => "[a-z0-9./%_-]{0,100}".prop_map(|text| format!("/_ml/anomaly_detectors/{text}")),
    ]
}

fn any_request() -> impl Strategy<Value = Request<Body>> {
    let value = prop_oneof![
        prop::sample::select(&VALUES[..]).prop_map(str::to_owned),
        "[a-zA-Z0-9.*,%+|/:_-]{0,20}"
    ];
    let pair = (prop::sample::select(&NAMES[..]), value);
    let pairs = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(pair, 1..3),
    ];
    let accept = prop::option::weighted(0.1, prop::sample::select(&TYPES[..]));
    let content = prop_oneof![14 => Just(TYPES[0]), 1 => prop::sample::select(&TYPES[..])];
    let known = prop::sample::select(&ROUTES[..])
        .prop_map(|(method, path, body)| (method, path.to_owned(), body));
    let other = (prop::sample::select(&METHODS[..]), any_path(), 0..26_usize);
    let route = prop_oneof![3 => known, 1 => other];
    (route, pairs, accept, content, any_sent()).prop_map(
        |((method, path, body), pairs, accept, content, sent)| {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let fine = bodies().get(body).filter(|body| !body.is_null()).cloned();
            let body = sent.bytes(fine);
            let mut request = Request::builder()
                .method(method)
                .uri(format!("{path}?{}", pairs.join("&")))
                .header(header::CONTENT_LENGTH, body.len())
                .header(header::CONTENT_TYPE, content);
            if let Some(accept) = accept {
                request = request.header(header::ACCEPT, accept);
            }
            request.body(Body::from(body)).expect("a request")
        },
    )
}

/// The status of an answer that is as it should be.
async fn check(request: &str, method: &str, response: Response) -> u16 {
    let status = response.status().as_u16();
    assert!((200..500).contains(&status), "{status} for {request}");
    assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    if method == "HEAD" {
        assert!(body.is_empty(), "{request}");
    } else if status >= 400 {
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|error| {
            panic!(
                "{error} in {} for {request}",
                String::from_utf8_lossy(&body)
            )
        });
        let error = &answer["error"];
        let told = error.as_str().or(error["reason"].as_str());
        assert!(
            told.is_some_and(|told| !told.is_empty()),
            "{answer} for {request}"
        );
        assert!(
            kind.is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json"))),
            "{request}"
        );
        if error.is_object() {
            assert_eq!(answer["status"], status, "{request}");
            assert!(
                error["root_cause"][0]["type"].is_string(),
                "{answer} for {request}"
            );
        }
    }
    status
}

async fn call(router: &Router, request: Request<Body>) -> (String, Response) {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let shown = format!(
        "{} {} {:?} «{}»",
        parts.method,
        parts.uri,
        parts.headers,
        String::from_utf8_lossy(&bytes)
    );
    let request = Request::from_parts(parts, Body::from(bytes));
    let Ok(response) = router.clone().oneshot(request).await;
    (shown, response)
}

#[test]
fn nonsense_is_answered_and_harmless() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let state = runtime.block_on(gone::state(directory.path()));
    let router = crate::router(state.clone());
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config {
        cases: 3_000,
        failure_persistence: None,
        // Requests change what the next ones find.
        max_shrink_iters: 0,
        ..Config::default()
    };
    let job = bodies()[0].to_string();
    let done = AtomicUsize::new(0);
    let made = TestRunner::new_with_rng(config, rng).run(&any_request(), |request| {
        runtime.block_on(async {
            // The job may have been deleted, and most of the paths are its.
            let create = Request::put("/_ml/anomaly_detectors/j")
                .header(header::CONTENT_TYPE, TYPES[0])
                .body(Body::from(job.clone()))
                .expect("a request");
            let _ = router.clone().oneshot(create).await;
            let method = request.method().to_string();
            let (shown, response) = call(&router, request).await;
            let status = check(&shown, &method, response).await;
            done.fetch_add(usize::from(status < 300), Ordering::Relaxed);
        });
        Ok(())
    });
    runtime.block_on(state.jobs.shut_down());
    made.expect("each request is answered well");
    let done = done.into_inner();
    assert!(done > 500, "only {done} requests made sense");
}
