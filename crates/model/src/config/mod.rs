//! What a job analyses: the `analysis_config` of the wire, valid once it exists.

mod categorization;
mod error;
mod exclude;
mod function;
mod rule;

use serde::{Deserialize, Serialize};

use crate::record::Schema;
use crate::units::TimeSpan;

use categorization::RawCategorization;

pub use categorization::{
    AnalyzerConfig, CategorizationConfig, CustomAnalyzer, MLCATEGORY, PerPartition,
    default_analyzer,
};
pub use error::{ConfigError, ErrorKind};
pub use exclude::{ExcludeFrequent, Excluded};
pub use function::{Function, Metric};
pub use rule::{Action, AppliesTo, Condition, CustomRule, FilterType, MAX_SHIFT, Operator};

/// Fails with a `status_exception`.
macro_rules! refuse {
    ($($message:tt)*) => { return Err(ConfigError::bad_request(format!($($message)*))) };
}

/// One detector. Built by deserialising, which checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawDetector")]
pub struct Detector {
    pub detector_description: String,
    pub function: Function,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_field_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_field_name: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_null: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_frequent: Option<ExcludeFrequent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub custom_rules: Vec<CustomRule>,
    pub detector_index: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDetector {
    detector_description: Option<String>,
    function: Option<String>,
    field_name: Option<String>,
    by_field_name: Option<String>,
    over_field_name: Option<String>,
    partition_field_name: Option<String>,
    use_null: Option<bool>,
    exclude_frequent: Option<String>,
    custom_rules: Option<Vec<CustomRule>>,
    #[serde(default)]
    detector_index: usize,
}

impl TryFrom<RawDetector> for Detector {
    type Error = ConfigError;

    fn try_from(raw: RawDetector) -> Result<Self, ConfigError> {
        let given = |name: Option<String>| name.filter(|name| !name.is_empty());
        let field_name = given(raw.field_name);
        let by_field_name = given(raw.by_field_name);
        let over_field_name = given(raw.over_field_name);
        let partition_field_name = given(raw.partition_field_name);

        let function = Function::try_from(raw.function.unwrap_or_else(|| "metric".to_owned()))?;
        let name = function.name();
        if !function.stands_alone()
            && [&field_name, &by_field_name, &over_field_name]
                .into_iter()
                .all(Option::is_none)
        {
            refuse!(
                "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name must \
                 be set"
            );
        }
        if function.needs_field() && field_name.is_none() {
            refuse!("field_name must be set when the '{name}' function is used");
        }
        if !function.needs_field() && field_name.is_some() {
            refuse!("field_name cannot be used with function '{name}'");
        }
        if function.needs_by() && by_field_name.is_none() {
            refuse!("by_field_name must be set when the '{name}' function is used");
        }
        if function.needs_over() && over_field_name.is_none() {
            refuse!("over_field_name must be set when the '{name}' function is used");
        }
        if function.refuses_over() && over_field_name.is_some() {
            refuse!("over_field_name cannot be used with function '{name}'");
        }
        let splits = [
            ("by_field_name", &by_field_name),
            ("over_field_name", &over_field_name),
            ("partition_field_name", &partition_field_name),
        ];
        for name in [
            &field_name,
            &by_field_name,
            &over_field_name,
            &partition_field_name,
        ]
        .into_iter()
        .flatten()
        {
            check_field_name(name)?;
        }
        for (split, name) in &splits[..2] {
            if let Some(name @ ("count" | "by" | "over")) = name.as_deref() {
                refuse!("'{name}' is not a permitted value for {split}");
            }
        }
        for (a, b) in [(2, 0), (2, 1), (0, 1)] {
            if let (Some(x), Some(y)) = (splits[a].1, splits[b].1)
                && x == y
            {
                refuse!(
                    "{} and {} cannot be the same: '{x}'",
                    splits[a].0,
                    splits[b].0
                );
            }
        }
        let exclude_frequent = match &raw.exclude_frequent {
            None => None,
            Some(text) => Some(ExcludeFrequent::parse(text)?),
        };
        let use_null = raw.use_null.unwrap_or(false);
        let detector_description = raw
            .detector_description
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| {
                let quoted = |name: &String| quote(name);
                let mut text = function.name().to_owned();
                text += &field_name
                    .as_ref()
                    .map_or(String::new(), |name| format!("({})", quoted(name)));
                text += &by_field_name
                    .as_ref()
                    .map_or(String::new(), |name| format!(" by {}", quoted(name)));
                text += &over_field_name
                    .as_ref()
                    .map_or(String::new(), |name| format!(" over {}", quoted(name)));
                text += if use_null { " usenull=true" } else { "" };
                text += &partition_field_name
                    .as_ref()
                    .map_or(String::new(), |n| format!(" partitionfield={}", quoted(n)));
                text += &exclude_frequent.map_or(String::new(), |of| {
                    format!(" excludefrequent={}", of.name())
                });
                text
            });
        let detector_index = raw.detector_index;
        let detector = Self {
            detector_description,
            function,
            field_name,
            by_field_name,
            over_field_name,
            partition_field_name,
            use_null,
            exclude_frequent,
            custom_rules: raw.custom_rules.unwrap_or_default(),
            detector_index,
        };
        detector.check_rules()?;
        Ok(detector)
    }
}

