//! How a datafeed is, as its statistics tell it.

use serde::{Deserialize, Serialize};

use super::timing::TimingStats;
use crate::source::Window;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatafeedState {
    #[default]
    Stopped,
    /// It waits for its job.
    Starting,
    Started,
    /// It ends once its running search has.
    Stopping,
}

impl DatafeedState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
        }
    }
}

/// The state of a datafeed and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    pub state: DatafeedState,
    /// Whether it has its job's node.
    pub is_assigned: bool,
    /// Why it doesn't run, though it was started; empty for one that does. None of one that is stopped.
    pub assignment_explanation: Option<String>,
    /// None of one that is stopped.
    pub running_state: Option<RunningState>,
    pub timing_stats: TimingStats,
}

/// `running_state` of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RunningState {
    /// Whether it goes on when the past is read.
    pub real_time_configured: bool,
    /// Whether the past is read.
    pub real_time_running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_interval: Option<SearchInterval>,
}

/// What was searched last. Epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SearchInterval {
    pub start_ms: i64,
    pub end_ms: i64,
}

impl From<Window> for SearchInterval {
    fn from(window: Window) -> Self {
        Self {
            start_ms: window.start,
            end_ms: window.end,
        }
    }
}
