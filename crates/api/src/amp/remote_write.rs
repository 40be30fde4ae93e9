//! What detectors find is sent on as soon as it is found: to the server that `[amp.remote_write]` names.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewatch_datafeed::source::{RemoteWrite, SourceError, Written};

use super::detector::{Found, StatusCode, all};
use super::promql::{Matcher, NAME, STALENESS, Selector, Test};
use super::series::{NoSeries, first_after, load};
use crate::ApiState;

/// How often is looked for what is new.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Milliseconds of one detector that are sent at once.
const WINDOW: i64 = 3_600_000;
/// Where is kept how far each detector's results were sent.
const SENT: &str = "amp_remote_write";

/// Sends until the server ends. What is found before a detector is active, by its look-back, is not sent: receivers
/// refuse what is so old.
pub async fn run(state: ApiState, to: &RemoteWrite) {
    let kept = state.jobs.store().meta(SENT).await.ok().flatten();
    // By job: the time of the last evaluation that was sent.
    let mut sent: BTreeMap<String, i64> = kept
        .and_then(|kept| serde_json::from_str(&kept).ok())
        .unwrap_or_default();
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = match send_new(&state, to, &mut sent).await {
            Ok(()) => LOOK,
            Err(reason) => {
                tracing::warn!(reason, "remote write has failed and is tried again");
                (2 * pause).min(LONGEST_PAUSE)
            }
        };
    }
}

async fn send_new(
    state: &ApiState,
    to: &RemoteWrite,
    sent: &mut BTreeMap<String, i64>,
) -> Result<(), String> {
    let active = |found: &Found| found.detector.status.status_code == StatusCode::Active;
    let detectors: Vec<Found> = all(&state.jobs).into_iter().filter(active).collect();
    let before = sent.clone();
    sent.retain(|job_id, _| detectors.iter().any(|found| found.job.job_id == *job_id));
    let mut outcome = Ok(());
    for found in &detectors {
        outcome = send_of(state, to, found, sent).await;
        if outcome.is_err() {
            break;
        }
    }
    if *sent != before {
        let kept = serde_json::json!(sent).to_string();
        if let Err(error) = state.jobs.store().set_meta(SENT, &kept).await {
            tracing::warn!(%error, "how far remote write has come can't be kept");
        }
    }
    outcome
}

/// Sends what one detector has found since the last time.
async fn send_of(
    state: &ApiState,
    to: &RemoteWrite,
    found: &Found,
    sent: &mut BTreeMap<String, i64>,
) -> Result<(), String> {
    let job_id = &found.job.job_id;
    let interval = found.detector.wanted.interval();
    let now = state.jobs.now();
    let from = *sent.entry(job_id.clone()).or_insert_with(|| {
        let modified = (found.detector.modified_at * 1_000.0) as i64;
        modified.max(now - STALENESS - interval)
    });
    // The next evaluation has not come yet.
    if from.div_euclid(interval) == now.div_euclid(interval) {
        return Ok(());
    }
    let Some(first) = first_after(&state.jobs, found, from)
        .await
        .map_err(|error| error.reason)?
    else {
        return Ok(());
    };
    let until = first.saturating_add(WINDOW).min(now.max(first));
    let every = Selector {
        matchers: vec![Matcher {
            label: NAME.to_owned(),
            test: Test::IsNot(String::new()),
        }],
        range: None,
    };
    let one = std::slice::from_ref(found);
    let series = match load(&state.jobs, one, &[&every], from, until).await {
        Ok(series) => series,
        Err(NoSeries::TooMany) => {
            tracing::warn!(
                job_id,
                "too many results to be sent: an hour of them is left out"
            );
            sent.insert(job_id.clone(), until);
            return Ok(());
        }
        Err(NoSeries::Job(error)) => return Err(error.reason),
    };
    let times = series.iter().flat_map(|series| series.samples.last());
    let last = times.map(|(time, _)| *time).max().unwrap_or(first);
    let written = series.into_iter().map(|series| Written {
        labels: series.labels.into_iter().collect(),
        samples: series.samples,
    });
    match to.send(&written.collect::<Vec<_>>()).await {
        Ok(()) => {}
        // No other time will do better.
        Err(SourceError::Refused { reason, .. }) => {
            tracing::warn!(
                job_id,
                reason,
                "results were refused and are not sent again"
            );
        }
        Err(SourceError::Unavailable(reason)) => return Err(reason),
    }
    sent.insert(job_id.clone(), last);
    Ok(())
}
