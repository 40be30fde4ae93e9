//! How messages become categories: the `categorization_*` part of an `analysis_config`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AnalysisConfig, AnalyzerConfig, ConfigError, Detector};
use crate::categorize::Analyzer;

/// The by, over or partition field that stands for the category of a record.
pub const MLCATEGORY: &str = "mlcategory";

/// Whether each partition has categories of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawPerPartition")]
pub struct PerPartition {
    pub enabled: bool,
    /// A partition whose messages don't fall into categories is given up. None when there are no partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_on_warn: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerPartition {
    enabled: bool,
    stop_on_warn: Option<bool>,
}

impl TryFrom<RawPerPartition> for PerPartition {
    type Error = ConfigError;

    fn try_from(raw: RawPerPartition) -> Result<Self, ConfigError> {
        let stop_on_warn = raw.stop_on_warn.unwrap_or(false);
        if stop_on_warn && !raw.enabled {
            refuse!(
                "stop_on_warn cannot be true in per_partition_categorization when enabled is false"
            );
        }
        Ok(Self {
            enabled: raw.enabled,
            stop_on_warn: raw.enabled.then_some(stop_on_warn),
        })
    }
}

/// Built by [`RawCategorization::build`], which checks it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategorizationConfig {
    #[serde(rename = "categorization_field_name")]
    pub field_name: String,
    #[serde(rename = "categorization_analyzer")]
    pub analyzer: AnalyzerConfig,
    #[serde(rename = "per_partition_categorization")]
    pub per_partition: PerPartition,
}

impl Detector {
    pub fn uses_mlcategory(&self) -> bool {
        let splits = [
            &self.by_field_name,
            &self.over_field_name,
            &self.partition_field_name,
        ];
        splits.into_iter().flatten().any(|name| name == MLCATEGORY)
    }
}

impl CategorizationConfig {
    /// The same with other filters. An analyzer that was chosen has none.
    pub fn with_filters(self, filters: &[String]) -> Result<Self, ConfigError> {
        let is_standard = match (&self.analyzer, AnalyzerConfig::standard(&[])) {
            (AnalyzerConfig::Custom(own), AnalyzerConfig::Custom(standard)) => {
                let (first, more) = own.char_filter.split_at(own.char_filter.len().min(1));
                let plain = |filter: &Value| {
                    let fields = filter.as_object().map_or(0, Map::len);
                    filter.get("type") == Some(&json!("pattern_replace")) && fields == 2
                };
                first == standard.char_filter
                    && more.iter().all(plain)
                    && (&own.tokenizer, &own.filter) == (&standard.tokenizer, &standard.filter)
            }
            _ => false,
        };
        if !is_standard {
            refuse!(
                "categorization_filters cannot be used with categorization_analyzer - instead specify them as \
                 pattern_replace char_filters in the analyzer"
            );
        }
        check_filters(filters)?;
        Ok(Self {
            analyzer: AnalyzerConfig::standard(filters),
            ..self
        })
    }
}

impl AnalysisConfig {
    /// The field whose values have categories of their own.
    pub fn category_partition(&self) -> Option<&str> {
        let per_partition = self.categorization.as_ref()?.per_partition;
        let categorized = self.detectors.iter().find(|d| d.uses_mlcategory())?;
        let partition = categorized.partition_field_name.as_deref();
        partition.filter(|_| per_partition.enabled)
    }
}

/// As clients send it.
#[derive(Default)]
pub(super) struct RawCategorization {
    pub field_name: Option<String>,
    pub filters: Option<Vec<String>>,
    pub analyzer: Option<AnalyzerConfig>,
    pub per_partition: Option<PerPartition>,
}

