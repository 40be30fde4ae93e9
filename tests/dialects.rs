//! The same values through all dialects: the same anomalies at the same times, with the same scores.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use support::opensearch::{PLUGINS, bulk, create, id, now};
use support::prometheus::prometheus;
use support::{Client, Server, wait_until};

const MINUTE: i64 = 60_000;
/// Minutes of data, and those before anybody looks for anomalies.
const MINUTES: i64 = 480;
const LEARNT: i64 = 160;
const DETECTORS: &str = "/workspaces/ws-1/anomalydetectors";
/// What goes wrong, in minutes before the end.
const SHIFT: std::ops::Range<i64> = 120..150;
const SPIKE: i64 = 260;
const DIP: i64 = 200;
const GAP: std::ops::Range<i64> = 60..68;

/// The minute since 1970 at which the data ends.
static END: AtomicI64 = AtomicI64::new(0);

/// The value of a minute since 1970, if it has one: a wave, and what goes wrong.
fn value(minute: i64) -> Option<f64> {
    let to_end = END.load(Ordering::Relaxed) - minute;
    // Told from the end: it is the same whenever it is.
    let noise = (to_end * 7_919).rem_euclid(101) as f64 / 200.0;
    let wrong = match to_end {
        SPIKE => 90.0,
        DIP => -90.0,
        to_end if SHIFT.contains(&to_end) => 150.0,
        _ => 0.0,
    };
    let has = (1..=MINUTES).contains(&to_end) && !GAP.contains(&to_end);
    has.then_some((to_end as f64 / 10.0).sin() * 3.0 + noise + wrong)
}

/// What a Prometheus gives at the end of a minute.
fn at(seconds: i64) -> f64 {
    value(seconds / 60 - 1).unwrap_or(f64::NAN)
}

/// Grades above 0, by the minute.
type Grades = BTreeMap<i64, f64>;

/// Those of the minutes that are looked at. There is more in some dialects, which look on.
fn graded(grades: impl Iterator<Item = (i64, f64)>) -> Grades {
    let end = END.load(Ordering::Relaxed);
    grades
        .filter(|(minute, grade)| {
            (end - MINUTES + LEARNT..end - 10).contains(minute) && *grade > 0.0
        })
        .collect()
}

#[track_caller]
fn assert_same(of: &str, found: &Grades, expected: &Grades) {
    let times = |grades: &Grades| -> Vec<i64> { grades.keys().copied().collect() };
    assert_eq!(times(found), times(expected), "{of}");
    for (minute, grade) in found {
        assert!(
            (grade - expected[minute]).abs() < 1e-9,
            "{of}, {minute}: {grade} for {}",
            expected[minute]
        );
    }
}

/// When forests tell their first scores, which what they call an anomaly depends on: the one thing that can't be set to
/// be the same in both dialects.
const OPENSEARCH: i64 = 32;
const AMAZON: i64 = 64;

/// By Elasticsearch's API, and the hours of what got worse.
fn by_elasticsearch(server: &Client, series: &str, output_after: i64) -> (Grades, BTreeSet<i64>) {
    let id = format!("job-{output_after}");
    let forest = json!({
        "shingle_size": 8, "sample_size": 256, "trees": 50, "time_decay": 1.0 / 2_560.0,
        "output_after": output_after
    });
    // Google's API sees one of them.
    let app = format!("com.example.shop{output_after}");
    let job = json!({
        "analysis_config": {"bucket_span": "1m", "detectors": [
            {"function": "mean", "field_name": "crashRate", "partition_field_name": "series"}
        ]},
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "custom_settings": {"engine": "random_cut_forest", "random_cut_forest": forest, "play": {
            "app": app, "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": "up"
        }}
    });
    server.create_open(&id, &job);
    let end = END.load(Ordering::Relaxed);
    let lines = (end - MINUTES..end).filter_map(|minute| {
        let line = json!({"time": minute * 60 + 30, "series": series, "crashRate": value(minute)?});
        Some(format!("{line}\n"))
    });
    server.post_data(&id, lines.collect::<String>().as_bytes());
    // The last minute is final, too.
    let path = Client::job_path(&id, &format!("/_flush?advance_time={}", end * 60));
    server.ok("POST", &path, &Value::Null);
    server.close(&id);

    let query = json!({"size": 1_000, "query": {"bool": {"filter": [
        {"term": {"job_id": id}}, {"term": {"result_type": "forest"}}
    ]}}});
    let found = server.ok("POST", "/.ml-anomalies-*/_search", &query);
    let hits = found["hits"]["hits"].as_array().expect("hits").iter();
    let grades = graded(hits.map(|hit| {
        let told = &hit["_source"];
        let minute = told["timestamp"].as_i64().expect("a time") / MINUTE;
        (minute, told["anomaly_grade"].as_f64().expect("a grade"))
    }));

    // Its records are of the same times.
    let page = json!({"page": {"size": 1_000}});
    let records = server.ok("POST", &Client::job_path(&id, "/results/records"), &page);
    let records = records["records"].as_array().expect("records");
    let minute = |record: &Value| record["timestamp"].as_i64().expect("a time") / MINUTE;
    let scores = records.iter().map(|record| {
        let score = record["initial_record_score"].as_f64().expect("a score");
        (minute(record), score / 100.0)
    });
    let times: Vec<i64> = graded(scores).into_keys().collect();
    assert_eq!(times, Vec::from_iter(grades.keys().copied()), "records");
    let worse = records.iter().filter(|record| {
        record["record_score"].as_f64() >= Some(50.0)
            && record["actual"][0].as_f64() > record["typical"][0].as_f64()
    });
    (grades, worse.map(|record| minute(record) / 60).collect())
}

