//! `_preview`: what a detector would find in a part of the past. It is a job like any other, and goes at the end.

use std::cmp::Reverse;
use std::time::Duration;

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::Job;
use tidewatch_store::ForestQuery;
use tokio::time::{Instant, sleep};

use super::call::{Call, Object, time};
use super::detector::Detector;
use super::dialect::{Dialect, status};
use super::job::Wanted;
use super::result::{Told, Whose};
use super::sample::Sample;
use super::stored::{self, Kept};
use super::{change, detectors, entities, id, real_time, results};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::Result;
use crate::jobs::lasting;

/// What the settings of its job say of one.
const SETTING: &str = "opensearch_preview";
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether it has come to its end.
const LOOK: Duration = Duration::from_millis(10);
/// Entities that are looked at: those with most documents.
const ENTITIES: usize = 5;
/// Intervals that are looked at: the last ones.
const INTERVALS: i64 = 20_000;
/// Results that are told.
const RESULTS: usize = 1_000;

pub async fn preview(call: Call, Object(body): Object) -> Result<Response> {
    answer(&call.state, call.dialect, None, &body).await
}

pub async fn preview_by_id(
    call: Call,
    Path(id): Path<String>,
    Object(body): Object,
) -> Result<Response> {
    answer(&call.state, call.dialect, Some(id), &body).await
}

async fn answer(
    state: &ApiState,
    dialect: Dialect,
    detector_id: Option<String>,
    body: &Map<String, Value>,
) -> Result<Response> {
    let times = (time(body, "period_start"), time(body, "period_end"));
    let (Some(start), Some(end)) = times else {
        return Err(status(
            400,
            "Must set both period start and end date with epoch of milliseconds",
        ));
    };
    if start >= end {
        return Err(status(400, "Period start date should be before end date"));
    }
    let named = body.get("detector_id").and_then(Value::as_str);
    let detector_id = detector_id.or(named.map(str::to_owned));
    let defined = body.get("detector").and_then(Value::as_object);
    let tried = match (&detector_id, defined) {
        (Some(id), _) => {
            let kept = stored::find(state, id)?;
            let missing = || status(404, format!("Can't find anomaly detector with id:{id}"));
            Tried::of(state, kept.ok_or_else(missing)?)
        }
        (None, Some(defined)) => {
            let sent = detectors::read(defined, dialect)?;
            Tried {
                detector: sent.detector,
                dialect,
                query: sent.query,
            }
        }
        (None, None) => return Err(status(400, "Must set detector id or detector")),
    };
    if tried.detector.enabled().next().is_none() {
        return Err(status(400, "Can't preview detector without feature"));
    }
    let detector = tried.detector.clone();
    let state = state.clone();
    // It goes on to its end, and its job goes, when the client has gone.
    let found = async move { tried.found(&state, (start, end), RESULTS).await };
    let all = lasting(async move { found.await.map_err(|error| error.0) }).await?;
    let whose = Whose::of_detector(detector_id.as_deref().unwrap_or_default(), &detector);
    let shown = |told: &Told| {
        let mut document = whose.document(told, dialect);
        if let Value::Object(fields) = &mut document {
            fields.retain(|name, _| SHOWN.contains(&name.as_str()));
        }
        document["detector_id"] = json!(detector_id);
        document
    };
    let all: Vec<Value> = all.iter().map(shown).collect();
    Ok(ok(&json!({
        "anomaly_result": all,
        "anomaly_detector": detector.told(dialect, false)
    })))
}

/// What is told of a result that is not kept.
const SHOWN: [&str; 10] = [
    "detector_id",
    "data_start_time",
    "data_end_time",
    "start_time",
    "end_time",
    "schema_version",
    "feature_data",
    "anomaly_grade",
    "confidence",
    "entity",
];

/// What is tried.
pub struct Tried {
    pub detector: Detector,
    /// In which the detector was created.
    dialect: Dialect,
    /// What its data is asked.
    query: Value,
}

impl Tried {
    pub fn of(state: &ApiState, kept: Kept) -> Self {
        Self {
            query: stored::query(state, &kept),
            detector: kept.stored.detector,
            dialect: kept.stored.dialect,
        }
    }

    /// What is found from `start` to `end`, epoch milliseconds: so many results at most.
    pub async fn found(
        mut self,
        state: &ApiState,
        (start, end): (i64, i64),
        most: usize,
    ) -> Result<Vec<Told>> {
        let _room = state.opensearch.previewing().await?;
        let longest = INTERVALS.saturating_mul(self.detector.interval());
        let range = (start.max(end.saturating_sub(longest)), end);
        let entities = self.pick_entities(state, range).await?;
        let wanted = Wanted {
            detector: &self.detector,
            dialect: self.dialect,
            query: &self.query,
            entities: u64::try_from(entities).ok(),
        };
        let job_id = id();
        let new = wanted.job(state, (SETTING, true.into()))?;
        change::create_job(state, &job_id, new).await?;
        let sample = Sample::new(range, self.detector.interval(), entities, most);
        let found = read(state, &job_id, range, sample).await;
        change::delete_job(state, &job_id).await?;
        found
    }

    /// Asks only for the entities with most documents: how many there are.
    async fn pick_entities(&mut self, state: &ApiState, (start, end): (i64, i64)) -> Result<usize> {
        if self.detector.categories().is_empty() {
            return Ok(1);
        }
        let range = json!({"range": {self.detector.time_field.as_str(): {
            "gte": start, "lt": end, "format": "epoch_millis"
        }}});
        let query = json!({"bool": {"filter": [range, self.query]}});
        let Some(mut found) = entities::found(state, &self.detector, &query).await? else {
            return Ok(ENTITIES);
        };
        found.sort_by_key(|entity| Reverse(entity.count));
        found.truncate(ENTITIES);
        if !found.is_empty() {
            let each: Vec<Value> = found.iter().map(entities::Entity::query).collect();
            self.query = json!({"bool": {
                "filter": [self.query], "should": each, "minimum_should_match": 1
            }});
        }
        Ok(found.len().max(1))
    }
}

async fn read(
    state: &ApiState,
    job_id: &str,
    (start, end): (i64, i64),
    mut sample: Sample,
) -> Result<Vec<Told>> {
    real_time::run(state, job_id, start, Some(end)).await?;
    let deadline = Instant::now() + PATIENCE;
    while real_time::works(state, job_id) {
        if Instant::now() > deadline {
            let reason = format!(
                "the preview took longer than {} seconds",
                PATIENCE.as_secs()
            );
            return Err(JobError::timed_out(reason).into());
        }
        sleep(LOOK).await;
    }
    let query = ForestQuery {
        job_id: job_id.to_owned(),
        size: results::PAGE,
        ..ForestQuery::default()
    };
    // The last interval of a run is interim to its job, which can't know that nothing follows.
    let take = |told: Told| {
        if !told.is_interim || told.end() <= end {
            sample.take(told);
        }
    };
    results::each_result(state, query, take).await?;
    Ok(sample.told())
}

/// The jobs of previews from before a moment, epoch milliseconds: such as a crash cut short.
pub fn left_over(state: &ApiState, before: i64) -> Result<Vec<Job>> {
    let mut jobs = state.jobs.find("_all", true)?;
    jobs.retain(|job| {
        let settings = job.custom_settings.as_ref();
        let is_preview = settings.is_some_and(|settings| settings.contains_key(SETTING));
        is_preview && job.create_time < before
    });
    Ok(jobs)
}
