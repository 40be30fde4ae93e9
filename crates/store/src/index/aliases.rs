//! Other names of indices

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::Refusal;
use super::names::check_alias;

/// What an alias says of one index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Which documents are meant; all of them without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_routing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_routing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_write_index: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_hidden: Option<bool>,
}

/// One of the actions that are done together.
#[derive(Debug, Clone, PartialEq)]
pub enum AliasAction {
    Add {
        index: String,
        alias: String,
        settings: Alias,
    },
    Remove {
        index: String,
        alias: String,
        /// Whether it must be there.
        must_exist: bool,
    },
    RemoveIndex {
        index: String,
    },
}

impl Alias {
    /// As Elasticsearch prints it.
    pub fn to_json(&self) -> Map<String, Value> {
        // It has no part that isn't JSON.
        match serde_json::to_value(self) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        }
    }

    /// The body of an alias: `{"filter": .., "routing": .., "is_write_index": ..}`.
    pub fn parse(name: &str, body: &Value) -> Result<Self, Refusal> {
        let mut alias = Self::default();
        let wrong = |key: &str| {
            Refusal::illegal_argument(format!("Failed to parse [{key}] of alias [{name}]"))
        };
        for (key, value) in body.as_object().into_iter().flatten() {
            let text = || match value {
                Value::String(text) => Ok(Some(text.clone())),
                Value::Number(number) => Ok(Some(number.to_string())),
                Value::Null => Ok(None),
                _ => Err(wrong(key)),
            };
            match key.as_str() {
                "filter" => {
                    alias.filter = Some(value.clone()).filter(|filter| {
                        filter.as_object().is_some_and(|filter| !filter.is_empty())
                    });
                }
                "routing" => {
                    let routing = text()?;
                    alias.index_routing = alias.index_routing.or(routing.clone());
                    alias.search_routing = alias.search_routing.or(routing);
                }
                "index_routing" | "indexRouting" | "index-routing" => alias.index_routing = text()?,
                "search_routing" | "searchRouting" | "search-routing" => {
                    alias.search_routing = text()?;
                }
                "is_write_index" => {
                    alias.is_write_index = Some(value.as_bool().ok_or_else(|| wrong(key))?);
                }
                "is_hidden" => alias.is_hidden = Some(value.as_bool().ok_or_else(|| wrong(key))?),
                _ => {
                    return Err(Refusal::illegal_argument(format!(
                        "Unknown field [{key}] in alias [{name}]"
                    )));
                }
            }
        }
        Ok(alias)
    }
}

/// `aliases` of a new index.
pub(super) fn parse(aliases: &Value) -> Result<BTreeMap<String, Alias>, Refusal> {
    aliases
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, body)| {
            check_alias(name)?;
            Ok((name.clone(), Alias::parse(name, body)?))
        })
        .collect()
}
