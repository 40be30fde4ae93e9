//! How a long search is cut into shorter ones.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::TimeSpan;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkingMode {
    /// By how dense the documents are.
    Auto,
    /// By a span of time.
    Manual,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub struct ChunkingConfig {
    pub mode: ChunkingMode,
    /// Of manual chunks, and only of those; longer than nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_span: Option<TimeSpan>,
}

impl ChunkingConfig {
    pub const fn auto() -> Self {
        Self {
            mode: ChunkingMode::Auto,
            time_span: None,
        }
    }

    pub const fn manual(time_span: TimeSpan) -> Self {
        Self {
            mode: ChunkingMode::Manual,
            time_span: Some(time_span),
        }
    }

    pub const fn off() -> Self {
        Self {
            mode: ChunkingMode::Off,
            time_span: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    mode: String,
    time_span: Option<TimeSpan>,
}

impl TryFrom<Given> for ChunkingConfig {
    type Error = ConfigError;

    fn try_from(given: Given) -> Result<Self, ConfigError> {
        let mode = match given.mode.to_lowercase().as_str() {
            "auto" => ChunkingMode::Auto,
            "manual" => ChunkingMode::Manual,
            "off" => ChunkingMode::Off,
            _ => {
                return Err(ConfigError::illegal_argument(format!(
                    "No enum constant org.elasticsearch.xpack.core.ml.datafeed.ChunkingConfig.Mode.{}",
                    given.mode.to_uppercase()
                )));
            }
        };
        let refuse = |reason| Err(ConfigError::illegal_argument(reason));
        match (mode, given.time_span) {
            (ChunkingMode::Manual, None) => {
                refuse("when chunk mode is manual time_span is required")
            }
            (ChunkingMode::Manual, Some(span)) if span.as_duration().as_millis() == 0 => {
                refuse("chunk time_span has to be positive")
            }
            (ChunkingMode::Auto | ChunkingMode::Off, Some(_)) => {
                refuse("chunk time_span may only be set when mode is manual")
            }
            (mode, time_span) => Ok(Self { mode, time_span }),
        }
    }
}
