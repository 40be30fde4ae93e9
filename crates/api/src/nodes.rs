//! The one node: what clients ask of it that look for others (`_nodes`), and its memory for machine learning.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tidewatch_jobs::{NODE_NAME, matches};

use crate::cluster::{BUILD_HASH, node, ok};
use crate::error::Result;
use crate::params::Params;
use crate::{ApiState, Identity, VERSION};

/// What the node does.
pub const ROLES: [&str; 4] = ["data", "ingest", "master", "ml"];

/// The parts of a node's description; any of them may be asked for alone.
const METRICS: [&str; 13] = [
    "_all",
    "_none",
    "aggregations",
    "http",
    "indices",
    "ingest",
    "jvm",
    "os",
    "plugins",
    "process",
    "settings",
    "thread_pool",
    "transport",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_nodes", get(info_of_all))
        .route("/_nodes/{nodes_or_metrics}", get(info_of_some))
        .route("/_nodes/{nodes}/{metrics}", get(info))
        .route("/_nodes/stats", get(stats_of_all))
        .route("/_nodes/stats/{metrics}", get(stats_of_all))
        .route("/_nodes/{nodes}/stats", get(stats_of_some))
        .route("/_ml/memory/_stats", get(memory_of_all))
        .route("/_ml/memory/{nodes}/_stats", get(memory_of_some))
}

/// The address, less its port.
pub fn host(identity: &Identity) -> &str {
    let address = identity.address.as_str();
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

pub fn port(identity: &Identity) -> &str {
    let address = identity.address.as_str();
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

/// Whether a list of node filters means the one node: ids, names, addresses, attributes and roles, each or not.
fn means(identity: &Identity, filters: &str) -> bool {
    let names = [
        identity.node_id.as_str(),
        NODE_NAME,
        &identity.address,
        host(identity),
    ];
    let is_meant = |filter: &str| {
        if matches!(filter, "" | "_all" | "_local" | "_master")
            || names.iter().any(|name| matches(filter, name))
        {
            return true;
        }
        match filter.split_once(':') {
            Some(("coordinating_only", value)) => value != "true",
            Some((name, value)) if ROLES.contains(&name) => value == "true",
            Some((name, value)) => {
                let attributes = &node(identity)["attributes"];
                let fits = |(key, held): (&String, &Value)| {
                    matches(name, key) && held.as_str().is_some_and(|held| matches(value, held))
                };
                attributes
                    .as_object()
                    .is_some_and(|all| all.iter().any(fits))
            }
            None => false,
        }
    };
    filters.split(',').map(str::trim).any(is_meant)
}

/// The answer of all requests for nodes: how many answered, and what of each that is meant.
fn answer(identity: &Identity, filters: &str, node: impl FnOnce() -> Value) -> Response {
    let mut nodes = Map::new();
    if means(identity, filters) {
        nodes.insert(identity.node_id.clone(), node());
    }
    ok(&json!({
        "_nodes": {"total": nodes.len(), "successful": nodes.len(), "failed": 0},
        "cluster_name": NODE_NAME,
        "nodes": nodes
    }))
}

/// What every description of the node begins with.
fn heading(identity: &Identity) -> Value {
    json!({
        "name": NODE_NAME,
        "transport_address": identity.address,
        "host": host(identity),
        "ip": host(identity),
        "roles": ROLES,
        "attributes": node(identity)["attributes"]
    })
}

async fn info_of_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    info(state, Path(("_all".to_owned(), "_all".to_owned())), uri).await
}

/// One list stands for metrics where all of it are such, for nodes otherwise.
async fn info_of_some(
    state: State<ApiState>,
    Path(list): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let path = match list.split(',').all(|name| METRICS.contains(&name)) {
        true => ("_all".to_owned(), list),
        false => (list, "_all".to_owned()),
    };
    info(state, Path(path), uri).await
}

async fn info(
    State(state): State<ApiState>,
    Path((nodes, metrics)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&["flat_settings", "timeout", "master_timeout"])
        .finish()?;
    let identity = &state.identity;
    let wanted = |metric: &str| metrics.split(',').any(|one| one == metric || one == "_all");
    Ok(answer(identity, &nodes, || {
        let mut info = heading(identity);
        info["version"] = VERSION.into();
        info["build_flavor"] = "default".into();
        info["build_type"] = "tar".into();
        info["build_hash"] = BUILD_HASH.into();
        let bound =
            json!({"bound_address": [identity.address], "publish_address": identity.address});
        if wanted("settings") {
            info["settings"] = json!({"cluster": {"name": NODE_NAME}, "node": {"name": NODE_NAME}});
        }
        if wanted("os") {
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            info["os"] = json!({
                "name": std::env::consts::OS, "arch": std::env::consts::ARCH,
                "available_processors": processors, "allocated_processors": processors
            });
        }
        if wanted("process") {
            info["process"] = json!({"id": std::process::id()});
        }
        if wanted("transport") {
            info["transport"] = bound.clone();
            info["transport"]["profiles"] = json!({});
        }
        if wanted("http") {
            info["http"] = bound;
        }
        if wanted("plugins") {
            info["plugins"] = json!([]);
            info["modules"] = json!([]);
        }
        if wanted("ingest") {
            info["ingest"] = json!({"processors": []});
        }
        if wanted("aggregations") {
            info["aggregations"] = json!({});
        }
        info
    }))
}

async fn stats_of_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    stats_of_some(state, Path("_all".to_owned()), uri).await
}

