//! `analysis_limits`.

use serde::{Deserialize, Serialize};
use tidewatch_model::units::Memory;

pub(super) const DEFAULT_MEMORY_LIMIT: Memory = Memory::mebibytes(1024);
const DEFAULT_EXAMPLES_LIMIT: u32 = 4;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisLimits {
    #[serde(default = "default_memory_limit")]
    pub model_memory_limit: Memory,
    #[serde(default = "default_examples_limit")]
    pub categorization_examples_limit: u32,
}

fn default_memory_limit() -> Memory {
    DEFAULT_MEMORY_LIMIT
}

fn default_examples_limit() -> u32 {
    DEFAULT_EXAMPLES_LIMIT
}

impl Default for AnalysisLimits {
    fn default() -> Self {
        Self {
            model_memory_limit: DEFAULT_MEMORY_LIMIT,
            categorization_examples_limit: DEFAULT_EXAMPLES_LIMIT,
        }
    }
}
