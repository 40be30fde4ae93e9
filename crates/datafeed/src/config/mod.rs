//! A datafeed as clients see it: its configuration, checked, in Elasticsearch's wire form.

mod aggregations;
mod chunking;
mod delay;
mod delayed_data;
mod fit;
mod indices_options;
mod new;
mod query;
#[cfg(test)]
mod tests;
mod update;
mod wanted;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::TimeSpan;

pub use aggregations::{Histogram, HistogramKind};
pub use chunking::{ChunkingConfig, ChunkingMode};
pub use delayed_data::DelayedDataCheck;
pub use indices_options::IndicesOptions;
pub use new::NewDatafeed;
pub use query::PROMQL;
pub use update::DatafeedUpdate;

use aggregations::Aggregations;

/// Documents of one page where nothing else is said.
pub const SCROLL_SIZE: u32 = 1_000;

/// A datafeed, stored and served in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatafeedConfig {
    pub datafeed_id: String,
    pub job_id: String,
    /// How long after a moment its documents are all there.
    pub query_delay: TimeSpan,
    pub chunking_config: ChunkingConfig,
    pub indices_options: IndicesOptions,
    /// Elasticsearch's query, as it was given.
    pub query: Map<String, Value>,
    /// How often is asked for new documents; see [`frequency_for`](Self::frequency_for).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<TimeSpan>,
    /// Names, wildcards and aliases; of a source that the settings name: `source:name`.
    pub indices: Vec<String>,
    /// Elasticsearch's aggregations, as they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregations: Option<Map<String, Value>>,
    /// By name, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_fields: Option<Map<String, Value>>,
    pub scroll_size: u32,
    pub delayed_data_check_config: DelayedDataCheck,
    /// After so many searches that found nothing since the start a datafeed without an end stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_empty_searches: Option<u32>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub runtime_mappings: Map<String, Value>,
}

impl DatafeedConfig {
    /// As it is served; without what the server made up, as it could be put again.
    pub fn shown(&self, exclude_generated: bool) -> Value {
        let mut shown = json!(self);
        if exclude_generated && let Value::Object(fields) = &mut shown {
            if self.query_delay == delay::of_job(&self.job_id) {
                fields.shift_remove("query_delay");
            }
            if self.default_chunking().as_ref() == Ok(&self.chunking_config) {
                fields.shift_remove("chunking_config");
            }
            if self.indices_options == IndicesOptions::default() {
                fields.shift_remove("indices_options");
            }
        }
        shown
    }

    /// The histogram that the aggregations hang on; none of a datafeed without aggregations.
    pub fn histogram(&self) -> Option<Histogram> {
        // They were checked when they came.
        self.find_histogram().ok().flatten()
    }

    fn find_histogram(&self) -> Result<Option<Histogram>, ConfigError> {
        let Some(aggregations) = &self.aggregations else {
            return Ok(None);
        };
        Aggregations::read(aggregations)?.histogram().map(Some)
    }

    /// How often is asked for new documents, for a job of this bucket span.
    pub fn frequency_for(&self, bucket_span: TimeSpan) -> TimeSpan {
        self.frequency.unwrap_or_else(|| {
            let target = default_frequency(bucket_span);
            let Some(histogram) = self.histogram() else {
                return target;
            };
            let target = i64::try_from(target.as_duration().as_millis()).unwrap_or(i64::MAX);
            let interval = histogram.interval.max(1);
            TimeSpan::millis((target / interval).max(1).saturating_mul(interval))
        })
    }

    fn default_chunking(&self) -> Result<ChunkingConfig, ConfigError> {
        Ok(match self.find_histogram()? {
            None => ChunkingConfig::auto(),
            Some(histogram) => histogram.default_chunking()?,
        })
    }
}

/// By the bucket span: twice in each of the short ones, every ten minutes in the longer ones.
fn default_frequency(bucket_span: TimeSpan) -> TimeSpan {
    match bucket_span.as_secs() {
        ..=120 => TimeSpan::minutes(1),
        span @ 121..=1_200 => TimeSpan::seconds(span / 2),
        1_201..=43_200 => TimeSpan::minutes(10),
        _ => TimeSpan::seconds(3_600),
    }
}

/// A value that a field can't have.
fn invalid_value(field: &str, value: impl std::fmt::Display) -> ConfigError {
    ConfigError::bad_request(format!(
        "Invalid {field} value '{value}' in datafeed configuration"
    ))
}
