//! What the requests of a server share.

use std::sync::Arc;

use tidewatch_jobs::JobError;
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::error::{ApiError, Result};

/// Previews at the same time, as OpenSearch has them.
const PREVIEWS: usize = 2;

#[derive(Debug, Clone)]
pub struct OpenSearch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    changing: Mutex<()>,
    previews: Semaphore,
}

impl Default for OpenSearch {
    fn default() -> Self {
        Self(Arc::new(Shared {
            changing: Mutex::new(()),
            previews: Semaphore::new(PREVIEWS),
        }))
    }
}

impl OpenSearch {
    /// Held while a detector comes, goes, changes, starts or stops: names are unique, and numbers of writes.
    pub async fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    /// Held while a preview works.
    pub async fn previewing(&self) -> Result<SemaphorePermit<'_>> {
        let room = self.0.previews.acquire().await;
        room.map_err(|_| ApiError(JobError::internal("the server stops")))
    }
}
