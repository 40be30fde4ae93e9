//! Datafeeds that read from other servers: a tidewatch, and, where `TIDEWATCH_TEST_REMOTE` is set, real nodes of
//! Elasticsearch and OpenSearch (by Java and Maven, see `tests/remote/`) and a real Prometheus.

mod support;

#[path = "remote/documents.rs"]
mod documents;
#[path = "remote/door.rs"]
mod door;
#[path = "remote/node.rs"]
mod node;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use documents::{BUCKET_MS, Documents, END, START_MS};
use door::Door;
use node::Node;
use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::Rng;
use support::{Client, Server, wait_until};

/// A settings file with these sources, and the flags that name it.
fn settings(dir: &Path, sources: &str) -> [String; 2] {
    let path = dir.join("settings.toml");
    std::fs::write(&path, sources).expect("a file");
    ["--config".to_owned(), path.display().to_string()]
}

fn server(dir: &Path, sources: &str) -> Server {
    let flags = settings(dir, sources);
    Server::start(&flags.each_ref().map(String::as_str))
}

/// A job that takes documents as they are, or what aggregations make of them.
fn job(is_aggregated: bool) -> Value {
    let mut job = json!({
        "analysis_config": {
            "bucket_span": "15m",
            "detectors": [
                {"function": "mean", "field_name": "value", "partition_field_name": "host"},
                {"function": "count", "partition_field_name": "host"}
            ],
            "influencers": ["host"]
        },
        "data_description": {"time_field": "time", "time_format": "epoch_ms"}
    });
    match is_aggregated {
        true => job["analysis_config"]["summary_count_field_name"] = "doc_count".into(),
        false => job["analysis_config"]["influencers"] = json!(["host", "note"]),
    }
    job
}

/// The datafeed's own part of its configuration.
fn create(server: &Client, id: &str, is_aggregated: bool, feed: &Value) {
    server.create_open(id, &job(is_aggregated));
    let mut config = json!({"job_id": id, "scroll_size": 700});
    let more = feed.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(more);
    server.ok("PUT", &format!("/_ml/datafeeds/{id}"), &config);
}

fn start(server: &Client, id: &str) {
    let range = json!({"start": START_MS.to_string(), "end": END.to_string()});
    server.ok("POST", &format!("/_ml/datafeeds/{id}/_start"), &range);
}

/// A look-back ends with its job closed.
fn wait_closed(server: &Client, id: &str) {
    wait_until(&format!("{id} to have read everything"), || {
        (server.state(id) == "closed").then_some(())
    });
}

/// Buckets, records and influencers of whole buckets, as if of one job.
fn results(server: &Client, id: &str) -> Vec<String> {
    let outcome = Outcome::of(server, id);
    let lines = ["buckets", "records", "influencers"].map(|kind| outcome.lines(kind).to_vec());
    let is_whole = |line: &String| {
        let result: Value = serde_json::from_str(line).expect("JSON");
        result["timestamp"].as_i64().expect("a time") < END - BUCKET_MS
    };
    let lines = lines.into_iter().flatten().filter(is_whole);
    lines
        .map(|line| line.replace(&format!("\"{id}\""), "\"job\""))
        .collect()
}

#[track_caller]
fn assert_same(one: &[String], other: &[String], between: &str) {
    for (a, b) in one.iter().zip(other) {
        assert_eq!(a, b, "{between}");
    }
    assert_eq!(one.len(), other.len(), "{between}");
}

/// Sends records to a job that is closed afterwards.
fn send(server: &Client, id: &str, is_aggregated: bool, records: &[u8]) {
    server.create_open(id, &job(is_aggregated));
    server.post_data(id, records);
    server.close(id);
}

fn assert_finds_the_anomaly(server: &Client, id: &str, at: i64) {
    let query = json!({"record_score": 50, "start": at.to_string(), "end": (at + 1).to_string()});
    let path = Client::job_path(id, "/results/records");
    let found = server.ok("POST", &path, &query);
    assert_eq!(
        found["records"][0]["partition_field_value"], "host-2",
        "{id}: {found}"
    );
}

fn aggregations() -> Value {
    json!({"buckets": {
        "date_histogram": {"field": "time", "fixed_interval": "5m"},
        "aggregations": {
            "time": {"max": {"field": "time"}},
            "host": {"terms": {"field": "host", "size": 100}, "aggregations": {"value": {"avg": {"field": "value"}}}}
        }
    }})
}

