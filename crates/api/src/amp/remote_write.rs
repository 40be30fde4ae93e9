//! What detectors find is sent on as soon as it is found: to the server that `[amp.remote_write]` names.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewatch_datafeed::source::{RemoteWrite, SourceError, Written};

use super::detector::{Found, StatusCode, all};
use super::promql::{STALENESS, Selector, Series};
use super::series::{NoSeries, first_after, load};
use crate::ApiState;

/// How often is looked for what is new.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Milliseconds of one detector that are read at once.
const WINDOW: i64 = 3_600_000;
/// Samples of one request: receivers bound what they take.
const REQUEST: usize = 10_000;
/// Where is kept how far each detector's results were sent.
const SENT: &str = "amp_remote_write";

/// Sends until the server ends. What is found before a detector is active, by its look-back, is not sent: receivers
/// refuse what is so old.
pub async fn run(state: ApiState, to: &RemoteWrite) {
    let kept = state.jobs.store().meta(SENT).await.ok().flatten();
    // By ARN, so that a detector that learns anew goes on where it was: the time of the last evaluation that was sent.
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
    let detectors = all(&state.jobs);
    let before = sent.clone();
    sent.retain(|arn, _| detectors.iter().any(|found| found.detector.arn == *arn));
    let mut outcome = Ok(());
    for found in &detectors {
        // One that learns has its results read once it has read the past.
        if found.detector.status.status_code != StatusCode::Active {
            continue;
        }
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
    let arn = &found.detector.arn;
    let interval = found.detector.wanted.interval();
    let now = state.jobs.now();
    let from = *sent.entry(arn.clone()).or_insert_with(|| {
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
    let series = read(state, found, from, first).await?;
    let times = series.iter().flat_map(|series| series.samples.last());
    let last = times.map(|(time, _)| *time).max();
    for request in requests(series) {
        match to.send(&request).await {
            Ok(()) => {}
            // No other time will do better.
            Err(SourceError::Refused { reason, .. }) => {
                tracing::warn!(arn, reason, "results were refused and are not sent again");
            }
            Err(SourceError::Unavailable(reason)) => return Err(reason),
        }
    }
    sent.insert(arn.clone(), last.unwrap_or(first));
    Ok(())
}

/// The series of a detector with what it found after `from`, from the evaluation at `first` on: as long a time as can be
/// read at once.
async fn read(
    state: &ApiState,
    found: &Found,
    from: i64,
    first: i64,
) -> Result<Vec<Series>, String> {
    let every = Selector::every();
    let mut window = WINDOW;
    loop {
        let until = first.saturating_add(window);
        let one = std::slice::from_ref(found);
        match load(&state.jobs, one, &[&every], from, until).await {
            Ok(series) => return Ok(series),
            Err(NoSeries::TooMany) if window > 0 => window /= 8,
            Err(NoSeries::TooMany) => return Err("one evaluation has too many series".to_owned()),
            Err(NoSeries::Job(error)) => return Err(error.reason),
        }
    }
}

/// Cut where one has enough samples. Those of one series stay in their order.
fn requests(series: Vec<Series>) -> Vec<Vec<Written>> {
    let mut requests = vec![Vec::new()];
    let mut count = 0;
    for one in series {
        let labels: Vec<(String, String)> = one.labels.into_iter().collect();
        for samples in one.samples.chunks(REQUEST) {
            if count + samples.len() > REQUEST {
                requests.push(Vec::new());
                count = 0;
            }
            count += samples.len();
            if let Some(last) = requests.last_mut() {
                last.push(Written {
                    labels: labels.clone(),
                    samples: samples.to_vec(),
                });
            }
        }
    }
    requests.retain(|request| !request.is_empty());
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_and_keep_the_order() {
        let series = |name: &str, count: i64| Series {
            labels: [("a".to_owned(), name.to_owned())].into(),
            samples: (0..count).map(|n| (n, 0.0)).collect(),
        };
        let all = vec![series("x", 6_000), series("y", 5_000), series("z", 25_000)];
        let cut = requests(all);
        let counts = cut.iter().map(|request| {
            let counts = request.iter().map(|one| one.samples.len());
            counts.collect::<Vec<_>>()
        });
        let expected: [&[usize]; 5] = [&[6_000], &[5_000], &[10_000], &[10_000], &[5_000]];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        assert_eq!(cut[3][0].samples[0].0, 10_000);
        assert!(requests(Vec::new()).is_empty());
    }
}
