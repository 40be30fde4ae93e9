//! `model_plot_config`.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::ConfigError;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawModelPlotConfig")]
pub struct ModelPlotConfig {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    pub annotations_enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModelPlotConfig {
    enabled: bool,
    terms: Option<String>,
    annotations_enabled: Option<bool>,
}

impl TryFrom<RawModelPlotConfig> for ModelPlotConfig {
    type Error = ConfigError;

    fn try_from(raw: RawModelPlotConfig) -> std::result::Result<Self, ConfigError> {
        let annotations_enabled = raw.annotations_enabled.unwrap_or(raw.enabled);
        Ok(Self {
            enabled: raw.enabled,
            terms: raw.terms,
            annotations_enabled,
        })
    }
}
