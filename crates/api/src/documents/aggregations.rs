//! Aggregations, as far as dashboards ask for them of results: numbers of all that is found, or of each of its parts.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::type_of;
use tidewatch_store::query::{Document, FieldType, Query, values};

use super::fields::iso;
use super::interval::Interval;
use super::search;
use crate::error::{ApiError, Result};

/// Parts of one answer.
const MOST_BUCKETS: usize = 65_536;
/// Values that are told apart.
const MOST_DISTINCT: usize = 1_000_000;
const DEPTH: usize = 5;

#[derive(Debug, Clone)]
pub struct Aggregation {
    name: String,
    kind: Kind,
    subs: Vec<Aggregation>,
}

#[derive(Debug, Clone)]
enum Kind {
    Metric(Metric, String),
    Terms {
        field: String,
        size: usize,
        /// By a part's count, its key, or a number within it; and whether it descends.
        order: (Order, bool),
        min_doc_count: u64,
    },
    DateHistogram {
        field: String,
        interval: Interval,
        min_doc_count: u64,
        order: (Order, bool),
        /// Times between which there are parts even without a document.
        bounds: [Option<i64>; 2],
        /// Keys are told as milliseconds in their text too.
        is_epoch: bool,
    },
    Filter(Query),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Metric {
    Max,
    Min,
    Avg,
    Sum,
    ValueCount,
    Stats,
    Cardinality,
}

#[derive(Debug, Clone)]
enum Order {
    Count,
    Key,
    Sub(String),
}

fn refuse<T>(kind: &'static str, reason: String) -> Result<T> {
    Err(ApiError::new(StatusCode::BAD_REQUEST, kind, reason))
}

impl Aggregation {
    /// `aggs` of a body. Queries in filters are read by `query`.
    pub fn parse(json: &Value, query: &dyn Fn(&Value) -> Result<Query>) -> Result<Vec<Self>> {
        Self::parse_all(json, query, 0)
    }

    fn parse_all(
        json: &Value,
        query: &dyn Fn(&Value) -> Result<Query>,
        depth: usize,
    ) -> Result<Vec<Self>> {
        let Value::Object(all) = json else {
            return refuse(
                "parsing_exception",
                "Expected [START_OBJECT] under [aggs]".to_owned(),
            );
        };
        if depth >= DEPTH {
            return refuse(
                "illegal_argument_exception",
                format!("aggregations are nested deeper than [{DEPTH}]"),
            );
        }
        all.iter()
            .map(|(name, said)| Self::parse_one(name, said, query, depth))
            .collect()
    }

