//! Detectors read from what clients send: defaults, limits, and the words for what is wrong.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tidewatch_store::query::Dsl;
use tidewatch_store::search::Search;

use super::detector::{Detector, Feature, Imputation, ImputationMethod, Period, Rule};
use super::dialect::Dialect;
use super::issue::Issue;
use super::{filter_query, id};
use crate::error::ApiError;

const NAME: usize = 64;
const DESCRIPTION: usize = 1_000;
const RESULT_INDEX: usize = 255;
const SHINGLE: i64 = 8;
const CATEGORIES: usize = 2;
pub const FEATURES: usize = 5;
const HISTORY: i64 = 10_000;
const RECENCY: i64 = 2_560;
/// Points that the forest sees before it judges.
pub const LEARNT: i64 = 32;
/// How often the interval a frequency may be.
const FREQUENCY: i64 = 10_000;

type Read<T> = Result<T, Issue>;

/// A detector as it was sent.
pub struct Sent {
    pub detector: Detector,
    /// Its query as it was given, which is what the data is asked.
    pub query: Value,
}

/// The fields of a body, as they are taken from it.
struct Body<'b>(&'b Map<String, Value>);

impl Body<'_> {
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn as_type<T: DeserializeOwned>(&self, name: &str) -> Read<Option<T>> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let read = serde_json::from_value(value.clone());
        read.map(Some)
            .map_err(|error| unreadable(name, &error.to_string()))
    }

    fn text(&self, name: &str) -> Read<Option<String>> {
        self.as_type(name)
    }

    /// A number, or a text that is one.
    fn whole(&self, name: &str) -> Read<Option<i64>> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let text = value.as_str().and_then(|text| text.parse().ok());
        match value.as_i64().or(text) {
            Some(number) => Ok(Some(number)),
            None => Err(unreadable(name, "it is no whole number")),
        }
    }

    /// One text or several.
    fn texts(&self, name: &str) -> Read<Option<Vec<String>>> {
        match self.given(name) {
            Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
            _ => self.as_type(name),
        }
    }

    fn period(&self, name: &str) -> Read<Option<Period>> {
        let Some(value) = self.given(name) else {
            return Ok(None);
        };
        let interval = value["period"]["interval"].as_i64();
        let unit = value["period"]["unit"].as_str();
        let (Some(interval), Some(unit)) = (interval, unit) else {
            return Err(unreadable(name, "it has no period of interval and unit"));
        };
        match Period::new(interval, unit) {
            Some(period) => Ok(Some(period)),
            None => Err(refused(name, format!("Timeunit {unit} is not supported"))),
        }
    }
}

fn unreadable(name: &str, why: &str) -> Issue {
    refused(name, format!("Failed to parse field [{name}]: {why}"))
}

/// What can't be read at all, whoever asks.
fn refused(name: &str, reason: String) -> Issue {
    Issue::refused(known(name), ApiError::illegal_argument(reason))
}

/// The fields that issues are about.
fn known(name: &str) -> &'static str {
    const KNOWN: [&str; 18] = [
        "name",
        "time_field",
        "shingle_size",
        "suggested_seasonality",
        "indices",
        "feature_attributes",
        "category_field",
        "filter_query",
        "window_delay",
        "result_index",
        "imputation_option",
        "detection_interval",
        "recency_emphasis",
        "description",
        "history",
        "rules",
        "frequency",
        "timeout",
    ];
    let known = KNOWN.into_iter().find(|known| *known == name);
    known.unwrap_or("general_settings")
}

