//! Changes to a job: the body of `_update`.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tidewatch_model::config::{CategorizationConfig, CustomRule, PerPartition, check_prune_window};
use tidewatch_model::units::{Memory, TimeSpan};

use crate::config::{AnalysisLimits, Job, ModelPlotConfig};
use crate::error::{JobError, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobUpdate {
    pub job_id: Option<String>,
    pub groups: Option<Vec<String>>,
    pub description: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub detectors: Vec<DetectorUpdate>,
    pub model_plot_config: Option<ModelPlotConfig>,
    pub analysis_limits: Option<AnalysisLimits>,
    pub background_persist_interval: Option<TimeSpan>,
    pub renormalization_window_days: Option<i64>,
    pub results_retention_days: Option<i64>,
    pub model_snapshot_retention_days: Option<i64>,
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    pub categorization_filters: Option<Vec<String>>,
    pub per_partition_categorization: Option<PerPartition>,
    pub custom_settings: Option<Map<String, Value>>,
    pub allow_lazy_open: Option<bool>,
    pub model_prune_window: Option<TimeSpan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorUpdate {
    pub detector_index: usize,
    pub description: Option<String>,
    pub custom_rules: Option<Vec<CustomRule>>,
}

/// The documentation's own example gives one detector without a list around it.
fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<DetectorUpdate>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let list = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    list.into_iter()
        .map(|one| DetectorUpdate::deserialize(one).map_err(serde::de::Error::custom))
        .collect()
}

/// What an update may lean on: how the job stands now.
pub struct Standing {
    pub is_open: bool,
    pub model_bytes: u64,
    pub max_memory_limit: Option<Memory>,
}

impl JobUpdate {
    /// The job after the update, and the names of what changed. The job stays as it was when anything is refused.
    pub fn apply(self, job: &Job, standing: &Standing) -> Result<(Job, Vec<&'static str>)> {
        let mut new = job.clone();
        let mut changed = Vec::new();
        macro_rules! set {
            ($($field:ident => $place:expr),* $(,)?) => {$(
                if let Some(value) = self.$field {
                    $place = value.into();
                    changed.push(stringify!($field));
                }
            )*};
        }
        if let Some(other) = self.job_id.as_deref().filter(|other| *other != job.job_id) {
            return Err(JobError::illegal_argument(format!(
                "Inconsistent job_id; '{other}' specified in the body differs from '{}' specified as a URL argument",
                job.job_id
            )));
        }
        for name in update_categories(
            &mut new.analysis_config.categorization,
            self.categorization_filters.as_deref(),
            self.per_partition_categorization,
        )? {
            changed.push(name);
        }
        for update in self.detectors {
            let count = new.analysis_config.detectors.len();
            let Some(detector) = new.analysis_config.detectors.get_mut(update.detector_index)
            else {
                return Err(JobError::bad_request(format!(
                    "Supplied detector_index [{}] is >= the number of detectors [{count}]",
                    update.detector_index
                )));
            };
            if let Some(rules) = update.custom_rules {
                detector.custom_rules = rules;
                detector.check_rules()?;
            }
            if let Some(description) = update.description {
                detector.detector_description = description;
            }
            if !changed.contains(&"detectors") {
                changed.push("detectors");
            }
        }
        if let Some(limits) = &self.analysis_limits {
            check_limits(limits, job, standing)?;
        }
        if let Some(window) = self.model_prune_window {
            check_prune_window(window, job.analysis_config.bucket_span)?;
        }
        set! {
            groups => new.groups,
            description => new.description,
            model_plot_config => new.model_plot_config,
            analysis_limits => new.analysis_limits,
            background_persist_interval => new.background_persist_interval,
            renormalization_window_days => new.renormalization_window_days,
            results_retention_days => new.results_retention_days,
            model_snapshot_retention_days => new.model_snapshot_retention_days,
            daily_model_snapshot_retention_after_days => new.daily_model_snapshot_retention_after_days,
            custom_settings => new.custom_settings,
            allow_lazy_open => new.allow_lazy_open,
            model_prune_window => new.analysis_config.model_prune_window,
        }
        new.check(standing.max_memory_limit)?;
        Ok((new, changed))
    }
}

/// Returns the names of what changed.
fn update_categories(
    config: &mut Option<CategorizationConfig>,
    filters: Option<&[String]>,
    per_partition: Option<PerPartition>,
) -> Result<Vec<&'static str>> {
    let mut changed = Vec::new();
    let missing = |name: &str| {
        JobError::bad_request(format!(
            "{name} cannot be updated: the job has no categorization_field_name"
        ))
    };
    if let Some(filters) = filters {
        let old = config
            .take()
            .ok_or_else(|| missing("categorization_filters"))?;
        *config = Some(old.with_filters(filters)?);
        changed.push("categorization_filters");
    }
    if let Some(per_partition) = per_partition {
        let config = config
            .as_mut()
            .ok_or_else(|| missing("per_partition_categorization"))?;
        if config.per_partition.enabled != per_partition.enabled {
            return Err(JobError::bad_request(
                "analysis_config.per_partition_categorization.enabled cannot be updated",
            ));
        }
        config.per_partition = per_partition;
        changed.push("per_partition_categorization");
    }
    Ok(changed)
}

fn check_limits(limits: &AnalysisLimits, job: &Job, standing: &Standing) -> Result<()> {
    let (old, new) = (
        job.analysis_limits.model_memory_limit,
        limits.model_memory_limit,
    );
    if standing.is_open && old != new {
        return Err(JobError::bad_request(
            "Cannot update analysis_limits while the job is open",
        ));
    }
    if new < old && new.bytes < standing.model_bytes {
        let used = Memory {
            bytes: standing.model_bytes + (1 << 20) - 1,
        };
        return Err(JobError::bad_request(format!(
            "Invalid update value for analysis_limits: model_memory_limit cannot be decreased below current usage; \
             current usage [{used}], update had [{new}]"
        )));
    }
    Ok(())
}
