//! A detector in real time: its job is open, and its datafeed goes on.

use std::time::Duration;

use serde_json::{Value, json};
use tidewatch_datafeed::run::{DatafeedState, StartRequest, StopRequest};
use tidewatch_jobs::State as JobState;

use super::change;
use super::detector::Detector;
use super::dialect::{Dialect, status};
use super::stored::{self, Kept, RealTime, Stored};
use super::{history, id};
use crate::ApiState;
use crate::error::Result;
use crate::jobs::lasting;

/// How long a start waits for its source, as Elasticsearch's do.
const TO_START: Duration = Duration::from_secs(20);
/// How long a stop waits for what is just being read.
const TO_STOP: Duration = Duration::from_secs(60);

const STOP: StopRequest = StopRequest {
    allow_no_match: true,
    force: false,
    timeout: TO_STOP,
    close_job: false,
};

/// Whether the job of a detector works, whoever started it.
pub fn is_running(state: &ApiState, kept: &Kept) -> bool {
    works(state, &kept.job.job_id)
}

/// Whether a job is open, or on its way there or back, or has a datafeed that runs.
pub fn works(state: &ApiState, job_id: &str) -> bool {
    is_open(state, job_id) || is_fed(state, job_id)
}

/// Whether a job is open and nothing feeds it: its start was cut short.
pub fn waits(state: &ApiState, job_id: &str) -> bool {
    is_open(state, job_id) && !is_fed(state, job_id)
}

fn is_open(state: &ApiState, job_id: &str) -> bool {
    let standing = state.jobs.standing(job_id);
    standing.is_ok_and(|standing| !matches!(standing.state, JobState::Closed | JobState::Failed))
}

fn is_fed(state: &ApiState, job_id: &str) -> bool {
    let feed = state.feeds.of_job(job_id);
    feed.is_some_and(|feed| state.feeds.status(&feed).state != DatafeedState::Stopped)
}

/// Refuses a detector without anything to look at.
pub fn check_features(detector: &Detector, dialect: Dialect) -> Result<()> {
    let what = dialect.says("job", "detector job");
    let which = match detector.feature_attributes.is_empty() {
        true => "no features configured",
        false if detector.enabled().next().is_none() => "no enabled features configured",
        false => return Ok(()),
    };
    Err(status(400, format!("Can't start {what} as {which}")))
}

/// Starts a detector. It reads a part of the past first, as it is told, and so may judge at once.
pub async fn start(state: &ApiState, id: &str, dialect: Dialect) -> Result<RealTime> {
    let _changing = state.opensearch.changing(id).await;
    let kept = stored::find(state, id)?.ok_or_else(|| dialect.not_found(id))?;
    let detector = &kept.stored.detector;
    check_features(detector, dialect)?;
    if is_running(state, &kept) {
        return Err(status(
            200,
            format!("Anomaly detector job is already running: {id}"),
        ));
    }
    let now = state.jobs.now();
    let interval = detector.interval().max(1);
    let past = detector.history.saturating_mul(interval);
    let start = (now - detector.window_delay.as_millis()).saturating_sub(past);
    run(
        state,
        &kept.job.job_id,
        start.saturating_sub(start.rem_euclid(interval)),
        None,
    )
    .await?;
    let begun = begun(&kept, now);
    let new = Stored {
        real_time: Some(begun.clone()),
        ..kept.stored.clone()
    };
    change::keep(state, &kept, &new).await?;
    Ok(begun)
}

/// What is said of a detector that runs from now on. `now`: epoch milliseconds.
fn begun(kept: &Kept, now: i64) -> RealTime {
    let before = kept.stored.real_time.as_ref();
    RealTime {
        task_id: id(),
        version: before.map_or(1, |before| before.version.saturating_add(1)),
        enabled_time: now,
        last_update_time: now,
        disabled_time: None,
    }
}

/// Says of a detector that it runs, where it does and nothing says so: its start was cut short.
pub async fn acknowledge(state: &ApiState, kept: &Kept) -> Result<()> {
    let told = kept.stored.real_time.as_ref();
    if told.is_some_and(|told| told.disabled_time.is_none()) || !is_running(state, kept) {
        return Ok(());
    }
    let new = Stored {
        real_time: Some(begun(kept, state.jobs.now())),
        ..kept.stored.clone()
    };
    change::keep(state, kept, &new).await
}

