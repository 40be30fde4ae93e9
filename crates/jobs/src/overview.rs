//! How jobs are, all of it at once: what `_stats` asks for.

use std::sync::Arc;
use std::time::Duration;

use crate::entry::{Entry, State, Status};
use crate::error::Result;
use crate::health::Health;
use crate::manager::Jobs;
use crate::stats::{DataCountsDoc, ModelSizeDoc, TimingStats};

/// What is said of a job that waits for room.
const AWAITING: &str = "persistent task is awaiting node assignment.";
/// What is said of one that waits, room or not.
const NOT_ALLOWED: &str = "no persistent task assignments are allowed due to cluster settings";
const UPGRADING: &str = "persistent task cannot be assigned while upgrade mode is enabled.";

/// A job's statistics.
#[derive(Debug, Clone)]
pub struct JobStats {
    pub job_id: String,
    pub state: State,
    pub data_counts: DataCountsDoc,
    pub model_size_stats: ModelSizeDoc,
    pub timing_stats: TimingStats,
    /// Whether it runs.
    pub is_assigned: bool,
    /// Why it doesn't run, though it was opened; empty for one that does.
    pub assignment_explanation: Option<String>,
    /// How long it has been open.
    pub open_for: Option<Duration>,
    pub health: Health,
}

impl Jobs {
    pub fn stats(&self, expression: &str, allow_no_match: bool) -> Result<Vec<JobStats>> {
        let stats = |entry: &Arc<Entry>| {
            let (job, status, live) = (entry.job.read(), entry.status.read(), entry.live.read());
            JobStats {
                job_id: job.job_id.clone(),
                state: status.state,
                data_counts: DataCountsDoc::new(
                    &job.job_id,
                    &live.counts,
                    live.last_data_time,
                    live.log_time,
                ),
                model_size_stats: ModelSizeDoc::new(
                    &job.job_id,
                    &live.size,
                    live.basis.of,
                    live.size_log_time,
                ),
                timing_stats: live.timing.clone(),
                is_assigned: entry.runner.read().is_some(),
                assignment_explanation: self.explanation(&status, entry),
                health: Health::of(&status, &live.size),
                open_for: status.opened_at.map(|since| {
                    Duration::from_millis(self.now().saturating_sub(since).max(0) as u64)
                }),
            }
        };
        Ok(self
            .select(expression, allow_no_match)?
            .iter()
            .map(stats)
            .collect())
    }

    /// What stands in a job's way.
    pub fn health(&self, job_id: &str) -> Result<Health> {
        let entry = self.entry(job_id)?;
        let health = Health::of(&entry.status.read(), &entry.live.read().size);
        Ok(health)
    }

    /// Why a job doesn't run; none for a closed one.
    fn explanation(&self, status: &Status, entry: &Entry) -> Option<String> {
        let runs = entry.runner.read().is_some() || status.opened_at.is_some();
        let told = match status.state {
            State::Closed => return None,
            State::Failed => status.reason.as_deref().unwrap_or_default(),
            _ if runs => "",
            _ if self.0.cluster.upgrade_mode() => UPGRADING,
            _ if !self.0.cluster.may_assign() => NOT_ALLOWED,
            State::Opening => AWAITING,
            _ => "",
        };
        Some(told.to_owned())
    }
}
