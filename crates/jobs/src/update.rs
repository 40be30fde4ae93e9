//! Changes to a job: the body of `_update`.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tidewatch_model::config::given;
use tidewatch_model::config::{CategorizationConfig, CustomRule, PerPartition, check_prune_window};
use tidewatch_model::units::{Memory, TimeSpan};

use crate::config::{Job, ModelPlotConfig, NewLimits};
use crate::error::{JobError, Result};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobUpdate {
    /// Taken and not used: the job is that of the path.
    #[serde(default, rename = "job_id", deserialize_with = "given")]
    _job_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub groups: Option<Vec<String>>,
    /// A null leaves it as it is.
    pub description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub detectors: Option<Vec<DetectorUpdate>>,
    #[serde(default, deserialize_with = "given")]
    pub model_plot_config: Option<ModelPlotConfig>,
    #[serde(default, deserialize_with = "given")]
    pub analysis_limits: Option<NewLimits>,
    #[serde(default, deserialize_with = "given")]
    pub background_persist_interval: Option<TimeSpan>,
    #[serde(default, deserialize_with = "given")]
    pub renormalization_window_days: Option<i64>,
    /// For ever, where none are given. No body says that: a null is refused.
    #[serde(default, deserialize_with = "given_days")]
    pub results_retention_days: Option<Option<i64>>,
    #[serde(default, deserialize_with = "given")]
    pub model_snapshot_retention_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    pub categorization_filters: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    pub per_partition_categorization: Option<PerPartition>,
    #[serde(default, deserialize_with = "given")]
    pub custom_settings: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "given")]
    pub allow_lazy_open: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    pub model_prune_window: Option<TimeSpan>,
}