/// Opens a job and starts its datafeed, both or neither.
pub async fn run(state: &ApiState, job_id: &str, start: i64, end: Option<i64>) -> Result<()> {
    let (jobs, id) = (state.jobs.clone(), job_id.to_owned());
    lasting(async move { jobs.open(&id).await }).await?;
    let request = StartRequest {
        start: start.max(0),
        end,
        timeout: TO_START,
    };
    let (feeds, id) = (state.feeds.clone(), job_id.to_owned());
    let started = lasting(async move { feeds.start_feed(&id, request).await }).await;
    if let Err(error) = started {
        give_up(state, job_id).await?;
        return Err(error);
    }
    Ok(())
}

/// Closes a job whose datafeed has not begun in time. It waits for no source.
async fn give_up(state: &ApiState, job_id: &str) -> Result<()> {
    if let Some(feed) = state.feeds.of_job(job_id) {
        let request = StopRequest {
            force: true,
            ..STOP
        };
        state.feeds.stop_feeds(&feed.datafeed_id, request).await?;
    }
    halt(state, job_id).await
}

/// Stops the datafeed of a job and closes it.
pub async fn halt(state: &ApiState, job_id: &str) -> Result<()> {
    let (feeds, id) = (state.feeds.clone(), job_id.to_owned());
    lasting(async move {
        if let Some(feed) = feeds.of_job(&id) {
            feeds.stop_feeds(&feed.datafeed_id, STOP).await?;
        }
        feeds.close_jobs(&id, true, false).await
    })
    .await
}

/// Stops a detector.
pub async fn stop(state: &ApiState, id: &str, dialect: Dialect) -> Result<()> {
    let _changing = state.opensearch.changing(id).await;
    let kept = stored::find(state, id)?.ok_or_else(|| dialect.not_found(id))?;
    let was_running = is_running(state, &kept);
    if was_running {
        halt(state, &kept.job.job_id).await?;
    }
    let Some(real_time) = &kept.stored.real_time else {
        return match dialect.is_legacy() && !was_running {
            true => Err(status(400, format!("Anomaly detector job not exist: {id}"))),
            false => Ok(()),
        };
    };
    if !was_running {
        let what = dialect.says("job", "Anomaly detector job");
        return Err(status(200, format!("{what} is already stopped: {id}")));
    }
    let now = state.jobs.now();
    let stopped = RealTime {
        version: real_time.version.saturating_add(1),
        disabled_time: Some(now),
        last_update_time: now,
        ..real_time.clone()
    };
    let new = Stored {
        real_time: Some(stopped),
        ..kept.stored.clone()
    };
    change::keep(state, &kept, &new).await
}

/// The job document of a detector that was started once.
pub fn job(state: &ApiState, kept: &Kept, dialect: Dialect) -> Option<Value> {
    let real_time = kept.stored.real_time.as_ref()?;
    let detector = &kept.stored.detector;
    let mut told = json!({
        "name": kept.stored.id,
        "schedule": {"interval": {
            "start_time": real_time.enabled_time,
            "period": detector.detection_interval.interval(),
            "unit": detector.detection_interval.unit()
        }},
        "window_delay": detector.window_delay,
        "enabled": is_running(state, kept),
        "enabled_time": real_time.enabled_time,
        "last_update_time": real_time.last_update_time,
        "lock_duration_seconds": detector.interval() / 1_000
    });
    if let Some(time) = real_time.disabled_time {
        told["disabled_time"] = time.into();
    }
    if let Some(index) = &detector.result_index {
        told["result_index"] = index.as_str().into();
    }
    if !dialect.is_legacy() {
        told["type"] = "AD".into();
    }
    Some(told)
}

/// How the last run in real time goes, or ended.
pub fn task(state: &ApiState, kept: &Kept, dialect: Dialect, to_dashboards: bool) -> Option<Value> {
    let real_time = kept.stored.real_time.as_ref()?;
    let detector = &kept.stored.detector;
    let dialect_of = kept.stored.dialect;
    let progress = history::progress(state, &kept.job.job_id, detector, dialect_of);
    let task_state = match (is_running(state, kept), progress.is_done()) {
        (false, _) => "STOPPED",
        (true, false) => "INIT",
        (true, true) => "RUNNING",
    };
    let task_type = match detector.categories().is_empty() {
        true => "REALTIME_SINGLE_ENTITY",
        false => "REALTIME_HC_DETECTOR",
    };
    let mut told = json!({
        "task_id": real_time.task_id,
        "last_update_time": real_time.last_update_time,
        "state": task_state,
        "detector_id": kept.stored.id,
        "task_progress": 0.0,
        "init_progress": progress.share(),
        "execution_start_time": real_time.enabled_time,
        "is_latest": true,
        "task_type": task_type,
        "coordinating_node": state.identity.node_id,
        "detector": detector.told(dialect, to_dashboards)
    });
    if let Some(time) = real_time.disabled_time {
        told["execution_end_time"] = time.into();
    }
    Some(told)
}
