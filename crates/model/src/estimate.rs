//! How much memory an analysis will want, told from how many values its fields have. The figures are Elasticsearch's;
//! clients show them, and set limits by them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{AnalysisConfig, ConfigError, Detector, MLCATEGORY, Metric};
use crate::forest::{Entity, ForestConfig};
use crate::units::Memory;

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
/// What any job takes.
const BASE: i64 = 10 * MIB;
/// Of each value of an influencer that is nothing else.
const INFLUENCER_VALUE: i64 = 10 * KIB;
/// Of each member of a population.
const OVER_VALUE: i64 = 768;
/// For the values of a field whose values are told apart in a bucket.
const WORKSPACE: i64 = 5 * MIB;
/// Of categories that may be given up, for each partition; twice that of others.
const CATEGORIES: i64 = 20 * MIB;

/// How many values fields have. None is negative.
pub type Cardinality = BTreeMap<String, i64>;

/// The memory that a job of this analysis should have, by the engine that it names: whole mebibytes, and no more than a
/// number of bytes can tell.
///
/// # Errors
/// `illegal_argument_exception` where a field that matters has no figure. That of `mlcategory` is known without.
pub fn estimate(
    analysis: &AnalysisConfig,
    overall: &Cardinality,
    max_bucket: &Cardinality,
) -> Result<Memory, ConfigError> {
    let mut bytes = BASE;
    match &analysis.forest {
        Some(config) => bytes = bytes.saturating_add(of_forests(config, analysis, overall)?),
        None => {
            for detector in &analysis.detectors {
                bytes = bytes.saturating_add(of_detector(detector, analysis.span(), overall)?);
            }
        }
    }
    bytes = bytes.saturating_add(of_influencers(analysis, max_bucket)?);
    bytes = bytes.saturating_add(of_categories(analysis, overall)?);
    let mebibytes = bytes.saturating_add(MIB - 1) / MIB;
    Ok(Memory::mebibytes(mebibytes as u64))
}

fn of_detector(detector: &Detector, span: i64, overall: &Cardinality) -> Result<i64, ConfigError> {
    let (each, workspace) = match (detector.function.name(), detector.function.metric()) {
        ("metric", _) => (120, 0),
        (_, Metric::Count) => (32, 0),
        (_, Metric::Distinct) => (32, WORKSPACE),
        (_, Metric::Presence) => (2, 0),
        (_, Metric::Information) => (48, WORKSPACE),
        (_, Metric::Mean | Metric::Min | Metric::Max | Metric::Sum | Metric::Variance) => (48, 0),
        (_, Metric::Median | Metric::Place) => (64, 0),
        (_, Metric::TimeOfDay | Metric::TimeOfWeek) => (10, 0),
    };
    let figure = |kind: &str, name: &Option<String>| match name {
        Some(name) => known("Overall", kind, name, overall, 500).map(Some),
        None => Ok(None),
    };
    let partitions = figure("partition_field_name", &detector.partition_field_name)?
        .map_or(1, |figure| figure.max(1));
    let mut bytes = each * KIB;
    if let Some(by) = figure("by_field_name", &detector.by_field_name)? {
        // A by value takes two thirds of what a partition takes.
        let values = (thinned(by, partitions, span) * 2.0 / 3.0).ceil();
        bytes = bytes.saturating_mul(values as i64);
    }
    if let Some(over) = figure("over_field_name", &detector.over_field_name)? {
        let values = thinned(over, partitions, span).ceil();
        bytes = bytes.saturating_add(OVER_VALUE.saturating_mul(values as i64));
    }
    Ok(bytes.saturating_mul(partitions).saturating_add(workspace))
}

/// The detectors are features of one forest an entity, and split by the same fields.
fn of_forests(
    config: &ForestConfig,
    analysis: &AnalysisConfig,
    overall: &Cardinality,
) -> Result<i64, ConfigError> {
    let features = analysis.detectors.len();
    let Some(detector) = analysis.detectors.first() else {
        return Ok(0);
    };
    let partitions = match &detector.partition_field_name {
        Some(name) => known("Overall", "partition_field_name", name, overall, 500)?.max(1),
        None => 1,
    };
    let within = match &detector.by_field_name {
        Some(name) => {
            let values = known("Overall", "by_field_name", name, overall, 500)?;
            thinned(values, partitions, analysis.span()).ceil().max(1.0) as i64
        }
        None => 1,
    };
    let each = i64::try_from(Entity::bytes(config, features)).unwrap_or(i64::MAX);
    Ok(each.saturating_mul(partitions).saturating_mul(within))
}

