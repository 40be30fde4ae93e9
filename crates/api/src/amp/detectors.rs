//! The detectors of a workspace: creation to deletion.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode as HttpStatus, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidewatch_jobs::{JobError, Opening};
use tidewatch_store::Annotations;

use super::check::{Check, object};
use super::detector::{Detector, Found, Made, StatusCode, find, of_workspace};
use super::error::{AmpError, DETECTOR, Result, WORKSPACE};
use super::settings::Changing;
use super::shapes::{Texts, Wanted};
use super::{job, training};
use crate::error::json_response;
use crate::{ApiState, body, escape};

/// How long a deletion may take until it is answered; it goes on after that.
const TO_DELETE: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 1 << 20;
const DEFAULT_PAGE: usize = 100;

pub async fn create(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let body = object(&read(body).await?)?;
    let mut check = Check::default();
    check.workspace_id(&workspace_id);
    let alias = check.required_text(&body, "alias", "alias");
    if body.contains_key("alias") {
        check.alias(&alias);
    }
    let token = token(&mut check, &body);
    let made = Made {
        wanted: check.wanted(&body),
        tags: check.tags(&body),
    };
    check.finish()?;
    lasting(async move { create_one(&state, &workspace_id, alias, made, token).await }).await
}

/// A request is done as a whole, also when its client has gone.
async fn lasting(
    change: impl Future<Output = Result<Detector>> + Send + 'static,
) -> Result<Response> {
    let made = tokio::spawn(change).await;
    let detector = made.map_err(|error| AmpError::internal(error.to_string()))??;
    let told = detector.answered().to_string();
    Ok(json_response(HttpStatus::ACCEPTED, told))
}

async fn create_one(
    state: &ApiState,
    workspace_id: &str,
    alias: String,
    made: Made,
    token: Option<String>,
) -> Result<Detector> {
    let _changing = state.amp.changing().await;
    let mut others = of_workspace(&state.jobs, workspace_id);
    others.retain(|found| !found.is_going());
    let same = |found: &&Found| token.is_some() && found.detector.create_token == token;
    if let Some(Found { detector, .. }) = others.iter().find(same) {
        if detector.alias == alias && detector.created_as.as_ref() == Some(&made) {
            return Ok(detector.clone());
        }
        return Err(AmpError::conflict(
            &detector.anomaly_detector_id,
            "The client token was used for a request with other parameters",
        ));
    }
    if let Some(other) = others.iter().find(|found| found.detector.alias == alias) {
        return Err(AmpError::conflict(
            &other.detector.anomaly_detector_id,
            format!("An anomaly detector with the alias {alias} exists"),
        ));
    }
    check_quota(state, workspace_id, others.len())?;
    let id = format!("ad-{}", uuid::Uuid::new_v4());
    let now = state.jobs.now() as f64 / 1_000.0;
    let detector = Detector {
        arn: state.amp.arn(workspace_id, &id),
        workspace_id: workspace_id.to_owned(),
        anomaly_detector_id: id.clone(),
        alias,
        status: StatusCode::Creating.into(),
        created_at: now,
        modified_at: now,
        wanted: made.wanted.clone(),
        tags: made.tags.clone(),
        create_token: token,
        put_token: None,
        created_as: Some(made),
    };
    begin(state, &id, &detector).await?;
    Ok(detector)
}

fn check_quota(state: &ApiState, workspace_id: &str, count: usize) -> Result<()> {
    match count < state.amp.max_detectors() {
        true => Ok(()),
        false => Err(AmpError::quota(
            workspace_id,
            "anomaly-detectors-per-workspace",
            format!("The workspace has {count} anomaly detectors, and may have no more"),
        )),
    }
}

/// Makes a detector's job, and lets it learn.
async fn begin(state: &ApiState, job_id: &str, detector: &Detector) -> Result<()> {
    let (jobs, id) = (&state.jobs, &detector.anomaly_detector_id);
    let Some(source) = state.amp.source(&detector.workspace_id) else {
        return Err(AmpError::field("workspaceId", "There is no such workspace"));
    };
    if jobs.cluster().upgrade_mode() {
        return Err(AmpError::throttled(
            "Nothing is changed while upgrade mode is enabled",
        ));
    }
    let memory = match jobs.max_model_memory_limit() {
        Some(most) if most.bytes < state.amp.memory().bytes => most,
        _ => state.amp.memory(),
    };
    let new = job::new(detector, source, memory)?;
    let refused = |error: JobError| AmpError::of_job(error, id);
    state.feeds.create_job(job_id, new).await.map_err(refused)?;
    let opened = jobs.open(job_id).await;
    let error = match opened {
        Ok(Opening::Opened | Opening::Waiting) => {
            tokio::spawn(training::train(state.clone(), job_id.to_owned()));
            return Ok(());
        }
        Err(error) => error,
    };
    let _ = jobs.delete(job_id, true, Annotations::All).ended().await;
    Err(match error.status {
        429 => AmpError::quota(&detector.workspace_id, "memory", error.reason),
        _ => refused(error),
    })
}

