//! Whether a document matches.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::schema::{Field, FieldType, Schema};
use super::{How, Limit, Query, parts};
use crate::dates::Zone;

/// A document as queries see it.
#[derive(Clone, Copy)]
pub struct Document<'d> {
    pub index: &'d str,
    pub id: &'d str,
    pub source: &'d Value,
    /// How its values are to be read; none where they stand there as queries mean them.
    pub schema: Option<&'d dyn Schema>,
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
            Self::Addresses { field, from, to } => any(document, field, &mut |value| {
                let address = value.as_str().and_then(parts::address);
                address.is_some_and(|address| (*from..=*to).contains(&address))
            }),
            Self::Regexp { field, pattern } => any_term(document, field, &mut |value| {
                value.as_str().is_some_and(|text| pattern.is_match(text))
            }),
            Self::Prefix {
                field,
                prefix,
                ignore_case,
            } => any_term(document, field, &mut |value| {
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
            } => any_term(document, field, &mut |value| {
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
            Self::Best { queries, .. } => queries.iter().any(|query| query.matches(document)),
            Self::Constant { query, .. } | Self::Boosted { query, .. } => query.matches(document),
            Self::Bool {
                must,
                filter,
                should,
                must_not,
                at_least,
            } => {
                must.iter()
                    .chain(filter)
                    .all(|query| query.matches(document))
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
fn any(document: Document<'_>, path: &str, wanted: &mut dyn FnMut(&Value) -> bool) -> bool {
    match path {
        "_id" => wanted(&Value::from(document.id)),
        "_index" => wanted(&Value::from(document.index)),
        path => match document.schema {
            None => values(document.source, path, wanted),
            Some(schema) => match schema.field(path) {
                Some(field) => values(document.source, &schema.in_source(path), &mut |value| {
                    as_field(&field, value).is_some_and(|value| wanted(&value))
                }),
                None => schema.is_object(path) && values(document.source, path, wanted),
            },
        },
    }
}

/// As [`any`], of each word where the field is a text.
fn any_term(document: Document<'_>, path: &str, wanted: &mut dyn FnMut(&Value) -> bool) -> bool {
    let field = document.schema.and_then(|schema| schema.field(path));
    match field.filter(|field| field.of == FieldType::Text) {
        None => any(document, path, wanted),
        Some(_) => any(document, path, &mut |value| {
            let words = crate::index::words(value.as_str().unwrap_or_default());
            words.into_iter().any(|word| wanted(&word.into()))
        }),
    }
}

/// A value of a document as its field has it. None: the field has nothing of it.
pub(crate) fn as_field(field: &Field, value: &Value) -> Option<Value> {
    let text = || match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match field.of {
        FieldType::Keyword | FieldType::Text | FieldType::Ip => text().map(Value::from),
        FieldType::Number => match value {
            Value::Number(_) => Some(value.clone()),
            Value::String(text) => text.trim().parse().ok().map(Value::Number),
            _ => None,
        },
        FieldType::Bool => match value {
            Value::Bool(_) => Some(value.clone()),
            Value::String(text) => match text.as_str() {
                "true" => Some(true.into()),
                "false" | "" => Some(false.into()),
                _ => None,
            },
            _ => None,
        },
        FieldType::Date => field
            .format
            .parse(&text()?, Zone::Utc, false)
            .map(Value::from),
        FieldType::DateNanos => {
            let millis = field.format.parse(&text()?, Zone::Utc, false)?;
            Some(millis.checked_mul(1_000_000)?.into())
        }
        FieldType::Point => Some(value.clone()),
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
                How::AtLeast(least) => words.iter().filter(|word| has(word)).count() >= least,
                How::All => !words.is_empty() && words.iter().all(has),
                How::Phrase(_) | How::PhrasePrefix => texts(document.source, &mut |text| {
                    let text: Vec<&str> = text.split_whitespace().collect();
                    is_in(&text, words, how)
                }),
            }
        }
        Some(path) => {
            // The words of several values stand one after the other, phrases within each.
            let mut found = vec![false; words.len()];
            let mut phrase = false;
            any(document, path, &mut |value| {
                let text = crate::index::words(value.as_str().unwrap_or_default());
                for (found, word) in found.iter_mut().zip(words) {
                    *found |= text.contains(word);
                }
                phrase |= is_in(&text, words, how);
                false
            });
            match how {
                How::AtLeast(least) => found.into_iter().filter(|found| *found).count() >= least,
                How::All => !found.is_empty() && found.into_iter().all(|found| found),
                How::Phrase(_) | How::PhrasePrefix => phrase,
            }
        }
    }
}

/// Whether words stand in a text one after the other; a slop moves them at most so far in all.
fn is_in<T: AsRef<str>>(text: &[T], words: &[String], how: How) -> bool {
    if words.is_empty() {
        return false;
    }
    let last = words.len() - 1;
    let same = |at: usize, word: &String, text: &T| match how {
        How::PhrasePrefix if at == last => text.as_ref().starts_with(word.as_str()),
        _ => text.as_ref() == word,
    };
    let slop = match how {
        How::Phrase(slop) => slop as usize,
        _ => 0,
    };
    if slop == 0 {
        return text.windows(words.len()).any(|window| {
            window
                .iter()
                .zip(words)
                .enumerate()
                .all(|(at, (text, word))| same(at, word, text))
        });
    }
    // Positions of each word less its place in the phrase: as near to each other as the slop allows.
    let shifts = |at: usize| {
        let positions = text.iter().enumerate();
        positions
            .filter(move |(_, text)| same(at, &words[at], text))
            .map(move |(position, _)| position + last - at)
    };
    let mut starts: Vec<(usize, usize)> = shifts(0).map(|shift| (shift, shift)).collect();
    for at in 1..words.len() {
        let mut next = Vec::new();
        for shift in shifts(at) {
            for (low, high) in &starts {
                let (low, high) = (shift.min(*low), shift.max(*high));
                if high - low <= slop {
                    next.push((low, high));
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        starts = next;
    }
    !starts.is_empty()
}