impl Sent {
    /// Of a body. `default_interval`: taken where none is given; without it, that is an issue.
    pub fn read(
        body: &Map<String, Value>,
        dialect: Dialect,
        default_interval: Option<Period>,
    ) -> Read<Self> {
        let body = Body(body);
        let query = match body.given("filter_query") {
            None => filter_query::all(),
            Some(query) => check_query(query)?,
        };
        let features = features(&body)?;
        let category_field = body.texts("category_field")?.filter(|all| !all.is_empty());
        let seasonality = body.whole("suggested_seasonality")?;
        let shingle = body.whole("shingle_size")?;
        let shingle_size = shingle.or(seasonality.map(|season| season / 2));
        let shingle_size = shingle_size.unwrap_or(SHINGLE);
        let interval = body.period("detection_interval")?.or(default_interval);
        let has_interval = interval.is_some();
        let detector_type = match category_field {
            None => "SINGLE_ENTITY",
            Some(_) => "MULTI_ENTITY",
        };
        let result_index = match dialect.result_index_prefix() {
            None => None,
            Some(_) => body.text("result_index")?,
        };
        let detector = Detector {
            name: body.text("name")?.unwrap_or_default(),
            description: body.text("description")?.unwrap_or_default(),
            time_field: body.text("time_field")?.unwrap_or_default(),
            indices: body.texts("indices")?.unwrap_or_default(),
            filter_query: filter_query::told(&query),
            window_delay: body.period("window_delay")?.unwrap_or(Period::minutes(0)),
            shingle_size,
            schema_version: 0,
            feature_attributes: features,
            recency_emphasis: body.whole("recency_emphasis")?.unwrap_or(RECENCY),
            history: body.whole("history")?.unwrap_or(LEARNT + shingle_size),
            ui_metadata: body.given("ui_metadata").cloned(),
            last_update_time: None,
            category_field,
            result_index,
            imputation_option: body.as_type("imputation_option")?,
            suggested_seasonality: seasonality,
            frequency: body.period("frequency")?,
            detection_interval: interval.unwrap_or(Period::minutes(1)),
            detector_type: detector_type.to_owned(),
            rules: body.as_type("rules")?.unwrap_or_default(),
        };
        let mut sent = Self { detector, query };
        sent.check(dialect, has_interval)?;
        let has_rules = body.given("rules").is_some();
        if !has_rules && !dialect.is_legacy() {
            sent.detector.rules = default_rules(&sent.detector);
        }
        Ok(sent)
    }

    /// What can be said without looking at any data, in the order in which OpenSearch says it.
    fn check(&self, dialect: Dialect, has_interval: bool) -> Read<()> {
        let detector = &self.detector;
        let issue = |field, message: String| Err(Issue::new(field, message));
        if detector.name.trim().is_empty() {
            let message = dialect.says("name should be set", "Detector name should be set");
            return issue("name", message.to_owned());
        }
        if detector.time_field.trim().is_empty() {
            return issue("time_field", "Time field should be set".to_owned());
        }
        if detector.indices.iter().all(|index| index.trim().is_empty()) {
            return issue("indices", "Indices should be set".to_owned());
        }
        check_shingle(detector, dialect)?;
        check_result_index(detector, dialect)?;
        if detector.recency_emphasis <= 1 {
            let message = "Recency emphasis must be an integer greater than 1.";
            return issue("recency_emphasis", message.to_owned());
        }
        if detector.description.chars().count() > DESCRIPTION {
            let message =
                format!("Description length is too long. Max length is {DESCRIPTION} characters.");
            return issue("description", message);
        }
        if !(1..=HISTORY).contains(&detector.history) {
            let message = format!("We cannot look back more than {HISTORY} intervals.");
            return issue("history", message);
        }
        check_imputation(detector)?;
        if detector.window_delay.interval() < 0 {
            let message = "Window delay interval must be a positive integer";
            return issue("window_delay", message.to_owned());
        }
        if !has_interval {
            let message = "Detection interval should be set";
            return issue("detection_interval", message.to_owned());
        }
        if detector.interval() <= 0 {
            let message = "Detection interval must be a positive integer";
            return issue("detection_interval", message.to_owned());
        }
        check_frequency(detector)?;
        if detector.categories().len() > CATEGORIES {
            let message = match dialect.is_legacy() {
                true => format!("We can have only {CATEGORIES} categorical field/s."),
                false => format!(
                    "Currently we only support up to {CATEGORIES} categorical field/s in order to bound system resource \
                     consumption."
                ),
            };
            return issue("category_field", message);
        }
        check_rules(detector)
    }
}

