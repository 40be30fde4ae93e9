//! What expressions come to while a script runs.

use std::sync::Arc;

use chrono::{DateTime, FixedOffset, SecondsFormat, Timelike, Utc, Weekday};
use serde_json::Value as Json;

use super::names::{Style, Unit};
use super::number::Number;
use crate::dates::Zone;

/// A value. Lists, maps and what else can change live in the run that made them, and are known by their place there.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// A UTF-16 unit, as in Java.
    Char(u16),
    Number(Number),
    Text(Arc<str>),
    List(usize),
    Map(usize),
    /// An object or array of the source or of the parameters.
    Json(&'a Json),
    /// A field of the document, by its place among those that the run has read.
    Doc(usize),
    /// The same by `field('x')`, which has defaults.
    Field(usize),
    Zoned(DateTime<FixedOffset>),
    Instant(DateTime<Utc>),
    Day(Weekday),
    Zone(Zone),
    Style(Style),
    Unit(Unit),
    Locale,
    Regex(usize),
    Matcher(usize),
    /// A pattern of dates.
    Format(Arc<str>),
    /// A pattern of `dissect`.
    Dissect(Arc<str>),
}

impl<'a> Value<'a> {
    pub fn int(number: i32) -> Self {
        Self::Number(Number::Int(number))
    }

    pub fn long(number: i64) -> Self {
        Self::Number(Number::Long(number))
    }

    pub fn double(number: f64) -> Self {
        Self::Number(Number::Double(number))
    }

    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A length or place; texts and lists are far smaller than what an int can hold.
    pub fn size(size: usize) -> Self {
        Self::int(i32::try_from(size).unwrap_or(i32::MAX))
    }

    pub fn json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => match i32::try_from(whole) {
                    Ok(int) => Self::int(int),
                    Err(_) => Self::long(whole),
                },
                None => Self::double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    /// Characters count as the numbers that they are.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Char(unit) => Some(Number::Int(i32::from(*unit))),
            _ => None,
        }
    }

    /// The name of its class, for errors.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "java.lang.Boolean",
            Self::Char(_) => "java.lang.Character",
            Self::Number(number) => number.class(),
            Self::Text(_) => "java.lang.String",
            Self::List(_) | Self::Json(Json::Array(_)) => "java.util.ArrayList",
            Self::Map(_) | Self::Json(_) => "java.util.HashMap",
            Self::Doc(_) => "org.elasticsearch.index.fielddata.ScriptDocValues",
            Self::Field(_) => "org.elasticsearch.script.field.Field",
            Self::Zoned(_) => "java.time.ZonedDateTime",
            Self::Instant(_) => "java.time.Instant",
            Self::Day(_) => "java.time.DayOfWeek",
            Self::Zone(_) => "java.time.ZoneOffset",
            Self::Style(_) => "java.time.format.TextStyle",
            Self::Unit(_) => "java.time.temporal.ChronoUnit",
            Self::Locale => "java.util.Locale",
            Self::Regex(_) => "java.util.regex.Pattern",
            Self::Matcher(_) => "java.util.regex.Matcher",
            Self::Format(_) => "java.time.format.DateTimeFormatter",
            Self::Dissect(_) => "org.elasticsearch.dissect.DissectParser",
        }
    }

    /// The type of its values where Java has plain ones.
    pub fn plain_class(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Char(_) => "char",
            Self::Number(Number::Int(_)) => "int",
            Self::Number(Number::Long(_)) => "long",
            Self::Number(Number::Float(_)) => "float",
            Self::Number(Number::Double(_)) => "double",
            other => other.class(),
        }
    }
}

/// Java's name of a day.
pub(super) fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

/// A time as Java writes it: without seconds where there are none.
pub(super) fn zoned_text(time: &DateTime<FixedOffset>) -> String {
    let zone = time.offset().local_minus_utc();
    let format = match (time.second(), time.nanosecond()) {
        (0, 0) => "%Y-%m-%dT%H:%M",
        (_, 0) => "%Y-%m-%dT%H:%M:%S",
        (_, nanos) if nanos % 1_000_000 == 0 => "%Y-%m-%dT%H:%M:%S%.3f",
        (_, nanos) if nanos % 1_000 == 0 => "%Y-%m-%dT%H:%M:%S%.6f",
        _ => "%Y-%m-%dT%H:%M:%S%.9f",
    };
    let offset = if zone == 0 {
        "Z".to_owned()
    } else {
        time.format("%:z").to_string()
    };
    format!("{}{offset}", time.format(format))
}

pub(super) fn instant_text(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A text of UTF-16 units; half a pair is shown as what can't be shown.
pub(super) fn from_units(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}
