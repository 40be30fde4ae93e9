//! Datafeeds on files, through HTTP: the past of a directory, and a log that is written and rotated meanwhile.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Server, wait_until};

const FEED: &str = "/_ml/datafeeds/feed";

fn server(logs: &Path, directory: &Path) -> Server {
    let config = directory.join("tidewatch.toml");
    let text = format!(
        "[sources.logs]\nkind = \"files\"\npath = {:?}\n",
        logs.to_str().expect("a text")
    );
    fs::write(&config, text).expect("written");
    Server::start(&["--config", config.to_str().expect("a text")])
}

/// A job on the records of `indices`, with a datafeed that waits for each for some seconds: whoever writes them may be
/// held up so long between a look at the clock and the write.
fn create(server: &Server, span: &str, indices: Value) {
    let job = json!({
        "analysis_config": {"bucket_span": span, "detectors": [{"function": "sum", "field_name": "n"}]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"}
    });
    server.ok("PUT", "/_ml/anomaly_detectors/job", &job);
    server.ok("POST", "/_ml/anomaly_detectors/job/_open", &Value::Null);
    let feed = json!({
        "job_id": "job", "indices": indices, "query_delay": "10s", "frequency": "1s",
        "delayed_data_check_config": {"enabled": false}
    });
    server.ok("PUT", FEED, &feed);
}

/// Each bucket that has records: its time, and how many.
fn buckets(server: &Server) -> Vec<(i64, i64)> {
    let path = "/_ml/anomaly_detectors/job/results/buckets";
    let body = json!({"exclude_interim": true, "page": {"size": 10_000}});
    let found = server.ok("POST", path, &body);
    let buckets = found["buckets"].as_array().expect("buckets").iter();
    buckets
        .map(|bucket| {
            let number = |name: &str| bucket[name].as_i64().expect("a number");
            (number("timestamp"), number("event_count"))
        })
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
fn the_past_of_a_directory_is_read_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).expect("made");
    let start = 1_704_067_200_000_i64;
    let rows = |from: i64, to: i64| {
        let rows = (from..to).map(|at| format!("{},{at}\n", start + at * 1_000));
        format!("time,n\n{}", rows.collect::<String>())
    };
    fs::write(logs.join("a.csv"), rows(0, 3_000)).expect("written");
    let packed = zstd::encode_all(rows(3_000, 7_200).as_bytes(), 1).expect("compressed");
    fs::write(logs.join("b.csv.zst"), packed).expect("written");
    let server = server(&logs, directory.path());
    create(&server, "1m", json!(["logs:*.csv*"]));
    let previewed = server.ok("GET", &format!("{FEED}/_preview"), &Value::Null);
    assert_eq!(previewed[1], json!({"time": start + 1_000, "n": 1.0}));
    server.ok(
        "POST",
        &format!("{FEED}/_start"),
        &json!({"end": (start + 7_200_000).to_string()}),
    );
    let path = "/_ml/anomaly_detectors/job/_stats";
    wait_until("the datafeed has ended", || {
        let stats = server.ok("GET", &format!("{FEED}/_stats"), &Value::Null);
        (stats["datafeeds"][0]["state"] == "stopped").then_some(())
    });
    let stats = server.ok("GET", path, &Value::Null);
    assert_eq!(
        stats["jobs"][0]["data_counts"]["processed_record_count"],
        7_200
    );
    // The last one stays open: nothing says that its time has passed.
    wait_until("all buckets are there", || {
        (buckets(&server).len() == 119).then_some(())
    });
    assert!(buckets(&server).iter().all(|(_, count)| *count == 60));
}

#[test]
fn a_log_that_grows_and_rotates_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).expect("made");
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis() as i64
    };
    let mut log = File::create(logs.join("app.log")).expect("made");
    let mut written = std::collections::BTreeMap::<i64, i64>::new();
    let mut line = |log: &mut File| {
        let time = now();
        *written.entry(time / 1_000 * 1_000).or_default() += 1;
        // In two pieces: half a line is no record.
        write!(log, "{{\"time\":{time},").expect("written");
        log.flush().expect("written");
        writeln!(log, "\"n\":1}}").expect("written");
    };
    line(&mut log);
    let server = server(&logs, directory.path());
    create(&server, "1s", json!(["logs:app.log*"]));
    server.ok("POST", &format!("{FEED}/_start"), &Value::Null);
    for round in 0..80 {
        if round % 25 == 24 {
            let rotated = logs.join(format!("app.log.{}", round / 25));
            fs::rename(logs.join("app.log"), rotated).expect("renamed");
            log = File::create(logs.join("app.log")).expect("made");
        }
        for _ in 0..5 {
            line(&mut log);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // What comes later closes the last bucket.
    let last = now();
    wait_until("a bucket behind the last line", || {
        let time = now();
        writeln!(log, "{{\"time\":{time},\"n\":1}}").expect("written");
        let found = buckets(&server);
        found
            .last()
            .is_some_and(|(time, _)| *time > last + 1_000)
            .then_some(())
    });
    let found = buckets(&server);
    let until = last / 1_000 * 1_000;
    let found: Vec<_> = found
        .into_iter()
        .filter(|(time, _)| *time < until)
        .collect();
    let written: Vec<_> = written
        .into_iter()
        .filter(|(time, _)| *time < until)
        .collect();
    assert_eq!(found, written);
    server.ok("POST", &format!("{FEED}/_stop"), &Value::Null);
}