impl Detector {
    /// The rules, against what they are rules of.
    pub fn check_rules(&self) -> Result<(), ConfigError> {
        let splits = [
            &self.by_field_name,
            &self.over_field_name,
            &self.partition_field_name,
        ];
        let splits: Vec<&str> = splits.into_iter().flatten().map(String::as_str).collect();
        let check = |rule: &CustomRule| rule.check(self.function, &splits);
        self.custom_rules.iter().try_for_each(check)
    }
}

impl Detector {
    /// Whether it has a slot for each split value, not one in all.
    pub fn is_split(&self) -> bool {
        self.by_field_name.is_some()
            || self.over_field_name.is_some()
            || self.partition_field_name.is_some()
    }

    pub fn excluded(&self) -> Excluded {
        use ExcludeFrequent::{All, By, Over};
        Excluded {
            by: matches!(self.exclude_frequent, Some(All | By)),
            over: matches!(self.exclude_frequent, Some(All | Over)),
        }
    }
}

fn check_field_name(name: &str) -> Result<(), ConfigError> {
    if name == "."
        || name
            .chars()
            .any(|c| matches!(c, '"' | '\\') || c.is_control())
    {
        refuse!(
            "Invalid field name '{name}'. Field names including over, by and partition fields cannot contain any of \
             these characters: \",\\"
        );
    }
    Ok(())
}

fn quote(name: &str) -> String {
    match name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    {
        true => name.to_owned(),
        false => format!("\"{name}\""),
    }
}

/// Seconds. Twenty of them, the default prune window, are still a time span that can be read again.
const MAX_BUCKET_SPAN: i64 = 5_000 * 86_400;

/// The analysis of a job. Built by deserialising, which checks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawAnalysisConfig")]
pub struct AnalysisConfig {
    pub bucket_span: TimeSpan,
    #[serde(flatten)]
    pub categorization: Option<CategorizationConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary_count_field_name: Option<String>,
    pub detectors: Vec<Detector>,
    pub influencers: Vec<String>,
    /// By values of a partition are also judged beside each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub multivariate_by_fields: bool,
    pub model_prune_window: TimeSpan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnalysisConfig {
    bucket_span: Option<TimeSpan>,
    categorization_field_name: Option<String>,
    categorization_filters: Option<Vec<String>>,
    categorization_analyzer: Option<AnalyzerConfig>,
    per_partition_categorization: Option<PerPartition>,
    latency: Option<TimeSpan>,
    summary_count_field_name: Option<String>,
    detectors: Option<Vec<Detector>>,
    influencers: Option<Vec<String>>,
    multivariate_by_fields: Option<bool>,
    model_prune_window: Option<TimeSpan>,
}

impl TryFrom<RawAnalysisConfig> for AnalysisConfig {
    type Error = ConfigError;