fn composite() -> Value {
    json!({"buckets": {
        "composite": {"size": 150, "sources": [
            {"host": {"terms": {"field": "host"}}},
            {"every": {"date_histogram": {"field": "time", "fixed_interval": "5m"}}}
        ]},
        "aggregations": {"time": {"max": {"field": "time"}}, "value": {"avg": {"field": "value"}}}
    }})
}

/// Reads a cluster's documents in every way, and compares with the same documents sent.
fn read_in_every_way(url: &str, kind: &str) {
    let documents = Documents::generate(17);
    documents.index(url, "web");
    let dir = tempfile::tempdir().expect("a directory");
    let sources = format!(
        "[sources.node]\nkind = \"{kind}\"\nurl = \"{url}\"\n\
         [sources.scrolled]\nkind = \"{kind}\"\nurl = [\"http://127.0.0.1:1\", \"{url}\"]\nscroll = true\n"
    );
    let server = server(dir.path(), &sources);
    send(&server, "sent", false, &documents.lines());
    send(&server, "summed", true, &documents.averages(300_000));
    let feeds = [
        ("in-time", false, json!({"indices": ["node:web-*"]})),
        ("scrolled", false, json!({"indices": ["scrolled:web-*"]})),
        (
            "histogram",
            true,
            json!({"indices": ["node:web-*"], "aggregations": aggregations()}),
        ),
        (
            "composite",
            true,
            json!({"indices": ["node:web-*"], "aggregations": composite()}),
        ),
    ];
    for (id, is_aggregated, feed) in &feeds {
        create(&server, id, *is_aggregated, feed);
        start(&server, id);
    }
    for (id, is_aggregated, _) in &feeds {
        wait_closed(&server, id);
        let sent = if *is_aggregated { "summed" } else { "sent" };
        assert_same(
            &results(&server, sent),
            &results(&server, id),
            &format!("{sent} and {id}"),
        );
        assert_finds_the_anomaly(&server, id, documents.anomaly);
    }
    let shown = server.ok("GET", "/_ml/datafeeds/in-time/_preview", &Value::Null);
    let first = documents.first();
    assert_eq!(shown[0]["time"], first["time"], "{shown}");
    let bad = json!({"job_id": "x", "indices": ["nowhere:web"]});
    server.create_open("x", &job(false));
    server.ok("PUT", "/_ml/datafeeds/x", &bad);
    let refused = server.call("POST", "/_ml/datafeeds/x/_start", &json!({}));
    assert!(
        refused.text.contains("no such remote cluster: [nowhere]"),
        "{}",
        refused.text
    );
    let missing = json!({"indices": ["node:utopia"]});
    server.ok("POST", "/_ml/datafeeds/x/_update", &missing);
    let refused = server.call("POST", "/_ml/datafeeds/x/_start", &json!({}));
    refused.assert_error(
        404,
        "resource_not_found_exception",
        "datafeed [x] cannot retrieve data because index [utopia] does not exist",
    );
}

/// Whether tests are wanted that start other servers.
fn is_asked_for(what: &str) -> bool {
    let asked = std::env::var_os("TIDEWATCH_TEST_REMOTE").is_some();
    if !asked {
        println!("skipped: TIDEWATCH_TEST_REMOTE is not set, so no {what} is started");
    }
    asked
}

#[test]
fn a_real_elasticsearch_is_read() {
    if is_asked_for("Elasticsearch")
        && let Some(node) = Node::start("elasticsearch")
    {
        read_in_every_way(&node.url, "elasticsearch");
    }
}

#[test]
fn a_real_opensearch_is_read() {
    if is_asked_for("OpenSearch")
        && let Some(node) = Node::start("opensearch")
    {
        read_in_every_way(&node.url, "opensearch");
    }
}

#[test]
fn one_tidewatch_reads_another_as_elasticsearch() {
    let source = Server::start(&[]);
    read_in_every_way(&format!("http://{}", source.address), "elasticsearch");
}

