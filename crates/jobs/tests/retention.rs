//! Model snapshots and retention, by a clock that is turned: what goes is what was said, and the way back is the same way.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::*;
use tidewatch_jobs::foresee::ForeseenOfJob;
use tidewatch_jobs::{ExpiredRequest, Jobs, RevertRequest, State, UpgradeState, maintenance};
use tidewatch_model::engine::{Engine, is_current};
use tidewatch_store::{
    AnnotationRow, Annotations, CategoryQuery, ForecastRow, ResultKind, ResultQuery, ResultRow,
    ResultWrite, SnapshotRow, Sort,
};

const KINDS: [ResultKind; 4] = [
    ResultKind::Bucket,
    ResultKind::Record,
    ResultKind::Influencer,
    ResultKind::ModelPlot,
];

/// All that a job has found and knows, without what tells of the time of day.
async fn found(jobs: &Jobs, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kind in KINDS {
        let query = ResultQuery {
            job_id: id.to_owned(),
            kind,
            start: None,
            end: None,
            min_score: 0.0,
            exclude_interim: false,
            sort: Sort::Timestamp,
            descending: false,
            from: 0,
            size: 100_000,
        };
        found.extend(jobs.results(&query).await.expect("read").docs);
    }
    let query = CategoryQuery {
        job_id: id.to_owned(),
        size: 1_000,
        ..CategoryQuery::default()
    };
    found.extend(jobs.categories(&query).await.expect("read").docs);
    let annotations = jobs.annotations(id).await.expect("read").into_iter();
    found.extend(annotations.filter(|text| !text.contains("model_snapshot_stored")));
    let timeless = |text: &String| {
        let mut document: Value = serde_json::from_str(text).expect("JSON");
        for field in ["processing_time_ms", "create_time", "modified_time"] {
            document.as_object_mut().expect("an object").remove(field);
        }
        document.to_string()
    };
    let mut found: Vec<String> = found.iter().map(timeless).collect();
    let stats = &jobs.stats(id, false).expect("there")[0];
    found.push(json!(stats.data_counts.counts).to_string());
    found.push(json!(stats.model_size_stats.size).to_string());
    found
}

async fn run(jobs: &Jobs, id: &str, hours: std::ops::Range<i64>) {
    turn(jobs, 3_600);
    jobs.open(id).await.expect("opened");
    if !hours.is_empty() {
        append(jobs, id, hours).await;
    }
    jobs.close(id, false, false).await.expect("closed");
    turn(jobs, 3_600);
}

