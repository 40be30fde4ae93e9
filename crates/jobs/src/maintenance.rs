//! What happens by the clock: background model snapshots, and the nightly deletion of what is past its retention.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, Local};

use crate::config::Job;
use crate::error::Result;
use crate::manager::Jobs;
use crate::settings::Settings;
use crate::snapshots::ModelSnapshot;

const DAY: i64 = 86_400_000;
/// How often is looked whether a background snapshot is due.
const TICK: i64 = 60_000;

/// Forecasts that are deleted at a time, as in Elasticsearch.
const FORECASTS_A_RUN: i64 = 10_000;

/// Runs until the server stops.
pub async fn run(jobs: Jobs) {
    let mut nightly = next_run(jobs.settings());
    let mut looked = jobs.now();
    loop {
        jobs.settings().clock.sleep_until(looked + TICK).await;
        // Before the work, so that a clock which is turned meanwhile is not missed.
        looked = jobs.now();
        persist_due(&jobs).await;
        if nightly.is_some_and(|due| jobs.settings().clock.local() >= due) {
            jobs.close_idle().await;
            if let Err(error) = delete_expired(&jobs, "_all").await {
                tracing::warn!(%error, "the nightly maintenance failed");
            }
            nightly = next_run(jobs.settings());
        }
    }
}

/// When the nightly maintenance runs next; none with an expression whose last year has passed.
fn next_run(settings: &Settings) -> Option<DateTime<Local>> {
    settings.maintenance.after(&settings.clock.local()).next()
}

async fn persist_due(jobs: &Jobs) {
    for job_id in jobs.running() {
        let due = async {
            let job = jobs.get(&job_id)?;
            let last = jobs
                .snapshots(&job_id)
                .await?
                .last()
                .map_or(job.create_time, |snapshot| snapshot.timestamp);
            Result::Ok(
                jobs.now() - last
                    >= persist_interval(&job, jobs.settings().background_persist_interval),
            )
        };
        let outcome = match due.await {
            Ok(true) => jobs.persist(&job_id).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(job_id, %error, "the background snapshot failed");
        }
    }
}

/// Milliseconds between background snapshots. Where the job sets none, up to a third is added by its id, so that not
/// all jobs are saved at once.
fn persist_interval(job: &Job, default: Duration) -> i64 {
    match job.background_persist_interval {
        Some(interval) => interval.as_secs() * 1_000,
        None => {
            let base = default.as_millis() as i64;
            let mut hasher = DefaultHasher::new();
            job.job_id.hash(&mut hasher);
            base + (hasher.finish() % (base as u64 / 3).max(1)) as i64
        }
    }
}

/// Deletes results, annotations and model snapshots past their retention, of the jobs that are meant, and expired
/// forecasts. A job's failure is no other's; false when there was one.
pub async fn delete_expired(jobs: &Jobs, expression: &str) -> Result<bool> {
    let mut complete = true;
    for job in jobs.find(expression, true)? {
        for outcome in [
            delete_results(jobs, &job).await,
            delete_snapshots(jobs, &job).await,
        ] {
            if let Err(error) = outcome {
                tracing::warn!(job_id = job.job_id, %error, "expired data could not be deleted");
                complete = false;
            }
        }
    }
    // Of all jobs, as in Elasticsearch.
    jobs.store()
        .delete_expired_forecasts(jobs.now(), FORECASTS_A_RUN)
        .await?;
    Ok(complete)
}

/// Results and annotations older than the retention, counted back from the job's latest bucket, not from today.
async fn delete_results(jobs: &Jobs, job: &Job) -> Result<()> {
    let latest = jobs.store().latest_bucket(&job.job_id).await?;
    let (Some(days), Some(latest)) = (job.results_retention_days, latest) else {
        return Ok(());
    };
    let before = latest.saturating_sub(days.saturating_mul(DAY));
    let deleted = jobs
        .store()
        .delete_results_before(&job.job_id, before)
        .await?;
    jobs.store()
        .delete_annotations_before(&job.job_id, before)
        .await?;
    if deleted > 0 {
        let date = chrono::DateTime::from_timestamp_millis(before)
            .unwrap_or_default()
            .to_rfc3339();
        jobs.notify(
            &job.job_id,
            "info",
            &format!("Deleted results prior to {date}"),
        )
        .await;
    }
    Ok(())
}

