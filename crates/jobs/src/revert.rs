//! A closed job taken back to one of its model snapshots, or to the day before its first record.

use std::sync::Arc;

use serde_json::json;
use tidewatch_model::counts::DataCounts;
use tidewatch_model::engine::Engine;
use tidewatch_store::{Intervening, ResultRow, Reversion};

use crate::categories;
use crate::config::Job;
use crate::entry::{BlockReason, Entry, State};
use crate::error::{JobError, Result};
use crate::feeding::Position;
use crate::live::json as text;
use crate::manager::Jobs;
use crate::snapshots::{EMPTY, ModelSnapshot, annotation_id};
use crate::stats::Basis;
use crate::tasks::{Kind, NewTask, Task};

/// Annotations that say nothing any more once what they tell of is taken back.
const UNDONE_EVENTS: [&str; 2] = ["delayed_data", "model_change"];

#[derive(Debug, Clone, Copy, Default)]
pub struct RevertRequest {
    /// Results after the snapshot go, too.
    pub delete_intervening_results: bool,
    /// Also a job that is not closed, as long as no engine of it runs: one that has failed, or waits for room.
    pub force: bool,
}

/// What a snapshot knows beside the models.
#[derive(Default)]
pub(crate) struct Learnt {
    counts: DataCounts,
    categories: Vec<ResultRow>,
    pub position: Position,
}

/// A snapshot that a job may be taken back to.
pub(crate) struct Point {
    pub snapshot: ModelSnapshot,
    /// None: it has no state, as those that another engine stored.
    pub learnt: Option<Learnt>,
}

/// What goes beside the models when a job is taken back.
#[derive(Debug, Default)]
pub(crate) struct Undone {
    /// The results of what is taken back.
    pub results: bool,
    /// Model snapshots that are of no use any more: their ids.
    pub snapshots: Vec<String>,
}

impl Jobs {
    /// Takes a job back to a snapshot, which becomes the active one; later ones are kept. Counts, model size and
    /// categories are those of the snapshot; results are kept, unless it is asked otherwise, until new ones take their
    /// place. `empty` is the snapshot of a job that has learnt nothing; one without state, of another engine, leaves the models
    /// empty and says so. The task's answer is the snapshot.
    pub fn revert(&self, job_id: &str, snapshot_id: &str, request: RevertRequest) -> Arc<Task> {
        let new = NewTask {
            kind: Kind::Transport,
            action: "cluster:admin/xpack/ml/job/model_snapshots/revert",
            description: format!("revert-job-{job_id}"),
            is_cancellable: false,
        };
        let (jobs, job_id) = (self.clone(), job_id.to_owned());
        let snapshot_id = snapshot_id.to_owned();
        self.tasks().run(new, |task| async move {
            let snapshot = jobs.revert_for(&job_id, &snapshot_id, request, &task);
            Ok(json!({"model": snapshot.await?}))
        })
    }

    async fn revert_for(
        &self,
        job_id: &str,
        snapshot_id: &str,
        request: RevertRequest,
        task: &Task,
    ) -> Result<ModelSnapshot> {
        let entry = self.entry(job_id)?;
        {
            let _life = entry.life.lock().await;
            self.still_there(job_id, &entry)?;
            self.may_be_taken_back(&entry, snapshot_id, request.force)?;
            self.block(&entry, BlockReason::Revert, &task.id).await?;
        }
        let _turn = entry.blocking.lock().await;
        let outcome = self.take_back(&entry, snapshot_id, request, task).await;
        if outcome.is_err() {
            self.unblock(&entry, &task.id).await?;
            self.let_in_waiting();
        }
        outcome
    }