    fn try_from(raw: RawAnalysisConfig) -> Result<Self, ConfigError> {
        let bucket_span = raw.bucket_span.unwrap_or(TimeSpan::minutes(5));
        let span = match bucket_span.whole_seconds() {
            Some(seconds) if seconds > 0 => seconds,
            _ if bucket_span.as_secs() <= 0 => {
                refuse!(
                    "bucket_span cannot be less or equal than 0. Value = {}",
                    bucket_span.as_secs()
                )
            }
            _ => refuse!("bucket_span has to be a multiple of one second"),
        };
        if span > MAX_BUCKET_SPAN {
            refuse!(
                "bucket_span cannot be more than {} days. Value = {bucket_span}",
                MAX_BUCKET_SPAN / 86_400
            );
        }
        let latency = raw.latency.filter(|latency| latency.as_secs() != 0);
        if let Some(latency) = latency {
            if latency.is_negative() {
                refuse!(
                    "latency cannot be less than 0. Value = {}",
                    latency.as_secs()
                );
            }
            if latency.whole_seconds().is_none() {
                refuse!("latency has to be a multiple of one second");
            }
        }
        let model_prune_window = match raw.model_prune_window {
            Some(window) => check_prune_window(window, bucket_span)?,
            None => {
                let month = 30 * 86_400;
                let rounded = (month + span - 1) / span * span;
                TimeSpan::in_largest_unit(rounded.max(span.saturating_mul(20)))
            }
        };
        let mut detectors = raw.detectors.unwrap_or_default();
        if detectors.is_empty() {
            refuse!("No detectors configured");
        }
        for (index, detector) in detectors.iter_mut().enumerate() {
            detector.detector_index = index;
        }
        let categorization = RawCategorization {
            field_name: raw.categorization_field_name,
            filters: raw.categorization_filters,
            analyzer: raw.categorization_analyzer,
            per_partition: raw.per_partition_categorization,
        };
        let categorization = categorization.build(&detectors)?;
        let influencers = raw.influencers.unwrap_or_default();
        influencers
            .iter()
            .try_for_each(|name| check_field_name(name))?;
        let summary_count_field_name = raw.summary_count_field_name.filter(|name| !name.is_empty());
        let takes_all = |detector: &Detector| detector.function.name() == "metric";
        if summary_count_field_name.is_some() && detectors.iter().any(takes_all) {
            refuse!(
                "The 'metric' function cannot be used in jobs that will take pre-summarized input"
            );
        }
        let config = Self {
            bucket_span,
            categorization,
            latency,
            summary_count_field_name,
            detectors,
            influencers,
            multivariate_by_fields: raw.multivariate_by_fields.unwrap_or(false),
            model_prune_window,
        };
        config.check_nested_names()?;
        Ok(config)
    }
}

/// A user's prune window: a whole multiple of the bucket span, at least twice of it.
pub fn check_prune_window(
    window: TimeSpan,
    bucket_span: TimeSpan,
) -> Result<TimeSpan, ConfigError> {
    let (seconds, span) = (window.as_secs(), bucket_span.as_secs());
    if window.whole_seconds().is_none() || seconds % span != 0 || seconds < 0 {
        refuse!("model_prune_window [{window}] must be a multiple of bucket_span [{bucket_span}]");
    }
    if seconds / span < 2 {
        refuse!(
            "model_prune_window [{window}] must be at least 2 times greater than bucket_span [{bucket_span}]"
        );
    }
    Ok(window)
}

impl AnalysisConfig {
    /// Seconds.
    pub fn span(&self) -> i64 {
        self.bucket_span.as_secs()
    }

    /// Seconds.
    pub fn latency(&self) -> i64 {
        self.latency.map_or(0, TimeSpan::as_secs)
    }