/// How many of a field's values a partition has: the fewer, the more partitions there are and the shorter a bucket is.
fn thinned(values: i64, partitions: i64, span: i64) -> f64 {
    if values == 0 {
        return 0.0;
    }
    let power = (((span as f64).log10() + 1.0) / 8.0).min(1.0);
    values as f64 / (values.min(partitions) as f64).powf(power)
}

fn of_influencers(analysis: &AnalysisConfig, max_bucket: &Cardinality) -> Result<i64, ConfigError> {
    let splits: BTreeSet<&String> = analysis
        .detectors
        .iter()
        .flat_map(|detector| {
            [
                &detector.by_field_name,
                &detector.over_field_name,
                &detector.partition_field_name,
            ]
        })
        .flatten()
        .collect();
    let pure: BTreeSet<&String> = analysis.influencers.iter().collect();
    let mut values: i64 = 0;
    for name in pure.difference(&splits) {
        values = values.saturating_add(known("Bucket max", "influencers", name, max_bucket, 50)?);
    }
    Ok(INFLUENCER_VALUE.saturating_mul(values))
}

fn of_categories(analysis: &AnalysisConfig, overall: &Cardinality) -> Result<i64, ConfigError> {
    let Some(categorization) = &analysis.categorization else {
        return Ok(0);
    };
    let mut partitions = 1;
    let mut detectors = analysis.detectors.iter();
    let partition = detectors.find_map(|detector| detector.partition_field_name.as_ref());
    if let Some(name) = partition.filter(|_| categorization.per_partition.enabled) {
        partitions = known("Overall", "partition_field_name", name, overall, 500)?.max(1);
    }
    let each = match categorization.per_partition.stop_on_warn {
        Some(true) => CATEGORIES,
        _ => 2 * CATEGORIES,
    };
    Ok(each.saturating_mul(partitions))
}

