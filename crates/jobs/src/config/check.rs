//! The rules between the fields of a job, in Elasticsearch's order: of two things that are wrong it tells the first.

use tidewatch_model::config::{Detector, check_whole_seconds};
use tidewatch_model::units::{Grouped, TimeSpan};

use super::Job;
use super::ids::{check_group, is_valid_id, same_name};
use crate::error::{JobError, Result};

const MAX_ID: usize = 64;

/// Refuses a number below its least value.
fn at_least(name: &str, value: Option<i64>, least: i64) -> Result<()> {
    match value {
        Some(value) if value < least => Err(JobError::illegal_argument(format!(
            "{name} cannot be less than {}. Value = {}",
            Grouped(least),
            Grouped(value)
        ))),
        _ => Ok(()),
    }
}

fn check_id(name: &str, id: &str) -> Result<()> {
    match is_valid_id(id) {
        true => Ok(()),
        false => Err(JobError::illegal_argument(format!(
            "Invalid {name}; '{id}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; must \
             start and end with alphanumeric"
        ))),
    }
}

impl Job {
    /// The rules that hold for any job; those within one field hold since it was read.
    pub fn check(&self) -> Result<()> {
        let analysed = self.analysis_config.analysis_fields();
        if analysed.contains(&self.data_description.time_field.as_str()) {
            return Err(JobError::illegal_argument(
                "data_description.time_field may not be used in the analysis_config",
            ));
        }
        if let Some(interval) = self.background_persist_interval {
            check_whole_seconds("background_persist_interval", interval)?;
        }
        at_least(
            "background_persist_interval",
            self.background_persist_interval.map(TimeSpan::as_secs),
            3_600,
        )?;
        at_least(
            "renormalization_window_days",
            self.renormalization_window_days,
            0,
        )?;
        at_least("results_retention_days", self.results_retention_days, 0)?;
        check_id("job_id", &self.job_id)?;
        if self.job_id.len() > MAX_ID {
            return Err(JobError::illegal_argument(
                "The job id cannot contain more than 64 characters.",
            ));
        }
        self.check_retention()?;
        self.check_forest()?;
        for group in &self.groups {
            check_group(group)?;
            if *group == self.job_id {
                return Err(same_name(group, group));
            }
        }
        match self.results_index_name.as_str() {
            "" => Ok(()),
            name => check_id("results_index_name", name),
        }
    }

    fn check_retention(&self) -> Result<()> {
        let (all, daily) = (
            self.model_snapshot_retention_days,
            self.daily_model_snapshot_retention_after_days,
        );
        at_least("model_snapshot_retention_days", Some(all), 0)?;
        at_least("daily_model_snapshot_retention_after_days", daily, 0)?;
        match daily {
            Some(daily) if daily > all => Err(JobError::illegal_argument(format!(
                "The value of daily_model_snapshot_retention_after_days [{}] cannot be greater than \
                 model_snapshot_retention_days [{}]",
                Grouped(daily),
                Grouped(all)
            ))),
            _ => Ok(()),
        }
    }

    /// A new job has no detector twice. One that is updated may come to have: nobody is told to undo a description.
    pub fn check_detectors_differ(&self) -> Result<()> {
        let detectors = &self.analysis_config.detectors;
        let unnumbered = |detector: &Detector| Detector {
            detector_index: 0,
            ..detector.clone()
        };
        for (i, detector) in detectors.iter().enumerate() {
            let mut before = detectors[..i].iter();
            if before.any(|other| unnumbered(other) == unnumbered(detector)) {
                return Err(JobError::illegal_argument(format!(
                    "Duplicate detectors are not allowed: [{}]",
                    detector.detector_description
                )));
            }
        }
        Ok(())
    }
}
