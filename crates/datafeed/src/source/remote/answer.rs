//! The answer to a search, borrowed from its bytes: a hit is parsed once, straight into its record.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::source::{Result, SourceError};

#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(default)]
    timed_out: bool,
    #[serde(default, rename = "_shards")]
    shards: Shards,
    #[serde(default, rename = "_clusters")]
    clusters: Clusters,
    #[serde(borrow, default)]
    pub hits: Hits<'a>,
    #[serde(default)]
    pub aggregations: Option<Value>,
    #[serde(default, rename = "_scroll_id")]
    pub scroll_id: Option<String>,
    #[serde(default)]
    pub pit_id: Option<String>,
}

#[derive(Default, Deserialize)]
struct Shards {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    failures: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct Clusters {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    skipped: u64,
    #[serde(default)]
    partial: u64,
    #[serde(default)]
    failed: u64,
}

#[derive(Default, Deserialize)]
pub(super) struct Hits<'a> {
    #[serde(default)]
    pub total: Value,
    #[serde(borrow, default)]
    pub hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Hit<'a> {
    #[serde(borrow, default)]
    pub fields: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_source")]
    pub source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub sort: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// # Errors
    /// Unavailable where the answer isn't whole: less data than there is would look like an anomaly.
    pub fn read(body: &'a [u8]) -> Result<Self> {
        let answer: Self = serde_json::from_slice(body).map_err(|error| {
            SourceError::Unavailable(format!("the answer can't be understood: {error}"))
        })?;
        answer.is_whole().map_err(SourceError::Unavailable)?;
        Ok(answer)
    }

    fn is_whole(&self) -> std::result::Result<(), String> {
        let Self {
            shards, clusters, ..
        } = self;
        if self.timed_out {
            return Err("the search timed out before it had seen everything".to_owned());
        }
        if shards.failed > 0 || !shards.failures.is_empty() {
            let why = shards.failures.first();
            let why = why.and_then(|failure| failure["reason"]["reason"].as_str());
            return Err(format!(
                "[{}] shards out of [{}] failed: {}",
                shards.failed,
                shards.total,
                why.unwrap_or("no reason given")
            ));
        }
        let left_out = clusters.skipped + clusters.failed + clusters.partial;
        if left_out > 0 {
            return Err(format!(
                "[{left_out}] remote clusters out of [{}] were skipped when performing datafeed search",
                clusters.total
            ));
        }
        Ok(())
    }

    /// How many documents there are, told exactly.
    pub fn total(&self) -> u64 {
        let total = &self.hits.total;
        total["value"].as_u64().or(total.as_u64()).unwrap_or(0)
    }
}
