//! Elasticsearch's internal indices as documents: old clusters' results are written so, and dashboards read so. Indices
//! of users are not there yet.

mod aggregations;
mod analyze;
mod bulk;
mod fields;
mod get;
mod indices;
mod interval;
mod msearch;
mod one;
mod search;
mod sort;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Index, Reading, no_such_index};

use crate::ApiState;
use crate::error::{ApiError, Result};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_bulk", post(bulk::everywhere).put(bulk::everywhere))
        .route("/{index}/_bulk", post(bulk::into).put(bulk::into))
        .route("/{index}/_doc", post(one::add))
        .route(
            "/{index}/_doc/{id}",
            put(one::put)
                .post(one::put)
                .get(get::document)
                .delete(get::delete),
        )
        .route("/{index}/_create/{id}", put(one::create).post(one::create))
        .route("/{index}/_source/{id}", get(get::source))
        .route("/_search", get(search::everywhere).post(search::everywhere))
        .route(
            "/_msearch",
            get(msearch::everywhere).post(msearch::everywhere),
        )
        .route(
            "/{index}/_msearch",
            get(msearch::within).post(msearch::within),
        )
        .route("/{index}/_search", get(search::search).post(search::search))
        .route("/{index}/_count", get(search::count).post(search::count))
        .route("/{index}/_delete_by_query", post(search::delete))
        .route("/_analyze", get(analyze::anywhere).post(analyze::anywhere))
        .route(
            "/{index}/_analyze",
            get(analyze::within).post(analyze::within),
        )
        .route(
            "/_refresh",
            get(indices::refresh_all).post(indices::refresh_all),
        )
        .route(
            "/{index}/_refresh",
            get(indices::refresh).post(indices::refresh),
        )
        .route(
            "/{index}",
            get(indices::get)
                .put(indices::create)
                .delete(indices::delete),
        )
        .route("/{index}/_close", post(indices::close))
        .route("/{index}/_open", post(indices::open))
        .route("/{index}/_mapping", get(indices::mapping))
        .route(
            "/{index}/_mapping/field/{fields}",
            get(indices::field_mapping),
        )
        .route("/{index}/_alias", get(indices::aliases))
        .route("/{index}/_alias/{name}", get(indices::alias_of))
        .route("/_alias/{name}", get(indices::alias))
}

/// How index names are read, as parameters say it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    ignore_unavailable: bool,
    allow_no_indices: Option<bool>,
    expand_wildcards: Option<String>,
}

impl From<Named> for Reading {
    fn from(named: Named) -> Self {
        let states = named.expand_wildcards.unwrap_or_else(|| "open".to_owned());
        let has = |state: &str| states.split(',').any(|one| one == state || one == "all");
        Self {
            ignore_unavailable: named.ignore_unavailable,
            allow_no_indices: named.allow_no_indices.unwrap_or(true),
            hidden: has("hidden"),
            wildcards: !states.split(',').any(|one| one == "none"),
            closed: false,
        }
    }
}

/// The index that a name to write to means.
fn index_to_write(state: &ApiState, name: &str) -> Result<Index> {
    let index = state.jobs.index_to_write(name);
    index.ok_or_else(|| no_such_index(name).into())
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

fn deleted(was_there: bool) -> (&'static str, StatusCode) {
    match was_there {
        true => ("deleted", StatusCode::OK),
        false => ("not_found", StatusCode::NOT_FOUND),
    }
}

/// The fields of a document.
fn source(bytes: &[u8]) -> std::result::Result<Map<String, Value>, JobError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = format!("[{line}:{column}] failed to parse: {error}");
        JobError::new(400, "document_parsing_exception", reason)
    })
}

fn bad_request(kind: &'static str, reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, kind, reason)
}
