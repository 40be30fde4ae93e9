//! What is sorted by, and the values that stand for a document then.

use std::cmp::Ordering;

use serde_json::Value;

use super::asked;
use super::error::{Result, illegal, refuse};
use super::values::{Datum, Scalar};
use super::view::View;
use crate::dates::{self, DateFormat, Zone};
use crate::query::{FieldType, Schema};

/// What is sorted by.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub field: String,
    pub descending: bool,
    missing: Missing,
    /// Which of several values counts. None: the first in the order.
    mode: Option<Mode>,
    /// What an index that doesn't know the field takes it for. None: it is refused.
    unmapped: bool,
    pub(super) format: Option<DateFormat>,
}

#[derive(Debug, Clone, PartialEq)]
enum Missing {
    First,
    Last,
    /// As documents with this value.
    Value(Value),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Min,
    Max,
    Sum,
    Avg,
    Median,
}

/// Names that are no fields.
const OWN: [&str; 3] = ["_score", "_doc", "_shard_doc"];

impl Key {
    /// The order in which documents were written.
    pub fn shard_doc() -> Self {
        Self::plain("_shard_doc", false)
    }

    fn plain(field: &str, descending: bool) -> Self {
        Self {
            field: field.to_owned(),
            descending,
            missing: Missing::Last,
            mode: None,
            unmapped: false,
            format: None,
        }
    }

