//! A search, read from JSON.

use serde_json::{Map, Value, json};

use super::aggregations::Aggregation;
use super::asked::Asked;
use super::error::{Result, fault, illegal, refuse};
use super::shown::Shown;
use super::sort::Key;
use crate::query::Dsl;

/// How deep a page may reach.
pub const WINDOW: i64 = 10_000;
const SIZE: i64 = 10;
/// How far is counted where nothing is said.
const COUNTED: u64 = 10_000;

/// How far matches are counted, and how that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    Not,
    UpTo(u64),
    All,
    /// All, told as a number alone.
    AsNumber,
}

impl Counted {
    /// # Errors
    /// For what is neither a truth nor a number.
    pub fn parse(said: &Value) -> Result<Self> {
        let text = said
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        match text.as_ref().unwrap_or(said) {
            Value::Bool(true) => Ok(Self::All),
            Value::Bool(false) => Ok(Self::Not),
            said if said.as_i64() == Some(-1) => Ok(Self::Not),
            said => match said.as_u64() {
                Some(most) => Ok(Self::UpTo(most)),
                None => illegal(format!(
                    "[track_total_hits] parameter must be positive or equals to -1, got {said}"
                )),
            },
        }
    }

    /// `total` of an answer. None: it isn't told.
    pub fn told(self, count: u64) -> Option<Value> {
        let (value, relation) = match self {
            Self::Not => return None,
            Self::AsNumber => return Some(count.into()),
            Self::UpTo(most) if count > most => (most, "gte"),
            Self::UpTo(_) | Self::All => (count, "eq"),
        };
        Some(json!({"value": value, "relation": relation}))
    }
}

/// What is searched for, and what of it is told. Parameters of a request go over what its body said.
#[derive(Debug, Clone)]
pub struct Search {
    pub query: Dsl,
    /// Narrows the hits, not the aggregations.
    pub post_filter: Option<Dsl>,
    pub from: i64,
    pub size: i64,
    pub sort: Vec<Key>,
    pub search_after: Option<Vec<Value>>,
    pub counted: Counted,
    pub source: Shown,
    /// From the source, as the mapping has them.
    pub fields: Vec<Asked>,
    /// From columns.
    pub docvalue_fields: Vec<Asked>,
    pub aggregations: Vec<Aggregation>,
    /// Whether their names are told with their types.
    pub typed_keys: bool,
    pub min_score: Option<f64>,
    /// Documents of an index after which it is left; 0 for none.
    pub terminate_after: u64,
    pub version: bool,
    pub seq_no_primary_term: bool,
    pub track_scores: bool,
    /// `runtime_mappings`: path to definition.
    pub runtime: Map<String, Value>,
    /// How deep a page may reach; a scroll has no such limit.
    pub window: i64,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            query: Dsl::all(),
            post_filter: None,
            from: 0,
            size: SIZE,
            sort: Vec::new(),
            search_after: None,
            counted: Counted::UpTo(COUNTED),
            source: Shown::default(),
            fields: Vec::new(),
            docvalue_fields: Vec::new(),
            aggregations: Vec::new(),
            typed_keys: false,
            min_score: None,
            terminate_after: 0,
            version: false,
            seq_no_primary_term: false,
            track_scores: false,
            runtime: Map::new(),
            window: WINDOW,
        }
    }
}

/// No field is stored but the source: it is left out where fields are asked for and it isn't among them.
fn hides_source(stored: &Value) -> bool {
    match stored {
        Value::Array(names) => !names.iter().any(|name| name == "_source"),
        name => name != "_source",
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    }
}

impl Search {
    /// Of a body.
    ///
    /// # Errors
    /// For what is malformed or not known.
    pub fn parse(mut body: Map<String, Value>) -> Result<Self> {
        let mut search = Self::default();
        // What is said of the source itself counts more.
        if let Some(stored) = body.remove("stored_fields") {
            search.source.hidden = hides_source(&stored);
        }
        for (name, value) in body {
            search.take(&name, value)?;
        }
        Ok(search)
    }

