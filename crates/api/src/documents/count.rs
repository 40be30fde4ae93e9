//! `_count`: how many documents there are; `_validate/query`: whether a query can be asked.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_store::query::{Context, Dsl};
use tidewatch_store::search::{Counted, Search, SearchError, Target};

use super::named::Named;
use super::search::{IGNORED, Queried, object, run};
use super::{ALL, bad_request, ok, shards};
use crate::ApiState;
use crate::error::Result;
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_count", get(count_all).post(count_all))
        .route("/{index}/_count", get(count).post(count))
        .route("/_validate/query", get(validate_all).post(validate_all))
        .route("/{index}/_validate/query", get(validate).post(validate))
}

#[derive(Deserialize)]
struct Asked {
    min_score: Option<f64>,
    terminate_after: Option<i64>,
}

/// The query of a body that holds nothing else.
fn query(queried: &Queried, body: Map<String, Value>) -> Result<Option<Dsl>> {
    let mut query = None;
    for (name, value) in body {
        match name.as_str() {
            "query" => query = Some(Dsl::new(value).map_err(SearchError::from)?),
            other => {
                return Err(bad_request(
                    "parsing_exception",
                    format!("request does not support [{other}]"),
                ));
            }
        }
    }
    Ok(queried.query()?.or(query))
}

async fn count_all(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    count(state, Path(ALL.to_owned()), uri, body).await
}

async fn count(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.reading()?;
    let queried = Queried::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let search = Search {
        query: query(&queried, object(body).await?)?.unwrap_or_default(),
        size: 0,
        counted: Counted::All,
        min_score: asked.min_score,
        terminate_after: asked
            .terminate_after
            .map_or(0, |most| u64::try_from(most).unwrap_or_default()),
        ..Search::default()
    };
    let targets = match crate::opensearch::targets(&state, &expression).await? {
        Some(targets) => targets,
        None => state
            .jobs
            .targets(&state.jobs.meant(&expression, reading).await?)?,
    };
    let found = run(&state, &targets, &search).await?;
    let shards = targets.len();
    let mut told = json!({"count": found.total});
    if found.terminated_early {
        told["terminated_early"] = true.into();
    }
    told["_shards"] = json!({"total": shards, "successful": shards, "skipped": 0, "failed": 0});
    Ok(ok(&told))
}

async fn validate_all(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    validate(state, Path(ALL.to_owned()), uri, body).await
}

async fn validate(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default)]
        explain: bool,
    }
    let mut params = Params::new(&uri)?.ignore(&["all_shards", "rewrite"]);
    let reading = Named::deserialize(&mut params)?.reading()?;
    let queried = Queried::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let body = object(body).await?;
    let meant = state.jobs.meant(&expression, reading).await?;
    let query = match query(&queried, body) {
        Ok(query) => query.unwrap_or_default(),
        Err(error) => {
            let mut told = json!({"valid": false});
            if asked.explain {
                told["error"] = format!("{}: {}", error.0.kind, error.0.reason).into();
            }
            return Ok(ok(&told));
        }
    };
    let now = state.jobs.settings().clock.now();
    let mut is_valid = true;
    let mut explanations = Vec::new();
    for target in state.jobs.targets(&meant)? {
        let read = match &target {
            Target::Documents { view, .. } => query.read(&Context { schema: view, now }),
            Target::Results { schema, .. } | Target::Made { schema, .. } => query.read(&Context {
                schema: &**schema,
                now,
            }),
        };
        is_valid &= read.is_ok();
        let mut told = json!({"index": target.index(), "valid": read.is_ok()});
        match read {
            Ok(_) => told["explanation"] = query.json().to_string().into(),
            Err(error) => told["error"] = format!("{}: {}", error.kind, error.reason).into(),
        }
        explanations.push(told);
    }
    let mut told = json!({"_shards": shards(1), "valid": is_valid});
    if asked.explain {
        told["explanations"] = explanations.into();
    }
    Ok(ok(&told))
}
