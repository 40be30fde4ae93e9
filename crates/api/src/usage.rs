//! `_xpack/usage`: what is used here, and how much.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::ApiState;
use crate::cluster::ok;
use crate::error::Result;
use crate::params::Params;

/// Features of Elasticsearch that are none here; clients read the flags of each.
const ABSENT: [&str; 22] = [
    "aggregate_metric",
    "analytics",
    "archive",
    "ccr",
    "data_lifecycle",
    "data_streams",
    "data_tiers",
    "enrich",
    "eql",
    "graph",
    "ilm",
    "logstash",
    "monitoring",
    "rollup",
    "searchable_snapshots",
    "security",
    "slm",
    "spatial",
    "sql",
    "transform",
    "voting_only",
    "watcher",
];

pub fn routes() -> Router<ApiState> {
    Router::new().route("/_xpack/usage", get(usage))
}

async fn usage(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?.ignore(&["master_timeout"]).finish()?;
    let none = json!({"count": 0});
    let memory = state.jobs.memory_in_use();
    let mut features: Map<String, Value> = ABSENT
        .into_iter()
        .map(|name| {
            (
                name.to_owned(),
                json!({"available": false, "enabled": false}),
            )
        })
        .collect();
    let ml = json!({
        "available": true,
        "enabled": true,
        "jobs": state.jobs.usage().await?,
        "datafeeds": datafeeds(&state),
        "data_frame_analytics_jobs": {"_all": none},
        "inference": {"ingest_processors": {}, "trained_models": {"_all": none}},
        "node_count": 1,
        "memory": {"anomaly_detectors_memory_bytes": memory, "total_used_memory_bytes": memory}
    });
    features.insert("ml".to_owned(), ml);
    Ok(ok(&Value::Object(features)))
}

/// How many datafeeds there are, and how many of each state that there is one in.
fn datafeeds(state: &ApiState) -> Map<String, Value> {
    let states = state.feeds.states();
    let all = states.values().sum::<u64>();
    let counts = std::iter::once(("_all", all)).chain(states);
    counts
        .map(|(name, count)| (name.to_owned(), json!({"count": count})))
        .collect()
}
