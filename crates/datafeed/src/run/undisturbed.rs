//! What changes a job is done to its end, also where its run is cut off meanwhile: the next run must see all of it.

use std::sync::Arc;

use tidewatch_jobs::JobError;
use tokio::sync::Mutex;

/// One thing at a time. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Undisturbed(Arc<Mutex<()>>);

impl Undisturbed {
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, JobError>> + Send + 'static,
    ) -> Result<T, JobError> {
        let turn = self.0.clone().lock_owned().await;
        let work = tokio::spawn(async move {
            let done = work.await;
            drop(turn);
            done
        });
        let panicked = |error: tokio::task::JoinError| JobError::internal(error.to_string());
        work.await.map_err(panicked)?
    }

    /// Waits until nothing is at work.
    pub async fn is_over(&self) {
        drop(self.0.lock().await);
    }
}
