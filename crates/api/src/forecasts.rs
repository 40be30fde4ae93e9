//! Forecasts. With a body, its fields are meant; without one, the query parameters.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::ForecastRequest;
use tidewatch_model::units::{Memory, TimeSpan};

use crate::ApiState;
use crate::cluster::ok;
use crate::error::{Result, json_response};
use crate::jobs::{Text, lasting};
use crate::params::Params;
use crate::results::{Page, page_of, page_window};
use crate::{body, dates};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    duration: Option<TimeSpan>,
    expires_in: Option<TimeSpan>,
    max_model_memory: Option<Memory>,
}

pub async fn forecast(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?
        .body_or(body, "cluster:admin/xpack/ml/job/forecast")
        .await?;
    let request = ForecastRequest {
        duration: asked.duration,
        expires_in: asked.expires_in,
        max_model_memory: asked.max_model_memory,
    };
    // One that is put down and not begun would be said to run for ever.
    let id = lasting(async move { state.jobs.forecast(&job_id, request).await }).await?;
    Ok(ok(&json!({"acknowledged": true, "forecast_id": id})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteAsked {
    #[serde(default = "body::yes")]
    allow_no_forecasts: bool,
    #[serde(rename = "timeout")]
    _timeout: Option<TimeSpan>,
}

pub async fn delete_all(
    state: State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    delete(state, Path((job_id, "_all".to_owned())), uri).await
}

pub async fn delete(
    State(state): State<ApiState>,
    Path((job_id, ids)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let DeleteAsked {
        allow_no_forecasts, ..
    } = Params::new(&uri)?.read()?;
    let jobs = state.jobs;
    let delete = async move {
        jobs.delete_forecasts(&job_id, &ids, allow_no_forecasts)
            .await
    };
    lasting(delete).await?;
    Ok(ok(&json!({"acknowledged": true})))
}

/// What was asked of forecasts, and what became of it.
pub async fn list(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let page: Page = Params::new(&uri)?.read()?;
    let docs = state.jobs.forecasts(&job_id).await?;
    Ok(page_of(docs.len() as i64, "forecasts", page.of(&docs)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointsAsked {
    start: Option<Text>,
    end: Option<Text>,
    page: Option<Page>,
}

/// The values of a forecast, by time.
pub async fn points(
    State(state): State<ApiState>,
    Path((job_id, forecast_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let asked: PointsAsked = Params::new(&uri)?.read()?;
    let (from, size) = page_window(&asked.page.unwrap_or_default())?;
    let bounds = dates::bounds(asked.start, asked.end)?;
    let (count, points) = state
        .jobs
        .forecast_points(&job_id, &forecast_id, bounds, from, size)
        .await?;
    let answer = json!({"count": count, "model_forecasts": points});
    Ok(json_response(StatusCode::OK, answer.to_string()))
}
