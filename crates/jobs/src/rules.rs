//! The rules of a job: those of its detectors, the filters that they name, and the events of its calendars. An open job
//! hears of each change of them.

use std::sync::Arc;

use tidewatch_model::rules::RuleSet;

use crate::config::Job;
use crate::entry::Entry;
use crate::error::Result;
use crate::manager::Jobs;
use crate::runner::Command;

impl Jobs {
    /// The rules of a job as they are now.
    async fn rule_set(&self, job: &Job) -> Result<RuleSet> {
        let (filters, events) = (self.filter_items(job).await?, self.events_for(job).await?);
        Ok(RuleSet::new(&job.analysis_config, filters, events))
    }

    /// Hands a job its rules as they are now, if it is open. They hold for all that it is sent after this. `false`: it
    /// is not open.
    pub(crate) async fn send_rules(&self, entry: &Entry) -> Result<bool> {
        let _rules = entry.rules.lock().await;
        let Some(runner) = entry.runner.read().clone() else {
            return Ok(false);
        };
        let job = entry.job.read().clone();
        let rules = self.rule_set(&job).await?;
        match runner.submit(Command::Rules(rules)).await {
            Ok(_) => Ok(true),
            // It has just been closed.
            Err(error) if error.status == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands the open ones of some jobs their rules, side by side: one that is at work must not hold up the others.
    /// `told` is noted of each. The change is made: where a job can't take it, that is noted, and no failure.
    pub(crate) async fn spread_rules(&self, concerns: impl Fn(&Job) -> bool, told: &str) {
        let entries: Vec<Arc<Entry>> = {
            let jobs = self.0.jobs.read();
            let all = jobs.values();
            all.filter(|entry| concerns(&entry.job.read()))
                .cloned()
                .collect()
        };
        let mut sending = Vec::new();
        for entry in entries {
            let (jobs, told) = (self.clone(), told.to_owned());
            sending.push(tokio::spawn(async move {
                let job_id = entry.job.read().job_id.clone();
                match jobs.send_rules(&entry).await {
                    Ok(true) => jobs.notify(&job_id, "info", &told).await,
                    Ok(false) => {}
                    Err(error) => {
                        let message = format!("The job could not take its new rules: {error}");
                        jobs.notify(&job_id, "warning", &message).await;
                    }
                }
            }));
        }
        for sent in sending {
            if let Err(error) = sent.await {
                tracing::error!(%error, "rules could not be handed over");
            }
        }
    }
}
