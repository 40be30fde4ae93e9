//! `_preview`: what a detector would find in a part of the past. It is a job like any other, and goes at the end.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_store::ForestQuery;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::detector::Detector;
use super::dialect::{Dialect, status};
use super::result::{self, Told};
use super::{change, detectors, id, job, object, real_time, results, stored};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};
use crate::jobs::lasting;

/// What the settings of its job say of one.
const SETTING: &str = "opensearch_preview";
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether it has come to its end.
const LOOK: Duration = Duration::from_millis(10);
/// Milliseconds after which the job of one is left over.
const OLD: i64 = 10 * 60_000;
const PAGE: i64 = 10_000;

/// Previews at the same time.
static ROOM: Semaphore = Semaphore::const_new(2);

pub async fn preview(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    body: Body,
) -> Result<Response> {
    answer(&state, dialect, None, &object(body).await?).await
}

pub async fn preview_by_id(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response> {
    answer(&state, dialect, Some(id), &object(body).await?).await
}

async fn answer(
    state: &ApiState,
    dialect: Dialect,
    detector_id: Option<String>,
    body: &Map<String, Value>,
) -> Result<Response> {
    let time = |name: &str| {
        let time = body.get(name).and_then(Value::as_i64);
        time.filter(|time| (0..=super::LATEST).contains(time))
    };
    let (Some(start), Some(end)) = (time("period_start"), time("period_end")) else {
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
    let (detector, query) = match (&detector_id, defined) {
        (Some(id), _) => by_id(state, id)?,
        (None, Some(defined)) => {
            let sent = detectors::read(defined, dialect)?;
            (sent.detector, sent.query)
        }
        (None, None) => return Err(status(400, "Must set detector id or detector")),
    };
    if detector.enabled().next().is_none() {
        return Err(status(400, "Can't preview detector without feature"));
    }
    let all = {
        let (state, detector) = (state.clone(), detector.clone());
        // It goes on to its end, and its job goes, when the client has gone.
        lasting(async move {
            let found = found(&state, &detector, &query, (start, end)).await;
            found.map_err(|error| error.0)
        })
        .await?
    };
    let whose = result::Whose::of_detector(detector_id.as_deref().unwrap_or_default(), &detector);
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

fn by_id(state: &ApiState, id: &str) -> Result<(Detector, Value)> {
    let kept = stored::find(state, id)?;
    let kept =
        kept.ok_or_else(|| status(404, format!("Can't find anomaly detector with id:{id}")))?;
    let feed = state.feeds.of_job(&kept.job.job_id);
    let query = feed.map(|feed| feed.query.clone().into());
    let detector = kept.stored.detector;
    let query = query.unwrap_or_else(|| detector.filter_query.clone());
    Ok((detector, query))
}

/// What is found from `start` to `end`, epoch milliseconds.
async fn found(
    state: &ApiState,
    detector: &Detector,
    query: &Value,
    (start, end): (i64, i64),
) -> Result<Vec<Told>> {
    let closed = |_| ApiError(JobError::internal("the server stops"));
    let _room = ROOM.acquire().await.map_err(closed)?;
    forget_old(state).await?;
    let new = job::new_job(detector, query, (SETTING, true.into()))?;
    let job_id = id();
    state.feeds.create_job(&job_id, new).await?;
    let found = read(state, &job_id, (start, end)).await;
    change::delete_job(state, &job_id).await?;
    found
}

async fn read(state: &ApiState, job_id: &str, (start, end): (i64, i64)) -> Result<Vec<Told>> {
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
        size: PAGE,
        ..ForestQuery::default()
    };
    let mut all = Vec::new();
    // The last interval of a run is interim to its job, which can't know that nothing follows.
    let take = |told: Told| {
        if !told.is_interim || told.end() <= end {
            all.push(told);
        }
    };
    results::each_result(state, query, take).await?;
    Ok(all)
}

/// Deletes the jobs of previews that a crash cut short.
async fn forget_old(state: &ApiState) -> Result<()> {
    let before = state.jobs.now() - OLD;
    for job in state.jobs.find("_all", true)? {
        let settings = job.custom_settings.as_ref();
        let is_preview = settings.is_some_and(|settings| settings.contains_key(SETTING));
        if is_preview && job.create_time < before {
            change::delete_job(state, &job.job_id).await?;
        }
    }
    Ok(())
}
