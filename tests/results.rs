//! Reading results: pages, bounds, filters, orders, in parameters and in bodies.

mod support;

use serde_json::{Value, json};
use support::traffic::{self, BUCKET_SPAN, START, Traffic};
use support::{Client, Server};

const JOB: &str = "pages";

fn server() -> Server {
    let server = Server::start(&[]);
    server.create_open(JOB, &traffic::job_config());
    server.post_data(JOB, &Traffic::generate(3, 3, 600).bytes);
    server.flush(JOB);
    server
}

fn list(server: &Server, kind: &str, query: &str) -> Vec<Value> {
    let path = Client::job_path(JOB, &format!("/results/{kind}{query}"));
    server.ok("GET", &path, &Value::Null)[kind]
        .as_array()
        .expect("a list")
        .clone()
}

fn numbers(results: &[Value], field: &str) -> Vec<f64> {
    results
        .iter()
        .map(|result| result[field].as_f64().expect("a number"))
        .collect()
}

#[test]
fn pages_and_bounds() {
    let server = server();
    let all = list(&server, "buckets", "?size=1000");
    assert_eq!(all.len(), 599, "the last bucket is still open");
    let times = numbers(&all, "timestamp");
    assert!(times.is_sorted() && times[0] == (START * 1_000) as f64);

    assert_eq!(list(&server, "buckets", "").len(), 100);
    assert_eq!(list(&server, "buckets", "?from=10&size=5"), all[10..15]);
    assert_eq!(list(&server, "buckets", "?desc=true&size=1"), all[598..]);
    // The start belongs to the range, the end does not.
    let (from, to) = (times[20] as i64, times[30] as i64);
    assert_eq!(
        list(&server, "buckets", &format!("?start={from}&end={to}")),
        all[20..30]
    );
    let body = json!({"start": from.to_string(), "end": to, "page": {"from": 2, "size": 3}});
    let path = Client::job_path(JOB, "/results/buckets");
    for method in ["GET", "POST"] {
        let answer = server.ok(method, &path, &body);
        assert_eq!(
            (answer["count"].as_i64(), answer["buckets"].as_array()),
            (Some(10), Some(&all[22..25].to_vec()))
        );
    }
    let iso = format!(
        "?start=2024-01-01T00:00:00Z&end={}",
        "2024-01-01T00:00:00Z%7C%7C%2B1h"
    );
    assert_eq!(
        list(&server, "buckets", &iso).len() as u64,
        3_600 / BUCKET_SPAN
    );
}

#[test]
fn one_bucket_with_its_records() {
    let server = server();
    let top = &list(&server, "records", "?size=1")[0];
    let time = top["timestamp"].as_i64().expect("a time");
    let path = Client::job_path(JOB, &format!("/results/buckets/{time}"));
    let plain = server.ok("GET", &path, &Value::Null);
    assert_eq!(
        (
            plain["count"].as_i64(),
            plain["buckets"][0]["timestamp"].as_i64()
        ),
        (Some(1), Some(time))
    );
    assert!(plain["buckets"][0]["records"].is_null());
    let expanded = server.ok("POST", &path, &json!({"expand": true}));
    assert_eq!(&expanded["buckets"][0]["records"][0], top);
}

#[test]
fn orders_and_filters() {
    let server = server();
    let records = list(&server, "records", "?size=1000");
    let scores = numbers(&records, "record_score");
    assert!(
        scores.len() > 3 && scores.is_sorted_by(|a, b| a >= b),
        "records come by score, the highest first"
    );
    let high = list(&server, "records", "?record_score=25&size=1000");
    assert_eq!(
        high.len(),
        scores.iter().filter(|score| **score >= 25.0).count()
    );
    let by_time = list(&server, "records", "?sort=timestamp&desc=false&size=1000");
    assert!(numbers(&by_time, "timestamp").is_sorted() && by_time.len() == records.len());
    let by_actual = list(&server, "records", "?sort=actual&desc=false&size=1000");
    let actuals: Vec<f64> = by_actual
        .iter()
        .map(|record| record["actual"][0].as_f64().expect("a number"))
        .collect();
    assert!(actuals.is_sorted(), "{actuals:?}");

    let influencers = list(&server, "influencers", "?size=1000");
    assert!(numbers(&influencers, "influencer_score").is_sorted_by(|a, b| a >= b));
    assert!(
        influencers
            .iter()
            .any(|influencer| influencer["influencer_field_name"] == "host")
    );
    let buckets = list(&server, "buckets", "?anomaly_score=25&expand=true");
    for bucket in &buckets {
        let records = bucket["records"].as_array().expect("expanded");
        assert!(
            !records.is_empty()
                && records
                    .iter()
                    .all(|record| record["timestamp"] == bucket["timestamp"])
        );
    }
    assert!(!buckets.is_empty());
}

