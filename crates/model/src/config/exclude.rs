//! `exclude_frequent`.

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What is left out where it is frequent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum ExcludeFrequent {
    All,
    None,
    By,
    Over,
}

impl TryFrom<String> for ExcludeFrequent {
    type Error = ConfigError;

    /// In any case of letters.
    fn try_from(text: String) -> Result<Self, ConfigError> {
        match text.to_ascii_lowercase().as_str() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            "by" => Ok(Self::By),
            "over" => Ok(Self::Over),
            _ => Err(ConfigError::no_constant("Detector.ExcludeFrequent", &text)),
        }
    }
}

impl ExcludeFrequent {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::None => "none",
            Self::By => "by",
            Self::Over => "over",
        }
    }
}

/// Whether frequent by values and frequent members of a population are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Excluded {
    pub by: bool,
    pub over: bool,
}
