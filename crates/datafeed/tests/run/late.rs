//! Documents that come too late: told of, and counted in.

use serde_json::{Value, json};
use tidewatch_datafeed::run::DatafeedState;

use crate::source::{Doc, Script};
use crate::support::{HOUR, MINUTE, NOON, Server, copy, docs, until};

const START: i64 = NOON - 6 * HOUR;
const LATE: i64 = NOON + HOUR;
const END: i64 = NOON + 4 * HOUR;

/// Those that are there in time, and those of a quarter of an hour and a half that are not.
fn split(docs: Vec<Doc>) -> (Vec<Doc>, Vec<Doc>) {
    let late = LATE..LATE + 25 * MINUTE;
    let is_late = |doc: &Doc| late.contains(&doc.0) && doc.0 % 3 != 0;
    docs.into_iter().partition(|doc| !is_late(doc))
}

async fn annotations(server: &Server) -> Vec<Value> {
    let rows = server.jobs.store().annotations("j").await.unwrap();
    let rows = rows
        .into_iter()
        .map(|row| serde_json::from_str::<Value>(&row.doc).unwrap());
    rows.filter(|doc| doc["event"] == "delayed_data").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_too_late_is_told_in_one_annotation() {
    let directory = tempfile::tempdir().unwrap();
    let (there, late) = split(docs(START, END + HOUR, 20_000));
    let script = Script::new(there, 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    server.begin(START, None).await;
    server.reads_until(LATE + HOUR).await;
    assert!(annotations(&server).await.is_empty());
    script.add(late.clone());
    server.tells_turning("Datafeed has missed").await;
    server.is_quiet().await;
    let notes = annotations(&server).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    let text = format!(
        "Datafeed has missed {} documents due to ingest latency, latest bucket with missing data is [{}]. Consider \
         increasing query_delay and investigate the cause of high latency in your ingestion process.",
        late.len(),
        tidewatch_jobs::iso(LATE + 15 * MINUTE)
    );
    assert_eq!(notes[0]["annotation"], text);
    assert_eq!(notes[0]["timestamp"], LATE);
    assert_eq!(notes[0]["end_timestamp"], LATE + 30 * MINUTE);

    // More of it, next to it: the same annotation.
    let more = Doc(LATE + 31 * MINUTE, 0, 1.0);
    script.add(vec![more]);
    until("it grows", async || {
        server.turn(60_000).await;
        annotations(&server).await[0]["end_timestamp"] == LATE + 45 * MINUTE
    })
    .await;
    let notes = annotations(&server).await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0]["annotation"]
            .as_str()
            .unwrap()
            .contains(&format!("missed {} doc", late.len() + 1))
    );
    // A restart doesn't begin another.
    let now = server.jobs.now();
    server.end().await;
    let server = Server::start(directory.path(), &script, now).await;
    server.reads_until(now + 30 * MINUTE).await;
    assert_eq!(annotations(&server).await.len(), 1);
    server.end().await;
}

/// What a feed gives that has seen everything in time.
async fn in_time(until: i64) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let (mut there, late) = split(docs(START, END + HOUR, 20_000));
    there.extend(late);
    let script = Script::new(there, 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    server.begin(START, None).await;
    server.reads_until(END).await;
    let results = before(&server, until).await;
    server.end().await;
    results
}

