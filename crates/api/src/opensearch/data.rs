//! What the data says to a detector: the mappings of its indices, and whether its features have values.

use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Meant, Reading, type_of};
use tidewatch_store::query::FieldType;
use tidewatch_store::search::{Found, Search};

use super::check::check_features;
use super::detector::Detector;
use super::dialect::Dialect;
use super::issue::{Aspect, Issue, Wrong};
use crate::ApiState;
use crate::documents::run;
use crate::error::ApiError;

/// The indices of a detector.
pub struct Data {
    pub meant: Vec<Meant>,
}

/// What a field is to a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Time,
    Category,
    Other,
}

impl Data {
    /// None where some of the indices are in other clusters: they are asked when the detector starts.
    ///
    /// # Errors
    /// 404 for an index that isn't there.
    pub async fn of(state: &ApiState, detector: &Detector) -> Result<Option<Self>, ApiError> {
        if detector.indices.iter().any(|index| index.contains(':')) {
            return Ok(None);
        }
        let names = detector.indices.join(",");
        let meant = state.jobs.meant(&names, Reading::default()).await?;
        Ok(Some(Self { meant }))
    }

    /// What a field is in each index. None: it isn't there.
    fn uses(&self, field: &str) -> Result<Vec<(String, Option<Use>)>, ApiError> {
        let of = |meant: &Meant| -> Result<(String, Option<Use>), ApiError> {
            let found = match meant {
                Meant::Internal(_) => Some(match type_of(field) {
                    FieldType::Date | FieldType::DateNanos => Use::Time,
                    FieldType::Keyword | FieldType::Ip => Use::Category,
                    _ => Use::Other,
                }),
                Meant::Own { index, .. } => {
                    let reader = index.reader()?;
                    let found = reader.mapping.find(field);
                    found.map(|found| match found.field.kind.name() {
                        "date" | "date_nanos" => Use::Time,
                        "keyword" | "ip" => Use::Category,
                        _ => Use::Other,
                    })
                }
            };
            Ok((meant.name().to_owned(), found))
        };
        self.meant.iter().map(of).collect()
    }

    pub async fn search(&self, state: &ApiState, body: Value) -> Result<Found, ApiError> {
        let body: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
        let search = Search::parse(body)?;
        let targets = state.jobs.targets(&self.meant)?;
        run(state, &targets, &search).await
    }
}

/// What would keep a detector from being created, as far as its data says it; the first of it, in OpenSearch's order.
/// `counts`: whether there is room for it, which is looked at on the way.
pub async fn check(
    state: &ApiState,
    detector: &Detector,
    dialect: Dialect,
    counts: impl FnOnce() -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let data = Data::of(state, detector).await?;
    if let Some(data) = &data {
        check_time(data, detector, dialect)?;
    }
    counts()?;
    let Some(data) = data else {
        return Ok(check_features(detector, dialect)?);
    };
    check_categories(&data, detector, dialect)?;
    let found = data.search(state, json!({"size": 0, "terminate_after": 1}));
    if found.await?.total == 0 {
        let message = format!(
            "Can't create anomaly detector as no document is found in the indices: [{}]",
            detector.indices.join(", ")
        );
        return Err(Issue::with_status("indices", 400, message).into());
    }
    check_features(detector, dialect)?;
    check_values(state, &data, detector, dialect).await
}

fn check_time(data: &Data, detector: &Detector, dialect: Dialect) -> Result<(), Wrong> {
    let field = &detector.time_field;
    let uses = data.uses(field)?;
    // Once it was enough that one of the indices has it.
    let is_missing = match dialect.is_legacy() {
        true => uses.iter().all(|(_, found)| found.is_none()),
        false => uses.is_empty() || uses.iter().any(|(_, found)| found.is_none()),
    };
    let wrong = |found: &Option<Use>| found.is_some_and(|found| found != Use::Time);
    let message = if uses.iter().any(|(_, found)| wrong(found)) {
        format!("Timestamp field: ({field}) must be of type date")
    } else if is_missing {
        let lacks = uses.iter().find(|(_, found)| found.is_none());
        match lacks.filter(|_| !dialect.is_legacy()) {
            Some((index, _)) => {
                format!("Timestamp field: ({field}) is not found in the ({index}) index mapping")
            }
            None => format!("Timestamp field: ({field}) is not found in index mapping"),
        }
    } else {
        return Ok(());
    };
    Err(Issue::found("time_field", message).into())
}

fn check_categories(data: &Data, detector: &Detector, dialect: Dialect) -> Result<(), Wrong> {
    for field in detector.categories() {
        let uses = data.uses(field)?;
        let mut kinds = uses.iter().filter_map(|(_, found)| *found).peekable();
        let message = if kinds.peek().is_none() {
            let indices = match dialect.is_legacy() {
                true => String::new(),
                false => format!(" in index [{}]", detector.indices.join(", ")),
            };
            format!("Can't find the categorical field {field}{indices}")
        } else if kinds.any(|kind| kind != Use::Category) {
            let what = match dialect.is_legacy() {
                true => "A categorical field",
                false => &format!("Categorical field {field}"),
            };
            format!("{what} must be of type keyword or ip.")
        } else {
            continue;
        };
        return Err(Issue::found("category_field", message).into());
    }
    Ok(())
}

/// Each feature must have a value somewhere, also one that is not enabled.
async fn check_values(
    state: &ApiState,
    data: &Data,
    detector: &Detector,
    dialect: Dialect,
) -> Result<(), Wrong> {
    let mut wrong: Vec<(&str, &str)> = Vec::new();
    for feature in &detector.feature_attributes {
        let asked = json!({"size": 0, "aggs": feature.aggregation_query});
        let told = match data.search(state, asked).await {
            Ok(found) => {
                let answer = found.aggregations.unwrap_or_default();
                if answer.get(feature.aggregation()).is_some_and(has_value) {
                    continue;
                }
                dialect.says(
                    "Feature has an invalid query returning empty aggregated data",
                    "Feature has invalid query returning empty aggregated data",
                )
            }
            Err(_) => dialect.says(
                "Feature has an invalid query causing a runtime exception",
                "Feature has invalid query causing a runtime exception",
            ),
        };
        wrong.push((&feature.feature_name, told));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Issue::of_features(Aspect::Detector, &detector.name, &wrong).into()),
    }
}

/// Whether an aggregation gave a number: its own, its first percentile, or that of the one within it.
fn has_value(answer: &Value) -> bool {
    if let Some(value) = answer.get("value") {
        return value.is_number();
    }
    match answer.get("values") {
        Some(Value::Object(values)) => values.values().next().is_some_and(Value::is_number),
        Some(Value::Array(values)) => values
            .first()
            .is_some_and(|value| value["value"].is_number()),
        _ => answer.as_object().is_some_and(|within| {
            within
                .values()
                .any(|value| value.is_object() && has_value(value))
        }),
    }
}
