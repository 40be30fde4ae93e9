//! The job and the datafeed that a detector is.

use serde_json::{Map, Value, json};
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_jobs::config::NewJob;
use tidewatch_model::forest::{Entity, ForestConfig};
use tidewatch_model::units::Memory;

use super::detector::{Detector, SETTINGS};
use super::error::{AmpError, Result};
use super::shapes::{Near, RandomCutForest, Wanted};
use crate::ApiState;

/// Series that a detector is to have room for, however large their forests are.
const LEAST_SERIES: u64 = 4;

/// Which series it is, as the Prometheus source gives it: all its labels.
pub const SERIES: &str = "__labels__";

/// # Errors
/// What can't be written as a job; there is no such thing.
pub fn new(state: &ApiState, detector: &Detector, source: &str) -> Result<NewJob<NewDatafeed>> {
    let memory = memory(state, &detector.wanted);
    let mut body = analysis(&detector.wanted, source);
    let more = json!({
        "description": format!("Anomaly detector of Amazon Managed Prometheus: {}", detector.alias),
        "analysis_limits": {"model_memory_limit": memory.to_string()},
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body["custom_settings"][SETTINGS] = json!(detector);
    serde_json::from_value(body).map_err(|error| AmpError::internal(error.to_string()))
}

/// What a detector's job may take: what the settings say, or more where forests are so large that few would have room.
/// No more than jobs may have at all.
pub fn memory(state: &ApiState, wanted: &Wanted) -> Memory {
    let config: Option<ForestConfig> = serde_json::from_value(options(wanted)).ok();
    let each = config.map_or(0, |config| Entity::bytes(&config, 1));
    // And a quarter for what is beside them.
    let least = LEAST_SERIES * each / 4 * 5;
    // In whole mebibytes, as limits are.
    let wanted = state
        .amp
        .memory()
        .bytes
        .max(least)
        .next_multiple_of(1 << 20);
    let most = state.jobs.max_model_memory_limit();
    Memory {
        bytes: most.map_or(wanted, |most| most.bytes.min(wanted)),
    }
}

/// The engine's part: what is evaluated, when, and by what.
pub fn analysis(wanted: &Wanted, source: &str) -> Value {
    let span = format!("{}s", wanted.evaluation_interval_in_seconds);
    json!({
        "analysis_config": {
            "bucket_span": span,
            "detectors": [
                {"function": "mean", "field_name": "value", "partition_field_name": SERIES}
            ],
            "influencers": [SERIES],
        },
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
        "custom_settings": {
            "engine": "random_cut_forest",
            "random_cut_forest": options(wanted),
        },
        "datafeed_config": {
            "indices": [format!("{source}:*")],
            // What is evaluated at the end of an interval is of that interval, and known at once.
            "query": {"promql": {"query": wanted.forest().query, "step": span, "at": "end"}},
            "frequency": span,
            "query_delay": DELAY,
            "delayed_data_check_config": {"enabled": false},
        },
    })
}

/// What Prometheus may take to have scraped what an evaluation needs.
const DELAY: &str = "1s";

/// The settings of a detector's forests.
pub fn options(wanted: &Wanted) -> Value {
    let forest = wanted.forest();
    let method = if wanted.marks_missing() {
        "anomaly"
    } else {
        "none"
    };
    let mut options = json!({
        "shingle_size": forest.shingle_size,
        "sample_size": forest.sample_size,
        // As the library of the service has it: after a quarter of a sample.
        "output_after": forest.sample_size / 4,
        "imputation": {"method": method},
    });
    let near = near(forest);
    if !near.is_empty() {
        options["ignore_near_expected"] = json!([near]);
    }
    options
}

fn near(forest: &RandomCutForest) -> Map<String, Value> {
    let (above, below) = (
        forest.ignore_near_expected_from_above,
        forest.ignore_near_expected_from_below,
    );
    let all = [
        ("above", Near::amount(above)),
        ("below", Near::amount(below)),
        ("above_ratio", Near::ratio(above)),
        ("below_ratio", Near::ratio(below)),
    ];
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    given.collect()
}
