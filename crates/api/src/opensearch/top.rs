//! `_topAnomalies`: the entities with most anomalies, or with the worst.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_store::ForestQuery;

use super::call::{Call, Object, number, time};
use super::result::{self, EntityField, Whose};
use super::results::{PAGE, each_result};
use super::{history, stored};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};

const TOP: i64 = 10;
const MOST: i64 = 1_000;

/// What is asked of `_topAnomalies`.
struct Asked {
    start: i64,
    end: i64,
    size: usize,
    by_grade: bool,
    categories: Vec<String>,
}

fn times(body: &Map<String, Value>) -> Result<(i64, i64)> {
    let refuse = |reason| Err(JobError::invalid_request(&[reason]).into());
    match (time(body, "start_time_ms"), time(body, "end_time_ms")) {
        (Some(start), Some(end)) if start < end => Ok((start, end)),
        (Some(_), Some(_)) => refuse("Start time should be before end time"),
        _ => refuse("Must set both start time and end time with epoch of milliseconds"),
    }
}

/// Those that are named, or all of the detector's own.
fn categories(body: &Map<String, Value>, detector_id: &str, own: &[String]) -> Result<Vec<String>> {
    let refuse = |reason: String| Err(ApiError::illegal_argument(reason));
    if own.is_empty() {
        return refuse(format!(
            "No category fields found for detector ID {detector_id}"
        ));
    }
    let named = match body.get("category_field") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    if let Some(other) = named
        .iter()
        .find(|name| !own.iter().any(|own| own == *name))
    {
        return refuse(format!(
            "Category field {other} doesn't exist for detector ID {detector_id}"
        ));
    }
    Ok(match named.is_empty() {
        true => own.to_vec(),
        false => named.into_iter().map(str::to_owned).collect(),
    })
}

fn is_by_grade(body: &Map<String, Value>) -> Result<bool> {
    match body
        .get("order")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "" | "severity" => Ok(true),
        "occurrence" => Ok(false),
        other => Err(ApiError::illegal_argument(format!(
            "Ordering by {other} is not a valid option"
        ))),
    }
}

fn size(body: &Map<String, Value>) -> Result<usize> {
    let size = match body.get("size") {
        None | Some(Value::Null) => TOP,
        Some(_) => number(body, "size").unwrap_or_default(),
    };
    if size > MOST {
        return Err(ApiError::illegal_argument(format!(
            "Size cannot exceed {MOST}"
        )));
    }
    let size = usize::try_from(size).ok().filter(|size| *size > 0);
    size.ok_or_else(|| ApiError::illegal_argument("Size must be a positive integer"))
}

/// Refuses in OpenSearch's order.
pub async fn top(call: Call, Path(id): Path<String>, Object(body): Object) -> Result<Response> {
    let is_historical = call.query.flag("historical")?;
    let Call { state, dialect, .. } = call;
    let (start, end) = times(&body)?;
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let categories = categories(&body, &id, kept.stored.detector.categories())?;
    let mut jobs = result::jobs(&state)?;
    jobs.retain(|_, whose| whose.detector_id == id && whose.is_historical() == is_historical);
    if is_historical {
        let Some(last) = history::latest(&state, &id)? else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "resource_not_found_exception",
                format!("No historical tasks found for detector ID {id}"),
            ));
        };
        let named = body.get("task_id").and_then(Value::as_str);
        let named = named.filter(|named| !named.is_empty()).unwrap_or(last.id());
        jobs.retain(|job_id, _| job_id == named);
    }
    let asked = Asked {
        start,
        end,
        by_grade: is_by_grade(&body)?,
        size: size(&body)?,
        categories,
    };
    let mut found = Found::default();
    for (job_id, whose) in &jobs {
        found.read(&state, job_id, whose, &asked).await?;
    }
    Ok(ok(&json!({"buckets": found.told(&asked)})))
}

/// How many anomalies there are of the same values of categories, and the highest grade of them.
#[derive(Default)]
struct Found(BTreeMap<Vec<String>, (u64, f64)>);

impl Found {
    async fn read(
        &mut self,
        state: &ApiState,
        job_id: &str,
        whose: &Whose,
        asked: &Asked,
    ) -> Result<()> {
        // An anomaly belongs to the range that its interval ends in.
        let interval = whose.detector.interval();
        let query = ForestQuery {
            job_id: job_id.to_owned(),
            start: Some(asked.start.saturating_sub(interval)),
            end: Some(asked.end.saturating_sub(interval).saturating_add(1)),
            anomalies_only: true,
            size: PAGE,
            ..ForestQuery::default()
        };
        each_result(state, query, |told| {
            if !whose.tells(&told) {
                return;
            }
            let value = |field: &String| {
                let mut own = told.entity.iter();
                let found = own.find(|own: &&EntityField| own.name == *field);
                found.map_or_else(String::new, |own| own.value.clone())
            };
            let key: Vec<String> = asked.categories.iter().map(value).collect();
            let (count, grade) = self.0.entry(key).or_default();
            *count += 1;
            *grade = grade.max(told.anomaly_grade);
        })
        .await
    }

    fn told(self, asked: &Asked) -> Vec<Value> {
        let mut sorted: Vec<_> = self.0.into_iter().collect();
        sorted.sort_by(|(_, a), (_, b)| match asked.by_grade {
            true => b.1.total_cmp(&a.1),
            false => b.0.cmp(&a.0),
        });
        let bucket = |(key, (count, grade)): (Vec<String>, (u64, f64))| {
            let values = key.into_iter().map(Value::from);
            let key: Map<String, Value> = asked.categories.iter().cloned().zip(values).collect();
            json!({"key": key, "doc_count": count, "max_anomaly_grade": grade})
        };
        sorted.into_iter().take(asked.size).map(bucket).collect()
    }
}
