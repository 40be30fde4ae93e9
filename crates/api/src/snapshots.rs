//! Model snapshots.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_jobs::{JobError, ModelSnapshot, RevertRequest, UpgradeStats, matches};
use tidewatch_model::units::TimeSpan;

use crate::ApiState;
use crate::body;
use crate::cluster::{node, ok};
use crate::dates;
use crate::error::Result;
use crate::jobs::{PATIENCE, Text};
use crate::params::Params;
use crate::results::{Page, page_window};

pub fn routes() -> Router<ApiState> {
    const SNAPSHOTS: &str = "/_ml/anomaly_detectors/{job_id}/model_snapshots";
    let one = |rest: &str| format!("{SNAPSHOTS}/{{snapshot_id}}{rest}");
    Router::new()
        .route(SNAPSHOTS, get(list).post(list))
        .route(&one(""), get(read).post(read).delete(delete))
        .route(&one("/_update"), post(update))
        .route(&one("/_revert"), post(revert))
        .route(&one("/_upgrade"), post(upgrade))
        .route(&one("/_upgrade/_stats"), get(upgrade_stats))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(rename = "snapshot_id")]
    _snapshot_id: Option<String>,
    desc: Option<bool>,
    start: Option<Text>,
    end: Option<Text>,
    page: Option<Page>,
    sort: Option<String>,
}

async fn list(
    state: State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    read(state, Path((job_id, "_all".to_owned())), uri, body).await
}

async fn read(
    State(state): State<ApiState>,
    Path((job_id, ids)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?
        .body_or(body, "cluster:monitor/xpack/ml/job/model_snapshots/get")
        .await?;
    state.jobs.get(&job_id)?;
    let (start, end) = dates::bounds(asked.start, asked.end)?;
    let (from, size) = page_window(&asked.page.unwrap_or_default())?;

    let mut snapshots = state.jobs.snapshots(&job_id).await?;
    let named = |id: &str| {
        ids.split(',')
            .map(str::trim)
            .any(|pattern| pattern == "_all" || matches(pattern, id))
    };
    snapshots.retain(|snapshot| {
        named(&snapshot.snapshot_id)
            && start.is_none_or(|start| snapshot.timestamp >= start)
            && end.is_none_or(|end| snapshot.timestamp < end)
    });
    let field = asked.sort.as_deref().unwrap_or("timestamp");
    let snapshots = sorted(&snapshots, field, asked.desc.unwrap_or(true));
    let count = snapshots.len();
    let page: Vec<Value> = snapshots
        .into_iter()
        .skip(from as usize)
        .take(size as usize)
        .collect();
    Ok(ok(&json!({"count": count, "model_snapshots": page})))
}

/// The documents sorted by one of their fields; dots lead to fields of inner objects. Those without it come last.
fn sorted(snapshots: &[ModelSnapshot], field: &str, descending: bool) -> Vec<Value> {
    let mut documents: Vec<Value> = snapshots.iter().map(|snapshot| json!(snapshot)).collect();
    if descending {
        documents.reverse();
    }
    let path = format!("/{}", field.replace('.', "/"));
    let rank = |document: &Value| match document.pointer(&path) {
        Some(Value::Number(number)) => (0, number.as_i64().unwrap_or(i64::MAX), String::new()),
        Some(Value::Bool(is)) => (0, i64::from(*is), String::new()),
        Some(Value::String(text)) => (0, 0, text.clone()),
        _ => (1, 0, String::new()),
    };
    documents.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        let values = (a.1, &a.2).cmp(&(b.1, &b.2));
        let values = if descending { values.reverse() } else { values };
        a.0.cmp(&b.0).then(values)
    });
    documents
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Update {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(rename = "snapshot_id")]
    _snapshot_id: Option<String>,
    description: Option<String>,
    retain: Option<bool>,
}

async fn update(
    State(state): State<ApiState>,
    Path((job_id, snapshot_id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let update: Update = Params::new(&uri)?
        .body(body, "cluster:admin/xpack/ml/job/model_snapshots/update")
        .await?;
    let snapshot = state
        .jobs
        .update_snapshot(&job_id, &snapshot_id, update.description, update.retain)
        .await?;
    Ok(ok(&json!({"acknowledged": true, "model": snapshot})))
}

async fn delete(
    State(state): State<ApiState>,
    Path((job_id, snapshot_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    state.jobs.delete_snapshot(&job_id, &snapshot_id).await?;
    Ok(ok(&json!({"acknowledged": true})))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RevertAsked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(rename = "snapshot_id")]
    _snapshot_id: Option<String>,
    delete_intervening_results: bool,
    force: bool,
}

async fn revert(
    State(state): State<ApiState>,
    Path((job_id, snapshot_id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: RevertAsked = Params::new(&uri)?
        .ignore(&["timeout", "master_timeout"])
        .body_or(body, "cluster:admin/xpack/ml/job/model_snapshots/revert")
        .await?;
    let request = RevertRequest {
        delete_intervening_results: asked.delete_intervening_results,
        force: asked.force,
    };
    let task = state.jobs.revert(&job_id, &snapshot_id, request);
    Ok(ok(&task.ended().await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpgradeAsked {
    #[serde(default = "half_an_hour")]
    timeout: TimeSpan,
    #[serde(default)]
    wait_for_completion: bool,
}

const fn half_an_hour() -> TimeSpan {
    PATIENCE
}

async fn upgrade(
    State(state): State<ApiState>,
    Path((job_id, snapshot_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let asked: UpgradeAsked = Params::new(&uri)?.read()?;
    let upgraded = state.jobs.upgrade_snapshot(&job_id, &snapshot_id).await?;
    if asked.wait_for_completion {
        let ended = tokio::time::timeout(asked.timeout.as_duration(), upgraded).await;
        let ended = ended.map_err(|_| {
            JobError::timed_out(format!(
                "snapshot upgrader request [{job_id}] [{snapshot_id}] timed out after [{}]",
                asked.timeout
            ))
        })?;
        ended.map_err(|error| JobError::internal(error.to_string()))??;
    }
    Ok(ok(&json!({
        "completed": asked.wait_for_completion, "node": state.identity.node_id
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsAsked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

async fn upgrade_stats(
    State(state): State<ApiState>,
    Path((jobs, snapshots)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let asked: StatsAsked = Params::new(&uri)?.read()?;
    let stats = state
        .jobs
        .upgrade_stats(&jobs, &snapshots, asked.allow_no_match)?;
    let document = |one: &UpgradeStats| {
        json!({
            "job_id": one.job_id, "snapshot_id": one.snapshot_id, "state": one.state.name(),
            "node": node(&state.identity), "assignment_explanation": ""
        })
    };
    let upgrades: Vec<Value> = stats.iter().map(document).collect();
    Ok(ok(
        &json!({"count": upgrades.len(), "model_snapshot_upgrades": upgrades}),
    ))
}
