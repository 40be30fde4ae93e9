//! What datafeeds do in the life of their jobs, as far as jobs can't do without: they know no datafeeds.

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::manager::Jobs;

/// The datafeeds of all jobs.
pub trait Attached: Send + Sync {
    /// Whether the job is going to get records: it is not idle.
    fn is_fed(&self, job_id: &str) -> bool;

    /// Deletes the job's datafeed, since the job is going to be deleted; one that runs only by force.
    fn let_go<'a>(&'a self, job_id: &'a str, force: bool) -> BoxFuture<'a, Result<()>>;
}

impl Jobs {
    /// Makes the datafeeds known, once. Until then no job has one.
    pub fn attach(&self, attached: std::sync::Arc<dyn Attached>) {
        // A second time there is nobody who could ask for it.
        let _ = self.0.attached.set(attached);
    }

    pub(crate) fn is_fed(&self, job_id: &str) -> bool {
        let attached = self.0.attached.get();
        attached.is_some_and(|attached| attached.is_fed(job_id))
    }

    pub(crate) async fn let_datafeed_go(&self, job_id: &str, force: bool) -> Result<()> {
        match self.0.attached.get() {
            Some(attached) => attached.let_go(job_id, force).await,
            None => Ok(()),
        }
    }
}
