//! Closed indices: who would read or write there is refused.

use super::indices::{Family, of_results};
use super::resolve::Meant;
use crate::error::{JobError, Result};
use crate::manager::Jobs;

fn blocked(name: &str) -> JobError {
    let reason = format!("index [{name}] blocked by: [FORBIDDEN/4/index closed];");
    JobError::new(403, "cluster_block_exception", reason)
}

/// What is said to who names a closed index.
pub(super) fn index_closed(index: &Meant) -> JobError {
    let uuid = match index {
        Meant::Internal(_) => "_na_",
        Meant::Own { index, .. } => index.uuid(),
    };
    JobError::new(400, "index_closed_exception", "closed").about(index.name(), uuid)
}

impl Jobs {
    /// `called`: the name that it is told of by from then on.
    ///
    /// # Errors
    /// The results of an open job are in it.
    pub async fn close_index(&self, index: &Meant, called: &str) -> Result<()> {
        for (job_id, entry) in self.0.jobs.read().iter() {
            let is_in = of_results(&entry.job.read().results_index_name) == index.name();
            if is_in && entry.runner.read().is_some() {
                return Err(JobError::conflict(format!(
                    "Cannot close index [{called}] because job [{job_id}] is open"
                )));
            }
        }
        Ok(self.store().close_index(index.name(), called).await?)
    }

    pub async fn open_index(&self, index: &Meant) -> Result<()> {
        Ok(self.store().open_index(index.name()).await?)
    }

    /// The names of the closed indices.
    pub async fn closed_names(&self) -> Result<Vec<String>> {
        let closed = self.store().closed_indices().await?;
        Ok(closed.into_iter().map(|(name, _)| name).collect())
    }

    /// Refuses when the results of one of these jobs are in a closed index.
    ///
    /// # Errors
    /// `cluster_block_exception`
    pub async fn check_results_open(&self, mut job_ids: impl Iterator<Item = &str>) -> Result<()> {
        let closed = self.store().closed_indices().await?;
        let called = |job_id| {
            let index = self.results_index(job_id)?;
            closed.iter().find(|(name, _)| *name == index)
        };
        match job_ids.find_map(called) {
            Some((_, called)) => Err(blocked(called)),
            None => Ok(()),
        }
    }

    /// Refuses a new job while an index is closed that may hold what is left of a former one of its name.
    pub(crate) async fn check_room_for_results(&self, job_id: &str) -> Result<()> {
        for name in self.closed_names().await? {
            let pattern = match Family::of(&name) {
                Some(Family::Results) => ".ml-anomalies-*",
                Some(Family::State) => ".ml-state*",
                _ => continue,
            };
            return Err(JobError::bad_request(format!(
                "Cannot create job [{job_id}] as it requires closed index [{pattern}]"
            )));
        }
        Ok(())
    }
}
