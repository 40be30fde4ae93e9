//! The analysis as a whole: bucket span, detectors and what they share.

use serde::{Deserialize, Deserializer, Serialize};

use super::categorization::{RawCategorization, check_one_partition};
use super::detector::check_field_name;
use super::given::given;
use super::{AnalyzerConfig, CategorizationConfig, ConfigError, Detector, PerPartition};
use crate::forest::ForestConfig;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multivariate_by_fields: Option<bool>,
    pub model_prune_window: TimeSpan,
    /// Of a job whose engine is the random cut forest; its settings stand elsewhere.
    #[serde(skip)]
    pub forest: Option<ForestConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnalysisConfig {
    #[serde(default, deserialize_with = "given")]
    bucket_span: Option<TimeSpan>,
    #[serde(default, deserialize_with = "given")]
    categorization_field_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    categorization_filters: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    categorization_analyzer: Option<AnalyzerConfig>,
    #[serde(default, deserialize_with = "given")]
    per_partition_categorization: Option<PerPartition>,
    #[serde(default, deserialize_with = "given")]
    latency: Option<TimeSpan>,
    #[serde(default, deserialize_with = "given")]
    summary_count_field_name: Option<String>,
    #[serde(deserialize_with = "given")]
    detectors: Option<Vec<Detector>>,
    #[serde(default, deserialize_with = "given")]
    influencers: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    multivariate_by_fields: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    model_prune_window: Option<TimeSpan>,
}

impl TryFrom<RawAnalysisConfig> for AnalysisConfig {
    type Error = ConfigError;

    fn try_from(raw: RawAnalysisConfig) -> Result<Self, ConfigError> {
        let bucket_span = raw.bucket_span.unwrap_or(TimeSpan::minutes(5));
        if bucket_span.is_negative() || bucket_span.as_duration().is_zero() {
            return Err(ConfigError::illegal_argument(format!(
                "bucket_span cannot be less or equal than 0. Value = {}",
                bucket_span.human()
            )));
        }
        check_whole_seconds("bucket_span", bucket_span)?;
        let span = bucket_span.as_secs();
        if span > MAX_BUCKET_SPAN {
            refuse!(
                "bucket_span cannot be more than {} days. Value = {bucket_span}",
                MAX_BUCKET_SPAN / 86_400
            );
        }
        let model_prune_window = match raw.model_prune_window {
            Some(window) => check_prune_window(window, bucket_span)?,
            None => {
                let month = 30 * 86_400;
                let rounded = (month + span - 1) / span * span;
                TimeSpan::in_largest_unit(rounded.max(span.saturating_mul(20)))
            }
        };
        let latency = raw.latency;
        if let Some(latency) = latency {
            if latency.is_negative() {
                return Err(ConfigError::illegal_argument(format!(
                    "latency cannot be less than 0. Value = {}",
                    latency.human()
                )));
            }
            check_whole_seconds("latency", latency)?;
        }
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
            multivariate_by_fields: raw.multivariate_by_fields,
            model_prune_window,
            forest: None,
        };
        config.check_nested_names()?;
        Ok(config)
    }
}

impl AnalysisConfig {
    /// What is asked of new analyses only: jobs of former versions were not asked, and are read from their stores.
    fn check_new(&self) -> Result<(), ConfigError> {
        let categorized = self.categorization.as_ref();
        let of_categories = categorized.map(|categorization| &categorization.field_name);
        let names = self.summary_count_field_name.iter().chain(of_categories);
        names
            .into_iter()
            .try_for_each(|name| check_field_name(name))?;
        match categorized.is_some_and(|categorization| categorization.per_partition.enabled) {
            true => check_one_partition(&self.detectors),
            false => Ok(()),
        }
    }
}

/// Reads an analysis that a client sends. The field may be left out, with `default`, but not be null.
pub fn new_analysis<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<AnalysisConfig>, D::Error> {
    let config = AnalysisConfig::deserialize(deserializer)?;
    config.check_new().map_err(serde::de::Error::custom)?;
    Ok(Some(config))
}

/// Refuses a span that is no whole number of seconds.
pub fn check_whole_seconds(field: &str, span: TimeSpan) -> Result<(), ConfigError> {
    match span.whole_seconds() {
        Some(_) => Ok(()),
        None => Err(ConfigError::illegal_argument(format!(
            "{field} has to be a multiple of 1s; actual was '{}'",
            span.human()
        ))),
    }
}

/// A user's prune window: a whole multiple of the bucket span, at least twice of it.
pub fn check_prune_window(
    window: TimeSpan,
    bucket_span: TimeSpan,
) -> Result<TimeSpan, ConfigError> {
    let (seconds, span) = (window.as_secs(), bucket_span.as_secs());
    let told = [window, bucket_span].map(TimeSpan::human);
    if window.whole_seconds().is_none() || seconds % span != 0 || seconds < 0 {
        refuse!(
            "model_prune_window [{}] must be a multiple of bucket_span [{}]",
            told[0],
            told[1]
        );
    }
    if seconds / span < 2 {
        refuse!(
            "model_prune_window [{}] must be at least 2 times greater than bucket_span [{}]",
            told[0],
            told[1]
        );
    }
    Ok(window)
}
