//! What a job says of its forests.

use serde::{Deserialize, Serialize};

use crate::config::{AnalysisConfig, ConfigError, Detector, MLCATEGORY, Metric};

/// Features that a forest may have.
const MOST_FEATURES: usize = 5;
/// Points of the past that a forest keeps at most, sampled or not: their places are 16 bits wide.
const LONGEST_WINDOW: usize = 32_768;

/// The settings of a job's forests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestConfig {
    /// Buckets that make up one point.
    pub shingle_size: u16,
    /// Points that a tree holds.
    pub sample_size: u16,
    pub trees: u16,
    /// A point is by this factor less likely to be in a sample for each point that came later; none for a tenth of
    /// one over the sample size.
    pub time_decay: Option<f64>,
    /// Points before which nothing is told.
    pub output_after: u32,
    /// One a detector, in their order; fewer for none.
    pub ignore_near_expected: Vec<NearExpected>,
    pub imputation: Imputation,
}

/// How far a value may be from the expected one before it can be an anomaly. 0: no further than noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearExpected {
    /// Amounts, in the unit of the values.
    pub above: f64,
    pub below: f64,
    /// Same as a share of the value.
    pub above_ratio: f64,
    pub below_ratio: f64,
}

/// What stands in for a value that a bucket hasn't.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imputation {
    pub method: Method,
    /// Of `fixed`: one a detector.
    pub values: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The bucket is passed over.
    #[default]
    None,
    Zero,
    Previous,
    Fixed,
    /// What is expected; and it is an anomaly.
    Anomaly,
}

impl Default for ForestConfig {
    fn default() -> Self {
        Self {
            shingle_size: 8,
            sample_size: 256,
            trees: 50,
            time_decay: None,
            output_after: 32,
            ignore_near_expected: Vec::new(),
            imputation: Imputation::default(),
        }
    }
}

impl ForestConfig {
    pub fn decay(&self) -> f64 {
        self.time_decay
            .unwrap_or_else(|| 0.1 / f64::from(self.sample_size))
    }

    /// Points of the past that a forest keeps: few of a sample would be older. At most 32,768.
    pub fn window(&self) -> usize {
        let sample = usize::from(self.sample_size);
        let lasting = 4.0 / self.decay().max(1e-9);
        let least = 4 * sample.max(64).max(self.shingle_size.into());
        (lasting.min(1e9) as usize).clamp(least, LONGEST_WINDOW)
    }

    /// Whether forests that grew under the other settings can go on under these.
    pub fn grows_as(&self, other: &Self) -> bool {
        self.shingle_size == other.shingle_size
            && self.sample_size == other.sample_size
            && self.trees == other.trees
            && self.decay() == other.decay()
    }

    pub fn near_expected(&self, feature: usize) -> NearExpected {
        let near = self.ignore_near_expected.get(feature);
        near.copied().unwrap_or_default()
    }

    /// Whether an analysis can be made by forests with these settings.
    pub fn check(&self, analysis: &AnalysisConfig) -> Result<(), ConfigError> {
        self.check_numbers()?;
        check_detectors(analysis)?;
        let count = analysis.detectors.len();
        if self.ignore_near_expected.len() > count {
            refuse!(
                "random_cut_forest.ignore_near_expected has [{}] entries for [{count}] detectors",
                self.ignore_near_expected.len()
            );
        }
        let values = &self.imputation.values;
        match self.imputation.method {
            Method::Fixed if values.len() != count => refuse!(
                "random_cut_forest.imputation.values must have one value for each of the [{count}] detectors"
            ),
            Method::Fixed => Ok(()),
            _ if !values.is_empty() => {
                refuse!("random_cut_forest.imputation.values belong to the method [fixed] only")
            }
            _ => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            refuse!("random_cut_forest.{name} must be between {least} and {most}. Value = {value}");
        };
        within("shingle_size", self.shingle_size.into(), 1, 1_024)?;
        within("sample_size", self.sample_size.into(), 16, 2_048)?;
        within("trees", self.trees.into(), 1, 200)?;
        within("output_after", self.output_after.into(), 1, 1_000_000)?;
        if let Some(decay) = self.time_decay
            && !(0.0..1.0).contains(&decay)
        {
            refuse!("random_cut_forest.time_decay must be at least 0 and below 1. Value = {decay}");
        }
        for near in &self.ignore_near_expected {
            let all = [near.above, near.below, near.above_ratio, near.below_ratio];
            if let Some(value) = all.iter().find(|value| **value < 0.0) {
                refuse!(
                    "random_cut_forest.ignore_near_expected must not be negative. Value = {value}"
                );
            }
        }
        Ok(())
    }
}

fn check_detectors(analysis: &AnalysisConfig) -> Result<(), ConfigError> {
    let detectors = &analysis.detectors;
    if detectors.len() > MOST_FEATURES {
        refuse!(
            "a job with the random_cut_forest engine can have at most {MOST_FEATURES} detectors. It has {}",
            detectors.len()
        );
    }
    let splits = |of: &Detector| (of.partition_field_name.clone(), of.by_field_name.clone());
    for detector in detectors {
        let function = detector.function;
        let features = function.features();
        let is_told = |metric: Metric| {
            !matches!(
                metric,
                Metric::Presence | Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place
            )
        };
        if features.len() != 1 || !features.iter().all(|&(metric, _)| is_told(metric)) {
            refuse!(
                "function [{}] cannot be used with the random_cut_forest engine",
                function.name()
            );
        }
        if detector.over_field_name.is_some() {
            refuse!("over_field_name cannot be used with the random_cut_forest engine");
        }
        if detector.exclude_frequent.is_some() {
            refuse!("exclude_frequent cannot be used with the random_cut_forest engine");
        }
        if detector.by_field_name.as_deref() == Some(MLCATEGORY) {
            refuse!(
                "by_field_name [{MLCATEGORY}] cannot be used with the random_cut_forest engine"
            );
        }
        if splits(detector) != splits(&detectors[0]) {
            refuse!(
                "the detectors of a job with the random_cut_forest engine must have the same partition_field_name and \
                 by_field_name"
            );
        }
    }
    if analysis.categorization.is_some() {
        refuse!("categorization_field_name cannot be used with the random_cut_forest engine");
    }
    Ok(())
}
