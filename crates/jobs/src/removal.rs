//! Deletion and reset of jobs. Both run as tasks and go in small steps, so that a big job holds up nobody's writes; the
//! job is blocked meanwhile, in the store too: what a crash cuts short goes on at the next start.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_store::Annotations;

use crate::entry::{BlockReason, Entry, State};
use crate::error::{JobError, Result};
use crate::live::{Live, json as text};
use crate::manager::Jobs;
use crate::tasks::{Kind, NewTask, Task};

/// Rows that one transaction deletes.
const ROWS: u32 = 2_000;

impl Jobs {
    /// Deletes a job with all that it left, an open one only by force. A deletion that runs already is joined.
    /// Annotations that people wrote go only where that is asked.
    pub fn delete(&self, job_id: &str, force: bool, annotations: Annotations) -> Arc<Task> {
        let new = NewTask {
            kind: Kind::Transport,
            action: "cluster:admin/xpack/ml/job/delete",
            description: format!("delete-job-{job_id}"),
            is_cancellable: false,
        };
        let (jobs, job_id) = (self.clone(), job_id.to_owned());
        self.tasks().run(new, |task| async move {
            jobs.delete_for(&job_id, force, annotations, &task).await
        })
    }

    /// Forgets all that a closed job has learnt and found; its configuration stays. A reset that runs already is joined.
    /// Annotations that people wrote go only where that is asked.
    pub fn reset(&self, job_id: &str, annotations: Annotations) -> Arc<Task> {
        let new = NewTask {
            kind: Kind::Transport,
            action: "cluster:admin/xpack/ml/job/reset",
            description: format!("job-{job_id}"),
            is_cancellable: true,
        };
        let (jobs, job_id) = (self.clone(), job_id.to_owned());
        self.tasks().run(new, |task| async move {
            jobs.reset_for(&job_id, annotations, &task).await
        })
    }

    async fn delete_for(
        &self,
        job_id: &str,
        force: bool,
        annotations: Annotations,
        task: &Task,
    ) -> Result<Value> {
        let entry = self.entry(job_id)?;
        let other = {
            let _life = entry.life.lock().await;
            self.still_there(job_id, &entry)?;
            let state = entry.status.read().state;
            if state != State::Closed && !force {
                return Err(JobError::conflict(format!(
                    "Cannot delete job [{job_id}] because the job is {}",
                    state.name()
                )));
            }
            let other = self.task_of(&entry, BlockReason::Delete);
            if other.is_none() {
                let message = format!("Deleting job by task with id '{}'", task.id);
                self.notify(job_id, "info", &message).await;
                self.block(&entry, BlockReason::Delete, &task.id).await?;
            }
            other
        };
        if let Some(other) = other {
            return other.ended().await;
        }
        // Not while its life is locked: a datafeed that ends may just be closing the job.
        if let Err(refused) = self.let_datafeed_go(job_id, force).await {
            self.unblock(&entry, &task.id).await?;
            return Err(refused);
        }
        let runner = entry.runner.write().take();
        if let Some(runner) = runner {
            // Waits for what is at work, so that nothing is written after the deletion.
            if let Err(error) = runner.finish().await {
                tracing::debug!(job_id, %error, "deleted without its last state");
            }
        }
        // A reset or a revert sees that the job is no longer its own, and ends.
        let _turn = entry.blocking.lock().await;
        if let Err(error) = self.remove(job_id, annotations).await {
            let message = format!("Error deleting job: {error}");
            self.notify(job_id, "error", &message).await;
            return Err(error);
        }
        self.0.jobs.write().remove(job_id);
        self.notify(job_id, "info", "Job deleted").await;
        self.let_in_waiting();
        Ok(json!({"acknowledged": true}))
    }

    async fn remove(&self, job_id: &str, annotations: Annotations) -> Result<()> {
        while self.0.store.clear_some(job_id, ROWS, annotations).await? > 0 {}
        // No calendar that is just being changed gets its name back.
        let _resources = self.0.resources.lock().await;
        Ok(self.0.store.delete_job(job_id, annotations).await?)
    }

    async fn reset_for(
        &self,
        job_id: &str,
        annotations: Annotations,
        task: &Task,
    ) -> Result<Value> {
        if self.0.cluster.upgrade_mode() {
            return Err(JobError::conflict(
                "cannot reset job while indices are being upgraded",
            ));
        }
        let entry = self.entry(job_id)?;
        loop {
            let other = {
                let _life = entry.life.lock().await;
                self.still_there(job_id, &entry)?;
                if entry.status.read().state != State::Closed {
                    return Err(JobError::conflict(
                        "Can only reset a job when it is closed.",
                    ));
                }
                match entry.blocked() {
                    None | Some(BlockReason::Reset) => {}
                    Some(other) => {
                        return Err(JobError::conflict(format!(
                            "cannot reset job while it is blocked with [{}]",
                            other.name()
                        )));
                    }
                }
                let other = self.task_of(&entry, BlockReason::Reset);
                if other.is_none() {
                    self.block(&entry, BlockReason::Reset, &task.id).await?;
                }
                other
            };
            let Some(other) = other else { break };
            other.ended().await?;
            if entry.blocked().is_none() {
                return Ok(json!({"acknowledged": true}));
            }
        }
        let _turn = entry.blocking.lock().await;
        let done = self.clear(&entry, annotations, task).await?;
        if done {
            self.notify(job_id, "info", "Job has been reset").await;
        }
        Ok(json!({"acknowledged": done}))
    }

    /// Takes a job back to its first day. False: it was stopped half-way, and the job stays blocked.
    async fn clear(&self, entry: &Entry, annotations: Annotations, task: &Task) -> Result<bool> {
        let job_id = entry.job.read().job_id.clone();
        loop {
            if task.is_cancelled() || !entry.is_blocked_by(&task.id) {
                return Ok(false);
            }
            if self.0.store.clear_some(&job_id, ROWS, annotations).await? == 0 {
                break;
            }
        }
        let _configuration = entry.configuration.lock().await;
        if !entry.is_blocked_by(&task.id) {
            return Ok(false);
        }
        let mut job = entry.job.read().clone();
        job.model_snapshot_id = None;
        job.model_snapshot_min_version = None;
        job.finished_time = None;
        job.block(None);
        self.0
            .store
            .clear_job(&job_id, &text(&job), annotations)
            .await?;
        *entry.job.write() = job;
        *entry.live.write() = Live::new(&job_id);
        Ok(true)
    }

    /// The task that blocks a job for a reason, if it still runs.
    pub(crate) fn task_of(&self, entry: &Entry, reason: BlockReason) -> Option<Arc<Task>> {
        let blocked = entry.job.read().blocked.clone()?;
        let task = self.tasks().get(&blocked.task_id?)?;
        (blocked.reason == reason && task.end().is_none()).then_some(task)
    }

    /// Goes on with what the end of the last run cut short.
    pub(crate) async fn resume_removals(&self) {
        for entry in self.entries() {
            let Some(reason) = entry.blocked() else {
                continue;
            };
            let job_id = entry.job.read().job_id.clone();
            tracing::info!(
                job_id,
                reason = reason.name(),
                "going on with what was cut short"
            );
            entry.forget_task();
            match reason {
                BlockReason::Delete => drop(self.delete(&job_id, true, Annotations::Own)),
                BlockReason::Reset => drop(self.reset(&job_id, Annotations::Own)),
                BlockReason::Revert => {
                    // It changes the job in one step: it has happened, or it hasn't.
                    if let Err(error) = self.set_blocked(&entry, None).await {
                        tracing::error!(job_id, %error, "the job stays blocked");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
