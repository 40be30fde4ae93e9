//! `_refresh` makes what was written findable; `_flush`, `_forcemerge` and `_cache/clear` ask for what is so already.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::documents::Meant;

use super::named::Named;
use super::{ALL, ok, shards};
use crate::ApiState;
use crate::error::Result;
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_refresh", get(all).post(all))
        .route("/{index}/_refresh", get(refresh).post(refresh))
        .route("/_flush", get(flush_all).post(flush_all))
        .route("/{index}/_flush", get(flush).post(flush))
        .route("/_forcemerge", post(flush_all))
        .route("/{index}/_forcemerge", post(flush))
        .route("/_cache/clear", post(flush_all))
        .route("/{index}/_cache/clear", post(flush))
}

async fn all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    refresh(state, Path(ALL.to_owned()), uri).await
}

async fn refresh(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let named: Named = Params::new(&uri)?.ignore(&["force"]).read()?;
    let meant = state.jobs.meant(&expression, named.reading()?).await?;
    for index in &meant {
        // In internal indices, what is written is found at once.
        if let Meant::Own { index, .. } = index {
            index.refresh().await?;
        }
    }
    Ok(ok(&json!({"_shards": shards(meant.len())})))
}

async fn flush_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    flush(state, Path(ALL.to_owned()), uri).await
}

/// What was acknowledged is durable, and segments are merged by themselves: there is nothing left to do but to make what
/// was written one of them.
async fn flush(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&[
        "wait_if_ongoing",
        "force",
        "max_num_segments",
        "only_expunge_deletes",
        "flush",
        "wait_for_completion",
        "fielddata",
        "fields",
        "query",
        "request",
    ]);
    let reading = Named::deserialize(&mut params)?.reading()?;
    params.finish()?;
    let meant = state.jobs.meant(&expression, reading).await?;
    for index in &meant {
        if let Meant::Own { index, .. } = index {
            index.refresh().await?;
        }
    }
    Ok(ok(&json!({"_shards": shards(meant.len())})))
}
