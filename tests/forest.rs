//! A job whose engine is the random cut forest, over HTTP: its results, their documents, and what becomes of them in
//! a crash, a reset and a revert.

mod support;

use std::f64::consts::TAU;
use std::fmt::Write;

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::Rng;
use support::{Client, Server};

const JOB: &str = "forest-job";
/// Epoch seconds.
const START: i64 = 1_704_067_200;
const SPAN: i64 = 300;
/// Of the second host, made on purpose.
const ODD: i64 = 500;

fn config() -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "5m",
            "detectors": [
                {"function": "mean", "field_name": "v", "partition_field_name": "host"},
                {"function": "count", "partition_field_name": "host"},
            ],
            "influencers": ["host"]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "custom_settings": {
            "engine": "random_cut_forest", "random_cut_forest": {"trees": 40}, "custom_urls": []
        }
    })
}

fn data(buckets: std::ops::Range<i64>) -> String {
    let mut lines = String::new();
    for bucket in buckets {
        let mut rng = Rng::new(bucket as u64);
        for host in 0..2 {
            let wave = 100.0 + 40.0 * (TAU * bucket as f64 / 48.0).sin() + rng.normal();
            let odd = if host == 1 && bucket == ODD {
                150.0
            } else {
                0.0
            };
            let time = START + bucket * SPAN + 10;
            let line = json!({"time": time, "host": format!("h{host}"), "v": wave + odd});
            writeln!(lines, "{line}").expect("writes to memory");
        }
    }
    lines
}

fn flush_to(server: &Client, bucket: i64) {
    let path = format!("/_flush?advance_time={}", START + bucket * SPAN);
    server.ok("POST", &Client::job_path(JOB, &path), &Value::Null);
}

fn search(server: &Client, query: Value) -> Value {
    let body = json!({"size": 1000, "sort": ["timestamp"], "query": query});
    server.ok("POST", "/.ml-anomalies-*/_search", &body)["hits"].clone()
}

#[test]
fn anomalies_are_records_and_forest_results() {
    let mut server = Server::start(&["--checkpoint-journal-bytes", "20kb"]);
    server.create_open(JOB, &config());
    server.post_data(JOB, data(0..400).as_bytes());
    server.kill_and_restart();
    server.post_data(JOB, data(400..600).as_bytes());
    let interim = Client::job_path(JOB, "/_flush?calc_interim=true");
    server.ok("POST", &interim, &Value::Null);
    let query = json!({"bool": {"filter": [{"term": {"result_type": "forest"}}, {"term": {"is_interim": true}}]}});
    assert_eq!(search(&server, query)["total"]["value"], 2);
    flush_to(&server, 600);

    let path = Client::job_path(JOB, "/results/records");
    let records = server.ok(
        "POST",
        &path,
        &json!({"start": (START + 100 * SPAN).to_string()}),
    );
    let records = records["records"].as_array().expect("a list").clone();
    let odd = (START + ODD * SPAN) * 1_000;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["timestamp"], odd);
    assert_eq!(records[0]["partition_field_value"], "h1");
    assert_eq!(records[0]["function"], "mean");
    let bucket = Client::job_path(JOB, &format!("/results/buckets/{odd}"));
    let bucket = server.ok("GET", &bucket, &Value::Null)["buckets"][0].clone();
    assert_eq!(bucket["anomaly_score"], records[0]["record_score"]);
    let influencers = Client::job_path(JOB, "/results/influencers");
    let influencers = server.ok("GET", &influencers, &Value::Null);
    assert!(influencers["count"].as_u64() > Some(0));

    let all = search(&server, json!({"term": {"result_type": "forest"}}));
    assert_eq!(all["total"]["value"], 1_200);
    let graded = json!({"bool": {"filter": [
        {"term": {"result_type": "forest"}}, {"range": {"anomaly_grade": {"gt": 0}}},
        {"range": {"timestamp": {"gte": START * 1_000 + 100 * SPAN * 1_000}}},
    ]}});
    let graded = search(&server, graded);
    assert_eq!(graded["total"]["value"], 1, "{graded}");
    let hit = &graded["hits"][0];
    let found = &hit["_source"];
    assert_eq!(found["timestamp"], odd);
    assert_eq!(found["entity"], json!([{"name": "host", "value": "h1"}]));
    assert_eq!(
        100.0 * found["anomaly_grade"].as_f64().expect("a number"),
        records[0]["record_score"]
    );
    assert_eq!(found["values"][1], 1.0);
    assert_eq!(found["expected"][0], records[0]["typical"][0]);
    let id = hit["_id"].as_str().expect("an id");
    assert!(
        id.starts_with(&format!("{JOB}_forest_{odd}_{SPAN}_")),
        "{id}"
    );
    let one = search(&server, json!({"ids": {"values": [id]}}));
    assert_eq!(one["total"]["value"], 1);

    let (status, refused) = server.post(&Client::job_path(JOB, "/_forecast"), &json!({}));
    assert_eq!(status, 400, "{refused}");
    assert!(
        refused
            .to_string()
            .contains("not supported by the random_cut_forest engine")
    );
    let bytes = &server.stats(JOB)["model_size_stats"]["model_bytes"];
    assert!(bytes.as_u64() > Some(400_000), "{bytes}");

    // The same without a crash.
    server.close(JOB);
    let crashed = Outcome::of(&server, JOB);
    let undisturbed = Server::start(&[]);
    undisturbed.create_open(JOB, &config());
    undisturbed.post_data(JOB, data(0..600).as_bytes());
    flush_to(&undisturbed, 600);
    undisturbed.close(JOB);
    crashed.assert_same(&Outcome::of(&undisturbed, JOB), "a crash and none");
    let again = search(&undisturbed, json!({"term": {"result_type": "forest"}}));
    assert_eq!(again["hits"], all["hits"]);
}