    /// The fields that the analysis reads, the summary count aside: those that `processed_field_count` counts.
    pub fn analysis_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = Vec::new();
        let of_detectors = self.detectors.iter().flat_map(|detector| {
            [
                &detector.field_name,
                &detector.by_field_name,
                &detector.over_field_name,
                &detector.partition_field_name,
            ]
            .into_iter()
            .flatten()
        });
        for name in of_detectors
            .chain(&self.influencers)
            .chain(&self.summary_count_field_name)
        {
            // A record is given its category; it doesn't bring it.
            let given = self.categorization.is_some() && name == MLCATEGORY;
            if !given && !fields.contains(&name.as_str()) {
                fields.push(name);
            }
        }
        if let Some(categorization) = &self.categorization
            && !fields.contains(&categorization.field_name.as_str())
        {
            fields.push(&categorization.field_name);
        }
        fields
    }

    /// The columns of the records that the analysis wants. The category is none of them.
    pub fn schema(&self) -> Schema {
        let mut schema = Schema::default();
        let is_read = |name: &&String| self.categorization.is_none() || *name != MLCATEGORY;
        for detector in &self.detectors {
            if let Some(name) = &detector.field_name {
                let numeric = detector.function.metric().is_numeric();
                schema.column(name, numeric, !numeric);
            }
            for name in [
                &detector.by_field_name,
                &detector.over_field_name,
                &detector.partition_field_name,
            ]
            .into_iter()
            .flatten()
            .filter(is_read)
            {
                schema.column(name, false, true);
            }
        }
        for name in self.influencers.iter().filter(is_read) {
            schema.column(name, false, true);
        }
        if let Some(categorization) = &self.categorization {
            schema.column(&categorization.field_name, false, true);
        }
        if let Some(name) = &self.summary_count_field_name {
            schema.column(name, true, false);
        }
        schema
    }

