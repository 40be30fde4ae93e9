//! `_delete_by_query`: what a query finds is deleted; at once, or by a task.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Deletion;
use tidewatch_jobs::tasks::{Kind, NewTask};
use tidewatch_store::query::Dsl;
use tidewatch_store::search::SearchError;

use super::named::Named;
use super::ok;
use super::search::{IGNORED, Queried, object};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

/// Documents of a batch where nothing is said.
const BATCH: usize = 1_000;

pub fn routes() -> Router<ApiState> {
    Router::new().route("/{index}/_delete_by_query", post(delete))
}

#[derive(Deserialize)]
struct Asked {
    conflicts: Option<String>,
    #[serde(default)]
    refresh: bool,
    max_docs: Option<i64>,
    scroll_size: Option<i64>,
    #[serde(default = "body::yes")]
    wait_for_completion: bool,
}

async fn delete(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED).ignore(&[
        "request_cache",
        "requests_per_second",
        "scroll",
        "search_timeout",
        "slices",
        "wait_for_active_shards",
    ]);
    let named = Named::deserialize(&mut params)?;
    let mut query = Queried::deserialize(&mut params)?.query()?;
    let mut asked: Asked = params.read()?;
    for (name, value) in object(body).await? {
        match (name.as_str(), value) {
            ("query", value) => query = Some(Dsl::new(value).map_err(SearchError::from)?),
            ("max_docs", value) => asked.max_docs = value.as_i64(),
            ("conflicts", Value::String(what)) => asked.conflicts = Some(what),
            (name, _) => {
                return Err(ApiError(body::x_content(format!(
                    "[1:2] [delete_by_query] unknown field [{name}]"
                ))));
            }
        }
    }
    let Some(query) = query else {
        return Err(JobError::invalid_request(&["query is missing"]).into());
    };
    let deletion = Deletion {
        query,
        most: most(asked.max_docs)?,
        proceeds: match asked.conflicts.as_deref() {
            Some("proceed") => true,
            None | Some("abort") => false,
            Some(other) => {
                return Err(ApiError::illegal_argument(format!(
                    "conflicts may only be \"proceed\" or \"abort\" but was [{other}]"
                )));
            }
        },
        refreshes: asked.refresh,
        batch: asked
            .scroll_size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(BATCH),
    };
    let meant = state.jobs.meant(&expression, named.reading()?).await?;
    if asked.wait_for_completion {
        let (is_done, answer) = state.jobs.delete_by_query(&meant, &deletion).await?;
        let status = match is_done {
            true => StatusCode::OK,
            false => StatusCode::CONFLICT,
        };
        return Ok(json_response(status, answer.to_string()));
    }
    let new = NewTask {
        kind: Kind::Transport,
        action: "indices:data/write/delete/byquery",
        description: format!("delete-by-query [{expression}]"),
        is_cancellable: false,
    };
    let jobs = state.jobs.clone();
    let task = state.jobs.tasks().run(new, |_| async move {
        let (_, answer) = jobs.delete_by_query(&meant, &deletion).await?;
        Ok(answer)
    });
    Ok(ok(&json!({"task": task.id})))
}

fn most(said: Option<i64>) -> Result<usize> {
    match said {
        None => Ok(usize::MAX),
        Some(most) if most > 0 => Ok(usize::try_from(most).unwrap_or(usize::MAX)),
        Some(most) => Err(ApiError::illegal_argument(format!(
            "[max_docs] parameter cannot be negative or zero, found [{most}]"
        ))),
    }
}