async fn stats_of_some(
    State(state): State<ApiState>,
    Path(nodes): Path<String>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&["level", "timeout", "types", "groups", "fields"])
        .finish()?;
    let identity = &state.identity;
    Ok(answer(identity, &nodes, || {
        let mut stats = heading(identity);
        stats["timestamp"] = chrono::Utc::now().timestamp_millis().into();
        stats["os"] = json!({"mem": {
            "total_in_bytes": identity.machine_memory, "adjusted_total_in_bytes": identity.machine_memory
        }});
        stats
    }))
}

async fn memory_of_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    memory_of_some(state, Path("_all".to_owned()), uri).await
}

async fn memory_of_some(
    State(state): State<ApiState>,
    Path(nodes): Path<String>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?
        .ignore(&["timeout", "master_timeout"])
        .finish()?;
    let identity = &state.identity;
    Ok(answer(identity, &nodes, || {
        let all = identity.machine_memory;
        let named = node(identity);
        json!({
            "name": NODE_NAME,
            "ephemeral_id": named["ephemeral_id"],
            "transport_address": named["transport_address"],
            "attributes": named["attributes"],
            "roles": ROLES,
            "mem": {
                "total_in_bytes": all,
                "adjusted_total_in_bytes": all,
                "ml": {
                    "max_in_bytes": state.jobs.cluster().node_memory().bytes,
                    "native_code_overhead_in_bytes": state.jobs.code_overhead(),
                    "anomaly_detectors_in_bytes": state.jobs.memory_in_use(),
                    "data_frame_analytics_in_bytes": 0,
                    "native_inference_in_bytes": 0
                }
            },
            // There is no heap apart: what Elasticsearch's engine may have of its node's, jobs may have of all.
            "jvm": {
                "heap_max_in_bytes": all, "java_inference_max_in_bytes": all, "java_inference_in_bytes": 0
            }
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_mean_the_node_or_not() {
        let identity = Identity {
            cluster_uuid: String::new(),
            node_id: "n-1".to_owned(),
            ephemeral_id: String::new(),
            address: "127.0.0.1:9200".to_owned(),
            machine_memory: 7,
        };
        for yes in [
            "_all",
            "",
            "n-1",
            "n-*",
            "ml:true",
            "x,_local",
            "127.0.0.1",
            "127.0.0.1:9200",
            "coordinating_only:false",
            "ml.machine*:7",
            NODE_NAME,
        ] {
            assert!(means(&identity, yes), "{yes}");
        }
        for no in ["n-2", "ml:false", "coordinating_only:true", "rack:one"] {
            assert!(!means(&identity, no), "{no}");
        }
    }
}
