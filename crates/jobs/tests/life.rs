//! Jobs over a store of their own: what fails fails alone, what is accepted stays, what has no room waits.

use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_jobs::config::NewJob;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{Clock, ExpiredRequest, FlushRequest, Jobs, Opening, Settings, State};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::units::Memory;
use tidewatch_store::{AnnotationRow, JobRow, ResultKind, ResultQuery, Sort, Store};

fn settings() -> Settings {
    Settings {
        max_open_jobs: 10,
        // 30 of them are taken once, by the first open job.
        node_memory: Memory::mebibytes(130),
        max_model_memory_limit: None,
        threads: 2,
        checkpoint_journal_bytes: 1 << 20,
        background_persist_interval: Duration::from_secs(3_600),
        maintenance: cron::Schedule::from_str("0 30 0 * * *").expect("a cron expression"),
        clock: Clock::default(),
    }
}

async fn start(directory: &TempDir) -> Jobs {
    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    Jobs::start(store, settings()).await.expect("jobs start")
}

fn new_job(memory: &str, lazy: bool) -> NewJob {
    serde_json::from_value(json!({
        "analysis_config": {"bucket_span": "1m", "detectors": [{"function": "count"}]},
        "data_description": {},
        "analysis_limits": {"model_memory_limit": memory},
        "allow_lazy_open": lazy
    }))
    .expect("readable")
}

async fn open(jobs: &Jobs, id: &str) {
    jobs.create(id, new_job("10mb", false))
        .await
        .expect("created");
    assert_eq!(jobs.open(id).await, Ok(Opening::Opened));
}

fn minutes(range: std::ops::Range<i64>) -> RecordBatch {
    let mut batch = RecordBatch::new(0);
    for minute in range {
        batch.begin();
        batch.input.records += 1;
        batch.commit(1_700_000_000_000 + minute * 60_000);
    }
    batch
}

async fn append(jobs: &Jobs, id: &str, range: std::ops::Range<i64>) {
    let applied = jobs.append(id, minutes(range)).await.expect("accepted");
    applied.await.expect("answered").expect("analysed");
}

fn state(jobs: &Jobs, id: &str) -> State {
    jobs.stats(id, false).expect("there")[0].state
}

fn records(jobs: &Jobs, id: &str) -> u64 {
    jobs.stats(id, false).expect("there")[0]
        .data_counts
        .counts
        .input_record_count
}

#[tokio::test]
async fn a_damaged_state_fails_its_job_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "good").await;
    open(&jobs, "bad").await;
    append(&jobs, "good", 0..50).await;
    append(&jobs, "bad", 0..50).await;
    jobs.shut_down().await;

    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    store
        .save_checkpoint("bad", 0, vec![1, 255, 255, 255, 255])
        .await
        .expect("written");
    store.close().await;

    let jobs = start(&directory).await;
    assert_eq!(
        (state(&jobs, "good"), state(&jobs, "bad")),
        (State::Opened, State::Failed)
    );
    assert_eq!(
        jobs.append("bad", minutes(50..60))
            .await
            .expect_err("refused")
            .status,
        409
    );
    append(&jobs, "good", 50..60).await;
    assert_eq!(records(&jobs, "good"), 60);
    let refused = jobs.close("bad", true, false).await.expect_err("refused");
    assert_eq!(
        refused.reason,
        "cannot close job [bad] because it failed, use force close"
    );
    jobs.close("bad", true, true)
        .await
        .expect("closed by force");
    assert_eq!(
        jobs.open("bad").await,
        Ok(Opening::Opened),
        "it starts again from its last snapshot"
    );
    jobs.shut_down().await;
}

#[tokio::test]
async fn memory_is_shared_out_and_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    jobs.create("large", new_job("60mb", false))
        .await
        .expect("created");
    jobs.create("refused", new_job("60mb", false))
        .await
        .expect("created");
    jobs.create("lazy", new_job("60mb", true))
        .await
        .expect("created");
    assert_eq!(jobs.open("large").await, Ok(Opening::Opened));
    let refused = jobs.open("refused").await.expect_err("no room");
    assert_eq!(refused.status, 429);
    let cause = refused.cause.expect("a cause").reason;
    assert!(cause.contains("insufficient available memory"), "{cause}");
    assert_eq!(state(&jobs, "refused"), State::Closed);
    assert_eq!(jobs.open("lazy").await, Ok(Opening::Waiting));
    // A small one fits beside.
    open(&jobs, "small").await;
    jobs.close("large", false, false).await.expect("closed");
    let deadline = Instant::now() + Duration::from_secs(60);
    while state(&jobs, "lazy") != State::Opened && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(state(&jobs, "lazy"), State::Opened);
    jobs.shut_down().await;
}

