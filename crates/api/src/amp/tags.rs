//! The tags of detectors and workspaces, by their ARNs.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::check::{Check, object};
use super::detector::{Found, all};
use super::detectors::{parameters, read};
use super::error::{AmpError, DETECTOR, Result};
use super::kept::Workspaces;
use super::shapes::Texts;
use super::training::changed;
use crate::ApiState;
use crate::error::json_response;

pub async fn list(State(state): State<ApiState>, Path(resource): Path<String>) -> Result<Response> {
    let tags = match find(&state, &resource)? {
        Tagged::Detector(found) => found.detector.tags,
        Tagged::Workspace(id) => Workspaces::read(&state).await?.get(&id)?.tags.clone(),
    };
    Ok(told(&json!({"tags": tags})))
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
        let change = |tags: &mut Texts| {
            change(tags);
            let mut check = Check::default();
            check.tag_count(tags);
            check.finish()
        };
        match find(&state, &resource)? {
            Tagged::Detector(found) => {
                let (job_id, mut tags) = (&found.job.job_id, found.detector.tags);
                change(&mut tags)?;
                let changed = changed(&state, job_id, |detector| detector.tags = tags).await;
                let id = &found.detector.anomaly_detector_id;
                changed.map_err(|error| AmpError::of_job(error, id))
            }
            Tagged::Workspace(id) => {
                let mut known = Workspaces::load(&state).await?;
                change(&mut known.get_mut(&id)?.tags)?;
                known.keep(&state).await
            }
        }
    };
    // It is done as a whole, also when the client has gone.
    let done = tokio::spawn(changing).await;
    done.map_err(|error| AmpError::internal(error.to_string()))??;
    Ok(told(&json!({})))
}

/// What has tags.
enum Tagged {
    Detector(Box<Found>),
    /// Its id; there may be no such workspace.
    Workspace(String),
}

/// `resource` is an ARN without its first letters, `arn`.
fn find(state: &ApiState, resource: &str) -> Result<Tagged> {
    let arn = format!("arn{resource}");
    let id = arn.split_once(":workspace/").map(|(_, id)| id);
    if let Some(id) = id.filter(|id| state.amp.workspace_arn(id) == arn) {
        return Ok(Tagged::Workspace(id.to_owned()));
    }
    let mut all = all(&state.jobs).into_iter();
    let found = all.find(|found| found.detector.arn == arn);
    found
        .map(|found| Tagged::Detector(Box::new(found)))
        .ok_or_else(|| AmpError::not_found(DETECTOR, &arn))
}

fn told(answer: &Value) -> Response {
    json_response(StatusCode::OK, answer.to_string())
}