    /// `sort` of a body: a name, an object, or a list of them.
    ///
    /// # Errors
    /// For what is malformed, and for options that aren't known.
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
            _ => illegal(
                "malformed sort format, either start with array, object, or an actual string",
            ),
        }
    }

    /// `sort` as a parameter: `field:direction,...`.
    ///
    /// # Errors
    /// For directions that are none.
    pub fn of_param(text: &str) -> Result<Vec<Self>> {
        let one = |part: &str| match part.rsplit_once(':') {
            Some((name, direction)) => Self::new(name, Some(direction)),
            None => Self::new(part, None),
        };
        text.split(',').map(one).collect()
    }

    fn new(name: &str, direction: Option<&str>) -> Result<Self> {
        let descending = match direction.map(str::to_ascii_lowercase).as_deref() {
            Some("asc") => false,
            Some("desc") => true,
            None => name == "_score",
            Some(_) => {
                return illegal(format!(
                    "Unknown SortOrder [{}]",
                    direction.unwrap_or_default()
                ));
            }
        };
        Ok(Self::plain(name, descending))
    }

    fn said(name: &str, said: &Value) -> Result<Self> {
        let Value::Object(said) = said else {
            return Self::new(name, said.as_str());
        };
        let mut key = Self::new(name, said.get("order").and_then(Value::as_str))?;
        for (option, value) in said {
            match option.as_str() {
                "order" => {}
                "missing" => {
                    key.missing = match value.as_str() {
                        Some("_first") => Missing::First,
                        Some("_last") => Missing::Last,
                        _ => Missing::Value(value.clone()),
                    }
                }
                "mode" => {
                    key.mode = Some(match value.as_str() {
                        Some("min") => Mode::Min,
                        Some("max") => Mode::Max,
                        Some("sum") => Mode::Sum,
                        Some("avg") => Mode::Avg,
                        Some("median") => Mode::Median,
                        _ => return illegal(format!("Unknown SortMode [{value}]")),
                    });
                }
                "unmapped_type" => key.unmapped = true,
                "format" => key.format = Some(asked::format(value.as_str().unwrap_or_default())?),
                // Times are milliseconds, whichever they are sorted as.
                "numeric_type" => {}
                other => {
                    return refuse(
                        "x_content_parse_exception",
                        format!("[1:1] [field_sort] unknown field [{other}]"),
                    );
                }
            }
        }
        Ok(key)
    }

    pub fn is_score(&self) -> bool {
        self.field == "_score"
    }

    /// Whether it is the order of writing.
    pub fn is_own_order(&self) -> bool {
        matches!(self.field.as_str(), "_doc" | "_shard_doc")
    }

    /// How an index sorts by it.
    ///
    /// # Errors
    /// For a field that the index doesn't know, and for texts.
    pub(super) fn bound(&self, schema: &dyn Schema, view: Option<&View>) -> Result<Bound> {
        let mut bound = Bound {
            of: FieldType::Number,
            is_loose: false,
            is_fraction: false,
            missing: None,
        };
        if OWN.contains(&self.field.as_str())
            || matches!(self.field.as_str(), "_id" | "_index" | "_seq_no")
        {
            return Ok(bound);
        }
        let Some(field) = schema.field(&self.field) else {
            return match self.unmapped {
                true => Ok(bound),
                false => refuse(
                    "query_shard_exception",
                    format!("No mapping found for [{}] in order to sort on", self.field),
                ),
            };
        };
        if let (FieldType::Text, Some(view)) = (field.of, view) {
            no_fielddata(&self.field, view)?;
        }
        bound.of = field.of;
        bound.is_loose = view.is_none();
        bound.is_fraction = matches!(
            field.type_name,
            "double" | "float" | "half_float" | "scaled_float"
        );
        if let Missing::Value(value) = &self.missing {
            bound.missing = place(value, field.of, &field.format);
        }
        Ok(bound)
    }

    /// The value that counts of a document's, and of one without.
    pub(super) fn value(&self, values: &mut Vec<Datum>, bound: &Bound) -> Option<Datum> {
        match self.chosen(values) {
            Some(value) => Some(value),
            None => self.of_missing(bound),
        }
    }

    fn chosen(&self, values: &mut Vec<Datum>) -> Option<Datum> {
        if values.len() <= 1 {
            return values.pop();
        }
        let mode = match (self.mode, self.descending) {
            (Some(mode), _) => mode,
            (None, false) => Mode::Min,
            (None, true) => Mode::Max,
        };
        values.sort_by(compare);
        let number = |value: &Datum| value.scalar().number().unwrap_or_default();
        let is_whole = values.iter().all(|value| matches!(value, Datum::I64(_)));
        let told = |number: f64| match is_whole {
            true => Datum::I64(number.round() as i64),
            false => Datum::F64(number),
        };
        let middle = values.len() / 2;
        match mode {
            Mode::Min => values.drain(..).next(),
            Mode::Max => values.pop(),
            Mode::Sum => Some(told(values.iter().map(number).sum())),
            Mode::Avg => Some(told(
                values.iter().map(number).sum::<f64>() / values.len() as f64,
            )),
            Mode::Median if values.len() % 2 == 1 => values.drain(..).nth(middle),
            Mode::Median => Some(told(
                (number(&values[middle - 1]) + number(&values[middle])) / 2.0,
            )),
        }
    }

    /// Of a number or a time, the last or first there is, so that pages can go on from it.
    fn of_missing(&self, bound: &Bound) -> Option<Datum> {
        let is_first = match self.missing {
            Missing::Value(_) => return bound.missing.clone(),
            Missing::First => true,
            Missing::Last => false,
        };
        let least = is_first != self.descending;
        if bound.is_loose {
            return None;
        }
        match bound.of {
            FieldType::Number if bound.is_fraction => Some(Datum::F64(match least {
                true => f64::NEG_INFINITY,
                false => f64::INFINITY,
            })),
            FieldType::Number | FieldType::Date | FieldType::DateNanos | FieldType::Bool => {
                Some(Datum::I64(if least { i64::MIN } else { i64::MAX }))
            }
            _ => None,
        }
    }

    /// How two documents stand to each other by it.
    pub(super) fn order(&self, a: Option<&Datum>, b: Option<&Datum>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => {
                let order = compare(a, b);
                if self.descending {
                    order.reverse()
                } else {
                    order
                }
            }
            (None, None) => Ordering::Equal,
            (None, Some(_)) if self.missing == Missing::First => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if self.missing == Missing::First => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        }
    }

    /// A value of `search_after`, as documents have theirs.
    pub(super) fn place(&self, value: &Value, schema: &dyn Schema) -> Option<Datum> {
        match schema.field(&self.field) {
            Some(field) => {
                let format = self.format.as_ref().unwrap_or(&field.format);
                place(value, field.of, format)
            }
            None => Datum::of(value),
        }
    }

    /// How a value is told.
    pub(super) fn told(&self, value: Option<&Datum>, bound: &Bound) -> Value {
        let Some(value) = value else {
            return Value::Null;
        };
        match (&self.format, value) {
            (Some(format), Datum::I64(time)) if bound.of.is_date() => match bound.of {
                FieldType::DateNanos => format.format_nanos(*time, Zone::Utc),
                _ => format.format(*time, Zone::Utc),
            }
            .into(),
            (_, Datum::F64(number)) if number.is_infinite() => match *number > 0.0 {
                true => "Infinity".into(),
                false => "-Infinity".into(),
            },
            (_, value) => value.scalar().json(),
        }
    }
}

