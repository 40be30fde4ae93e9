//! How many detectors there are, and whether there is one of a name.

use axum::response::Response;
use serde_json::json;

use super::call::Call;
use super::stored;
use crate::cluster::ok;
use crate::error::Result;

pub async fn count(call: Call) -> Result<Response> {
    let count = stored::all(&call.state)?.len();
    Ok(ok(&json!({"count": count, "match": false})))
}

/// Only whether there is one: OpenSearch counts nothing here.
pub async fn matching(call: Call) -> Result<Response> {
    let name = call.query.text("name").unwrap_or_default();
    let all = stored::all(&call.state)?;
    let is_there = all.iter().any(|kept| kept.stored.detector.name == name);
    Ok(ok(&json!({"count": 0, "match": is_there})))
}
