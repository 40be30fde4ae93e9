//! How names of indices are understood.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidewatch_model::config::ConfigError;

/// What a wildcard stands for, and what becomes of names that nothing is found for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct IndicesOptions {
    /// `open`, `closed` and `hidden`, in this order.
    pub expand_wildcards: Vec<String>,
    /// A name of an index that isn't there is passed over.
    pub ignore_unavailable: bool,
    /// A wildcard may stand for nothing.
    pub allow_no_indices: bool,
    /// Of frozen indices, which there are none of any more.
    pub ignore_throttled: bool,
}

/// In the order in which they are told.
const STATES: [&str; 3] = ["open", "closed", "hidden"];

impl Default for IndicesOptions {
    fn default() -> Self {
        Self {
            expand_wildcards: vec!["open".to_owned()],
            ignore_unavailable: false,
            allow_no_indices: true,
            ignore_throttled: true,
        }
    }
}

impl IndicesOptions {
    /// Whether a wildcard stands for indices of a state, too: `open`, `closed` or `hidden`.
    pub fn expands_to(&self, state: &str) -> bool {
        self.expand_wildcards.iter().any(|known| known == state)
    }

    /// As the parameters of a request have it; what isn't given is as by default.
    pub fn from_texts(
        expand_wildcards: Option<&str>,
        ignore_unavailable: Option<bool>,
        allow_no_indices: Option<bool>,
        ignore_throttled: Option<bool>,
    ) -> Result<Self, ConfigError> {
        let default = Self::default();
        let expand_wildcards = match expand_wildcards {
            Some(text) => expanded(text.split(','))?,
            None => default.expand_wildcards,
        };
        Ok(Self {
            expand_wildcards,
            ignore_unavailable: ignore_unavailable.unwrap_or(default.ignore_unavailable),
            allow_no_indices: allow_no_indices.unwrap_or(default.allow_no_indices),
            ignore_throttled: ignore_throttled.unwrap_or(default.ignore_throttled),
        })
    }
}

/// What a list of words adds up to: the last of `none` and `all` goes over what stands before it.
fn expanded<'t>(words: impl Iterator<Item = &'t str>) -> Result<Vec<String>, ConfigError> {
    let mut taken = [false; STATES.len()];
    for word in words {
        match word.trim() {
            "none" => taken = [false; STATES.len()],
            "all" => taken = [true; STATES.len()],
            word => match STATES.iter().position(|state| *state == word) {
                Some(at) => taken[at] = true,
                None => {
                    return Err(ConfigError::illegal_argument(format!(
                        "No valid expand wildcard value [{word}]"
                    )));
                }
            },
        }
    }
    let taken = STATES.iter().zip(taken).filter(|(_, taken)| *taken);
    Ok(taken.map(|(state, _)| (*state).to_owned()).collect())
}

/// Elasticsearch takes these names in both spellings, texts for truths, and passes over what it doesn't know.
impl TryFrom<Map<String, Value>> for IndicesOptions {
    type Error = ConfigError;

    fn try_from(given: Map<String, Value>) -> Result<Self, ConfigError> {
        let find = |snake: &str, camel: &str| given.get(snake).or_else(|| given.get(camel));
        let truth = |snake: &'static str, camel: &'static str| match find(snake, camel) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(ConfigError::illegal_argument(format!(
                "Could not convert [{snake}] to boolean"
            ))),
        };
        let words = match find("expand_wildcards", "expandWildcards") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(list)) => {
                let words = list.iter().map(|word| {
                    word.as_str()
                        .map_or_else(|| word.to_string(), str::to_owned)
                });
                let words: Vec<String> = words.collect();
                match words.is_empty() {
                    true => Some("none".to_owned()),
                    false => Some(words.join(",")),
                }
            }
            Some(other) => Some(other.to_string()),
        };
        Self::from_texts(
            words.as_deref(),
            truth("ignore_unavailable", "ignoreUnavailable")?,
            truth("allow_no_indices", "allowNoIndices")?,
            truth("ignore_throttled", "ignoreThrottled")?,
        )
    }
}
