//! Changes to a datafeed: the body of `_update`.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_jobs::JobError;
use tidewatch_model::config::given;
use tidewatch_model::units::TimeSpan;

use super::aggregations::Aggregations;
use super::new::{
    frequency, max_empty_searches, one_of, parsed_aggregations, parsed_query, query_delay,
    script_fields, scroll_size,
};
use super::{ChunkingConfig, DatafeedConfig, DelayedDataCheck, IndicesOptions};

/// What isn't given stays as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatafeedUpdate {
    /// Taken and not used: the datafeed is that of the path.
    #[serde(default, rename = "datafeed_id", deserialize_with = "given")]
    _datafeed_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub job_id: Option<String>,
    #[serde(default, deserialize_with = "query_delay")]
    pub query_delay: Option<TimeSpan>,
    #[serde(default, deserialize_with = "frequency")]
    pub frequency: Option<TimeSpan>,
    #[serde(default, deserialize_with = "given")]
    pub indices: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    pub indexes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "parsed_query")]
    pub query: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "parsed_aggregations")]
    pub aggregations: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "parsed_aggregations")]
    pub aggs: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "script_fields")]
    pub script_fields: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "scroll_size")]
    pub scroll_size: Option<u32>,
    #[serde(default, deserialize_with = "given")]
    pub chunking_config: Option<ChunkingConfig>,
    #[serde(default, deserialize_with = "given")]
    pub delayed_data_check_config: Option<DelayedDataCheck>,
    #[serde(default, deserialize_with = "max_empty_searches")]
    pub max_empty_searches: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    pub indices_options: Option<IndicesOptions>,
    #[serde(default, deserialize_with = "given")]
    pub runtime_mappings: Option<Map<String, Value>>,
}

impl DatafeedUpdate {
    /// The datafeed after the update; it stays as it was when anything is refused.
    ///
    /// # Errors
    /// 400 in Elasticsearch's words and order.
    pub fn apply(self, datafeed: &DatafeedConfig) -> Result<DatafeedConfig, JobError> {
        let mut new = datafeed.clone();
        if self.job_id.is_some_and(|job_id| job_id != datafeed.job_id) {
            return Err(JobError::bad_request(
                "Datafeed's job_id cannot be changed.",
            ));
        }
        if let Some(aggregations) = one_of(self.aggregations, self.aggs)? {
            Aggregations::read(&aggregations)?.check()?;
            new.aggregations = Some(aggregations);
        }
        macro_rules! set {
            ($($field:ident => $place:expr),* $(,)?) => {$(
                if let Some(value) = self.$field {
                    $place = value.into();
                }
            )*};
        }
        set! {
            query_delay => new.query_delay,
            frequency => new.frequency,
            indexes => new.indices,
            indices => new.indices,
            query => new.query,
            script_fields => new.script_fields,
            scroll_size => new.scroll_size,
            chunking_config => new.chunking_config,
            delayed_data_check_config => new.delayed_data_check_config,
            max_empty_searches => new.max_empty_searches,
            indices_options => new.indices_options,
            runtime_mappings => new.runtime_mappings,
        }
        new.check()?;
        new.check_source()?;
        Ok(new)
    }
}
