//! A datafeed as it is asked for.

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::is_valid_id;
use tidewatch_model::config::{ConfigError, given};
use tidewatch_model::units::{Grouped, TimeSpan};

use super::aggregations::{self, Aggregations};
use super::{
    ChunkingConfig, DatafeedConfig, DelayedDataCheck, IndicesOptions, SCROLL_SIZE, delay,
    invalid_value, query,
};
use crate::run::refused;
use crate::source::sources::{Place, place};

/// The body of a request to create a datafeed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDatafeed {
    #[serde(default, deserialize_with = "given")]
    pub datafeed_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub job_id: Option<String>,
    /// What its document in Elasticsearch has; it says nothing.
    #[serde(default, rename = "config_type")]
    pub(crate) _config_type: IgnoredAny,
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

impl NewDatafeed {
    /// The datafeed that stands in its job: its ids are the job's where it has none.
    ///
    /// # Errors
    /// As [`build`](Self::build), and where it is for another job.
    pub fn for_job(mut self, job_id: &str) -> Result<DatafeedConfig, JobError> {
        let own = self.job_id.get_or_insert_with(|| job_id.to_owned());
        if own != job_id {
            return Err(JobError::illegal_argument(format!(
                "datafeed job_id [{own}] does not equal job id [{job_id}}}"
            )));
        }
        self.datafeed_id.get_or_insert_with(|| job_id.to_owned());
        self.build()
    }

    /// The datafeed that was asked for, its defaults filled in.
    ///
    /// # Errors
    /// 400 in Elasticsearch's words and order.
    pub fn build(self) -> Result<DatafeedConfig, JobError> {
        let missing =
            |field: &str| JobError::illegal_argument(format!("[{field}] must not be null."));
        let aggregations = one_of(self.aggregations, self.aggs)?;
        let job_id = self.job_id.ok_or_else(|| missing("job_id"))?;
        let mut config = DatafeedConfig {
            datafeed_id: self.datafeed_id.ok_or_else(|| missing("datafeed_id"))?,
            query_delay: self.query_delay.unwrap_or_else(|| delay::of_job(&job_id)),
            job_id,
            chunking_config: ChunkingConfig::auto(),
            indices_options: self.indices_options.unwrap_or_default(),
            query: self.query.unwrap_or_else(query::default_query),
            frequency: self.frequency,
            indices: self.indices.or(self.indexes).unwrap_or_default(),
            aggregations,
            script_fields: self.script_fields,
            scroll_size: self.scroll_size.unwrap_or(SCROLL_SIZE),
            delayed_data_check_config: self.delayed_data_check_config.unwrap_or_default(),
            max_empty_searches: self.max_empty_searches.flatten(),
            runtime_mappings: self.runtime_mappings.unwrap_or_default(),
        };
        config.check()?;
        config.chunking_config = match self.chunking_config {
            Some(chunking) => chunking,
            None => config.default_chunking()?,
        };
        config.check_aggregations()?;
        config.check_source()?;
        Ok(config)
    }
}

