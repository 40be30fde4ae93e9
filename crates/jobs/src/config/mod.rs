//! A job as clients see it: its configuration, checked, in Elasticsearch's wire form.

mod check;
mod data;
mod forest;
mod ids;
mod limits;
mod new;
mod plot;
mod replaced;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidewatch_model::categorize::CategorizationOptions;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Options, PlotOptions};
use tidewatch_model::units::TimeSpan;

use crate::entry::{BlockReason, Blocked};

pub use data::DataDescription;
pub use forest::{RANDOM_CUT_FOREST, with_engine};
pub use ids::{is_valid_id, same_name};
pub use limits::{AnalysisLimits, NewLimits};
pub use new::NewJob;
pub use plot::ModelPlotConfig;
pub use replaced::REPLACED_BY;

/// What `job_version` says: the version of the configuration's form, which Elasticsearch no longer ties to its own.
pub const JOB_VERSION: &str = "12.0.0";
/// The oldest version that can take up a model snapshot of ours.
pub const SNAPSHOT_MIN_VERSION: &str = "9.0.0";

/// A job, stored and served in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub job_id: String,
    pub job_type: String,
    pub job_version: String,
    /// Epoch milliseconds, as all times here.
    pub create_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_snapshot_id: Option<String>,
    /// True while it is deleted, absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_snapshot_min_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_settings: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub analysis_config: AnalysisConfig,
    pub analysis_limits: AnalysisLimits,
    pub data_description: DataDescription,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_plot_config: Option<ModelPlotConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renormalization_window_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background_persist_interval: Option<TimeSpan>,
    pub model_snapshot_retention_days: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results_retention_days: Option<i64>,
    pub results_index_name: String,
    pub allow_lazy_open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

impl Job {
    /// Fields that the server makes up: a configuration without them can be put again.
    pub const GENERATED: [&str; 8] = [
        "job_type",
        "job_version",
        "create_time",
        "finished_time",
        "model_snapshot_id",
        "model_snapshot_min_version",
        "deleting",
        "blocked",
    ];

    /// Blocks the job, or frees it.
    pub(crate) fn block(&mut self, blocked: Option<Blocked>) {
        let reason = blocked.as_ref().map(|blocked| blocked.reason);
        self.deleting = reason == Some(BlockReason::Delete);
        self.blocked = blocked;
    }

    /// The settings that a run of the job begins with.
    pub fn engine_options(&self) -> Options {
        Options {
            memory_limit: self.analysis_limits.model_memory_limit.bytes,
            prune_window: self.analysis_config.model_prune_window.as_secs(),
            plot: self.plot_options(),
        }
    }

    /// None for a job without categories.
    pub fn categorization_options(&self) -> Option<CategorizationOptions> {
        let categorization = self.analysis_config.categorization.as_ref()?;
        Some(CategorizationOptions {
            examples: u32::try_from(self.analysis_limits.categorization_examples_limit)
                .unwrap_or(u32::MAX),
            stop_on_warn: categorization.per_partition.stop_on_warn == Some(true),
        })
    }

    /// Seconds of the past that scores of a run are set against; none for the usual.
    pub fn renormalisation_window(&self) -> Option<i64> {
        let days = self.renormalization_window_days;
        days.map(|days| days.saturating_mul(86_400))
    }

    /// Whether changes of the models are annotated: unless they are not wanted.
    pub fn annotates(&self) -> bool {
        let plot = self.model_plot_config.as_ref();
        plot.is_none_or(|plot| plot.annotations_enabled)
    }

    /// The settings that a running job takes over at once.
    pub fn plot_options(&self) -> PlotOptions {
        let plot = self.model_plot_config.as_ref().filter(|plot| plot.enabled);
        let terms = plot
            .and_then(|plot| plot.terms.as_deref())
            .unwrap_or_default();
        let terms = terms
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty());
        PlotOptions {
            enabled: plot.is_some(),
            terms: terms.map(str::to_owned).collect(),
        }
    }

    /// The deprecation warnings that creating this job brings.
    pub fn warnings(&self) -> Vec<String> {
        const DAY: i64 = 86_400;
        let span = self.analysis_config.bucket_span;
        let seconds = span.as_secs();
        let relation = match seconds > DAY {
            true if seconds % DAY != 0 => "multiple",
            false if DAY % seconds != 0 => "divisor",
            _ => return Vec::new(),
        };
        vec![format!(
            "bucket_span {} [{seconds}s] is not an integral {relation} of the number of seconds in 1d [86400s]. This is \
             now deprecated.",
            span.human()
        )]
    }
}
