//! What the data says to a detector: the mappings of its indices, and whether its features have values.

use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Meant, Reading, type_of};
use tidewatch_store::query::FieldType;
use tidewatch_store::search::{Found, Search};

use super::check::check_features;
use super::detector::Detector;
use super::dialect::Dialect;
use super::issue::Issue;
use crate::ApiState;
use crate::documents::run;
use crate::error::{ApiError, Result};

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
    pub async fn of(state: &ApiState, detector: &Detector) -> Result<Option<Self>> {
        if detector.indices.iter().any(|index| index.contains(':')) {
            return Ok(None);
        }
        let names = detector.indices.join(",");
        let meant = state.jobs.meant(&names, Reading::default()).await?;
        Ok(Some(Self { meant }))
    }

    /// What a field is in each index. None: it isn't there.
    fn uses(&self, field: &str) -> Result<Vec<(String, Option<Use>)>> {
        let of = |meant: &Meant| -> Result<(String, Option<Use>)> {
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

    pub async fn search(&self, state: &ApiState, body: Value) -> Result<Found> {
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
    counts: impl FnOnce() -> std::result::Result<(), Issue>,
) -> std::result::Result<(), Issue> {
    let data = Data::of(state, detector).await;
    let data = data.map_err(|error| Issue::refused("indices", error))?;
    if let Some(data) = &data {
        check_time(data, detector)?;
    }
    counts()?;
    let Some(data) = data else {
        return check_features(detector, dialect);
    };
    check_categories(&data, detector)?;
    let failed = |error| Issue::refused("indices", error);
    let found = data.search(state, json!({"size": 0, "terminate_after": 1}));
    if found.await.map_err(failed)?.total == 0 {
        return Err(Issue::with_status(
            "indices",
            400,
            format!(
                "Can't create anomaly detector as no document is found in the indices: [{}]",
                detector.indices.join(", ")
            ),
        ));
    }
    check_features(detector, dialect)?;
    check_values(state, &data, detector, dialect).await
}

fn check_time(data: &Data, detector: &Detector) -> std::result::Result<(), Issue> {
    let field = &detector.time_field;
    let issue = |message| Err(Issue::new("time_field", message));
    let uses = data
        .uses(field)
        .map_err(|error| Issue::refused("indices", error))?;
    for (index, found) in &uses {
        match found {
            None => {
                return issue(format!(
                    "Timestamp field: ({field}) is not found in the ({index}) index mapping"
                ));
            }
            Some(Use::Time) => {}
            Some(_) => return issue(format!("Timestamp field: ({field}) must be of type date")),
        }
    }
    Ok(())
}

fn check_categories(data: &Data, detector: &Detector) -> std::result::Result<(), Issue> {
    for field in detector.categories() {
        let uses = data
            .uses(field)
            .map_err(|error| Issue::refused("indices", error))?;
        let mut kinds = uses.iter().filter_map(|(_, found)| *found).peekable();
        let refused = |message| {
            Err(Issue::refused(
                "category_field",
                ApiError::illegal_argument(message),
            ))
        };
        if kinds.peek().is_none() && !uses.is_empty() {
            return refused(format!(
                "Can't find the categorical field {field} in index [{}]",
                detector.indices.join(", ")
            ));
        }
        if kinds.any(|kind| kind != Use::Category) {
            return refused(format!(
                "Categorical field {field} must be of type keyword or ip."
            ));
        }
    }
    Ok(())
}

/// Each feature must have a value somewhere.
async fn check_values(
    state: &ApiState,
    data: &Data,
    detector: &Detector,
    dialect: Dialect,
) -> std::result::Result<(), Issue> {
    let mut empty: Vec<&str> = Vec::new();
    for feature in detector.enabled() {
        let name = &feature.feature_name;
        let asked = json!({"size": 0, "aggs": feature.aggregation_query});
        match data.search(state, asked).await {
            Ok(found) => {
                let answer = found.aggregations.unwrap_or_default();
                if !answer.get(feature.aggregation()).is_some_and(has_value) {
                    empty.push(name);
                }
            }
            Err(error) => {
                let told = "Feature has an invalid query causing a runtime exception";
                let issue = Issue::with_status(
                    "feature_attributes",
                    400,
                    format!("{told}: {name}: {error}"),
                );
                return Err(issue.of_each(&[name], told));
            }
        }
    }
    if empty.is_empty() {
        return Ok(());
    }
    let told = dialect.says(
        "Feature has an invalid query returning empty aggregated data",
        "Feature has invalid query returning empty aggregated data",
    );
    let message = format!("{told}: {}", empty.join(", "));
    Err(Issue::with_status("feature_attributes", 400, message).of_each(&empty, told))
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
