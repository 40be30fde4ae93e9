//! A job as it is asked for.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::units::{Memory, TimeSpan};

use super::limits::DEFAULT_MEMORY_LIMIT;
use super::{AnalysisLimits, DataDescription, JOB_VERSION, Job, ModelPlotConfig};
use crate::error::{JobError, Result};

const DEFAULT_SNAPSHOT_RETENTION_DAYS: i64 = 10;

/// The body of a request to create a job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    pub job_id: Option<String>,
    pub groups: Option<Vec<String>>,
    pub description: Option<String>,
    pub analysis_config: Option<AnalysisConfig>,
    pub analysis_limits: Option<AnalysisLimits>,
    pub data_description: Option<DataDescription>,
    pub model_plot_config: Option<ModelPlotConfig>,
    pub renormalization_window_days: Option<i64>,
    pub background_persist_interval: Option<TimeSpan>,
    pub results_retention_days: Option<i64>,
    pub model_snapshot_retention_days: Option<i64>,
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    pub custom_settings: Option<Map<String, Value>>,
    pub results_index_name: Option<String>,
    pub allow_lazy_open: Option<bool>,
    pub datafeed_config: Option<Value>,
}

impl NewJob {
    /// The job that was asked for, its defaults filled in. `max_memory_limit` is the cluster's setting.
    pub fn build(
        self,
        job_id: &str,
        create_time: i64,
        max_memory_limit: Option<Memory>,
    ) -> Result<Job> {
        if let Some(other) = self.job_id.as_deref().filter(|other| *other != job_id) {
            return Err(JobError::illegal_argument(format!(
                "Inconsistent job_id; '{other}' specified in the body differs from '{job_id}' specified as a URL argument"
            )));
        }
        if self.datafeed_config.is_some() {
            return Err(JobError::bad_request(
                "datafeed_config is not supported by this version of tidewatch",
            ));
        }
        let missing = |what: &str| JobError::illegal_argument(format!("[{what}] must not be null"));
        let analysis_config = self
            .analysis_config
            .ok_or_else(|| JobError::illegal_argument("An analysis_config must be set"))?;
        let data_description = self
            .data_description
            .ok_or_else(|| missing("data_description"))?;
        let mut analysis_limits = self.analysis_limits.unwrap_or_else(|| AnalysisLimits {
            model_memory_limit: max_memory_limit
                .map_or(DEFAULT_MEMORY_LIMIT, |max| max.min(DEFAULT_MEMORY_LIMIT)),
            ..AnalysisLimits::default()
        });
        // What is told to clients in mebibytes is kept in mebibytes.
        analysis_limits.model_memory_limit =
            Memory::mebibytes(analysis_limits.model_memory_limit.as_mebibytes());
        let retention = self
            .model_snapshot_retention_days
            .unwrap_or(DEFAULT_SNAPSHOT_RETENTION_DAYS);
        let job = Job {
            job_id: job_id.to_owned(),
            job_type: "anomaly_detector".to_owned(),
            job_version: JOB_VERSION.to_owned(),
            create_time,
            finished_time: None,
            model_snapshot_id: None,
            model_snapshot_min_version: None,
            custom_settings: self.custom_settings,
            groups: self.groups.unwrap_or_default(),
            description: self.description,
            analysis_config,
            analysis_limits,
            data_description,
            model_plot_config: self.model_plot_config,
            renormalization_window_days: self.renormalization_window_days,
            background_persist_interval: self.background_persist_interval,
            model_snapshot_retention_days: retention,
            daily_model_snapshot_retention_after_days: self
                .daily_model_snapshot_retention_after_days
                .or((retention > 1).then_some(1)),
            results_retention_days: self.results_retention_days,
            results_index_name: match self.results_index_name.as_deref() {
                None | Some("" | "shared") => "shared".to_owned(),
                Some(name) if name.starts_with("custom-") => name.to_owned(),
                Some(name) => format!("custom-{name}"),
            },
            deleting: false,
            allow_lazy_open: self.allow_lazy_open.unwrap_or(false),
            blocked: None,
        };
        job.check(max_memory_limit)?;
        Ok(job)
    }
}
