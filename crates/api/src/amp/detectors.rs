//! The detectors of a workspace: creation to deletion.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode as HttpStatus, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidewatch_jobs::{JobError, Opening};
use tidewatch_store::Annotations;

use super::check::{Check, object};
use super::detector::{Detector, Found, Made, StatusCode, find, of_workspace};
use super::error::{AmpError, DETECTOR, Result, WORKSPACE};
use super::shapes::{Texts, Wanted};
use super::tokens::Changes;
use super::{deletion, job, standing, training};
use crate::error::json_response;
use crate::{ApiState, body, escape};

const MAX_BODY: usize = 1 << 20;

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
        return Err(AmpError::token(&detector.anomaly_detector_id));
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
        puts: Changes::default(),
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
    let new = job::new(state, detector, source)?;
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
    if let Err(error) = jobs.delete(job_id, true, Annotations::All).ended().await {
        tracing::warn!(job_id, %error, "a job that could not be opened can't be deleted either");
    }
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
    let mut detector = match old {
        Some(found) if found.is_going() => {
            return Err(AmpError::conflict(
                &detector_id,
                "The anomaly detector is being deleted",
            ));
        }
        Some(Found { detector, .. }) => {
            match detector.puts.was_used_for(token.as_deref(), &wanted) {
                Some(true) => return Ok(detector.clone()),
                Some(false) => return Err(AmpError::token(&detector_id)),
                None => {}
            }
            Detector {
                status: StatusCode::Updating.into(),
                // Two changes within a millisecond have an order all the same.
                modified_at: now.max(detector.modified_at + 0.001),
                wanted,
                ..detector.clone()
            }
        }
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
                puts: Changes::default(),
                created_as: None,
            }
        }
    };
    let wanted = detector.wanted.clone();
    detector.puts.remember(token.as_deref(), &wanted);
    let job_id = format!("ad-{}", uuid::Uuid::new_v4());
    begin(state, &job_id, &detector).await?;
    if let Some(old) = old {
        // It goes on by itself once it has begun; until then a deletion of the detector would find only the new job.
        deletion::begin(state, &old.job.job_id).await;
    }
    Ok(detector)
}

pub async fn describe(
    State(state): State<ApiState>,
    Path((workspace_id, detector_id)): Path<(String, String)>,
) -> Result<Response> {
    let mut found = known(&state, &workspace_id, &detector_id)?;
    standing::explain(&state, &mut found);
    let told = json!({"anomalyDetector": found.detector.described()});
    Ok(json_response(HttpStatus::OK, told.to_string()))
}

pub fn known(state: &ApiState, workspace_id: &str, detector_id: &str) -> Result<Found> {
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

pub async fn read(body: Body) -> Result<Bytes> {
    let read = body::read_up_to(body, MAX_BODY).await;
    read.map_err(|error| AmpError::unparsable(error.0.reason))
}

pub fn parameters(uri: &Uri) -> Result<Vec<(String, String)>> {
    let pairs = escape::pairs(uri.query().unwrap_or_default());
    pairs.map_err(|error| AmpError::unparsable(error.0.reason))
}

pub fn token(check: &mut Check, body: &Map<String, Value>) -> Option<String> {
    let token = check.text(body, "clientToken", "clientToken")?;
    check.client_token(&token);
    Some(token)
}
