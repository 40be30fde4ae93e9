//! Methods of texts, whose places are UTF-16 units, as in Java.

use std::sync::Arc;

use super::super::error::Fault;
use super::super::names::Method;
use super::super::number::Number;
use super::super::value::{Value, from_units};
use super::{Plain, Run, TEXT, text_too_long};

fn bounds(reason: String) -> Fault {
    Fault::new("string_index_out_of_bounds_exception", reason)
}

fn text<'v>(value: &'v Value) -> Plain<&'v Arc<str>> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(Fault::cast(format!(
            "cannot implicitly cast def [{}] to java.lang.String",
            other.plain_class()
        ))),
    }
}

fn int(value: &Value) -> Plain<i64> {
    match value.number() {
        Some(Number::Int(number)) => Ok(i64::from(number)),
        _ => Err(Fault::cast(format!(
            "cannot implicitly cast def [{}] to int",
            value.plain_class()
        ))),
    }
}

/// The length in units.
fn length(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// The unit at which a byte is.
pub(super) fn unit_at(text: &str, byte: usize) -> usize {
    length(&text[..byte])
}

fn substring(text: &str, start: i64, end: Option<i64>) -> Plain<String> {
    let size = length(text);
    let last = end.unwrap_or(size as i64);
    let fits = |at: i64| usize::try_from(at).ok().filter(|at| *at <= size);
    let (from, to) = match (fits(start), fits(last)) {
        (Some(from), Some(to)) if from <= to => (from, to),
        _ => return Err(bounds(format!("begin {start}, end {last}, length {size}"))),
    };
    if text.is_ascii() {
        return Ok(text[from..to].to_owned());
    }
    let units: Vec<u16> = text.encode_utf16().skip(from).take(to - from).collect();
    Ok(from_units(&units))
}

/// The first or last place of a part, at or after (before) a unit.
fn index_of(text: &str, part: &str, from: Option<i64>, last: bool) -> i64 {
    let size = length(text) as i64;
    let byte = |unit: i64| {
        if text.is_ascii() {
            return unit as usize;
        }
        let mut units = 0;
        let found = text.char_indices().find(|(_, char)| {
            let here = units >= unit;
            units += char.len_utf16() as i64;
            here
        });
        found.map_or(text.len(), |(at, _)| at)
    };
    let found = if last {
        match from {
            Some(from) if from < 0 => None,
            Some(from) if from < size => {
                let end = (byte(from) + part.len()).min(text.len());
                text[..text.floor_char_boundary(end)].rfind(part)
            }
            _ => text.rfind(part),
        }
    } else {
        let start = byte(from.unwrap_or(0).clamp(0, size));
        text[start..].find(part).map(|at| start + at)
    };
    found.map_or(-1, |at| unit_at(text, at) as i64)
}

/// Java's order of texts: by the first units that differ, else by their lengths.
fn compare(left: &str, right: &str) -> i32 {
    let differs = left
        .encode_utf16()
        .zip(right.encode_utf16())
        .find(|(left, right)| left != right);
    match differs {
        Some((left, right)) => i32::from(left) - i32::from(right),
        None => length(left) as i32 - length(right) as i32,
    }
}

impl<'a> Run<'a> {
    pub(super) fn text_method(
        &mut self,
        this: &Arc<str>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        if let Err(fault) = self.work(this.len() / 16) {
            return Some(Err(fault));
        }
        self.text_method_within(this, method, arguments).transpose()
    }

    fn text_method_within(
        &mut self,
        this: &Arc<str>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Plain<Option<Value<'a>>> {
        use Method as M;
        let value = match (method, arguments) {
            (M::Length | M::GetLength, []) => Value::size(length(this)),
            (M::IsEmpty, []) => Value::Bool(this.is_empty()),
            (M::Substring, [start]) => {
                let part = substring(this, int(start)?, None)?;
                self.new_text(part)?
            }
            (M::Substring, [start, end]) => {
                let part = substring(this, int(start)?, Some(int(end)?))?;
                self.new_text(part)?
            }
            (M::CharAt, [index]) => {
                let (index, size) = (int(index)?, length(this));
                let at = usize::try_from(index).ok().filter(|at| *at < size);
                let at = at.ok_or_else(|| {
                    bounds(format!("Index {index} out of bounds for length {size}"))
                })?;
                let unit = if this.is_ascii() {
                    this.as_bytes().get(at).copied().map(u16::from)
                } else {
                    this.encode_utf16().nth(at)
                };
                Value::Char(unit.unwrap_or_default())
            }
            (M::IndexOf, [part]) => Value::int(index_of(this, text(part)?, None, false) as i32),
            (M::IndexOf, [part, from]) => {
                Value::int(index_of(this, text(part)?, Some(int(from)?), false) as i32)
            }
            (M::LastIndexOf, [part]) => Value::int(index_of(this, text(part)?, None, true) as i32),
            (M::LastIndexOf, [part, from]) => {
                Value::int(index_of(this, text(part)?, Some(int(from)?), true) as i32)
            }
            (M::ToLowerCase, []) => self.new_text(this.to_lowercase())?,
            (M::ToUpperCase, []) => self.new_text(this.to_uppercase())?,
            (M::Trim, []) => self.new_text(this.trim_matches(|char: char| char <= ' '))?,
            (M::StartsWith, [part]) => Value::Bool(this.starts_with(&**text(part)?)),
            (M::StartsWith, [part, from]) => {
                let (part, from) = (text(part)?, int(from)?);
                let rest = substring(this, from, None);
                Value::Bool(rest.is_ok_and(|rest| rest.starts_with(&**part)))
            }
            (M::EndsWith, [part]) => Value::Bool(this.ends_with(&**text(part)?)),
            (M::Contains, [part]) => Value::Bool(this.contains(&**text(part)?)),
            (M::Concat, [part]) => {
                let part = text(part)?;
                self.new_text(format!("{this}{part}"))?
            }
            (M::EqualsIgnoreCase, [other]) => match other {
                Value::Text(other) => Value::Bool(this.to_lowercase() == other.to_lowercase()),
                _ => Value::Bool(false),
            },
            (M::CompareTo, [other]) => Value::int(compare(this, text(other)?)),
            (M::CompareToIgnoreCase, [other]) => {
                let other = text(other)?.to_lowercase();
                Value::int(compare(&this.to_lowercase(), &other))
            }
            (M::Replace, [from, to]) => {
                let (from, to) = (text(from)?, text(to)?);
                let count = this.matches(&**from).count();
                // Asked before it is made: it may be far longer than either.
                let longest = this.len().saturating_add(count.saturating_mul(to.len()));
                if longest > TEXT {
                    return Err(text_too_long());
                }
                self.new_text(this.replace(&**from, to))?
            }
            (M::SplitOnToken, [token]) => self.split_on(this, text(token)?, 0)?,
            (M::SplitOnToken, [token, limit]) => {
                let limit = int(limit)?;
                self.split_on(this, text(token)?, limit)?
            }
            (M::HashCode, []) => {
                let hash = this.encode_utf16().fold(0_i32, |hash, unit| {
                    hash.wrapping_mul(31).wrapping_add(i32::from(unit))
                });
                Value::int(hash)
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// The parts between a token; at most so many, if the limit is above 0.
    fn split_on(&mut self, this: &str, token: &str, limit: i64) -> Plain<Value<'a>> {
        let mut parts = Vec::new();
        let most = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        if token.is_empty() {
            parts.push(self.new_text(this)?);
        } else {
            for part in this.splitn(most.unwrap_or(usize::MAX), token) {
                parts.push(self.new_text(part)?);
            }
        }
        self.new_list(parts)
    }
}
