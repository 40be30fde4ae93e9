//! From a new detector to an active one: its datafeed is started over the past, and goes on in real time.

use std::time::Duration;

use tidewatch_datafeed::run::{DatafeedState, StartRequest};
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{JobError, Jobs, State};
use tidewatch_store::Annotations;

use super::detector::{Detector, Found, SETTINGS, Status, StatusCode, jobs_of_all};
use crate::ApiState;

/// How often is looked whether the past is read.
const LOOK: Duration = Duration::from_millis(200);
/// Tries to begin with a source that can't be reached, and the pause between them.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(2);
const TO_START: Duration = Duration::from_secs(60);

/// Goes on with what a stop of the server cut short.
pub fn go_on(state: &ApiState) {
    let mut found = jobs_of_all(&state.jobs);
    found.retain(|found| !found.is_going());
    for Found { job, detector } in &found {
        let is_followed = found.iter().any(|other| {
            let other = &other.detector;
            other.anomaly_detector_id == detector.anomaly_detector_id
                && other.workspace_id == detector.workspace_id
                && other.modified_at > detector.modified_at
        });
        if is_followed {
            state.jobs.delete(&job.job_id, true, Annotations::All);
        } else if detector.status.status_code.is_training() {
            tokio::spawn(train(state.clone(), job.job_id.clone()));
        }
    }
}

/// Brings a detector from its creation to where it keeps up with time, and says so in its status.
pub async fn train(state: ApiState, job_id: String) {
    let outcome = start(&state, &job_id).await;
    let outcome = match outcome {
        Ok(()) => caught_up(&state, &job_id).await,
        Err(error) => Err(error.reason),
    };
    let changed = change(&state, &job_id, |detector| {
        let training = detector.status.status_code;
        detector.status = match outcome {
            Ok(()) => StatusCode::Active.into(),
            Err(reason) => Status {
                status_code: training.failed(),
                status_reason: Some(reason),
            },
        };
    });
    match changed.await {
        Ok(()) => {}
        // It was deleted meanwhile.
        Err(error) if error.status == 404 || is_going(&state.jobs, &job_id) => {}
        Err(error) => tracing::error!(job_id, %error, "the status of a detector can't be kept"),
    }
}

/// Whether a job is being deleted, or is no more.
pub fn is_going(jobs: &Jobs, job_id: &str) -> bool {
    let found = jobs.get(job_id).ok().and_then(Found::of);
    found.is_none_or(|found| found.is_going())
}

async fn start(state: &ApiState, job_id: &str) -> Result<(), JobError> {
    let (jobs, feeds) = (&state.jobs, &state.feeds);
    if jobs.standing(job_id)?.state == State::Closed {
        jobs.open(job_id).await?;
    }
    let feed = feeds
        .of_job(job_id)
        .ok_or_else(|| JobError::no_such_job(job_id))?;
    // A restart of the server has taken it up already.
    if feeds.status(&feed).state != DatafeedState::Stopped {
        return Ok(());
    }
    let interval = jobs.get(job_id)?.analysis_config.span().max(1) * 1_000;
    let start = jobs.now().saturating_sub(state.amp.history());
    let request = StartRequest {
        start: start.div_euclid(interval) * interval,
        end: None,
        timeout: TO_START,
    };
    let mut tries = 1;
    loop {
        match feeds.start_feed(&feed.datafeed_id, request).await {
            // The end of upgrade mode is waited for.
            Err(error) if error.status == 429 => {}
            Err(error) if error.status == 503 && tries < TRIES => tries += 1,
            outcome => return outcome.map(drop),
        }
        if is_going(jobs, job_id) {
            return Err(JobError::no_such_job(job_id));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the past is read; or says why it isn't.
async fn caught_up(state: &ApiState, job_id: &str) -> Result<(), String> {
    loop {
        let Some(feed) = state.feeds.of_job(job_id) else {
            return Err("its datafeed is gone".to_owned());
        };
        let status = state.feeds.status(&feed);
        if let Ok(standing) = state.jobs.standing(job_id)
            && standing.state == State::Failed
        {
            return Err("its job has failed".to_owned());
        }
        match status.running_state {
            Some(running) if running.real_time_running => return Ok(()),
            Some(_) => {}
            None if is_started(state, &feed.datafeed_id).await => {}
            None => return Err("its datafeed was stopped".to_owned()),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a datafeed that doesn't run is to run all the same: the server is about to stop.
async fn is_started(state: &ApiState, datafeed_id: &str) -> bool {
    match state.jobs.store().datafeeds().await {
        Ok(rows) => rows
            .iter()
            .any(|row| row.datafeed_id == datafeed_id && row.started.is_some()),
        // Nothing can be kept then, either.
        Err(_) => true,
    }
}

/// Changes what is kept of a detector.
///
/// # Errors
/// 404 where it is gone.
pub async fn change(
    state: &ApiState,
    job_id: &str,
    change: impl FnOnce(&mut Detector),
) -> Result<(), JobError> {
    let _changing = state.amp.changing().await;
    changed(state, job_id, change).await
}

/// As [`change`], for one who keeps all others from changing anything.
pub async fn changed(
    state: &ApiState,
    job_id: &str,
    change: impl FnOnce(&mut Detector),
) -> Result<(), JobError> {
    let gone = || JobError::no_such_job(job_id);
    let found = Found::of(state.jobs.get(job_id)?).ok_or_else(gone)?;
    let (mut job, mut detector) = (found.job, found.detector);
    change(&mut detector);
    if let Some(settings) = &mut job.custom_settings {
        settings.insert(SETTINGS.to_owned(), serde_json::json!(detector));
    }
    let mut update = JobUpdate::default();
    update.custom_settings = job.custom_settings;
    state.jobs.update(job_id, update).await.map(drop)
}
