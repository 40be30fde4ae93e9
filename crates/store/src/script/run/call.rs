//! Members, elements and methods of values.

use std::sync::Arc;

use serde_json::Value as Json;

use super::super::error::Fault;
use super::super::names::Method;
use super::super::number::Number;
use super::super::value::{Value, day_name, from_units, instant_text, zoned_text};
use super::expression::{is_list, null};
use super::field::no_value;
use super::{Plain, Run};

fn index_fault(at: i64, size: usize) -> Fault {
    Fault::new(
        "index_out_of_bounds_exception",
        format!("Index {at} out of bounds for length {size}"),
    )
}

/// The place of an index; what is below 0 counts from the end.
fn place(index: i64, size: usize) -> Plain<usize> {
    let at = if index < 0 {
        index + size as i64
    } else {
        index
    };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < size)
        .ok_or_else(|| index_fault(index, size))
}

fn whole(value: &Value) -> Plain<i64> {
    match value.number() {
        Some(number @ (Number::Int(_) | Number::Long(_))) => Ok(number.long()),
        _ => Err(Fault::cast(format!(
            "cannot implicitly cast def [{}] to int",
            value.plain_class()
        ))),
    }
}

impl<'a> Run<'a> {
    pub(super) fn member(
        &mut self,
        target: &Value<'a>,
        name: &Arc<str>,
        getter: Option<Method>,
    ) -> Plain<Value<'a>> {
        match target {
            Value::Null => return Err(null(name)),
            Value::Json(Json::Object(map)) => {
                return Ok(map.get(&**name).map_or(Value::Null, Value::json));
            }
            Value::Map(_) => return self.element(target, &Value::Text(name.clone())),
            _ if is_list(target) => {
                if let Ok(index) = name.parse() {
                    return self.element(target, &Value::long(index));
                }
            }
            _ => {}
        }
        let found = match getter {
            Some(getter) => self.method(target, getter, &[]),
            None => None,
        };
        found.unwrap_or_else(|| {
            let class = target.class();
            Err(Fault::argument(format!(
                "dynamic getter [{class}, {name}] not found"
            )))
        })
    }

    /// `target[index]`
    pub(super) fn element(&mut self, target: &Value<'a>, index: &Value<'a>) -> Plain<Value<'a>> {
        match target {
            Value::List(list) => {
                let list = &self.lists[*list];
                Ok(list[place(whole(index)?, list.len())?].clone())
            }
            Value::Json(Json::Array(list)) => {
                Ok(Value::json(&list[place(whole(index)?, list.len())?]))
            }
            Value::Doc(field) | Value::Field(field) => {
                let size = self.field_size(*field);
                if size == 0 {
                    return Err(no_value());
                }
                let at = place(whole(index)?, size)?;
                Ok(self.field_value(*field, at)?.unwrap_or(Value::Null))
            }
            Value::Json(Json::Object(map)) => Ok(match index {
                Value::Text(key) => map.get(&**key).map_or(Value::Null, Value::json),
                _ => Value::Null,
            }),
            Value::Map(map) => {
                let found = self.key(*map, index)?;
                Ok(found.map_or(Value::Null, |at| self.maps[*map][at].1.clone()))
            }
            Value::Null => Err(null("get")),
            other => Err(Fault::argument(format!(
                "Attempting to address a non-array-like type [{}] as an array.",
                other.class()
            ))),
        }
    }

    /// Where a map has a key. Numbers of different types are different keys.
    fn key(&mut self, map: usize, key: &Value<'a>) -> Plain<Option<usize>> {
        self.work(self.maps[map].len() / 8)?;
        for at in 0..self.maps[map].len() {
            let found = self.maps[map][at].0.clone();
            let same = match (found.number(), key.number()) {
                (Some(left), Some(right)) => left == right,
                _ => self.equal(&found, key, 0)?,
            };
            if same {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// `target[index] = value`
    pub(super) fn put(
        &mut self,
        target: &Value<'a>,
        index: Value<'a>,
        value: Value<'a>,
    ) -> Plain<()> {
        match target {
            Value::List(list) => {
                let size = self.lists[*list].len();
                let at = place(whole(&index)?, size)?;
                self.lists[*list][at] = value;
                Ok(())
            }
            Value::Map(map) => {
                match self.key(*map, &index)? {
                    Some(at) => self.maps[*map][at].1 = value,
                    None => {
                        self.take(2 * size_of::<Value>())?;
                        self.maps[*map].push((index, value));
                    }
                }
                Ok(())
            }
            Value::Null => Err(null("put")),
            Value::Json(_) | Value::Doc(_) | Value::Field(_) => {
                Err(Fault::new("unsupported_operation_exception", "null"))
            }
            other => Err(Fault::argument(format!(
                "Attempting to address a non-array-like type [{}] as an array.",
                other.class()
            ))),
        }
    }

    /// The keys and values of a map.
    pub(in super::super) fn pairs(
        &mut self,
        map: &Value<'a>,
    ) -> Plain<Vec<(Value<'a>, Value<'a>)>> {
        let pairs: Vec<_> = match map {
            Value::Map(map) => self.maps[*map].clone(),
            Value::Json(Json::Object(map)) => {
                let pairs = map.iter();
                pairs
                    .map(|(key, value)| (Value::text(key.as_str()), Value::json(value)))
                    .collect()
            }
            _ => Vec::new(),
        };
        self.take(pairs.len() * 2 * size_of::<Value>())?;
        Ok(pairs)
    }

    pub(super) fn call(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Plain<Value<'a>> {
        if matches!(target, Value::Null) {
            return Err(null(method.name()));
        }
        self.method(target, method, arguments).unwrap_or_else(|| {
            let (class, name, count) = (target.class(), method.name(), arguments.len());
            Err(Fault::argument(format!(
                "dynamic method [{class}, {name}/{count}] not found"
            )))
        })
    }

    /// What a method gives; none where the object has no such method.
    fn method(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        use Method as M;
        match (method, arguments) {
            (M::Equals, [other]) => {
                let same = match (target.number(), other.number()) {
                    // Of another type is something else.
                    (Some(left), Some(right)) => Ok(left == right),
                    _ => self.equal(target, other, 0),
                };
                return Some(same.map(Value::Bool));
            }
            (M::ToString, []) => {
                let mut text = String::new();
                let written = self.write(target, &mut text, 0);
                return Some(written.and_then(|()| self.new_text(text)));
            }
            _ => {}
        }
        match target {
            Value::Text(text) => self.text_method(text, method, arguments),
            Value::Number(number) => number_method(*number, method, arguments).map(Ok),
            Value::Bool(value) => match method {
                M::BooleanValue => Some(Ok(Value::Bool(*value))),
                M::HashCode => Some(Ok(Value::int(if *value { 1231 } else { 1237 }))),
                _ => None,
            },
            Value::List(_) | Value::Json(Json::Array(_)) => {
                self.list_method(target, method, arguments)
            }
            Value::Map(_) | Value::Json(Json::Object(_)) => {
                self.map_method(target, method, arguments)
            }
            Value::Doc(field) => match (method, arguments) {
                (M::GetValue, []) => Some(self.element(target, &Value::int(0))),
                (M::GetValues, []) => {
                    let values = self.field_values(*field);
                    Some(values.and_then(|values| self.new_list(values)))
                }
                _ => self.list_method(target, method, arguments),
            },
            Value::Field(field) => match (method, arguments) {
                (M::Get, [default]) => {
                    let value = self.field_value(*field, 0);
                    Some(value.map(|value| value.unwrap_or_else(|| default.clone())))
                }
                (M::Get, [index, default]) => Some(whole(index).and_then(|index| {
                    let at = usize::try_from(index).unwrap_or(usize::MAX);
                    let value = self.field_value(*field, at)?;
                    Ok(value.unwrap_or_else(|| default.clone()))
                })),
                (M::Size | M::IsEmpty, []) => self.list_method(target, method, arguments),
                _ => None,
            },
            Value::Zoned(_) | Value::Instant(_) | Value::Day(_) | Value::Unit(_) => {
                self.date_method(target, method, arguments)
            }
            Value::Regex(regex) => self.regex_method(*regex, method, arguments),
            Value::Matcher(matcher) => self.matcher_method(*matcher, method, arguments),
            Value::Dissect(pattern) => self.dissect_method(pattern, method, arguments),
            Value::Char(_)
            | Value::Null
            | Value::Zone(_)
            | Value::Style(_)
            | Value::Locale
            | Value::Json(_)
            | Value::Format(_) => None,
        }
    }

    fn list_method(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        use Method as M;
        Some(match (method, arguments) {
            (M::Size | M::GetLength, []) => Ok(Value::size(self.size(target))),
            (M::IsEmpty, []) => Ok(Value::Bool(self.size(target) == 0)),
            (M::Get, [index]) => self.element(target, index),
            (M::Contains, [wanted]) => self
                .find(target, wanted)
                .map(|at| Value::Bool(at.is_some())),
            (M::IndexOf, [wanted]) => self
                .find(target, wanted)
                .map(|at| at.map_or(Value::int(-1), Value::size)),
            (M::Join, [Value::Text(delimiter)]) => self.join(delimiter, target),
            (M::Add | M::AddAll | M::Set | M::Remove, _) => {
                return self.change(target, method, arguments);
            }
            _ => return None,
        })
    }

    /// What changes a list.
    fn change(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        let Value::List(list) = target else {
            return Some(Err(Fault::new("unsupported_operation_exception", "null")));
        };
        let list = *list;
        let size = self.lists[list].len();
        let changed = match (method, arguments) {
            (Method::Add, [value]) => self.take(size_of::<Value>()).map(|()| {
                self.lists[list].push(value.clone());
                Value::Bool(true)
            }),
            (Method::Add, [index, value]) => whole(index).and_then(|index| {
                let at = usize::try_from(index).ok().filter(|at| *at <= size);
                let at = at.ok_or_else(|| index_fault(index, size))?;
                self.take(size_of::<Value>())?;
                self.work(size / 8)?;
                self.lists[list].insert(at, value.clone());
                Ok(Value::Null)
            }),
            (Method::AddAll, [values]) => self.elements(values).and_then(|values| {
                self.take(values.len() * size_of::<Value>())?;
                let any = !values.is_empty();
                self.lists[list].extend(values);
                Ok(Value::Bool(any))
            }),
            (Method::Set, [index, value]) => whole(index).and_then(|index| {
                let at = place(index, size)?;
                Ok(std::mem::replace(&mut self.lists[list][at], value.clone()))
            }),
            (Method::Remove, [index]) => whole(index).and_then(|index| {
                let at = place(index, size)?;
                self.work(size / 8)?;
                Ok(self.lists[list].remove(at))
            }),
            _ => return None,
        };
        Some(changed)
    }

    fn size(&self, list: &Value<'a>) -> usize {
        match list {
            Value::List(list) => self.lists[*list].len(),
            Value::Doc(field) | Value::Field(field) => self.field_size(*field),
            Value::Json(Json::Array(values)) => values.len(),
            _ => 0,
        }
    }

    fn find(&mut self, list: &Value<'a>, wanted: &Value<'a>) -> Plain<Option<usize>> {
        for (at, value) in self.elements(list)?.iter().enumerate() {
            // As Java's `equals`: a long is no int.
            let same = match (value.number(), wanted.number()) {
                (Some(left), Some(right)) => left == right,
                _ => self.equal(value, wanted, 0)?,
            };
            if same {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    pub(super) fn join(&mut self, delimiter: &str, list: &Value<'a>) -> Plain<Value<'a>> {
        let mut text = String::new();
        for (at, value) in self.elements(list)?.iter().enumerate() {
            if at > 0 {
                text.push_str(delimiter);
            }
            self.write(value, &mut text, 0)?;
        }
        self.new_text(text)
    }

    fn map_method(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        use Method as M;
        Some(match (method, arguments) {
            (M::Get, [key]) => self.element(target, key),
            (M::GetOrDefault, [key, default]) => self.has_key(target, key).and_then(|has| {
                if has {
                    self.element(target, key)
                } else {
                    Ok(default.clone())
                }
            }),
            (M::ContainsKey, [key]) => self.has_key(target, key).map(Value::Bool),
            (M::Put, [key, value]) => self.element(target, key).and_then(|old| {
                self.put(target, key.clone(), value.clone())?;
                Ok(old)
            }),
            (M::Size, []) => self.pairs(target).map(|pairs| Value::size(pairs.len())),
            (M::IsEmpty, []) => self
                .pairs(target)
                .map(|pairs| Value::Bool(pairs.is_empty())),
            (M::KeySet, []) => self
                .pairs(target)
                .and_then(|pairs| self.new_list(pairs.into_iter().map(|(key, _)| key).collect())),
            (M::Values, []) => self.pairs(target).and_then(|pairs| {
                self.new_list(pairs.into_iter().map(|(_, value)| value).collect())
            }),
            (M::Remove, [key]) => {
                let Value::Map(map) = target else {
                    return Some(Err(Fault::new("unsupported_operation_exception", "null")));
                };
                self.key(*map, key)
                    .map(|at| at.map_or(Value::Null, |at| self.maps[*map].remove(at).1))
            }
            _ => return None,
        })
    }

    fn has_key(&mut self, map: &Value<'a>, key: &Value<'a>) -> Plain<bool> {
        Ok(match (map, key) {
            (Value::Map(map), key) => self.key(*map, key)?.is_some(),
            (Value::Json(Json::Object(map)), Value::Text(key)) => map.contains_key(&**key),
            _ => false,
        })
    }

    /// The text of what has no parts.
    pub(in super::super) fn plain_text(&self, value: &Value<'a>) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Char(unit) => from_units(&[*unit]),
            Value::Number(number) => number.text(),
            Value::Zoned(time) => zoned_text(time),
            Value::Instant(time) => instant_text(time),
            Value::Day(day) => day_name(*day).to_ascii_uppercase(),
            Value::Zone(zone) => zone.suffix(0),
            Value::Regex(regex) => self.program.regexes[*regex].part.as_str().to_owned(),
            Value::Text(text) | Value::Format(text) | Value::Dissect(text) => text.to_string(),
            other => other.class().to_owned(),
        }
    }
}

fn number_method<'a>(number: Number, method: Method, arguments: &[Value<'a>]) -> Option<Value<'a>> {
    use Method as M;
    Some(match (method, arguments) {
        (M::IntValue, []) => Value::int(number.int()),
        (M::LongValue, []) => Value::long(number.long()),
        (M::FloatValue, []) => Value::Number(number.to_float()),
        (M::DoubleValue, []) => Value::double(number.double()),
        (M::HashCode, []) => Value::int(match number {
            Number::Int(number) => number,
            Number::Long(number) => (number ^ (number >> 32)) as i32,
            Number::Float(number) => number.to_bits() as i32,
            Number::Double(number) => {
                let bits = number.to_bits();
                (bits ^ (bits >> 32)) as i32
            }
        }),
        (M::CompareTo, [other]) => {
            let other = other.number()?;
            let order = match (number, other) {
                (Number::Int(_) | Number::Long(_), Number::Int(_) | Number::Long(_)) => {
                    number.long().cmp(&other.long())
                }
                _ => number.double().total_cmp(&other.double()),
            };
            Value::int(order as i32)
        }
        _ => return None,
    })
}
