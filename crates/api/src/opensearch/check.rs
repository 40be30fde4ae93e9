//! What a definition of a detector must be, as far as it says it itself.

use std::collections::BTreeSet;

use serde_json::json;

use super::detector::{
    Action, Condition, Detector, Feature, Imputation, ImputationMethod, Operator, Period, Rule,
    Threshold,
};
use super::dialect::Dialect;
use super::issue::Issue;

const NAME: usize = 64;
const DESCRIPTION: usize = 1_000;
const RESULT_INDEX: usize = 255;
const CATEGORIES: usize = 2;
const FEATURES: usize = 5;
const HISTORY: i64 = 10_000;
/// How often the interval a frequency may be.
const FREQUENCY: i64 = 10_000;

type Read<T> = Result<T, Issue>;

/// What can be said without looking at any data, in the order in which OpenSearch says it.
pub fn check(detector: &Detector, dialect: Dialect, has_interval: bool) -> Read<()> {
    check_signs(detector)?;
    if detector.name.trim().is_empty() {
        let message = dialect.says("name should be set", "Detector name should be set");
        return Err(Issue::new("name", message));
    }
    if detector.time_field.trim().is_empty() {
        return Err(Issue::new("time_field", "Time field should be set"));
    }
    if detector.indices.iter().all(|index| index.trim().is_empty()) {
        return Err(Issue::new("indices", "Indices should be set"));
    }
    check_shingle(detector, dialect)?;
    check_result_index(detector, dialect)?;
    check_keeping(detector)?;
    if detector.recency_emphasis <= 1 {
        let message = "Recency emphasis must be an integer greater than 1.";
        return Err(Issue::new("recency_emphasis", message));
    }
    if detector.description.chars().count() > DESCRIPTION {
        let message =
            format!("Description length is too long. Max length is {DESCRIPTION} characters.");
        return Err(Issue::new("description", message));
    }
    if !(1..=HISTORY).contains(&detector.history) {
        let message = format!("We cannot look back more than {HISTORY} intervals.");
        return Err(Issue::new("history", message));
    }
    check_imputation(detector)?;
    check_frequency(detector)?;
    check_rules(detector)?;
    if detector.categories().len() > CATEGORIES {
        let message = match dialect.is_legacy() {
            true => format!("We can have only {CATEGORIES} categorical field/s."),
            false => format!(
                "Currently we only support up to {CATEGORIES} categorical field/s in order to bound system resource \
                 consumption."
            ),
        };
        return Err(Issue::new("category_field", message));
    }
    if !has_interval {
        let message = "Detection interval should be set";
        return Err(Issue::new("detection_interval", message));
    }
    match detector.interval() > 0 {
        true => Ok(()),
        false => Err(not_positive("detection_interval", "Detection interval")),
    }
}

fn not_positive(field: &'static str, what: &str) -> Issue {
    Issue::new(field, format!("{what} must be a positive integer"))
}

/// Times are not negative; an interval that is 0 is only found later.
fn check_signs(detector: &Detector) -> Read<()> {
    let frequency = detector.frequency.as_ref();
    for (field, what, period) in [
        (
            "detection_interval",
            "Detection interval",
            Some(&detector.detection_interval),
        ),
        (
            "window_delay",
            "Window delay interval",
            Some(&detector.window_delay),
        ),
        ("frequency", "Frequency", frequency),
    ] {
        if period.is_some_and(|period| period.interval() < 0) {
            return Err(not_positive(field, what));
        }
    }
    Ok(())
}

/// What is asked of a name, behind all that stands in the definition alone.
pub fn check_name(name: &str, dialect: Dialect) -> Read<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(is_allowed) {
        let what = dialect.says("name", "detector name");
        return Err(Issue::found(
            "name",
            format!(
                "Valid characters for {what} are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)"
            ),
        ));
    }
    if name.len() > NAME {
        let message = format!("Name should be shortened. The maximum limit is {NAME} characters.");
        return Err(Issue::found("name", message));
    }
    Ok(())
}

/// How many features there may be, and that they have names of their own.
pub fn check_features(detector: &Detector, dialect: Dialect) -> Read<()> {
    let features = &detector.feature_attributes;
    let refuse = |message: String| Err(Issue::with_status("feature_attributes", 400, message));
    if features.len() > FEATURES {
        return refuse(format!("Can't create more than {FEATURES} feature(s)"));
    }
    let mut told = Vec::new();
    let names = repeated(features.iter().map(|feature| feature.feature_name.as_str()));
    if !names.is_empty() {
        told.push(format!(
            "There are duplicate feature names: {}",
            names.join(", ")
        ));
    }
    let names = repeated(features.iter().map(Feature::aggregation));
    if !names.is_empty() {
        let what = dialect.says("Config", "Detector");
        told.push(format!(
            "{what} has duplicate feature aggregation query names: {}",
            names.join(", ")
        ));
    }
    match told.is_empty() {
        true => Ok(()),
        false => refuse(told.join(". ")),
    }
}

fn repeated<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut seen = BTreeSet::new();
    let mut again = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            again.insert(name);
        }
    }
    again.into_iter().collect()
}

/// The seasonality first: a size that isn't given comes from it.
fn check_shingle(detector: &Detector, dialect: Dialect) -> Read<()> {
    if let Some(season) = detector.suggested_seasonality
        && !(2..=256).contains(&season)
    {
        let message = format!("Suggested seasonality must be between 2 and 256. Got {season}.");
        return Err(Issue::new("suggested_seasonality", message));
    }
    let size = detector.shingle_size;
    let most = if dialect.is_legacy() { 60 } else { 128 };
    if (1..=most).contains(&size) {
        return Ok(());
    }
    let message = match dialect.is_legacy() {
        true => "Shingle size must be a positive integer".to_owned(),
        false => format!("Suggested shingle size must be between 1 and 128. Got {size}."),
    };
    Err(Issue::new("shingle_size", message))
}

