//! What a crash left half-done, at the next start.

use tidewatch_jobs::config::Job;

use super::stored::{Detectors, Kept};
use super::{change, former, history, preview, real_time, stored};
use crate::ApiState;
use crate::error::Result;

/// Ends what was cut short before this was called.
pub fn go_on(state: ApiState) -> impl Future<Output = ()> + Send {
    let begun = state.jobs.now();
    async move {
        let done = put_in_order(&state, begun).await;
        warn("detectors", done);
    }
}

fn warn(what: &str, done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(error = %error.0, "{what} could not be put in order");
    }
}

/// Nothing of a detector changes meanwhile.
async fn put_in_order(state: &ApiState, begun: i64) -> Result<()> {
    let _changing = state.opensearch.changing().await;
    let detectors = stored::read(state)?;
    for kept in &detectors.current {
        warn(&kept.job.job_id, of_detector(state, kept).await);
    }
    for Job { job_id, .. } in lost(state, detectors, begun)? {
        warn(&job_id, change::delete_job(state, &job_id).await);
    }
    Ok(())
}

/// Jobs that are of nothing any more: of detectors that are gone, of runs that never began, of previews.
fn lost(state: &ApiState, detectors: Detectors, begun: i64) -> Result<Vec<Job>> {
    let Detectors { current, lost, .. } = detectors;
    let mut runs = history::all(state)?;
    runs.retain(|run| {
        let id = &run.run.detector_id;
        let is_there = current.iter().any(|kept| kept.stored.id == *id);
        !is_there || history::never_began(state, run)
    });
    let mut jobs = preview::left_over(state, begun)?;
    jobs.extend(lost.into_iter().map(|kept| kept.job));
    jobs.extend(runs.into_iter().map(|run| run.job));
    Ok(jobs)
}

async fn of_detector(state: &ApiState, kept: &Kept) -> Result<()> {
    let job_id = &kept.job.job_id;
    if real_time::waits(state, job_id) {
        real_time::halt(state, job_id).await?;
    }
    match kept.stored.query_to_give {
        Some(_) => change::finish_change(state, kept).await?,
        None => real_time::acknowledge(state, kept).await?,
    }
    former::retire(state, &kept.stored.id, job_id).await
}
