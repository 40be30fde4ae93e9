//! `tidewatch detect` on every kind of source: the same records give the same results.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::Server;

const START: i64 = 1_704_067_200_000;
const STEP: i64 = 300_000;
const COUNT: i64 = 2_000;

/// A value every five minutes of two hosts, one of which has a bad hour.
fn records() -> impl Iterator<Item = (i64, &'static str, i64)> {
    (0..COUNT).flat_map(|at| {
        let noise = at * 7_919 % 23;
        let bad = if (1_500..1_512).contains(&at) { 900 } else { 0 };
        let time = START + at * STEP;
        [(time, "a", 100 + noise + bad), (time, "b", 200 + noise)]
    })
}

fn csv(from: i64, to: i64) -> String {
    let rows = records().filter(|(time, ..)| (from..to).contains(&((time - START) / STEP)));
    let rows = rows.map(|(time, host, load)| format!("{time},{host},{load}\n"));
    format!("@timestamp,host,load\n{}", rows.collect::<String>())
}

fn ndjson(from: i64, to: i64) -> String {
    let rows = records().filter(|(time, ..)| (from..to).contains(&((time - START) / STEP)));
    rows.map(|(time, host, load)| {
        format!("{{\"@timestamp\":{time},\"host\":\"{host}\",\"load\":{load}}}\n")
    })
    .collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("compressed");
    encoder.finish().expect("compressed")
}

fn run(sources: &[&str], more: &[&str]) -> Output {
    Command::new(support::binary())
        .arg("detect")
        .args(sources)
        .args([
            "--function",
            "mean",
            "--field",
            "load",
            "--partition",
            "host",
        ])
        .args(["--ndjson", "--results", "buckets,records"])
        .args(more)
        .output()
        .expect("the binary runs")
}

fn detect(sources: &[&str]) -> Vec<Value> {
    let output = run(sources, &[]);
    assert!(
        output.status.success(),
        "{sources:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines(&output)
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        let mut result: Value = serde_json::from_str(line).expect("JSON");
        // What it took.
        result["processing_time_ms"] = Value::Null;
        result
    };
    text.lines().map(line).collect()
}

fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().expect("a text").to_owned()
}

#[test]
fn files_of_all_kinds_are_one_source() {
    let directory = tempfile::tempdir().expect("a directory");
    let dir = directory.path();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).expect("written");
    write("all.csv", csv(0, COUNT).as_bytes());
    let expected = detect(&[&path(dir, "all.csv")]);
    let anomalous = |result: &Value| {
        result["record_score"]
            .as_f64()
            .is_some_and(|score| score > 50.0)
    };
    assert!(expected.iter().any(anomalous));

    // By the hour, in all forms, and in no order.
    write("z.1.csv.gz", &gzip(&csv(0, 500)));
    let packed = ndjson(500, 1_000);
    write(
        "y.2.ndjson.zst",
        &zstd::encode_all(packed.as_bytes(), 1).expect("compressed"),
    );
    write("x.3.json", ndjson(1_000, 1_700).as_bytes());
    write("w.4", csv(1_700, COUNT).as_bytes());
    assert_eq!(detect(&[&path(dir, "?.*")]), expected);
    let named = ["x.3.json", "w.4", "z.1.csv.gz", "y.2.ndjson.zst"].map(|name| path(dir, name));
    assert_eq!(detect(&named.each_ref().map(String::as_str)), expected);
    std::fs::remove_file(dir.join("all.csv")).expect("removed");
    assert_eq!(detect(&[&path(dir, "")]), expected);

    // A part of the time, and of the records.
    let some = run(
        &[&path(dir, "")],
        &[
            "--start",
            "2024-01-02",
            "--end",
            "1704240000000",
            "--query",
            "{\"term\":{\"host\":\"a\"}}",
        ],
    );
    let counted = lines(&some)
        .iter()
        .filter_map(|result| result["event_count"].as_i64())
        .sum::<i64>();
    assert_eq!(counted, 86_400_000 / STEP);
}

#[test]
fn what_could_be_read_is_analysed_before_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let packed = gzip(&csv(0, COUNT));
    let file = path(directory.path(), "cut.csv.gz");
    std::fs::write(&file, &packed[..packed.len() / 2]).expect("written");
    let output = run(&[&file], &[]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("cut.csv.gz] is damaged"), "{error}");
    let counted = lines(&output)
        .iter()
        .filter_map(|result| result["event_count"].as_i64())
        .sum::<i64>();
    assert!(counted > COUNT / 2, "{counted}");
}

#[test]
fn an_index_of_a_server_is_a_source() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = path(directory.path(), "all.csv");
    std::fs::write(&file, csv(0, COUNT)).expect("written");
    let server = Server::start(&[]);
    let mut bulk = String::new();
    for line in ndjson(0, COUNT).lines() {
        bulk += &format!("{{\"index\":{{}}}}\n{line}\n");
    }
    let mapping = serde_json::json!({"mappings": {"properties": {
        "@timestamp": {"type": "date"}, "host": {"type": "keyword"}, "load": {"type": "double"}
    }}});
    server.ok("PUT", "/web-1", &mapping);
    let reply = server.send(
        "POST",
        "/web-1/_bulk?refresh=true",
        &[("content-type", "application/x-ndjson")],
        Some(bulk.as_bytes()),
    );
    assert_eq!(
        (reply.status, &reply.body["errors"]),
        (200, &Value::Bool(false))
    );
    let url = format!("http://{}/web-*", server.address);
    assert_eq!(detect(&[&url]), detect(&[&file]));
}

#[test]
fn what_is_no_source_is_told() {
    for (sources, more, told) in [
        (vec!["nowhere.csv"], vec![], "nowhere.csv"),
        (vec!["nowhere/*.csv"], vec![], "nowhere"),
        (vec!["http://localhost:9200"], vec![], "names no index"),
        (vec!["http://localhost:1/x", "a.csv"], vec![], "read alone"),
        (vec!["-"], vec!["--promql", "up"], "--promql needs"),
        (vec!["-"], vec!["--start", "2024-01-01"], "more than once"),
    ] {
        let output = run(&sources, &more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(told),
            "{sources:?}: {error}"
        );
    }
}