fn given_days<'d, D: Deserializer<'d>>(
    from: D,
) -> std::result::Result<Option<Option<i64>>, D::Error> {
    i64::deserialize(from).map(|days| Some(Some(days)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorUpdate {
    pub detector_index: usize,
    /// A null leaves it as it is.
    pub description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub custom_rules: Option<Vec<CustomRule>>,
}

/// What an update may lean on: how the job stands now.
pub struct Standing {
    pub is_open: bool,
    pub model_bytes: u64,
    pub max_memory_limit: Option<Memory>,
}

impl JobUpdate {
    /// The job after the update, and the names of the fields that it has, sorted. The job stays as it was when anything
    /// is refused.
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
        if let Some(limit) = self
            .analysis_limits
            .as_ref()
            .and_then(|l| l.model_memory_limit)
        {
            check_memory_limit(limit, standing)?;
        }
        for update in self.detectors.iter().flatten() {
            update_detector(&mut new, update)?;
        }
        if self.detectors.is_some() {
            changed.push("detectors");
        }
        if let Some(limits) = self.analysis_limits {
            new.analysis_limits = limits.fill(standing.max_memory_limit)?;
            changed.push("analysis_limits");
        }
        let categorization = &mut new.analysis_config.categorization;
        if let Some(per_partition) = self.per_partition_categorization {
            update_partitions(categorization, per_partition)?;
            changed.push("per_partition_categorization");
        }
        if let Some(window) = self.model_prune_window {
            check_prune_window(window, job.analysis_config.bucket_span)?;
        }
        if let Some(filters) = &self.categorization_filters {
            update_filters(categorization, filters)?;
            changed.push("categorization_filters");
        }
        set! {
            groups => new.groups,
            description => new.description,
            model_plot_config => new.model_plot_config,
            background_persist_interval => new.background_persist_interval,
            renormalization_window_days => new.renormalization_window_days,
            results_retention_days => new.results_retention_days,
            model_snapshot_retention_days => new.model_snapshot_retention_days,
            daily_model_snapshot_retention_after_days => new.daily_model_snapshot_retention_after_days,
            custom_settings => new.custom_settings,
            allow_lazy_open => new.allow_lazy_open,
            model_prune_window => new.analysis_config.model_prune_window,
        }
        new.check()?;
        if new.forest().is_some() != job.forest().is_some() {
            return Err(JobError::bad_request(
                "custom_settings.engine cannot be updated",
            ));
        }
        if changed.contains(&"custom_settings") && new.take_over_play()? {
            changed.push("model_plot_config");
        }
        changed.sort_unstable();
        Ok((new, changed))
    }
}

fn update_detector(job: &mut Job, update: &DetectorUpdate) -> Result<()> {
    let count = job.analysis_config.detectors.len();
    let detectors = &mut job.analysis_config.detectors;
    let Some(detector) = detectors.get_mut(update.detector_index) else {
        return Err(JobError::bad_request(format!(
            "Supplied detector_index [{}] is >= the number of detectors [{count}]",
            update.detector_index
        )));
    };
    if let Some(rules) = &update.custom_rules {
        detector.custom_rules.clone_from(rules);
        detector.check_rules()?;
    }
    if let Some(description) = &update.description {
        detector.detector_description.clone_from(description);
    }
    Ok(())
}

/// Of a job without categories nothing is kept.
fn update_partitions(
    config: &mut Option<CategorizationConfig>,
    update: PerPartition,
) -> Result<()> {
    let enabled = config.as_ref().is_some_and(|c| c.per_partition.enabled);
    if enabled != update.enabled {
        return Err(JobError::bad_request(
            "analysis_config.per_partition_categorization.enabled cannot be updated",
        ));
    }
    if let Some(config) = config {
        config.per_partition = update;
    }
    Ok(())
}

fn update_filters(config: &mut Option<CategorizationConfig>, filters: &[String]) -> Result<()> {
    match config.take() {
        Some(old) => *config = Some(old.with_filters(filters)?),
        None if filters.is_empty() => {}
        None => {
            return Err(JobError::bad_request(
                "categorization_filters require setting categorization_field_name",
            ));
        }
    }
    Ok(())
}

/// An open job keeps its limit; a closed one's doesn't go below what its model takes, in whole mebibytes.
fn check_memory_limit(new: Memory, standing: &Standing) -> Result<()> {
    if standing.is_open {
        return Err(JobError::bad_request(
            "Cannot update analysis_limits while the job is open",
        ));
    }
    let used = Memory {
        bytes: standing.model_bytes,
    };
    if new.as_mebibytes() < used.as_mebibytes() {
        return Err(JobError::bad_request(format!(
            "Invalid update value for analysis_limits: model_memory_limit cannot be decreased below current usage; \
             current usage [{}], update had [{}]",
            Memory::mebibytes(used.as_mebibytes()).human(),
            new.human()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::NewJob;

    fn job() -> Job {
        let new: NewJob = serde_json::from_value(json!({
            "analysis_config": {
                "bucket_span": "15m",
                "detectors": [
                    {"function": "mean", "field_name": "x", "by_field_name": "host"},
                    {"function": "count", "by_field_name": "mlcategory", "partition_field_name": "site"}
                ],
                "categorization_field_name": "message",
                "per_partition_categorization": {"enabled": true}
            },
            "data_description": {}, "analysis_limits": {"model_memory_limit": "20mb", "categorization_examples_limit": 9}
        }))
        .expect("readable");
        new.build("job-1", 7, None).expect("valid")
    }

    fn standing() -> Standing {
        Standing {
            is_open: false,
            model_bytes: (7 << 20) - 1,
            max_memory_limit: None,
        }
    }

    fn update(body: Value, standing: &Standing) -> Result<(Job, Vec<&'static str>)> {
        let update: JobUpdate = serde_json::from_value(body).expect("readable");
        update.apply(&job(), standing)
    }

    #[test]
    fn every_field_is_taken_over() {
        let body = json!({
            "job_id": "whatever", "groups": ["b", "a"], "description": "new", "model_plot_config": {"enabled": true},
            "detectors": [{"detector_index": 0, "description": "d", "custom_rules": [
                {"conditions": [{"applies_to": "actual", "operator": "gt", "value": 1}]}
            ]}],
            "analysis_limits": {"categorization_examples_limit": 2}, "background_persist_interval": "4h",
            "renormalization_window_days": 1, "results_retention_days": 2, "model_snapshot_retention_days": 4,
            "daily_model_snapshot_retention_after_days": 3, "categorization_filters": ["x+"],
            "per_partition_categorization": {"enabled": true, "stop_on_warn": true}, "custom_settings": {"a": 1},
            "allow_lazy_open": true, "model_prune_window": "1h"
        });
        let mut names: Vec<String> = body
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        names.retain(|name| name != "job_id");
        names.sort();
        let (new, changed) = update(body, &standing()).expect("fine");
        assert_eq!(changed, names);
        let new = serde_json::to_value(new).expect("json");
        for (path, value) in [
            ("/groups", json!(["b", "a"])),
            ("/description", json!("new")),
            (
                "/model_plot_config",
                json!({"enabled": true, "annotations_enabled": true}),
            ),
            (
                "/analysis_config/detectors/0/detector_description",
                json!("d"),
            ),
            (
                "/analysis_config/detectors/0/custom_rules/0/actions",
                json!(["skip_result"]),
            ),
            // What an object leaves out has its default, not what it was.
            (
                "/analysis_limits",
                json!({"model_memory_limit": "1024mb", "categorization_examples_limit": 2}),
            ),
            ("/background_persist_interval", json!("4h")),
            ("/renormalization_window_days", json!(1)),
            ("/results_retention_days", json!(2)),
            ("/model_snapshot_retention_days", json!(4)),
            ("/daily_model_snapshot_retention_after_days", json!(3)),
            (
                "/analysis_config/categorization_analyzer/char_filter/1/pattern",
                json!("x+"),
            ),
            (
                "/analysis_config/per_partition_categorization",
                json!({"enabled": true, "stop_on_warn": true}),
            ),
            ("/custom_settings", json!({"a": 1})),
            ("/allow_lazy_open", json!(true)),
            ("/analysis_config/model_prune_window", json!("1h")),
        ] {
            assert_eq!(new.pointer(path), Some(&value), "{path}");
        }
    }

    #[test]
    fn an_update_of_nothing_changes_nothing() {
        let (new, changed) = update(json!({"description": null}), &standing()).expect("fine");
        assert_eq!((new, changed.len()), (job(), 0));
    }

    #[test]
    fn what_is_refused_has_its_words() {
        let open = || Standing {
            is_open: true,
            ..standing()
        };
        let low = || Standing {
            max_memory_limit: Some(Memory::mebibytes(1536)),
            ..standing()
        };
        for (body, standing, reason) in [
            (
                json!({"analysis_limits": {"model_memory_limit": "20mb"}}),
                open(),
                "Cannot update analysis_limits while the job is open",
            ),
            (
                json!({"analysis_limits": {"model_memory_limit": "5mb"}}),
                standing(),
                "Invalid update value for analysis_limits: model_memory_limit cannot be decreased below current usage; \
                 current usage [6mb], update had [5mb]",
            ),
            (
                json!({"analysis_limits": {"model_memory_limit": "2gb"}}),
                low(),
                "model_memory_limit [2gb] must be less than the value of the xpack.ml.max_model_memory_limit setting \
                 [1.5gb]",
            ),
            (
                json!({"detectors": [{"detector_index": 5, "description": "x"}]}),
                standing(),
                "Supplied detector_index [5] is >= the number of detectors [2]",
            ),
            (
                json!({"detectors": [{"detector_index": 0, "custom_rules": [{"scope": {"x": {"filter_id": "f"}}}]}]}),
                standing(),
                "Invalid detector rule: scope field 'x' is invalid; select from [host]",
            ),
            (
                json!({"per_partition_categorization": {"enabled": false}}),
                standing(),
                "analysis_config.per_partition_categorization.enabled cannot be updated",
            ),
            (
                json!({"model_prune_window": "16m"}),
                standing(),
                "model_prune_window [16m] must be a multiple of bucket_span [15m]",
            ),
            (
                json!({"daily_model_snapshot_retention_after_days": 1_001, "model_snapshot_retention_days": 1_000}),
                standing(),
                "The value of daily_model_snapshot_retention_after_days [1,001] cannot be greater than \
                 model_snapshot_retention_days [1,000]",
            ),
            (
                json!({"groups": ["job-1"]}),
                standing(),
                "job and group names must be unique but job [job-1] and group [job-1] have the same name",
            ),
        ] {
            assert_eq!(update(body, &standing).expect_err("refused").reason, reason);
        }
        // While it is open too: only the memory is looked at.
        assert!(
            update(
                json!({"analysis_limits": {"categorization_examples_limit": 1}}),
                &open()
            )
            .is_ok()
        );
        // A lower ceiling since then is no reason to refuse anything else.
        let low = Standing {
            max_memory_limit: Some(Memory::mebibytes(1)),
            ..standing()
        };
        assert!(update(json!({"description": "x"}), &low).is_ok());
        for bad in [
            json!({"groups": null}),
            json!({"detectors": null}),
            json!({"bucket_span": "1h"}),
        ] {
            assert!(serde_json::from_value::<JobUpdate>(bad).is_err());
        }
    }
}
