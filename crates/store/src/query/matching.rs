//! Whether a document matches.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{How, Limit, Query};

/// A document as queries see it.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    pub index: &'d str,
    pub id: &'d str,
    pub source: &'d Value,
}

impl Query {
    pub fn matches(&self, document: Document<'_>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Terms {
                field,
                values: wanted,
                ignore_case,
            } => any(document, field, &mut |value| {
                wanted
                    .iter()
                    .any(|wanted| equal(value, wanted, *ignore_case))
            }),
            Self::Range { field, from, to } => any(document, field, &mut |value| {
                within(value, from.as_ref(), Ordering::Greater)
                    && within(value, to.as_ref(), Ordering::Less)
            }),
            Self::Exists(field) => any(document, field, &mut |_| true),
            Self::Prefix {
                field,
                prefix,
                ignore_case,
            } => any(document, field, &mut |value| {
                value.as_str().is_some_and(|text| match ignore_case {
                    true => text.to_lowercase().starts_with(&prefix.to_lowercase()),
                    false => text.starts_with(prefix.as_str()),
                })
            }),
            // Of all texts, and of their words.
            Self::Wildcard { field, pattern, .. } if field == "*" => {
                texts(document.source, &mut |text| {
                    wildcard(pattern, text)
                        || text.split_whitespace().any(|word| wildcard(pattern, word))
                })
            }
            Self::Wildcard {
                field,
                pattern,
                ignore_case,
            } => any(document, field, &mut |value| {
                value.as_str().is_some_and(|text| match ignore_case {
                    true => wildcard(&pattern.to_lowercase(), &text.to_lowercase()),
                    false => wildcard(pattern, text),
                })
            }),
            Self::Ids(ids) => ids.iter().any(|id| id == document.id),
            Self::Words { field, words, how } => has_words(document, field.as_deref(), words, *how),
            Self::Nested { path, query } => values(document.source, path, &mut |object| {
                let alone = Map::from_iter([(path.clone(), object.clone())]);
                object.is_object()
                    && query.matches(Document {
                        source: &alone.into(),
                        ..document
                    })
            }),
            Self::Bool {
                must,
                should,
                must_not,
                at_least,
            } => {
                must.iter().all(|query| query.matches(document))
                    && !must_not.iter().any(|query| query.matches(document))
                    && should
                        .iter()
                        .filter(|query| query.matches(document))
                        .take(*at_least)
                        .count()
                        >= *at_least
            }
        }
    }
}

/// Whether one of the values of a field is as wanted.
fn any(document: Document<'_>, field: &str, wanted: &mut dyn FnMut(&Value) -> bool) -> bool {
    match field {
        "_id" => wanted(&Value::from(document.id)),
        "_index" => wanted(&Value::from(document.index)),
        field => values(document.source, field, wanted),
    }
}

/// Shows the values of a field, until one is taken: `true`. Values of objects that stand in arrays are all meant, and
/// names with dots in them are found.
pub fn values(value: &Value, field: &str, take: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| self::values(value, field, take)),
        Value::Object(map) => {
            if let Some(value) = map.get(field)
                && leaves(value, take)
            {
                return true;
            }
            field.match_indices('.').any(|(dot, _)| {
                map.get(&field[..dot])
                    .is_some_and(|inner| values(inner, &field[dot + 1..], take))
            })
        }
        _ => false,
    }
}

fn leaves(value: &Value, take: &mut dyn FnMut(&Value) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => values.iter().any(|value| leaves(value, take)),
        // An object is there where one of its values is.
        Value::Object(map) => map.values().any(|value| leaves(value, &mut |_| true)) && take(value),
        value => take(value),
    }
}

/// Shows all texts of a document.
fn texts(value: &Value, take: &mut dyn FnMut(&str) -> bool) -> bool {
    match value {
        Value::String(text) => take(text),
        Value::Array(values) => values.iter().any(|value| texts(value, take)),
        Value::Object(map) => map.values().any(|value| texts(value, take)),
        _ => false,
    }
}

/// Numbers and words that say the same are equal: a term in a query may be either.
fn equal(value: &Value, wanted: &Value, ignore_case: bool) -> bool {
    match (value, wanted) {
        (Value::String(value), Value::String(wanted)) => match ignore_case {
            true => value.to_lowercase() == wanted.to_lowercase(),
            false => value == wanted,
        },
        (Value::Number(value), Value::Number(wanted)) => {
            value == wanted || value.as_f64() == wanted.as_f64()
        }
        (Value::Number(value), Value::String(wanted)) => wanted
            .parse::<f64>()
            .is_ok_and(|wanted| value.as_f64() == Some(wanted)),
        (Value::String(value), Value::Number(wanted)) => *value == wanted.to_string(),
        (Value::Bool(value), Value::String(wanted)) => *wanted == value.to_string(),
        (Value::String(value), Value::Bool(wanted)) => *value == wanted.to_string(),
        (value, wanted) => value == wanted,
    }
}

/// How two values stand to each other, where they can be compared.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::Number(a), Value::String(b)) => a.as_f64()?.partial_cmp(&b.parse().ok()?),
        (Value::String(a), Value::Number(b)) => Some(a.as_str().cmp(&b.to_string())),
        _ => None,
    }
}

fn within(value: &Value, limit: Option<&Limit>, side: Ordering) -> bool {
    let Some(limit) = limit else {
        return !value.is_object();
    };
    compare(value, &limit.value).is_some_and(|ordering| {
        ordering == side || (limit.inclusive && ordering == Ordering::Equal)
    })
}

/// Whether a text is as a pattern with `*` and `?` says; `\` takes the next character as it is.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<(char, bool)> = {
        let mut chars = pattern.chars();
        let mut read = Vec::new();
        while let Some(c) = chars.next() {
            match c {
                '\\' => read.push((chars.next().unwrap_or('\\'), false)),
                c => read.push((c, matches!(c, '*' | '?'))),
            }
        }
        read
    };
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and what it had eaten.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(('*', true)) => {
                star = Some((p, t));
                p += 1;
            }
            Some((c, special)) if (*special && *c == '?') || (!*special && *c == text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    t = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|part| *part == ('*', true))
}

fn has_words(document: Document<'_>, field: Option<&str>, words: &[String], how: How) -> bool {
    match field {
        // Of all texts, a whole one counts as a word too, as it stands.
        None => {
            let has = |word: &String| {
                texts(document.source, &mut |text| {
                    text == word || text.split_whitespace().any(|one| one == word)
                })
            };
            match how {
                How::Any => words.iter().any(has),
                How::All => !words.is_empty() && words.iter().all(has),
                How::Phrase => texts(document.source, &mut |text| {
                    let text: Vec<&str> = text.split_whitespace().collect();
                    is_in(&text, words)
                }),
            }
        }
        Some(field) => any(document, field, &mut |value| {
            let Some(text) = value.as_str() else {
                return false;
            };
            let text = super::words::of(text);
            let has = |word: &String| text.contains(word);
            match how {
                How::Any => words.iter().any(has),
                How::All => !words.is_empty() && words.iter().all(has),
                How::Phrase => is_in(&text, words),
            }
        }),
    }
}

fn is_in<T: PartialEq<String>>(text: &[T], words: &[String]) -> bool {
    let same = |window: &[T]| window.iter().zip(words).all(|(a, b)| a == b);
    !words.is_empty() && text.windows(words.len()).any(same)
}
