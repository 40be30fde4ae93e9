//! Values in answers: the way to them, what is kept of them, and when one is what a case expects.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

/// What a case has kept under a name, and the last answer's body as `body`.
#[derive(Default)]
pub struct Stash(HashMap<String, Value>);

impl Stash {
    pub fn keep(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The value that `name` or `name.path.below` stands for.
    fn value(&self, name: &str) -> Result<Value, String> {
        if let Some(value) = self.0.get(name) {
            return Ok(value.clone());
        }
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let kept = self.0.get(first).and_then(|v| self.find(v, rest).ok()?);
        kept.ok_or_else(|| format!("nothing is kept as ${name}"))
    }

    /// `value` with `$name` and `${name}` put in, in keys as well.
    pub fn fill(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) if !name.starts_with('{') && !name.is_empty() => self.value(name)?,
                _ => Value::String(self.fill_text(text)?),
            },
            Value::Array(list) => list
                .iter()
                .map(|v| self.fill(v))
                .collect::<Result<_, _>>()?,
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    let key = match key.strip_prefix('$') {
                        Some(name) if !name.starts_with('{') => plain(&self.value(name)?),
                        _ => self.fill_text(key)?,
                    };
                    filled.insert(key, self.fill(value)?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&self, text: &str) -> Result<String, String> {
        let mut rest = text;
        let mut filled = String::new();
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            filled += &rest[..start];
            filled += &plain(&self.value(&rest[start + 2..start + length])?);
            rest = &rest[start + length + 1..];
        }
        Ok(filled + rest)
    }

    /// What stands at a path of names and places with dots between; `\.` is a dot in a name.
    pub fn find(&self, root: &Value, path: &str) -> Result<Option<Value>, String> {
        let mut here = root.clone();
        if path.is_empty() {
            return Ok(Some(here));
        }
        for part in path.replace("\\.", "\u{0}").split('.') {
            let part = part.replace('\u{0}', ".");
            let part = match part.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => plain(&self.value(name)?),
                _ => self.fill_text(&part)?,
            };
            let next = match &here {
                Value::Object(map) if part == "_arbitrary_key_" => {
                    map.keys().next().map(|k| Value::String(k.clone()))
                }
                Value::Object(map) => map.get(&part).cloned(),
                Value::Array(list) => part.parse().ok().and_then(|i: usize| list.get(i).cloned()),
                _ => None,
            };
            match next {
                Some(value) => here = value,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }
}

/// A value as it stands in a text: a string without its quotes.
pub fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as Java prints maps and lists, which patterns for errors are written for.
pub fn java_text(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(map) => {
            let entry = |(k, v): (&String, &Value)| format!("{k}={}", java_text(v));
            format!("{{{}}}", join(map.iter().map(entry).collect()))
        }
        Value::Array(list) => format!("[{}]", join(list.iter().map(java_text).collect())),
        other => plain(other),
    }
}

/// What is between the slashes of a pattern.
pub fn pattern(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix('/')?.strip_suffix('/')?;
    (!inner.is_empty()).then_some(inner)
}

/// Whether a pattern, with white space and comments of its own, is found in a text.
pub fn matches_pattern(pattern: &str, text: &str) -> Result<bool, String> {
    let regex = Regex::new(&format!("(?x){pattern}")).map_err(|e| e.to_string())?;
    Ok(regex.is_match(text))
}

/// Says how `found` differs from `expected`, if it does. At the top 1 and 1.0 are the same, below they are not.
pub fn difference(expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
        _ => below("", expected, found),
    }
}

fn below(at: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(want), Value::Object(have)) => {
            for (key, value) in want {
                let at = format!("{at}.{key}");
                let have = have.get(key).ok_or_else(|| format!("{at} is missing"))?;
                below(&at, value, have)?;
            }
            match have.keys().find(|key| !want.contains_key(*key)) {
                Some(key) => Err(format!("{at}.{key} was not expected: {}", have[key])),
                None => Ok(()),
            }
        }
        (Value::Array(want), Value::Array(have)) => {
            if want.len() != have.len() {
                return Err(format!(
                    "{at} has {} elements, not {}: {found}",
                    have.len(),
                    want.len()
                ));
            }
            let mut pairs = want.iter().zip(have).enumerate();
            pairs.try_for_each(|(i, (a, b))| below(&format!("{at}.{i}"), a, b))
        }
        (Value::String(text), found) if pattern(text).is_some() => {
            let found = plain(found);
            match matches_pattern(pattern(text).unwrap_or_default(), &found)? {
                true => Ok(()),
                false => Err(format!("{at} is «{found}», which is not like {text}")),
            }
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{at} is {found}, expected {expected}")),
    }
}

/// Whether an answer's value counts as true.
pub fn truthy(value: Option<&Value>) -> bool {
    let Some(value) = value else { return false };
    let text = plain(value);
    !value.is_null() && !text.is_empty() && !text.eq_ignore_ascii_case("false") && text != "0"
}

/// Whether a list, text or object holds what is expected: of an object a part is enough.
pub fn contains(found: &Value, expected: &Value) -> bool {
    let part = |have: &Value| match (have, expected) {
        (Value::Object(have), Value::Object(want)) => {
            want.iter().all(|(key, value)| have.get(key) == Some(value))
        }
        _ => have == expected,
    };
    match (found, expected) {
        (Value::String(text), Value::String(inner)) => text.contains(inner),
        (Value::Array(list), _) => list.iter().any(part),
        _ => part(found),
    }
}