fn check_result_index(detector: &Detector, dialect: Dialect) -> Read<()> {
    let (Some(name), Some(prefix)) = (&detector.result_index, dialect.result_index_prefix()) else {
        return Ok(());
    };
    let is_allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let message = if !name.starts_with(prefix) {
        format!("Result index must start with {prefix}")
    } else if name.len() > RESULT_INDEX {
        format!("Result index name size must contains less than {RESULT_INDEX} characters")
    } else if !name.chars().all(is_allowed) {
        "Result index name has invalid character. Valid characters are a-z, 0-9, -(hyphen) and _(underscore)"
            .to_owned()
    } else {
        return Ok(());
    };
    Err(Issue::new("result_index", message))
}

/// How large and how old results may become. OpenSearch takes any number here, and fails later.
fn check_keeping(detector: &Detector) -> Read<()> {
    for (name, number) in [
        ("result_index_min_size", detector.result_index_min_size),
        ("result_index_min_age", detector.result_index_min_age),
        ("result_index_ttl", detector.result_index_ttl),
    ] {
        if let Some(number) = number.filter(|number| *number < 0) {
            let message = format!("{name} must not be negative. Got {number}.");
            return Err(Issue::new("result_index", message));
        }
    }
    Ok(())
}

fn check_imputation(detector: &Detector) -> Read<()> {
    let Some(Imputation {
        method: ImputationMethod::FixedValues,
        default_fill,
    }) = &detector.imputation_option
    else {
        return Ok(());
    };
    let enabled = detector.enabled().count();
    if default_fill.is_empty() {
        let message = "Enabled features are present, but no default fill values are provided.";
        return Err(Issue::new("imputation_option", message));
    }
    if default_fill.len() != enabled {
        return Err(Issue::new(
            "imputation_option",
            format!(
                "Mismatch between the number of enabled features and default fill values. Number of default fill \
                 values: {}. Number of enabled features: {enabled}.",
                default_fill.len()
            ),
        ));
    }
    let has = |feature: &&Feature| {
        default_fill
            .iter()
            .any(|fill| fill.feature_name == feature.feature_name)
    };
    match detector.enabled().find(|feature| !has(feature)) {
        Some(missing) => Err(Issue::new(
            "imputation_option",
            format!("Missing feature name: {}.", missing.feature_name),
        )),
        None => Ok(()),
    }
}

fn check_frequency(detector: &Detector) -> Read<()> {
    let interval = detector.interval();
    // What is wrong with an interval is said later.
    let Some(frequency) = detector.frequency.as_ref().filter(|_| interval > 0) else {
        return Ok(());
    };
    let told = |period: &Period| format!("{} {}", period.interval(), period.unit().to_lowercase());
    let (often, interval_told) = (told(frequency), told(&detector.detection_interval));
    let millis = frequency.as_millis();
    let message = if millis == 0 {
        "Frequency must be greater than 0.".to_owned()
    } else if millis % interval != 0 {
        format!(
            "Frequency ({often}) must be a multiple of interval ({interval_told}), including the interval itself."
        )
    } else if millis / interval > FREQUENCY {
        format!(
            "Frequency multiple ({}) exceeds the maximum allowed value ({FREQUENCY}). Frequency: {often}, Interval: \
             {interval_told}.",
            millis / interval
        )
    } else {
        return Ok(());
    };
    Err(Issue::new("frequency", message))
}

fn check_rules(detector: &Detector) -> Read<()> {
    let issue = |why: String| {
        Err(Issue::new(
            "rules",
            format!("Suppression Rule Error: {why}"),
        ))
    };
    let features = &detector.feature_attributes;
    if features.is_empty() && !detector.rules.is_empty() {
        return issue("Features are not defined while suppression rules are provided.".to_owned());
    }
    let conditions = detector
        .rules
        .iter()
        .flat_map(|rule: &Rule| &rule.conditions);
    for condition in conditions {
        let name = &condition.feature_name;
        if name.is_empty() {
            return issue("A condition is missing the feature name.".to_owned());
        }
        match features.iter().find(|known| known.feature_name == *name) {
            None => {
                return issue(format!(
                    "Feature \"{name}\" specified in a suppression rule does not exist."
                ));
            }
            Some(known) if !known.feature_enabled => {
                return issue(format!(
                    "Feature \"{name}\" specified in a suppression rule is not enabled."
                ));
            }
            Some(_) => {}
        }
        let threshold = condition.threshold_type;
        let has_more = condition.operator.is_some() || condition.value.is_some();
        if threshold.has_value() && !condition.value.is_some_and(|value| value > 0.0) {
            return issue(format!(
                "The threshold value for feature \"{name}\" must be a positive number."
            ));
        }
        if !threshold.has_value() && has_more {
            return issue(format!(
                "For threshold type \"{}\", both operator and value must be empty or null, as this rule compares actual \
                 to expected values directly",
                json!(threshold).as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

/// A fifth above or below of what was expected is no anomaly.
pub fn default_rules(detector: &Detector) -> Vec<Rule> {
    let of = |feature: &Feature| Rule {
        action: Action::IgnoreAnomaly,
        conditions: [
            Threshold::ActualOverExpectedRatio,
            Threshold::ExpectedOverActualRatio,
        ]
        .map(|threshold_type| Condition {
            feature_name: feature.feature_name.clone(),
            threshold_type,
            operator: Some(Operator::Lte),
            value: Some(0.2),
        })
        .into(),
    };
    detector.enabled().map(of).collect()
}
