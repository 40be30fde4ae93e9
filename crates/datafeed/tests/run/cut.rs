//! A run cut at every moment at which something has changed: what goes on from there gives the same, to the byte.

use serde_json::json;
use tidewatch_datafeed::run::DatafeedState;

use crate::source::Script;
use crate::support::{HOUR, MINUTE, NOON, Server, copy, docs, until};

const START: i64 = NOON - 6 * HOUR;
const CALM: i64 = NOON + 2 * HOUR;

/// Results up to an end that all runs have come to.
async fn results(server: &Server) -> Vec<String> {
    let results = server.results().await;
    let before = |doc: &String| {
        let doc: serde_json::Value = serde_json::from_str(doc).unwrap();
        doc["timestamp"].as_i64().unwrap() < CALM - 30 * MINUTE
    };
    results.into_iter().filter(before).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_may_be_cut_anywhere() {
    let all = docs(START, CALM + HOUR, 40_000);
    let datafeed = || json!({"chunking_config": {"mode": "manual", "time_span": "2h"}});
    let calm = async |script: &Script| {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path(), script, NOON).await;
        server.create(datafeed()).await;
        server.begin(START, None).await;
        server.reads_until(CALM).await;
        (directory, server)
    };
    let script = Script::new(all.clone(), 90);
    let (_kept, server) = calm(&script).await;
    let expected = results(&server).await;
    assert!(expected.len() > 30);
    server.end().await;
    // Every wait for the source and, after the last call of a cycle, for the clock is a place to cut: between any two
    // commands there is one.
    let calls = script.calls();
    // One in five of them; each takes its time.
    for cut in (1..=calls.min(60)).step_by(5) {
        let script = Script::new(all.clone(), 90);
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path(), &script, NOON).await;
        server.create(datafeed()).await;
        script.let_through(cut);
        server.begin(START, None).await;
        until("it stands at the gate", async || {
            server.turn(20_000).await;
            script.calls() > cut
        })
        .await;
        server.is_quiet().await;
        let now = server.jobs.now();
        let after = tempfile::tempdir().unwrap();
        copy(directory.path(), after.path());
        server
            .feeds
            .stop_feeds("d", crate::support::StopNow.into())
            .await
            .unwrap();
        server.end().await;

        let script = Script::new(all.clone(), 90);
        let server = Server::start(after.path(), &script, now).await;
        until("it runs", async || {
            server.status().state == DatafeedState::Started
        })
        .await;
        server.reads_until(CALM).await;
        assert_eq!(
            results(&server).await,
            expected,
            "cut after {cut} of {calls} calls"
        );
        let counts = server.jobs.stats("j", false).unwrap()[0]
            .data_counts
            .counts
            .clone();
        let read = script.windows().last().unwrap().end;
        let seen = all.iter().filter(|doc| doc.0 < read).count() as u64;
        assert_eq!(
            counts.processed_record_count, seen,
            "cut after {cut} of {calls} calls"
        );
        server.end().await;
    }
}
