//! `_topAnomalies`: the entities with most anomalies, or with the worst.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_store::ForestQuery;

use super::call::{Call, Object};
use super::dialect::status;
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
    task_id: Option<String>,
    categories: Vec<String>,
}

impl Asked {
    /// In the order of OpenSearch's refusals.
    fn read(body: &Map<String, Value>, detector_id: &str, own: &[String]) -> Result<Self> {
        let refuse = |reason: String| Err(ApiError::illegal_argument(reason));
        let time = |name: &str| {
            let time = body.get(name).and_then(Value::as_i64);
            time.filter(|time| (0..=super::LATEST).contains(time))
        };
        let (Some(start), Some(end)) = (time("start_time_ms"), time("end_time_ms")) else {
            return refuse(
                "Must set both start time and end time with epoch of milliseconds".to_owned(),
            );
        };
        if start >= end {
            return refuse("Start time should be before end time".to_owned());
        }
        if own.is_empty() {
            return refuse(format!(
                "No category fields found for detector ID {detector_id}"
            ));
        }
        let given = body.get("category_field").and_then(Value::as_array);
        let given = given.into_iter().flatten().filter_map(Value::as_str);
        let mut categories: Vec<String> = given.map(str::to_owned).collect();
        if let Some(other) = categories.iter().find(|field| !own.contains(field)) {
            return refuse(format!(
                "Category field {other} doesn't exist for detector ID {detector_id}"
            ));
        }
        if categories.is_empty() {
            categories = own.to_vec();
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let by_grade = match text("order").unwrap_or_default() {
            "" | "severity" => true,
            "occurrence" => false,
            other => return refuse(format!("Ordering by {other} is not a valid option")),
        };
        let size = body.get("size").and_then(Value::as_i64).unwrap_or(TOP);
        if size > MOST {
            return refuse(format!("Size cannot exceed {MOST}"));
        }
        let Some(size) = usize::try_from(size).ok().filter(|size| *size > 0) else {
            return refuse("Size must be a positive integer".to_owned());
        };
        Ok(Self {
            start,
            end,
            size,
            by_grade,
            task_id: text("task_id").map(str::to_owned),
            categories,
        })
    }
}

pub async fn top(call: Call, Path(id): Path<String>, Object(body): Object) -> Result<Response> {
    let is_historical = call.query.flag("historical")?;
    let Call { state, dialect, .. } = call;
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let asked = Asked::read(&body, &id, kept.stored.detector.categories())?;
    let mut jobs = result::jobs(&state)?;
    jobs.retain(|_, whose| whose.detector_id == id && whose.is_historical() == is_historical);
    if is_historical {
        let Some(last) = history::latest(&state, &id)? else {
            return Err(status(
                404,
                format!("No historical tasks found for detector ID {id}"),
            ));
        };
        let named = asked.task_id.as_deref().unwrap_or(last.id());
        jobs.retain(|job_id, _| job_id == named);
    }
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
