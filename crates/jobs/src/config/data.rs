//! `data_description`.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::ConfigError;
use tidewatch_model::time_format::TimeFormat;

/// How records tell their time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDataDescription")]
pub struct DataDescription {
    pub time_field: String,
    pub time_format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataDescription {
    time_field: Option<String>,
    time_format: Option<String>,
    /// Taken and not kept: records are JSON.
    format: Option<String>,
    #[serde(rename = "field_delimiter")]
    _field_delimiter: Option<String>,
    #[serde(rename = "quote_character")]
    _quote_character: Option<String>,
}

impl TryFrom<RawDataDescription> for DataDescription {
    type Error = ConfigError;

    fn try_from(raw: RawDataDescription) -> std::result::Result<Self, ConfigError> {
        let format = raw.format.map(|format| format.to_ascii_lowercase());
        if let Some(other) = format
            .as_deref()
            .filter(|format| !matches!(*format, "xcontent" | "delimited"))
        {
            return Err(ConfigError::illegal_argument(format!(
                "Unknown data format '{other}'"
            )));
        }
        let time_field = raw
            .time_field
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "time".to_owned());
        let time_format = raw
            .time_format
            .filter(|f| !f.is_empty())
            .unwrap_or_else(|| "epoch_ms".to_owned());
        TimeFormat::new(&time_format)
            .map_err(|error| ConfigError::illegal_argument(error.to_string()))?;
        Ok(Self {
            time_field,
            time_format,
        })
    }
}
