//! Historical analysis: a detector over a part of the past. Each run is a job of its own, and its id is the task's.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidewatch_jobs::State as JobState;
use tidewatch_jobs::config::Job;
use tidewatch_model::counts::DataCounts;

use super::detector::Detector;
use super::dialect::{Dialect, status};
use super::job::Wanted;
use super::progress::Progress;
use super::{change, id, real_time, stored};
use crate::ApiState;
use crate::error::{ApiError, Result};

/// Where a run stands in its job's `custom_settings`.
const SETTING: &str = "opensearch_task";
/// Runs that are kept behind the last one.
const KEPT: usize = 1;

/// What is kept of a run beside its job. Epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub detector_id: String,
    /// As it was when the run began.
    pub detector: Detector,
    /// In which the detector was created.
    #[serde(default)]
    pub dialect: Dialect,
    pub start_time: i64,
    pub end_time: i64,
    pub execution_start_time: i64,
    /// When someone stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<i64>,
}

/// A run and its job.
#[derive(Debug, Clone)]
pub struct Task {
    pub run: Run,
    pub job: Job,
}

impl Task {
    fn of(job: Job) -> Option<Self> {
        if job.deleting {
            return None;
        }
        let kept = job.custom_settings.as_ref()?.get(SETTING)?;
        let run = Run::deserialize(kept).ok()?;
        Some(Self { run, job })
    }

    pub fn id(&self) -> &str {
        &self.job.job_id
    }

    pub fn progress(&self, state: &ApiState) -> Progress {
        progress(state, self.id(), &self.run.detector, self.run.dialect)
    }
}

/// All runs, the last ones first.
pub fn all(state: &ApiState) -> Result<Vec<Task>> {
    let jobs = state.jobs.find("_all", true)?;
    let mut all: Vec<Task> = jobs.into_iter().filter_map(Task::of).collect();
    all.sort_by_key(|task| std::cmp::Reverse(task.run.execution_start_time));
    Ok(all)
}

/// The runs of a detector, the last one first.
pub fn of(state: &ApiState, detector_id: &str) -> Result<Vec<Task>> {
    let mut all = all(state)?;
    all.retain(|task| task.run.detector_id == detector_id);
    Ok(all)
}

pub fn latest(state: &ApiState, detector_id: &str) -> Result<Option<Task>> {
    Ok(of(state, detector_id)?.into_iter().next())
}

pub fn is_running(state: &ApiState, detector_id: &str) -> Result<bool> {
    let all = of(state, detector_id)?;
    Ok(all
        .iter()
        .any(|task| real_time::works(state, &task.job.job_id)))
}

/// Begins a run from `start` to `end`, epoch milliseconds: its task's id.
pub async fn start(
    state: &ApiState,
    detector_id: &str,
    (start, end): (i64, i64),
    dialect: Dialect,
) -> Result<String> {
    if end <= start {
        return Err(ApiError::illegal_argument(
            "Detection data range's end time must be after start time",
        ));
    }
    let _changing = state.opensearch.changing(detector_id).await;
    let kept = stored::find(state, detector_id)?.ok_or_else(|| dialect.not_found(detector_id))?;
    real_time::check_features(&kept.stored.detector, dialect)?;
    if is_running(state, detector_id)? {
        return Err(status(400, "Detector is already running"));
    }
    let run = Run {
        detector_id: detector_id.to_owned(),
        detector: kept.stored.detector.clone(),
        dialect: kept.stored.dialect,
        start_time: start,
        end_time: end,
        execution_start_time: state.jobs.now(),
        stopped: None,
    };
    let wanted = Wanted {
        detector: &run.detector,
        dialect: run.dialect,
        query: &stored::query(state, &kept),
        entities: None,
    };
    let new = wanted.job(state, (SETTING, json!(run)))?;
    let task_id = id();
    change::create_job(state, &task_id, new).await?;
    if let Err(error) = real_time::run(state, &task_id, start, Some(end)).await {
        change::delete_job(state, &task_id).await?;
        return Err(error);
    }
    for old in of(state, detector_id)?.iter().skip(1 + KEPT) {
        change::delete_job(state, &old.job.job_id).await?;
    }
    Ok(task_id)
}