/// The figure of a field; `of_category` where that is the category, of which nobody can know.
fn known(
    figure: &str,
    kind: &str,
    name: &str,
    given: &Cardinality,
    of_category: i64,
) -> Result<i64, ConfigError> {
    match given.get(name) {
        Some(values) => Ok(*values),
        None if name == MLCATEGORY => Ok(of_category),
        None => Err(ConfigError::illegal_argument(format!(
            "[{figure}] cardinality estimate required for [{kind}] [{name}] but not supplied"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cardinality() -> Cardinality {
        [
            ("few", 10),
            ("part", 100),
            ("host", 200),
            ("user", 300),
            ("many", 50_000),
            ("none", 0),
            ("all", i64::MAX),
        ]
        .map(|(name, values)| (name.to_owned(), values))
        .into()
    }

    fn of(mut config: Value) -> Result<String, String> {
        if config["bucket_span"].is_null() {
            config["bucket_span"] = "15m".into();
        }
        let config: AnalysisConfig = serde_json::from_value(config).expect("a valid analysis");
        estimate(&config, &cardinality(), &cardinality())
            .map(|memory| memory.to_string())
            .map_err(|error| error.reason)
    }

    fn one(detector: Value) -> Value {
        json!({"detectors": [detector]})
    }

    #[test]
    fn a_forest_is_weighed_by_its_trees_and_entities() {
        let of = |trees: u16, detector: Value, features: usize| {
            let detectors = vec![detector; features];
            let config = json!({"bucket_span": "15m", "detectors": detectors});
            let mut config: AnalysisConfig = serde_json::from_value(config).expect("valid");
            config.forest = Some(ForestConfig {
                trees,
                ..ForestConfig::default()
            });
            let told = estimate(&config, &cardinality(), &cardinality());
            told.map(|memory| memory.as_mebibytes() as i64 - 10)
                .map_err(|error| error.reason)
        };
        let split = |field: &str| json!({"function": "mean", "field_name": "x", "partition_field_name": field});
        let known = |told: Result<i64, String>| told.expect("an estimate");
        let [few, many] = [30, 100].map(|trees| known(of(trees, split("part"), 1)));
        assert!(few > 10 && many > 2 * few && many < 4 * few, "{few} {many}");
        // Ten times the entities, but for what is rounded.
        let tenth = known(of(100, split("few"), 1));
        assert!((10 * tenth - many).abs() <= 10, "{tenth} {many}");
        let wide = known(of(100, split("part"), 3));
        assert!(wide > many, "{wide}");
        assert_eq!(known(of(50, json!({"function": "count"}), 1)), 1);
        assert_eq!(
            of(50, split("other"), 1),
            Err("[Overall] cardinality estimate required for [partition_field_name] [other] but not supplied".into())
        );
    }

    #[test]
    fn figures() {
        let mean = |by: Option<&str>, over: Option<&str>, partition: Option<&str>| {
            let mut detector = json!({"function": "mean", "field_name": "x"});
            for (name, field) in [
                ("by_field_name", by),
                ("over_field_name", over),
                ("partition_field_name", partition),
            ] {
                if let Some(field) = field {
                    detector[name] = field.into();
                }
            }
            one(detector)
        };
        let categories = |more: Value| {
            let mut config = json!({
                "categorization_field_name": "message",
                "detectors": [{"function": "count", "by_field_name": "mlcategory", "partition_field_name": "few"}]
            });
            if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
                config.extend(more);
            }
            config
        };
        // Kibibytes above the first ten mebibytes stand beside each.
        for (config, expected) in [
            (one(json!({"function": "count"})), "11mb"), // 32
            (one(json!({"function": "dc", "field_name": "x"})), "16mb"), // 5120 + 32
            (
                one(json!({"function": "info_content", "field_name": "x"})),
                "16mb",
            ), // 5120 + 48
            (
                one(json!({"function": "rare", "by_field_name": "many"})),
                "76mb",
            ), // 2 * 33334
            (
                one(
                    json!({"function": "freq_rare", "by_field_name": "host", "over_field_name": "user"}),
                ),
                "11mb",
            ), // 2*134 + 225
            (
                one(json!({"function": "max", "field_name": "x", "by_field_name": "many"})),
                "1573mb",
            ), // 48 * 33334
            (
                one(json!({"function": "metric", "field_name": "x", "by_field_name": "host"})),
                "26mb",
            ), // 120 * 134
            (
                one(json!({"function": "median", "field_name": "x", "by_field_name": "host"})),
                "19mb",
            ), // 64 * 134
            (
                one(json!({"function": "lat_long", "field_name": "x", "by_field_name": "host"})),
                "19mb",
            ),
            (
                one(json!({"function": "time_of_day", "by_field_name": "host"})),
                "12mb",
            ), // 10 * 134
            (
                one(json!({"function": "time_of_week", "partition_field_name": "part"})),
                "11mb",
            ), // 1000
            (mean(None, None, None), "11mb"),
            (mean(Some("host"), None, None), "17mb"), // 48 * 134
            (mean(None, None, Some("part")), "15mb"), // 48 * 100
            // 200 / 100^0.494 * 2 / 3 = 13.7
            (mean(Some("host"), None, Some("part")), "76mb"), // 48 * 14 * 100
            // 300 / 100^0.494 = 30.8
            (mean(None, Some("user"), Some("part")), "17mb"), // (48 + 23.25) * 100
            (mean(None, Some("many"), None), "47mb"),         // 48 + 37500
            (mean(Some("none"), None, None), "10mb"),
            (mean(None, None, Some("none")), "11mb"),
            (
                json!({"detectors": [{"function": "count"}], "influencers": ["user"]}),
                "13mb",
            ), // 32 + 3000
            (
                json!({"detectors": [{"function": "count", "by_field_name": "host"}], "influencers": ["host", "few", "few"]}),
                "15mb",
            ), // 4288 + 100
            (categories(json!({})), "84mb"), // 500 / 10^0.494 * 2 / 3 = 106.8: 10 * 32 * 107 + 40960
            (
                categories(json!({"per_partition_categorization": {"enabled": true}})),
                "444mb",
            ),
            (
                categories(
                    json!({"per_partition_categorization": {"enabled": true, "stop_on_warn": true}}),
                ),
                "244mb",
            ),
            (mean(Some("host"), None, Some("all")), "8796093022207mb"),
            (
                json!({
                    "bucket_span": "5m", "influencers": ["part", "host"],
                    "detectors": [{"function": "sum", "field_name": "x", "by_field_name": "few", "partition_field_name": "user"}]
                }),
                "56mb", // 10 / 10^0.435 * 2 / 3 = 2.5: 48 * 3 * 300 + 10 * 300
            ),
        ] {
            assert_eq!(of(config.clone()).as_deref(), Ok(expected), "{config}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (config, reason) in [
            (
                one(json!({"function": "count", "by_field_name": "airline"})),
                "[Overall] cardinality estimate required for [by_field_name] [airline] but not supplied",
            ),
            (
                one(
                    json!({"function": "count", "over_field_name": "x", "partition_field_name": "y"}),
                ),
                "[Overall] cardinality estimate required for [partition_field_name] [y] but not supplied",
            ),
            (
                json!({"detectors": [{"function": "count"}], "influencers": ["country"]}),
                "[Bucket max] cardinality estimate required for [influencers] [country] but not supplied",
            ),
        ] {
            assert_eq!(of(config), Err(reason.to_owned()));
        }
    }
}
