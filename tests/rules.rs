//! Rules, filters and events at work in jobs, over HTTP: an open job hears of every change, and keeps it in a crash.

mod support;

use std::f64::consts::TAU;
use std::fmt::Write;

use serde_json::{Value, json};
use support::traffic::Rng;
use support::{Client, Server};

const JOB: &str = "ruled";
/// A Monday, epoch seconds.
const START: i64 = 1_704_067_200;
const DAY: i64 = 86_400;

/// The hour of a day's peak: never the same, so that none is expected.
fn peak_hour(number: i64) -> i64 {
    7 * number % 24
}

fn config(rules: &Value) -> Value {
    json!({
        "groups": ["web"],
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{
                "function": "mean", "field_name": "v", "partition_field_name": "host", "custom_rules": rules
            }],
            "influencers": ["host"]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"}
    })
}

/// A day of two hosts with a daily wave; at its peak, the first of them has so many times as much.
fn day(number: i64, peak: f64) -> String {
    let mut rng = Rng::new(number as u64);
    let mut lines = String::new();
    for hour in 0..24 {
        let time = START + number * DAY + hour * 3_600 + 60;
        for host in 0..2 {
            let wave = 100.0 + 40.0 * (TAU * hour as f64 / 24.0).sin() + rng.normal();
            let factor = if host == 0 && hour == peak_hour(number) {
                peak
            } else {
                1.0
            };
            let line = json!({"time": time, "host": format!("h{host}"), "v": factor * wave});
            writeln!(lines, "{line}").expect("writes to memory");
        }
    }
    lines
}

/// Sends a job a day and has all its buckets closed.
fn send_day(server: &Client, job: &str, number: i64, peak: f64) {
    server.post_data(job, day(number, peak).as_bytes());
    let end = START + (number + 1) * DAY;
    let path = Client::job_path(job, &format!("/_flush?advance_time={end}"));
    server.ok("POST", &path, &Value::Null);
}

/// The bucket of a day's peak, its records with it.
fn peak_bucket(server: &Client, job: &str, number: i64) -> Value {
    let time = (START + number * DAY + peak_hour(number) * 3_600) * 1_000;
    let path = Client::job_path(job, &format!("/results/buckets/{time}?expand=true"));
    server.ok("GET", &path, &Value::Null)["buckets"][0].clone()
}

/// Sends a day with a peak; whether it was told.
fn tells(server: &Client, number: i64) -> bool {
    send_day(server, JOB, number, 10.0);
    let bucket = peak_bucket(server, JOB, number);
    let told = bucket["anomaly_score"].as_f64().expect("a score") > 10.0;
    assert_eq!(told, bucket["records"].is_array(), "{bucket}");
    told
}

fn update_rules(server: &Client, rules: &Value) {
    let body = json!({"detectors": [{"detector_index": 0, "custom_rules": rules}]});
    server.ok("POST", &Client::job_path(JOB, "/_update"), &body);
}

fn event(description: &str, number: i64) -> Value {
    // It touches the bucket of the peak by a second.
    let end = START + number * DAY + peak_hour(number) * 3_600 + 1;
    json!({"description": description, "start_time": (end - 3_600) * 1_000, "end_time": end * 1_000})
}