pub async fn put(
    State(state): State<ApiState>,
    Path((workspace_id, detector_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response> {
    let body = object(&read(body).await?)?;
    let mut check = Check::default();
    check.workspace_id(&workspace_id);
    check.detector_id(&detector_id);
    let token = token(&mut check, &body);
    let wanted = check.wanted(&body);
    check.finish()?;
    lasting(async move { put_one(&state, &workspace_id, detector_id, wanted, token).await }).await
}

/// Each change learns anew: a new job takes the place of the one that there is.
async fn put_one(
    state: &ApiState,
    workspace_id: &str,
    detector_id: String,
    wanted: Wanted,
    token: Option<String>,
) -> Result<Detector> {
    let _changing = state.amp.changing().await;
    let others = of_workspace(&state.jobs, workspace_id);
    let now = state.jobs.now() as f64 / 1_000.0;
    let old = others
        .iter()
        .find(|found| found.detector.anomaly_detector_id == detector_id);
    let detector = match old {
        Some(found) if found.is_going() => {
            return Err(AmpError::conflict(
                &detector_id,
                "The anomaly detector is being deleted",
            ));
        }
        Some(Found { detector, .. }) if token.is_some() && detector.put_token == token => {
            return match detector.wanted == wanted {
                true => Ok(detector.clone()),
                false => Err(AmpError::conflict(
                    &detector_id,
                    "The client token was used for a request with other parameters",
                )),
            };
        }
        Some(Found { detector, .. }) => Detector {
            status: StatusCode::Updating.into(),
            // Two changes within a millisecond have an order all the same.
            modified_at: now.max(detector.modified_at + 0.001),
            wanted,
            put_token: token,
            ..detector.clone()
        },
        None => {
            check_quota(state, workspace_id, others.len())?;
            let alias = detector_id.clone();
            if others.iter().any(|found| found.detector.alias == alias) {
                let told = format!("An anomaly detector with the alias {alias} exists");
                return Err(AmpError::conflict(&detector_id, told));
            }
            Detector {
                arn: state.amp.arn(workspace_id, &detector_id),
                workspace_id: workspace_id.to_owned(),
                alias,
                anomaly_detector_id: detector_id,
                status: StatusCode::Creating.into(),
                created_at: now,
                modified_at: now,
                wanted,
                tags: Texts::new(),
                create_token: None,
                put_token: token,
                created_as: None,
            }
        }
    };
    let job_id = format!("ad-{}", uuid::Uuid::new_v4());
    begin(state, &job_id, &detector).await?;
    if let Some(old) = old {
        // It goes on by itself.
        state.jobs.delete(&old.job.job_id, true, Annotations::All);
    }
    Ok(detector)
}

pub async fn describe(
    State(state): State<ApiState>,
    Path((workspace_id, detector_id)): Path<(String, String)>,
) -> Result<Response> {
    let found = known(&state, &workspace_id, &detector_id)?;
    let told = json!({"anomalyDetector": found.detector.described()});
    Ok(json_response(HttpStatus::OK, told.to_string()))
}

fn known(state: &ApiState, workspace_id: &str, detector_id: &str) -> Result<Found> {
    let mut check = Check::default();
    check.workspace_id(workspace_id);
    check.detector_id(detector_id);
    check.finish()?;
    check_workspace(state, workspace_id)?;
    find(&state.jobs, workspace_id, detector_id)
        .ok_or_else(|| AmpError::not_found(DETECTOR, detector_id))
}

pub fn check_workspace(state: &ApiState, workspace_id: &str) -> Result<()> {
    match state.amp.source(workspace_id) {
        Some(_) => Ok(()),
        None => Err(AmpError::not_found(WORKSPACE, workspace_id)),
    }
}

/// What a list is asked for.
struct Page {
    alias: Option<String>,
    size: usize,
    /// The detector that the page before ended with.
    after: Option<String>,
}

impl Page {
    fn read(uri: &Uri, check: &mut Check) -> Result<Self> {
        let mut page = Self {
            alias: None,
            size: DEFAULT_PAGE,
            after: None,
        };
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "alias" => {
                    check.alias(&value);
                    page.alias = Some(value);
                }
                "maxResults" => match value.parse::<i64>() {
                    Ok(size @ 1..=1_000) => page.size = size as usize,
                    Ok(_) => check.wrong(&name, "Member must have value between 1 and 1000"),
                    Err(_) => {
                        let told = format!("Value at '{name}' must be an integer");
                        return Err(AmpError::unparsable(told));
                    }
                },
                "nextToken" if !value.is_empty() => page.after = Some(value),
                _ => {}
            }
        }
        Ok(page)
    }
}

pub async fn list(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut check = Check::default();
    check.workspace_id(&workspace_id);
    let page = Page::read(&uri, &mut check)?;
    check.finish()?;
    check_workspace(&state, &workspace_id)?;
    let mut found = of_workspace(&state.jobs, &workspace_id);
    // By id: a page goes on where the one before ended, whatever came or went between.
    found.sort_by(|one, other| {
        let id = |found: &Found| found.detector.anomaly_detector_id.clone();
        id(one).cmp(&id(other))
    });
    if let Some(after) = &page.after {
        if !after.starts_with("ad-") || after.len() > 64 {
            return Err(AmpError::field("nextToken", "It was never given"));
        }
        found.retain(|found| found.detector.anomaly_detector_id > *after);
    }
    if let Some(alias) = &page.alias {
        found.retain(|found| found.detector.alias == *alias);
    }
    let is_more = found.len() > page.size;
    found.truncate(page.size);
    let shown = found.iter().map(|found| found.detector.summary());
    let mut told = json!({"anomalyDetectors": shown.collect::<Vec<_>>()});
    if let Some(last) = found.last().filter(|_| is_more) {
        told["nextToken"] = json!(last.detector.anomaly_detector_id);
    }
    Ok(json_response(HttpStatus::OK, told.to_string()))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path((workspace_id, detector_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let mut check = Check::default();
    let token = parameters(&uri)?
        .into_iter()
        .find(|(name, _)| name == "clientToken");
    let token = token.map(|(_, token)| token);
    if let Some(token) = &token {
        check.client_token(token);
    }
    check.finish()?;
    let deletion = async move {
        let mut changing = state.amp.changing().await;
        delete_one(&state, &mut changing, workspace_id, detector_id, token).await
    };
    let done = tokio::spawn(deletion).await;
    done.map_err(|error| AmpError::internal(error.to_string()))??;
    Ok(HttpStatus::ACCEPTED.into_response())
}

async fn delete_one(
    state: &ApiState,
    changing: &mut Changing,
    workspace_id: String,
    detector_id: String,
    token: Option<String>,
) -> Result<()> {
    let found = known(state, &workspace_id, &detector_id);
    let of = token.map(|token| [workspace_id, detector_id, token]);
    let found = match (found, &of) {
        (Err(_), Some(of)) if changing.was_deleted_by(of) => return Ok(()),
        (found, _) => found?,
    };
    if let Some(of) = of {
        changing.remember_deletion(of);
    }
    let job_id = &found.job.job_id;
    let task = state.jobs.delete(job_id, true, Annotations::All);
    match tokio::time::timeout(TO_DELETE, task.ended()).await {
        Ok(Err(error)) if error.status != 404 => {
            Err(AmpError::of_job(error, &found.detector.anomaly_detector_id))
        }
        // What takes longer is told as going on.
        _ => Ok(()),
    }
}

pub async fn read(body: Body) -> Result<Bytes> {
    let read = body::read_up_to(body, MAX_BODY).await;
    read.map_err(|error| AmpError::unparsable(error.0.reason))
}

pub fn parameters(uri: &Uri) -> Result<Vec<(String, String)>> {
    let pairs = escape::pairs(uri.query().unwrap_or_default());
    pairs.map_err(|error| AmpError::unparsable(error.0.reason))
}

fn token(check: &mut Check, body: &Map<String, Value>) -> Option<String> {
    let token = check.text(body, "clientToken", "clientToken")?;
    check.client_token(&token);
    Some(token)
}
