//! One document by its id: read, and deleted.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_jobs::documents::{Index, Reading};
use tidewatch_store::query::Query;

use super::fields::Shown;
use super::one::WRITING;
use super::{deleted, index_to_write, written};
use crate::ApiState;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;

#[derive(Deserialize)]
struct Asked {
    _source: Option<String>,
    _source_includes: Option<String>,
    _source_excludes: Option<String>,
}

impl Asked {
    fn read(uri: &Uri) -> Result<Shown> {
        let asked: Self = Params::new(uri)?
            .ignore(&["routing", "preference", "realtime", "refresh"])
            .read()?;
        Ok(Shown::of_params(
            asked._source.as_deref(),
            asked._source_includes.as_deref(),
            asked._source_excludes.as_deref(),
        ))
    }
}

pub async fn document(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let shown = Asked::read(&uri)?;
    let (index, found) = find(&state, &index, &id).await?;
    let Some(source) = found else {
        let told = json!({"_index": index, "_id": id, "found": false});
        return Ok(json_response(StatusCode::NOT_FOUND, told.to_string()));
    };
    let mut told = json!({
        "_index": index, "_id": id, "_version": 1, "_seq_no": 0, "_primary_term": 1, "found": true
    });
    if !shown.hidden {
        told["_source"] = shown.of(source);
    }
    Ok(json_response(StatusCode::OK, told.to_string()))
}

pub async fn source(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let shown = Asked::read(&uri)?;
    let (index, found) = find(&state, &index, &id).await?;
    let missing = || {
        let reason = format!("Document not found [{index}]/[{id}]");
        ApiError::new(
            StatusCode::NOT_FOUND,
            "resource_not_found_exception",
            reason,
        )
    };
    let source = shown.of(found.ok_or_else(missing)?);
    Ok(json_response(StatusCode::OK, source.to_string()))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    Params::new(&uri)?.ignore(&WRITING).finish()?;
    let index = index_to_write(&state, &index)?;
    let gone = state
        .jobs
        .delete_documents(&index, vec![id.clone()])
        .await?;
    let (result, status) = deleted(gone == [true]);
    Ok(json_response(
        status,
        written(&index.name, &id, result).to_string(),
    ))
}

/// The index that is meant, and the source of its document of an id.
async fn find(state: &ApiState, name: &str, id: &str) -> Result<(String, Option<Value>)> {
    let reading = Reading {
        wildcards: false,
        ..Reading::default()
    };
    let indices = state.jobs.indices_to_read(name, reading).await?;
    let [index] = &indices[..] else {
        return Err(ApiError::illegal_argument(format!(
            "unable to return a single index as the index and options provided got resolved to multiple indices [{name}]"
        )));
    };
    // An alias shows every document of its index by its id.
    let whole = Index {
        only: None,
        ..index.clone()
    };
    let mut found = None;
    let mut take = |_: &str, document: tidewatch_store::Found| {
        found = Some(document.source);
        false
    };
    let query = Query::Ids(vec![id.to_owned()]);
    state.jobs.search(&[whole], &query, &mut take).await?;
    Ok((index.name.clone(), found))
}