/// By Google's API: the hours from the first to before the last of each anomaly.
fn by_google(server: &Client) -> Vec<[i64; 2]> {
    let path = format!("/v1beta1/apps/com.example.shop{OPENSEARCH}/anomalies?pageSize=100");
    let answer = server.ok("GET", &path, &Value::Null);
    let anomalies = answer["anomalies"].as_array().expect("anomalies").iter();
    let hour = |time: &Value| {
        let part = |name: &str| u32::try_from(time[name].as_i64().unwrap_or(0)).expect("small");
        let year = i32::try_from(time["year"].as_i64().expect("a year")).expect("a year");
        let day = chrono::NaiveDate::from_ymd_opt(year, part("month"), part("day"));
        let hour = day.and_then(|day| day.and_hms_opt(part("hours"), 0, 0));
        hour.expect("a time").and_utc().timestamp() / 3_600
    };
    let spans = anomalies.map(|anomaly| {
        let spec = &anomaly["timelineSpec"];
        [hour(&spec["startTime"]), hour(&spec["endTime"])]
    });
    spans.collect()
}

/// By OpenSearch's, over the past and in real time.
fn by_opensearch(server: &Client, series: &str) -> [Grades; 2] {
    let end = END.load(Ordering::Relaxed);
    let mapping = json!({"mappings": {"properties": {
        "at": {"type": "date"}, "load": {"type": "double"}, "series": {"type": "keyword"}
    }}});
    server.ok("PUT", "/loads", &mapping);
    let lines = (end - MINUTES..end).filter_map(|minute| {
        let load = value(minute)?;
        let document = json!({"at": minute * MINUTE + 30_000, "load": load, "series": series});
        Some([json!({"index": {"_index": "loads"}}), document])
    });
    bulk(server, &lines.flatten().collect::<Vec<Value>>());
    let definition = json!({
        "name": "loads", "time_field": "at", "indices": ["loads"], "category_field": ["series"],
        "feature_attributes": [{
            "feature_name": "load", "feature_enabled": true, "aggregation_query": {"load": {"avg": {"field": "load"}}}
        }],
        "detection_interval": {"period": {"interval": 1, "unit": "Minutes"}},
        "window_delay": {"period": {"interval": 0, "unit": "Minutes"}},
        "shingle_size": 8, "recency_emphasis": 2_560, "history": MINUTES + 60,
        // Without any, there would be the usual ones.
        "rules": [{"action": "IGNORE_ANOMALY", "conditions": []}]
    });
    let detector = create(server, PLUGINS, &definition);
    let detector = id(&detector);
    let start = format!("{PLUGINS}/{detector}/_start");
    let range = json!({"start_time": (end - MINUTES) * MINUTE, "end_time": end * MINUTE});
    server.ok("POST", &start, &range);
    wait_until("the past is analysed", || {
        let path = format!("{PLUGINS}/{detector}?task=true");
        let got = server.ok("GET", &path, &Value::Null);
        (got["historical_analysis_task"]["state"] == "FINISHED").then_some(())
    });
    let grades = |occurs: &str| {
        let query = json!({"size": 1_000, "query": {"bool": {
            "filter": [{"range": {"anomaly_grade": {"gt": 0}}}], occurs: [{"exists": {"field": "task_id"}}]
        }}});
        let found = server.ok("POST", &format!("{PLUGINS}/results/_search"), &query);
        let hits = found["hits"]["hits"].as_array().expect("hits").iter();
        graded(hits.map(|hit| {
            let told = &hit["_source"];
            let minute = told["data_start_time"].as_i64().expect("a time") / MINUTE;
            (minute, told["anomaly_grade"].as_f64().expect("a grade"))
        }))
    };
    let past = grades("must");
    server.ok("POST", &start, &Value::Null);
    // The past is read first, from before the data on.
    let latest = json!({"size": 1, "sort": [{"data_start_time": "desc"}], "query": {"bool": {
        "must_not": [{"exists": {"field": "task_id"}}]
    }}});
    wait_until("the detector has come to where is looked", || {
        let found = server.ok("POST", &format!("{PLUGINS}/results/_search"), &latest);
        let at = found["hits"]["hits"][0]["_source"]["data_start_time"].as_i64();
        (at >= Some((end - 10) * MINUTE)).then_some(())
    });
    [past, grades("must_not")]
}