    /// `a` and `a.b` can't both be fields: one would be an object, the other a value.
    fn check_nested_names(&self) -> Result<(), ConfigError> {
        let mut fields = self.analysis_fields();
        fields.sort_unstable();
        for (i, a) in fields.iter().enumerate() {
            if let Some(b) = fields[i + 1..]
                .iter()
                .find(|b| b.starts_with(a) && b[a.len()..].starts_with('.'))
            {
                refuse!("Fields [{a}] and [{b}] cannot both be used in the same analysis_config");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(config: Value) -> Result<AnalysisConfig, String> {
        serde_json::from_value(config).map_err(|error| {
            ConfigError::from_display(&error.to_string()).map_or(error.to_string(), |e| e.reason)
        })
    }

    #[test]
    fn defaults_are_filled_in() {
        let config = parse(
            json!({"detectors": [{"function": "mean", "field_name": "a-b", "by_field_name": "x"}]}),
        );
        assert_eq!(
            serde_json::to_value(config.expect("valid")).expect("serialises"),
            json!({
                "bucket_span": "5m",
                "detectors": [{
                    "detector_description": "mean(\"a-b\") by x", "function": "mean", "field_name": "a-b",
                    "by_field_name": "x", "detector_index": 0
                }],
                "influencers": [],
                "model_prune_window": "30d"
            })
        );
    }

    #[test]
    fn a_population_is_described() {
        let config = parse(json!({"detectors": [{
            "function": "sum", "field_name": "a", "by_field_name": "b", "over_field_name": "c",
            "partition_field_name": "d", "exclude_frequent": "ALL"
        }]}));
        let detector = &config.expect("valid").detectors[0];
        assert_eq!(
            detector.detector_description,
            "sum(a) by b over c partitionfield=d excludefrequent=all"
        );
        let written = serde_json::to_value(detector).expect("serialises");
        assert_eq!(written["exclude_frequent"], "all");
        assert_eq!(written["over_field_name"], "c");
    }

    #[test]
    fn prune_windows_follow_the_bucket_span() {
        let window = |span: &str| {
            let config = parse(json!({"bucket_span": span, "detectors": [{"function": "count"}]}))
                .expect("valid");
            config.model_prune_window.to_string()
        };
        let expected = [
            ("15m", "30d"),
            ("40h", "800h"),
            ("17m", "43214m"),
            ("14d", "280d"),
            ("1s", "30d"),
        ];
        for (span, expected) in expected {
            assert_eq!(window(span), expected, "{span}");
        }
    }

    #[test]
    fn what_cannot_be_analysed_is_refused_with_the_known_words() {
        let cases = [
            (
                json!({"bucket_span": "5001d", "detectors": [{"function": "count"}]}),
                "bucket_span cannot be more than 5000 days. Value = 5001d",
            ),
            (json!({"detectors": []}), "No detectors configured"),
            (
                json!({"detectors": [{"function": "mean"}]}),
                "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name must \
                 be set",
            ),
            (
                json!({"detectors": [{"function": "mean", "by_field_name": "x"}]}),
                "field_name must be set when the 'mean' function is used",
            ),
            (
                json!({"detectors": [{"function": "rare", "over_field_name": "x"}]}),
                "by_field_name must be set when the 'rare' function is used",
            ),
            (
                json!({"detectors": [{"function": "rare", "by_field_name": "x", "field_name": "y"}]}),
                "field_name cannot be used with function 'rare'",
            ),
            (
                json!({"detectors": [{"function": "freq_rare", "by_field_name": "x"}]}),
                "over_field_name must be set when the 'freq_rare' function is used",
            ),
            (
                json!({"detectors": [{"function": "low_nzc", "over_field_name": "x"}]}),
                "over_field_name cannot be used with function 'low_non_zero_count'",
            ),
            (
                json!({"detectors": [{"function": "time_of_day", "field_name": "x"}]}),
                "field_name cannot be used with function 'time_of_day'",
            ),
            (
                json!({"detectors": [{"function": "lat_long", "over_field_name": "x"}]}),
                "field_name must be set when the 'lat_long' function is used",
            ),
            (
                json!({"detectors": [{"function": "count", "by_field_name": "x", "over_field_name": "x"}]}),
                "by_field_name and over_field_name cannot be the same: 'x'",
            ),
            (
                json!({"detectors": [{"function": "count", "over_field_name": "x", "exclude_frequent": "some"}]}),
                "Invalid value 'some' for exclude_frequent",
            ),
            (
                json!({"detectors": [{"function": "count", "field_name": "x"}]}),
                "field_name cannot be used with function 'count'",
            ),
            (
                json!({"detectors": [{"function": "count", "by_field_name": "x", "partition_field_name": "x"}]}),
                "partition_field_name and by_field_name cannot be the same: 'x'",
            ),
            (
                json!({"summary_count_field_name": "n", "detectors": [{"function": "metric", "field_name": "x"}]}),
                "The 'metric' function cannot be used in jobs that will take pre-summarized input",
            ),
            (
                json!({"detectors": [{"function": "wild"}]}),
                "Unknown function 'wild'",
            ),
            (
                json!({"bucket_span": "15m", "model_prune_window": "29m", "detectors": [{"function": "count"}]}),
                "model_prune_window [29m] must be a multiple of bucket_span [15m]",
            ),
            (
                json!({"detectors": [{"function": "count", "by_field_name": "a"}], "influencers": ["a.b"]}),
                "Fields [a] and [a.b] cannot both be used in the same analysis_config",
            ),
        ];
        for (config, reason) in cases {
            assert_eq!(parse(config), Err(reason.to_owned()));
        }
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        for span in ["1s", "17m", "40h", "5000d"] {
            let config = parse(json!({"bucket_span": span, "detectors": [{"function": "count"}]}));
            let config = config.expect("valid");
            let written = serde_json::to_value(&config).expect("serialises");
            assert_eq!(parse(written), Ok(config), "{span}");
        }
    }
}
