//! One job in memory: its configuration, where it stands in its life, and its runner while it is open.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::config::Job;
use crate::error::Result;
use crate::forecasts::Forecasts;
use crate::live::{Live, json};
use crate::manager::Jobs;
use crate::runner::Runner;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Closed,
    /// Waiting for room, or taking up its state.
    Opening,
    Opened,
    Closing,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Opening => "opening",
            Self::Opened => "opened",
            Self::Closing => "closing",
            Self::Failed => "failed",
        }
    }

    pub fn parse(name: &str) -> Self {
        match name {
            "opening" => Self::Opening,
            "opened" => Self::Opened,
            "closing" => Self::Closing,
            "failed" => Self::Failed,
            _ => Self::Closed,
        }
    }
}

/// What keeps a job from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockReason {
    Delete,
    Reset,
    Revert,
}

impl BlockReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Reset => "reset",
            Self::Revert => "revert",
        }
    }
}

/// `blocked` of a job's configuration: other work on it is refused until the task has ended. It is stored with the
/// job, so that a deletion or a reset that was cut short goes on at the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    pub reason: BlockReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Status {
    pub state: State,
    pub reason: Option<String>,
    /// The order in which jobs asked to be opened; only while they wait or run.
    pub order: Option<i64>,
    /// Epoch milliseconds; only of a job that runs.
    pub opened_at: Option<i64>,
    /// Since when it has been in this state, or in this run of the server. Epoch milliseconds.
    pub since: i64,
}

/// One job.
pub struct Entry {
    pub job: RwLock<Job>,
    pub status: RwLock<Status>,
    pub runner: RwLock<Option<Arc<Runner>>>,
    pub live: Arc<RwLock<Live>>,
    /// One step of its life at a time: open, close, update, delete.
    pub life: Mutex<()>,
    /// Guards reading, changing and storing the configuration.
    pub configuration: Mutex<()>,
    /// Held while rules are read and handed to the runner: those handed last are the latest.
    pub rules: Mutex<()>,
    /// Held by the work that blocks the job. The next one that blocks it waits for it here.
    pub blocking: Mutex<()>,
    pub forecasts: Forecasts,
}

impl Entry {
    pub fn new(job: Job, status: Status, live: Live) -> Self {
        Self {
            job: RwLock::new(job),
            status: RwLock::new(status),
            runner: RwLock::new(None),
            live: Arc::new(RwLock::new(live)),
            life: Mutex::default(),
            configuration: Mutex::default(),
            rules: Mutex::default(),
            blocking: Mutex::default(),
            forecasts: Forecasts::default(),
        }
    }

    /// What the job is blocked by, if it is.
    pub fn blocked(&self) -> Option<BlockReason> {
        self.job
            .read()
            .blocked
            .as_ref()
            .map(|blocked| blocked.reason)
    }

    /// Whether it is the task of this id that blocks the job.
    pub fn is_blocked_by(&self, task_id: &str) -> bool {
        let job = self.job.read();
        let blocked = job.blocked.as_ref();
        blocked.and_then(|blocked| blocked.task_id.as_deref()) == Some(task_id)
    }

    /// The task that blocks the job went with the last run of the server: another may have its number now.
    pub fn forget_task(&self) {
        if let Some(blocked) = &mut self.job.write().blocked {
            blocked.task_id = None;
        }
    }
}

impl Jobs {
    /// Blocks a job for a task, over whatever blocked it: that ends when it sees that it no longer does. The job's life
    /// is locked, and its state was looked at.
    pub(crate) async fn block(
        &self,
        entry: &Entry,
        reason: BlockReason,
        task_id: &str,
    ) -> Result<()> {
        let task_id = Some(task_id.to_owned());
        self.set_blocked(entry, Some(Blocked { reason, task_id }))
            .await
    }

    /// The task has ended, and with it its block; another's stays.
    pub(crate) async fn unblock(&self, entry: &Entry, task_id: &str) -> Result<()> {
        match entry.is_blocked_by(task_id) {
            true => self.set_blocked(entry, None).await,
            false => Ok(()),
        }
    }

    pub(crate) async fn set_blocked(&self, entry: &Entry, blocked: Option<Blocked>) -> Result<()> {
        let _configuration = entry.configuration.lock().await;
        let mut job = entry.job.read().clone();
        job.block(blocked);
        self.store().save_config(&job.job_id, &json(&job)).await?;
        *entry.job.write() = job;
        Ok(())
    }
}
