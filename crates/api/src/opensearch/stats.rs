//! Statistics of all detectors, and of the one node.

use std::collections::BTreeSet;

use axum::extract::{Extension, Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::result::{EntityField, entity_json, model_id};
use super::{history, real_time, results, stored};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};
use crate::near;

/// Statistics of the whole, but for the two that have other names in each dialect.
const CLUSTER: [&str; 6] = [
    "anomaly_detectors_index_status",
    "anomaly_results_index_status",
    "models_checkpoint_index_status",
    "anomaly_detection_job_index_status",
    "anomaly_detection_state_status",
    "detector_count",
];
/// Statistics of a node.
const NODE: [&str; 11] = [
    "ad_execute_request_count",
    "ad_execute_failure_count",
    "ad_hc_execute_request_count",
    "ad_hc_execute_failure_count",
    "ad_total_batch_task_execution_count",
    "ad_executing_batch_task_count",
    "ad_canceled_batch_task_count",
    "ad_batch_task_failure_count",
    "ad_model_corruption_count",
    "model_count",
    "models",
];

/// Models that are told of; all are counted.
const MODELS: usize = 100;

pub async fn all(
    state: State<ApiState>,
    dialect: Extension<Dialect>,
    uri: Uri,
) -> Result<Response> {
    answer(&state, *dialect, &uri, None, None).await
}

pub async fn some(
    state: State<ApiState>,
    dialect: Extension<Dialect>,
    Path(stats): Path<String>,
    uri: Uri,
) -> Result<Response> {
    answer(&state, *dialect, &uri, None, Some(&stats)).await
}

pub async fn of_node(
    state: State<ApiState>,
    dialect: Extension<Dialect>,
    Path(node): Path<String>,
    uri: Uri,
) -> Result<Response> {
    answer(&state, *dialect, &uri, Some(&node), None).await
}

pub async fn some_of_node(
    state: State<ApiState>,
    dialect: Extension<Dialect>,
    Path((node, stats)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    answer(&state, *dialect, &uri, Some(&node), Some(&stats)).await
}

async fn answer(
    state: &ApiState,
    dialect: Dialect,
    uri: &Uri,
    nodes: Option<&str>,
    stats: Option<&str>,
) -> Result<Response> {
    let asked = asked(uri, dialect, stats)?;
    let is_asked = |name: &str| asked.is_empty() || asked.contains(&name);
    let own = &state.identity.node_id;
    let is_meant = nodes.is_none_or(|nodes| {
        nodes
            .split(',')
            .any(|node| node == own || node == "_all" || node == "_local")
    });
    let mut told = cluster(state, dialect)?;
    told.retain(|name, _| is_asked(name));
    let mut nodes = Map::new();
    if is_meant {
        let mut node = node(state).await?;
        node.retain(|name, _| is_asked(name));
        nodes.insert(own.clone(), node.into());
    }
    told.insert("nodes".to_owned(), nodes.into());
    Ok(ok(&told.into()))
}

/// Of detectors with one series, and of those with many.
fn count_names(dialect: Dialect) -> [&'static str; 2] {
    match dialect.is_legacy() {
        true => [
            "single_entity_detector_count",
            "multi_entity_detector_count",
        ],
        false => ["single_stream_detector_count", "hc_detector_count"],
    }
}

/// The statistics that are asked for; none where all are.
fn asked<'s>(uri: &Uri, dialect: Dialect, stats: Option<&'s str>) -> Result<Vec<&'s str>> {
    const ALL: &str = "_all";
    let asked: Vec<&str> = match stats {
        None | Some(ALL) => return Ok(Vec::new()),
        Some(stats) => stats.split(',').map(str::trim).collect(),
    };
    let path = uri.path();
    if asked.contains(&ALL) {
        let message = format!("Request {path} contains {ALL} and individual stats");
        return Err(ApiError::illegal_argument(message));
    }
    let counts = count_names(dialect);
    let known: Vec<&str> = [&CLUSTER[..], &counts, &NODE].concat();
    let unknown: BTreeSet<&str> = asked
        .iter()
        .filter(|name| !known.contains(name))
        .copied()
        .collect();
    let told: Vec<String> = unknown
        .iter()
        .map(|name| match near::meant(name, &known) {
            Some(known) => format!("[{name}] -> did you mean {known}?"),
            None => format!("[{name}]"),
        })
        .collect();
    match told.len() {
        0 => Ok(asked),
        count => Err(ApiError::illegal_argument(format!(
            "request [{path}] contains unrecognized stat{}: {}",
            if count == 1 { "" } else { "s" },
            told.join(", ")
        ))),
    }
}

