use std::path::Path;
use std::time::Duration;

use tidewatch_store::Store;

use super::*;
use crate::clock::Clock;
use crate::config::NewJob;
use crate::life::Opening;
use crate::settings::Settings;

async fn jobs_in(directory: &Path, clock: Clock) -> Jobs {
    let store = Store::open(directory).await.expect("the store opens");
    let settings = Settings {
        clock,
        ..Settings::of_tests()
    };
    Jobs::start(store, settings).await.expect("jobs start")
}

async fn create(jobs: &Jobs, job_id: &str) -> Arc<Entry> {
    let body =
        json!({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}});
    let body = serde_json::from_value::<NewJob>(body).expect("readable");
    jobs.create(job_id, body).await.expect("created");
    jobs.entry(job_id).expect("is there")
}

#[tokio::test]
async fn a_blocked_job_is_for_nothing_else_until_its_task_has_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    let entry = create(&jobs, "j").await;
    for (reason, name) in [
        (BlockReason::Delete, "delete"),
        (BlockReason::Revert, "revert"),
    ] {
        jobs.block(&entry, reason, "n:7").await.expect("stored");
        let shown = json!(jobs.get("j").expect("is there"));
        assert_eq!(shown["blocked"], json!({"reason": name, "task_id": "n:7"}));
        assert_eq!(shown["deleting"] == true, reason == BlockReason::Delete);
        let refused = jobs.open("j").await.expect_err("refused");
        assert_eq!(
            (refused.status, refused.reason),
            (
                409,
                format!("Cannot open job [j] because it is executing [{name}]")
            )
        );
        let refused = jobs
            .reset("j", Annotations::Own)
            .ended()
            .await
            .expect_err("refused");
        assert_eq!(
            (refused.status, refused.reason),
            (
                409,
                format!("cannot reset job while it is blocked with [{name}]")
            )
        );
    }
    jobs.unblock(&entry, "n:8").await.expect("not its own");
    assert_eq!(entry.blocked(), Some(BlockReason::Revert));
    jobs.unblock(&entry, "n:7").await.expect("stored");
    jobs.open("j").await.expect("opens");
}

#[tokio::test]
async fn what_was_cut_short_goes_on_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    for (job_id, reason) in [
        ("deleted", BlockReason::Delete),
        ("reset", BlockReason::Reset),
        ("reverted", BlockReason::Revert),
    ] {
        let entry = create(&jobs, job_id).await;
        jobs.block(&entry, reason, "n:7").await.expect("stored");
    }
    jobs.shut_down().await;
    drop(jobs);
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    for task in jobs.tasks().running() {
        task.ended().await.expect("ends well");
    }
    assert!(jobs.get("deleted").is_err());
    for job_id in ["reset", "reverted"] {
        assert_eq!(jobs.entry(job_id).expect("is there").blocked(), None);
    }
}

#[tokio::test]
async fn a_task_of_the_last_run_is_not_taken_for_one_of_this_that_has_its_number() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    let unknown = jobs.delete("nobody", true, Annotations::Own);
    let (node, _) = unknown.id.split_once(':').expect("a number");
    // Tasks of the next run, whose jobs wait for each other or for themselves if they believe it.
    for (job_id, number) in [("a", 2), ("b", 1), ("c", 3), ("d", 3)] {
        let entry = create(&jobs, job_id).await;
        let (reason, task_id) = (BlockReason::Delete, format!("{node}:{number}"));
        jobs.block(&entry, reason, &task_id).await.expect("stored");
    }
    jobs.shut_down().await;
    drop(jobs);
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    let all_end = async {
        for task in jobs.tasks().running() {
            task.ended().await.expect("ends well");
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), all_end).await;
    ended.expect("they end");
    assert_eq!(jobs.find("_all", true).expect("a list"), []);
}

#[tokio::test]
async fn nothing_lets_in_a_job_that_is_being_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    let set = async |name: &str, value: &str| {
        let transient = [(name.to_owned(), Some(value.to_owned()))].into();
        let changed = jobs.change_settings([].into(), transient).await;
        changed.expect("set");
    };
    set("xpack.ml.max_open_jobs", "1").await;
    set("xpack.ml.max_lazy_ml_nodes", "2").await;
    let (runs, waits) = (create(&jobs, "runs").await, create(&jobs, "waits").await);
    assert_eq!(jobs.open("runs").await, Ok(Opening::Opened));
    assert_eq!(jobs.open("waits").await, Ok(Opening::Waiting));
    let turns = (runs.blocking.lock().await, waits.blocking.lock().await);
    let deletions = ["waits", "runs"].map(|job_id| jobs.delete(job_id, true, Annotations::Own));
    for (entry, task) in [&waits, &runs].into_iter().zip(&deletions) {
        while !entry.is_blocked_by(&task.id) || entry.runner.read().is_some() {
            tokio::task::yield_now().await;
        }
    }
    // There is room for both now.
    set("xpack.ml.max_open_jobs", "5").await;
    {
        let _life = waits.life.lock().await;
        assert_eq!(jobs.let_in(&waits).await, Ok(Opening::Waiting));
    }
    for enabled in [true, false] {
        jobs.set_upgrade_mode(enabled).await.expect("set");
    }
    assert!(waits.runner.read().is_none() && runs.runner.read().is_none());
    drop(turns);
    for task in deletions {
        task.ended().await.expect("deleted");
    }
}

#[tokio::test]
async fn who_deletes_again_waits_for_the_same_deletion() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = jobs_in(directory.path(), Clock::default()).await;
    let entry = create(&jobs, "j").await;
    // As if a revert were at work.
    let turn = entry.blocking.lock().await;
    let first = jobs.delete("j", false, Annotations::Own);
    while !entry.is_blocked_by(&first.id) {
        tokio::task::yield_now().await;
    }
    let second = jobs.delete("j", true, Annotations::Own);
    tokio::task::yield_now().await;
    assert!(first.end().is_none() && second.end().is_none());
    drop(turn);
    for task in [first, second] {
        assert_eq!(task.ended().await, Ok(json!({"acknowledged": true})));
    }
    assert_eq!(
        jobs.delete("j", true, Annotations::Own)
            .ended()
            .await
            .expect_err("gone")
            .status,
        404
    );
}

#[tokio::test]
async fn a_job_without_data_for_long_is_closed_where_the_settings_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::standing(1_000_000);
    let jobs = jobs_in(directory.path(), clock.clone()).await;
    let entry = create(&jobs, "j").await;
    jobs.open("j").await.expect("opens");
    let state = || entry.status.read().state;
    clock.advance(Duration::from_secs(47 * 3_600));
    jobs.close_idle().await;
    assert_eq!(state(), State::Opened);
    let set = |value: &str| {
        let name = "xpack.ml.idle_job_auto_close_timeout".to_owned();
        let transient = [(name, Some(value.to_owned()))].into();
        jobs.change_settings([].into(), transient)
    };
    clock.advance(Duration::from_secs(3_600));
    set("-1").await.expect("set");
    jobs.close_idle().await;
    assert_eq!(state(), State::Opened);
    set("48h").await.expect("set");
    jobs.close_idle().await;
    assert_eq!(state(), State::Closed);
}
