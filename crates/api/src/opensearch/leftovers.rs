//! What a crash left half-done, at the next start.

use std::collections::BTreeSet;

use tidewatch_jobs::config::Job;

use super::stored::{self, Detectors, Kept};
use super::{change, former, history, preview, real_time};
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

async fn put_in_order(state: &ApiState, begun: i64) -> Result<()> {
    let Detectors { current, lost, .. } = stored::read(state)?;
    let runs = history::all(state)?;
    let of_runs = runs.into_iter().map(|task| task.run.detector_id);
    let current = current.into_iter().map(|kept| kept.stored.id);
    let ids: BTreeSet<String> = current.chain(of_runs).collect();
    for id in ids {
        // It doesn't change meanwhile.
        let _changing = state.opensearch.changing(&id).await;
        warn(&id, of_detector(state, &id).await);
    }
    // Of detectors that are gone, and of previews.
    let lost = lost.into_iter().map(|kept| kept.job);
    for Job { job_id, .. } in lost.chain(preview::left_over(state, begun)?) {
        warn(&job_id, change::delete_job(state, &job_id).await);
    }
    Ok(())
}

async fn of_detector(state: &ApiState, id: &str) -> Result<()> {
    let kept = stored::find(state, id)?;
    if let Some(kept) = &kept {
        warn(&kept.job.job_id, of_job(state, kept).await);
    }
    for run in history::of(state, id)? {
        if kept.is_none() || history::never_began(state, &run) {
            change::delete_job(state, run.id()).await?;
        }
    }
    Ok(())
}

async fn of_job(state: &ApiState, kept: &Kept) -> Result<()> {
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
