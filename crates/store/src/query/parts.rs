//! Queries of fields: terms, ranges, patterns and words.

use std::net::IpAddr;

use serde_json::Value;

use super::parse::{Context, Object, Result, fault, known, number, object, refuse, text};
use super::schema::Field;
use super::{FieldType, How, Limit, Pattern, Query};
use crate::dates::{self, DateFormat, Zone};

/// Values of one `terms`, as in Elasticsearch.
const TERMS: usize = 65_536;

/// A query of one field: its name, and what is said of it.
fn single<'v>(json: &'v Value, kind: &str) -> Result<(&'v str, &'v Value)> {
    let map = object(json, kind)?;
    let mut fields = map
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "boost" | "_name"));
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (None, _) => refuse(format!("[{kind}] query malformed, no field")),
        (Some((first, _)), Some((second, _))) => refuse(format!(
            "[{kind}] query doesn't support multiple fields, found [{first}] and [{second}]"
        )),
    }
}

fn flag(map: &Object, name: &str) -> bool {
    match map.get(name) {
        Some(Value::String(text)) => text == "true",
        flag => flag == Some(&Value::Bool(true)),
    }
}

/// The address of a text; one of IPv4 as it is within IPv6.
pub(crate) fn address(text: &str) -> Option<u128> {
    Some(match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    })
}

/// The first and last address of a text: an address, or a network such as `10.0.0.0/8`.
fn network(text: &str) -> Result<(u128, u128)> {
    let wrong = || {
        fault(
            "illegal_argument_exception",
            format!("'{text}' is not an IP string literal."),
        )
    };
    let Some((address, length)) = text.split_once('/') else {
        let address = self::address(text).ok_or_else(wrong)?;
        return Ok((address, address));
    };
    let bits = if address.contains(':') { 128 } else { 32 };
    let start = self::address(address).ok_or_else(wrong)?;
    let length: u32 = length.parse().map_err(|_| wrong())?;
    if length > bits {
        return Err(wrong());
    }
    let free = u128::MAX.checked_shr(128 - (bits - length)).unwrap_or(0);
    Ok((start & !free, start | free))
}

/// Nanoseconds for a field of such; an end of a range is the last of its millisecond.
fn of_millis(of: FieldType, millis: i64, up: bool) -> i64 {
    match of {
        FieldType::DateNanos => {
            millis
                .saturating_mul(1_000_000)
                .saturating_add(if up { 999_999 } else { 0 })
        }
        _ => millis,
    }
}

/// How the dates of a query are written.
pub(super) struct Dates {
    format: Option<DateFormat>,
    zone: Zone,
}

impl Dates {
    pub const PLAIN: Self = Self {
        format: None,
        zone: Zone::Utc,
    };
}

/// The time that a text or number means to a field of dates.
pub(super) fn date(
    context: &Context<'_>,
    field: &Field,
    said: &Value,
    dates: &Dates,
    up: bool,
) -> Result<i64> {
    let text = text(said).unwrap_or_default();
    let format = dates.format.as_ref().unwrap_or(&field.format);
    let time = dates::math(&text, format, dates.zone, context.now, up)
        .map_err(|error| fault("parse_exception", error.0))?;
    Ok(match (field.of, format.nanos(&text)) {
        (FieldType::DateNanos, Some(nanos)) => {
            of_millis(field.of, time, false).saturating_add(nanos)
        }
        _ => of_millis(field.of, time, up),
    })
}

/// One of the values of a field.
pub(super) fn is(
    context: &Context<'_>,
    path: &str,
    value: &Value,
    ignore_case: bool,
) -> Result<Query> {
    if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
        return refuse(format!(
            "[term] query does not support [{path}] with value [{value}]"
        ));
    }
    let terms = |value: Value| Query::Terms {
        field: path.to_owned(),
        values: vec![value],
        ignore_case,
    };
    let Some(field) = context.field(path) else {
        return Ok(terms(value.clone()));
    };
    Ok(match field.of {
        FieldType::Date | FieldType::DateNanos => {
            let time = |up| date(context, &field, value, &Dates::PLAIN, up);
            let (from, to) = (time(false)?, time(true)?);
            match from == to {
                true => terms(from.into()),
                false => Query::Range {
                    field: path.to_owned(),
                    from: limit(from.into(), true),
                    to: limit(to.into(), true),
                },
            }
        }
        FieldType::Number => terms(as_number(value)?),
        FieldType::Bool => match text(value).as_deref() {
            Some("true") => terms(true.into()),
            Some("false" | "") => terms(false.into()),
            other => {
                return Err(fault(
                    "illegal_argument_exception",
                    format!(
                        "Can't parse boolean value [{}], expected [true] or [false]",
                        other.unwrap_or_default()
                    ),
                ));
            }
        },
        FieldType::Ip => {
            let (from, to) = network(&text(value).unwrap_or_default())?;
            Query::Addresses {
                field: path.to_owned(),
                from,
                to,
            }
        }
        // As it stands: a term that no word of a text can be is not found.
        FieldType::Text if !ignore_case => Query::Words {
            field: Some(path.to_owned()),
            words: text(value).into_iter().collect(),
            how: How::ANY,
        },
        _ => terms(text(value).map_or(Value::Null, Value::from)),
    })
}

