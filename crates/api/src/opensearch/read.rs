//! Detectors read from what clients send: defaults, limits, and the words for what is wrong.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tidewatch_store::query::Dsl;
use tidewatch_store::search::Search;

use super::detector::{DateRange, Detector, Feature, Period};
use super::dialect::Dialect;
use super::issue::{Issue, Wrong};
use super::{call, check, filter_query, id};
use crate::error::ApiError;

const SHINGLE: i64 = 8;
const RECENCY: i64 = 2_560;

type Read<T> = Result<T, Wrong>;

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
        // What 32 bits can hold, as in OpenSearch: sums and products of these do not overflow.
        let small = |number: i64| i32::try_from(number).ok().map(i64::from);
        match value.as_i64().or(text).and_then(small) {
            Some(number) => Ok(Some(number)),
            None => Err(unreadable(name, "it is no whole number of 32 bits")),
        }
    }

    /// Epoch milliseconds: a number, or a text that is one.
    fn time(&self, name: &str) -> Read<Option<i64>> {
        if self.given(name).is_none() {
            return Ok(None);
        }
        let time = call::time(self.0, name);
        time.map(Some)
            .ok_or_else(|| unreadable(name, "it is no time in milliseconds"))
    }

    fn date_range(&self, name: &str) -> Read<Option<DateRange>> {
        let Some(range) = self.as_type(name)? else {
            return Ok(None);
        };
        let range: Map<String, Value> = range;
        let time = |name: &str, what: &str| {
            let missing = || {
                refused(format!(
                    "Detection data range's {what} time must not be null"
                ))
            };
            Body(&range).time(name)?.ok_or_else(missing)
        };
        let start_time = time("start_time", "start")?;
        let end_time = time("end_time", "end")?;
        match start_time < end_time {
            true => Ok(Some(DateRange {
                start_time,
                end_time,
            })),
            false => Err(refused(
                "Detection data range's end time must be after start time",
            )),
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
        let interval = interval.filter(|interval| i32::try_from(*interval).is_ok());
        let unit = value["period"]["unit"].as_str();
        let (Some(interval), Some(unit)) = (interval, unit) else {
            return Err(unreadable(name, "it has no period of interval and unit"));
        };
        match Period::new(interval, unit) {
            Some(period) => Ok(Some(period)),
            None => Err(refused(format!("Time unit {unit} is not supported"))),
        }
    }
}

fn unreadable(name: &str, why: &str) -> Wrong {
    refused(format!("Failed to parse field [{name}]: {why}"))
}

/// What can't be read at all, whoever asks.
fn refused(reason: impl Into<String>) -> Wrong {
    ApiError::illegal_argument(reason).into()
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
            schema_version: body.whole("schema_version")?.unwrap_or_default(),
            feature_attributes: features,
            recency_emphasis: body.whole("recency_emphasis")?.unwrap_or(RECENCY),
            history: body
                .whole("history")?
                .unwrap_or(dialect.learnt() + shingle_size),
            ui_metadata: body
                .as_type("ui_metadata")?
                .filter(|kept: &Map<String, Value>| !kept.is_empty()),
            last_update_time: None,
            category_field,
            result_index,
            imputation_option: body.as_type("imputation_option")?,
            suggested_seasonality: seasonality,
            result_index_min_size: body.whole("result_index_min_size")?,
            result_index_min_age: body.whole("result_index_min_age")?,
            result_index_ttl: body.whole("result_index_ttl")?,
            flatten_custom_result_index: body.as_type("flatten_custom_result_index")?,
            last_ui_breaking_change_time: body.time("last_ui_breaking_change_time")?,
            frequency: body.period("frequency")?,
            auto_created: body.as_type("auto_created")?.unwrap_or_default(),
            detection_interval: interval.unwrap_or(Period::minutes(1)),
            detector_type: detector_type.to_owned(),
            detection_date_range: body.date_range("detection_date_range")?,
            rules: body.as_type("rules")?.unwrap_or_default(),
        };
        let mut detector = detector.without_lost_index();
        check::check(&detector, dialect, has_interval)?;
        if detector.rules.is_empty() && !dialect.is_legacy() {
            detector.rules = check::default_rules(&detector);
        }
        Ok(Self { detector, query })
    }
}

fn check_query(query: &Value) -> Read<Value> {
    let wrong = |why: &str| {
        let message = format!("Custom query error in data filter: {why}");
        Issue::new("filter_query", message)
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
    let issue = |why: &str| {
        let message = format!("Custom query error: {why}");
        Issue::new("feature_attributes", message)
    };
    let name = body.text("feature_name")?.unwrap_or_default();
    if name.trim().is_empty() {
        return Err(refused("Feature name should be set"));
    }
    let query: Map<String, Value> = body
        .as_type("aggregation_query")?
        .ok_or_else(|| refused("Feature aggregation query should be set"))?;
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
        return Err(issue("a feature has one aggregation with a name").into());
    }
    let search = Map::from_iter([("aggs".to_owned(), feature.aggregation_query.clone().into())]);
    match Search::parse(search) {
        Ok(_) => Ok(feature),
        Err(error) => Err(issue(&error.to_string()).into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_detector_that_was_kept_once_is_read() {
        let body = json!({
            "name": "n", "time_field": "at", "indices": ["i"], "ui_metadata": {"a": 1},
            "detection_interval": {"period": {"interval": 1, "unit": "MINUTES"}}
        });
        let body = body.as_object().expect("an object");
        let Ok(Sent { detector, .. }) = Sent::read(body, Dialect::OpenSearch, None) else {
            panic!("it is taken");
        };
        let mut kept = json!(detector);
        assert_eq!(
            serde_json::from_value::<Detector>(kept.clone()).ok(),
            Some(detector)
        );
        kept["ui_metadata"] = json!(["of before"]);
        let read: Detector = serde_json::from_value(kept).expect("readable");
        assert_eq!(read.ui_metadata, None);
    }
}
