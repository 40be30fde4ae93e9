//! The catalogue of indices

use std::sync::Arc;

use serde_json::Value;

use super::aliases::AliasAction;
use super::engine::Index;
use super::error::{Refusal, Result};

/// All indices. Clones share them.
#[derive(Clone, Default)]
pub struct Indices;

/// The body of `PUT /{index}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Creation {
    pub mappings: Value,
    pub settings: Value,
    pub aliases: Value,
}

impl Indices {
    /// Creates an index. Refused: a name that is none or is taken, a mapping or a setting that is none.
    pub async fn create(&self, _name: &str, _creation: Creation) -> Result<Arc<Index>> {
        Err(Refusal::illegal_argument("not there yet").into())
    }

    /// Deletes an index; readers of it go on. Refused where there is none.
    pub async fn delete(&self, _name: &str) -> Result<()> {
        Err(Refusal::illegal_argument("not there yet").into())
    }

    pub fn get(&self, _name: &str) -> Option<Arc<Index>> {
        None
    }

    /// All of them by name.
    pub fn all(&self) -> Vec<Arc<Index>> {
        Vec::new()
    }

    /// The indices that have an alias, by name.
    pub fn with_alias(&self, _alias: &str) -> Vec<Arc<Index>> {
        Vec::new()
    }

    /// Does all of the actions, or none.
    pub async fn update_aliases(&self, _actions: Vec<AliasAction>) -> Result<()> {
        Err(Refusal::illegal_argument("not there yet").into())
    }
}