async fn before(server: &Server, end: i64) -> Vec<String> {
    let is_before = |doc: &String| {
        let doc: Value = serde_json::from_str(doc).unwrap();
        doc["timestamp"].as_i64().unwrap() < end
    };
    server
        .results()
        .await
        .into_iter()
        .filter(is_before)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_too_late_is_counted_in_as_if_it_had_not() {
    let expected = in_time(END - 30 * MINUTE).await;
    // From a model snapshot, and from nothing where there is none before.
    for has_snapshot in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (there, late) = split(docs(START, END + HOUR, 20_000));
        let script = Script::new(there, 300);
        let server = Server::start_with(directory.path(), &script, NOON, true).await;
        server.create(json!({})).await;
        server.begin(START, None).await;
        server.reads_until(LATE + HOUR).await;
        if !has_snapshot {
            server.drop_snapshots().await;
        }
        script.add(late.clone());
        server.tells_turning("Datafeed has counted in").await;
        server.reads_until(END).await;
        assert_eq!(
            before(&server, END - 30 * MINUTE).await,
            expected,
            "snapshot: {has_snapshot}"
        );
        let told = server.told().await;
        let counted = format!(
            "Datafeed has counted in {} documents that came late",
            late.len()
        );
        assert!(told.contains(&counted), "{told:?}");
        let back = told
            .iter()
            .filter(|told| told.contains("late documents and counts them in"))
            .count();
        assert_eq!(back, 1, "{told:?}");
        let to = if has_snapshot {
            "model snapshot ["
        } else {
            "its beginning"
        };
        assert!(
            told.iter()
                .any(|told| told.contains(&format!("taken back to {to}"))),
            "{told:?}"
        );
        assert!(
            !told.iter().any(|told| told.contains("has missed")),
            "{told:?}"
        );
        let notes = annotations(&server).await;
        assert_eq!((notes.len(), &notes[0]["annotation"]), (1, &json!(counted)));
        let counts = server.jobs.stats("j", false).unwrap()[0]
            .data_counts
            .counts
            .clone();
        assert_eq!(counts.out_of_order_timestamp_count, 0);
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counting_in_may_be_cut_anywhere() {
    let expected = in_time(END - 30 * MINUTE).await;
    for after in 0..14 {
        let directory = tempfile::tempdir().unwrap();
        let (there, late) = split(docs(START, END + HOUR, 20_000));
        let script = Script::new(there, 60);
        let server = Server::start_with(directory.path(), &script, NOON, true).await;
        server.create(json!({})).await;
        server.begin(START, None).await;
        server.reads_until(LATE + HOUR).await;
        script.add(late.clone());
        // The calls from the one on that finds them.
        let windows = script.windows().len();
        script.let_through(3 + after);
        let gate = script.calls() + 4 + after;
        until("it stands at the gate", async || {
            server.turn(20_000).await;
            script.calls() >= gate
        })
        .await;
        server.is_quiet().await;
        assert!(script.windows().len() > windows);
        let now = server.jobs.now();
        let later = tempfile::tempdir().unwrap();
        copy(directory.path(), later.path());
        server
            .feeds
            .stop_feeds("d", crate::support::StopNow.into())
            .await
            .unwrap();
        server.end().await;

        let (mut all, late) = split(docs(START, END + HOUR, 20_000));
        all.extend(late);
        let script = Script::new(all, 60);
        let server = Server::start_with(later.path(), &script, now, true).await;
        until("it runs", async || {
            server.status().state == DatafeedState::Started
        })
        .await;
        server.reads_until(END).await;
        assert_eq!(
            before(&server, END - 30 * MINUTE).await,
            expected,
            "cut {after} calls after"
        );
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_reached_is_told_and_what_does_not_help_is_done_once() {
    let directory = tempfile::tempdir().unwrap();
    let (there, late) = split(docs(START, END + HOUR, 20_000));
    let script = Script::new(there, 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    // Only what a job asks for itself.
    server
        .create_job(
            "j",
            json!({"custom_settings": {"reprocess_late_data": true}}),
        )
        .await;
    let check = json!({"enabled": true, "check_window": "12h"});
    server
        .create_feed(json!({"delayed_data_check_config": check}))
        .await;
    server.jobs.open("j").await.unwrap();
    server.begin(START, None).await;
    server.reads_until(LATE + HOUR).await;
    server.stop().await;
    // A gap: what was before can't be read again.
    let start = server.jobs.now() + HOUR;
    server.turn(2 * HOUR as u64).await;
    server.begin(start, None).await;
    server.reads_until(start + HOUR).await;
    script.add(late);
    script.add(vec![Doc(start + 20 * MINUTE, 0, 1.0)]);
    server.tells_turning("Datafeed has missed").await;
    server.reads_until(start + 2 * HOUR).await;
    let told = server.told().await;
    let back = told
        .iter()
        .filter(|told| told.contains("late documents and counts them in"));
    assert_eq!(back.count(), 1, "{told:?}");
    assert!(
        told.iter()
            .any(|told| told == "Datafeed has counted in 1 documents that came late"),
        "{told:?}"
    );
    server.end().await;
}
