//! A datafeed whose server is killed again and again gives what an undisturbed one does, to the byte.
//!
//! `TIDEWATCH_CRASHES` sets the number of kills (8), `TIDEWATCH_CRASH_SEED` the seed of their moments.

mod support;

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, Rng, Traffic};
use support::{Client, Server, wait_until};

const JOB: &str = "fed";
/// A week of 15 minutes.
const BUCKETS: usize = 7 * 96;

/// A server with a directory of documents, a job and its datafeed.
fn server(documents: &std::path::Path) -> Server {
    let settings = documents.join("settings.toml");
    let directory = documents.display();
    let text = format!("[sources.logs]\nkind = \"files\"\npath = \"{directory}\"\n");
    std::fs::write(&settings, text).expect("settings");
    let settings = settings.to_str().expect("a path");
    // A tiny journal, so that states are saved and the journal is cut between the kills.
    let flags = ["--config", settings, "--checkpoint-journal-bytes", "1mb"];
    let server = Server::start(&flags);
    server.create_open(JOB, &traffic::job_config());
    server.ok(
        "PUT",
        "/_ml/datafeeds/feed",
        &json!({"job_id": JOB, "indices": ["logs:traffic.ndjson"], "scroll_size": 200}),
    );
    server
}

fn start(server: &Server) {
    let end = 9_000_000_000_000_i64;
    let started = server.ok(
        "POST",
        &format!("/_ml/datafeeds/feed/_start?end={end}"),
        &Value::Null,
    );
    assert_eq!(started["started"], true, "{started}");
}

/// What the job found, once its last bucket is final: what is told of an open one may go with a kill.
fn outcome(server: &Server) -> Outcome {
    server.wait_state(JOB, "closed");
    let latest = server.stats(JOB)["data_counts"]["latest_record_timestamp"].clone();
    let end = latest.as_i64().expect("a time") + 900_000;
    server.ok("POST", &Client::job_path(JOB, "/_open"), &Value::Null);
    let flush = Client::job_path(JOB, &format!("/_flush?advance_time={end}"));
    server.ok("POST", &flush, &Value::Null);
    server.close(JOB);
    Outcome::of(server, JOB)
}

fn number_from_env(name: &str, default: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn kills_of_the_server_change_nothing_that_a_datafeed_gives() {
    let crashes = number_from_env("TIDEWATCH_CRASHES", 8);
    let mut rng = Rng::new(number_from_env("TIDEWATCH_CRASH_SEED", 42));
    let traffic = Traffic::restless(7, 10, BUCKETS);
    let documents = tempfile::tempdir().expect("a directory");
    // Without those that have no readable time: what a source makes of them is its own affair.
    let lines = traffic.bytes.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines
        .filter(|line| !line.starts_with(b"{\"time\":\""))
        .collect();
    std::fs::write(documents.path().join("traffic.ndjson"), lines.concat()).expect("documents");

    let calm = {
        let server = server(documents.path());
        start(&server);
        // The past is read, and the job is closed.
        outcome(&server)
    };
    calm.assert_substantial(BUCKETS);
    let all = format!("processed_record_count: {}", lines.len());
    assert!(
        calm.lines("data_counts").contains(&all),
        "{:?}",
        calm.lines("data_counts")
    );

    let mut server = server(documents.path());
    start(&server);
    let mut kills = 0;
    while kills < crashes && server.state(JOB) != "closed" {
        let seen = server.input_record_count(JOB);
        let wanted = seen + 1 + rng.below(lines.len() / (crashes as usize + 2));
        wait_until("some more records", || {
            let is_over = server.state(JOB) == "closed";
            (is_over || server.input_record_count(JOB) >= wanted).then_some(())
        });
        thread::sleep(Duration::from_millis(rng.below(8) as u64));
        server.kill_and_restart();
        kills += 1;
    }
    // How many kills came in time is up to the machine's speed.
    println!("{kills} kills before the end");
    assert!(kills >= crashes.min(2), "only {kills} kills came in time");
    server.wait_state(JOB, "closed");
    wait_until("the datafeed to be stopped", || {
        let stats = server.ok("GET", "/_ml/datafeeds/feed/_stats", &Value::Null);
        (stats["datafeeds"][0]["state"] == "stopped").then_some(())
    });
    let killed = outcome(&server);
    calm.assert_same(&killed, "the calm run and the one with kills");
}
