//! Whether, and how far back, documents are looked for that came too late.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::TimeSpan;

const LONGEST_WINDOW: i64 = 86_400;
const DEFAULT_SECONDS: i64 = 2 * 3_600;
const DEFAULT_BUCKETS: i64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub struct DelayedDataCheck {
    pub enabled: bool,
    /// How much of the past is looked at; see [`window_for`](Self::window_for).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_window: Option<TimeSpan>,
}

impl Default for DelayedDataCheck {
    fn default() -> Self {
        Self {
            enabled: true,
            check_window: None,
        }
    }
}

impl DelayedDataCheck {
    /// Seconds of the past that are looked at, for a job of this bucket span.
    pub fn window_for(&self, bucket_span: TimeSpan) -> i64 {
        match self.check_window {
            Some(window) => window.as_secs(),
            None => DEFAULT_SECONDS.max(bucket_span.as_secs().saturating_mul(DEFAULT_BUCKETS)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    enabled: bool,
    check_window: Option<TimeSpan>,
}

impl TryFrom<Given> for DelayedDataCheck {
    type Error = ConfigError;

    fn try_from(given: Given) -> Result<Self, ConfigError> {
        if let (true, Some(window)) = (given.enabled, given.check_window) {
            let span = window.as_duration();
            if span.is_zero() {
                return Err(ConfigError::illegal_argument(format!(
                    "check_window cannot be less or equal than 0. Value = {}",
                    window.human()
                )));
            }
            if span.as_secs_f64() > LONGEST_WINDOW as f64 {
                return Err(ConfigError::illegal_argument(format!(
                    "check_window [{window}] must be less than or equal to [24h]"
                )));
            }
        }
        Ok(Self {
            enabled: given.enabled,
            check_window: given.check_window,
        })
    }
}