    fn parse_one(
        name: &str,
        said: &Value,
        query: &dyn Fn(&Value) -> Result<Query>,
        depth: usize,
    ) -> Result<Self> {
        let (mut kind, mut subs) = (None, Vec::new());
        for (key, body) in said.as_object().into_iter().flatten() {
            match key.as_str() {
                "aggs" | "aggregations" => subs = Self::parse_all(body, query, depth + 1)?,
                "meta" => {}
                of => kind = Some(Kind::parse(of, body, query)?),
            }
        }
        let Some(kind) = kind else {
            return refuse(
                "parsing_exception",
                format!("Missing definition for aggregation [{name}]"),
            );
        };
        if matches!(kind, Kind::Metric(..)) && !subs.is_empty() {
            return refuse(
                "aggregation_initialization_exception",
                format!("Aggregator [{name}] cannot accept sub-aggregations"),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            subs,
        })
    }
}

impl Kind {
    fn parse(of: &str, body: &Value, query: &dyn Fn(&Value) -> Result<Query>) -> Result<Self> {
        let metric = match of {
            "max" => Some(Metric::Max),
            "min" => Some(Metric::Min),
            "avg" => Some(Metric::Avg),
            "sum" => Some(Metric::Sum),
            "value_count" => Some(Metric::ValueCount),
            "stats" => Some(Metric::Stats),
            "cardinality" => Some(Metric::Cardinality),
            _ => None,
        };
        let known: &[&str] = match of {
            "terms" => &[
                "field",
                "size",
                "order",
                "min_doc_count",
                "shard_size",
                "execution_hint",
            ],
            "date_histogram" => &[
                "field",
                "fixed_interval",
                "calendar_interval",
                "interval",
                "min_doc_count",
                "time_zone",
                "format",
                "order",
                "extended_bounds",
            ],
            "cardinality" => &["field", "precision_threshold"],
            "filter" => return query(body).map(Self::Filter),
            _ if metric.is_some() => &["field", "format"],
            other => {
                return refuse(
                    "parsing_exception",
                    format!("Unknown aggregation type [{other}]"),
                );
            }
        };
        let Value::Object(said) = body else {
            return refuse("parsing_exception", format!("[{of}] aggregation malformed"));
        };
        if let Some(unknown) = said.keys().find(|key| !known.contains(&key.as_str())) {
            return refuse(
                "x_content_parse_exception",
                format!("[1:1] [{of}] unknown field [{unknown}]"),
            );
        }
        let Some(field) = said.get("field").and_then(Value::as_str).map(str::to_owned) else {
            return refuse(
                "illegal_argument_exception",
                format!(
                    "Required one of fields [field, script], but none were specified for [{of}]. "
                ),
            );
        };
        let number =
            |name: &str, default: u64| said.get(name).and_then(Value::as_u64).unwrap_or(default);
        if let Some(metric) = metric {
            return Ok(Self::Metric(metric, field));
        }
        if of == "terms" {
            let size = number("size", 10);
            if size == 0 {
                return refuse(
                    "illegal_argument_exception",
                    "[size] must be greater than 0. Found [0]".to_owned(),
                );
            }
            return Ok(Self::Terms {
                field,
                size: usize::try_from(size)
                    .unwrap_or(MOST_BUCKETS)
                    .min(MOST_BUCKETS),
                order: order(said.get("order"), (Order::Count, true)),
                min_doc_count: number("min_doc_count", 1),
            });
        }
        if said
            .get("time_zone")
            .is_some_and(|zone| !matches!(zone.as_str(), Some("UTC" | "Z" | "+00:00")))
        {
            return refuse(
                "illegal_argument_exception",
                "[date_histogram] is supported in the time zone [UTC] only".to_owned(),
            );
        }
        let text = ["fixed_interval", "calendar_interval", "interval"]
            .iter()
            .find_map(|name| said.get(*name).and_then(Value::as_str));
        let Some(interval) = text.and_then(Interval::parse) else {
            return refuse(
                "illegal_argument_exception",
                format!(
                    "The supplied interval [{}] could not be parsed",
                    text.unwrap_or_default()
                ),
            );
        };
        Ok(Self::DateHistogram {
            field,
            interval,
            min_doc_count: number("min_doc_count", 0),
            order: order(said.get("order"), (Order::Key, false)),
            bounds: bounds(said.get("extended_bounds"))?,
            is_epoch: said
                .get("format")
                .is_some_and(|format| format == "epoch_millis"),
        })
    }
}

fn order(said: Option<&Value>, default: (Order, bool)) -> (Order, bool) {
    let said = match said {
        Some(Value::Array(keys)) => keys.first(),
        said => said,
    };
    let first = said
        .and_then(Value::as_object)
        .and_then(|said| said.iter().next());
    match first {
        None => default,
        Some((by, direction)) => {
            let by = match by.as_str() {
                "_count" => Order::Count,
                "_key" | "_term" => Order::Key,
                path => Order::Sub(path.to_owned()),
            };
            (by, direction == "desc")
        }
    }
}

/// `min` and `max`, as milliseconds.
fn bounds(said: Option<&Value>) -> Result<[Option<i64>; 2]> {
    let end = |name: &str| match said.and_then(|said| said.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(time)) => Ok(time.as_i64()),
        Some(Value::String(text)) => match search::date(text, false) {
            Ok(time) => Ok(Some(time)),
            Err(reason) => refuse("parse_exception", reason),
        },
        Some(other) => refuse(
            "x_content_parse_exception",
            format!("[1:1] [extended_bounds] {name} doesn't support values of type: {other}"),
        ),
    };
    let bounds = [end("min")?, end("max")?];
    match bounds {
        [Some(min), Some(max)] if min > max => refuse(
            "illegal_argument_exception",
            format!(
                "[extended_bounds.min][{min}] cannot be greater than [extended_bounds.max][{max}]"
            ),
        ),
        bounds => Ok(bounds),
    }
}

