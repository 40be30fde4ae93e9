//! The end of a detector.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tidewatch_jobs::JobError;
use tidewatch_store::Annotations;

use super::check::Check;
use super::detector::{Found, jobs_of_all};
use super::detectors::{known, parameters};
use super::error::{AmpError, Result};
use super::tokens::{remember_deletion, was_deleted_by};
use super::training::is_going;
use crate::ApiState;

/// How long a deletion may take until it is answered; it goes on after that.
const TO_DELETE: Duration = Duration::from_secs(5);
/// How often is looked whether it has begun.
const LOOK: Duration = Duration::from_millis(5);
/// The kind of what was deleted, beside its ids.
const DETECTOR: &str = "detector";

pub async fn delete(
    State(state): State<ApiState>,
    Path((workspace_id, detector_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let token = token(&uri)?;
    let deletion = async move { delete_one(&state, &workspace_id, &detector_id, token).await };
    // It is done as a whole, also when the client has gone.
    let done = tokio::spawn(deletion).await;
    done.map_err(|error| AmpError::internal(error.to_string()))??;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// That of a request without a body.
pub fn token(uri: &Uri) -> Result<Option<String>> {
    let mut check = Check::default();
    let token = parameters(uri)?
        .into_iter()
        .find(|(name, _)| name == "clientToken");
    let token = token.map(|(_, token)| token);
    if let Some(token) = &token {
        check.client_token(token);
    }
    check.finish()?;
    Ok(token)
}

async fn delete_one(
    state: &ApiState,
    workspace_id: &str,
    detector_id: &str,
    token: Option<String>,
) -> Result<()> {
    let what = [DETECTOR, workspace_id, detector_id];
    let store = state.jobs.store();
    let ids = {
        let _changing = state.amp.changing().await;
        let found = known(state, workspace_id, detector_id);
        let made = found.as_ref().ok().map(|found| found.detector.created_at);
        if let Some(token) = &token
            && was_deleted_by(store, &what, token, made).await?
        {
            return Ok(());
        }
        let made = found?.detector.created_at;
        if let Some(token) = &token {
            remember_deletion(store, &what, token, made).await?;
        }
        begin_all(state, |found| {
            found.detector.workspace_id == workspace_id
                && found.detector.anomaly_detector_id == detector_id
        })
        .await
    };
    // What takes longer is told as going on.
    finish(state, &ids)
        .await
        .map_err(|error| AmpError::of_job(error, detector_id))
}

/// Begins to delete the jobs of detectors: those that are followed by others first, so that a crash between leaves a
/// detector as it is.
pub async fn begin_all(state: &ApiState, is_meant: impl Fn(&Found) -> bool) -> Vec<String> {
    let mut found = jobs_of_all(&state.jobs);
    found.retain(is_meant);
    let age = |found: &Found| found.detector.modified_at;
    found.sort_by(|one, other| age(one).total_cmp(&age(other)));
    let ids = found.into_iter().map(|found| found.job.job_id);
    let ids: Vec<String> = ids.collect();
    for id in &ids {
        begin(state, id).await;
    }
    ids
}

/// Begins to delete a job. It is known to go, and will whatever happens, when this returns.
pub async fn begin(state: &ApiState, job_id: &str) {
    let task = state.jobs.delete(job_id, true, Annotations::All);
    let begun = async {
        while !is_going(&state.jobs, job_id) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = begun => {}
        _ = task.ended() => {}
    }
}

/// Waits for deletions, but not for long.
pub async fn finish(state: &ApiState, ids: &[String]) -> std::result::Result<(), JobError> {
    let ended = async {
        for id in ids {
            // One that goes on already is joined.
            let task = state.jobs.delete(id, true, Annotations::All);
            match task.ended().await {
                Err(error) if error.status != 404 => return Err(error),
                _ => {}
            }
        }
        Ok(())
    };
    let ended = tokio::time::timeout(TO_DELETE, ended).await;
    ended.unwrap_or(Ok(()))
}
