//! What the requests of a server share.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tidewatch_jobs::JobError;
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::error::{ApiError, Result};

/// Previews at the same time, as OpenSearch has them.
const PREVIEWS: usize = 2;

#[derive(Debug, Clone)]
pub struct OpenSearch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By the ids of the detectors that change just now.
    changing: parking_lot::Mutex<HashMap<String, Weak<Mutex<()>>>>,
    naming: Mutex<()>,
    previews: Semaphore,
}

impl Default for OpenSearch {
    fn default() -> Self {
        Self(Arc::new(Shared {
            changing: parking_lot::Mutex::default(),
            naming: Mutex::default(),
            previews: Semaphore::new(PREVIEWS),
        }))
    }
}

impl OpenSearch {
    /// Held while a detector goes, changes, starts or stops, which may take as long as its source does. Others don't
    /// wait for it.
    pub async fn changing(&self, detector_id: &str) -> OwnedMutexGuard<()> {
        self.lock_of(detector_id).lock_owned().await
    }

    fn lock_of(&self, detector_id: &str) -> Arc<Mutex<()>> {
        let mut all = self.0.changing.lock();
        all.retain(|_, lock| lock.strong_count() > 0);
        let held = all.get(detector_id).and_then(Weak::upgrade);
        held.unwrap_or_else(|| {
            let lock = Arc::default();
            all.insert(detector_id.to_owned(), Arc::downgrade(&lock));
            lock
        })
    }

    /// Held from the last look at all detectors until one is kept: names are unique, and numbers of writes, and there
    /// is room. No source is asked meanwhile.
    pub async fn naming(&self) -> MutexGuard<'_, ()> {
        self.0.naming.lock().await
    }

    /// Held while a preview works.
    pub async fn previewing(&self) -> Result<SemaphorePermit<'_>> {
        let room = self.0.previews.acquire().await;
        room.map_err(|_| ApiError(JobError::internal("the server stops")))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::OpenSearch;

    #[tokio::test]
    async fn changes_of_one_detector_wait_for_each_other_and_leave_nothing() {
        let shared = OpenSearch::default();
        let one = shared.changing("one").await;
        let other = shared.changing("other").await;
        assert!(shared.changing("one").now_or_never().is_none());
        drop(one);
        let again = shared.changing("one").await;
        drop((again, other));
        let _third = shared.changing("third").await;
        let ids: Vec<String> = shared.0.changing.lock().keys().cloned().collect();
        assert_eq!(ids, ["third"]);
    }
}