/// What aggregations have seen so far.
pub struct Tally<'a> {
    of: &'a [Aggregation],
    states: Vec<State>,
    buckets: usize,
    /// Why it went no further.
    refused: Option<ApiError>,
}

#[derive(Debug, Clone)]
enum State {
    Numbers {
        count: u64,
        sum: f64,
        min: f64,
        max: f64,
    },
    Distinct(HashSet<u64>),
    Parts(BTreeMap<PartKey, Part>),
}

#[derive(Debug, Clone, Default)]
struct Part {
    count: u64,
    subs: Vec<State>,
}

/// Keys of one field are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PartKey {
    Whole(i64),
    /// A number by its bits, in the order of numbers.
    Number(u64),
    Bool(bool),
    Text(String),
}

impl PartKey {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Bool(is) => Self::Bool(*is),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Whole(whole),
                None => {
                    let bits = number.as_f64()?.to_bits();
                    Self::Number(if bits >> 63 == 1 {
                        !bits
                    } else {
                        bits | 1 << 63
                    })
                }
            },
            _ => return None,
        })
    }

    fn value(&self) -> Value {
        match self {
            Self::Whole(whole) => (*whole).into(),
            Self::Number(bits) => {
                let bits = if bits >> 63 == 1 {
                    bits & !(1 << 63)
                } else {
                    !bits
                };
                f64::from_bits(bits).into()
            }
            Self::Bool(is) => u8::from(*is).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }
}

fn fresh(of: &[Aggregation]) -> Vec<State> {
    let state = |aggregation: &Aggregation| match &aggregation.kind {
        Kind::Metric(Metric::Cardinality, _) => State::Distinct(HashSet::new()),
        Kind::Metric(..) => State::Numbers {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        },
        _ => State::Parts(BTreeMap::new()),
    };
    of.iter().map(state).collect()
}

impl<'a> Tally<'a> {
    pub fn new(of: &'a [Aggregation]) -> Self {
        Self {
            of,
            states: fresh(of),
            buckets: 0,
            refused: None,
        }
    }

    /// Takes a document. `false`: it is too much.
    pub fn add(&mut self, document: Document<'_>) -> bool {
        let added = add(self.of, &mut self.states, document, &mut self.buckets);
        if let Err(error) = added {
            self.refused = Some(error);
        }
        self.refused.is_none()
    }

    /// `aggregations` of an answer.
    pub fn answer(mut self) -> Result<Value> {
        match self.refused {
            Some(error) => Err(error),
            None => answer(self.of, &self.states, &mut self.buckets).map(Value::Object),
        }
    }
}

fn too_many() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "too_many_buckets_exception",
        format!(
            "Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but was [{}]. This \
             limit can be set by changing the [search.max_buckets] cluster level setting.",
            MOST_BUCKETS + 1
        ),
    )
}