impl DatafeedConfig {
    /// The rules between its fields; those within one field hold since it was read.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |reason: String| Err(ConfigError::bad_request(reason));
        let id = &self.datafeed_id;
        if !is_valid_id(id) {
            return refuse(format!(
                "Invalid datafeed_id; '{id}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or \
                 underscores; must start and end with alphanumeric"
            ));
        }
        if self.indices.is_empty() || self.indices.iter().any(String::is_empty) {
            let listed = format!("[{}]", self.indices.join(", "));
            return Err(invalid_value("indices", listed));
        }
        let has_scripts = self
            .script_fields
            .as_ref()
            .is_some_and(|fields| !fields.is_empty());
        if self.aggregations.is_some() && has_scripts {
            return refuse(
                "script_fields cannot be used in combination with aggregations".to_owned(),
            );
        }
        for (name, said) in &self.runtime_mappings {
            match said {
                Value::Object(said) if said.get("type").is_some_and(|kind| !kind.is_null()) => {}
                Value::Object(_) => {
                    return refuse(format!("No type specified for runtime field [{name}]"));
                }
                _ => {
                    return refuse(format!(
                        "Expected map for runtime field [{name}] definition but got a String"
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_aggregations(&self) -> Result<(), ConfigError> {
        match &self.aggregations {
            Some(aggregations) => Aggregations::read(aggregations)?.check(),
            None => Ok(()),
        }
    }

    /// It reads from one source, and asks the embedded index nothing that it can't answer.
    pub(super) fn check_source(&self) -> Result<(), JobError> {
        match place(&self.indices).map_err(refused)?.0 {
            Place::Here => query::check_local(&self.query),
            Place::Named(_) => Ok(()),
        }
    }
}

/// Aggregations have two names.
pub(super) fn one_of<T>(first: Option<T>, second: Option<T>) -> Result<Option<T>, ConfigError> {
    match (first, second) {
        (Some(_), Some(_)) => Err(ConfigError::bad_request(
            "Found two aggregation definitions: [aggs] and [aggregations]",
        )),
        (first, second) => Ok(first.or(second)),
    }
}

pub(super) fn query_delay<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TimeSpan>, D::Error> {
    let delay = TimeSpan::deserialize(deserializer)?;
    if delay.is_negative() {
        return Err(Error::custom(ConfigError::illegal_argument(format!(
            "query_delay cannot be less than 0. Value = {}",
            delay.human()
        ))));
    }
    if delay.as_duration().subsec_nanos() % 1_000_000 != 0 {
        return Err(Error::custom(ConfigError::illegal_argument(format!(
            "query_delay has to be a multiple of 1ms; actual was '{}'",
            delay.human()
        ))));
    }
    Ok(Some(delay))
}

pub(super) fn frequency<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TimeSpan>, D::Error> {
    let frequency = TimeSpan::deserialize(deserializer)?;
    if frequency.as_duration().is_zero() {
        return Err(Error::custom(ConfigError::illegal_argument(format!(
            "frequency cannot be less or equal than 0. Value = {}",
            frequency.human()
        ))));
    }
    tidewatch_model::config::check_whole_seconds("frequency", frequency).map_err(Error::custom)?;
    Ok(Some(frequency))
}

pub(super) fn parsed_query<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    let query = object(deserializer)?;
    query::check(&query).map_err(|error| Error::custom(error.carried()))?;
    Ok(Some(query))
}

pub(super) fn parsed_aggregations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    let aggregations = object(deserializer)?;
    aggregations::check_form(&aggregations).map_err(|error| Error::custom(error.carried()))?;
    Ok(Some(aggregations))
}

/// Each is an object with a script; they are kept in the order of their names.
pub(super) fn script_fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Map<String, Value>>, D::Error> {
    let mut fields = object(deserializer)?;
    for (name, said) in &fields {
        let parsing = |reason: String| {
            let error = JobError::new(400, "parsing_exception", reason);
            Error::custom(error.carried())
        };
        let Value::Object(said) = said else {
            return Err(parsing(format!(
                "Expected [START_OBJECT] in [{name}] but found something else"
            )));
        };
        for field in said.keys() {
            if !matches!(field.as_str(), "script" | "ignore_failure") {
                return Err(parsing(format!("Unknown key in [{name}]: [{field}].")));
            }
        }
        if !said
            .get("script")
            .is_some_and(|script| script.is_object() || script.is_string())
        {
            return Err(parsing(format!(
                "a script field [{name}] requires a [script]"
            )));
        }
    }
    fields.sort_keys();
    Ok(Some(fields))
}

pub(super) fn scroll_size<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let size = i32::deserialize(deserializer)?;
    match u32::try_from(size) {
        Ok(size) => Ok(Some(size)),
        Err(_) => Err(Error::custom(invalid_value(
            "scroll_size",
            Grouped(i64::from(size)),
        ))),
    }
}

/// -1 is the same as none, and takes one away where there was one.
pub(super) fn max_empty_searches<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<u32>>, D::Error> {
    let most = i32::deserialize(deserializer)?;
    match u32::try_from(most) {
        Ok(most) if most > 0 => Ok(Some(Some(most))),
        Err(_) if most == -1 => Ok(Some(None)),
        _ => Err(Error::custom(invalid_value(
            "max_empty_searches",
            Grouped(i64::from(most)),
        ))),
    }
}

/// An object, and nothing else.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    struct Object;
    impl<'de> serde::de::Visitor<'de> for Object {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut entries: A,
        ) -> Result<Self::Value, A::Error> {
            let mut object = Map::new();
            while let Some((name, value)) = entries.next_entry()? {
                object.insert(name, value);
            }
            Ok(object)
        }
    }
    deserializer.deserialize_any(Object)
}