fn limit(value: Value, inclusive: bool) -> Option<Limit> {
    Some(Limit { value, inclusive })
}

fn as_number(value: &Value) -> Result<Value> {
    match value {
        Value::String(text) => match text.trim().parse::<serde_json::Number>() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err(fault(
                "number_format_exception",
                format!("For input string: \"{text}\""),
            )),
        },
        Value::Bool(flag) => Err(fault(
            "number_format_exception",
            format!("For input string: \"{flag}\""),
        )),
        value => Ok(value.clone()),
    }
}

pub(super) fn term(body: &Value, context: &Context<'_>) -> Result<Query> {
    let (field, said) = single(body, "term")?;
    let (value, ignore_case) = match said {
        Value::Object(said) => {
            known(
                "term",
                said,
                &["value", "term", "case_insensitive", "boost", "_name"],
            )?;
            match said.get("value").or(said.get("term")) {
                Some(value) => (value, flag(said, "case_insensitive")),
                None => return refuse(format!("[term] query malformed: [{field}] has no value")),
            }
        }
        Value::Array(_) => return refuse("[term] query does not support array of values"),
        value => (value, false),
    };
    is(context, field, value, ignore_case)
}

pub(super) fn terms(body: &Value, context: &Context<'_>) -> Result<Query> {
    let (field, values) = single(body, "terms")?;
    let Value::Array(values) = values else {
        return refuse("[terms] query requires an array of terms");
    };
    if values.len() > TERMS {
        return refuse(format!("[terms] query takes at most [{TERMS}] terms"));
    }
    // Values that are looked for in the same way are one query.
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for value in values {
        match is(context, field, value, false)? {
            Query::Terms { values, .. } => plain.extend(values),
            other => others.push(other),
        }
    }
    let plain = Query::Terms {
        field: field.to_owned(),
        values: plain,
        ignore_case: false,
    };
    let query = match others.is_empty() {
        true => plain,
        false => {
            others.push(plain);
            Query::or(others)
        }
    };
    Ok(Query::Constant {
        query: Box::new(query),
        score: 1.0,
    })
}

pub(super) fn range(body: &Value, context: &Context<'_>) -> Result<Query> {
    let (path, said) = single(body, "range")?;
    let said = object(said, "range")?;
    let field = context.field(path);
    let mut dates = Dates::PLAIN;
    if let Some(format) = said.get("format").filter(|format| !format.is_null()) {
        let text = format.as_str().unwrap_or_default();
        dates.format = Some(DateFormat::new(text).ok_or_else(|| {
            fault(
                "illegal_argument_exception",
                format!("Invalid format: [{text}]: Unknown pattern"),
            )
        })?);
    }
    if let Some(zone) = said.get("time_zone").filter(|zone| !zone.is_null()) {
        let text = zone.as_str().unwrap_or_default();
        dates.zone = Zone::parse(text).ok_or_else(|| {
            fault(
                "zone_rules_exception",
                format!("Unknown time-zone ID: {text}"),
            )
        })?;
    }
    let (mut from, mut to) = (None, None);
    for (name, value) in said {
        let bound = |inclusive: bool, up: bool| match value {
            Value::Null => Ok(None),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                end(context, field.as_ref(), value, &dates, up).map(|value| limit(value, inclusive))
            }
            _ => refuse(format!(
                "[range] query does not support [{name}] with value [{value}]"
            )),
        };
        let includes = |name: &str| said.get(name) != Some(&Value::Bool(false));
        match name.as_str() {
            "gte" => from = bound(true, false)?,
            "gt" => from = bound(false, true)?,
            "lte" => to = bound(true, true)?,
            "lt" => to = bound(false, false)?,
            // The older form of the four.
            "from" => {
                let inclusive = includes("include_lower");
                from = bound(inclusive, !inclusive)?;
            }
            "to" => {
                let inclusive = includes("include_upper");
                to = bound(inclusive, inclusive)?;
            }
            "include_lower" | "include_upper" | "format" | "boost" | "_name" | "relation"
            | "time_zone" => {}
            other => return refuse(format!("[range] query does not support [{other}]")),
        }
    }
    let query = between(path, field.as_ref(), from, to)?;
    Ok(Query::Constant {
        query: Box::new(query),
        score: 1.0,
    })
}

