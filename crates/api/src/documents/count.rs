//! `_count`: how many documents there are.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tidewatch_store::query::Query;

use super::search::{indices, object, only_query, parameters};
use super::{ALL, ok};
use crate::ApiState;
use crate::error::Result;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_count", get(everywhere).post(everywhere))
        .route("/{index}/_count", get(count).post(count))
}

async fn everywhere(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    count(state, Path(ALL.to_owned()), uri, body).await
}

async fn count(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let (named, parameters) = parameters(&uri)?;
    let query = only_query(&parameters, object(body).await?)?.unwrap_or(Query::All);
    let indices = indices(&state, &expression, named).await?;
    let mut count: u64 = 0;
    let mut take = |_: &str, _: tidewatch_store::Found| {
        count += 1;
        true
    };
    state.jobs.search(&indices, &query, &mut take).await?;
    let shards = indices.len();
    let answer = json!({
        "count": count, "_shards": {"total": shards, "successful": shards, "skipped": 0, "failed": 0}
    });
    Ok(ok(&answer))
}