#[test]
fn an_open_job_hears_of_its_rules_filters_and_events() {
    let mut server = Server::start(&[]);
    server.create_open(JOB, &config(&json!([])));
    (0..10).for_each(|number| send_day(&server, JOB, number, 1.0));
    assert!(tells(&server, 10));

    let high = json!([{"conditions": [{"applies_to": "actual", "operator": "gt", "value": 500}]}]);
    update_rules(&server, &high);
    assert!(!tells(&server, 12));

    let scoped = json!([{"scope": {"host": {"filter_id": "hosts"}}}]);
    let body = json!({"detectors": [{"detector_index": 0, "custom_rules": scoped}]});
    let update = Client::job_path(JOB, "/_update");
    server.call("POST", &update, &body).assert_error(
        404,
        "resource_not_found_exception",
        "Unable to find filter [hosts]",
    );
    server.ok("PUT", "/_ml/filters/hosts", &json!({"items": ["other"]}));
    update_rules(&server, &scoped);
    assert!(tells(&server, 14));
    server.ok(
        "POST",
        "/_ml/filters/hosts/_update",
        &json!({"add_items": ["h*"]}),
    );
    assert!(!tells(&server, 16));
    server.kill_and_restart();
    assert!(!tells(&server, 18));
    update_rules(&server, &json!([]));
    assert!(tells(&server, 20));

    server.ok("PUT", "/_ml/calendars/works", &json!({"job_ids": ["web"]}));
    let post = |events: Value| {
        let posted = server.ok("POST", "/_ml/calendars/works/events", &events);
        posted["events"][0]["event_id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    post(json!({"events": [event("new cable", 22), event("new switch", 22)]}));
    assert!(!tells(&server, 22));
    assert_eq!(
        peak_bucket(&server, JOB, 22)["scheduled_events"],
        json!(["new cable", "new switch"])
    );
    assert_eq!(
        peak_bucket(&server, JOB, 20)["scheduled_events"],
        Value::Null
    );
    // What changes while the job is closed is known when it is opened.
    server.close(JOB);
    post(json!({"events": [event("closed", 24)]}));
    server.ok("POST", &Client::job_path(JOB, "/_open"), &Value::Null);
    assert!(!tells(&server, 24));
    let id = post(json!({"events": [event("cancelled", 26)]}));
    let path = format!("/_ml/calendars/works/events/{id}");
    server.ok("DELETE", &path, &Value::Null);
    assert!(tells(&server, 26));
    // A job that leaves the group leaves its calendars.
    post(json!({"events": [event("of others", 28)]}));
    server.ok("POST", &update, &json!({"groups": []}));
    assert!(tells(&server, 28));
}

#[test]
fn a_rule_from_the_start_is_obeyed_until_its_time_has_passed() {
    let server = Server::start(&[]);
    let until = START + 11 * DAY;
    let rule = json!([{"conditions": [
        {"applies_to": "diff_from_typical", "operator": "gt", "value": 300},
        {"applies_to": "time", "operator": "lt", "value": until}
    ]}]);
    server.create_open(JOB, &config(&rule));
    (0..10).for_each(|number| send_day(&server, JOB, number, 1.0));
    assert!(!tells(&server, 10));
    assert!(tells(&server, 12));
}

#[test]
fn what_happens_under_an_event_changes_nothing_after_it() {
    let server = Server::start(&[]);
    let body = json!({"job_ids": ["_all"]});
    server.ok("PUT", "/_ml/calendars/everywhere", &body);
    let events = json!({"events": [event("load test", 10)]});
    server.ok("POST", "/_ml/calendars/everywhere/events", &events);
    for (job, peak) in [("peaked", 10.0), ("flat", 1.0)] {
        server.create_open(job, &config(&json!([])));
        for number in 0..14 {
            let peak = if number == 10 { peak } else { 1.0 };
            send_day(&server, job, number, peak);
        }
        assert_eq!(peak_bucket(&server, job, 10)["records"], Value::Null);
    }
    let buckets = |job: &str| {
        let path = Client::job_path(job, "/results/buckets?size=1000&expand=true");
        let answer = server.ok("GET", &path, &Value::Null);
        let mut buckets = answer["buckets"].as_array().expect("a list").clone();
        for bucket in &mut buckets {
            bucket["job_id"] = Value::Null;
            bucket["processing_time_ms"] = Value::Null;
            for part in ["records", "bucket_influencers"] {
                let parts = bucket[part].as_array_mut().into_iter().flatten();
                parts.for_each(|part| part["job_id"] = Value::Null);
            }
        }
        buckets
    };
    let (peaked, flat) = (buckets("peaked"), buckets("flat"));
    assert_eq!(peaked.len(), 14 * 24);
    assert_eq!(peaked, flat);
}

#[test]
fn annotations_tell_of_moved_clocks_and_stored_snapshots() {
    let server = Server::start(&[]);
    let path = Client::job_path(JOB, "/annotations");
    server.call("GET", &path, &Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id",
    );
    server.create_open(JOB, &config(&json!([])));
    assert_eq!(
        server.ok("GET", &path, &Value::Null),
        json!({"count": 0, "annotations": []})
    );
    let body = json!({"job_ids": [JOB]});
    server.ok("PUT", "/_ml/calendars/summer", &body);
    let start = (START + 2 * DAY) * 1_000;
    let event = json!({
        "description": "summer time", "start_time": start, "end_time": start + 1, "skip_result": false,
        "skip_model_update": false, "force_time_shift": 3600
    });
    let events = json!({"events": [event]});
    server.ok("POST", "/_ml/calendars/summer/events", &events);
    (0..4).for_each(|number| send_day(&server, JOB, number, 1.0));
    server.close(JOB);
    let told = server.ok("GET", &path, &Value::Null);
    let all = told["annotations"].as_array().expect("a list");
    assert_eq!(told["count"], all.len());
    let clock = |note: &&Value| note["annotation"].to_string().contains("clock");
    let clocks: Vec<&Value> = all.iter().filter(clock).collect();
    assert_eq!(clocks.len(), 1, "{told}");
    let moved = clocks[0];
    assert_eq!(moved["event"], "model_change");
    assert_eq!(moved["timestamp"], start);
    assert_eq!(moved["end_timestamp"], start + 3_600_000);
    assert_eq!(moved["detector_index"], 0);
    assert_eq!(
        (&moved["job_id"], &moved["type"]),
        (&json!(JOB), &json!("annotation"))
    );
    assert_eq!(
        moved["annotation"],
        "The clock of the models was shifted by [3600] seconds"
    );
    assert!(moved["create_time"].is_i64());
    let last = all.last().expect("one at least");
    assert_eq!(last["event"], "model_snapshot_stored");
    let page = format!("{path}?from={}&size=5", all.len() - 1);
    let page = server.ok("GET", &page, &Value::Null);
    assert_eq!(page, json!({"count": all.len(), "annotations": [last]}));
}
