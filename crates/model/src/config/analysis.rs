//! The analysis as a whole: bucket span, detectors and what they share.

use serde::{Deserialize, Serialize};

use super::categorization::RawCategorization;
use super::detector::check_field_name;
use super::{AnalyzerConfig, CategorizationConfig, ConfigError, Detector, PerPartition};
use crate::units::TimeSpan;

/// Seconds. Twenty of them, the default prune window, are still a time span that can be read again.
const MAX_BUCKET_SPAN: i64 = 5_000 * 86_400;

/// The analysis of a job. Built by deserialising, which checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawAnalysisConfig")]
pub struct AnalysisConfig {
    pub bucket_span: TimeSpan,
    #[serde(flatten)]
    pub categorization: Option<CategorizationConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary_count_field_name: Option<String>,
    pub detectors: Vec<Detector>,
    pub influencers: Vec<String>,
    /// By values of a partition are also judged beside each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub multivariate_by_fields: bool,
    pub model_prune_window: TimeSpan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnalysisConfig {
    bucket_span: Option<TimeSpan>,
    categorization_field_name: Option<String>,
    categorization_filters: Option<Vec<String>>,
    categorization_analyzer: Option<AnalyzerConfig>,
    per_partition_categorization: Option<PerPartition>,
    latency: Option<TimeSpan>,
    summary_count_field_name: Option<String>,
    detectors: Option<Vec<Detector>>,
    influencers: Option<Vec<String>>,
    multivariate_by_fields: Option<bool>,
    model_prune_window: Option<TimeSpan>,
}

impl TryFrom<RawAnalysisConfig> for AnalysisConfig {
    type Error = ConfigError;

    fn try_from(raw: RawAnalysisConfig) -> Result<Self, ConfigError> {
        let bucket_span = raw.bucket_span.unwrap_or(TimeSpan::minutes(5));
        let span = match bucket_span.whole_seconds() {
            Some(seconds) if seconds > 0 => seconds,
            _ if bucket_span.as_secs() <= 0 => {
                refuse!(
                    "bucket_span cannot be less or equal than 0. Value = {}",
                    bucket_span.as_secs()
                )
            }
            _ => refuse!("bucket_span has to be a multiple of one second"),
        };
        if span > MAX_BUCKET_SPAN {
            refuse!(
                "bucket_span cannot be more than {} days. Value = {bucket_span}",
                MAX_BUCKET_SPAN / 86_400
            );
        }
        let latency = raw.latency.filter(|latency| latency.as_secs() != 0);
        if let Some(latency) = latency {
            if latency.is_negative() {
                refuse!(
                    "latency cannot be less than 0. Value = {}",
                    latency.as_secs()
                );
            }
            if latency.whole_seconds().is_none() {
                refuse!("latency has to be a multiple of one second");
            }
        }
        let model_prune_window = match raw.model_prune_window {
            Some(window) => check_prune_window(window, bucket_span)?,
            None => {
                let month = 30 * 86_400;
                let rounded = (month + span - 1) / span * span;
                TimeSpan::in_largest_unit(rounded.max(span.saturating_mul(20)))
            }
        };
        let mut detectors = raw.detectors.unwrap_or_default();
        if detectors.is_empty() {
            refuse!("No detectors configured");
        }
        for (index, detector) in detectors.iter_mut().enumerate() {
            detector.detector_index = index;
        }
        let categorization = RawCategorization {
            field_name: raw.categorization_field_name,
            filters: raw.categorization_filters,
            analyzer: raw.categorization_analyzer,
            per_partition: raw.per_partition_categorization,
        };
        let categorization = categorization.build(&detectors)?;
        let influencers = raw.influencers.unwrap_or_default();
        influencers
            .iter()
            .try_for_each(|name| check_field_name(name))?;
        let summary_count_field_name = raw.summary_count_field_name.filter(|name| !name.is_empty());
        let takes_all = |detector: &Detector| detector.function.name() == "metric";
        if summary_count_field_name.is_some() && detectors.iter().any(takes_all) {
            refuse!(
                "The 'metric' function cannot be used in jobs that will take pre-summarized input"
            );
        }
        let config = Self {
            bucket_span,
            categorization,
            latency,
            summary_count_field_name,
            detectors,
            influencers,
            multivariate_by_fields: raw.multivariate_by_fields.unwrap_or(false),
            model_prune_window,
        };
        config.check_nested_names()?;
        Ok(config)
    }
}

/// A user's prune window: a whole multiple of the bucket span, at least twice of it.
pub fn check_prune_window(
    window: TimeSpan,
    bucket_span: TimeSpan,
) -> Result<TimeSpan, ConfigError> {
    let (seconds, span) = (window.as_secs(), bucket_span.as_secs());
    if window.whole_seconds().is_none() || seconds % span != 0 || seconds < 0 {
        refuse!("model_prune_window [{window}] must be a multiple of bucket_span [{bucket_span}]");
    }
    if seconds / span < 2 {
        refuse!(
            "model_prune_window [{window}] must be at least 2 times greater than bucket_span [{bucket_span}]"
        );
    }
    Ok(window)
}
