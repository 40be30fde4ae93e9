//! What all jobs come to, as the cluster reports its use.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::Job;
use crate::error::Result;
use crate::forecasts::{Figures, ForecastStats};
use crate::manager::Jobs;

/// Some jobs, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct JobsUsage {
    pub count: u64,
    pub detectors: Figures,
    /// How many jobs who has made.
    pub created_by: BTreeMap<String, u64>,
    /// Bytes of their models.
    pub model_size: Figures,
    pub forecasts: ForecastStats,
}

/// What is counted of one job.
struct One {
    detectors: u64,
    created_by: String,
    model_bytes: u64,
    forecasts: ForecastStats,
}

impl JobsUsage {
    fn of(jobs: &[&One]) -> Self {
        let mut created_by = BTreeMap::new();
        for job in jobs {
            *created_by.entry(job.created_by.clone()).or_default() += 1;
        }
        Self {
            count: jobs.len() as u64,
            detectors: Figures::of(jobs.iter().map(|job| job.detectors)),
            created_by,
            model_size: Figures::of(jobs.iter().map(|job| job.model_bytes)),
            forecasts: ForecastStats::together(jobs.iter().map(|job| &job.forecasts)),
        }
    }
}

/// Who made a job, as far as it says, in letters, digits and underscores: it becomes a field's name.
fn created_by(job: &Job) -> String {
    let settings = job.custom_settings.as_ref();
    let Some(name) = settings.and_then(|settings| settings.get("created_by")) else {
        return "unknown".to_owned();
    };
    let name = name
        .as_str()
        .map_or_else(|| name.to_string(), str::to_owned);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(plain).collect()
}

impl Jobs {
    /// All jobs, as `_all`, and those of each state that there is one in. Nothing where their results cannot be read:
    /// the use of the rest is told all the same.
    pub async fn usage(&self) -> Result<BTreeMap<String, JobsUsage>> {
        let ids: Vec<String> = self.0.jobs.read().keys().cloned().collect();
        let ids = ids.iter().map(String::as_str);
        if self.check_results_open(ids).await.is_err() {
            return Ok(BTreeMap::new());
        }
        let mut forecasts = self.forecast_stats().await?;
        let mut counted: Vec<(&str, One)> = Vec::new();
        for entry in self.0.jobs.read().values() {
            let job = entry.job.read();
            let one = One {
                detectors: job.analysis_config.detectors.len() as u64,
                created_by: created_by(&job),
                model_bytes: entry.live.read().size.model_bytes,
                forecasts: forecasts.remove(&job.job_id).unwrap_or_default(),
            };
            counted.push((entry.status.read().state.name(), one));
        }
        let all: Vec<&One> = counted.iter().map(|(_, one)| one).collect();
        let mut usage = BTreeMap::from([("_all".to_owned(), JobsUsage::of(&all))]);
        let mut states: BTreeMap<&str, Vec<&One>> = BTreeMap::new();
        for (state, one) in &counted {
            states.entry(state).or_default().push(one);
        }
        let of_states = states.into_iter();
        usage.extend(of_states.map(|(state, jobs)| (state.to_owned(), JobsUsage::of(&jobs))));
        Ok(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_counted_together() {
        let one = |detectors, created_by: &str, model_bytes| One {
            detectors,
            created_by: created_by.to_owned(),
            model_bytes,
            forecasts: ForecastStats::default(),
        };
        let jobs = [
            one(1, "unknown", 0),
            one(4, "a_b", 30),
            one(1, "unknown", 3),
        ];
        let usage = JobsUsage::of(&jobs.iter().collect::<Vec<_>>());
        assert_eq!(
            serde_json::to_value(usage).expect("json"),
            serde_json::json!({
                "count": 3, "created_by": {"a_b": 1, "unknown": 2},
                "detectors": {"total": 6.0, "min": 1.0, "avg": 2.0, "max": 4.0},
                "model_size": {"total": 33.0, "min": 0.0, "avg": 11.0, "max": 30.0},
                "forecasts": {"total": 0, "forecasted_jobs": 0}
            })
        );
    }
}
