//! A job as it is asked for.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_model::config::{AnalysisConfig, given, new_analysis};
use tidewatch_model::units::{Memory, TimeSpan};

use super::{AnalysisLimits, DataDescription, JOB_VERSION, Job, ModelPlotConfig, NewLimits};
use crate::error::{JobError, Result};

const DEFAULT_SNAPSHOT_RETENTION_DAYS: i64 = 10;
const DEFAULT_DAILY_AFTER_DAYS: i64 = 1;

/// The body of a request to create a job. `D` is its datafeed, which is not the job's to read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "D: Deserialize<'de>"))]
pub struct NewJob<D = Value> {
    #[serde(default, deserialize_with = "given")]
    pub job_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub groups: Option<Vec<String>>,
    /// A null is no description.
    pub description: Option<String>,
    #[serde(default, deserialize_with = "new_analysis")]
    pub analysis_config: Option<AnalysisConfig>,
    #[serde(default, deserialize_with = "given")]
    pub analysis_limits: Option<NewLimits>,
    #[serde(default, deserialize_with = "given")]
    pub data_description: Option<DataDescription>,
    #[serde(default, deserialize_with = "given")]
    pub model_plot_config: Option<ModelPlotConfig>,
    #[serde(default, deserialize_with = "given")]
    pub renormalization_window_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub background_persist_interval: Option<TimeSpan>,
    #[serde(default, deserialize_with = "given")]
    pub results_retention_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub model_snapshot_retention_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub custom_settings: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    pub results_index_name: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub allow_lazy_open: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    pub datafeed_config: Option<D>,
}

impl<D> NewJob<D> {
    /// The job that was asked for, its defaults filled in, without its datafeed. `max_memory_limit` is the cluster's
    /// setting.
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
        let missing = |what: &str| JobError::illegal_argument(format!("{what} must be set"));
        let analysis_config = self
            .analysis_config
            .ok_or_else(|| missing("An analysis_config"))?;
        let data_description = self
            .data_description
            .ok_or_else(|| missing("A data_description"))?;
        let index = self.results_index_name.unwrap_or_default();
        let retention = self
            .model_snapshot_retention_days
            .unwrap_or(DEFAULT_SNAPSHOT_RETENTION_DAYS);
        let mut job = Job {
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
            analysis_limits: AnalysisLimits::default(),
            data_description,
            model_plot_config: self.model_plot_config,
            renormalization_window_days: self.renormalization_window_days,
            background_persist_interval: self.background_persist_interval,
            model_snapshot_retention_days: retention,
            daily_model_snapshot_retention_after_days: self
                .daily_model_snapshot_retention_after_days,
            results_retention_days: self.results_retention_days,
            results_index_name: index.clone(),
            deleting: false,
            allow_lazy_open: self.allow_lazy_open.unwrap_or(false),
            blocked: None,
        };
        job.check()?;
        job.check_detectors_differ()?;
        job.take_over_play()?;
        job.analysis_limits = self
            .analysis_limits
            .unwrap_or_default()
            .fill(max_memory_limit)?;
        if retention > DEFAULT_DAILY_AFTER_DAYS {
            job.daily_model_snapshot_retention_after_days
                .get_or_insert(DEFAULT_DAILY_AFTER_DAYS);
        }
        job.results_index_name = match index.as_str() {
            "" | "shared" => "shared".to_owned(),
            name if name.starts_with("custom-") => index,
            name => format!("custom-{name}"),
        };
        Ok(job)
    }
}
