//! Which parts of a document's source are shown.

use serde_json::{Map, Value, json};

use super::error::{Result, refuse};
use crate::query::wildcard;

/// `_source` of a request.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Nothing at all.
    pub hidden: bool,
    /// Patterns of paths; none for all.
    pub includes: Vec<String>,
    pub excludes: Vec<String>,
}

impl Shown {
    pub fn parse(json: &Value) -> Result<Self> {
        let patterns = |value: &Value| match value {
            Value::String(one) => vec![one.clone()],
            value => {
                let each = value.as_array().into_iter().flatten();
                each.filter_map(Value::as_str).map(str::to_owned).collect()
            }
        };
        Ok(match json {
            Value::Bool(shown) => Self {
                hidden: !shown,
                ..Self::default()
            },
            Value::String(_) | Value::Array(_) => Self {
                includes: patterns(json),
                ..Self::default()
            },
            Value::Object(said) => Self {
                includes: said
                    .get("includes")
                    .or(said.get("include"))
                    .map(patterns)
                    .unwrap_or_default(),
                excludes: said
                    .get("excludes")
                    .or(said.get("exclude"))
                    .map(patterns)
                    .unwrap_or_default(),
                ..Self::default()
            },
            _ => {
                return refuse(
                    "parsing_exception",
                    "Expected one of [VALUE_BOOLEAN, VALUE_STRING, START_ARRAY, START_OBJECT] for [_source]",
                );
            }
        })
    }

    /// As parameters have it: `true`, `false` or patterns; and patterns of their own.
    pub fn of_params(source: Option<&str>, includes: Option<&str>, excludes: Option<&str>) -> Self {
        let patterns = |text: Option<&str>| {
            text.into_iter()
                .flat_map(|text| text.split(','))
                .map(str::to_owned)
                .collect()
        };
        let mut shown = Self {
            hidden: source == Some("false"),
            includes: patterns(includes),
            excludes: patterns(excludes),
        };
        if !matches!(source, None | Some("" | "true" | "false")) {
            shown.includes = patterns(source);
        }
        shown
    }

    /// Whether the whole of it is.
    pub fn is_all(&self) -> bool {
        !self.hidden && self.includes.is_empty() && self.excludes.is_empty()
    }

    pub fn of(&self, source: Value) -> Value {
        if self.includes.is_empty() && self.excludes.is_empty() {
            return source;
        }
        self.within(source, "").unwrap_or_else(|| json!({}))
    }

    fn within(&self, value: Value, path: &str) -> Option<Value> {
        match value {
            Value::Object(map) => {
                let mut kept = Map::new();
                for (name, value) in map {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    if named(&self.excludes, &path) {
                        continue;
                    }
                    let inner = match self.includes.is_empty() || named(&self.includes, &path) {
                        true if self.excludes.is_empty() => Some(value),
                        true => Self {
                            includes: Vec::new(),
                            ..self.clone()
                        }
                        .within(value, &path),
                        false if value.is_object() || value.is_array() => self.within(value, &path),
                        false => None,
                    };
                    if let Some(inner) = inner {
                        kept.insert(name, inner);
                    }
                }
                (!kept.is_empty() || self.includes.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(values) if values.iter().any(Value::is_object) => {
                let kept: Vec<Value> = values
                    .into_iter()
                    .filter_map(|value| self.within(value, path))
                    .collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            value => self.includes.is_empty().then_some(value),
        }
    }
}

fn named(patterns: &[String], path: &str) -> bool {
    patterns.iter().any(|pattern| {
        wildcard(pattern, path)
            || path
                .strip_prefix(pattern.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_source_are_shown() {
        let source = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}]});
        let shown = |what: Value| Shown::parse(&what).expect("read").of(source.clone());
        assert_eq!(shown(json!("a")), json!({"a": 1}));
        assert_eq!(
            shown(json!(["b.c", "e.f"])),
            json!({"b": {"c": 2}, "e": [{"f": 4}]})
        );
        assert_eq!(shown(json!("b")), json!({"b": {"c": 2, "d": 3}}));
        assert_eq!(
            shown(json!({"excludes": ["b.*", "a"]})),
            json!({"b": {}, "e": [{"f": 4, "g": 5}]})
        );
        assert_eq!(shown(json!("x*")), json!({}));
        assert!(Shown::parse(&json!(false)).expect("read").hidden);
        assert!(Shown::parse(&json!(3)).is_err());
    }
}