/// A range of a field; of addresses, by their numbers.
pub(super) fn between(
    path: &str,
    field: Option<&Field>,
    from: Option<Limit>,
    to: Option<Limit>,
) -> Result<Query> {
    if field.is_none_or(|field| field.of != FieldType::Ip) {
        return Ok(Query::Range {
            field: path.to_owned(),
            from,
            to,
        });
    }
    let ends = |limit: &Limit| network(limit.value.as_str().unwrap_or_default());
    let first = match &from {
        None => Some(0),
        Some(limit) if limit.inclusive => Some(ends(limit)?.0),
        Some(limit) => ends(limit)?.1.checked_add(1),
    };
    let last = match &to {
        None => Some(u128::MAX),
        Some(limit) if limit.inclusive => Some(ends(limit)?.1),
        Some(limit) => ends(limit)?.0.checked_sub(1),
    };
    Ok(match (first, last) {
        (Some(from), Some(to)) => Query::Addresses {
            field: path.to_owned(),
            from,
            to,
        },
        _ => Query::None,
    })
}

/// The value of a limit, as the field has its values.
pub(super) fn end(
    context: &Context<'_>,
    field: Option<&Field>,
    said: &Value,
    dates: &Dates,
    up: bool,
) -> Result<Value> {
    let Some(field) = field else {
        return Ok(said.clone());
    };
    Ok(match field.of {
        FieldType::Date | FieldType::DateNanos => date(context, field, said, dates, up)?.into(),
        FieldType::Number => as_number(said)?,
        FieldType::Bool => said.clone(),
        _ => text(said).map_or(Value::Null, Value::from),
    })
}

pub(super) fn pattern(kind: &str, body: &Value, context: &Context<'_>) -> Result<Query> {
    let (field, said) = single(body, kind)?;
    let (pattern, ignore_case) = match said {
        Value::Object(said) => {
            let names = [
                "value",
                kind,
                "case_insensitive",
                "rewrite",
                "boost",
                "_name",
                "flags",
                "max_determinized_states",
                "flags_value",
            ];
            known(kind, said, &names)?;
            let pattern = said.get("value").or(said.get(kind)).and_then(text);
            (pattern, flag(said, "case_insensitive"))
        }
        value => (text(value), false),
    };
    let Some(pattern) = pattern else {
        return refuse(format!("[{kind}] query malformed: [{field}] has no value"));
    };
    if let Some(known) = context.field(field)
        && !matches!(known.of, FieldType::Keyword | FieldType::Text)
    {
        return Err(fault(
            "query_shard_exception",
            format!(
                "Can only use {kind} queries on keyword, text and wildcard fields - not on [{field}] which is of type [{}]",
                known.type_name
            ),
        ));
    }
    let field = field.to_owned();
    let query = match kind {
        "prefix" => Query::Prefix {
            field,
            prefix: pattern,
            ignore_case,
        },
        "regexp" => Query::Regexp {
            field,
            pattern: Pattern::new(&pattern, ignore_case)?,
        },
        _ => Query::Wildcard {
            field,
            pattern,
            ignore_case,
        },
    };
    Ok(Query::Constant {
        query: Box::new(query),
        score: 1.0,
    })
}

/// How words are looked for, as a query says.
struct Asked {
    kind: Kind,
    all: bool,
    minimum: Option<Value>,
    slop: u32,
    lenient: bool,
    /// Nothing is asked for: all are found, rather than none.
    zero_is_all: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Words,
    Phrase,
    PhrasePrefix,
}

