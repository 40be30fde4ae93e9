//! Sources that fail, give nothing, or have a fault.

use std::time::Duration;

use serde_json::json;
use tidewatch_datafeed::run::{DatafeedState, StartRequest};
use tidewatch_datafeed::source::SourceError;
use tidewatch_jobs::State;

use crate::source::Script;
use crate::support::{HOUR, NOON, Server, docs, request, until};

fn gone(text: &str) -> Option<SourceError> {
    Some(SourceError::Unavailable(text.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_does_not_advance_over_what_a_source_did_not_give() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 5 * HOUR, NOON + 5 * HOUR, 20_000);
    let script = Script::new(all.clone(), 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    // In the middle of the past.
    script.let_through(3);
    server.begin(0, None).await;
    script.stands(4).await;
    script.fail(gone("no route to host"));
    script.let_through(100_000);
    server
        .tells("Datafeed is encountering errors extracting data: no route to host")
        .await;
    assert_eq!(server.status().state, DatafeedState::Started);
    let before = script.calls();
    until("it asks again and again", async || {
        server.turn(60_000).await;
        script.calls() > before + 5
    })
    .await;
    script.fail(gone("still no route"));
    server
        .tells_turning("extracting data: still no route")
        .await;
    script.fail(None);
    server
        .tells_turning("Datafeed has recovered data extraction and analysis")
        .await;
    server.reads_until(NOON + HOUR).await;
    // And in real time, over several cycles.
    script.fail(gone("no route to host"));
    let before = script.calls();
    until("it fails a few times", async || {
        server.turn(60_000).await;
        script.calls() > before + 15
    })
    .await;
    script.fail(None);
    server.reads_until(NOON + 4 * HOUR).await;
    let told = server.told().await;
    let errors = told
        .iter()
        .filter(|told| told.contains("no route to host"))
        .count();
    assert_eq!(errors, 2, "{told:?}");
    let read = script.windows().last().unwrap().end;
    let counts = server.jobs.stats("j", false).unwrap()[0]
        .data_counts
        .counts
        .clone();
    let seen = all.iter().filter(|doc| doc.0 < read).count() as u64;
    assert_eq!(counts.processed_record_count, seen);
    assert_eq!(counts.out_of_order_timestamp_count, 0);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_source_refuses_ends_a_look_back_and_not_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new(docs(NOON - 5 * HOUR, NOON, 20_000), 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    let refused = SourceError::Refused {
        status: 404,
        kind: "resource_not_found_exception",
        reason: "datafeed [d] cannot retrieve data because index [i] does not exist".to_owned(),
    };
    script.fail(Some(refused.clone()));
    let error = server
        .feeds
        .start_feed("d", request(0, None))
        .await
        .expect_err("refused");
    assert_eq!((error.status, error.reason), (404, refused.to_string()));
    assert_eq!(server.status().state, DatafeedState::Stopped);
    script.fail(None);
    script.let_through(2);
    server.begin(0, Some(NOON)).await;
    script.stands(3).await;
    script.fail(Some(refused.clone()));
    script.let_through(1_000);
    server.has_stopped().await;
    let told = server.told().await;
    let stopped = format!("Datafeed stopped with reason [{refused}]");
    assert!(told.contains(&stopped), "{told:?}");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_no_longer_than_asked_for_a_source_that_is_silent() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new(docs(NOON - 5 * HOUR, NOON, 20_000), 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    script.silence(true);
    let impatient = StartRequest {
        timeout: Duration::from_millis(50),
        ..request(0, None)
    };
    let error = server.feeds.start_feed("d", impatient).await;
    let error = error.expect_err("silent");
    let words =
        "Starting datafeed [d] timed out after [50ms]: its source has not answered".to_owned();
    assert_eq!((error.status, error.reason), (503, words));
    // Nothing was begun.
    assert_eq!(server.status().state, DatafeedState::Stopped);
    assert_eq!(script.calls(), 0);
    script.silence(false);
    server.begin(0, Some(NOON)).await;
    server.has_stopped().await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_a_source_ends_its_datafeed_alone() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new(docs(NOON - 5 * HOUR, NOON, 20_000), 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    script.let_through(2);
    server.begin(0, None).await;
    script.stands(3).await;
    script.panic();
    script.let_through(1);
    server.has_stopped().await;
    server
        .tells("Datafeed stopped with reason [it panicked: the source has a fault]")
        .await;
    assert_eq!(server.jobs.standing("j").unwrap().state, State::Opened);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_told_and_may_end_a_datafeed() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new(Vec::new(), 300);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({"max_empty_searches": 20})).await;
    server.begin(NOON - HOUR, None).await;
    server
        .tells_turning("Datafeed has been retrieving no data for a while")
        .await;
    // Late or not, the job has seen nothing of that time.
    script.add(docs(NOON - HOUR, NOON + HOUR, 30_000));
    server
        .tells_turning("Datafeed has started retrieving data again")
        .await;
    let before = script.calls();
    until("many searches find nothing again", async || {
        server.turn(60_000).await;
        script.calls() > before + 60
    })
    .await;
    assert_eq!(
        server.status().state,
        DatafeedState::Started,
        "it has seen some"
    );
    server.stop().await;

    let other = tempfile::tempdir().unwrap();
    let nothing = Script::new(Vec::new(), 300);
    let empty = Server::start(other.path(), &nothing, NOON).await;
    empty.create(json!({"max_empty_searches": 3})).await;
    empty.begin(NOON - HOUR, None).await;
    until("it stops", async || {
        empty.turn(60_000).await;
        empty.status().state == DatafeedState::Stopped
    })
    .await;
    let reason = "Datafeed stopped with reason [Datafeed for [j] has seen no data in [3] attempts, and never seen any \
                  data previously, so stopping...]";
    empty.tells(reason).await;
    assert_eq!(empty.jobs.standing("j").unwrap().state, State::Closed);
    // The past alone, and nothing in it.
    empty.jobs.open("j").await.unwrap();
    empty.begin(0, Some(NOON)).await;
    empty.has_stopped().await;
    empty.tells("Datafeed lookback retrieved no data").await;
    empty.end().await;
    server.end().await;
}
