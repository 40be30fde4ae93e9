//! One job in memory: its configuration, where it stands in its life, and its runner while it is open.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::config::Job;
use crate::live::Live;
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

#[derive(Debug, Clone)]
pub struct Status {
    pub state: State,
    pub reason: Option<String>,
    /// The order in which jobs asked to be opened; only while they wait or run.
    pub order: Option<i64>,
    /// Epoch milliseconds.
    pub opened_at: Option<i64>,
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
        }
    }
}
