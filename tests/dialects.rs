//! The same values through all dialects: the same anomalies at the same times.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use support::opensearch::{PLUGINS, bulk, create, id, now};
use support::prometheus::prometheus;
use support::{Client, Server, wait_until};

const MINUTE: i64 = 60_000;
const DETECTORS: &str = "/workspaces/ws-1/anomalydetectors";

/// The minute of the jump.
static JUMP: AtomicI64 = AtomicI64::new(0);

/// The value of a minute since 1970: a wave, and one jump.
fn value(minute: i64) -> f64 {
    let noise = (minute * 7_919).rem_euclid(101) as f64 / 200.0;
    let is_jump = minute == JUMP.load(Ordering::Relaxed);
    let jump = if is_jump { 90.0 } else { 0.0 };
    (minute as f64 / 10.0).sin() * 3.0 + noise + jump
}

/// What a Prometheus gives at the end of a minute.
fn at(seconds: i64) -> f64 {
    value(seconds / 60 - 1)
}

/// The minutes that are told, from `first` up to `end`.
fn within(minutes: impl Iterator<Item = i64>, first: i64, end: i64) -> BTreeSet<i64> {
    minutes
        .filter(|minute| (first..end).contains(minute))
        .collect()
}

#[test]
fn the_same_anomalies_are_told_in_every_dialect() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!(
        "[sources.prom]\nkind = \"prometheus\"\nurl = \"{}\"\n[amp]\nhistory = \"8h\"\n",
        prometheus(at)
    );
    std::fs::write(&path, settings).expect("a file");
    let server = Server::start(&["--config", &path.display().to_string()]);
    let last = now() / MINUTE - 5;
    let begin = last - 480;
    // From where each has seen enough of it.
    let (first, end) = (begin + 160, last - 5);
    let jump = last - 100;
    JUMP.store(jump, Ordering::Relaxed);
    let expected = BTreeSet::from([jump]);

    // As Elasticsearch's job, by the same forest; Google's anomalies are its records.
    let job = json!({
        "analysis_config": {"bucket_span": "1m", "detectors": [{"function": "mean", "field_name": "crashRate"}]},
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "custom_settings": {"engine": "random_cut_forest", "play": {
            "app": "com.example.shop", "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": "up"
        }}
    });
    server.create_open("job", &job);
    let lines: String = (begin..last)
        .map(|minute| {
            let line = json!({"time": minute * 60 + 30, "crashRate": value(minute)});
            format!("{line}\n")
        })
        .collect();
    server.post_data("job", lines.as_bytes());
    server.close("job");
    let page = json!({"record_score": 50, "page": {"size": 1_000}});
    let records = server.ok("POST", &Client::job_path("job", "/results/records"), &page);
    let records = records["records"].as_array().expect("records").iter();
    let times = records.map(|record| record["timestamp"].as_i64().expect("a time") / MINUTE);
    assert_eq!(within(times, first, end), expected, "records");

    let anomalies = server.ok(
        "GET",
        "/v1beta1/apps/com.example.shop/anomalies?pageSize=100",
        &Value::Null,
    );
    let anomalies = anomalies["anomalies"].as_array().expect("anomalies").iter();
    let hours = anomalies.map(|anomaly| {
        let start = &anomaly["timelineSpec"]["startTime"];
        let part = |name: &str| u32::try_from(start[name].as_i64().unwrap_or(0)).expect("small");
        let year = i32::try_from(start["year"].as_i64().expect("a year")).expect("a year");
        let day = chrono::NaiveDate::from_ymd_opt(year, part("month"), part("day"));
        let hour = day.and_then(|day| day.and_hms_opt(part("hours"), 0, 0));
        hour.expect("a time").and_utc().timestamp() / 3_600
    });
    let hours = within(hours, first / 60 + 1, end / 60);
    assert_eq!(hours, BTreeSet::from([jump / 60]), "Google");

    // As OpenSearch's detector, over the past.
    let mapping =
        json!({"mappings": {"properties": {"at": {"type": "date"}, "load": {"type": "double"}}}});
    server.ok("PUT", "/loads", &mapping);
    let lines: Vec<Value> = (begin..last)
        .flat_map(|minute| {
            let document = json!({"at": minute * MINUTE + 30_000, "load": value(minute)});
            [json!({"index": {"_index": "loads"}}), document]
        })
        .collect();
    bulk(&server, &lines);
    let definition = json!({
        "name": "loads", "time_field": "at", "indices": ["loads"],
        "feature_attributes": [{
            "feature_name": "load", "feature_enabled": true, "aggregation_query": {"load": {"avg": {"field": "load"}}}
        }],
        "detection_interval": {"period": {"interval": 1, "unit": "Minutes"}}
    });
    let detector = create(&server, PLUGINS, &definition);
    let detector = id(&detector);
    let range = json!({"start_time": begin * MINUTE, "end_time": last * MINUTE});
    server.ok("POST", &format!("{PLUGINS}/{detector}/_start"), &range);
    wait_until("the past is analysed", || {
        let got = server.ok(
            "GET",
            &format!("{PLUGINS}/{detector}?task=true"),
            &Value::Null,
        );
        (got["historical_analysis_task"]["state"] == "FINISHED").then_some(())
    });
    let query = json!({"query": {"range": {"anomaly_grade": {"gte": 0.5}}}, "size": 1_000});
    let found = server.ok("POST", &format!("{PLUGINS}/results/_search"), &query);
    let hits = found["hits"]["hits"].as_array().expect("hits").iter();
    let times = hits.map(|hit| {
        let start = hit["_source"]["data_start_time"].as_i64();
        start.expect("a time") / MINUTE
    });
    assert_eq!(within(times, first, end), expected, "OpenSearch");

    // As Amazon's, which asks Prometheus.
    let body = json!({
        "alias": "loads", "evaluationIntervalInSeconds": 60,
        "configuration": {"randomCutForest": {"query": "avg(load)"}}
    });
    let (status, made) = server.post(DETECTORS, &body);
    assert_eq!(status, 202, "{made}");
    let made = made["anomalyDetectorId"].as_str().expect("an id");
    wait_until("the detector is active", || {
        let (_, told) = server.get(&format!("{DETECTORS}/{made}"));
        (told["anomalyDetector"]["status"]["statusCode"] == "ACTIVE").then_some(())
    });
    let path = format!(
        "/workspaces/ws-1/api/v1/query_range?query=anomaly_detector%3Ascore%20%3E%3D%200.5&start={}&end={}&step=60",
        first * 60,
        last * 60
    );
    let series = server.ok("GET", &path, &Value::Null)["data"]["result"].clone();
    let values = series[0]["values"].as_array().cloned().unwrap_or_default();
    // A range query looks back over five minutes for each of its points.
    let times = values.iter().filter_map(|value| {
        let minute = value[0].as_i64().or(value[0].as_f64().map(|t| t as i64))? / 60 - 1;
        Some(minute)
    });
    assert_eq!(within(times, first, end), expected, "Amazon");
}