async fn revert(jobs: &Jobs, id: &str, snapshot: &str, delete: bool) -> Result<Value, u16> {
    let request = RevertRequest {
        delete_intervening_results: delete,
        force: false,
    };
    let task = jobs.revert(id, snapshot, request);
    task.ended().await.map_err(|error| error.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_is_the_same_way() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    for (id, config) in [("series", series()), ("messages", messages())] {
        create(&jobs, id, config).await;
        run(&jobs, id, 0..200).await;
        let before = found(&jobs, id).await;
        run(&jobs, id, 200..400).await;
        let after = found(&jobs, id).await;
        assert!(after.len() >= before.len() + 200, "{id}: there is more");
        let first = jobs.snapshots(id).await.expect("read")[0]
            .snapshot_id
            .clone();
        for delete in [true, false] {
            let snapshots = jobs.snapshots(id).await.expect("read");
            let answer = revert(&jobs, id, &first, delete).await.expect("reverted");
            assert_eq!(answer["model"]["snapshot_id"], *first);
            let job = jobs.get(id).expect("there");
            assert_eq!(job.model_snapshot_id.as_ref(), Some(&first));
            assert!(job.blocked.is_none());
            let reverted = found(&jobs, id).await;
            if delete {
                // Scores of the past stay as what came after has set them.
                assert_eq!(
                    reverted.len(),
                    before.len(),
                    "{id}: what came after is gone"
                );
            }
            // Counts and size are the snapshot's at once, the size said anew.
            assert_eq!(reverted[reverted.len() - 2..], before[before.len() - 2..]);
            let stats = &jobs.stats(id, false).expect("there")[0];
            assert_eq!(stats.model_size_stats.log_time, jobs.now());
            // Nothing is learnt, and no snapshot stored.
            run(&jobs, id, 200..200).await;
            assert_eq!(jobs.snapshots(id).await.expect("read"), snapshots);
            // The records after the snapshot, again, give the same.
            run(&jobs, id, 200..400).await;
            assert_eq!(
                found(&jobs, id).await,
                after,
                "{id}, results deleted: {delete}"
            );
            assert_eq!(
                jobs.snapshots(id).await.expect("read").len(),
                snapshots.len() + 1
            );
        }
        let told = notifications(&jobs, id).await;
        assert!(told.iter().any(|told| {
            told.starts_with("Job model snapshot reverted to 'State persisted due to job close at")
        }));

        // The empty snapshot is the first day.
        revert(&jobs, id, "empty", true).await.expect("reverted");
        assert_eq!(jobs.get(id).expect("there").model_snapshot_id, None);
        assert_eq!(
            jobs.stats(id, false).expect("there")[0].data_counts.counts,
            Default::default()
        );
        run(&jobs, id, 0..400).await;
        let again = found(&jobs, id).await;
        assert_eq!(again.len(), after.len());
    }
    jobs.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_a_way_back_only_for_a_closed_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    create(&jobs, "j", series()).await;
    run(&jobs, "j", 0..30).await;
    let snapshot = jobs.snapshots("j").await.expect("read")[0].clone();
    let id = &snapshot.snapshot_id;
    assert_eq!(revert(&jobs, "nobody", id, false).await, Err(404));
    assert_eq!(revert(&jobs, "j", "0", false).await, Err(404));
    assert!(
        jobs.get("j").expect("there").blocked.is_none(),
        "a refusal leaves no block"
    );
    jobs.open("j").await.expect("opened");
    for force in [false, true] {
        let request = RevertRequest {
            force,
            ..RevertRequest::default()
        };
        let refused = jobs
            .revert("j", id, request)
            .ended()
            .await
            .expect_err("refused");
        assert_eq!(
            refused.reason,
            "Can only revert to a model snapshot when the job is closed."
        );
        assert_eq!(refused.status, 409);
    }
    jobs.close("j", false, false).await.expect("closed");
    // A state that can't be taken up is no way back, and the job is as it was.
    jobs.store()
        .save_snapshot(&snapshot.row(), vec![2, 7, 7])
        .await
        .expect("saved");
    assert_eq!(revert(&jobs, "j", id, true).await, Err(400));
    let newest = jobs.store().newest_bucket("j").await.expect("read");
    assert!(newest.is_some(), "results are there");
    jobs.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_is_written_in_the_present_format() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    let config = json!({
        "analysis_config": {
            "bucket_span": "1h", "latency": "30m",
            "detectors": [
                {"function": "mean", "field_name": "v", "partition_field_name": "p"}, {"function": "count"}
            ],
            "influencers": ["p", "q"]
        },
        "data_description": {},
        "analysis_limits": {"model_memory_limit": "50mb"}
    });
    create(&jobs, "j", config).await;
    run(&jobs, "j", 0..30).await;
    let mut snapshot = jobs.snapshots("j").await.expect("read")[0].clone();
    let current = snapshot.snapshot_id.clone();
    let upgrade = async |snapshot: &str| match jobs.upgrade_snapshot("j", snapshot).await {
        Ok(ended) => ended.await.expect("told"),
        Err(error) => Err(error),
    };
    let refused = upgrade(&current).await.expect_err("current");
    assert_eq!(refused.status, 409);
    assert!(
        refused
            .reason
            .contains("as it is already compatible with current version")
    );
    assert_eq!(upgrade("0").await.expect_err("unknown").status, 404);

    let old =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/format-1.state");
    let old = std::fs::read(old).expect("the fixture is there");
    assert!(!is_current(&old));
    snapshot.snapshot_id = "old".to_owned();
    snapshot.min_version = "6.3.0".to_owned();
    jobs.store()
        .save_snapshot(&snapshot.row(), old.clone())
        .await
        .expect("saved");
    upgrade("old").await.expect("upgraded");
    let state = jobs
        .store()
        .load_snapshot_state("j", "old")
        .await
        .expect("read")
        .expect("there");
    assert!(is_current(&state));
    let analysis = jobs.get("j").expect("there").analysis_config;
    let expected = Engine::restore(analysis, &old).expect("can be read").save();
    assert_eq!(state, expected, "it is what would be opened");
    let upgraded = jobs.snapshots("j").await.expect("read");
    assert!(
        upgraded
            .iter()
            .all(|snapshot| snapshot.min_version != "6.3.0")
    );
    assert_eq!(jobs.upgrade_stats("j", "_all", true).expect("read"), []);
    assert_eq!(upgrade("old").await.expect_err("current").status, 409);
    revert(&jobs, "j", "old", true)
        .await
        .expect("it is a way back");

    // What can't be read fails, and is told until it is tried again.
    jobs.store()
        .save_snapshot(&snapshot.row(), vec![1, 7])
        .await
        .expect("saved");
    assert_eq!(upgrade("old").await.expect_err("damaged").status, 400);
    let stats = jobs.upgrade_stats("j", "o*", false).expect("one");
    assert_eq!((stats.len(), stats[0].state), (1, UpgradeState::Failed));
    let none = jobs.upgrade_stats("j", "other", true).expect_err("none");
    assert_eq!(
        none.reason,
        "no snapshot upgrade is running for snapshot_id [other]"
    );
    assert_eq!(
        jobs.upgrade_stats("nobody", "_all", true)
            .expect_err("none")
            .status,
        404
    );
    jobs.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_without_state_is_a_way_back_to_empty_models() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    create(&jobs, "j", series()).await;
    run(&jobs, "j", 0..30).await;
    let mut adopted = jobs.snapshots("j").await.expect("read")[0].clone();
    adopted.snapshot_id = "adopted".to_owned();
    adopted.latest_record_time_stamp = Some(NOON - 70 * DAY);
    adopted.model_size_stats.size.model_bytes = 12_345;
    let row = adopted.row();
    jobs.store()
        .save_snapshot(&row, vec![])
        .await
        .expect("saved");
    revert(&jobs, "j", "adopted", false)
        .await
        .expect("reverted");
    let job = jobs.get("j").expect("there");
    assert_eq!(job.model_snapshot_id.as_deref(), Some("adopted"));
    let stats = &jobs.stats("j", false).expect("there")[0];
    assert_eq!(stats.model_size_stats.size.model_bytes, 12_345);
    let counts = &stats.data_counts.counts;
    assert_eq!(counts.latest_record_timestamp, Some(NOON - 70 * DAY));
    let told = notifications(&jobs, "j").await;
    assert!(told[told.len() - 1].ends_with("the job begins with empty models"));
    run(&jobs, "j", 0..30).await;
    let stats = &jobs.stats("j", false).expect("there")[0];
    assert_eq!(stats.data_counts.counts.processed_record_count, 120);
    jobs.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_stores_snapshots_and_deletes_at_night() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    create(&jobs, "j", series()).await;
    update(&jobs, "j", json!({"results_retention_days": 3})).await;
    jobs.open("j").await.expect("opened");
    append(&jobs, "j", 0..200).await;
    let buckets = async || {
        let oldest = jobs
            .store()
            .bucket_scores("j", None, None, false)
            .await
            .expect("read")[0]
            .0;
        let newest = jobs
            .store()
            .newest_bucket("j")
            .await
            .expect("read")
            .expect("one");
        (newest - oldest) / 3_600_000
    };
    assert!(buckets().await > 190);
    let next = jobs.next_maintenance().expect("there is one");
    assert!(next > jobs.now() && next - jobs.now() <= DAY);
    tokio::spawn(maintenance::run(jobs.clone()));

    let begun = jobs.now();
    let first = until(&jobs, "a snapshot", async || {
        jobs.snapshots("j").await.expect("read").pop()
    });
    let first = first.await;
    let waited = (first.timestamp - begun) / 60_000;
    assert!(
        (180..=300).contains(&waited),
        "three to four hours: {waited} min"
    );
    assert!(
        first
            .description
            .starts_with("Periodic background persist at")
    );
    until(&jobs, "it is the active one", async || {
        let active = jobs.get("j").expect("there").model_snapshot_id;
        (active.as_ref() == Some(&first.snapshot_id)).then_some(())
    })
    .await;

    until(&jobs, "the night", async || {
        (buckets().await < 190).then_some(())
    })
    .await;
    assert!(jobs.now() >= next, "not before");
    assert_eq!(buckets().await, 72);
    let told = until(&jobs, "the notification", async || {
        let told = notifications(&jobs, "j").await;
        told.into_iter()
            .find(|told| told.starts_with("Deleted results prior to "))
    });
    assert!(told.await.contains('T'));
    jobs.shut_down().await;
}

fn snapshot_row(base: &SnapshotRow, id: &str, timestamp: i64, retain: bool) -> SnapshotRow {
    let mut doc: Value = serde_json::from_str(&base.doc).expect("JSON");
    doc["snapshot_id"] = id.into();
    doc["timestamp"] = timestamp.into();
    doc["retain"] = retain.into();
    SnapshotRow {
        snapshot_id: id.to_owned(),
        timestamp,
        retain,
        doc: doc.to_string(),
        ..base.clone()
    }
}

/// What there is of a job: its snapshots, how many results and annotations, and how many forecasts there are in all.
async fn census(jobs: &Jobs, id: &str) -> (BTreeSet<String>, i64, i64, i64) {
    let snapshots = jobs.snapshots(id).await.expect("read").into_iter();
    let results = jobs
        .store()
        .count_results_before(id, i64::MAX)
        .await
        .expect("read");
    let annotations = jobs.annotations(id).await.expect("read").len() as i64;
    let forecasts = jobs.store().forecasts(None).await.expect("read").len() as i64;
    (
        snapshots.map(|s| s.snapshot_id).collect(),
        results,
        annotations,
        forecasts,
    )
}

/// A history of a job: snapshots and annotations in hours, results a day, and settings.
#[derive(Debug, Clone)]
struct History {
    snapshots: Vec<(i64, bool)>,
    annotations: Vec<(i64, bool)>,
    results: Vec<i64>,
    forecasts: Vec<(i64, bool)>,
    retention: i64,
    daily: Option<i64>,
    results_retention: Option<i64>,
}

fn history() -> impl Strategy<Value = History> {
    (
        prop::collection::vec((-400..400i64, prop::bool::weighted(0.15)), 0..25),
        prop::collection::vec((-400..400i64, any::<bool>()), 0..12),
        prop::collection::vec(-400..400i64, 0..40),
        prop::collection::vec((-100..100i64, any::<bool>()), 0..4),
        (0..15i64, 0..15i64, any::<bool>()),
        prop::option::of(0..15i64),
    )
        .prop_map(
            |(snapshots, annotations, results, forecasts, (a, b, daily), results_retention)| {
                History {
                    snapshots,
                    annotations,
                    results,
                    forecasts,
                    retention: a.max(b),
                    daily: daily.then_some(a.min(b)),
                    results_retention,
                }
            },
        )
}

/// Fills the job `j` with a history; it has an active snapshot.
async fn fill(jobs: &Jobs, history: &History) {
    let store = jobs.store();
    let all = store.snapshots("j").await.expect("read");
    let active = jobs
        .get("j")
        .expect("there")
        .model_snapshot_id
        .expect("one");
    let base = all
        .iter()
        .find(|row| row.snapshot_id == active)
        .expect("there")
        .clone();
    let config = json!(jobs.get("j").expect("there")).to_string();
    store
        .clear_job("j", &config, Annotations::All)
        .await
        .expect("cleared");
    store.save_snapshot(&base, vec![2]).await.expect("saved");
    let at = |hour: i64| base.timestamp + hour * 3_600_000;
    let note = |id: String, timestamp: i64, by: &str| AnnotationRow {
        job_id: "j".to_owned(),
        annotation_id: id,
        timestamp,
        doc: json!({"create_username": by, "timestamp": timestamp}).to_string(),
    };
    let mut annotations = Vec::new();
    for (n, (hour, retain)) in history.snapshots.iter().enumerate() {
        let row = snapshot_row(&base, &format!("s{n}"), at(*hour), *retain);
        store.save_snapshot(&row, vec![2]).await.expect("saved");
        annotations.push(note(
            format!("model_snapshot_stored_s{n}"),
            at(*hour),
            "_xpack",
        ));
    }
    for (n, (hour, ours)) in history.annotations.iter().enumerate() {
        annotations.push(note(
            format!("a{n}"),
            at(*hour),
            if *ours { "_xpack" } else { "ann" },
        ));
    }
    let row = |kind, timestamp| ResultRow {
        kind,
        timestamp,
        seq: 0,
        score: 0.0,
        is_interim: false,
        doc: "{}".to_owned(),
    };
    let rows = (history.results.iter())
        .flat_map(|hour| [ResultKind::Bucket, ResultKind::Record].map(|kind| row(kind, at(*hour))));
    let write = ResultWrite {
        rows: rows.chain([row(ResultKind::Category, 1)]).collect(),
        annotations,
        ..ResultWrite::default()
    };
    store.write_results("j", write).await.expect("written");
    for (n, (hour, running)) in history.forecasts.iter().enumerate() {
        let forecast = ForecastRow {
            job_id: "j".to_owned(),
            forecast_id: n.to_string(),
            created: 0,
            expires: Some(jobs.now() + hour * 3_600_000),
            running: *running,
            doc: "{}".to_owned(),
        };
        store.insert_forecast(&forecast).await.expect("stored");
    }
}

#[test]
fn what_is_foreseen_is_what_goes() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = runtime.block_on(async {
        let jobs = start(&directory).await;
        create(&jobs, "j", series()).await;
        run(&jobs, "j", 0..30).await;
        jobs
    });
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let check = |history: History| {
        runtime.block_on(async {
            // The other order of settings may be refused on the way.
            update(&jobs, "j", json!({"daily_model_snapshot_retention_after_days": 0})).await;
            fill(&jobs, &history).await;
            let settings = json!({
                "model_snapshot_retention_days": history.retention,
                "daily_model_snapshot_retention_after_days": history.daily.unwrap_or(history.retention),
                "results_retention_days": history.results_retention.unwrap_or(1_000)
            });
            let before = census(&jobs, "j").await;
            let (job, of_update) = jobs.foresee_update("j", read_update(settings.clone())).await.expect("fine");
            prop_assert_eq!(job.model_snapshot_retention_days, history.retention);
            prop_assert_eq!(&census(&jobs, "j").await, &before);
            prop_assert_ne!(jobs.get("j").expect("there").results_retention_days, job.results_retention_days);
            update(&jobs, "j", settings).await;
            let foreseen = jobs.foresee("j").await.expect("fine");
            prop_assert_eq!(&foreseen.jobs[0], &of_update);
            let retention = jobs.retention("j").await.expect("fine");
            prop_assert_eq!(&census(&jobs, "j").await, &before, "to look changes nothing");

            prop_assert!(jobs.delete_expired(&ExpiredRequest::of("j")).await.expect("fine"));
            let after = census(&jobs, "j").await;
            let gone: BTreeSet<String> = before.0.difference(&after.0).cloned().collect();
            let ids = |of: &ForeseenOfJob| of.model_snapshots.iter().map(|v| v.snapshot_id.clone()).collect();
            let foretold: BTreeSet<String> = ids(&of_update);
            prop_assert_eq!(&foretold, &gone);
            let judged = retention.model_snapshots.iter().filter(|verdict| !verdict.kept);
            prop_assert_eq!(judged.map(|v| v.snapshot_id.clone()).collect::<BTreeSet<_>>(), gone);
            prop_assert_eq!(of_update.results, before.1 - after.1);
            prop_assert_eq!(retention.results.expired, before.1 - after.1);
            prop_assert_eq!(of_update.annotations, before.2 - after.2);
            prop_assert_eq!(foreseen.forecasts, before.3 - after.3);
            let again = jobs.foresee("j").await.expect("fine");
            prop_assert_eq!((again.jobs[0].results, again.forecasts), (0, 0));
            update(&jobs, "j", json!({"results_retention_days": 2_000})).await;
            Ok(())
        })
    };
    runner.run(&history(), check).expect("what is said is done");
    runtime.block_on(jobs.shut_down());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_job_and_the_end_of_time_leave_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    for id in ["a", "b"] {
        create(&jobs, id, series()).await;
        run(&jobs, id, 0..100).await;
        update(
            &jobs,
            id,
            json!({"results_retention_days": 1, "model_snapshot_retention_days": 0,
            "daily_model_snapshot_retention_after_days": 0}),
        )
        .await;
        let base = jobs.store().snapshots(id).await.expect("read")[0].clone();
        let old = snapshot_row(&base, "old", base.timestamp - DAY, false);
        jobs.store()
            .save_snapshot(&old, vec![])
            .await
            .expect("saved");
    }
    let before = census(&jobs, "a").await;
    let request = ExpiredRequest {
        timeout: Duration::ZERO,
        ..ExpiredRequest::of("_all")
    };
    assert_eq!(
        jobs.delete_expired(&request).await,
        Ok(false),
        "no time, nothing deleted"
    );
    assert_eq!(census(&jobs, "a").await, before);

    // A snapshot of one job can't be read.
    let base = jobs.store().snapshots("a").await.expect("read")[0].clone();
    let broken = SnapshotRow {
        snapshot_id: "broken".into(),
        doc: "{".into(),
        ..base
    };
    jobs.store()
        .save_snapshot(&broken, vec![])
        .await
        .expect("saved");
    assert_eq!(
        jobs.delete_expired(&ExpiredRequest::of("_all")).await,
        Ok(false)
    );
    for id in ["a", "b"] {
        let left = jobs
            .store()
            .count_results_before(id, i64::MAX)
            .await
            .expect("read");
        assert!(left < before.1 / 2, "{id}: results are another step");
    }
    assert_eq!(jobs.store().snapshots("a").await.expect("read").len(), 3);
    assert_eq!(jobs.snapshots("b").await.expect("read").len(), 1);
    let told = notifications(&jobs, "b").await;
    assert!(
        told.contains(&"[1] expired model snapshots deleted".to_owned()),
        "{told:?}"
    );
    assert_eq!(
        jobs.delete_expired(&ExpiredRequest::of("b")).await,
        Ok(true)
    );
    assert!(
        jobs.delete_expired(&ExpiredRequest::of("nobody"))
            .await
            .is_err()
    );
    assert_eq!(
        jobs.stats("a", false).expect("there")[0].state,
        State::Closed
    );
    jobs.shut_down().await;
}