    fn may_be_taken_back(&self, entry: &Entry, snapshot_id: &str, force: bool) -> Result<()> {
        let job_id = &entry.job.read().job_id.clone();
        let is_closed = entry.status.read().state == State::Closed;
        if !is_closed && (!force || entry.runner.read().is_some()) {
            return Err(JobError::conflict(
                "Can only revert to a model snapshot when the job is closed.",
            ));
        }
        if self.is_upgraded(job_id, snapshot_id) {
            return Err(JobError::conflict(format!(
                "Cannot revert job [{job_id}] to snapshot [{snapshot_id}] as it is being upgraded"
            )));
        }
        match entry.blocked() {
            Some(reason)
                if reason != BlockReason::Revert || self.task_of(entry, reason).is_some() =>
            {
                Err(JobError::conflict(format!(
                    "cannot revert job [{job_id}] to snapshot [{snapshot_id}] while it is blocked with [{}]",
                    reason.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Takes back a job that is blocked for it.
    async fn take_back(
        &self,
        entry: &Entry,
        snapshot_id: &str,
        request: RevertRequest,
        task: &Task,
    ) -> Result<ModelSnapshot> {
        let _configuration = entry.configuration.lock().await;
        let mut job = entry.job.read().clone();
        if !entry.is_blocked_by(&task.id) {
            // It is being deleted.
            return Err(JobError::no_such_job(&job.job_id));
        }
        let point = self.point(&job, snapshot_id).await?;
        let undone = Undone {
            results: request.delete_intervening_results,
            snapshots: Vec::new(),
        };
        job.block(None);
        let snapshot = self.put_back(entry, job, point, undone).await?;
        // One that waited for room has it perhaps.
        self.let_in_waiting();
        Ok(snapshot)
    }

    /// The snapshot of an id, with what it knows.
    pub(crate) async fn point(&self, job: &Job, snapshot_id: &str) -> Result<Point> {
        if snapshot_id == EMPTY {
            return Ok(Point {
                snapshot: ModelSnapshot::empty(&job.job_id, self.now()),
                learnt: Some(Learnt::default()),
            });
        }
        let snapshot = self.snapshot(&job.job_id, snapshot_id).await?;
        let learnt = self.learnt(job, &snapshot).await?;
        Ok(Point { snapshot, learnt })
    }

    /// Makes a job, which doesn't run, what it was at a snapshot; `job` is what else it is to be. Its configuration is
    /// locked.
    pub(crate) async fn put_back(
        &self,
        entry: &Entry,
        mut job: Job,
        point: Point,
        undone: Undone,
    ) -> Result<ModelSnapshot> {
        let Point { snapshot, learnt } = point;
        let (job_id, snapshot_id) = (job.job_id.clone(), &snapshot.snapshot_id);
        let is_empty = snapshot_id == EMPTY;
        let has_state = learnt.is_some();
        job.model_snapshot_id = (!is_empty).then(|| snapshot_id.clone());
        job.model_snapshot_min_version = (!is_empty).then(|| snapshot.min_version.clone());
        let mut live = entry.live.read().clone();
        let learnt = learnt.unwrap_or_else(|| {
            let mut counts = live.counts.clone();
            counts.latest_record_timestamp = snapshot.latest_record_time_stamp;
            Learnt {
                counts,
                ..Learnt::default()
            }
        });
        live.counts = learnt.counts;
        live.size = snapshot.model_size_stats.size.clone();
        live.basis = Basis::default();
        live.basis.of = snapshot.model_size_stats.fixed.assignment_memory_basis;
        // Nothing was learnt since the snapshot, but its size is said anew.
        live.log_time = snapshot.timestamp;
        live.size_log_time = self.now();
        let gone = undone.snapshots.into_iter();
        let to = Reversion {
            config: text(&job),
            stats: live.documents(&job_id),
            categories: learnt.categories,
            intervening: undone.results.then(|| intervening(&snapshot)),
            snapshots: gone.map(|id| (id.clone(), annotation_id(&id))).collect(),
        };
        self.store().revert_job(&job_id, to).await?;
        *entry.live.write() = live;
        let message = format!("Job model snapshot reverted to '{}'", snapshot.description);
        *entry.job.write() = job;
        self.notify(&job_id, "info", &message).await;
        if !has_state {
            let message = format!(
                "Model snapshot [{snapshot_id}] has no model state that can be used here: the job begins with empty models"
            );
            self.notify(&job_id, "warning", &message).await;
        }
        Ok(snapshot)
    }

    /// Reads the state of a snapshot: one that can't be taken up is no way back. None: it has no state, as those that
    /// another engine stored.
    async fn learnt(&self, job: &Job, snapshot: &ModelSnapshot) -> Result<Option<Learnt>> {
        let (job_id, snapshot_id) = (&job.job_id, &snapshot.snapshot_id);
        let state = self
            .store()
            .load_snapshot_state(job_id, snapshot_id)
            .await?
            .unwrap_or_default();
        if state.is_empty() {
            return Ok(None);
        }
        let analysis = job.analysis();
        let learnt = self.0.pool.run(move || {
            Engine::restore(analysis, &state).map(|engine| {
                (
                    Position::of(&engine),
                    engine.counts().clone(),
                    engine.categories(),
                )
            })
        });
        let (position, counts, definitions) = learnt
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
            .map_err(|error| no_state(job_id, snapshot_id, &error))?;
        let partition = job.analysis_config.category_partition();
        let categories = categories::rows(job_id, partition, definitions);
        Ok(Some(Learnt {
            counts,
            categories,
            position,
        }))
    }
}

/// The results that a snapshot does not know of.
fn intervening(snapshot: &ModelSnapshot) -> Intervening {
    Intervening {
        after: snapshot.latest_result_time_stamp.unwrap_or(i64::MIN),
        events: UNDONE_EVENTS.map(str::to_owned).into(),
    }
}

/// What is said of a snapshot whose state is of no use.
pub(crate) fn no_state(job_id: &str, snapshot_id: &str, why: &impl std::fmt::Display) -> JobError {
    JobError::bad_request(format!(
        "the state of model snapshot [{snapshot_id}] of job [{job_id}] can't be restored: {why}"
    ))
}
