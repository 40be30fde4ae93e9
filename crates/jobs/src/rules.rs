//! The rules of a job: those of its detectors, the filters that they name, and the events of its calendars.

use tidewatch_model::rules::RuleSet;

use crate::config::Job;
use crate::error::Result;
use crate::manager::Jobs;

impl Jobs {
    /// The rules of a job as they are now.
    pub(crate) async fn rule_set(&self, job: &Job) -> Result<RuleSet> {
        let (filters, events) = (self.filter_items(job).await?, self.events_for(job).await?);
        Ok(RuleSet::new(&job.analysis_config, filters, events))
    }
}
