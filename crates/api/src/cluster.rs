//! What clients ask of a cluster: who it is, how it is, what it may do.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_jobs::NODE_NAME;
use tidewatch_model::units::Memory;

use crate::error::{Result, json_response};
use crate::params::Params;
use crate::{ApiState, Identity, VERSION};

/// Stands where Elasticsearch has the hash of its build.
pub const BUILD_HASH: &str = "74696465776174636800000000000000000000a1";
const BUILD_DATE: &str = "2026-11-21T00:00:00.000000000Z";
/// The licence begins with the project: 2026-01-01.
const LICENSED_SINCE: i64 = 1_767_225_600_000;

/// What the one node does.
pub const ROLES: [&str; 4] = ["data", "ingest", "master", "ml"];

/// What an open job takes beside its models, with what is taken once: a job can't have all of the memory.
const OVERHEAD: Memory = Memory::mebibytes(40);

pub fn ok(value: &Value) -> Response {
    json_response(StatusCode::OK, value.to_string())
}

pub async fn root(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    Ok(ok(&json!({
        "name": NODE_NAME,
        "cluster_name": NODE_NAME,
        "cluster_uuid": state.identity.cluster_uuid,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_hash": BUILD_HASH,
            "build_date": BUILD_DATE,
            "build_snapshot": false,
            "lucene_version": "10.3.0",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0"
        },
        "tagline": "You Know, for Search"
    })))
}

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn health(uri: Uri) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&[
            "wait_for_status",
            "timeout",
            "master_timeout",
            "level",
            "local",
            "wait_for_nodes",
            "wait_for_active_shards",
            "wait_for_events",
            "wait_for_no_initializing_shards",
            "wait_for_no_relocating_shards",
            "expand_wildcards",
        ])
        .finish()?;
    Ok(ok(&json!({
        "cluster_name": NODE_NAME,
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 0,
        "active_shards": 0,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": 0,
        "unassigned_primary_shards": 0,
        "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0
    })))
}

pub async fn license(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&["local", "accept_enterprise"])
        .finish()?;
    Ok(ok(&json!({"license": {
        "status": "active",
        "uid": state.identity.cluster_uuid,
        "type": "enterprise",
        "issue_date": "2026-01-01T00:00:00.000Z",
        "issue_date_in_millis": LICENSED_SINCE,
        "max_nodes": null,
        "max_resource_units": null,
        "issued_to": NODE_NAME,
        "issuer": NODE_NAME,
        "start_date_in_millis": LICENSED_SINCE
    }})))
}

pub async fn xpack(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&["categories", "accept_enterprise"])
        .finish()?;
    Ok(ok(&json!({
        "build": {"hash": BUILD_HASH, "date": BUILD_DATE},
        "license": {
            "uid": state.identity.cluster_uuid, "type": "enterprise", "mode": "enterprise", "status": "active"
        },
        "features": {"ml": {"available": true, "enabled": true}},
        "tagline": "You know, for X"
    })))
}

pub async fn ml_info(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let cluster = state.jobs.cluster();
    let (max, memory) = (cluster.max_model_memory_limit(), cluster.node_memory());
    let default = Memory::mebibytes(1024);
    let default = max.map_or(default, |max| max.min(default));
    let largest = Memory {
        bytes: memory.bytes.saturating_sub(OVERHEAD.bytes),
    };
    let mut limits = json!({
        "effective_max_model_memory_limit": max.map_or(largest, |max| max.min(largest)),
        "total_ml_memory": memory
    });
    if let Some(max) = max {
        limits["max_model_memory_limit"] = max.human().into();
    }
    Ok(ok(&json!({
        "defaults": {
            "anomaly_detectors": {
                "model_memory_limit": default.human(),
                "categorization_examples_limit": 4,
                "categorization_analyzer": tidewatch_model::config::default_analyzer(),
                "model_snapshot_retention_days": 10,
                "daily_model_snapshot_retention_after_days": 1
            },
            "datafeeds": {"scroll_size": 1000}
        },
        "upgrade_mode": cluster.upgrade_mode(),
        "native_code": {"version": env!("CARGO_PKG_VERSION"), "build_hash": BUILD_HASH},
        "limits": limits
    })))
}

/// The node as statistics name it.
pub fn node(identity: &Identity) -> Value {
    json!({
        "id": identity.node_id,
        "name": NODE_NAME,
        "ephemeral_id": identity.ephemeral_id,
        "transport_address": identity.address,
        "attributes": {
            "ml.machine_memory": identity.machine_memory.to_string(),
            "ml.allocated_processors":
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string(),
            "ml.config_version": "12.0.0"
        }
    })
}
