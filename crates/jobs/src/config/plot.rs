//! `model_plot_config`.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::given;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "RawModelPlotConfig")]
pub struct ModelPlotConfig {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    pub annotations_enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModelPlotConfig {
    #[serde(deserialize_with = "given")]
    enabled: Option<bool>,
    terms: Option<String>,
    #[serde(default, deserialize_with = "given")]
    annotations_enabled: Option<bool>,
}

impl From<RawModelPlotConfig> for ModelPlotConfig {
    fn from(raw: RawModelPlotConfig) -> Self {
        let enabled = raw.enabled == Some(true);
        Self {
            enabled,
            terms: raw.terms,
            annotations_enabled: raw.annotations_enabled.unwrap_or(enabled),
        }
    }
}
