//! How many detectors there are, and whether there is one of a name.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::json;

use super::{Query, stored};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::Result;

pub async fn count(State(state): State<ApiState>) -> Result<Response> {
    let count = stored::all(&state)?.len();
    Ok(ok(&json!({"count": count, "match": false})))
}

/// Only whether there is one: OpenSearch counts nothing here.
pub async fn matching(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let query = Query::of(&uri)?;
    let name = query.text("name").unwrap_or_default();
    let all = stored::all(&state)?;
    let is_there = all.iter().any(|kept| kept.stored.detector.name == name);
    Ok(ok(&json!({"count": 0, "match": is_there})))
}
