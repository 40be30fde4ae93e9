//! Elasticsearch's internal indices as documents: old clusters' results are written so, and dashboards read so. Indices
//! of users are not there yet.

mod bulk;
mod one;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{post, put};
use serde_json::{Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Index;

use crate::ApiState;
use crate::error::{ApiError, Result};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_bulk", post(bulk::everywhere).put(bulk::everywhere))
        .route("/{index}/_bulk", post(bulk::into).put(bulk::into))
        .route("/{index}/_doc", post(one::add))
        .route("/{index}/_doc/{id}", put(one::put).post(one::put))
        .route("/{index}/_create/{id}", put(one::create).post(one::create))
}

/// The index that a name to write to means.
fn index_to_write(state: &ApiState, name: &str) -> Result<Index> {
    state
        .jobs
        .index_to_write(name)
        .ok_or_else(|| no_such_index(name))
}

fn no_such_index(name: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "index_not_found_exception",
        format!("no such index [{name}]"),
    )
}

/// What is said of a document that was written.
fn written(index: &str, id: &str, result: &str) -> Value {
    json!({
        "_index": index, "_id": id, "_version": 1, "result": result,
        "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1
    })
}

fn result_of(is_new: bool) -> (&'static str, StatusCode) {
    match is_new {
        true => ("created", StatusCode::CREATED),
        false => ("updated", StatusCode::OK),
    }
}

fn unreadable(reason: String) -> JobError {
    JobError {
        status: 400,
        kind: "document_parsing_exception",
        reason,
        cause: None,
    }
}

/// The fields of a document.
fn source(bytes: &[u8]) -> std::result::Result<serde_json::Map<String, Value>, JobError> {
    serde_json::from_slice(bytes).map_err(|error| {
        unreadable(format!(
            "[{}:{}] failed to parse: {error}",
            error.line(),
            error.column()
        ))
    })
}
