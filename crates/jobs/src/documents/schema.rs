//! The fields of results as documents: their types, and what they are where a document leaves them out.

use chrono::DateTime;
use serde_json::{Map, Number, Value};
use tidewatch_model::time_format::TimeFormat;

/// What a field holds. An `s` at the end: an array, for which one value may stand alone.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    Text,
    Texts,
    Double,
    Doubles,
    Long,
    Longs,
    Bool,
    Bools,
    /// Epoch milliseconds; read from ISO 8601 too.
    Date,
    Object(&'static [Field]),
    Objects(&'static [Field]),
}

/// What stands in the place of a field that isn't there.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// Without it, the document is not what it was taken for.
    Refused,
    Omitted,
    /// 0, false, an empty text or array.
    Empty,
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub of: Type,
    pub absent: Absent,
}

pub const fn must(name: &'static str, of: Type) -> Field {
    Field {
        name,
        of,
        absent: Absent::Refused,
    }
}

pub const fn may(name: &'static str, of: Type) -> Field {
    Field {
        name,
        of,
        absent: Absent::Omitted,
    }
}

pub const fn zero(name: &'static str, of: Type) -> Field {
    Field {
        name,
        of,
        absent: Absent::Empty,
    }
}

/// Why a document can't be read by a list of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// It is something else.
    Missing(&'static str),
    /// Elasticsearch's mapping would refuse it.
    Wrong {
        field: String,
        of: &'static str,
        value: String,
    },
}

impl Type {
    /// The type's name in mappings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Texts => "keyword",
            Self::Double | Self::Doubles => "double",
            Self::Long | Self::Longs => "long",
            Self::Bool | Self::Bools => "boolean",
            Self::Date => "date",
            Self::Object(_) | Self::Objects(_) => "object",
        }
    }

    fn empty(self) -> Value {
        match self {
            Self::Text => "".into(),
            Self::Double => 0.0.into(),
            Self::Long | Self::Date => 0.into(),
            Self::Bool => false.into(),
            Self::Object(_) => Map::new().into(),
            Self::Texts | Self::Doubles | Self::Longs | Self::Bools | Self::Objects(_) => {
                Vec::<Value>::new().into()
            }
        }
    }

    fn read(self, name: &str, value: Value) -> Result<Value, Unreadable> {
        let one = match self {
            Self::Texts => Self::Text,
            Self::Doubles => Self::Double,
            Self::Longs => Self::Long,
            Self::Bools => Self::Bool,
            Self::Objects(fields) => Self::Object(fields),
            _ => return self.read_one(name, value),
        };
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        values
            .into_iter()
            .map(|value| one.read_one(name, value))
            .collect()
    }

    fn read_one(self, name: &str, value: Value) -> Result<Value, Unreadable> {
        let read = match (self, &value) {
            (Self::Text, Value::String(_))
            | (Self::Bool, Value::Bool(_))
            | (Self::Double, Value::Number(_)) => return Ok(as_double(self, value)),
            (Self::Text, Value::Number(_) | Value::Bool(_)) => Some(value.to_string().into()),
            (Self::Bool, Value::String(text)) => text.parse::<bool>().ok().map(Value::Bool),
            (Self::Double, Value::String(text)) => {
                let number = text.trim().parse().ok().and_then(Number::from_f64);
                number.map(Value::Number)
            }
            (Self::Long, Value::Number(number)) => whole(number),
            (Self::Long, Value::String(text)) => {
                text.trim().parse::<Number>().ok().as_ref().and_then(whole)
            }
            (Self::Date, Value::Number(number)) => whole(number),
            (Self::Date, Value::String(text)) => date(text).map(Value::from),
            (Self::Object(fields), Value::Object(_)) => {
                let Value::Object(map) = value else {
                    return Ok(value);
                };
                return Ok(Value::Object(read(fields, map)?));
            }
            _ => None,
        };
        read.ok_or_else(|| Unreadable::Wrong {
            field: name.to_owned(),
            of: self.name(),
            value: match value {
                Value::String(text) => text,
                value => value.to_string(),
            },
        })
    }
}

/// A whole number is a number all the same.
fn as_double(of: Type, value: Value) -> Value {
    match (of, value.as_f64()) {
        (Type::Double, Some(number)) => number.into(),
        _ => value,
    }
}

fn whole(number: &Number) -> Option<Value> {
    const MOST: f64 = 9.0e18;
    if let Some(whole) = number.as_i64() {
        return Some(whole.into());
    }
    let number = number.as_f64().filter(|number| number.abs() < MOST)?;
    Some((number as i64).into())
}

/// A time of a text: up to ten digits are epoch seconds, more are milliseconds; else ISO 8601.
fn date(text: &str) -> Option<i64> {
    let text = text.trim();
    let millis = match text.parse::<i64>() {
        Ok(seconds) if text.len() <= 10 => seconds.checked_mul(1_000)?,
        Ok(millis) => millis,
        Err(_) => TimeFormat::Iso8601.parse(text)?,
    };
    DateTime::from_timestamp_millis(millis).map(|_| millis)
}

/// What a document says in the given fields, in their order and types. Others are dropped, and nulls.
pub fn read(
    fields: &[Field],
    mut source: Map<String, Value>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut document = Map::new();
    for field in fields {
        let given = source.remove(field.name).filter(|value| !value.is_null());
        let value = match (given, field.absent) {
            (Some(value), _) => field.of.read(field.name, value)?,
            (None, Absent::Refused) => return Err(Unreadable::Missing(field.name)),
            (None, Absent::Omitted) => continue,
            (None, Absent::Empty) => field.of.empty(),
        };
        document.insert(field.name.to_owned(), value);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        must("timestamp", Type::Date),
        zero("score", Type::Double),
        zero("is_interim", Type::Bool),
        may("actual", Type::Doubles),
        may("in", Type::Objects(&[zero("n", Type::Long)])),
    ];

    fn of(value: Value) -> Result<Value, Unreadable> {
        let Value::Object(map) = value else {
            unreachable!()
        };
        read(FIELDS, map).map(Value::Object)
    }

    #[test]
    fn documents_are_read_leniently() {
        let read = of(json!({
            "in": {"n": "7", "m": 1}, "actual": 3, "score": "90.5", "timestamp": "2016-06-01T00:00:00Z", "new": true,
        }));
        let expected = json!({
            "timestamp": 1_464_739_200_000_i64, "score": 90.5, "is_interim": false, "actual": [3.0], "in": [{"n": 7}],
        });
        assert_eq!(read, Ok(expected));
        for time in [
            json!("1464739200"),
            json!(1_464_739_200_000_i64),
            json!("1464739200000"),
        ] {
            let read = of(json!({"timestamp": time})).expect("read");
            assert_eq!(read["timestamp"], 1_464_739_200_000_i64);
        }
    }

    #[test]
    fn what_is_missing_and_what_is_wrong_are_told_apart() {
        assert_eq!(
            of(json!({"timestamp": null})),
            Err(Unreadable::Missing("timestamp"))
        );
        let wrong = |field: &str, of: &'static str, value: &str| Unreadable::Wrong {
            field: field.to_owned(),
            of,
            value: value.to_owned(),
        };
        assert_eq!(
            of(json!({"timestamp": "soon"})),
            Err(wrong("timestamp", "date", "soon"))
        );
        let huge = "99999999999999999";
        assert_eq!(
            of(json!({"timestamp": huge})),
            Err(wrong("timestamp", "date", huge))
        );
        assert_eq!(
            of(json!({"timestamp": 0, "score": [1]})),
            Err(wrong("score", "double", "[1]"))
        );
    }
}