    fn take(&mut self, name: &str, value: Value) -> Result<()> {
        let wrong = || {
            fault(
                "parsing_exception",
                format!("Unknown value [{value}] for [{name}]"),
            )
        };
        let number = || {
            let text = value.as_str().and_then(|text| text.parse().ok());
            value.as_i64().or(text).ok_or_else(wrong)
        };
        let flag = || match &value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => text.parse().map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        match name {
            "query" => self.query = Dsl::new(value)?,
            "post_filter" => self.post_filter = Some(Dsl::new(value)?),
            "from" => self.from = number()?,
            "size" => self.size = number()?,
            "terminate_after" => {
                self.terminate_after = u64::try_from(number()?).map_err(|_| wrong())?
            }
            "min_score" => self.min_score = Some(value.as_f64().ok_or_else(wrong)?),
            "sort" => self.sort = Key::parse(&value)?,
            "search_after" => match value {
                Value::Array(after) => self.search_after = Some(after),
                _ => {
                    return refuse(
                        "parsing_exception",
                        "Expected [START_ARRAY] in [search_after]",
                    );
                }
            },
            "track_total_hits" => self.counted = Counted::parse(&value)?,
            "track_scores" => self.track_scores = flag()?,
            "version" => self.version = flag()?,
            "seq_no_primary_term" => self.seq_no_primary_term = flag()?,
            "_source" => self.source = Shown::parse(&value)?,
            "fields" => self.fields = Asked::parse(name, &value)?,
            "docvalue_fields" => self.docvalue_fields = Asked::parse(name, &value)?,
            "aggs" | "aggregations" => self.aggregations = Aggregation::parse(&value)?,
            "runtime_mappings" => match value {
                Value::Object(fields) => self.runtime = fields,
                _ => return Err(wrong()),
            },
            // They change nothing of what is found.
            "timeout" | "stats" => {}
            "explain" | "profile" if !flag()? => {}
            "indices_boost" | "ext" if is_empty(&value) => {}
            "explain" | "profile" | "indices_boost" | "ext" | "highlight" | "collapse"
            | "suggest" | "rescore" | "script_fields" | "slice" | "knn" | "retriever" | "rank"
            | "pit" => {
                return refuse(
                    "parsing_exception",
                    format!("[{name}] is not supported in a search"),
                );
            }
            other => {
                let kind = match value {
                    Value::Object(_) => "START_OBJECT",
                    Value::Array(_) => "START_ARRAY",
                    Value::String(_) => "VALUE_STRING",
                    Value::Number(_) => "VALUE_NUMBER",
                    Value::Bool(_) => "VALUE_BOOLEAN",
                    Value::Null => "VALUE_NULL",
                };
                return refuse(
                    "parsing_exception",
                    format!("Unknown key for a {kind} in [{other}]."),
                );
            }
        }
        Ok(())
    }

    /// # Errors
    /// For pages that no search gives.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("from", self.from), ("size", self.size)] {
            if value < 0 {
                return illegal(format!(
                    "[{name}] parameter cannot be negative, found [{value}]"
                ));
            }
        }
        let reach = self.from.saturating_add(self.size);
        if reach > self.window {
            return illegal(format!(
                "Result window is too large, from + size must be less than or equal to: [{}] but was [{reach}]. \
                 See the scroll api for a more efficient way to request large data sets. This limit can be set by \
                 changing the [index.max_result_window] index level setting.",
                self.window
            ));
        }
        if let Some(after) = &self.search_after {
            if self.from > 0 {
                return illegal("`from` parameter must be set to 0 when `search_after` is used.");
            }
            if self.sort.is_empty() {
                return illegal("Sort must contain at least one field.");
            }
            if after.len() != self.sort.len() {
                return illegal(format!(
                    "search_after has {} value(s) but sort has {}.",
                    after.len(),
                    self.sort.len()
                ));
            }
        }
        Ok(())
    }

    /// Whether documents are told apart by how well they match.
    pub(super) fn scores(&self) -> bool {
        let sorts_by_score = self.sort.is_empty() || self.sort.iter().any(Key::is_score);
        self.track_scores || self.min_score.is_some() || (sorts_by_score && self.size > 0)
    }
}