/// What is asked of a name, behind all that stands in the definition alone.
pub fn check_name(name: &str, dialect: Dialect) -> Read<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(is_allowed) {
        let what = dialect.says("name", "detector name");
        return Err(Issue::new(
            "name",
            format!(
                "Valid characters for {what} are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)"
            ),
        ));
    }
    if name.len() > NAME {
        let message = format!("Name should be shortened. The maximum limit is {NAME} characters.");
        return Err(Issue::new("name", message));
    }
    Ok(())
}

/// How many features there may be, and that they have names of their own.
pub fn check_features(detector: &Detector, dialect: Dialect) -> Read<()> {
    let features = &detector.feature_attributes;
    let refuse = |message: String| Err(Issue::with_status("feature_attributes", 400, message));
    if features.len() > FEATURES {
        return refuse(format!("Can't create more than {FEATURES} feature(s)"));
    }
    let repeated = repeated(features.iter().map(|feature| feature.feature_name.as_str()));
    if !repeated.is_empty() {
        return refuse(format!(
            "There are duplicate feature names: {}",
            repeated.join(", ")
        ));
    }
    let repeated = self::repeated(features.iter().map(Feature::aggregation));
    if !repeated.is_empty() {
        let what = dialect.says("Config", "Detector");
        return refuse(format!(
            "{what} has duplicate feature aggregation query names: {}",
            repeated.join(", ")
        ));
    }
    Ok(())
}

fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut seen = BTreeSet::new();
    let mut again = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            again.insert(name);
        }
    }
    again.into_iter().collect()
}

fn check_query(query: &Value) -> Read<Value> {
    let wrong = |why: &str| {
        let message = format!("Custom query error in data filter: {why}");
        Issue::refused("filter_query", ApiError::illegal_argument(message))
    };
    if query.as_object().is_some_and(Map::is_empty) {
        return Ok(filter_query::all());
    }
    Dsl::new(query.clone()).map_err(|error| wrong(&error.to_string()))?;
    Ok(query.clone())
}

fn features(body: &Body<'_>) -> Read<Vec<Feature>> {
    const FIELD: &str = "feature_attributes";
    let all: Vec<Map<String, Value>> = body.as_type(FIELD)?.unwrap_or_default();
    all.iter().map(|one| feature(&Body(one))).collect()
}

fn feature(body: &Body<'_>) -> Read<Feature> {
    const FIELD: &str = "feature_attributes";
    let refuse = |reason: &str| Issue::refused(FIELD, ApiError::illegal_argument(reason));
    let name = body.text("feature_name")?.unwrap_or_default();
    if name.trim().is_empty() {
        return Err(refuse("Feature name should be set"));
    }
    let query: Map<String, Value> = body
        .as_type("aggregation_query")?
        .ok_or_else(|| refuse("Feature aggregation query should be set"))?;
    let feature = Feature {
        feature_id: match body.text("feature_id")?.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => id(),
        },
        feature_name: name,
        feature_enabled: body.as_type("feature_enabled")?.unwrap_or(true),
        aggregation_query: query,
    };
    if feature.aggregation_query.len() != 1 || feature.kind().is_empty() {
        return Err(refuse(
            "Custom query error: a feature has one aggregation with a name",
        ));
    }
    let search = Map::from_iter([("aggs".to_owned(), feature.aggregation_query.clone().into())]);
    match Search::parse(search) {
        Ok(_) => Ok(feature),
        Err(error) => Err(refuse(&format!("Custom query error: {error}"))),
    }
}

fn check_shingle(detector: &Detector, dialect: Dialect) -> Read<()> {
    let (size, most) = (
        detector.shingle_size,
        if dialect.is_legacy() { 60 } else { 128 },
    );
    if !(1..=most).contains(&size) {
        let message = match dialect.is_legacy() {
            true => "Shingle size must be a positive integer".to_owned(),
            false => format!("Suggested shingle size must be between 1 and 128. Got {size}."),
        };
        return Err(Issue::new("shingle_size", message));
    }
    match detector.suggested_seasonality {
        Some(season) if !(2..=256).contains(&season) => Err(Issue::new(
            "suggested_seasonality",
            format!("Suggested seasonality must be between 2 and 256. Got {season}."),
        )),
        _ => Ok(()),
    }
}

