//! What a detector is asked to be: the wire's shapes, which are also what is kept of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Text by text: labels, or tags.
pub type Texts = BTreeMap<String, String>;

pub const DEFAULT_INTERVAL: u32 = 60;
pub const DEFAULT_SHINGLE: u32 = 8;
pub const DEFAULT_SAMPLE: u32 = 256;

/// What a detector evaluates, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    pub evaluation_interval_in_seconds: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_data_action: Option<MissingDataAction>,
    pub configuration: Configuration,
    #[serde(default)]
    pub labels: Texts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingDataAction {
    MarkAsAnomaly(bool),
    Skip(bool),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Configuration {
    RandomCutForest(RandomCutForest),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RandomCutForest {
    pub query: String,
    pub shingle_size: u32,
    pub sample_size: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_near_expected_from_above: Option<Near>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_near_expected_from_below: Option<Near>,
}

/// How far from what is expected a value may be and still be taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Near {
    Amount(f64),
    /// Of the value.
    Ratio(f64),
}

impl Near {
    pub fn amount(near: Option<Self>) -> Option<f64> {
        match near {
            Some(Self::Amount(amount)) => Some(amount),
            _ => None,
        }
    }

    pub fn ratio(near: Option<Self>) -> Option<f64> {
        match near {
            Some(Self::Ratio(ratio)) => Some(ratio),
            _ => None,
        }
    }
}

impl Wanted {
    pub fn forest(&self) -> &RandomCutForest {
        let Configuration::RandomCutForest(forest) = &self.configuration;
        forest
    }

    pub fn marks_missing(&self) -> bool {
        self.missing_data_action == Some(MissingDataAction::MarkAsAnomaly(true))
    }

    /// Milliseconds.
    pub fn interval(&self) -> i64 {
        i64::from(self.evaluation_interval_in_seconds) * 1_000
    }
}