impl RawCategorization {
    /// None when no field is categorised.
    pub fn build(
        self,
        detectors: &[Detector],
    ) -> Result<Option<CategorizationConfig>, ConfigError> {
        let per_partition = self.per_partition.unwrap_or_default();
        let uses_mlcategory = detectors.iter().any(Detector::uses_mlcategory);
        let filters = self.filters.unwrap_or_default();
        let field_name = self.field_name.filter(|name| !name.is_empty());
        if uses_mlcategory && field_name.is_none() {
            refuse!("categorization_field_name must be set for mlcategory to be available");
        }
        if field_name.is_some() && !uses_mlcategory {
            refuse!(
                "categorization_field_name is set but mlcategory is not used in any detector by/over/partition field"
            );
        }
        if self.analyzer.is_some() && field_name.is_none() {
            refuse!("categorization_analyzer requires setting categorization_field_name");
        }
        if !filters.is_empty() {
            if self.analyzer.is_some() {
                refuse!(
                    "categorization_filters cannot be used with categorization_analyzer - instead specify them as \
                     pattern_replace char_filters in the analyzer"
                );
            }
            if field_name.is_none() {
                refuse!("categorization_filters require setting categorization_field_name");
            }
            check_filters(&filters)?;
        }
        if per_partition.enabled {
            if field_name.is_none() {
                refuse!(
                    "categorization_field_name must be set when per-partition categorization is enabled"
                );
            }
            check_partitions(detectors)?;
        }
        let Some(field_name) = field_name else {
            return Ok(None);
        };
        let analyzer = match self.analyzer {
            Some(analyzer) => {
                Analyzer::new(&analyzer).map_err(ConfigError::illegal_argument)?;
                analyzer
            }
            None => AnalyzerConfig::standard(&filters),
        };
        Ok(Some(CategorizationConfig {
            field_name,
            analyzer,
            per_partition,
        }))
    }
}

fn check_filters(filters: &[String]) -> Result<(), ConfigError> {
    let mut seen = std::collections::HashSet::new();
    if !filters.iter().all(|filter| seen.insert(filter)) {
        refuse!("categorization_filters contain duplicates");
    }
    if filters.iter().any(String::is_empty) {
        refuse!("categorization_filters are not allowed to contain empty strings");
    }
    for filter in filters {
        if let Err(error) = crate::categorize::check_pattern(filter) {
            refuse!(
                "categorization_filters contains invalid regular expression '{filter}' ({error})"
            );
        }
    }
    Ok(())
}

/// Detectors that use categories have a partition, one for all of them.
fn check_partitions(detectors: &[Detector]) -> Result<(), ConfigError> {
    let categorized = || {
        detectors
            .iter()
            .filter(|detector| detector.uses_mlcategory())
    };
    for detector in categorized() {
        match detector.partition_field_name.as_deref() {
            Some(MLCATEGORY) => refuse!(
                "mlcategory cannot be used as a partition_field_name when per-partition categorization is enabled"
            ),
            Some(_) => {}
            None => refuse!(
                "partition_field_name must be set for detectors that reference mlcategory when per-partition \
                 categorization is enabled"
            ),
        }
    }
    check_one_partition(categorized())
}

