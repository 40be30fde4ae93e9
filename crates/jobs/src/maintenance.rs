//! What happens by the clock: background model snapshots, and the nightly deletion of what is past its retention.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, Local};

use crate::config::Job;
use crate::error::Result;
use crate::expire::ExpiredRequest;
use crate::manager::Jobs;
use crate::settings::Settings;

/// How often is looked whether a background snapshot is due.
const TICK: i64 = 60_000;

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
            nightly = next_run(jobs.settings());
            if jobs.cluster().upgrade_mode() {
                continue;
            }
            jobs.close_idle().await;
            match jobs.delete_expired(&ExpiredRequest::of("_all")).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("the nightly maintenance is not complete"),
                Err(error) => tracing::warn!(%error, "the nightly maintenance failed"),
            }
        }
    }
}

/// When the nightly maintenance runs next; none with an expression whose last year has passed.
pub(crate) fn next_run(settings: &Settings) -> Option<DateTime<Local>> {
    settings.maintenance.after(&settings.clock.local()).next()
}

async fn persist_due(jobs: &Jobs) {
    for job_id in jobs.running() {
        let due = async {
            let job = jobs.get(&job_id)?;
            let last = jobs.store().newest_snapshot(&job_id).await?;
            let last = last.unwrap_or(job.create_time);
            let interval = persist_interval(&job, jobs.settings().background_persist_interval);
            // One that has learnt nothing since has nothing to save.
            let learnt = jobs.entry(&job_id)?.live.read().log_time;
            Result::Ok(learnt > last && jobs.now() - last >= interval)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::NewJob;

    #[test]
    fn background_snapshots_are_spread_over_an_hour() {
        let body = json!({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}});
        let interval = |id: &str| {
            let job = serde_json::from_value::<NewJob>(body.clone()).expect("readable");
            let job = job.build(id, 0, None).expect("valid");
            persist_interval(&job, Duration::from_secs(3 * 3_600)) / 60_000
        };
        let mut minutes: Vec<i64> = (0..200).map(|n| interval(&format!("job-{n}"))).collect();
        minutes.sort_unstable();
        assert!(minutes[0] >= 180 && minutes[199] < 240, "{minutes:?}");
        minutes.dedup();
        assert!(minutes.len() > 40, "{minutes:?}");
    }
}
