//! The requests of Open Distro's and Search Guard's documents, in their form: each is answered with every field that the
//! documents show.

mod support;

use serde_json::{Value, json};
use support::opensearch::{DISTRO, GUARD, bulk, now};
use support::{Client, Server, wait_until};

const MINUTE: i64 = 60_000;
const MINUTES: i64 = 200;

/// What the documents' detectors look at.
fn server() -> (Server, i64) {
    let server = Server::start(&[]);
    let mappings = json!({"mappings": {"properties": {
        "timestamp": {"type": "date"}, "value": {"type": "double"}, "ip": {"type": "ip"},
        "error_type": {"type": "keyword"}
    }}});
    let start = now() - MINUTES * MINUTE;
    for index in ["server_log-1", "order-1"] {
        server.ok("PUT", &format!("/{index}"), &mappings);
        let lines: Vec<Value> = (0..MINUTES)
            .flat_map(|minute| {
                [
                    json!({"index": {"_index": index}}),
                    json!({
                        "timestamp": start + minute * MINUTE, "value": 5 + minute % 3, "ip": "10.0.0.7",
                        "error_type": "timeout"
                    }),
                ]
            })
            .collect();
        bulk(&server, &lines);
    }
    (server, start)
}

/// A detector as both documents send it.
fn sent(indices: &str) -> Value {
    json!({
        "name": "test-detector", "description": "Sums of a log", "time_field": "timestamp", "indices": [indices],
        "feature_attributes": [
            {"feature_name": "test", "feature_enabled": true, "aggregation_query": {"test": {"sum": {"field": "value"}}}}
        ],
        "filter_query": {"bool": {
            "filter": [{"range": {"value": {"gt": 1}}}], "adjust_pure_negative": true, "boost": 1
        }},
        "detection_interval": {"period": {"interval": 1, "unit": "Minutes"}},
        "window_delay": {"period": {"interval": 1, "unit": "Minutes"}}
    })
}

/// Fails unless each path leads to a value that isn't null, unless its last step begins with `?`.
#[track_caller]
fn has(value: &Value, paths: &[&str]) {
    for path in paths {
        let found = path.split('.').try_fold(value, |value, step| {
            let step = step.trim_start_matches('?');
            match step.parse::<usize>() {
                Ok(place) => value.get(place),
                Err(_) => value.get(step),
            }
        });
        let may_be_null = path.contains('?');
        assert!(
            found.is_some_and(|found| may_be_null || !found.is_null()),
            "{path} in {value}"
        );
    }
}

const DETECTOR: [&str; 12] = [
    "name",
    "description",
    "time_field",
    "indices.0",
    "filter_query.bool.filter.0",
    "detection_interval.period.interval",
    "detection_interval.period.unit",
    "feature_attributes.0.feature_id",
    "feature_attributes.0.feature_name",
    "feature_attributes.0.feature_enabled",
    "feature_attributes.0.aggregation_query.test.sum.field",
    "last_update_time",
];
const LATER: [&str; 5] = [
    "window_delay.period.interval",
    "window_delay.period.unit",
    "shingle_size",
    "schema_version",
    "detector_type",
];
const PLACE: [&str; 4] = ["_id", "_version", "_seq_no", "_primary_term"];
const SEARCH: [&str; 9] = [
    "took",
    "?timed_out",
    "_shards.total",
    "_shards.successful",
    "_shards.skipped",
    "_shards.failed",
    "hits.total.value",
    "hits.total.relation",
    "hits.max_score",
];
const HIT: [&str; 6] = [
    "_index",
    "_id",
    "_version",
    "_seq_no",
    "_primary_term",
    "_score",
];

/// Creates a detector as the documents do, and reads, changes and finds it.
fn detector_as_documented(client: &Client, base: &str, body: &Value) -> String {
    let reply = client.call("POST", base, body);
    assert_eq!(reply.status, 201, "{}", reply.text);
    let id = reply.body["_id"].as_str().expect("an id").to_owned();
    let path = format!("{base}/{id}");
    let mut changed = body.clone();
    changed["description"] = "Sums of the same log".into();
    let got = client.ok("GET", &path, &Value::Null);
    let updated = client.ok("PUT", &path, &changed);
    for answer in [&reply.body, &got, &updated] {
        has(answer, &PLACE);
        has(&answer["anomaly_detector"], &DETECTOR);
        if base == GUARD {
            has(&answer["anomaly_detector"], &LATER);
        }
    }
    let query = match base {
        GUARD => json!({"wildcard": {"indices": {"value": "server_log*"}}}),
        _ => json!({"match": {"name": "Test"}}),
    };
    for method in ["GET", "POST"] {
        let found = client.ok(method, &format!("{base}/_search"), &json!({"query": query}));
        has(&found, &SEARCH);
        let hit = &found["hits"]["hits"][0];
        has(hit, &HIT);
        has(&hit["_source"], &DETECTOR);
        assert_eq!(hit["_id"], id.as_str());
    }
    id
}

