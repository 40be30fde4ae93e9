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
use crate::dates;
use crate::error::{ApiError, Result, json_response};
use crate::jobs::{lasting, optional, time_span};
use crate::params::Params;
use crate::results::{Page, page_of, page_window};

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
    let mut params = Params::new(&uri)?;
    let asked = match optional::<Asked>(body, "forecast_job").await? {
        Some(asked) => asked,
        None => Asked {
            _job_id: None,
            duration: span(&mut params, "duration")?,
            expires_in: span(&mut params, "expires_in")?,
            max_model_memory: memory(&mut params, "max_model_memory")?,
        },
    };
    params.finish()?;
    let request = ForecastRequest {
        duration: asked.duration,
        expires_in: asked.expires_in,
        max_model_memory: asked.max_model_memory,
    };
    // One that is put down and not begun would be said to run for ever.
    let id = lasting(async move { state.jobs.forecast(&job_id, request).await }).await?;
    Ok(ok(&json!({"acknowledged": true, "forecast_id": id})))
}

fn span(params: &mut Params, name: &'static str) -> Result<Option<TimeSpan>> {
    params
        .take(name)
        .map(|text| time_span(name, &text))
        .transpose()
}

fn memory(params: &mut Params, name: &'static str) -> Result<Option<Memory>> {
    let parse = |text: String| {
        Memory::parse(&text).ok_or_else(|| {
            ApiError::parse(format!(
                "failed to parse setting [{name}] with value [{text}] as a size in bytes: unit is missing or unrecognized"
            ))
        })
    };
    params.take(name).map(parse).transpose()
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
    let mut params = Params::new(&uri)?;
    let allow_no_forecasts = params.take_bool("allow_no_forecasts")?.unwrap_or(true);
    span(&mut params, "timeout")?;
    params.finish()?;
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
    let mut params = Params::new(&uri)?;
    let (from, size) = page_window(&page(&mut params)?)?;
    params.finish()?;
    let docs = state.jobs.forecasts(&job_id).await?;
    let first = docs.len().min(from as usize);
    let last = docs.len().min((from + size) as usize);
    Ok(page_of(docs.len() as i64, "forecasts", &docs[first..last]))
}

/// The values of a forecast, by time.
pub async fn points(
    State(state): State<ApiState>,
    Path((job_id, forecast_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let (from, size) = page_window(&page(&mut params)?)?;
    let mut bound = |name| {
        let text = params.take(name);
        text.map(|text| dates::bound(name, &text)).transpose()
    };
    let bounds = (bound("start")?, bound("end")?);
    params.finish()?;
    let (count, points) = state
        .jobs
        .forecast_points(&job_id, &forecast_id, bounds, from, size)
        .await?;
    let answer = json!({"count": count, "model_forecasts": points});
    Ok(json_response(StatusCode::OK, answer.to_string()))
}

fn page(params: &mut Params) -> Result<Page> {
    Ok(Page {
        from: params.take_number("from", "int")?,
        size: params.take_number("size", "int")?,
    })
}
