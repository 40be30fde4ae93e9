//! A detector as a job with a datafeed.

use serde_json::{Map, Value, json};
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::NewJob;

use super::detector::{Condition, Detector, Feature, ImputationMethod, Threshold};
use super::read::LEARNT;
use crate::error::Result;

/// The name of the histogram in the datafeed's aggregations.
const BUCKETS: &str = "buckets";
/// The name of the time in the pages of a composite aggregation.
const TIME: &str = "time";
/// Combinations of category values that one page has.
const PAGE: usize = 1_000;
const TREES: i64 = 50;
const SAMPLE: i64 = 256;
/// Memory that the forest of one series may take.
const MEMORY: &str = "64mb";
/// More than any value.
const ANY: f64 = f64::MAX;

/// The job of a detector, with its datafeed. `query`: what its data is asked; `own`: what is kept in the job's
/// settings, with its name.
pub fn new_job(
    detector: &Detector,
    query: &Value,
    own: (&str, Value),
) -> Result<NewJob<NewDatafeed>> {
    let mut job = json!({
        "description": detector.description,
        "analysis_config": analysis(detector),
        "data_description": {"time_field": detector.time_field, "time_format": "epoch_ms"},
        "custom_settings": {
            "engine": "random_cut_forest",
            "random_cut_forest": forest(detector),
            own.0: own.1
        },
        "datafeed_config": datafeed(detector, query)
    });
    if detector.categories().is_empty() {
        job["analysis_limits"] = json!({"model_memory_limit": MEMORY});
    }
    let read = serde_json::from_value(job);
    Ok(read.map_err(|error| {
        let text = error.to_string();
        JobError::from_carried(&text).unwrap_or_else(|| JobError::illegal_argument(text))
    })?)
}

/// The span of a bucket, as jobs have it.
fn span(millis: i64) -> String {
    format!("{}s", millis / 1_000)
}

/// What a job's records call a feature: as its aggregation, unless something else is called so.
fn field(detector: &Detector, feature: &Feature) -> String {
    let name = feature.aggregation();
    let is_taken = name == detector.time_field
        || name == "doc_count"
        || detector.categories().iter().any(|field| field == name);
    match is_taken {
        true => format!("feature_{name}"),
        false => name.to_owned(),
    }
}

/// The function of a job that gives what the aggregation gave. Where nothing happened, sums and counts of a single
/// series are nothing; an entity that isn't there has no value.
fn function(detector: &Detector, feature: &Feature) -> &'static str {
    let is_single = detector.categories().is_empty();
    match feature.kind() {
        "sum" | "value_count" | "cardinality" if is_single => "sum",
        "sum" | "value_count" | "cardinality" => "non_null_sum",
        "min" => "min",
        "avg" => "mean",
        _ => "max",
    }
}

fn analysis(detector: &Detector) -> Value {
    let mut detectors: Vec<Value> = detector
        .enabled()
        .map(|feature| {
            let mut of = json!({
                "function": function(detector, feature),
                "field_name": field(detector, feature),
                "detector_description": feature.feature_name
            });
            for (name, category) in ["partition_field_name", "by_field_name"]
                .iter()
                .zip(detector.categories())
            {
                of[*name] = category.as_str().into();
            }
            of
        })
        .collect();
    if detectors.is_empty() {
        // A job has a detector. This one is never opened.
        detectors.push(json!({"function": "count", "detector_description": "no enabled features"}));
    }
    json!({
        "bucket_span": span(detector.interval()),
        "summary_count_field_name": "doc_count",
        "detectors": detectors,
        "influencers": detector.categories()
    })
}

/// Whether a job of the one goes on as one of the other.
pub fn learns_the_same(one: &Detector, other: &Detector) -> bool {
    let is_startable = |detector: &Detector| detector.enabled().next().is_some();
    analysis(one) == analysis(other)
        && forest(one) == forest(other)
        && one.time_field == other.time_field
        && is_startable(one) == is_startable(other)
}

/// The datafeed of a detector.
pub fn datafeed(detector: &Detector, query: &Value) -> Value {
    let time = &detector.time_field;
    let mut within = Map::from_iter([(time.clone(), json!({"max": {"field": time}}))]);
    for feature in detector.enabled() {
        let (name, body) = feature.renamed(&field(detector, feature));
        within.insert(name, body);
    }
    let histogram = json!({"field": time, "fixed_interval": span(detector.interval())});
    let mut buckets = match detector.categories() {
        [] => json!({"date_histogram": histogram}),
        categories => {
            let mut sources = vec![json!({TIME: {"date_histogram": histogram}})];
            sources.extend(
                categories
                    .iter()
                    .map(|field| json!({field.as_str(): {"terms": {"field": field}}})),
            );
            json!({"composite": {"size": PAGE, "sources": sources}})
        }
    };
    buckets["aggregations"] = within.into();
    let every = detector.frequency.as_ref();
    json!({
        "indices": detector.indices,
        "query": query,
        "query_delay": span(detector.window_delay.as_millis()),
        "frequency": span(every.map_or(detector.interval(), |every| every.as_millis())),
        "aggregations": {BUCKETS: buckets},
        "delayed_data_check_config": {"enabled": false}
    })
}

/// What the forest is told.
fn forest(detector: &Detector) -> Value {
    let mut options = json!({
        "shingle_size": detector.shingle_size,
        "sample_size": SAMPLE,
        "trees": TREES,
        "time_decay": 1.0 / detector.recency_emphasis as f64,
        "output_after": LEARNT.max(detector.shingle_size)
    });
    let near: Vec<Value> = detector
        .enabled()
        .map(|feature| near_expected(detector, feature))
        .collect();
    if near
        .iter()
        .any(|near| near.as_object().is_some_and(|near| !near.is_empty()))
    {
        options["ignore_near_expected"] = near.into();
    }
    let imputation = detector.imputation_option.as_ref();
    if let Some(imputation) = imputation.filter(|_| detector.enabled().next().is_some()) {
        options["imputation"] = match imputation.method {
            ImputationMethod::Zero => json!({"method": "zero"}),
            ImputationMethod::Previous => json!({"method": "previous"}),
            ImputationMethod::FixedValues => {
                let value = |feature: &Feature| {
                    let mut fill = imputation.default_fill.iter();
                    fill.find(|fill| fill.feature_name == feature.feature_name)
                        .map_or(0.0, |fill| fill.data)
                };
                let values: Vec<f64> = detector.enabled().map(value).collect();
                json!({"method": "fixed", "values": values})
            }
        };
    }
    options
}

/// How near to what was expected a value of the feature is no anomaly.
fn near_expected(detector: &Detector, feature: &Feature) -> Value {
    let mut near = Map::new();
    let conditions = detector.rules.iter().flat_map(|rule| &rule.conditions);
    for condition in conditions.filter(|condition| condition.feature_name == feature.feature_name) {
        let (name, value) = bound(condition);
        near.insert(name.to_owned(), json!(value));
    }
    near.into()
}

fn bound(condition: &Condition) -> (&'static str, f64) {
    let value = condition.value.unwrap_or_default();
    match condition.threshold_type {
        Threshold::ActualOverExpectedMargin => ("above", value),
        Threshold::ExpectedOverActualMargin => ("below", value),
        Threshold::ActualOverExpectedRatio => ("above_ratio", value),
        Threshold::ExpectedOverActualRatio => ("below_ratio", value),
        Threshold::ActualIsOverExpected => ("above", ANY),
        Threshold::ActualIsBelowExpected => ("below", ANY),
    }
}
