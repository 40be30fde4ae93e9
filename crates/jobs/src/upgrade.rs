//! Upgrade mode: what open jobs do when it begins, and when it ends.

use std::sync::Arc;

use crate::entry::{Entry, State};
use crate::manager::Jobs;

impl Jobs {
    /// Saves every open job and stops its runner; its state stays what it is.
    pub(crate) async fn stand_still(&self) {
        for entry in self.entries() {
            let _life = entry.life.lock().await;
            let runner = entry.runner.write().take();
            entry.status.write().opened_at = None;
            if let Some(runner) = runner
                && let Err(error) = runner.finish().await
            {
                let job_id = entry.job.read().job_id.clone();
                tracing::warn!(job_id, %error, "the job could not be saved; its journal is kept");
            }
        }
    }

    /// Runs what is open in name.
    pub(crate) async fn go_on(&self) {
        for entry in self.entries() {
            let _life = entry.life.lock().await;
            // One that is just being deleted has lost its runner for good.
            let is_open = entry.status.read().state == State::Opened && entry.blocked().is_none();
            if is_open && entry.runner.read().is_none() {
                self.take_up_again(&entry).await;
            }
        }
    }

    /// Runs a job that ran before. It has its room, whatever the settings say now.
    pub(crate) async fn take_up_again(&self, entry: &Arc<Entry>) {
        if let Err(error) = self.run(entry).await {
            let job_id = entry.job.read().job_id.clone();
            tracing::error!(job_id, %error, "the job could not be taken up");
        }
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.jobs.read().values().cloned().collect()
    }
}
