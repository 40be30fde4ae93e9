//! A job as clients see it: its configuration, checked, in Elasticsearch's wire form.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidewatch_model::categorize::CategorizationOptions;
use tidewatch_model::config::{AnalysisConfig, ConfigError, Detector};
use tidewatch_model::engine::{Options, PlotOptions};
use tidewatch_model::time_format::TimeFormat;
use tidewatch_model::units::{Memory, TimeSpan};

use crate::entry::{BlockReason, Blocked};
use crate::error::{JobError, Result};

/// What `job_version` says: the version of the configuration's form, which Elasticsearch no longer ties to its own.
pub const JOB_VERSION: &str = "12.0.0";
/// The oldest version that can take up a model snapshot of ours.
pub const SNAPSHOT_MIN_VERSION: &str = "9.0.0";

const DEFAULT_MEMORY_LIMIT: Memory = Memory::mebibytes(1024);
const DEFAULT_EXAMPLES_LIMIT: u32 = 4;
const DEFAULT_SNAPSHOT_RETENTION_DAYS: i64 = 10;
const MAX_ID: usize = 64;

/// A job, stored and served in this form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub job_id: String,
    pub job_type: String,
    pub job_version: String,
    /// Epoch milliseconds, as all times here.
    pub create_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_snapshot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_snapshot_min_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_settings: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub analysis_config: AnalysisConfig,
    pub analysis_limits: AnalysisLimits,
    pub data_description: DataDescription,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_plot_config: Option<ModelPlotConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renormalization_window_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background_persist_interval: Option<TimeSpan>,
    pub model_snapshot_retention_days: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_model_snapshot_retention_after_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results_retention_days: Option<i64>,
    pub results_index_name: String,
    /// True while it is deleted, absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
    pub allow_lazy_open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisLimits {
    #[serde(default = "default_memory_limit")]
    pub model_memory_limit: Memory,
    #[serde(default = "default_examples_limit")]
    pub categorization_examples_limit: u32,
}

fn default_memory_limit() -> Memory {
    DEFAULT_MEMORY_LIMIT
}

fn default_examples_limit() -> u32 {
    DEFAULT_EXAMPLES_LIMIT
}

impl Default for AnalysisLimits {
    fn default() -> Self {
        Self {
            model_memory_limit: DEFAULT_MEMORY_LIMIT,
            categorization_examples_limit: DEFAULT_EXAMPLES_LIMIT,
        }
    }
}

/// How records tell their time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDataDescription")]
pub struct DataDescription {
    pub time_field: String,
    pub time_format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataDescription {
    time_field: Option<String>,
    time_format: Option<String>,
    /// Taken and not kept: records are JSON.
    format: Option<String>,
    #[serde(rename = "field_delimiter")]
    _field_delimiter: Option<String>,
    #[serde(rename = "quote_character")]
    _quote_character: Option<String>,
}

impl TryFrom<RawDataDescription> for DataDescription {
    type Error = ConfigError;

