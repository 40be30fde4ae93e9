//! Jobs of detectors that others have taken the place of. They are kept for what they found.

use tidewatch_jobs::RevertRequest;
use tidewatch_jobs::config::REPLACED_BY;

use super::stored::{self, Kept};
use super::{change, results};
use crate::ApiState;
use crate::error::Result;

/// Former jobs of a detector that are kept; older ones go.
const KEPT: usize = 10;
/// The snapshot of a job that has learnt nothing.
const EMPTY: &str = "empty";

/// The end of the last interval that a job has final results of. Epoch milliseconds.
pub async fn told_until(state: &ApiState, job_id: &str) -> Result<Option<i64>> {
    let last = results::last(state, job_id, None, true).await?;
    Ok(last.map(|last| last.end()))
}

/// Puts away all jobs of a detector whose place another has taken, and deletes the oldest.
pub async fn retire(state: &ApiState, id: &str, by: &str) -> Result<()> {
    let former = stored::former(state, id)?;
    for kept in former.iter().take(KEPT) {
        put_away(state, kept, by).await?;
    }
    for kept in former.iter().skip(KEPT) {
        change::delete_job(state, &kept.job.job_id).await?;
    }
    Ok(())
}

/// Takes its datafeed and its models from a job; its results stay. Done again it is done once.
async fn put_away(state: &ApiState, kept: &Kept, by: &str) -> Result<()> {
    let job_id = &kept.job.job_id;
    if kept.job.replaced_by() != Some(by) {
        change::set(state, job_id, REPLACED_BY, by.into()).await?;
    }
    if let Some(feed) = state.feeds.of_job(job_id) {
        state.feeds.delete(&feed.datafeed_id, true).await?;
    }
    if state.jobs.snapshots(job_id).await?.is_empty() {
        return Ok(());
    }
    state.feeds.close_jobs(job_id, true, true).await?;
    let request = RevertRequest {
        force: true,
        ..RevertRequest::default()
    };
    state.jobs.revert(job_id, EMPTY, request).ended().await?;
    for snapshot in state.jobs.snapshots(job_id).await? {
        state
            .jobs
            .delete_snapshot(job_id, &snapshot.snapshot_id)
            .await?;
    }
    Ok(())
}
