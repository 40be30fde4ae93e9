//! One index

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::aliases::Alias;
use super::error::{Refusal, Result};
use super::mapping::Mapping;
use super::reader::Reader;
use super::write::{Outcome, Stored, Write};

/// One index.
pub struct Index {
    name: String,
    uuid: String,
    created: i64,
}

/// How much there is in an index, as of its last refresh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub documents: u64,
    /// Replaced and deleted documents that still take up space.
    pub deleted: u64,
    /// On the disk.
    pub bytes: u64,
}

impl Index {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// When it was created: epoch milliseconds.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The settings as Elasticsearch prints them: `{"index": {"number_of_shards": "1", ..}}`.
    pub fn settings(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Its other names, ascending.
    pub fn aliases(&self) -> Arc<BTreeMap<String, Alias>> {
        Arc::default()
    }

    /// Whether wildcards leave it out unless they ask for hidden ones.
    pub fn is_hidden(&self) -> bool {
        false
    }

    pub fn mapping(&self) -> Arc<Mapping> {
        Arc::default()
    }

    /// Adds to the mapping: `{"properties": {..}, "dynamic": .., ..}`. Durable when it returns.
    pub async fn put_mapping(&self, _mapping: &Value) -> Result<()> {
        Err(unwritten())
    }

    /// Changes settings that may be changed: `{"index.refresh_interval": "5s"}` in any of Elasticsearch's forms.
    pub async fn put_settings(&self, _settings: &Value) -> Result<()> {
        Err(unwritten())
    }

    /// Writes documents, in their order, and answers each. Durable when it returns; found by searches after a refresh.
    ///
    /// # Errors
    /// Only where nothing could be written. What is wrong with one document is in its outcome.
    pub async fn write(self: &Arc<Self>, _writes: Vec<Write>) -> Result<Vec<Outcome>> {
        Err(unwritten())
    }

    /// The document with an id as it is now, refreshed or not.
    pub async fn get(self: &Arc<Self>, _id: &str) -> Result<Option<Stored>> {
        Err(unwritten())
    }

    /// Makes what was written until now findable.
    pub async fn refresh(self: &Arc<Self>) -> Result<()> {
        Err(unwritten())
    }

    /// Returns at the next refresh by the clock, or makes one where there is none: `refresh=wait_for`.
    pub async fn refreshed(self: &Arc<Self>) -> Result<()> {
        Err(unwritten())
    }

    /// What was refreshed, as it is at this moment.
    pub fn reader(self: &Arc<Self>) -> Result<Reader> {
        Err(unwritten())
    }

    pub fn stats(self: &Arc<Self>) -> Result<Stats> {
        Err(unwritten())
    }
}

fn unwritten() -> super::IndexError {
    Refusal::illegal_argument("not there yet").into()
}