    fn try_from(raw: RawDataDescription) -> std::result::Result<Self, ConfigError> {
        let format = raw.format.map(|format| format.to_ascii_lowercase());
        if let Some(other) = format
            .as_deref()
            .filter(|format| !matches!(*format, "xcontent" | "delimited"))
        {
            return Err(ConfigError::illegal_argument(format!(
                "Unknown data format '{other}'"
            )));
        }
        let time_field = raw
            .time_field
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "time".to_owned());
        let time_format = raw
            .time_format
            .filter(|f| !f.is_empty())
            .unwrap_or_else(|| "epoch_ms".to_owned());
        TimeFormat::new(&time_format)
            .map_err(|error| ConfigError::illegal_argument(error.to_string()))?;
        Ok(Self {
            time_field,
            time_format,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawModelPlotConfig")]
pub struct ModelPlotConfig {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    pub annotations_enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModelPlotConfig {
    enabled: bool,
    terms: Option<String>,
    annotations_enabled: Option<bool>,
}

impl TryFrom<RawModelPlotConfig> for ModelPlotConfig {
    type Error = ConfigError;

    fn try_from(raw: RawModelPlotConfig) -> std::result::Result<Self, ConfigError> {
        let annotations_enabled = raw.annotations_enabled.unwrap_or(raw.enabled);
        Ok(Self {
            enabled: raw.enabled,
            terms: raw.terms,
            annotations_enabled,
        })
    }
}

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

/// Whether a text can be the id of a job, group or other object: lower case letters, digits, `_`, `-` and `.`, with
/// a letter or digit at both ends.
pub fn is_valid_id(id: &str) -> bool {
    let inner =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.');
    let outer = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = id.as_bytes();
    bytes.iter().all(|&b| inner(b)) && outer(bytes.first()) && outer(bytes.last())
}

fn check_group(group: &str) -> Result<()> {
    match is_valid_id(group) {
        true => Ok(()),
        false => Err(JobError::illegal_argument(format!(
            "Invalid group id '{group}'; must be non-empty string and may contain lowercase alphanumeric (a-z and \
             0-9), hyphens or underscores; must start and end with alphanumeric"
        ))),
    }
}

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
    /// Fields that the server makes up: a configuration without them can be put again.
    pub const GENERATED: [&str; 8] = [
        "job_type",
        "job_version",
        "create_time",
        "finished_time",
        "model_snapshot_id",
        "model_snapshot_min_version",
        "deleting",
        "blocked",
    ];

    /// Blocks the job, or frees it.
    pub(crate) fn block(&mut self, blocked: Option<Blocked>) {
        let reason = blocked.as_ref().map(|blocked| blocked.reason);
        self.deleting = reason == Some(BlockReason::Delete);
        self.blocked = blocked;
    }

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

    /// The settings that a run of the job begins with.
    pub fn engine_options(&self) -> Options {
        Options {
            memory_limit: self.analysis_limits.model_memory_limit.bytes,
            prune_window: self.analysis_config.model_prune_window.as_secs(),
            plot: self.plot_options(),
        }
    }

    /// None for a job without categories.
    pub fn categorization_options(&self) -> Option<CategorizationOptions> {
        let categorization = self.analysis_config.categorization.as_ref()?;
        Some(CategorizationOptions {
            examples: self.analysis_limits.categorization_examples_limit,
            stop_on_warn: categorization.per_partition.stop_on_warn == Some(true),
        })
    }

    /// Seconds of the past that scores of a run are set against; none for the usual.
    pub fn renormalisation_window(&self) -> Option<i64> {
        let days = self.renormalization_window_days;
        days.map(|days| days.saturating_mul(86_400))
    }

    /// Whether changes of the models are annotated: unless they are not wanted.
    pub fn annotates(&self) -> bool {
        let plot = self.model_plot_config.as_ref();
        plot.is_none_or(|plot| plot.annotations_enabled)
    }

    /// The settings that a running job takes over at once.
    pub fn plot_options(&self) -> PlotOptions {
        let plot = self.model_plot_config.as_ref().filter(|plot| plot.enabled);
        let terms = plot
            .and_then(|plot| plot.terms.as_deref())
            .unwrap_or_default();
        let terms = terms
            .split(',')
            .map(str::trim)
            .filter(|term| !term.is_empty());
        PlotOptions {
            enabled: plot.is_some(),
            terms: terms.map(str::to_owned).collect(),
        }
    }

    /// The deprecation warnings that creating this job brings.
    pub fn warnings(&self) -> Vec<String> {
        const DAY: i64 = 86_400;
        let span = self.analysis_config.bucket_span;
        let seconds = span.as_secs();
        let relation = match seconds > DAY {
            true if seconds % DAY != 0 => "multiple",
            false if DAY % seconds != 0 => "divisor",
            _ => return Vec::new(),
        };
        vec![format!(
            "bucket_span {} [{seconds}s] is not an integral {relation} of the number of seconds in 1d [86400s]. This is \
             now deprecated.",
            span.human()
        )]
    }
}

/// In the largest unit that divides it: `10gb`.
fn short_memory(memory: Memory) -> String {
    match memory.as_mebibytes() {
        mib if mib > 0 && mib % 1024 == 0 => format!("{}gb", mib / 1024),
        mib => format!("{mib}mb"),
    }
}

/// A job and a group may not share a name.
pub fn same_name(job: &str, group: &str) -> JobError {
    JobError::already_exists(format!(
        "job and group names must be unique but job [{job}] and group [{group}] have the same name"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(more: Value) -> Result<Job> {
        let mut body = json!({
            "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}]},
            "data_description": {}
        });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        serde_json::from_value::<NewJob>(body)
            .expect("readable")
            .build("job-1", 7, None)
    }

    #[test]
    fn defaults_are_those_of_elasticsearch() {
        let job =
            serde_json::to_value(build(json!({"results_index_name": "test-job1"})).expect("valid"))
                .expect("json");
        assert_eq!(
            job,
            json!({
                "job_id": "job-1", "job_type": "anomaly_detector", "job_version": JOB_VERSION, "create_time": 7,
                "analysis_config": {
                    "bucket_span": "15m",
                    "detectors": [{"detector_description": "count", "function": "count", "detector_index": 0}],
                    "influencers": [], "model_prune_window": "30d"
                },
                "analysis_limits": {"model_memory_limit": "1024mb", "categorization_examples_limit": 4},
                "data_description": {"time_field": "time", "time_format": "epoch_ms"},
                "model_snapshot_retention_days": 10, "daily_model_snapshot_retention_after_days": 1,
                "results_index_name": "custom-test-job1", "allow_lazy_open": false
            })
        );
        let stored: Job = serde_json::from_value(job.clone()).expect("readable");
        assert_eq!(serde_json::to_value(stored).expect("json"), job);
    }

    #[test]
    fn rules_between_fields_have_their_words() {
        let cases = [
            (
                json!({"model_snapshot_retention_days": 3, "daily_model_snapshot_retention_after_days": 4}),
                "The value of daily_model_snapshot_retention_after_days [4] cannot be greater than \
                 model_snapshot_retention_days [3]",
            ),
            (
                json!({"daily_model_snapshot_retention_after_days": -1}),
                "daily_model_snapshot_retention_after_days cannot be less than 0. Value = -1",
            ),
            (
                json!({"background_persist_interval": "10s"}),
                "background_persist_interval cannot be less than 3,600. Value = 10",
            ),
            (
                json!({"job_id": "other"}),
                "Inconsistent job_id; 'other' specified in the body differs from 'job-1' specified as a URL argument",
            ),
            (
                json!({"groups": ["job-1"]}),
                "job and group names must be unique but job [job-1] and group [job-1] have the same name",
            ),
        ];
        for (more, reason) in cases {
            assert_eq!(build(more).expect_err("refused").reason, reason);
        }
        assert_eq!(
            build(json!({"model_snapshot_retention_days": 1}))
                .expect("valid")
                .daily_model_snapshot_retention_after_days,
            None
        );
    }

    #[test]
    fn odd_bucket_spans_are_warned_of() {
        let warning = |span: &str| {
            let config = json!({"bucket_span": span, "detectors": [{"function": "count"}]});
            build(json!({"analysis_config": config}))
                .expect("valid")
                .warnings()
        };
        assert_eq!(
            warning("36h"),
            [
                "bucket_span 1.5d [129600s] is not an integral multiple of the number of seconds in 1d [86400s]. This is \
              now deprecated."
            ]
        );
        assert!(
            warning("19m")[0].starts_with("bucket_span 19m [1140s] is not an integral divisor")
        );
        assert!(warning("15m").is_empty() && warning("2d").is_empty());
    }

    #[test]
    fn ids() {
        for good in ["a", "job-1", "a.b_c", "0"] {
            assert!(is_valid_id(good), "{good}");
        }
        for bad in ["", "_all", "A", "a-", ".a", "ä", "a b"] {
            assert!(!is_valid_id(bad), "{bad}");
        }
    }
}