impl Asked {
    fn read(kind: Kind, said: Option<&Object>) -> Self {
        let get = |name: &str| said.and_then(|said| said.get(name));
        let is = |name: &str, word: &str| {
            get(name)
                .and_then(Value::as_str)
                .is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        Self {
            kind,
            all: is("operator", "and"),
            minimum: get("minimum_should_match").cloned(),
            slop: get("slop").and_then(number).unwrap_or(0.0) as u32,
            lenient: said.is_some_and(|said| flag(said, "lenient")),
            zero_is_all: is("zero_terms_query", "all"),
        }
    }

    /// The words of one field.
    fn of(&self, context: &Context<'_>, path: &str, value: &Value) -> Result<Query> {
        let Some(text) = text(value) else {
            return refuse(format!("[match] query does not support [{value}]"));
        };
        let field = context.field(path);
        if field.is_none_or(|field| field.of != FieldType::Text) {
            return match is(context, path, value, false) {
                Err(_) if self.lenient => Ok(Query::None),
                query => query,
            };
        }
        let words = crate::index::words(&text);
        if words.is_empty() {
            return Ok(if self.zero_is_all {
                Query::All
            } else {
                Query::None
            });
        }
        let how = match (self.kind, &self.minimum) {
            (Kind::Phrase, _) => How::Phrase(self.slop),
            (Kind::PhrasePrefix, _) => How::PhrasePrefix,
            _ if self.all => How::All,
            // One word alone must be there, whatever is said.
            (_, Some(said)) if words.len() > 1 => match minimum("match", said, words.len())? {
                0 => How::ANY,
                least => How::AtLeast(least),
            },
            _ => How::ANY,
        };
        Ok(Query::Words {
            field: Some(path.to_owned()),
            words,
            how,
        })
    }
}

const MATCH_NAMES: [&str; 13] = [
    "query",
    "operator",
    "minimum_should_match",
    "boost",
    "_name",
    "analyzer",
    "lenient",
    "zero_terms_query",
    "auto_generate_synonyms_phrase_query",
    "max_expansions",
    "prefix_length",
    "fuzzy_transpositions",
    "slop",
];

pub(super) fn matching(kind: &str, body: &Value, context: &Context<'_>) -> Result<Query> {
    let (field, said) = single(body, kind)?;
    let options = said.as_object();
    let value = match options {
        Some(said) => {
            known(kind, said, &MATCH_NAMES)?;
            match said.get("query") {
                Some(value) => value,
                None => return refuse("No text specified for text query"),
            }
        }
        None => said,
    };
    let of = match kind {
        "match_phrase" => Kind::Phrase,
        "match_phrase_prefix" => Kind::PhrasePrefix,
        _ => Kind::Words,
    };
    Asked::read(of, options).of(context, field, value)
}

pub(super) fn multi_match(said: &Object, context: &Context<'_>) -> Result<Query> {
    let names: Vec<&str> = MATCH_NAMES
        .into_iter()
        .chain(["fields", "type", "tie_breaker"])
        .collect();
    known("multi_match", said, &names)?;
    let Some(value) = said.get("query") else {
        return refuse("No text specified for multi_match query");
    };
    let of_type = said
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("best_fields");
    let kind = match of_type {
        "best_fields" | "most_fields" | "cross_fields" => Kind::Words,
        "phrase" => Kind::Phrase,
        "phrase_prefix" => Kind::PhrasePrefix,
        other => {
            return refuse(format!("[multi_match] query does not support type {other}"));
        }
    };
    let fields = match said.get("fields") {
        Some(fields) => super::typed::names(fields),
        None => vec!["*".to_owned()],
    };
    let mut asked = Asked::read(kind, Some(said));
    let mut queries = Vec::new();
    for pattern in fields {
        let is_pattern = pattern.contains('*');
        asked.lenient |= is_pattern;
        let paths = match is_pattern {
            true => context.schema.matching(&pattern),
            false => vec![pattern],
        };
        for path in paths {
            queries.push(asked.of(context, &path, value)?);
        }
    }
    let tie_breaker = said.get("tie_breaker").and_then(number).unwrap_or(0.0) as f32;
    Ok(match (queries.len(), of_type) {
        (0, _) => Query::None,
        (_, "most_fields") => Query::or(queries),
        _ => Query::Best {
            queries,
            tie_breaker,
        },
    })
}

/// `minimum_should_match`: a number, or a part in percent; below 0, of those that may be missing; and `3<75%` for what
/// holds only of more than three.
pub(super) fn minimum(kind: &str, said: &Value, of: usize) -> Result<usize> {
    let wrong = || {
        fault(
            "parsing_exception",
            format!("[{kind}] query does not support [minimum_should_match] with value [{said}]"),
        )
    };
    let told = text(said).ok_or_else(wrong)?;
    let of = i64::try_from(of).unwrap_or(i64::MAX);
    let mut simple = told.trim();
    if told.contains('<') {
        simple = "100%";
        for part in told.split_whitespace() {
            let (over, then) = part.split_once('<').ok_or_else(wrong)?;
            if of <= over.parse::<i64>().map_err(|_| wrong())? {
                break;
            }
            simple = then;
        }
    }
    let number = match simple.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.trim().parse::<i64>().map_err(|_| wrong())?;
            let part = of.saturating_mul(percent) / 100;
            if percent < 0 { of + part } else { part }
        }
        None => {
            let number = simple.parse::<i64>().map_err(|_| wrong())?;
            if number < 0 {
                of.saturating_add(number)
            } else {
                number
            }
        }
    };
    Ok(usize::try_from(number.max(0)).unwrap_or(usize::MAX))
}
