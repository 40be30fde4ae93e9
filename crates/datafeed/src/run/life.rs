//! A run from its beginning to its end.

use std::sync::Arc;

use tidewatch_jobs::Jobs;
use tokio::sync::watch;

use super::{Asked, Ending, Plan, Shown};
use crate::source::Source;

pub(super) struct Life {
    jobs: Jobs,
    source: Arc<dyn Source>,
    plan: Plan,
    shown: Arc<Shown>,
    asked: watch::Receiver<Asked>,
}

impl Life {
    pub fn new(
        jobs: Jobs,
        source: Arc<dyn Source>,
        plan: Plan,
        shown: Arc<Shown>,
        asked: watch::Receiver<Asked>,
    ) -> Self {
        Self {
            jobs,
            source,
            plan,
            shown,
            asked,
        }
    }

    pub async fn run(mut self) -> Ending {
        let _ = (&self.jobs, &self.source, &self.plan, &self.shown);
        let _ = self.asked.wait_for(|asked| *asked != Asked::GoOn).await;
        Ending::Left
    }
}
