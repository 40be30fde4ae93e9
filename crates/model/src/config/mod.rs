//! What a job analyses: the `analysis_config` of the wire, valid once it exists.

/// Fails with a `status_exception`.
macro_rules! refuse {
    ($($message:tt)*) => {
        return Err($crate::config::ConfigError::bad_request(format!($($message)*)))
    };
}

mod analysis;
mod analyzer;
mod categorization;
mod detector;
mod error;
mod exclude;
mod fields;
mod function;
mod given;
mod rule;
#[cfg(test)]
mod tests;

pub use analysis::{AnalysisConfig, check_prune_window, check_whole_seconds, new_analysis};
pub use analyzer::{AnalyzerConfig, CustomAnalyzer, default_analyzer};
pub use categorization::{CategorizationConfig, MLCATEGORY, PerPartition};
pub use detector::Detector;
pub use error::{ConfigError, ErrorKind};
pub use exclude::{ExcludeFrequent, Excluded};
pub use function::{Function, Metric};
pub use given::given;
pub use rule::{Action, AppliesTo, Condition, CustomRule, FilterType, MAX_SHIFT, Operator};