fn add(
    of: &[Aggregation],
    states: &mut [State],
    document: Document<'_>,
    buckets: &mut usize,
) -> Result<()> {
    for (aggregation, state) in of.iter().zip(states) {
        match (&aggregation.kind, state) {
            (
                Kind::Metric(metric, field),
                State::Numbers {
                    count,
                    sum,
                    min,
                    max,
                },
            ) => {
                values(document.source, field, &mut |value| {
                    // Of other values than numbers, there is only a count.
                    let number = value.as_f64();
                    if number.is_some() || (*metric == Metric::ValueCount && !value.is_object()) {
                        let number = number.unwrap_or_default();
                        *count += 1;
                        *sum += number;
                        *min = min.min(number);
                        *max = max.max(number);
                    }
                    false
                });
            }
            (Kind::Metric(_, field), State::Distinct(seen)) => {
                let mut take = |value: &Value| {
                    let mut hasher = DefaultHasher::new();
                    value.to_string().hash(&mut hasher);
                    seen.insert(hasher.finish());
                    false
                };
                match field.as_str() {
                    "_id" => take(&document.id.into()),
                    field => values(document.source, field, &mut take),
                };
                if seen.len() > MOST_DISTINCT {
                    return refuse(
                        "illegal_argument_exception",
                        format!("[cardinality] tells at most [{MOST_DISTINCT}] values apart"),
                    );
                }
            }
            (Kind::Metric(..), State::Parts(_)) => {}
            (kind, State::Parts(parts)) => {
                for key in keys(kind, document) {
                    let part = parts.entry(key).or_insert_with(|| {
                        *buckets += 1;
                        Part {
                            count: 0,
                            subs: fresh(&aggregation.subs),
                        }
                    });
                    part.count += 1;
                    add(&aggregation.subs, &mut part.subs, document, buckets)?;
                }
                if *buckets > MOST_BUCKETS {
                    return Err(too_many());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parts that a document belongs to.
fn keys(kind: &Kind, document: Document<'_>) -> Vec<PartKey> {
    let mut keys = Vec::new();
    let mut add = |key: Option<PartKey>| {
        keys.extend(key.filter(|key| !keys.contains(key)));
    };
    match kind {
        Kind::Terms { field, .. } => match field.as_str() {
            "_id" => add(Some(PartKey::Text(document.id.to_owned()))),
            "_index" => add(Some(PartKey::Text(document.index.to_owned()))),
            field => {
                values(document.source, field, &mut |value| {
                    add(PartKey::of(value));
                    false
                });
            }
        },
        Kind::DateHistogram {
            field, interval, ..
        } => {
            values(document.source, field, &mut |value| {
                add(value
                    .as_i64()
                    .map(|time| PartKey::Whole(interval.start(time))));
                false
            });
        }
        Kind::Filter(query) => add(query.matches(document).then_some(PartKey::Bool(true))),
        Kind::Metric(..) => {}
    }
    keys
}

fn answer(of: &[Aggregation], states: &[State], buckets: &mut usize) -> Result<Map<String, Value>> {
    let mut answers = Map::new();
    for (aggregation, state) in of.iter().zip(states) {
        let told = match (&aggregation.kind, state) {
            (Kind::Metric(_, _), State::Distinct(seen)) => json!({"value": seen.len()}),
            (
                Kind::Metric(metric, field),
                State::Numbers {
                    count,
                    sum,
                    min,
                    max,
                },
            ) => number(*metric, field, (*count, *sum, *min, *max)),
            (Kind::Filter(_), State::Parts(parts)) => {
                let empty = Part {
                    count: 0,
                    subs: fresh(&aggregation.subs),
                };
                let part = parts.values().next().unwrap_or(&empty);
                let mut told = Map::from_iter([("doc_count".to_owned(), part.count.into())]);
                told.extend(answer(&aggregation.subs, &part.subs, buckets)?);
                Value::Object(told)
            }
            (kind, State::Parts(parts)) => {
                let told = told_parts(&aggregation.subs, parts, buckets)?;
                arranged(kind, &aggregation.subs, told, buckets)?
            }
            _ => Value::Null,
        };
        answers.insert(aggregation.name.clone(), told);
    }
    Ok(answers)
}

fn number(metric: Metric, field: &str, (count, sum, min, max): (u64, f64, f64, f64)) -> Value {
    let some = |number: f64| {
        if count > 0 {
            Value::from(number)
        } else {
            Value::Null
        }
    };
    let avg = sum / count.max(1) as f64;
    let value = match metric {
        Metric::ValueCount => return json!({"value": count}),
        Metric::Sum => return json!({"value": sum}),
        Metric::Stats => {
            return json!({"count": count, "min": some(min), "max": some(max), "avg": some(avg), "sum": sum});
        }
        Metric::Max => max,
        Metric::Min => min,
        Metric::Avg | Metric::Cardinality => avg,
    };
    let mut told = json!({"value": some(value)});
    if count > 0 && type_of(field) == FieldType::Date {
        told["value_as_string"] = iso(value as i64).into();
    }
    told
}

/// A part with its key, its count and what it holds.
type Told = (PartKey, u64, Map<String, Value>);

fn told_parts(
    subs: &[Aggregation],
    parts: &BTreeMap<PartKey, Part>,
    buckets: &mut usize,
) -> Result<Vec<Told>> {
    let tell = |(key, part): (&PartKey, &Part)| {
        Ok((key.clone(), part.count, answer(subs, &part.subs, buckets)?))
    };
    parts.iter().map(tell).collect()
}

fn arranged(
    kind: &Kind,
    subs: &[Aggregation],
    mut parts: Vec<Told>,
    buckets: &mut usize,
) -> Result<Value> {
    match kind {
        Kind::Terms {
            field,
            size,
            order: (by, descending),
            min_doc_count,
        } => {
            parts.retain(|(_, count, _)| count >= min_doc_count);
            sort(&mut parts, by, *descending);
            let all: u64 = parts.iter().map(|(_, count, _)| count).sum();
            parts.truncate(*size);
            let shown: u64 = parts.iter().map(|(_, count, _)| count).sum();
            let is_date = type_of(field) == FieldType::Date;
            let told: Vec<Value> = parts
                .into_iter()
                .map(|part| bucket(part, is_date))
                .collect();
            Ok(
                json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": all - shown, "buckets": told}),
            )
        }
        Kind::DateHistogram {
            interval,
            min_doc_count,
            order: (by, descending),
            bounds,
            is_epoch,
            ..
        } => {
            if *min_doc_count == 0 {
                parts = without_gaps(parts, *interval, *bounds, subs, buckets)?;
            }
            parts.retain(|(_, count, _)| count >= min_doc_count);
            sort(&mut parts, by, *descending);
            let tell = |part: Told| {
                let millis = part.0.value().to_string();
                let mut told = bucket(part, true);
                if *is_epoch {
                    told["key_as_string"] = millis.into();
                }
                told
            };
            Ok(json!({"buckets": parts.into_iter().map(tell).collect::<Vec<_>>()}))
        }
        Kind::Metric(..) | Kind::Filter(_) => Ok(Value::Null),
    }
}

/// Orders parts that stand in the order of their keys, which decides among equals.
fn sort(parts: &mut [Told], by: &Order, descending: bool) {
    parts.sort_by(|a, b| {
        let order = match by {
            Order::Count => a.1.cmp(&b.1),
            Order::Key => a.0.cmp(&b.0),
            Order::Sub(path) => within(&a.2, path).total_cmp(&within(&b.2, path)),
        };
        if descending { order.reverse() } else { order }
    });
}

/// The parts with those of no document between them, and as far as the bounds go.
fn without_gaps(
    parts: Vec<Told>,
    interval: Interval,
    bounds: [Option<i64>; 2],
    subs: &[Aggregation],
    buckets: &mut usize,
) -> Result<Vec<Told>> {
    let mut at = bounds[0].map(|min| interval.start(min));
    let mut all: Vec<Told> = Vec::new();
    let mut fill = |all: &mut Vec<Told>, at: &mut Option<i64>, end: i64| {
        while let Some(start) = at.filter(|at| *at < end) {
            *buckets += 1;
            if *buckets > MOST_BUCKETS {
                return Err(too_many());
            }
            let inner = answer(subs, &fresh(subs), buckets)?;
            all.push((PartKey::Whole(start), 0, inner));
            *at = Some(interval.next(start));
        }
        Ok(())
    };
    for (key, count, inner) in parts {
        let PartKey::Whole(start) = key else {
            continue;
        };
        fill(&mut all, &mut at, start)?;
        all.push((PartKey::Whole(start), count, inner));
        at = Some(at.unwrap_or(start).max(interval.next(start)));
    }
    if let Some(max) = bounds[1] {
        // Without any part and a first bound, there is only the last.
        at = at.or(Some(interval.start(max)));
        fill(&mut all, &mut at, interval.next(interval.start(max)))?;
    }
    Ok(all)
}

/// The number that a path leads to within a part: `sub` or `sub.value`.
fn within(inner: &Map<String, Value>, path: &str) -> f64 {
    let (name, rest) = path.split_once(['.', '>']).unwrap_or((path, "value"));
    let value = inner
        .get(name)
        .and_then(|value| value.get(rest))
        .and_then(Value::as_f64);
    value.unwrap_or(f64::NEG_INFINITY)
}

fn bucket((key, count, inner): Told, is_date: bool) -> Value {
    let mut told = Map::new();
    match (&key, is_date) {
        (PartKey::Whole(time), true) => {
            told.insert("key_as_string".to_owned(), iso(*time).into());
        }
        (PartKey::Bool(is), _) => {
            told.insert("key_as_string".to_owned(), is.to_string().into());
        }
        _ => {}
    }
    told.insert("key".to_owned(), key.value());
    told.insert("doc_count".to_owned(), count.into());
    told.extend(inner);
    Value::Object(told)
}
