//! One document: `_doc`, `_create`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Incoming;

use super::{index_to_write, result_of, source, written};
use crate::ApiState;
use crate::body;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;

pub async fn add(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    write(&state, &index, id, false, &uri, body).await
}

pub async fn put(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    write(&state, &index, id, false, &uri, body).await
}

pub async fn create(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    write(&state, &index, id, true, &uri, body).await
}

#[derive(Deserialize)]
struct Asked {
    op_type: Option<String>,
}

async fn write(
    state: &ApiState,
    index: &str,
    id: String,
    only_new: bool,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(uri)?.ignore(&WRITING).read()?;
    let only_new = match asked.op_type.as_deref() {
        Some("create") => true,
        None | Some("index") => only_new,
        Some(other) => {
            return Err(ApiError::illegal_argument(format!(
                "opType must be 'create' or 'index', found: [{other}]"
            )));
        }
    };
    let bytes = body::read(body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(JobError::invalid_request(&["source is missing"]).into());
    }
    let index = index_to_write(state, index)?;
    let name = index.name.clone();
    let document = Incoming {
        index,
        id: id.clone(),
        only_new,
        source: source(&bytes)?,
    };
    let outcome = state.jobs.write_documents(vec![document]).await?.pop();
    let is_new = outcome.unwrap_or(Ok(true))?;
    let (result, status) = result_of(is_new);
    Ok(json_response(
        status,
        written(&name, &id, result).to_string(),
    ))
}

/// Parameters of writes that say nothing where everything that is written can be read at once.
pub const WRITING: [&str; 5] = [
    "refresh",
    "routing",
    "timeout",
    "wait_for_active_shards",
    "require_alias",
];
