//! Calendars, the jobs that they are for, and their events.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::JobError;
use tidewatch_jobs::calendars::{EventQuery, NewCalendar, NewEvent};

use crate::cluster::ok;
use crate::error::Result;
use crate::jobs::{Text, lasting};
use crate::params::Params;
use crate::results::Page;
use crate::{ApiState, dates};

pub async fn create(
    State(state): State<ApiState>,
    Path(calendar_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let new: NewCalendar = Params::new(&uri)?.body_or(body, "calendar_id").await?;
    Ok(ok(&json!(
        state.jobs.create_calendar(&calendar_id, new).await?
    )))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    calendar_id: Option<String>,
    page: Option<Page>,
}

pub async fn get_all(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    list(state, None, uri, body).await
}

pub async fn get(
    state: State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    list(state, Some(expression), uri, body).await
}

async fn list(
    State(state): State<ApiState>,
    expression: Option<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?
        .body_or(body, "cluster:monitor/xpack/ml/calendars/get")
        .await?;
    let expression = expression.or(asked.calendar_id);
    if expression.is_some() && asked.page.is_some() {
        return Err(JobError::invalid_request(&[
            "Params [from, size] are incompatible with [calendar_id].",
        ])
        .into());
    }
    let page = asked.page.unwrap_or_default();
    let calendars = state
        .jobs
        .calendars(expression.as_deref().unwrap_or("_all"))
        .await?;
    let shown = match expression {
        Some(_) => &calendars[..],
        None => page.of(&calendars)?,
    };
    Ok(ok(&json!({"count": calendars.len(), "calendars": shown})))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(calendar_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    lasting(async move { state.jobs.delete_calendar(&calendar_id).await }).await?;
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn add_jobs(
    State(state): State<ApiState>,
    Path((calendar_id, names)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let add = async move { state.jobs.add_calendar_jobs(&calendar_id, &names).await };
    Ok(ok(&json!(lasting(add).await?)))
}

pub async fn remove_jobs(
    State(state): State<ApiState>,
    Path((calendar_id, names)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let jobs = state.jobs;
    let remove = async move { jobs.remove_calendar_jobs(&calendar_id, &names).await };
    Ok(ok(&json!(lasting(remove).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    description: Option<String>,
    start_time: Option<Text>,
    end_time: Option<Text>,
    calendar_id: Option<String>,
    skip_result: Option<bool>,
    skip_model_update: Option<bool>,
    force_time_shift: Option<i64>,
}

fn time(name: &str, text: Option<Text>) -> Result<Option<i64>> {
    let text = text.map(Text::into_string);
    text.map(|text| dates::bound(name, &text)).transpose()
}

pub async fn add_events(
    State(state): State<ApiState>,
    Path(calendar_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let Events { events } = Params::new(&uri)?
        .body(body, "cluster:admin/xpack/ml/calendars/events/post")
        .await?;
    let new = events.into_iter().map(|event| {
        Ok(NewEvent {
            calendar_id: event.calendar_id,
            description: event.description,
            start_time: time("start_time", event.start_time)?,
            end_time: time("end_time", event.end_time)?,
            skip_result: event.skip_result,
            skip_model_update: event.skip_model_update,
            force_time_shift: event.force_time_shift,
        })
    });
    let new: Result<Vec<NewEvent>> = new.collect();
    let new = new?;
    let add = async move { state.jobs.add_events(&calendar_id, new).await };
    Ok(ok(&json!({"events": lasting(add).await?})))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventsAsked {
    #[serde(rename = "calendar_id")]
    _calendar_id: Option<String>,
    start: Option<Text>,
    end: Option<Text>,
    job_id: Option<String>,
    page: Option<Page>,
}

pub async fn events(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: EventsAsked = Params::new(&uri)?
        .body_or(body, "cluster:monitor/xpack/ml/calendars/events/get")
        .await?;
    if asked.job_id.is_some() && !matches!(expression.as_str(), "_all" | "*") {
        return Err(JobError::invalid_request(&[
            "If job_id is used calendar_id must be '_all' or '*'",
        ])
        .into());
    }
    let (start, end) = dates::bounds(asked.start, asked.end)?;
    let query = EventQuery {
        start,
        end,
        job_id: asked.job_id,
    };
    let events = state.jobs.events(&expression, &query).await?;
    let page = asked.page.unwrap_or_default();
    Ok(ok(
        &json!({"count": events.len(), "events": page.of(&events)?}),
    ))
}

pub async fn delete_event(
    State(state): State<ApiState>,
    Path((calendar_id, event_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    lasting(async move { state.jobs.delete_event(&calendar_id, &event_id).await }).await?;
    Ok(ok(&json!({"acknowledged": true})))
}
