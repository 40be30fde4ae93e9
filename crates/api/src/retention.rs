//! What is past its retention: its deletion, what a deletion would take, and why the rest is kept.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{ExpiredRequest, JobError};
use tidewatch_model::units::TimeSpan;

use crate::ApiState;
use crate::cluster::ok;
use crate::error::Result;
use crate::jobs::lasting;
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_ml/_delete_expired_data", delete(delete_all))
        .route("/_ml/_delete_expired_data/{job_id}", delete(delete_of))
        .route("/_ml/anomaly_detectors/{job_id}/_retention", get(retention))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    job_id: Option<String>,
    requests_per_second: Option<f32>,
    timeout: Option<TimeSpan>,
}

async fn delete_all(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    expire(state, None, uri, body).await
}

async fn delete_of(
    State(state): State<ApiState>,
    Path(jobs): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    expire(state, Some(jobs), uri, body).await
}

/// Deletes what is past its retention. `deleted` is false when there was not enough time.
///
/// With `?dry_run=true`, which Elasticsearch has not, nothing is deleted, and the answer is what would be:
///
/// ```json
/// {"dry_run": true, "deleted": false,
///  "jobs": [{"job_id": "web", "results": 12, "annotations": 1, "results_before": 1700000000000,
///            "model_snapshots": [{"snapshot_id": "1699000000", "timestamp": 1699000000000,
///                                 "kept": false, "reason": "past_retention"}]}],
///  "forecasts": 0, "next_run": 1700094600000}
/// ```
///
/// `reason` is `past_retention` or `not_first_of_day`; results and annotations older than `results_before` would go;
/// `next_run` is when the nightly maintenance deletes for all jobs. Times are epoch milliseconds.
async fn expire(state: ApiState, jobs: Option<String>, uri: Uri, body: Body) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let is_dry_run = params.flag("dry_run")?;
    let asked: Asked = params.body_or(body, "delete_expired_data_request").await?;
    let pace = asked.requests_per_second.map(f64::from);
    if pace.is_some_and(|pace| pace <= 0.0 && pace != -1.0 || pace.is_nan()) {
        let reason = "[requests_per_second] must either be -1 or greater than 0";
        return Err(JobError::invalid_request(&[reason]).into());
    }
    let jobs = jobs.or(asked.job_id).unwrap_or_else(|| "_all".to_owned());
    if is_dry_run {
        let mut answer = json!(state.jobs.foresee(&jobs).await?);
        answer["dry_run"] = true.into();
        answer["deleted"] = false.into();
        return Ok(ok(&answer));
    }
    let mut request = ExpiredRequest {
        requests_per_second: pace,
        ..ExpiredRequest::of(&jobs)
    };
    if let Some(timeout) = asked.timeout {
        request.timeout = timeout.as_duration();
    }
    let deleted = lasting(async move { state.jobs.delete_expired(&request).await }).await?;
    Ok(ok(&json!({"deleted": deleted})))
}

/// The answer to `_update?dry_run=true`: the job that the update would make, and what the next deletion would take then,
/// in the form of one of the `jobs` of a dry run of the deletion. The update is refused where it would be, and nothing
/// changes.
///
/// ```json
/// {"dry_run": true, "job": {"job_id": "web"}, "would_delete": {"job_id": "web", "results": 12},
///  "next_run": 1700094600000}
/// ```
pub async fn foresee_update(state: &ApiState, job_id: &str, update: JobUpdate) -> Result<Response> {
    let (job, foreseen) = state.jobs.foresee_update(job_id, update).await?;
    let mut answer = json!({"dry_run": true, "job": job, "would_delete": foreseen});
    if let Some(next) = state.jobs.next_maintenance() {
        answer["next_run"] = next.into();
    }
    Ok(ok(&answer))
}

/// Why a job keeps its model snapshots, and until when.
///
/// ```json
/// {"job_id": "web",
///  "settings": {"model_snapshot_retention_days": 10, "daily_model_snapshot_retention_after_days": 1,
///               "results_retention_days": null},
///  "active_snapshot_id": "1700000000", "newest_snapshot_at": 1700000000000,
///  "model_snapshots": [{"snapshot_id": "1699900000", "timestamp": 1699900000000, "kept": true, "reason": "first_of_day",
///                       "kept_until_newest_snapshot_at": 1700764000001}],
///  "results": {"latest_bucket": 1700000000000, "kept_from": 1690000000000, "expired": 0},
///  "next_run": 1700094600000}
/// ```
///
/// `reason` of those kept: `active`, `retained`, `recent` (of the days of which all are kept), `first_of_day`, or
/// `no_active_snapshot`, without which nothing goes; of those that go with the next deletion, as there. Ages are counted
/// from the newest snapshot, not from today: `kept_until_newest_snapshot_at` is the moment from which on a new snapshot
/// lets this one go, the others being as they are now; it is absent where age does not matter. Times are epoch
/// milliseconds.
async fn retention(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    Ok(ok(&json!(state.jobs.retention(&job_id).await?)))
}
