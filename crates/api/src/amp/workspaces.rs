//! Workspaces: the sources that are said to be one and, where a source stands for all others, those that clients make.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::check::{Check, object};
use super::deletion::{begin_all, finish, token as token_of};
use super::detectors::{read, token};
use super::error::{AmpError, Result, WORKSPACE};
use super::kept::{Kept, Workspaces};
use super::list::Page;
use super::tokens::{remember_deletion, was_deleted_by};
use crate::ApiState;
use crate::error::json_response;

/// Workspaces that there may be.
const MOST: usize = 1_000;
const LONGEST_ALIAS: usize = 100;

impl Kept {
    fn summary(&self, state: &ApiState, id: &str) -> Map<String, Value> {
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
        tell("workspaceId", id.into());
        if let Some(alias) = &self.alias {
            tell("alias", alias.as_str().into());
        }
        tell("arn", state.amp.workspace_arn(id).into());
        tell("status", active());
        tell("createdAt", self.created_at.into());
        tell("tags", json!(self.tags));
        told
    }
}

/// There is nothing to wait for.
fn active() -> Value {
    json!({"statusCode": "ACTIVE"})
}

pub async fn create(State(state): State<ApiState>, body: Body) -> Result<Response> {
    let body = object(&read(body).await?)?;
    let mut check = Check::default();
    let alias = alias(&mut check, &body);
    let token = token(&mut check, &body);
    let tags = check.tags(&body);
    if body.get("kmsKeyArn").is_some_and(|key| !key.is_null()) {
        check.wrong("kmsKeyArn", "Keys of one's own are not supported here");
    }
    check.finish()?;
    let making = async move {
        let _changing = state.amp.changing().await;
        let mut known = Workspaces::load(&state).await?;
        let asked = (&alias, &tags);
        for (id, kept) in &known.all {
            match kept.made_by.was_used_for(token.as_deref(), &asked) {
                Some(true) => return Ok(told(&state, id, kept)),
                Some(false) => {
                    let message = "The client token was used for a request with other parameters";
                    return Err(AmpError::conflict_of(WORKSPACE, id, message));
                }
                None => {}
            }
        }
        if !state.amp.takes_others() {
            return Err(AmpError::other(
                "Workspaces are the sources of the settings of kind prometheus: one without a workspace would stand for \
                 those that are created",
            ));
        }
        if known.all.len() >= MOST {
            let message = format!("There are {MOST} workspaces, and may be no more");
            return Err(AmpError::quota("*", "workspaces-per-region", message));
        }
        let mut kept = Kept::new(state.jobs.now() as f64 / 1_000.0);
        kept.made_by.remember(token.as_deref(), &asked);
        (kept.alias, kept.tags) = (alias, tags);
        let id = format!("ws-{}", uuid::Uuid::new_v4());
        let answer = told(&state, &id, &kept);
        known.all.insert(id, kept);
        known.keep(&state).await?;
        Ok(answer)
    };
    whole(making).await
}

/// As a creation is answered.
fn told(state: &ApiState, id: &str, kept: &Kept) -> Response {
    let mut told = kept.summary(state, id);
    told.retain(|name, _| !matches!(name.as_str(), "alias" | "createdAt"));
    json_response(StatusCode::ACCEPTED, Value::Object(told).to_string())
}

/// A request is done as a whole, also when its client has gone.
async fn whole(
    change: impl Future<Output = Result<Response>> + Send + 'static,
) -> Result<Response> {
    let done = tokio::spawn(change).await;
    done.map_err(|error| AmpError::internal(error.to_string()))?
}

fn alias(check: &mut Check, body: &Map<String, Value>) -> Option<String> {
    let alias = check.text(body, "alias", "alias")?;
    let alias = alias.trim();
    check.length("alias", alias, 1, LONGEST_ALIAS);
    Some(alias.to_owned())
}

pub async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let mut check = Check::default();
    let page = Page::read(&uri, &mut check)?;
    check.finish()?;
    let known = Workspaces::read(&state).await?;
    let mut all: Vec<(String, Kept)> = known.all.into_iter().collect();
    if let Some(start) = &page.alias {
        let start = start.trim();
        let begins = |alias: &String| alias.starts_with(start);
        all.retain(|(_, kept)| kept.alias.as_ref().is_some_and(begins));
    }
    let (shown, next) = page.of(all, |(id, _)| id);
    let shown = shown.iter().map(|(id, kept)| kept.summary(&state, id));
    let mut told = json!({"workspaces": shown.collect::<Vec<_>>()});
    if let Some(next) = next {
        told["nextToken"] = json!(next);
    }
    Ok(json_response(StatusCode::OK, told.to_string()))
}

pub async fn describe(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let known = Workspaces::read(&state).await?;
    let kept = known.get(&workspace_id)?;
    let mut told = kept.summary(&state, &workspace_id);
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or(&state.identity.address);
    let endpoint = format!("http://{host}/workspaces/{workspace_id}/");
    told.insert("prometheusEndpoint".to_owned(), endpoint.into());
    let told = json!({"workspace": told});
    Ok(json_response(StatusCode::OK, told.to_string()))
}

pub async fn rename(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    body: Body,
) -> Result<Response> {
    let body = object(&read(body).await?)?;
    let mut check = Check::default();
    let alias = alias(&mut check, &body);
    token(&mut check, &body);
    check.finish()?;
    let change = async move {
        let _changing = state.amp.changing().await;
        let mut known = Workspaces::load(&state).await?;
        known.get_mut(&workspace_id)?.alias = alias;
        known.keep(&state).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    whole(change).await
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let token = token_of(&uri)?;
    whole(async move {
        delete_one(&state, &workspace_id, token).await?;
        Ok(StatusCode::ACCEPTED.into_response())
    })
    .await
}

/// A workspace goes with its detectors.
async fn delete_one(state: &ApiState, workspace_id: &str, token: Option<String>) -> Result<()> {
    let (store, what) = (state.jobs.store(), ["workspace", workspace_id]);
    let ids = {
        let _changing = state.amp.changing().await;
        let mut known = Workspaces::load(state).await?;
        let made = known.get(workspace_id).ok().map(|kept| kept.created_at);
        if let Some(token) = &token
            && was_deleted_by(store, &what, token, made).await?
        {
            return Ok(());
        }
        let made = known.get(workspace_id)?.created_at;
        if state.amp.configured().any(|id| id == workspace_id) {
            return Err(AmpError::conflict_of(
                WORKSPACE,
                workspace_id,
                "The workspace is a source of the settings, and goes when it goes there",
            ));
        }
        if let Some(token) = &token {
            // One that was only known by its detectors stays the same while these go.
            known.keep(state).await?;
            remember_deletion(store, &what, token, made).await?;
        }
        // Its detectors first: as long as there are any, it is there to be deleted again.
        let ids = begin_all(state, |found| found.detector.workspace_id == workspace_id).await;
        known.all.remove(workspace_id);
        known.keep(state).await?;
        ids
    };
    finish(state, &ids)
        .await
        .map_err(|error| AmpError::of_job(error, workspace_id))
}

/// What the service has beside, and this server hasn't: there is none of it, and none can be made.
pub async fn missing(
    method: axum::http::Method,
    Path(path): Path<Vec<(String, String)>>,
) -> AmpError {
    let workspace_id = path.first().map(|(_, id)| id.as_str()).unwrap_or_default();
    match method.as_str() {
        "GET" => AmpError::not_found("Configuration", workspace_id),
        _ => AmpError::unknown_operation(),
    }
}