#[test]
fn open_distros_requests_are_answered_field_for_field() {
    let (server, start) = server();
    let mut body = sent("order*");
    body.as_object_mut()
        .expect("an object")
        .shift_remove("window_delay");
    let id = detector_as_documented(&server, DISTRO, &body);
    let period = json!({"period_start": start, "period_end": start + MINUTES * MINUTE});
    let previewed = server.ok("POST", &format!("{DISTRO}/{id}/_preview"), &period);
    has(&previewed["anomaly_detector"], &DETECTOR);
    let result = [
        "detector_id",
        "anomaly_grade",
        "confidence",
        "feature_data.0.feature_id",
        "feature_data.0.feature_name",
        "feature_data.0.data",
        "start_time",
        "end_time",
    ];
    has(&previewed["anomaly_result"][0], &result);
    let range = json!({"start_time": start, "end_time": start + MINUTES * MINUTE});
    server.ok("POST", &format!("{DISTRO}/{id}/_start"), &range);
    let asked = json!({"query": {"bool": {"must": {"range": {"anomaly_score": {"gte": 0.1, "lte": 100}}}}}});
    let found = wait_until("results", || {
        let path = "/_opendistro/_anomaly_detection/results/_search";
        let found = server.ok("POST", path, &asked);
        (found["hits"]["total"]["value"] != 0).then_some(found)
    });
    has(&found, &SEARCH);
    has(&found["hits"]["hits"][0], &HIT);
    has(&found["hits"]["hits"][0], &["_type"]);
    has(&found["hits"]["hits"][0]["_source"], &result);
    has(&found["hits"]["hits"][0]["_source"], &["anomaly_score"]);
    wait_until("the end of the analysis", || {
        let reply = server.call("DELETE", &format!("{DISTRO}/{id}"), &Value::Null);
        (reply.status == 200).then(|| {
            has(
                &reply.body,
                &[
                    "_index",
                    "_type",
                    "_id",
                    "_version",
                    "result",
                    "forced_refresh",
                ],
            );
            has(
                &reply.body,
                &["_shards.total", "_shards.successful", "_shards.failed"],
            );
            has(&reply.body, &["_seq_no", "_primary_term"]);
        })
    });
}

#[test]
fn search_guards_requests_are_answered_field_for_field() {
    let (server, start) = server();
    let body = sent("server_log*");
    for types in ["", "/detector", "/model"] {
        let told = server.ok("POST", &format!("{GUARD}/_validate{types}"), &body);
        assert_eq!(told, json!({}), "{types}");
    }
    let id = detector_as_documented(&server, GUARD, &body);
    let path = format!("{GUARD}/{id}");
    let mut of_ips = body.clone();
    of_ips["name"] = "test-hc-detector".into();
    of_ips["category_field"] = json!(["ip"]);
    let made = server.call("POST", GUARD, &of_ips);
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(
        made.body["anomaly_detector"]["category_field"],
        json!(["ip"])
    );
    of_ips["name"] = "both".into();
    of_ips["category_field"] = json!(["ip", "error_type"]);
    of_ips["result_index"] = "searchguard-ad-result-test".into();
    let made = server.call("POST", GUARD, &of_ips);
    assert_eq!(made.status, 201, "{}", made.text);
    let period = json!({"period_start": start, "period_end": start + MINUTES * MINUTE});
    let mut tried = period.clone();
    tried["detector"] = body.clone();
    tried["detector"]["name"] = "tried".into();
    let mut named = period.clone();
    named["detector_id"] = id.as_str().into();
    for (path, asked) in [
        (format!("{GUARD}/_preview"), &tried),
        (format!("{GUARD}/_preview"), &named),
        (format!("{path}/_preview"), &period),
    ] {
        let told = server.ok("POST", &path, asked);
        has(
            &told["anomaly_result"][0],
            &[
                "?detector_id",
                "data_start_time",
                "data_end_time",
                "schema_version",
                "feature_data.0.feature_id",
                "feature_data.0.feature_name",
                "feature_data.0.data",
                "anomaly_grade",
                "confidence",
            ],
        );
        has(&told["anomaly_detector"], &LATER);
    }
    server.ok("POST", &format!("{path}/_start"), &Value::Null);
    let got = server.ok("GET", &format!("{path}?job=true"), &Value::Null);
    has(
        &got["anomaly_detector_job"],
        &[
            "name",
            "schedule.interval.start_time",
            "schedule.interval.period",
            "schedule.interval.unit",
            "window_delay.period.interval",
            "window_delay.period.unit",
            "enabled",
            "enabled_time",
            "last_update_time",
            "lock_duration_seconds",
        ],
    );
    let range = json!({"start_time": start, "end_time": start + MINUTES * MINUTE});
    server.ok("POST", &format!("{path}/_start"), &range);
    let got = server.ok("GET", &format!("{path}?task=true"), &Value::Null);
    has(
        &got,
        &[
            "realtime_detection_task.task_id",
            "historical_analysis_task.task_id",
        ],
    );
    let profile = wait_until("models", || {
        let profile = server.ok("GET", &format!("{path}/_profile?_all=true"), &Value::Null);
        let updates = &profile["ad_task"]["rcf_total_updates"];
        (profile["init_progress"].is_object() && *updates != 0).then_some(profile)
    });
    has(
        &profile,
        &[
            "state",
            "total_size_in_bytes",
            "init_progress.percentage",
            "ad_task.shingle_size",
            "ad_task.threshold_model_trained",
            "ad_task.threshold_model_training_data_size",
            "ad_task.model_size_in_bytes",
            "ad_task.node_id",
            "ad_task.detector_task_slots",
        ],
    );
    has(
        &profile["ad_task"]["ad_task"],
        &[
            "task_id",
            "last_update_time",
            "state",
            "detector_id",
            "task_progress",
            "init_progress",
            "current_piece",
            "execution_start_time",
            "is_latest",
            "task_type",
            "coordinating_node",
            "worker_node",
            "detector.name",
            "detection_date_range.start_time",
            "detection_date_range.end_time",
        ],
    );
    for types in ["", "/", "/ad_task", "/state,error"] {
        server.ok("GET", &format!("{path}/_profile{types}"), &Value::Null);
    }
}
