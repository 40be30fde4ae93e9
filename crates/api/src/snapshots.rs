//! Model snapshots.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::{ModelSnapshot, matches, no_snapshot};

use crate::ApiState;
use crate::cluster::ok;
use crate::dates;
use crate::error::Result;
use crate::jobs::Text;
use crate::params::Params;
use crate::results::{Page, page_window};

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

pub async fn list(
    state: State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    get(state, Path((job_id, "_all".to_owned())), uri, body).await
}

pub async fn get(
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
    for id in ids
        .split(',')
        .filter(|id| *id != "_all" && !id.contains('*'))
    {
        if !snapshots.iter().any(|snapshot| snapshot.snapshot_id == id) {
            return Err(no_snapshot(&job_id, id).into());
        }
    }
    let named = |id: &str| {
        ids.split(',')
            .any(|pattern| pattern == "_all" || matches(pattern, id))
    };
    snapshots.retain(|snapshot| {
        named(&snapshot.snapshot_id)
            && start.is_none_or(|start| snapshot.timestamp >= start)
            && end.is_none_or(|end| snapshot.timestamp < end)
    });
    sort(&mut snapshots, asked.sort.as_deref().unwrap_or("timestamp"));
    if asked.desc.unwrap_or(true) {
        snapshots.reverse();
    }
    let count = snapshots.len();
    let page: Vec<&ModelSnapshot> = snapshots
        .iter()
        .skip(from as usize)
        .take(size as usize)
        .collect();
    Ok(ok(&json!({"count": count, "model_snapshots": page})))
}

/// Sorts by a field of the snapshot; those without it come first.
fn sort(snapshots: &mut [ModelSnapshot], field: &str) {
    let key = |snapshot: &ModelSnapshot| match field {
        "timestamp" => (Some(snapshot.timestamp), String::new()),
        "latest_record_time_stamp" => (snapshot.latest_record_time_stamp, String::new()),
        "latest_result_time_stamp" => (snapshot.latest_result_time_stamp, String::new()),
        "description" => (None, snapshot.description.clone()),
        _ => (
            snapshot.snapshot_id.parse().ok(),
            snapshot.snapshot_id.clone(),
        ),
    };
    snapshots.sort_by_cached_key(key);
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Update {
    description: Option<String>,
    retain: Option<bool>,
}

pub async fn update(
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

pub async fn delete(
    State(state): State<ApiState>,
    Path((job_id, snapshot_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    state.jobs.delete_snapshot(&job_id, &snapshot_id).await?;
    Ok(ok(&json!({"acknowledged": true})))
}