async fn delete_snapshots(jobs: &Jobs, job: &Job) -> Result<()> {
    let snapshots = jobs.snapshots(&job.job_id).await?;
    let expired = expired_snapshots(job, &snapshots);
    for snapshot in &expired {
        jobs.store()
            .delete_snapshot(&job.job_id, &snapshot.snapshot_id)
            .await?;
    }
    if !expired.is_empty() {
        jobs.notify(
            &job.job_id,
            "info",
            &format!("[{}] expired model snapshots deleted", expired.len()),
        )
        .await;
    }
    Ok(())
}

/// The snapshots that may go, by Elasticsearch's rules: all of the days next to the newest snapshot stay, then one a
/// day, then none; the active one and those marked to be retained always stay. `snapshots` are oldest first.
pub fn expired_snapshots<'a>(job: &Job, snapshots: &'a [ModelSnapshot]) -> Vec<&'a ModelSnapshot> {
    let (Some(active), Some(newest)) = (&job.model_snapshot_id, snapshots.last()) else {
        return Vec::new();
    };
    let retention = job.model_snapshot_retention_days;
    let daily_after = job
        .daily_model_snapshot_retention_after_days
        .unwrap_or(retention);
    let mut keep_from = newest
        .timestamp
        .saturating_sub(retention.saturating_mul(DAY));
    let all_from = newest
        .timestamp
        .saturating_sub(daily_after.saturating_mul(DAY));
    let mut expired = Vec::new();
    for snapshot in snapshots
        .iter()
        .filter(|snapshot| snapshot.timestamp < all_from)
    {
        if snapshot.snapshot_id == *active || snapshot.retain {
            continue;
        }
        if snapshot.timestamp >= keep_from {
            let days = snapshot.timestamp.saturating_sub(keep_from) / DAY + 1;
            keep_from = keep_from.saturating_add(days * DAY);
        } else {
            expired.push(snapshot);
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::NewJob;
    use crate::live::Live;

    #[test]
    fn old_snapshots_thin_out_to_one_a_day_and_go() {
        let body = json!({
            "analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {},
            "model_snapshot_retention_days": 4, "daily_model_snapshot_retention_after_days": 2
        });
        let mut job = serde_json::from_value::<NewJob>(body)
            .expect("readable")
            .build("j", 0, None)
            .expect("valid");
        // Two a day for six days; the newest at noon of day 6.
        let snapshots: Vec<ModelSnapshot> = (1..=12)
            .map(|half| {
                let mut snapshot =
                    ModelSnapshot::new("j", &[], "job close", &Live::default(), half * DAY / 2);
                snapshot.retain = half == 2;
                snapshot
            })
            .collect();
        assert!(
            expired_snapshots(&job, &snapshots).is_empty(),
            "without an active snapshot nothing goes"
        );
        job.model_snapshot_id = Some(snapshots[0].snapshot_id.clone());
        let gone = |job: &Job, snapshots: &[ModelSnapshot]| -> Vec<i64> {
            expired_snapshots(job, snapshots)
                .iter()
                .map(|s| s.timestamp * 2 / DAY)
                .collect()
        };
        // The newest is 12: all from 8 stay, from 4 on one a day, before that none but the active and the retained.
        assert_eq!(gone(&job, &snapshots), [3, 5, 7]);
        job.daily_model_snapshot_retention_after_days = None;
        assert_eq!(
            gone(&job, &snapshots),
            [3],
            "without daily slots all of the retention stays"
        );
        job.model_snapshot_retention_days = i64::MAX / 2;
        job.daily_model_snapshot_retention_after_days = Some(1);
        // Days without end are counted, and keep one snapshot each.
        assert!(expired_snapshots(&job, &snapshots).len() < snapshots.len());
    }
}
