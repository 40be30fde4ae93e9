//! Other names of indices

use serde_json::{Map, Value};

/// What an alias says of one index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alias {
    /// Which documents are meant; all of them without.
    pub filter: Option<Value>,
    pub is_write_index: Option<bool>,
    pub is_hidden: Option<bool>,
    pub index_routing: Option<String>,
    pub search_routing: Option<String>,
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
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("filter", self.filter.clone());
        put("index_routing", self.index_routing.clone().map(Value::from));
        put(
            "search_routing",
            self.search_routing.clone().map(Value::from),
        );
        put("is_write_index", self.is_write_index.map(Value::from));
        put("is_hidden", self.is_hidden.map(Value::from));
        object
    }
}
