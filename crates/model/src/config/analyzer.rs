//! The analyzer of log messages, as it is configured.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ConfigError;

/// Fails with an `illegal_argument_exception`.
macro_rules! refuse_argument {
    ($($message:tt)*) => { return Err(ConfigError::illegal_argument(format!($($message)*))) };
}

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
        let parts = match value {
            Value::String(name) => return Ok(Self::Named(name)),
            Value::Object(parts) => parts,
            other => refuse_argument!(
                "[categorization_analyzer] should be analyzer's name or settings [{}]",
                token(&other)
            ),
        };
        let (mut char_filter, mut tokenizer, mut filter) = (Vec::new(), None, Vec::new());
        for (name, value) in parts {
            match (name.as_str(), value) {
                ("char_filter", Value::Array(values)) => {
                    char_filter = elements("char_filter", "char_filter", values)?;
                }
                ("filter", Value::Array(values)) => {
                    filter = elements("filter", "token_filter", values)?;
                }
                ("tokenizer", value @ (Value::String(_) | Value::Object(_))) => {
                    tokenizer = Some(as_settings(value));
                }
                ("tokenizer", other) => refuse_argument!(
                    "[tokenizer] in [categorization_analyzer] should be tokenizer's name or settings [{}]",
                    token(&other)
                ),
                (_, other) => refuse_argument!(
                    "Parameter [{name}] in [categorization_analyzer] is unknown or of the wrong type [{}]",
                    token(&other)
                ),
            }
        }
        let Some(tokenizer) = tokenizer else {
            refuse_argument!(
                "[categorization_analyzer] that is not a global analyzer must specify a [tokenizer] field"
            );
        };
        Ok(Self::Custom(CustomAnalyzer {
            char_filter,
            tokenizer,
            filter,
        }))
    }
}

/// The elements of a list of filters: names, or settings.
fn elements(field: &str, kind: &str, values: Vec<Value>) -> Result<Vec<Value>, ConfigError> {
    let is_one = |value: &Value| value.is_string() || value.is_object();
    if let Some(other) = values.iter().find(|value| !is_one(value)) {
        refuse_argument!(
            "[{field}] in [categorization_analyzer] array element should contain {kind}'s name or settings [{}]",
            token(other)
        );
    }
    Ok(values.into_iter().map(as_settings).collect())
}

/// What Elasticsearch's parser calls the beginning of a value.
fn token(value: &Value) -> &'static str {
    match value {
        Value::Null => "VALUE_NULL",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
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
