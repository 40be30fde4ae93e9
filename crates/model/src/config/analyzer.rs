//! The analyzer of log messages, as it is configured.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ConfigError;

/// An analyzer as clients see it: the name of a known one, or its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Value")]
pub enum AnalyzerConfig {
    Named(String),
    Custom(CustomAnalyzer),
}

/// The parts are names, or objects with a `type` and settings; all settings are texts or lists of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CustomAnalyzer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub char_filter: Vec<Value>,
    pub tokenizer: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<Value>,
}

impl TryFrom<Value> for AnalyzerConfig {
    type Error = ConfigError;

    fn try_from(value: Value) -> Result<Self, ConfigError> {
        let refused = |reason: String| Err(ConfigError::illegal_argument(reason));
        let parts = match value {
            Value::String(name) => return Ok(Self::Named(name)),
            Value::Object(parts) => parts,
            other => {
                return refused(format!(
                    "[categorization_analyzer] should be a string or object [{other}]"
                ));
            }
        };
        let (mut char_filter, mut tokenizer, mut filter) = (Vec::new(), None, Vec::new());
        for (name, value) in parts {
            match (name.as_str(), value) {
                ("char_filter", Value::Array(values)) => char_filter = values,
                ("filter", Value::Array(values)) => filter = values,
                ("tokenizer", value @ (Value::String(_) | Value::Object(_))) => {
                    tokenizer = Some(value)
                }
                _ => {
                    return refused(format!(
                        "Parameter [{name}] in [categorization_analyzer] is unknown or of the wrong type"
                    ));
                }
            }
        }
        let Some(tokenizer) = tokenizer else {
            return refused(
                "[categorization_analyzer] that is not a global analyzer must specify a [tokenizer] field".to_owned(),
            );
        };
        Ok(Self::Custom(CustomAnalyzer {
            char_filter: char_filter.into_iter().map(as_settings).collect(),
            tokenizer: as_settings(tokenizer),
            filter: filter.into_iter().map(as_settings).collect(),
        }))
    }
}

/// Numbers and truth values are texts in Elasticsearch's settings.
fn as_settings(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        Value::Array(values) => values.into_iter().map(as_settings).collect(),
        Value::Object(settings) => {
            let settings = settings.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                settings
                    .map(|(name, value)| (name, as_settings(value)))
                    .collect(),
            )
        }
        value => value,
    }
}

impl AnalyzerConfig {
    /// What is used when nothing else is said. What the patterns match is left out.
    pub fn standard(filters: &[String]) -> Self {
        let replaced = |pattern: &String| json!({"type": "pattern_replace", "pattern": pattern});
        let first_line = json!("first_line_with_letters");
        Self::Custom(CustomAnalyzer {
            char_filter: std::iter::once(first_line)
                .chain(filters.iter().map(replaced))
                .collect(),
            tokenizer: json!("ml_standard"),
            filter: vec![
                json!({"type": "stop", "stopwords": DATE_WORDS.as_slice()}),
                json!({"type": "limit", "max_token_count": "100"}),
            ],
        })
    }
}

const DATE_WORDS: [&str; 40] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Mon",
    "Tue",
    "Wed",
    "Thu",
    "Fri",
    "Sat",
    "Sun",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
    "GMT",
    "UTC",
];

/// The default analyzer as `_ml/info` shows it.
pub fn default_analyzer() -> Map<String, Value> {
    match serde_json::to_value(AnalyzerConfig::standard(&[])) {
        Ok(Value::Object(analyzer)) => analyzer,
        _ => Map::new(),
    }
}
