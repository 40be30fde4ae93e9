//! The order of what is found, and the page of it that is asked for.

use std::cmp::Ordering;

use serde_json::Value;
use tidewatch_jobs::documents::type_of;
use tidewatch_store::query::{FieldType, compare, values};

use crate::error::{ApiError, Result};

/// What is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    field: String,
    descending: bool,
    missing_first: bool,
}

impl Key {
    /// `sort` of a body: a name, an object, or a list of them.
    pub fn parse(json: &Value) -> Result<Vec<Self>> {
        match json {
            Value::Array(keys) => {
                let mut all = Vec::new();
                for key in keys {
                    all.extend(Self::parse(key)?);
                }
                Ok(all)
            }
            Value::String(name) => Ok(vec![Self::new(name, None)?]),
            Value::Object(keys) => keys
                .iter()
                .map(|(name, said)| Self::said(name, said))
                .collect(),
            _ => Err(ApiError::illegal_argument(
                "malformed sort format, either start with array, object, or an actual string",
            )),
        }
    }

    /// `sort` as a parameter: `field:direction,...`.
    pub fn of_param(text: &str) -> Result<Vec<Self>> {
        let one = |part: &str| match part.split_once(':') {
            Some((name, direction)) => Self::new(name, Some(direction)),
            None => Self::new(part, None),
        };
        text.split(',').map(one).collect()
    }

    fn new(name: &str, direction: Option<&str>) -> Result<Self> {
        let descending = match direction {
            Some("asc") => false,
            Some("desc") => true,
            None => name == "_score",
            Some(other) => {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown SortOrder [{other}]"
                )));
            }
        };
        Ok(Self {
            field: name.to_owned(),
            descending,
            missing_first: false,
        })
    }

    fn said(name: &str, said: &Value) -> Result<Self> {
        let Value::Object(said) = said else {
            return Self::new(name, said.as_str());
        };
        let mut key = Self::new(name, said.get("order").and_then(Value::as_str))?;
        for (option, value) in said {
            match option.as_str() {
                "order" | "unmapped_type" | "format" | "numeric_type" | "mode"
                | "ignore_unmapped" => {}
                "missing" if value == "_first" => key.missing_first = true,
                "missing" if value == "_last" => {}
                other => {
                    return Err(ApiError::new(
                        axum::http::StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!("[1:1] [field_sort] unknown field [{other}]"),
                    ));
                }
            }
        }
        Ok(key)
    }

    /// What a document is sorted by: the least or the most of its values.
    fn of(&self, index: &str, id: &str, source: &Value) -> Value {
        match self.field.as_str() {
            "_id" => return id.into(),
            "_index" => return index.into(),
            "_score" => return 1.0.into(),
            "_doc" | "_shard_doc" => return Value::Null,
            _ => {}
        }
        let mut best: Option<Value> = None;
        values(source, &self.field, &mut |value| {
            let is_better = best.as_ref().is_none_or(|best| {
                let wanted = if self.descending {
                    Ordering::Greater
                } else {
                    Ordering::Less
                };
                compare(value, best) == Some(wanted)
            });
            if is_better && !value.is_object() {
                best = Some(value.clone());
            }
            false
        });
        best.unwrap_or(Value::Null)
    }

    fn order(&self, a: &Value, b: &Value) -> Ordering {
        let missing = |first: bool| {
            if first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        };
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => missing(self.missing_first),
            (false, true) => missing(self.missing_first).reverse(),
            (false, false) => {
                let order = compare(a, b).unwrap_or(Ordering::Equal);
                if self.descending {
                    order.reverse()
                } else {
                    order
                }
            }
        }
    }
}

fn order(keys: &[Key], a: &[Value], b: &[Value]) -> Ordering {
    let each = keys
        .iter()
        .zip(a)
        .zip(b)
        .map(|((key, a), b)| key.order(a, b));
    each.fold(Ordering::Equal, Ordering::then)
}

/// A document on a page.
#[derive(Debug, Clone)]
pub struct Hit {
    pub index: String,
    pub id: String,
    pub source: Value,
    /// What it is sorted by.
    pub sort: Vec<Value>,
}

/// The first ones of what is found, and never many more of them at once.
pub struct Page {
    keys: Vec<Key>,
    after: Option<Vec<Value>>,
    most: usize,
    hits: Vec<Hit>,
}

impl Page {
    /// Of the first `most`, `after` the place of another page's last.
    pub fn new(keys: Vec<Key>, after: Option<Vec<Value>>, most: usize) -> Result<Self> {
        if let Some(after) = &after {
            if keys.is_empty() {
                return Err(ApiError::illegal_argument(
                    "Sort must contain at least one field.",
                ));
            }
            if after.len() != keys.len() {
                return Err(ApiError::illegal_argument(format!(
                    "search_after has {} value(s) but sort has {}.",
                    after.len(),
                    keys.len()
                )));
            }
        }
        let after = after.map(|after| keys.iter().zip(after).map(place).collect());
        Ok(Self {
            keys,
            after,
            most,
            hits: Vec::new(),
        })
    }

    pub fn is_sorted(&self) -> bool {
        !self.keys.is_empty()
    }

    pub fn add(&mut self, index: &str, id: String, source: Value) {
        if self.most == 0 || (self.keys.is_empty() && self.hits.len() >= self.most) {
            return;
        }
        let sort: Vec<Value> = self
            .keys
            .iter()
            .map(|key| key.of(index, &id, &source))
            .collect();
        if let Some(after) = &self.after
            && order(&self.keys, &sort, after) != Ordering::Greater
        {
            return;
        }
        self.hits.push(Hit {
            index: index.to_owned(),
            id,
            source,
            sort,
        });
        if self.hits.len() >= 2 * self.most.max(500) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        // Equals stay in the order in which they were found.
        self.hits
            .sort_by(|a, b| order(&self.keys, &a.sort, &b.sort));
        self.hits.truncate(self.most);
    }

    pub fn hits(mut self) -> Vec<Hit> {
        self.trim();
        self.hits
    }
}

/// A value of `search_after`: of a date, milliseconds.
fn place((key, value): (&Key, Value)) -> Value {
    match (&value, type_of(&key.field)) {
        (Value::String(text), FieldType::Date) => {
            super::search::date(text, false).map_or(value, Value::from)
        }
        _ => value,
    }
}