#[tokio::test]
async fn the_journal_is_cut_by_snapshots_and_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "kept").await;
    let journalled = async || {
        let entries = jobs.store().read_journal("kept", 0, 100).await;
        entries.expect("read").len()
    };
    let settings = journalled().await;
    append(&jobs, "kept", 0..100).await;
    assert!(settings > 0, "the settings of the run");
    assert_eq!(journalled().await, settings + 1, "and the records");
    jobs.persist("kept").await.expect("persisted");
    assert!(
        jobs.store()
            .read_journal("kept", 0, 100)
            .await
            .expect("read")
            .is_empty()
    );
    let snapshots = jobs.snapshots("kept").await.expect("read");
    assert_eq!(snapshots.len(), 1);
    assert!(
        snapshots[0]
            .description
            .starts_with("Periodic background persist at "),
        "{}",
        snapshots[0].description
    );
    assert_eq!(
        jobs.get("kept").expect("there").model_snapshot_id.as_ref(),
        Some(&snapshots[0].snapshot_id)
    );
    append(&jobs, "kept", 100..150).await;
    // Gone without a word, as after a crash.
    jobs.store().close().await;
    drop(jobs);

    let jobs = start(&directory).await;
    assert_eq!(
        (state(&jobs, "kept"), records(&jobs, "kept")),
        (State::Opened, 150)
    );
    jobs.shut_down().await;
}

#[tokio::test]
async fn interim_results_outlast_a_crash() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "j").await;
    append(&jobs, "j", 0..10).await;
    let flush = FlushRequest {
        calc_interim: true,
        ..FlushRequest::default()
    };
    jobs.flush("j", flush).await.expect("flushed");
    let buckets = async |jobs: &Jobs| {
        let query = ResultQuery {
            job_id: "j".into(),
            kind: ResultKind::Bucket,
            start: None,
            end: None,
            min_score: 0.0,
            exclude_interim: false,
            sort: Sort::Timestamp,
            descending: false,
            from: 0,
            size: 100,
        };
        jobs.results(&query).await.expect("read").docs
    };
    let before = buckets(&jobs).await;
    let interim = |docs: &[String]| {
        let is_interim = |doc: &&String| doc.contains(r#""is_interim":true"#);
        docs.iter().filter(is_interim).cloned().collect::<Vec<_>>()
    };
    assert_eq!(interim(&before).len(), 1, "{before:?}");
    // It was about to be closed: what it does next is not for its interim results either.
    let store = jobs.store();
    let closing = store.set_state("j", State::Closing.name(), None, Some(1));
    closing.await.expect("stored");
    store.close().await;
    drop(jobs);

    let jobs = start(&directory).await;
    assert_eq!(state(&jobs, "j"), State::Closed);
    let after = buckets(&jobs).await;
    assert_eq!(after.len(), before.len());
    assert_eq!(interim(&after), interim(&before));
    // They go when the next bucket is final.
    jobs.open("j").await.expect("opened");
    append(&jobs, "j", 11..13).await;
    assert!(interim(&buckets(&jobs).await).is_empty());
    jobs.shut_down().await;
}

#[tokio::test]
async fn an_update_reaches_the_running_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "plotted").await;
    append(&jobs, "plotted", 0..10).await;
    let update = |body: Value| serde_json::from_value::<JobUpdate>(body).expect("readable");
    let plotted = async || {
        let query = tidewatch_store::ResultQuery {
            job_id: "plotted".to_owned(),
            kind: tidewatch_store::ResultKind::ModelPlot,
            start: None,
            end: None,
            min_score: 0.0,
            exclude_interim: false,
            sort: tidewatch_store::Sort::Timestamp,
            descending: false,
            from: 0,
            size: 0,
        };
        jobs.results(&query).await.expect("read").count
    };
    assert_eq!(plotted().await, 0);
    jobs.update(
        "plotted",
        update(json!({"model_plot_config": {"enabled": true}})),
    )
    .await
    .expect("updated");
    append(&jobs, "plotted", 10..20).await;
    assert_eq!(plotted().await, 10, "one for each bucket that closed since");

    let limits = update(json!({"analysis_limits": {"model_memory_limit": "20mb"}}));
    let refused = jobs.update("plotted", limits).await.expect_err("refused");
    assert_eq!(
        (refused.status, refused.reason.as_str()),
        (400, "Cannot update analysis_limits while the job is open")
    );
    let wrong = update(json!({"description": "new", "results_retention_days": -1}));
    jobs.update("plotted", wrong).await.expect_err("refused");
    assert_eq!(
        jobs.get("plotted").expect("there").description,
        None,
        "nothing of a refused update stays"
    );
    let end = jobs
        .flush(
            "plotted",
            FlushRequest {
                calc_interim: true,
                ..FlushRequest::default()
            },
        )
        .await
        .expect("flushed");
    assert_eq!(end.map(|end| end % 60_000), Some(0));
    jobs.shut_down().await;
}

