//! Parameters of mappings, as they are read from JSON

use serde_json::{Map, Value};

use crate::index::error::Refusal;

/// The parameters of one definition: each is taken once, and what is left is unknown.
pub struct Params<'a> {
    left: Vec<(&'a str, &'a Value)>,
    /// What is to be printed: what was given, without what is so anyway.
    pub given: Map<String, Value>,
}

impl<'a> Params<'a> {
    pub fn new(definition: &'a Map<String, Value>) -> Self {
        Self {
            left: definition.iter().map(|(k, v)| (k.as_str(), v)).collect(),
            given: Map::new(),
        }
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &str) -> Option<&'a Value> {
        let at = self.left.iter().position(|(key, _)| *key == name)?;
        Some(self.left.remove(at).1)
    }

    /// Takes a parameter that is kept and does nothing here.
    pub fn keep(&mut self, name: &str) {
        if let Some(value) = self.take(name) {
            self.given.insert(name.to_owned(), value.clone());
        }
    }

    pub fn bool(&mut self, name: &str, default: bool) -> Result<bool, Refusal> {
        let Some(value) = self.take(name) else {
            return Ok(default);
        };
        let value = boolean(value)?;
        if value != default {
            self.given.insert(name.to_owned(), value.into());
        }
        Ok(value)
    }

    pub fn number(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return Err(Refusal::mapper_parsing(format!(
                "Failed to parse [{name}] with value [{}]",
                plain(value)
            )));
        };
        self.given.insert(name.to_owned(), number.into());
        Ok(Some(number))
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        let text = plain(value);
        self.given.insert(name.to_owned(), text.clone().into());
        Some(text)
    }

    /// Refuses what nobody took.
    pub fn finish(&self, path: &str, kind: &str) -> Result<(), Refusal> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::mapper_parsing(format!(
                "unknown parameter [{name}] on mapper [{}] of type [{kind}]",
                path.rsplit_once('.').map_or(path, |(_, name)| name)
            ))),
        }
    }

    /// What nobody took, as Elasticsearch prints it.
    pub fn left(&self) -> Option<String> {
        if self.left.is_empty() {
            return None;
        }
        Some(
            self.left
                .iter()
                .map(|(name, value)| format!(" [{name} : {}]", plain(value)))
                .collect(),
        )
    }
}

/// A value as Java prints it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key}={}", plain(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

pub fn boolean(value: &Value) -> Result<bool, Refusal> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(Refusal::illegal_argument(format!(
            "Failed to parse value [{}] as only [true] or [false] are allowed.",
            plain(other)
        ))),
    }
}