/// Stops the run of a detector: its task's id.
pub async fn stop(state: &ApiState, detector_id: &str, dialect: Dialect) -> Result<String> {
    let _changing = state.opensearch.changing(detector_id).await;
    stored::find(state, detector_id)?.ok_or_else(|| dialect.not_found(detector_id))?;
    let Some(task) = latest(state, detector_id)? else {
        return Err(status(400, "Detector not started"));
    };
    if !real_time::works(state, task.id()) {
        return Err(status(400, "No running task found"));
    }
    let run = Run {
        stopped: Some(state.jobs.now()),
        ..task.run.clone()
    };
    change::set(state, task.id(), SETTING, json!(run)).await?;
    real_time::halt(state, task.id()).await?;
    Ok(task.job.job_id)
}

/// What a job has counted.
fn counts(state: &ApiState, job_id: &str) -> DataCounts {
    let stats = state.jobs.stats(job_id, true).ok();
    let stats = stats.and_then(|mut stats| stats.pop());
    stats.map_or_else(DataCounts::default, |stats| stats.data_counts.counts)
}

/// How far the forests of a job are, whose intervals all count.
pub fn progress(state: &ApiState, job_id: &str, detector: &Detector, dialect: Dialect) -> Progress {
    Progress::new(counts(state, job_id).bucket_count, detector, dialect)
}

/// Whether it was left before anything was read.
pub fn never_began(state: &ApiState, task: &Task) -> bool {
    let standing = state.jobs.standing(task.id());
    let is_closed = standing.is_ok_and(|standing| standing.state == JobState::Closed);
    let has_ended = task.run.stopped.is_some() || task.job.finished_time.is_some();
    (is_closed || real_time::waits(state, task.id()))
        && !has_ended
        && counts(state, task.id()).bucket_count == 0
}

/// How a run goes, or ended.
pub fn state_of(state: &ApiState, task: &Task) -> &'static str {
    let standing = state.jobs.standing(task.id());
    if real_time::works(state, task.id()) {
        return match task.progress(state).is_done() {
            true => "RUNNING",
            false => "INIT",
        };
    }
    let has_failed = standing.is_ok_and(|standing| standing.state == JobState::Failed);
    match (task.run.stopped, task.job.finished_time) {
        (Some(_), _) => "STOPPED",
        (None, Some(_)) if !has_failed => "FINISHED",
        // It is just being started.
        (None, None) if counts(state, task.id()).bucket_count == 0 && !has_failed => "CREATED",
        _ => "FAILED",
    }
}

pub fn told(state: &ApiState, task: &Task, dialect: Dialect, to_dashboards: bool) -> Value {
    let run = &task.run;
    let task_state = state_of(state, task);
    let latest = counts(state, task.id()).latest_record_timestamp;
    let whole = run.end_time.saturating_sub(run.start_time).max(1);
    let done = latest.map_or(0, |latest| {
        let end = latest.saturating_add(run.detector.interval());
        end.saturating_sub(run.start_time)
    });
    let progress = match task_state {
        "FINISHED" => 1.0,
        _ => (done as f64 / whole as f64).clamp(0.0, 1.0),
    };
    let task_type = match run.detector.categories().is_empty() {
        true => "HISTORICAL_SINGLE_ENTITY",
        false => "HISTORICAL_HC_DETECTOR",
    };
    let now = state.jobs.now();
    let ended = match task_state {
        "CREATED" | "INIT" | "RUNNING" => None,
        _ => run.stopped.or(task.job.finished_time),
    };
    let mut told = json!({
        "task_id": task.id(),
        "last_update_time": ended.unwrap_or(now),
        "state": task_state,
        "detector_id": run.detector_id,
        "task_progress": progress,
        "init_progress": task.progress(state).share(),
        "execution_start_time": run.execution_start_time,
        "is_latest": is_latest(state, task),
        "task_type": task_type,
        "coordinating_node": state.identity.node_id,
        "worker_node": state.identity.node_id,
        "detector": run.detector.told(dialect, to_dashboards),
        "detection_date_range": {"start_time": run.start_time, "end_time": run.end_time}
    });
    if let Some(latest) = latest {
        told["current_piece"] = latest.into();
    }
    if let Some(ended) = ended {
        told["execution_end_time"] = ended.into();
    }
    told
}

fn is_latest(state: &ApiState, task: &Task) -> bool {
    let last = latest(state, &task.run.detector_id);
    last.is_ok_and(|last| last.is_none_or(|last| last.id() == task.id()))
}
