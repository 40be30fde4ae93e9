//! The tags of detectors, by their ARNs.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::check::{Check, object};
use super::detector::{Found, all};
use super::detectors::{parameters, read};
use super::error::{AmpError, DETECTOR, Result};
use super::shapes::Texts;
use super::training::changed;
use crate::ApiState;
use crate::error::json_response;

pub async fn list(State(state): State<ApiState>, Path(resource): Path<String>) -> Result<Response> {
    let found = find(&state, &resource)?;
    Ok(told(&json!({"tags": found.detector.tags})))
}

pub async fn tag(
    State(state): State<ApiState>,
    Path(resource): Path<String>,
    body: Body,
) -> Result<Response> {
    let body = object(&read(body).await?)?;
    let mut check = Check::default();
    let new = check.tags(&body);
    if body.get("tags").is_none_or(Value::is_null) {
        check.wrong("tags", "Member must not be null");
    }
    check.finish()?;
    change(state, resource, |tags| tags.extend(new)).await
}

pub async fn untag(
    State(state): State<ApiState>,
    Path(resource): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let keys = parameters(&uri)?.into_iter();
    let keys: Vec<String> = keys
        .filter(|(name, _)| name == "tagKeys")
        .map(|(_, key)| key)
        .collect();
    let mut check = Check::default();
    if keys.is_empty() {
        check.wrong("tagKeys", "Member must not be null");
    }
    for key in &keys {
        check.tag_key(key);
    }
    check.finish()?;
    change(state, resource, move |tags| {
        tags.retain(|key, _| !keys.contains(key));
    })
    .await
}

/// Changes the tags, unless they become too many.
async fn change(
    state: ApiState,
    resource: String,
    change: impl FnOnce(&mut Texts) + Send + 'static,
) -> Result<Response> {
    let changing = async move {
        let _changing = state.amp.changing().await;
        let found = find(&state, &resource)?;
        let mut tags = found.detector.tags;
        change(&mut tags);
        let mut check = Check::default();
        check.tag_count(&tags);
        check.finish()?;
        let job_id = &found.job.job_id;
        let id = &found.detector.anomaly_detector_id;
        let changed = changed(&state, job_id, |detector| detector.tags = tags).await;
        changed.map_err(|error| AmpError::of_job(error, id))
    };
    // It is done as a whole, also when the client has gone.
    let done = tokio::spawn(changing).await;
    done.map_err(|error| AmpError::internal(error.to_string()))??;
    Ok(told(&json!({})))
}

/// `resource` is an ARN without its first letters, `arn`.
fn find(state: &ApiState, resource: &str) -> Result<Found> {
    let found = all(&state.jobs)
        .into_iter()
        .find(|found| found.detector.arn.strip_prefix("arn") == Some(resource));
    found.ok_or_else(|| AmpError::not_found(DETECTOR, &format!("arn{resource}")))
}

fn told(answer: &Value) -> Response {
    json_response(StatusCode::OK, answer.to_string())
}
