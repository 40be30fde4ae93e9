//! `analysis_limits`.

use serde::{Deserialize, Deserializer, Serialize};
use tidewatch_model::config::ConfigError;
use tidewatch_model::config::given;
use tidewatch_model::units::{Grouped, Memory};

use crate::error::{JobError, Result};

/// What a job is held to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalysisLimits {
    pub model_memory_limit: Memory,
    /// How many examples a category keeps; not negative.
    pub categorization_examples_limit: i64,
}

impl Default for AnalysisLimits {
    fn default() -> Self {
        Self {
            model_memory_limit: Memory::mebibytes(1024),
            categorization_examples_limit: 4,
        }
    }
}

/// The limits as a request has them: each may be left out.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "RawLimits")]
pub struct NewLimits {
    pub model_memory_limit: Option<Memory>,
    pub categorization_examples_limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[serde(default, deserialize_with = "mebibytes")]
    model_memory_limit: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    categorization_examples_limit: Option<i64>,
}

/// A number of mebibytes, or a text with a unit.
fn mebibytes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(i64),
        Text(String),
    }
    match Wire::deserialize(deserializer)? {
        Wire::Number(number) => Ok(Some(number)),
        Wire::Text(text) => match Memory::parse(&text) {
            Ok(memory) => Ok(Some(memory.as_mebibytes() as i64)),
            Err(error) => Err(serde::de::Error::custom(ConfigError::parse(
                error.to_string(),
            ))),
        },
    }
}

impl TryFrom<RawLimits> for NewLimits {
    type Error = ConfigError;

    fn try_from(raw: RawLimits) -> std::result::Result<Self, ConfigError> {
        // More mebibytes than bytes can be counted are as many as can.
        const MOST: i64 = i64::MAX >> 20;
        if let Some(mebibytes) = raw.model_memory_limit.filter(|mebibytes| *mebibytes < 1) {
            return Err(ConfigError::bad_request(format!(
                "model_memory_limit must be at least 1 MiB. Value = {}",
                Grouped(mebibytes)
            )));
        }
        if let Some(examples) = raw.categorization_examples_limit.filter(|limit| *limit < 0) {
            return Err(ConfigError::bad_request(format!(
                "categorization_examples_limit cannot be less than 0. Value = {}",
                Grouped(examples)
            )));
        }
        Ok(Self {
            model_memory_limit: raw
                .model_memory_limit
                .map(|mebibytes| Memory::mebibytes(mebibytes.min(MOST) as u64)),
            categorization_examples_limit: raw.categorization_examples_limit,
        })
    }
}

impl NewLimits {
    /// The limits with what was left out. `most` is the cluster's setting.
    ///
    /// # Errors
    /// `status_exception` for a memory limit above `most`.
    pub fn fill(self, most: Option<Memory>) -> Result<AnalysisLimits> {
        let most = most.filter(|most| most.as_mebibytes() > 0);
        let default = AnalysisLimits::default();
        let usual = most.map_or(default.model_memory_limit, |most| {
            Memory::mebibytes(most.min(default.model_memory_limit).as_mebibytes())
        });
        let limit = self.model_memory_limit.unwrap_or(usual);
        if let Some(most) = most.filter(|most| limit.as_mebibytes() > most.as_mebibytes()) {
            return Err(JobError::bad_request(format!(
                "model_memory_limit [{}] must be less than the value of the xpack.ml.max_model_memory_limit setting \
                 [{}]",
                limit.human(),
                most.human()
            )));
        }
        Ok(AnalysisLimits {
            model_memory_limit: limit,
            categorization_examples_limit: self
                .categorization_examples_limit
                .unwrap_or(default.categorization_examples_limit),
        })
    }
}
