//! What a crash left half-done, at the next start.

use tidewatch_jobs::config::Job;

use super::stored::Kept;
use super::{change, former, history, preview, real_time, stored};
use crate::ApiState;
use crate::error::Result;

/// Ends what was cut short before this was called.
pub fn go_on(state: ApiState) -> impl Future<Output = ()> + Send {
    let begun = state.jobs.now();
    async move { put_in_order(&state, begun).await }
}

/// Nothing of a detector changes meanwhile.
async fn put_in_order(state: &ApiState, begun: i64) {
    let _changing = state.opensearch.changing().await;
    let log = |what: &str, done: Result<()>| {
        if let Err(error) = done {
            tracing::warn!(error = %error.0, "{what} could not be put in order");
        }
    };
    let detectors = match stored::read(state) {
        Ok(detectors) => detectors,
        Err(error) => return log("detectors", Err(error)),
    };
    for kept in &detectors.current {
        log(&kept.job.job_id, of_detector(state, kept).await);
    }
    let runs = match history::all(state) {
        Ok(runs) => runs,
        Err(error) => return log("historical runs", Err(error)),
    };
    let is_there = |id: &str| detectors.current.iter().any(|kept| kept.stored.id == id);
    let never_began =
        |run: &&history::Task| !is_there(&run.run.detector_id) || history::never_began(state, run);
    let lost = detectors.lost.iter().map(|kept| &kept.job);
    let lost = lost.chain(runs.iter().filter(never_began).map(|run| &run.job));
    let previews = match preview::left_over(state, begun) {
        Ok(previews) => previews,
        Err(error) => return log("previews", Err(error)),
    };
    for Job { job_id, .. } in lost.chain(&previews) {
        log(job_id, change::delete_job(state, job_id).await);
    }
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