#[tokio::test]
async fn settings_that_were_stored_just_before_a_crash_reach_the_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "j").await;
    append(&jobs, "j", 0..50).await;
    jobs.shut_down().await;

    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    let row = store.jobs().await.expect("read").remove(0);
    let mut config: Value = serde_json::from_str(&row.config).expect("JSON");
    config["model_plot_config"] = json!({"enabled": true, "annotations_enabled": true});
    let stored = store.save_config("j", &config.to_string()).await;
    stored.expect("stored");
    store.close().await;

    let jobs = start(&directory).await;
    append(&jobs, "j", 50..60).await;
    let plots = ResultQuery {
        job_id: "j".into(),
        kind: ResultKind::ModelPlot,
        start: None,
        end: None,
        min_score: 0.0,
        exclude_interim: true,
        sort: Sort::Timestamp,
        descending: false,
        from: 0,
        size: 1,
    };
    let page = jobs.results(&plots).await.expect("read");
    assert!(page.count >= 9, "{}", page.count);
    jobs.shut_down().await;
}

#[tokio::test]
async fn annotations_go_with_the_results_of_their_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "j").await;
    append(&jobs, "j", 0..5_000).await;
    jobs.shut_down().await;

    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    let last = store.newest_bucket("j").await.expect("read").expect("one");
    let limit = last - 2 * 86_400_000;
    for (id, time, user) in [
        ("old", limit - 1, "_xpack"),
        ("a person's", limit - 1, "ann"),
        ("kept", limit, "_xpack"),
    ] {
        let row = AnnotationRow {
            job_id: "j".into(),
            annotation_id: id.into(),
            timestamp: time,
            doc: json!({"annotation": id, "create_username": user}).to_string(),
        };
        store.annotate(&row).await.expect("written");
    }
    store.close().await;

    let jobs = start(&directory).await;
    let told = async || {
        let all = jobs.annotations("j").await.expect("read").concat();
        ["old", "a person's", "kept"].map(|id| all.contains(&format!("\"{id}\"")))
    };
    let expire = async || jobs.delete_expired(&ExpiredRequest::of("_all")).await;
    assert_eq!(expire().await, Ok(true));
    assert_eq!(told().await, [true; 3], "without a retention all stay");
    let update: JobUpdate =
        serde_json::from_value(json!({"results_retention_days": 2})).expect("readable");
    jobs.update("j", update).await.expect("updated");
    assert_eq!(expire().await, Ok(true));
    assert_eq!(told().await, [false, true, true]);
    jobs.shut_down().await;
}

#[tokio::test]
async fn a_damaged_job_keeps_no_other_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "sound").await;
    jobs.shut_down().await;
    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    let row = JobRow {
        job_id: "damaged".into(),
        config: "{}".into(),
        state: "opened".into(),
        reason: None,
        opened_order: Some(1),
    };
    assert!(store.insert_job(&row).await.expect("stored"));
    store.close().await;

    let jobs = start(&directory).await;
    assert_eq!(jobs.running(), ["sound"]);
    assert_eq!(jobs.get("damaged").expect_err("not read").status, 404);
    let told = jobs.store().notifications(Some("damaged")).await;
    let told = told.expect("read");
    assert!(told[0].message.contains("can't be taken up"), "{told:?}");
    jobs.shut_down().await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_applied_gives_way_to_the_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "j").await;
    append(&jobs, "j", 0..100).await;
    jobs.close("j", false, false).await.expect("closed");
    // The journal of a closed job is empty: this is all that is in it.
    let damaged = jobs.store().append_journal("j", 1, vec![255; 20]);
    damaged.await.expect("written");
    assert_eq!(jobs.open("j").await, Ok(Opening::Opened));
    let stats = jobs.stats("j", false).expect("there");
    assert_eq!(stats[0].data_counts.counts.processed_record_count, 100);
    jobs.store().set_meta("after", "").await.expect("committed");
    let told = jobs.store().notifications(Some("j")).await.expect("read");
    let dropped = |message: &str| message.contains("can't be applied and is dropped");
    assert!(told.iter().any(|note| dropped(&note.message)), "{told:?}");
    jobs.shut_down().await;
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_costs_a_job_nothing_that_it_has_taken() {
    use sqlx::ConnectOptions;
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = start(&directory).await;
    open(&jobs, "j").await;
    append(&jobs, "j", 0..100).await;
    jobs.shut_down().await;

    let path = directory.path().join("tidewatch.db");
    let change = async |sql: &'static str| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = options.connect().await.expect("the database opens");
        sqlx::query(sql).execute(&mut connection).await.expect(sql);
    };
    // What can't be read is not there no more: it is there, behind a store that fails.
    change("ALTER TABLE checkpoint_chunks RENAME TO away").await;
    let jobs = start(&directory).await;
    assert_eq!(state(&jobs, "j"), State::Failed);
    jobs.close("j", false, true).await.expect("closed");
    let error = jobs.open("j").await.expect_err("it fails still");
    assert!(error.is_of_store(), "{error:?}");
    assert_eq!(state(&jobs, "j"), State::Failed);
    change("ALTER TABLE away RENAME TO checkpoint_chunks").await;
    jobs.close("j", false, true).await.expect("closed");
    assert_eq!(jobs.open("j").await, Ok(Opening::Opened));
    assert_eq!(records(&jobs, "j"), 100);
    jobs.shut_down().await;
}
