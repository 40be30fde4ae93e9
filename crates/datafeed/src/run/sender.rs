//! Pages on their way to the job: each is one command in its journal, and is analysed while the next are read.

use std::collections::VecDeque;

use tidewatch_jobs::{Applied, JobError, Jobs};
use tokio::sync::oneshot;

use super::Shown;
use super::undisturbed::Undisturbed;
use crate::source::Page;

/// Pages that wait for their analysis, or are at it: more are not read.
const AHEAD: usize = 2;

pub(super) struct Sender<'a> {
    jobs: &'a Jobs,
    job_id: &'a str,
    shown: &'a Shown,
    undisturbed: &'a Undisturbed,
    at_work: VecDeque<oneshot::Receiver<Result<Applied, JobError>>>,
    /// Records that have been analysed.
    pub records: u64,
}

impl<'a> Sender<'a> {
    pub fn new(
        jobs: &'a Jobs,
        job_id: &'a str,
        shown: &'a Shown,
        undisturbed: &'a Undisturbed,
    ) -> Self {
        Self {
            undisturbed,
            jobs,
            job_id,
            shown,
            at_work: VecDeque::with_capacity(AHEAD),
            records: 0,
        }
    }

    /// Returns when the page is durable, and all but the last few are analysed.
    pub async fn send(&mut self, page: Page) -> Result<(), JobError> {
        let Page { batch, until } = page;
        let (jobs, job_id) = (self.jobs.clone(), self.job_id.to_owned());
        let append = async move { jobs.append(&job_id, batch).await };
        let applied = self.undisturbed.run(append).await?;
        self.shown.read_until(until);
        self.at_work.push_back(applied);
        while self.at_work.len() > AHEAD {
            self.wait().await?;
        }
        Ok(())
    }

    /// Returns when all is analysed.
    pub async fn drain(&mut self) -> Result<(), JobError> {
        while !self.at_work.is_empty() {
            self.wait().await?;
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), JobError> {
        let Some(applied) = self.at_work.pop_front() else {
            return Ok(());
        };
        let lost = || JobError::conflict(format!("job [{}] lost what it was sent", self.job_id));
        let applied = applied.await.map_err(|_| lost())??;
        self.records += applied.counts.processed_record_count;
        self.shown.analysed(&applied.counts);
        Ok(())
    }
}
