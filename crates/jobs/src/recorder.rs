//! What an engine finds is written, beside the engine, which is at work on what comes next meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tidewatch_model::categorize::CategorizationStatus;
use tidewatch_model::counts::{MemoryStatus, ModelSize};
use tidewatch_store::{ResultWrite, Store, StoreError};

use crate::categories::StatusChange;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::error::Result;

/// What a step of an engine gave.
pub(crate) struct Findings {
    pub write: ResultWrite,
    /// The memory's status before, and what it is now.
    pub memory: (MemoryStatus, ModelSize),
    pub statuses: Vec<StatusChange>,
}

#[derive(Clone)]
pub(crate) struct Recorder {
    pub job_id: Arc<str>,
    pub store: Store,
    pub cluster: Arc<Cluster>,
    pub clock: Clock,
}

impl Recorder {
    /// Writes results, then tells what is to be known of them.
    pub async fn record(&self, findings: Findings) -> Result<()> {
        self.keep(findings.write).await?;
        let (before, now) = findings.memory;
        self.tell_memory_status(before, &now).await;
        for change in &findings.statuses {
            if change.status == CategorizationStatus::Warn {
                self.tell("warning", &change.message()).await;
            }
        }
        Ok(())
    }

    /// Writes results, and tries again while the store can't, as often as the cluster's settings say and with growing
    /// pauses up to half a minute: the job waits meanwhile, and so do its senders. When it can't for long, the engine
    /// must be given up: its results must not go on with a gap before them.
    pub async fn keep(&self, write: ResultWrite) -> Result<()> {
        let mut pause = Duration::from_millis(500);
        let mut tries = 0;
        loop {
            match self.store.write_results(&self.job_id, write.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Database(_)) if tries < self.cluster.result_retries() => {
                    tracing::warn!(job_id = %self.job_id, %error, "results can't be written; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(Duration::from_secs(30));
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// That it can't be told is no reason to fail.
    async fn tell_memory_status(&self, before: MemoryStatus, now: &ModelSize) {
        if now.memory_status <= before {
            return;
        }
        let (level, message) = match now.memory_status {
            MemoryStatus::Ok => return,
            MemoryStatus::SoftLimit => (
                "warning",
                "Job memory status changed to soft_limit; memory pruning will now be more aggressive".to_owned(),
            ),
            MemoryStatus::HardLimit => (
                "error",
                format!(
                    "Job memory status changed to hard_limit; job exceeded model memory limit {}b by {}b. Adjust the \
                     analysis_limits.model_memory_limit setting to ensure all data is analyzed",
                    now.model_bytes_memory_limit, now.model_bytes_exceeded
                ),
            ),
        };
        self.tell(level, &message).await;
    }

    async fn tell(&self, level: &str, message: &str) {
        let told = self
            .store
            .notify(Some(&self.job_id), level, message, self.clock.now())
            .await;
        if let Err(error) = told {
            tracing::warn!(job_id = %self.job_id, %error, "a notification could not be stored");
        }
    }
}