fn check_result_index(detector: &Detector, dialect: Dialect) -> Read<()> {
    let (Some(name), Some(prefix)) = (&detector.result_index, dialect.result_index_prefix()) else {
        return Ok(());
    };
    let is_allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let message = if !name.starts_with(prefix) {
        format!("Result index must start with {prefix}")
    } else if name.len() > RESULT_INDEX {
        format!("Result index name size must contains less than {RESULT_INDEX} characters")
    } else if !name.chars().all(is_allowed) {
        "Result index name has invalid character. Valid characters are a-z, 0-9, -(hyphen) and _(underscore)"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Issue::new("result_index", message))
}

fn check_imputation(detector: &Detector) -> Read<()> {
    let Some(Imputation {
        method: ImputationMethod::FixedValues,
        default_fill,
    }) = &detector.imputation_option
    else {
        return Ok(());
    };
    let enabled = detector.enabled().count();
    if default_fill.len() != enabled {
        return Err(Issue::new(
            "imputation_option",
            format!(
                "Mismatch between the number of enabled features and default fill values. Number of default fill \
                 values: {}. Number of enabled features: {enabled}.",
                default_fill.len()
            ),
        ));
    }
    let has = |feature: &&Feature| {
        default_fill
            .iter()
            .any(|fill| fill.feature_name == feature.feature_name)
    };
    match detector.enabled().find(|feature| !has(feature)) {
        Some(missing) => Err(Issue::new(
            "imputation_option",
            format!("Missing feature name: {}.", missing.feature_name),
        )),
        None => Ok(()),
    }
}

fn check_frequency(detector: &Detector) -> Read<()> {
    let Some(frequency) = &detector.frequency else {
        return Ok(());
    };
    let (millis, interval) = (frequency.as_millis(), detector.interval());
    if millis > 0 && millis % interval == 0 && millis / interval <= FREQUENCY {
        return Ok(());
    }
    let told = |period: &Period| format!("{} {}", period.interval(), period.unit());
    Err(Issue::new(
        "frequency",
        format!(
            "Frequency ({}) must be a multiple of interval ({}), including the interval itself.",
            told(frequency),
            told(&detector.detection_interval)
        ),
    ))
}

fn check_rules(detector: &Detector) -> Read<()> {
    let conditions = detector
        .rules
        .iter()
        .flat_map(|rule: &Rule| &rule.conditions);
    for condition in conditions {
        let name = &condition.feature_name;
        let feature = |why: &str| {
            let told = format!("Suppression Rule Error: Feature \"{name}\" {why}");
            Err(Issue::new("rules", told))
        };
        let features = &detector.feature_attributes;
        match features.iter().find(|known| known.feature_name == *name) {
            None => return feature("specified in a suppression rule does not exist."),
            Some(known) if !known.feature_enabled => {
                return feature("specified in a suppression rule is not enabled.");
            }
            Some(_) => {}
        }
        let is_positive = condition.value.is_some_and(|value| value > 0.0);
        if condition.threshold_type.has_value() && !is_positive {
            return Err(Issue::new(
                "rules",
                format!(
                    "Suppression Rule Error: The threshold value for feature \"{name}\" must be a positive number."
                ),
            ));
        }
    }
    Ok(())
}

/// A fifth above or below of what was expected is no anomaly.
fn default_rules(detector: &Detector) -> Vec<Rule> {
    use super::detector::{Action, Condition, Operator, Threshold};
    let of = |feature: &Feature| Rule {
        action: Action::IgnoreAnomaly,
        conditions: [
            Threshold::ActualOverExpectedRatio,
            Threshold::ExpectedOverActualRatio,
        ]
        .map(|threshold_type| Condition {
            feature_name: feature.feature_name.clone(),
            threshold_type,
            operator: Some(Operator::Lte),
            value: Some(0.2),
        })
        .into(),
    };
    detector.enabled().map(of).collect()
}
