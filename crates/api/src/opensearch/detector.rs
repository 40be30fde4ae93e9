//! A detector as clients see it.

use serde::de::{DeserializeOwned, Error, IntoDeserializer, value};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::dialect::Dialect;

/// Milliseconds of the units that a time may have.
const UNITS: [(&str, i64); 2] = [("Minutes", 60_000), ("Seconds", 1_000)];

/// A length of time as detectors have it: `{"period": {"interval": 1, "unit": "Minutes"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    period: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Amount {
    interval: i64,
    /// One of [`UNITS`].
    unit: String,
}

impl Period {
    pub fn minutes(interval: i64) -> Self {
        Self {
            period: Amount {
                interval,
                unit: UNITS[0].0.to_owned(),
            },
        }
    }

    /// None for a unit that there isn't.
    pub fn new(interval: i64, unit: &str) -> Option<Self> {
        let (unit, _) = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        let unit = (*unit).to_owned();
        Some(Self {
            period: Amount { interval, unit },
        })
    }

    pub fn interval(&self) -> i64 {
        self.period.interval
    }

    pub fn unit(&self) -> &str {
        &self.period.unit
    }

    pub fn as_millis(&self) -> i64 {
        let unit = UNITS.iter().find(|(name, _)| *name == self.period.unit);
        self.period
            .interval
            .saturating_mul(unit.map_or(1_000, |(_, millis)| *millis))
    }
}

/// One number that is asked of each interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub feature_id: String,
    pub feature_name: String,
    pub feature_enabled: bool,
    /// One aggregation with its name.
    pub aggregation_query: Map<String, Value>,
}

impl Feature {
    /// The name of its aggregation.
    pub fn aggregation(&self) -> &str {
        self.aggregation_query
            .keys()
            .next()
            .map_or("", String::as_str)
    }

    /// The aggregation that gives the number: itself, or the one within it.
    pub fn leaf(&self) -> &Value {
        let mut body = self.aggregation_query.values().next();
        while let Some(within) = body.and_then(below) {
            body = within.values().next();
        }
        body.unwrap_or(&Value::Null)
    }

    /// Its aggregation and its name, with another name of what gives the number.
    pub fn renamed(&self, name: &str) -> (String, Value) {
        let body = self.aggregation_query.values().next();
        rename(body.unwrap_or(&Value::Null), name)
    }

    /// The kind of aggregation that gives the number: `sum`.
    pub fn kind(&self) -> &str {
        let body = self.leaf().as_object();
        let mut kinds = body.into_iter().flat_map(Map::keys);
        kinds
            .find(|kind| !matches!(kind.as_str(), "aggs" | "aggregations" | "meta"))
            .map_or("", String::as_str)
    }
}

/// Aggregations within an aggregation.
const BELOW: [&str; 2] = ["aggs", "aggregations"];

fn below(body: &Value) -> Option<&Map<String, Value>> {
    let within = BELOW.iter().find_map(|name| body.get(*name));
    within?.as_object().filter(|within| !within.is_empty())
}

fn rename(body: &Value, name: &str) -> (String, Value) {
    let Some(inner) = below(body).and_then(|within| within.values().next()) else {
        return (name.to_owned(), body.clone());
    };
    let (inner_name, inner) = rename(inner, name);
    let mut renamed = body.clone();
    if let Value::Object(fields) = &mut renamed {
        fields.retain(|field, _| !BELOW.contains(&field.as_str()));
    }
    renamed["aggregations"] = Map::from_iter([(inner_name.clone(), inner)]).into();
    (format!("{inner_name}_of"), renamed)
}

/// A detector, stored and told in this form. It was checked when it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    pub name: String,
    pub description: String,
    pub time_field: String,
    pub indices: Vec<String>,
    /// With its defaults filled in.
    pub filter_query: Value,
    pub window_delay: Period,
    pub shingle_size: i64,
    pub schema_version: i64,
    pub feature_attributes: Vec<Feature>,
    pub recency_emphasis: i64,
    /// Intervals of the past that are read before the first judgement.
    pub history: i64,
    /// What dashboards keep of it for themselves.
    #[serde(
        default,
        deserialize_with = "object",
        skip_serializing_if = "Option::is_none"
    )]
    pub ui_metadata: Option<Map<String, Value>>,
    /// Epoch milliseconds. None of one that is only tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_field: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_index: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imputation_option: Option<Imputation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_seasonality: Option<i64>,
    /// Megabytes after which its result index would be followed by another; this and the next three only where it has
    /// one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_index_min_size: Option<i64>,
    /// Days after which it would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_index_min_age: Option<i64>,
    /// Days for which its results are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_index_ttl: Option<i64>,
    /// Whether its results are in flat fields too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten_custom_result_index: Option<bool>,
    /// What dashboards say of it. Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ui_breaking_change_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<Period>,
    /// Whether a program made it, as it says itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_created: bool,
    pub detection_interval: Period,
    pub detector_type: String,
    /// As old clients name the past that they look at. It is for nothing: a start says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detection_date_range: Option<DateRange>,
    pub rules: Vec<Rule>,
}

/// Epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateRange {
    pub start_time: i64,
    pub end_time: i64,
}

/// Once, any value was kept: what is no object has gone.
fn object<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Map<String, Value>>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Object(kept) => Some(kept),
        _ => None,
    })
}

/// A choice, whose name may be in any case.
fn in_any_case<'d, T: DeserializeOwned, D: Deserializer<'d>>(from: D) -> Result<T, D::Error> {
    let name = String::deserialize(from)?.to_uppercase();
    let from = IntoDeserializer::<value::Error>::into_deserializer(name);
    T::deserialize(from).map_err(D::Error::custom)
}

/// One that may be left out.
fn some_in_any_case<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Operator>, D::Error> {
    let name = Option::<Value>::deserialize(from)?;
    name.map(|name| in_any_case(name).map_err(D::Error::custom))
        .transpose()
}

/// What stands for numbers that are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imputation {
    #[serde(default, deserialize_with = "in_any_case")]
    pub method: ImputationMethod,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_fill: Vec<Fill>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ImputationMethod {
    #[default]
    Zero,
    FixedValues,
    Previous,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    pub feature_name: String,
    pub data: f64,
}

/// What is no anomaly, whatever the forest says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    #[serde(deserialize_with = "in_any_case")]
    pub action: Action,
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    IgnoreAnomaly,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Empty: none was named.
    #[serde(default)]
    pub feature_name: String,
    #[serde(deserialize_with = "in_any_case")]
    pub threshold_type: Threshold,
    /// Of those with a value; told as null of others.
    #[serde(default, deserialize_with = "some_in_any_case")]
    pub operator: Option<Operator>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Threshold {
    ActualOverExpectedMargin,
    ExpectedOverActualMargin,
    ActualOverExpectedRatio,
    ExpectedOverActualRatio,
    ActualIsOverExpected,
    ActualIsBelowExpected,
}

impl Threshold {
    pub fn has_value(self) -> bool {
        !matches!(
            self,
            Self::ActualIsOverExpected | Self::ActualIsBelowExpected
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operator {
    Lte,
}

/// Fields as they were told before 2.15, in their order; no others were.
const LEGACY: [&str; 17] = [
    "name",
    "description",
    "time_field",
    "indices",
    "filter_query",
    "detection_interval",
    "window_delay",
    "shingle_size",
    "schema_version",
    "feature_attributes",
    "ui_metadata",
    "last_update_time",
    "category_field",
    "result_index",
    "detector_type",
    "detection_date_range",
    "user",
];

impl Detector {
    pub fn categories(&self) -> &[String] {
        self.category_field.as_deref().unwrap_or_default()
    }

    pub fn enabled(&self) -> impl Iterator<Item = &Feature> {
        self.feature_attributes
            .iter()
            .filter(|feature| feature.feature_enabled)
    }

    /// Milliseconds.
    pub fn interval(&self) -> i64 {
        self.detection_interval.as_millis()
    }

    /// What is said of a result index of its own: only where it has one.
    pub fn without_lost_index(self) -> Self {
        match self.result_index {
            Some(_) => self,
            None => Self {
                result_index_min_size: None,
                result_index_min_age: None,
                result_index_ttl: None,
                flatten_custom_result_index: None,
                ..self
            },
        }
    }

    /// With the result index of another, and all that is said of it.
    pub fn with_index_of(self, other: &Self) -> Self {
        Self {
            result_index: other.result_index.clone(),
            result_index_min_size: other.result_index_min_size,
            result_index_min_age: other.result_index_min_age,
            result_index_ttl: other.result_index_ttl,
            flatten_custom_result_index: other.flatten_custom_result_index,
            ..self
        }
    }

    /// As it is told. `to_dashboards`: with what they keep of it.
    pub fn told(&self, dialect: Dialect, to_dashboards: bool) -> Value {
        let mut told = json!(self);
        told["description"] = escaped(&self.description).into();
        let Value::Object(fields) = &mut told else {
            return told;
        };
        if !to_dashboards {
            fields.shift_remove("ui_metadata");
        }
        match dialect.is_legacy() {
            false => told,
            true => LEGACY
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), fields.shift_remove(*name)?)))
                .collect(),
        }
    }
}

/// Text as HTML may hold it, which is how descriptions are told.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