fn cluster(state: &ApiState, dialect: Dialect) -> Result<Map<String, Value>> {
    let detectors = stored::all(state)?;
    let tasks = history::all(state)?;
    let by_category = |kept: &&stored::Kept| !kept.stored.detector.categories().is_empty();
    let many = detectors.iter().filter(by_category).count();
    // An index of theirs is there when there is something to be in it.
    let status = |is_there: bool| if is_there { "green" } else { "non-existent" };
    let started = detectors.iter().any(|kept| kept.stored.real_time.is_some());
    let has_run = started || !tasks.is_empty();
    let [single, multi] = count_names(dialect);
    let told = json!({
        "anomaly_detectors_index_status": status(!detectors.is_empty()),
        "anomaly_detection_state_status": status(has_run),
        "anomaly_results_index_status": status(has_run),
        "anomaly_detection_job_index_status": status(started),
        "models_checkpoint_index_status": status(has_run),
        "detector_count": detectors.len(),
        single: detectors.len() - many,
        multi: many
    });
    Ok(told.as_object().cloned().unwrap_or_default())
}

async fn node(state: &ApiState) -> Result<Map<String, Value>> {
    let mut searches = [0; 2];
    let mut failures = [0; 2];
    let (mut models, mut count_of_models) = (Vec::new(), 0);
    for kept in stored::all(state)? {
        let detector = &kept.stored.detector;
        let kind = usize::from(!detector.categories().is_empty());
        let job_id = &kept.job.job_id;
        if let Some(feed) = state.feeds.of_job(job_id) {
            searches[kind] += state.feeds.status(&feed).timing_stats.search_count;
        }
        if !real_time::is_running(state, &kept) {
            continue;
        }
        let runs = state.feeds.runs();
        let own = runs.iter().filter(|run| run.plan().job_id == *job_id);
        failures[kind] += own.map(|run| run.figures().errors).sum::<u64>();
        let times = times(state, job_id).await?;
        for entity in results::active(state, job_id).await? {
            count_of_models += 1;
            if models.len() < MODELS {
                models.push(model(&kept.stored.id, &entity, times));
            }
        }
    }
    let tasks = history::all(state)?;
    let count = |is_so: &dyn Fn(&str) -> bool| {
        let mut states = tasks.iter().map(|task| history::state_of(state, task));
        states.by_ref().filter(|state| is_so(state)).count()
    };
    let told = json!({
        "ad_execute_request_count": searches[0],
        "ad_execute_failure_count": failures[0],
        "ad_hc_execute_request_count": searches[1],
        "ad_hc_execute_failure_count": failures[1],
        "ad_total_batch_task_execution_count": tasks.len(),
        "ad_executing_batch_task_count": count(&|state| matches!(state, "CREATED" | "INIT" | "RUNNING")),
        "ad_canceled_batch_task_count": count(&|state| state == "STOPPED"),
        "ad_batch_task_failure_count": count(&|state| state == "FAILED"),
        // A job whose state can't be read fails, and has no model.
        "ad_model_corruption_count": 0,
        "model_count": count_of_models,
        "models": models
    });
    Ok(told.as_object().cloned().unwrap_or_default())
}

/// When data last came to a job's models, and when they were last saved. Epoch milliseconds.
async fn times(state: &ApiState, job_id: &str) -> Result<(Option<i64>, Option<i64>)> {
    let stats = state.jobs.stats(job_id, true)?;
    let used = stats
        .first()
        .and_then(|stats| stats.data_counts.last_data_time);
    let saved = state.jobs.snapshots(job_id).await?;
    Ok((used, saved.last().map(|snapshot| snapshot.timestamp)))
}

fn model(
    detector_id: &str,
    entity: &[EntityField],
    (used, saved): (Option<i64>, Option<i64>),
) -> Value {
    let mut told = json!({
        "detector_id": detector_id,
        "model_type": if entity.is_empty() { "rcf" } else { "entity" },
        "model_id": model_id(detector_id, entity)
    });
    for (name, time) in [("last_used_time", used), ("last_checkpoint_time", saved)] {
        if let Some(time) = time {
            told[name] = time.into();
        }
    }
    if !entity.is_empty() {
        told["entity"] = entity_json(entity);
    }
    told
}
