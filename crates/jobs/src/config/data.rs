//! `data_description`.

use serde::{Deserialize, Serialize};
use tidewatch_model::config::ConfigError;
use tidewatch_model::config::given;
use tidewatch_model::time_format::TimeFormat;

/// How records tell their time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "RawDataDescription")]
pub struct DataDescription {
    pub time_field: String,
    pub time_format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataDescription {
    #[serde(default, deserialize_with = "given")]
    time_field: Option<String>,
    #[serde(default, deserialize_with = "given")]
    time_format: Option<Format>,
    /// Taken and not kept: records are JSON.
    #[serde(default, rename = "format", deserialize_with = "given")]
    _format: Option<DataFormat>,
    /// Of old jobs.
    #[serde(rename = "field_delimiter")]
    _field_delimiter: Option<String>,
    #[serde(rename = "quote_character")]
    _quote_character: Option<String>,
}

/// A format of times that can be read.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Format(String);

impl TryFrom<String> for Format {
    type Error = ConfigError;

    fn try_from(format: String) -> std::result::Result<Self, ConfigError> {
        // As if it had been left out.
        if format.is_empty() {
            return Ok(Self("epoch_ms".to_owned()));
        }
        TimeFormat::new(&format).map_err(|error| ConfigError::bad_request(error.to_string()))?;
        Ok(Self(format))
    }
}

/// Delimited values have never been documented; jobs that ask for them get JSON.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DataFormat;

impl TryFrom<String> for DataFormat {
    type Error = ConfigError;

    fn try_from(format: String) -> std::result::Result<Self, ConfigError> {
        match format.to_ascii_lowercase().as_str() {
            "xcontent" | "delimited" => Ok(Self),
            _ => Err(ConfigError::no_constant(
                "DataDescription.DataFormat",
                &format,
            )),
        }
    }
}

impl From<RawDataDescription> for DataDescription {
    fn from(raw: RawDataDescription) -> Self {
        let time_field = raw.time_field.filter(|name| !name.is_empty());
        let time_format = raw.time_format.map(|Format(format)| format);
        Self {
            time_field: time_field.unwrap_or_else(|| "time".to_owned()),
            time_format: time_format.unwrap_or_else(|| "epoch_ms".to_owned()),
        }
    }
}
