//! The rules between the fields of a job.

use tidewatch_model::config::Detector;
use tidewatch_model::units::{Memory, TimeSpan};

use super::Job;
use super::ids::{check_group, is_valid_id, same_name};
use crate::error::{JobError, Result};

const MAX_ID: usize = 64;

/// Refuses a number below its least value, in Elasticsearch's words.
fn at_least(name: &str, value: Option<i64>, least: i64) -> Result<()> {
    match value {
        Some(value) if value < least => Err(JobError::illegal_argument(format!(
            "{name} cannot be less than {}. Value = {}",
            grouped(least),
            grouped(value)
        ))),
        _ => Ok(()),
    }
}

/// A number with commas between thousands, as Java's messages have it.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

impl Job {
    /// The rules that hold between fields; those within one hold since it was read.
    pub fn check(&self, max_memory_limit: Option<Memory>) -> Result<()> {
        if !is_valid_id(&self.job_id) {
            return Err(JobError::illegal_argument(format!(
                "Invalid job_id; '{}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; must \
                 start and end with alphanumeric",
                self.job_id
            )));
        }
        if self.job_id.len() > MAX_ID {
            return Err(JobError::illegal_argument(
                "The job id cannot contain more than 64 characters.",
            ));
        }
        at_least(
            "renormalization_window_days",
            self.renormalization_window_days,
            0,
        )?;
        at_least(
            "background_persist_interval",
            self.background_persist_interval.map(TimeSpan::as_secs),
            3_600,
        )?;
        at_least("results_retention_days", self.results_retention_days, 0)?;
        at_least(
            "model_snapshot_retention_days",
            Some(self.model_snapshot_retention_days),
            0,
        )?;
        at_least(
            "daily_model_snapshot_retention_after_days",
            self.daily_model_snapshot_retention_after_days,
            0,
        )?;
        if let Some(daily) = self.daily_model_snapshot_retention_after_days
            && daily > self.model_snapshot_retention_days
        {
            return Err(JobError::illegal_argument(format!(
                "The value of daily_model_snapshot_retention_after_days [{daily}] cannot be greater than \
                 model_snapshot_retention_days [{}]",
                self.model_snapshot_retention_days
            )));
        }
        self.groups
            .iter()
            .try_for_each(|group| check_group(group))?;
        if self.groups.contains(&self.job_id) {
            return Err(same_name(&self.job_id, &self.job_id));
        }
        if !is_valid_id(&self.results_index_name) {
            return Err(JobError::illegal_argument(format!(
                "Invalid results_index_name; '{}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or \
                 underscores; must start and end with alphanumeric",
                self.results_index_name
            )));
        }
        if self
            .analysis_config
            .analysis_fields()
            .contains(&self.data_description.time_field.as_str())
        {
            return Err(JobError::illegal_argument(
                "data_description.time_field may not be used in the analysis_config",
            ));
        }
        let detectors = &self.analysis_config.detectors;
        let unnumbered = |detector: &Detector| Detector {
            detector_index: 0,
            ..detector.clone()
        };
        for (i, detector) in detectors.iter().enumerate() {
            if detectors[..i]
                .iter()
                .any(|other| unnumbered(other) == unnumbered(detector))
            {
                return Err(JobError::illegal_argument(format!(
                    "Duplicate detectors are not allowed: [{}]",
                    detector.detector_description
                )));
            }
        }
        let limit = self.analysis_limits.model_memory_limit;
        if limit.as_mebibytes() < 1 {
            return Err(JobError::bad_request(format!(
                "model_memory_limit must be at least 1 MiB. Value = {}",
                limit.as_mebibytes()
            )));
        }
        match max_memory_limit {
            Some(max) if limit > max => Err(JobError::bad_request(format!(
                "model_memory_limit [{}] must be less than the value of the xpack.ml.max_model_memory_limit setting \
                 [{}]",
                short_memory(limit),
                short_memory(max)
            ))),
            _ => Ok(()),
        }
    }
}

/// In the largest unit that divides it: `10gb`.
fn short_memory(memory: Memory) -> String {
    match memory.as_mebibytes() {
        mib if mib > 0 && mib % 1024 == 0 => format!("{}gb", mib / 1024),
        mib => format!("{mib}mb"),
    }
}