#[test]
fn a_reader_and_its_source_are_killed_and_nothing_is_missed() {
    let documents = Documents::generate(23);
    let mut source = Server::start(&[]);
    let door = Door::open(&source.address);
    let url = format!("http://{}", door.address);
    documents.index(&url, "web");
    let dir = tempfile::tempdir().expect("a directory");
    let sources = format!("[sources.node]\nkind = \"elasticsearch\"\nurl = \"{url}\"\n");
    let mut server = server(dir.path(), &sources);
    send(&server, "sent", false, &documents.lines());
    let feed =
        json!({"indices": ["node:web-*"], "scroll_size": 50, "chunking_config": {"mode": "off"}});
    create(&server, "read", false, &feed);
    start(&server, "read");
    let mut rng = Rng::new(5);
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(20 + rng.below(150) as u64));
        match round % 2 {
            0 => {
                source.kill_and_restart();
                door.lead_to(&source.address);
            }
            _ => server.kill_and_restart(),
        }
    }
    wait_closed(&server, "read");
    assert_same(
        &results(&server, "sent"),
        &results(&server, "read"),
        "sent and read",
    );
}

#[test]
fn prometheus_watches_the_server_and_the_server_prometheus() {
    if !is_asked_for("Prometheus") {
        return;
    }
    if Command::new("prometheus")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: there is no prometheus on the path");
        return;
    }
    let watched = Server::start(&[]);
    let mut load = job(false);
    load["analysis_config"] = json!({"bucket_span": "1h", "detectors": [{"function": "count"}]});
    watched.create_open("load", &load);
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: tidewatch, static_configs: [{{targets: ['{}']}}]}}]\n",
        watched.address
    );
    std::fs::write(dir.path().join("prometheus.yml"), config).expect("a file");
    let port = node::free_port();
    let log = std::fs::File::create(dir.path().join("log")).expect("a file");
    let mut prometheus = Command::new("prometheus");
    prometheus
        .arg(format!(
            "--config.file={}",
            dir.path().join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("tsdb").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(log);
    let prometheus = node::Child(prometheus.spawn().expect("prometheus"));

    // Two hundred records a second, and for some seconds twenty times as many.
    let begun = Instant::now();
    let mut burst_at = None;
    let mut sent = 0_u64;
    while begun.elapsed() < Duration::from_secs(120) {
        let second = begun.elapsed().as_secs();
        let is_burst = (100..106).contains(&second);
        if is_burst && burst_at.is_none() {
            burst_at = Some(chrono::Utc::now().timestamp_millis());
        }
        let count = if is_burst { 400 } else { 20 };
        let mut records = String::new();
        for _ in 0..count {
            sent += 1;
            records += &format!("{{\"time\":{}}}\n", START_MS + sent as i64);
        }
        watched.post_data("load", records.as_bytes());
        std::thread::sleep(Duration::from_millis(100));
    }
    let url = format!("http://127.0.0.1:{port}");
    let sources = format!("[sources.prom]\nkind = \"prometheus\"\nurl = \"{url}\"\n");
    let server = server(dir.path(), &sources);
    let watch = json!({
        "analysis_config": {"bucket_span": "2s", "detectors": [
            {"function": "mean", "field_name": "value", "partition_field_name": "job_id"}], "influencers": ["job_id"]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"}
    });
    server.create_open("watch", &watch);
    let feed = |query: &str, step: &str| json!({"job_id": "watch", "indices": ["prom:*"], "query": {"promql": {"query": query, "step": step}}});
    let path = "/_ml/datafeeds/watch";
    server.ok(
        "PUT",
        path,
        &feed("rate(tidewatch_job_records_total[4s]", "1s"),
    );
    let now = chrono::Utc::now().timestamp_millis();
    let range = json!({"start": "0", "end": now.to_string()});
    let begin = format!("{path}/_start");
    let refused = server.call("POST", &begin, &range);
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("parse error"), "{}", refused.text);
    let mut good = feed("rate(tidewatch_job_records_total[4s])", "1s");
    good.as_object_mut().expect("an object").remove("job_id");
    server.ok("POST", &format!("{path}/_update"), &good);
    let shown = server.ok("GET", &format!("{path}/_preview"), &Value::Null);
    assert_eq!(shown[0]["job_id"], "load", "{shown}");
    server.ok("POST", &begin, &range);
    wait_closed(&server, "watch");
    let found = server.ok(
        "POST",
        &Client::job_path("watch", "/results/records"),
        &json!({"record_score": 50, "sort": "record_score", "desc": true}),
    );
    let time = found["records"][0]["timestamp"]
        .as_i64()
        .unwrap_or_default();
    let burst_at = burst_at.expect("a burst");
    assert!(
        (burst_at - 6_000..burst_at + 12_000).contains(&time),
        "the burst at {burst_at} is found: {found}"
    );
    drop(prometheus);
}
