//! Filters.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::json;
use tidewatch_jobs::filters::{FilterUpdate, NewFilter};

use crate::ApiState;
use crate::cluster::ok;
use crate::error::Result;
use crate::jobs::lasting;
use crate::params::Params;
use crate::results::Page;

pub async fn create(
    State(state): State<ApiState>,
    Path(filter_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let new: NewFilter = Params::new(&uri)?.body(body, "type").await?;
    Ok(ok(&json!(state.jobs.create_filter(&filter_id, new).await?)))
}

pub async fn get_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    get(state, Path("_all".to_owned()), uri).await
}

pub async fn get(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let page: Page = Params::new(&uri)?.read()?;
    let filters = state.jobs.filters(&expression).await?;
    Ok(ok(
        &json!({"count": filters.len(), "filters": page.of(&filters)?}),
    ))
}

pub async fn update(
    State(state): State<ApiState>,
    Path(filter_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let update: FilterUpdate = Params::new(&uri)?
        .body(body, "cluster:admin/xpack/ml/filters/update")
        .await?;
    let filter = lasting(async move { state.jobs.update_filter(&filter_id, update).await });
    Ok(ok(&json!(filter.await?)))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(filter_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    state.jobs.delete_filter(&filter_id).await?;
    Ok(ok(&json!({"acknowledged": true})))
}
