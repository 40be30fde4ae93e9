//! Whether a job's engine is the random cut forest, which its custom settings say.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::forest::ForestConfig;

use super::Job;
use crate::error::{JobError, Result};

/// The engine's name, which is that of its settings too.
pub const RANDOM_CUT_FOREST: &str = "random_cut_forest";

fn of(settings: Option<&Map<String, Value>>) -> Result<Option<ForestConfig>> {
    let refuse = |reason: String| Err(JobError::bad_request(reason));
    let setting = |name: &str| settings.and_then(|settings| settings.get(name));
    let given = setting(RANDOM_CUT_FOREST);
    match setting("engine") {
        None if given.is_some() => refuse(format!(
            "custom_settings.{RANDOM_CUT_FOREST} belongs to jobs whose custom_settings.engine is [{RANDOM_CUT_FOREST}]"
        )),
        None => Ok(None),
        Some(Value::String(name)) if name == RANDOM_CUT_FOREST => match given {
            None => Ok(Some(ForestConfig::default())),
            Some(given) => match ForestConfig::deserialize(given) {
                Ok(config) => Ok(Some(config)),
                Err(error) => refuse(format!("custom_settings.{RANDOM_CUT_FOREST}: {error}")),
            },
        },
        Some(other) => refuse(format!(
            "custom_settings.engine can only be [{RANDOM_CUT_FOREST}]. It is {other}"
        )),
    }
}

/// An analysis with the engine that custom settings name.
///
/// # Errors
/// 400 for an engine that there isn't, or settings that can't be followed.
pub fn with_engine(
    analysis: AnalysisConfig,
    settings: Option<&Map<String, Value>>,
) -> Result<AnalysisConfig> {
    let forest = of(settings)?;
    if let Some(config) = &forest {
        config.check(&analysis)?;
    }
    Ok(AnalysisConfig { forest, ..analysis })
}

impl Job {
    /// The settings of its forests; none for a job of the usual engine.
    pub fn forest(&self) -> Option<ForestConfig> {
        // What a job of a former version says of engines was never looked at, and means nothing.
        of(self.custom_settings.as_ref()).ok().flatten()
    }

    /// The analysis, with the engine that makes it.
    pub fn analysis(&self) -> AnalysisConfig {
        AnalysisConfig {
            forest: self.forest(),
            ..self.analysis_config.clone()
        }
    }

    pub(super) fn check_forest(&self) -> Result<()> {
        match of(self.custom_settings.as_ref())? {
            Some(config) => Ok(config.check(&self.analysis_config)?),
            None => Ok(()),
        }
    }
}
