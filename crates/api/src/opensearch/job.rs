//! A detector as a job with a datafeed.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::{Job, NewJob, NewLimits, RANDOM_CUT_FOREST};
use tidewatch_model::forest::ForestConfig;

use super::detector::{Condition, Detector, Feature, ImputationMethod, Threshold};
use super::dialect::Dialect;
use super::progress::needed;
use crate::ApiState;
use crate::error::Result;

/// The name of the histogram in the datafeed's aggregations.
const BUCKETS: &str = "buckets";
/// The name of the time in the pages of a composite aggregation.
const TIME: &str = "time";
/// Combinations of category values that one page has.
const PAGE: usize = 1_000;
const TREES: i64 = 50;
const SAMPLE: i64 = 256;
/// Megabytes that the forest of one series may take.
const OF_ONE: u64 = 64;
/// Megabytes that the forests of many may take.
const OF_MANY: u64 = 1_024;
/// More than any value.
const ANY: f64 = f64::MAX;

/// What a job is to be made of.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    pub detector: &'w Detector,
    /// In which the detector was created.
    pub dialect: Dialect,
    /// What its data is asked.
    pub query: &'w Value,
    /// How many entities there are at most, where that is known.
    pub entities: Option<u64>,
}

impl Wanted<'_> {
    /// The job, with its datafeed. `own`: what is kept in the job's settings, with its name.
    pub fn job(self, state: &ApiState, own: (&str, Value)) -> Result<NewJob<NewDatafeed>> {
        let detector = self.detector;
        let mut job = json!({
            "description": detector.description,
            "analysis_config": analysis(detector),
            "analysis_limits": {"model_memory_limit": self.memory(state)},
            "data_description": {"time_field": detector.time_field, "time_format": "epoch_ms"},
            "custom_settings": {
                "engine": RANDOM_CUT_FOREST,
                RANDOM_CUT_FOREST: forest(detector, self.dialect),
                own.0: own.1
            },
            "datafeed_config": datafeed(detector, self.query)
        });
        if let Some(days) = detector.result_index_ttl {
            job["results_retention_days"] = days.into();
        }
        let read = serde_json::from_value(job);
        Ok(read.map_err(|error| {
            let text = error.to_string();
            JobError::from_carried(&text).unwrap_or_else(|| JobError::illegal_argument(text))
        })?)
    }

    /// What the models may take: no more than the server lets jobs take.
    fn memory(self, state: &ApiState) -> String {
        let usual = match (self.detector.categories(), self.entities) {
            ([], _) => OF_ONE,
            (_, None) => OF_MANY,
            (_, Some(entities)) => OF_MANY.min(OF_ONE.saturating_mul(entities)),
        };
        let node = state.jobs.settings().node_memory.as_mebibytes();
        let most = state.jobs.max_model_memory_limit();
        let most = most.map_or(node, |most| most.as_mebibytes().min(node));
        format!("{}mb", usual.min(most.max(1)))
    }
}

/// Gives a job what clients have made of the one whose place it takes, but for what is analysed.
pub fn inherit(new: &mut NewJob<NewDatafeed>, old: &Job) {
    new.groups = Some(old.groups.clone());
    new.background_persist_interval = old.background_persist_interval;
    new.results_retention_days = old.results_retention_days;
    new.model_snapshot_retention_days = Some(old.model_snapshot_retention_days);
    new.daily_model_snapshot_retention_after_days = old.daily_model_snapshot_retention_after_days;
    new.allow_lazy_open = Some(old.allow_lazy_open);
    new.analysis_limits = Some(NewLimits {
        model_memory_limit: Some(old.analysis_limits.model_memory_limit),
        ..NewLimits::default()
    });
    let settings = new.custom_settings.get_or_insert_default();
    for (name, value) in old.custom_settings.iter().flatten() {
        settings
            .entry(name.as_str())
            .or_insert_with(|| value.clone());
    }
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

/// What the data of a detector is asked for; names of features are only told.
fn asked(detector: &Detector) -> impl Iterator<Item = &Map<String, Value>> {
    detector.enabled().map(|feature| &feature.aggregation_query)
}

/// Whether a job of the one goes on as one of the other: with what it has learnt of the same numbers.
pub fn learns_the_same(one: &Detector, other: &Detector, dialect: Dialect) -> bool {
    let grown = |detector: &Detector| ForestConfig::deserialize(forest(detector, dialect));
    let (Ok(before), Ok(after)) = (grown(one), grown(other)) else {
        return false;
    };
    asked(one).eq(asked(other))
        && after.grows_as(&before)
        && one.interval() == other.interval()
        && one.time_field == other.time_field
        && one.category_field == other.category_field
}

/// What an update of its job must say of a detector that learns the same; `settings`: those of the job, with it.
pub fn changes(detector: &Detector, dialect: Dialect, mut settings: Map<String, Value>) -> Value {
    settings.insert(RANDOM_CUT_FOREST.to_owned(), forest(detector, dialect));
    let names = detector.enabled().enumerate();
    let names: Vec<Value> = names
        .map(|(index, feature)| {
            json!({"detector_index": index, "description": feature.feature_name})
        })
        .collect();
    json!({
        "description": detector.description, "custom_settings": settings, "detectors": names
    })
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
fn forest(detector: &Detector, dialect: Dialect) -> Value {
    let mut options = json!({
        "shingle_size": detector.shingle_size,
        "sample_size": SAMPLE,
        "trees": TREES,
        "time_decay": 1.0 / detector.recency_emphasis as f64,
        "output_after": needed(detector, dialect)
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
        // Where any is none, no other condition makes one of it.
        let is_any = near.get(name).and_then(Value::as_f64) == Some(ANY);
        if !is_any {
            near.insert(name.to_owned(), json!(value));
        }
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