#[test]
fn a_job_goes_back_to_a_snapshot_and_begins_anew_when_reset() {
    let server = Server::start(&[]);
    server.create_open(JOB, &config());
    server.post_data(JOB, data(0..300).as_bytes());
    flush_to(&server, 300);
    server.close(JOB);
    let snapshots = Client::job_path(JOB, "/model_snapshots");
    let snapshots = server.ok("GET", &snapshots, &Value::Null);
    let id = snapshots["model_snapshots"][0]["snapshot_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let go_on = || {
        server.ok("POST", &Client::job_path(JOB, "/_open"), &Value::Null);
        server.post_data(JOB, data(300..400).as_bytes());
        flush_to(&server, 400);
        server.close(JOB);
        search(&server, json!({"term": {"result_type": "forest"}}))["hits"].clone()
    };
    let first = go_on();
    let revert = Client::job_path(JOB, &format!("/model_snapshots/{id}/_revert"));
    server.ok(
        "POST",
        &revert,
        &json!({"delete_intervening_results": true}),
    );
    let left = search(&server, json!({"term": {"result_type": "forest"}}));
    assert_eq!(left["total"]["value"], 600);
    assert_eq!(go_on(), first);
    server.ok("POST", &Client::job_path(JOB, "/_reset"), &Value::Null);
    let left = search(&server, json!({"term": {"result_type": "forest"}}));
    assert_eq!(left["total"]["value"], 0);
    // Settings are looked at, and the engine stays what it is.
    let update = Client::job_path(JOB, "/_update");
    for (settings, word) in [
        (json!({}), "custom_settings.engine cannot be updated"),
        (
            json!({"engine": "random_cut_forest", "random_cut_forest": {"trees": 0}}),
            "trees must be between",
        ),
        (
            json!({"engine": "random_cut_forest", "random_cut_forest": {"tree": 3}}),
            "unknown field",
        ),
        (
            json!({"engine": "random_cut_forrest"}),
            "can only be [random_cut_forest]",
        ),
    ] {
        let (status, refused) = server.post(&update, &json!({"custom_settings": settings}));
        assert_eq!(status, 400, "{refused}");
        assert!(refused.to_string().contains(word), "{refused}");
    }
    let settings = json!({"engine": "random_cut_forest", "random_cut_forest": {"trees": 20, "shingle_size": 4}});
    server.ok("POST", &update, &json!({"custom_settings": settings}));
}

#[test]
fn an_estimate_knows_what_forests_weigh() {
    let server = Server::start(&[]);
    let hosts = 20;
    let mut body = json!({
        "analysis_config": config()["analysis_config"], "overall_cardinality": {"host": hosts}
    });
    let path = "/_ml/anomaly_detectors/_estimate_model_memory";
    let estimate = |body: &Value| {
        let told = server.ok("POST", path, body)["model_memory_estimate"].clone();
        let mebibytes = told.as_str().and_then(|told| told.strip_suffix("mb"));
        let mebibytes: i64 = mebibytes.and_then(|n| n.parse().ok()).expect("mebibytes");
        mebibytes << 20
    };
    let usual = estimate(&body);
    body["custom_settings"] = config()["custom_settings"].clone();
    let estimated = estimate(&body);
    assert_ne!(estimated, usual);
    body["custom_settings"]["engine"] = "other".into();
    server.call("POST", path, &body).assert_error(
        400,
        "status_exception",
        "custom_settings.engine can only be",
    );

    server.create_open(JOB, &config());
    let mut lines = String::new();
    for bucket in 0..20 {
        for host in 0..hosts {
            let line =
                json!({"time": START + bucket * SPAN, "host": format!("h{host}"), "v": bucket % 7});
            writeln!(lines, "{line}").expect("writes to memory");
        }
    }
    server.post_data(JOB, lines.as_bytes());
    server.close(JOB);
    let stats = server.ok("GET", &Client::job_path(JOB, "/_stats"), &Value::Null);
    let bytes = stats["jobs"][0]["model_size_stats"]["model_bytes"].as_i64();
    // All but the ten mebibytes that any job is told.
    let bytes = bytes.expect("a size");
    assert!(
        (bytes..bytes + (11 << 20)).contains(&estimated),
        "{bytes} {estimated}"
    );
}
