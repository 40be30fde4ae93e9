//! Look-back, real time, their seam, and stops.

use serde_json::json;
use tidewatch_datafeed::run::DatafeedState;
use tidewatch_datafeed::source::Window;
use tidewatch_jobs::State;

use crate::source::{Doc, Script};
use crate::support::{HOUR, MINUTE, NOON, Server, docs, request, stop, until};

/// How many documents there are in each bucket of a quarter of an hour.
fn by_bucket(docs: &[Doc]) -> Vec<(i64, u64)> {
    let mut counts = std::collections::BTreeMap::new();
    for doc in docs {
        *counts
            .entry(doc.0.div_euclid(15 * MINUTE) * 15 * MINUTE)
            .or_default() += 1;
    }
    counts.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_read_in_chunks_and_the_job_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 50 * HOUR, NOON - HOUR, 20_000);
    let script = Script::new(all.clone(), 700);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({"scroll_size": 100})).await;
    server.begin(0, Some(NOON)).await;
    server.has_stopped().await;
    assert_eq!(server.jobs.standing("j").unwrap().state, State::Closed);

    let stats = server.jobs.stats("j", false).unwrap();
    let counts = &stats[0].data_counts.counts;
    assert_eq!(counts.processed_record_count, all.len() as u64);
    assert_eq!(counts.out_of_order_timestamp_count, 0);
    // The last bucket is open.
    let expected = by_bucket(&all);
    assert_eq!(server.event_counts().await, expected[..expected.len() - 1]);

    let windows = script.windows();
    assert!(windows.len() > 5, "{windows:?}");
    assert_eq!(
        windows[0].start, all[0].0,
        "it begins where the documents do"
    );
    for pair in windows.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    let timing = server.status().timing_stats;
    // Each page, the end of each chunk, and the summaries before the first and in the empty end.
    assert_eq!(timing.search_count, script.calls() as u64);
    assert_eq!(timing.bucket_count, counts.bucket_count);
    let told = server.told().await;
    let datafeed: Vec<&str> = told
        .iter()
        .map(String::as_str)
        .filter(|told| told.starts_with("Datafeed"))
        .collect();
    let started = format!(
        "Datafeed started (from: 1970-01-01T00:00:00.000Z to: {}) with frequency [300000ms]",
        tidewatch_jobs::iso(NOON)
    );
    assert_eq!(
        datafeed,
        [
            started.as_str(),
            "Datafeed lookback completed",
            "Datafeed stopped"
        ]
    );
    assert!(told.iter().any(|told| told == "Job is closing"));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gaps_are_jumped_over_and_chunks_may_be_manual_or_none() {
    let far = NOON - 2_000 * HOUR;
    let mut all = docs(far, far + HOUR, 60_000);
    all.extend(docs(NOON - HOUR, NOON, 60_000));
    for (chunking, paces_itself, most) in [
        (json!({"mode": "auto"}), false, 50),
        (json!({"mode": "manual", "time_span": "30m"}), false, 9),
        (json!({"mode": "off"}), false, 1),
        (json!({"mode": "auto"}), true, 1),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let script = Script::new(all.clone(), 50);
        if paces_itself {
            script.pace();
        }
        let server = Server::start(directory.path(), &script, NOON).await;
        server.create(json!({"chunking_config": chunking})).await;
        server.begin(0, Some(NOON)).await;
        server.has_stopped().await;
        let windows = script.windows();
        assert!(windows.len() <= most, "{chunking}: {windows:?}");
        if most == 1 {
            // Each page, and the end: nothing was counted before.
            assert_eq!(script.calls(), all.len().div_ceil(50) + 1, "{chunking}");
        }
        let counts = server.jobs.stats("j", false).unwrap()[0]
            .data_counts
            .counts
            .clone();
        assert_eq!(counts.processed_record_count, all.len() as u64);
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_time_follows_the_past_without_a_seam() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 20 * HOUR, NOON + 6 * HOUR, 20_000);
    // All are there at once: a source from the future shows what is read too early.
    let script = Script::new(all.clone(), 500);
    let server = Server::start(directory.path(), &script, NOON).await;
    server
        .create(json!({"delayed_data_check_config": {"enabled": false}}))
        .await;
    server.begin(0, None).await;
    server.tells("Datafeed continued in real-time").await;
    let status = server.status();
    assert_eq!(status.state, DatafeedState::Started);
    let running = status.running_state.unwrap();
    assert!(running.real_time_configured);
    assert_eq!(running.search_interval.unwrap().end_ms, NOON - MINUTE);

    server.reads_until(NOON + 5 * HOUR).await;
    let now = server.jobs.now();
    for Window { start, end } in script.windows() {
        assert!(start < end && end <= now - MINUTE);
    }
    let last = script.windows().last().copied().unwrap().end;
    assert_eq!(
        last % (5 * MINUTE),
        0,
        "it ends with a multiple of the frequency"
    );
    assert!(now - last < 2 * 5 * MINUTE + MINUTE, "it lags");
    let is_final = last.div_euclid(15 * MINUTE) * 15 * MINUTE;
    let expected = by_bucket(&all);
    let expected: Vec<(i64, u64)> = expected
        .into_iter()
        .filter(|bucket| bucket.0 < is_final)
        .collect();
    assert_eq!(server.event_counts().await, expected);
    let counts = server.jobs.stats("j", false).unwrap()[0]
        .data_counts
        .counts
        .clone();
    let seen = all.iter().filter(|doc| doc.0 < last).count();
    assert_eq!(counts.processed_record_count, seen as u64);
    assert!(server.status().running_state.unwrap().real_time_running);

    let snapshots = server.jobs.snapshots("j").await.unwrap();
    assert!(
        !snapshots.is_empty(),
        "the model is kept after the look-back"
    );
    server.stop().await;
    assert_eq!(server.status().state, DatafeedState::Stopped);
    assert_eq!(server.jobs.standing("j").unwrap().state, State::Opened);
    server.stop().await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_where_the_last_ended_or_jumps_to_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 20 * HOUR, NOON, 20_000);
    let script = Script::new(all.clone(), 500);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    let (first, second) = (NOON - 15 * HOUR - 7_777, NOON - 8 * HOUR);
    server.begin(0, Some(first)).await;
    server.has_stopped().await;
    server.jobs.open("j").await.unwrap();
    server.turn(1_000).await;
    // From the beginning again: what the job has seen isn't read again.
    server.begin(0, Some(second)).await;
    server.has_stopped().await;
    let processed = |server: &Server| {
        server.jobs.stats("j", false).unwrap()[0]
            .data_counts
            .counts
            .processed_record_count
    };
    assert_eq!(
        processed(&server),
        all.iter().filter(|doc| doc.0 < second).count() as u64
    );
    let told = server.told().await;
    let seen = all
        .iter()
        .filter(|doc| doc.0 < first)
        .map(|doc| doc.0)
        .max()
        .unwrap();
    let from = format!(
        "Datafeed started (from: {} to:",
        tidewatch_jobs::iso(seen + 1)
    );
    assert!(told.iter().any(|told| told.starts_with(&from)), "{told:?}");

    // From later on: what is between is left out, up to the next bucket.
    server.jobs.open("j").await.unwrap();
    server.turn(1_000).await;
    let third = NOON - 3 * HOUR + MINUTE;
    server.begin(third, Some(NOON)).await;
    server.has_stopped().await;
    let skipped = NOON - 3 * HOUR + 15 * MINUTE;
    let read = all
        .iter()
        .filter(|doc| doc.0 < second || doc.0 >= skipped)
        .count();
    assert_eq!(processed(&server), read as u64);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_search_that_runs_unless_it_is_forced() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 20 * HOUR, NOON, 20_000);
    let script = Script::new(all.clone(), 100);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    script.let_through(4);
    server.begin(0, None).await;
    script.stands(5).await;
    let mut soon = stop();
    soon.timeout = std::time::Duration::from_millis(20);
    let error = server
        .feeds
        .stop_feeds("d", soon)
        .await
        .expect_err("it waits");
    assert_eq!(error.status, 408);
    assert_eq!(server.status().state, DatafeedState::Stopping);
    let again = server
        .feeds
        .start_feed("d", request(0, None))
        .await
        .expect_err("it runs");
    assert_eq!(
        again.reason,
        "cannot start datafeed [d] because it has already been started"
    );
    script.let_through(1);
    server.has_stopped().await;
    assert_eq!(script.calls(), 5, "nothing is asked after the stop");

    server.begin(0, None).await;
    script.stands(6).await;
    soon.force = true;
    soon.timeout = std::time::Duration::from_secs(60);
    server.feeds.stop_feeds("d*", soon).await.expect("cut off");
    assert_eq!(server.status().state, DatafeedState::Stopped);
    let counts = server.jobs.stats("j", false).unwrap()[0]
        .data_counts
        .counts
        .clone();
    let latest = counts.latest_record_timestamp.unwrap();
    let seen = all.iter().filter(|doc| doc.0 <= latest).count() as u64;
    assert_eq!(counts.processed_record_count, seen);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_asks_for_an_open_job_and_waits_for_one_that_opens() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script::new(docs(NOON - HOUR, NOON, 60_000), 100);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create_job("other", json!({})).await;
    server
        .create_job("j", json!({"allow_lazy_open": true}))
        .await;
    server.create_feed(json!({})).await;
    let closed = server
        .feeds
        .start_feed("d", request(0, None))
        .await
        .expect_err("closed");
    assert_eq!(
        (closed.status, closed.reason.as_str()),
        (409, "cannot start datafeed [d] because job [j] is closed")
    );
    let unknown = server
        .feeds
        .start_feed("x", request(0, None))
        .await
        .expect_err("unknown");
    assert_eq!(unknown.status, 404);
    // There is room for one.
    server.jobs.open("other").await.unwrap();
    server.jobs.open("j").await.unwrap();
    assert_eq!(
        server.feeds.start_feed("d", request(0, None)).await,
        Ok(false)
    );
    let status = server.status();
    assert_eq!(status.state, DatafeedState::Starting);
    assert_eq!(
        status.assignment_explanation.unwrap(),
        "datafeed awaiting job assignment."
    );
    assert_eq!(script.calls(), 0);
    server.jobs.close("other", false, false).await.unwrap();
    server.tells("Datafeed continued in real-time").await;
    assert_eq!(server.status().assignment_explanation.unwrap(), "");

    // Upgrade mode: it pauses and goes on.
    const FIVE_MINUTES: std::time::Duration = std::time::Duration::from_secs(300);
    server.jobs.set_upgrade_mode(true).await.unwrap();
    let calls = script.calls();
    for _ in 0..20 {
        // It doesn't go by the clock now.
        server.jobs.settings().clock.advance(FIVE_MINUTES);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(script.calls(), calls);
    let upgrading = "persistent task cannot be assigned while upgrade mode is enabled.";
    assert_eq!(server.status().assignment_explanation.unwrap(), upgrading);
    assert_eq!(server.status().state, DatafeedState::Started);
    server.jobs.set_upgrade_mode(false).await.unwrap();
    server.reads_until(NOON + 2 * HOUR).await;

    // The job goes: so does the datafeed.
    server.jobs.close("j", false, false).await.unwrap();
    server.has_stopped().await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_started_datafeed_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let all = docs(NOON - 20 * HOUR, NOON + 6 * HOUR, 20_000);
    let script = Script::new(all.clone(), 500);
    let server = Server::start(directory.path(), &script, NOON).await;
    server.create(json!({})).await;
    server.begin(0, None).await;
    server.reads_until(NOON + HOUR).await;
    let now = server.jobs.now();
    let searches = server.status().timing_stats.search_count;
    server.end().await;
    let server = Server::start(directory.path(), &script, now).await;
    until("it runs", async || {
        server.status().state == DatafeedState::Started
    })
    .await;
    assert!(server.status().timing_stats.search_count >= searches);
    server.reads_until(NOON + 4 * HOUR).await;
    let (results, counts) = (server.results().await, server.event_counts().await);
    server.end().await;

    let other = tempfile::tempdir().unwrap();
    let calm = Server::start(other.path(), &script, NOON).await;
    calm.create(json!({})).await;
    calm.begin(0, None).await;
    calm.reads_until(NOON + 4 * HOUR).await;
    let least = counts.len().min(calm.event_counts().await.len());
    assert_eq!(counts[..least], calm.event_counts().await[..least]);
    assert!(!results.is_empty());
    calm.end().await;
}