/// By Amazon's, which asks Prometheus; and the name of its series.
fn by_amazon(server: &Client) -> (Grades, String) {
    let body = json!({
        "alias": "loads", "evaluationIntervalInSeconds": 60, "missingDataAction": {"skip": true},
        "configuration": {"randomCutForest": {
            "query": "avg(load)", "shingleSize": 8, "sampleSize": 256
        }}
    });
    let (status, made) = server.post(DETECTORS, &body);
    assert_eq!(status, 202, "{made}");
    let made = made["anomalyDetectorId"].as_str().expect("an id");
    wait_until("the detector is active", || {
        let (_, told) = server.get(&format!("{DETECTORS}/{made}"));
        (told["anomalyDetector"]["status"]["statusCode"] == "ACTIVE").then_some(())
    });
    let end = END.load(Ordering::Relaxed);
    let path = format!(
        "/workspaces/ws-1/api/v1/query_range?query=anomaly_detector%3Ascore&start={}&end={}&step=60",
        (end - MINUTES + LEARNT) * 60,
        end * 60
    );
    let series = server.ok("GET", &path, &Value::Null)["data"]["result"].clone();
    let values = series[0]["values"].as_array().cloned().unwrap_or_default();
    let grades = graded(values.iter().map(|value| {
        let minute = value[0].as_f64().expect("a time") as i64 / 60 - 1;
        let grade = value[1].as_str().and_then(|text| text.parse().ok());
        (minute, grade.expect("a number"))
    }));
    let query = json!({"size": 1, "query": {"term": {"result_type": "forest"}}});
    let found = server.ok("POST", "/.ml-anomalies-*/_search", &query);
    let entity = &found["hits"]["hits"][0]["_source"]["entity"][0]["value"];
    (grades, entity.as_str().expect("a series").to_owned())
}

#[test]
fn the_same_anomalies_are_told_in_every_dialect() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!(
        "[sources.prom]\nkind = \"prometheus\"\nurl = \"{}\"\n[amp]\nhistory = \"9h\"\n",
        prometheus(at)
    );
    std::fs::write(&path, settings).expect("a file");
    let server = Server::start(&["--config", &path.display().to_string()]);
    let end = now() / MINUTE - 2;
    END.store(end, Ordering::Relaxed);

    let (amazon, series) = by_amazon(&server);
    let (expected, worse) = by_elasticsearch(&server, &series, OPENSEARCH);
    let (later, _) = by_elasticsearch(&server, &series, AMAZON);
    for grades in [&expected, &later] {
        let is_told = |minute: i64| grades.contains_key(&(end - minute));
        assert!(is_told(SPIKE) && is_told(DIP), "{grades:?}");
        assert!(SHIFT.rev().any(is_told), "{grades:?}");
        assert!(grades.len() < 40, "{grades:?}");
    }
    assert_same("Amazon", &amazon, &later);
    let [past, real_time] = by_opensearch(&server, &series);
    assert_same("OpenSearch, the past", &past, &expected);
    assert_same("OpenSearch, real time", &real_time, &expected);

    // Google's anomalies are whole hours: each has what made it, and all that makes one is in one.
    let spans = by_google(&server);
    let within = |hour: i64, [start, end]: [i64; 2]| (start..end).contains(&hour);
    for span in &spans {
        assert!(
            worse.iter().any(|hour| within(*hour, *span)),
            "{span:?} {worse:?}"
        );
    }
    for hour in &worse {
        let of = spans.iter().filter(|span| within(*hour, **span)).count();
        assert_eq!(of, 1, "{hour}: {spans:?}");
    }
}
