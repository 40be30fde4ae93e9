//! What scripts return, as JSON.

use chrono::SecondsFormat;
use serde_json::{Map, Number as JsonNumber, Value as Json};

use super::document::FieldValue;
use super::error::Fault;
use super::number::Number;
use super::run::Run;
use super::value::Value;

/// Lists within lists.
const NESTING: usize = 32;

/// A number that JSON has none for is its name.
pub(super) fn number(number: f64) -> Json {
    match JsonNumber::from_f64(number) {
        Some(number) => Json::Number(number),
        None => Json::String(Number::Double(number).text()),
    }
}

/// About the bytes that a copy takes.
fn weight(json: &Json) -> usize {
    let within = match json {
        Json::String(text) => text.len(),
        Json::Array(values) => values.iter().map(weight).sum(),
        Json::Object(map) => map
            .iter()
            .map(|(name, value)| name.len() + 32 + weight(value))
            .sum(),
        _ => 0,
    };
    size_of::<Json>() + within
}

impl FieldValue {
    /// The order of a field's values. Those of one field are alike.
    pub(super) fn order(left: &Self, right: &Self) -> std::cmp::Ordering {
        match (left, right) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Long(left), Self::Long(right))
            | (Self::Date(left), Self::Date(right))
            | (Self::DateNanos(left), Self::DateNanos(right)) => left.cmp(right),
            (Self::Double(left), Self::Double(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            _ => std::cmp::Ordering::Equal,
        }
    }
}

impl<'a> Run<'a> {
    /// A value as a response has it.
    pub(super) fn output(&mut self, value: &Value<'a>, depth: usize) -> Result<Json, Fault> {
        self.work(1)?;
        if depth > NESTING {
            return Err(Fault::argument("lists are nested too deeply"));
        }
        Ok(match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(Number::Int(number)) => Json::from(*number),
            Value::Number(Number::Long(number)) => Json::from(*number),
            // The fewest digits that mean the float.
            Value::Number(Number::Float(float)) => {
                float.to_string().parse().map_or(Json::Null, number)
            }
            Value::Number(Number::Double(double)) => number(*double),
            Value::Text(text) => Json::String(text.to_string()),
            Value::Json(json) => {
                self.take(weight(json))?;
                (*json).clone()
            }
            Value::Zoned(time) => {
                let utc = time.offset().local_minus_utc() == 0;
                Json::String(time.to_rfc3339_opts(SecondsFormat::Millis, utc))
            }
            Value::List(_) | Value::Doc(_) | Value::Field(_) => {
                let mut values = Vec::new();
                for element in self.elements(value)? {
                    values.push(self.output(&element, depth + 1)?);
                }
                Json::Array(values)
            }
            Value::Map(_) => {
                let mut map = Map::new();
                for (key, element) in self.pairs(value)? {
                    let mut name = String::new();
                    self.write(&key, &mut name, depth + 1)?;
                    map.insert(name, self.output(&element, depth + 1)?);
                }
                Json::Object(map)
            }
            Value::Regex(_) | Value::Matcher(_) | Value::Dissect(_) | Value::Format(_) => {
                let class = value.class();
                let reason =
                    format!("cannot write xcontent for unknown value of type class {class}");
                return Err(Fault::argument(reason));
            }
            other => Json::String(self.plain_text(other)),
        })
    }
}