#[test]
fn what_is_asked_wrongly() {
    let server = server();
    let path = |rest: &str| Client::job_path(JOB, rest);
    let cases = [
        (
            "/results/buckets/9223372036854775807",
            400,
            "parse_exception",
            "cannot be parsed as a date",
        ),
        (
            "/results/buckets?from=-1",
            400,
            "illegal_argument_exception",
            "Parameter [from] cannot be < 0",
        ),
        (
            "/results/buckets?size=10001",
            400,
            "illegal_argument_exception",
            "Result window is too large",
        ),
        (
            "/results/buckets?start=yesterday",
            400,
            "parse_exception",
            "cannot be parsed as a date",
        ),
        (
            "/results/buckets/1?from=2",
            400,
            "illegal_argument_exception",
            "Param [timestamp] is incompatible with [from,size,start,end,anomaly_score]",
        ),
        (
            "/results/buckets/1",
            404,
            "resource_not_found_exception",
            "Could not find requested buckets",
        ),
        (
            "/results/records?anomaly_score=1",
            400,
            "illegal_argument_exception",
            "unrecognized parameter",
        ),
    ];
    for (rest, status, kind, reason) in cases {
        server
            .call("GET", &path(rest), &Value::Null)
            .assert_error(status, kind, reason);
    }
    let both = server.call(
        "POST",
        &path("/results/records?size=1"),
        &json!({"record_score": 1.0}),
    );
    both.assert_error(
        400,
        "illegal_argument_exception",
        "unrecognized parameter: [size]",
    );
    let unknown = server.call(
        "POST",
        &path("/results/records"),
        &json!({"recordscore": 1.0}),
    );
    unknown.assert_error(
        400,
        "x_content_parse_exception",
        "unknown field [recordscore] did you mean [record_score]?",
    );
}

#[test]
fn a_client_is_answered_in_its_own_media_type() {
    let server = server();
    for version in ["8", "9"] {
        let vendored = format!("application/vnd.elasticsearch+json;compatible-with={version}");
        let reply = server.send("GET", "/_ml/info", &[("accept", &vendored)], None);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, vendored.as_str())
        );
    }
    let old = "application/vnd.elasticsearch+json;compatible-with=7";
    let reply = server.send("GET", "/_ml/info", &[("accept", old)], None);
    reply.assert_error(400, "media_type_header_exception", "but found 7");
    let pretty = server.send("GET", "/?pretty", &[], None);
    assert!(pretty.text.starts_with("{\n  \"name\""), "{}", pretty.text);
    let filtered = server.send(
        "GET",
        "/_ml/anomaly_detectors?filter_path=jobs.job_id",
        &[],
        None,
    );
    assert_eq!(filtered.body, json!({"jobs": [{"job_id": JOB}]}));
}

#[test]
fn numbers_for_prometheus() {
    let server = server();
    let text = server.send("GET", "/metrics", &[], None).text;
    assert!(
        text.contains("tidewatch_jobs{state=\"opened\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("tidewatch_job_buckets_total{job_id=\"pages\"} 599"),
        "{text}"
    );
    assert_eq!(server.send("GET", "/healthz", &[], None).text, "ok\n");
}

#[test]
fn several_jobs_on_one_time_line() {
    let server = server();
    let other = json!({
        "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]}, "data_description": {}
    });
    server.create_open("hourly", &other);
    server.post_data("hourly", &Traffic::generate(3, 3, 600).bytes);
    server.flush("hourly");
    let get = |query: &str| {
        let path = Client::job_path("*", &format!("/results/overall_buckets{query}"));
        server.call("GET", &path, &Value::Null)
    };
    let answer = get("").body;
    // Eleven days and six hours of data, by the longer span.
    assert_eq!(answer["count"], 150, "{answer}");
    let top = list(&server, "buckets", "?sort=anomaly_score&desc=true&size=1")[0].clone();
    let hour = top["timestamp"]
        .as_i64()
        .map(|time| time - time % 3_600_000);
    let buckets = answer["overall_buckets"].as_array().expect("a list");
    let at = buckets
        .iter()
        .find(|bucket| bucket["timestamp"].as_i64() == hour)
        .expect("the hour");
    assert!(
        at["overall_score"].as_f64() >= top["anomaly_score"].as_f64(),
        "{at}"
    );
    assert_eq!(
        (
            at["jobs"][0]["job_id"].as_str(),
            at["jobs"][1]["job_id"].as_str()
        ),
        (Some("hourly"), Some(JOB))
    );
    assert_eq!(
        (&at["bucket_span"], &at["result_type"]),
        (&json!(3_600), &json!("overall_bucket"))
    );

    get("?bucket_span=30m").assert_error(
        400,
        "status_exception",
        "Param [bucket_span] must be greater or equal to the max bucket_span [1h]",
    );
    get("?top_n=0").assert_error(
        400,
        "illegal_argument_exception",
        "[topN] parameter must be positive, found [0]",
    );
    get("?start=invalid").assert_error(
        400,
        "parse_exception",
        "Query param [start] with value [invalid]",
    );
}