/// Detectors that have a partition have all the same.
pub(super) fn check_one_partition<'a>(
    detectors: impl IntoIterator<Item = &'a Detector>,
) -> Result<(), ConfigError> {
    let names = detectors
        .into_iter()
        .flat_map(|detector| &detector.partition_field_name);
    let names: Vec<&String> = names.collect();
    match names.windows(2).find(|pair| pair[0] != pair[1]) {
        Some(pair) => refuse!(
            "partition_field_name cannot vary between detectors when per-partition categorization is enabled: \
             [{}] and [{}] are used",
            pair[0],
            pair[1]
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(config: Value) -> Result<AnalysisConfig, String> {
        serde_json::from_value(config).map_err(|error| {
            ConfigError::from_display(&error.to_string()).map_or(error.to_string(), |e| e.reason)
        })
    }

    fn by_category(more: Value) -> Value {
        let mut config = json!({
            "categorization_field_name": "message",
            "detectors": [{"function": "count", "by_field_name": "mlcategory"}]
        });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        config
    }

    #[test]
    fn filters_are_moved_into_the_analyzer() {
        let config =
            parse(by_category(json!({"categorization_filters": ["a+", "b"]}))).expect("valid");
        let printed = serde_json::to_value(&config).expect("serialises");
        assert_eq!(printed["categorization_field_name"], "message");
        assert_eq!(printed["categorization_filters"], Value::Null);
        assert_eq!(
            printed["categorization_analyzer"]["char_filter"],
            json!([
                "first_line_with_letters", {"type": "pattern_replace", "pattern": "a+"},
                {"type": "pattern_replace", "pattern": "b"}
            ])
        );
        assert_eq!(
            printed["categorization_analyzer"]["tokenizer"],
            "ml_standard"
        );
        let filters = &printed["categorization_analyzer"]["filter"];
        assert_eq!(filters[0]["stopwords"].as_array().map(Vec::len), Some(40));
        assert_eq!(
            filters[1],
            json!({"type": "limit", "max_token_count": "100"})
        );
        assert_eq!(
            printed["per_partition_categorization"],
            json!({"enabled": false})
        );
        assert_eq!(parse(printed), Ok(config));
    }

    #[test]
    fn analyzers_are_printed_as_they_were_given() {
        for analyzer in [
            json!("standard"),
            json!({"tokenizer": "ml_classic"}),
            json!({"tokenizer": {"type": "pattern", "pattern": "[^a-z]"}, "filter": [{"type": "limit", "max_token_count": "7"}]}),
        ] {
            let config =
                parse(by_category(json!({"categorization_analyzer": analyzer}))).expect("valid");
            let printed = serde_json::to_value(&config).expect("serialises");
            assert_eq!(printed["categorization_analyzer"], analyzer);
        }
        let number =
            json!({"tokenizer": "letter", "filter": [{"type": "limit", "max_token_count": 7}]});
        let config = parse(by_category(json!({"categorization_analyzer": number}))).expect("valid");
        let printed = serde_json::to_value(&config).expect("serialises");
        assert_eq!(
            printed["categorization_analyzer"]["filter"][0]["max_token_count"],
            "7"
        );
    }

    #[test]
    fn the_category_is_not_read_from_records() {
        let config =
            parse(by_category(json!({"influencers": ["mlcategory", "host"]}))).expect("valid");
        assert_eq!(config.analysis_fields(), ["host", "message"]);
        let fields = config.schema().fields;
        assert_eq!(
            fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
            ["host", "message"]
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_known_words() {
        let detector = |partition: Option<&str>| json!({"function": "count", "by_field_name": "mlcategory", "partition_field_name": partition});
        let per_partition = json!({"enabled": true});
        for (config, reason) in [
            (
                json!({"detectors": [{"function": "count", "by_field_name": "mlcategory"}]}),
                "categorization_field_name must be set for mlcategory to be available",
            ),
            (
                json!({"categorization_field_name": "m", "detectors": [{"function": "count"}]}),
                "categorization_field_name is set but mlcategory is not used in any detector by/over/partition field",
            ),
            (
                json!({"categorization_filters": ["a"], "detectors": [{"function": "count"}]}),
                "categorization_filters require setting categorization_field_name",
            ),
            (
                json!({"categorization_analyzer": "standard", "detectors": [{"function": "count"}]}),
                "categorization_analyzer requires setting categorization_field_name",
            ),
            (
                json!({"per_partition_categorization": per_partition, "detectors": [{"function": "count"}]}),
                "categorization_field_name must be set when per-partition categorization is enabled",
            ),
            (
                by_category(json!({"categorization_filters": ["a", "a"]})),
                "categorization_filters contain duplicates",
            ),
            (
                by_category(json!({"categorization_filters": [""]})),
                "categorization_filters are not allowed to contain empty strings",
            ),
            (
                by_category(json!({"categorization_filters": ["a++"]})),
                "categorization_filters contains invalid regular expression 'a++' (possessive quantifiers are not supported)",
            ),
            (
                by_category(
                    json!({"categorization_filters": ["a"], "categorization_analyzer": "standard"}),
                ),
                "categorization_filters cannot be used with categorization_analyzer - instead specify them as \
                 pattern_replace char_filters in the analyzer",
            ),
            (
                by_category(json!({"categorization_analyzer": {"filter": []}})),
                "[categorization_analyzer] that is not a global analyzer must specify a [tokenizer] field",
            ),
            (
                by_category(
                    json!({"categorization_analyzer": {"tokenizer": "letter", "tokeniser": "x"}}),
                ),
                "Parameter [tokeniser] in [categorization_analyzer] is unknown or of the wrong type [VALUE_STRING]",
            ),
            (
                by_category(json!({"categorization_analyzer": {"tokenizer": "wild"}})),
                "failed to find global tokenizer under [wild]",
            ),
            (
                by_category(
                    json!({"per_partition_categorization": {"enabled": false, "stop_on_warn": true}}),
                ),
                "stop_on_warn cannot be true in per_partition_categorization when enabled is false",
            ),
            (
                by_category(json!({"per_partition_categorization": per_partition})),
                "partition_field_name must be set for detectors that reference mlcategory when per-partition \
                 categorization is enabled",
            ),
            (
                by_category(json!({
                    "per_partition_categorization": per_partition,
                    "detectors": [{"function": "count", "by_field_name": "a", "partition_field_name": "mlcategory"}]
                })),
                "mlcategory cannot be used as a partition_field_name when per-partition categorization is enabled",
            ),
            (
                by_category(json!({
                    "per_partition_categorization": per_partition,
                    "detectors": [detector(Some("a")), detector(Some("b"))]
                })),
                "partition_field_name cannot vary between detectors when per-partition categorization is enabled: [a] \
                 and [b] are used",
            ),
        ] {
            assert_eq!(parse(config), Err(reason.to_owned()));
        }
    }
}
