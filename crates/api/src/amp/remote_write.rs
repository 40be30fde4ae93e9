//! What detectors find is sent on as soon as it is found: to the server that `[amp.remote_write]` names.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewatch_datafeed::source::{RemoteWrite, SourceError, Written};

use super::detector::{Found, StatusCode, all};
use super::promql::{STALENESS, Selector, Series, within};
use super::series::{NoSeries, first_after, load};
use super::training::is_going;
use crate::ApiState;

/// How often is looked for what is new.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Milliseconds of one detector that are read at once.
const WINDOW: i64 = 3_600_000;
/// Samples of one request, unless one evaluation has more; and then series: receivers bound what they take.
const REQUEST: usize = 10_000;
/// Where is kept how far each detector's results were sent.
const SENT: &str = "amp_remote_write";

/// Sends until the server ends. What is found before a detector is active, by its look-back, is not sent: receivers
/// refuse what is so old.
pub async fn run(state: ApiState, to: &RemoteWrite) {
    let kept = state.jobs.store().meta(SENT).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "how far remote write had come can't be read: it begins with what is new");
        None
    });
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
    let first = match first_after(&state.jobs, found, from).await {
        Ok(first) => first,
        // It is gone, or another has taken its place: the next look finds that.
        Err(error) if error.status == 404 => None,
        Err(error) => return Err(error.reason),
    };
    let Some(first) = first else { return Ok(()) };
    let series = read(state, found, from, first).await?;
    if is_going(&state.jobs, &found.job.job_id) {
        // What was read may not be all that there was.
        return Ok(());
    }
    let slices = slices(&series);
    if slices.is_empty() {
        sent.insert(arn.clone(), first);
    }
    for times in slices {
        send_slice(to, arn, &series, &times).await?;
        // Nothing that has arrived is sent once more.
        sent.extend(times.last().map(|last| (arn.clone(), *last)));
    }
    Ok(())
}

/// Sends what was found at some times that follow each other.
async fn send_slice(
    to: &RemoteWrite,
    arn: &str,
    series: &[Series],
    times: &[i64],
) -> Result<(), String> {
    match send_times(to, series, times).await {
        Err(SourceError::Refused { .. }) if times.len() > 1 => {
            // What one of them is refused for isn't to take the others along.
            for time in times.chunks(1) {
                tell(arn, send_times(to, series, time).await)?;
            }
            Ok(())
        }
        outcome => tell(arn, outcome),
    }
}

/// What is refused no other time will do better.
fn tell(arn: &str, outcome: Result<(), SourceError>) -> Result<(), String> {
    match outcome {
        Ok(()) => Ok(()),
        Err(SourceError::Refused { reason, .. }) => {
            tracing::warn!(arn, reason, "results were refused and are not sent again");
            Ok(())
        }
        Err(SourceError::Unavailable(reason)) => Err(reason),
    }
}

async fn send_times(to: &RemoteWrite, series: &[Series], times: &[i64]) -> Result<(), SourceError> {
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return Ok(());
    };
    let written = series.iter().filter_map(|one| {
        let samples = within(&one.samples, first - 1, *last);
        let labels = one.labels.iter();
        (!samples.is_empty()).then(|| Written {
            labels: labels
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            samples: samples.to_vec(),
        })
    });
    let written: Vec<Written> = written.collect();
    // Only where one evaluation has so many series is there more than one request.
    for request in written.chunks(REQUEST) {
        to.send(request).await?;
    }
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

/// The times of evaluations, cut where there are samples enough for a request.
fn slices(series: &[Series]) -> Vec<Vec<i64>> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for (time, _) in series.iter().flat_map(|one| &one.samples) {
        *counts.entry(*time).or_default() += 1;
    }
    let mut slices: Vec<Vec<i64>> = Vec::new();
    let mut sum = 0;
    for (time, count) in counts {
        sum += count;
        match slices.last_mut() {
            Some(last) if sum <= REQUEST => last.push(time),
            _ => {
                slices.push(vec![time]);
                sum = count;
            }
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_at_once_is_bounded_and_keeps_the_order() {
        let series = |name: &str, count: i64| Series {
            labels: [("a".to_owned(), name.to_owned())].into(),
            samples: (0..count).map(|n| (n, 0.0)).collect(),
        };
        assert!(slices(&[]).is_empty());
        let cut = slices(&[series("x", 6_000), series("y", 12_000)]);
        let ends = cut.iter().map(|times| (times[0], times[times.len() - 1]));
        assert_eq!(ends.collect::<Vec<_>>(), [(0, 4_999), (5_000, 11_999)]);
        // An evaluation is never in two slices.
        let many: Vec<Series> = (0..REQUEST + 1)
            .map(|n| series(&n.to_string(), 2))
            .collect();
        assert_eq!(slices(&many), [[0], [1]]);
    }
}
