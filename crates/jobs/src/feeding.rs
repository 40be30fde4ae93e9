//! What a datafeed must know of its job: whether it runs, and how far it has come.

use tidewatch_model::engine::Engine;
use tokio::sync::watch;

use crate::entry::State;
use crate::error::Result;
use crate::manager::Jobs;

/// How far a job has come, in epoch milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// End of the last bucket that is final.
    pub final_bucket_end: Option<i64>,
    pub latest_record: Option<i64>,
}

impl Position {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self {
            final_bucket_end: engine.last_finalized_bucket_end(),
            latest_record: engine.counts().latest_record_timestamp,
        }
    }

    /// The first moment that the job has not seen: nothing from there on is in it, and all before is, or can't be any
    /// more. None of a job that has seen nothing.
    pub fn next(self) -> Option<i64> {
        let after = self.latest_record.map(|latest| latest.saturating_add(1));
        self.final_bucket_end.max(after)
    }
}

/// Where a job is in its life, for what waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// It takes records.
    pub is_running: bool,
    /// It waits for room, or for upgrade mode to end.
    pub is_waiting: bool,
}

impl Jobs {
    /// How far an open job has come, once all that was submitted before has been applied.
    pub async fn position(&self, job_id: &str) -> Result<Position> {
        let runner = self.runner(job_id)?;
        runner.look(Position::of).await
    }

    pub fn standing(&self, job_id: &str) -> Result<Standing> {
        let entry = self.entry(job_id)?;
        let (state, opened_at) = {
            let status = entry.status.read();
            (status.state, status.opened_at)
        };
        let has_runner = entry.runner.read().is_some();
        let is_open = matches!(state, State::Opening | State::Opened);
        Ok(Standing {
            state,
            is_running: has_runner && state == State::Opened,
            is_waiting: is_open && !has_runner && opened_at.is_none(),
        })
    }

    /// Is told whenever a job's life takes a step, and when upgrade mode begins and ends.
    pub fn steps(&self) -> watch::Receiver<()> {
        self.0.steps.subscribe()
    }
}
