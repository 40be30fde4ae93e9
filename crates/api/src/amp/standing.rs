//! What stands in the way of a detector that is there, as its status has it.

use tidewatch_datafeed::run::DatafeedState;

use super::detector::{Found, StatusCode};
use crate::ApiState;

/// Says it in the status, where that says nothing else: the service has no code for it.
pub fn explain(state: &ApiState, found: &mut Found) {
    let status = &found.detector.status;
    let code = status.status_code;
    if status.status_reason.is_none() && (code == StatusCode::Active || code.is_training()) {
        found.detector.status.status_reason = reason(state, found);
    }
}

fn reason(state: &ApiState, found: &Found) -> Option<String> {
    let job_id = &found.job.job_id;
    let issues = state.jobs.health(job_id).ok()?.issues;
    let mut told: Vec<String> = issues
        .into_iter()
        .map(|issue| match issue.details {
            Some(details) => format!("{}: {details}", issue.issue),
            None => issue.issue.to_owned(),
        })
        .collect();
    // It is started by and by while the detector learns.
    let is_stopped = found.detector.status.status_code == StatusCode::Active
        && (state.feeds.of_job(job_id))
            .is_some_and(|feed| state.feeds.status(&feed).state == DatafeedState::Stopped);
    if is_stopped {
        told.push("The datafeed that evaluates the query is stopped".to_owned());
    }
    (!told.is_empty()).then(|| told.join("; "))
}