/// What an index says of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub of: FieldType,
    /// Its documents may hold anything: what is missing has no value.
    is_loose: bool,
    is_fraction: bool,
    missing: Option<Datum>,
}

/// # Errors
/// For a text, whose words can't be sorted by or counted.
pub(super) fn no_fielddata(path: &str, view: &View) -> Result<()> {
    let Some(found) = view.mapping().find(path) else {
        return Ok(());
    };
    match found.field.fielddata {
        true => Ok(()),
        false => illegal(format!(
            "Fielddata is disabled on [{path}] in [{}]. Text fields are not optimised for operations that require \
             per-document field data like aggregations and sorting, so these operations are disabled by default. Please \
             use a keyword field instead. Alternatively, set fielddata=true on [{path}] in order to load field data by \
             uninverting the inverted index. Note that this can use significant memory.",
            view.name()
        )),
    }
}

/// A value that a request names, as columns have it.
pub(super) fn place(value: &Value, of: FieldType, format: &DateFormat) -> Option<Datum> {
    match (value, of) {
        (Value::String(text), FieldType::Date | FieldType::DateNanos) => {
            let millis = match text.parse::<i64>() {
                Ok(millis) => millis,
                Err(_) => dates::math(text, format, Zone::Utc, super::now(), false).ok()?,
            };
            Some(Datum::I64(match of {
                FieldType::DateNanos => millis
                    .saturating_mul(1_000_000)
                    .saturating_add(format.nanos(text).unwrap_or(0)),
                _ => millis,
            }))
        }
        (Value::String(text), FieldType::Number) => match text.as_str() {
            "Infinity" => Some(Datum::F64(f64::INFINITY)),
            "-Infinity" => Some(Datum::F64(f64::NEG_INFINITY)),
            text => text
                .parse::<i64>()
                .map(Datum::I64)
                .ok()
                .or_else(|| text.parse().map(Datum::F64).ok()),
        },
        (Value::Number(number), FieldType::Keyword | FieldType::Ip) => {
            Some(Datum::Str(number.to_string()))
        }
        (Value::Bool(flag), FieldType::Keyword) => Some(Datum::Str(flag.to_string())),
        (value, _) => Datum::of(value),
    }
}

/// How two values stand to each other; numbers go before words.
pub(super) fn compare(a: &Datum, b: &Datum) -> Ordering {
    compare_scalars(a.scalar(), b.scalar())
}

pub(super) fn compare_scalars(a: Scalar<'_>, b: Scalar<'_>) -> Ordering {
    match (a, b) {
        (Scalar::Str(a), Scalar::Str(b)) => a.cmp(b),
        (Scalar::I64(a), Scalar::I64(b)) => a.cmp(&b),
        (Scalar::U64(a), Scalar::U64(b)) => a.cmp(&b),
        (Scalar::I64(a), Scalar::U64(b)) => i128::from(a).cmp(&i128::from(b)),
        (Scalar::U64(a), Scalar::I64(b)) => i128::from(a).cmp(&i128::from(b)),
        (a, b) => match (a.number(), b.number()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
    }
}
