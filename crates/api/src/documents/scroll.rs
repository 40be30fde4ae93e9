//! What goes on over several requests: scrolls, and points in time, Elasticsearch's and OpenSearch's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Context, is_id};
use tidewatch_model::units::TimeSpan;
use tidewatch_store::search::{Counted, Found, Search, Target};

use super::named::Named;
use super::{ok, search};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_search/scroll", get(next).post(next).delete(clear))
        .route(
            "/_search/scroll/{id}",
            get(next_of).post(next_of).delete(clear_of),
        )
        .route("/{index}/_pit", post(open))
        .route("/_pit", delete(close))
        .route("/{index}/_search/point_in_time", post(open_point))
        .route("/_search/point_in_time", delete(close_points))
        .route(
            "/_search/point_in_time/_all",
            get(all_points).delete(close_all_points),
        )
}

/// A span of time in a parameter.
pub fn span(text: &str, name: &str) -> Result<Duration> {
    let span = TimeSpan::parse(text)
        .ok()
        .filter(|span| !span.is_negative());
    span.map(TimeSpan::as_duration).ok_or_else(|| {
        ApiError::illegal_argument(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: unit is missing or unrecognized"
        ))
    })
}

/// The first page of a scroll.
pub async fn begin(
    state: &ApiState,
    targets: Vec<Target>,
    indices: Vec<String>,
    search: Search,
    keep_alive: Duration,
    started: Instant,
) -> Result<String> {
    let as_number = search.counted == Counted::AsNumber;
    let mut scroll = search::scroll_of(targets, search)?;
    let mut found = search::run(state, &scroll.targets, &scroll.search).await?;
    scroll.total = found.total;
    scroll.turn(&mut found);
    let (total, shards) = (scroll.total, scroll.targets.len());
    let contexts = state.jobs.contexts();
    let now = state.jobs.settings().clock.now();
    let id = contexts
        .open(search::held(scroll), indices, keep_alive, now)
        .map_err(|error| match error.status {
            429 => error,
            _ => JobError::new(400, "search_phase_execution_exception", "all shards failed")
                .because(error),
        })?;
    let id = Some(("_scroll_id", id));
    Ok(search::told(
        started,
        id,
        shards,
        &found,
        Some(total_of(total, as_number)),
    ))
}

fn total_of(total: u64, as_number: bool) -> Value {
    match as_number {
        true => total.into(),
        false => json!({"value": total, "relation": "eq"}),
    }
}

/// A scroll is turned over.
trait Turn {
    /// Keeps where a page ended, and leaves out of it what was not asked for.
    fn turn(&mut self, found: &mut Found);
}

impl Turn for tidewatch_jobs::documents::Scroll {
    fn turn(&mut self, found: &mut Found) {
        self.after = found.hits.last().map(|hit| hit.sort.clone());
        for hit in &mut found.hits {
            let asked = hit.sort.len().saturating_sub(self.added);
            hit.sort.truncate(asked);
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Turned {
    scroll: Option<String>,
    scroll_id: Option<String>,
    rest_total_hits_as_int: bool,
}

async fn next(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    turn(state.0, None, &uri, body).await
}

async fn next_of(
    state: State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    turn(state.0, Some(id), &uri, body).await
}

async fn fields(body: Body) -> Result<Map<String, Value>> {
    let bytes = body::read(body).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Map::new()),
        false => body::object(&bytes),
    }
}

/// The next page of a scroll.
async fn turn(state: ApiState, id: Option<String>, uri: &Uri, body: Body) -> Result<Response> {
    let started = Instant::now();
    let mut asked: Turned = Params::new(uri)?.read()?;
    asked.scroll_id = id.or(asked.scroll_id);
    for (name, value) in fields(body).await? {
        match (name.as_str(), value) {
            ("scroll_id", Value::String(id)) => asked.scroll_id = Some(id),
            ("scroll", Value::String(span)) => asked.scroll = Some(span),
            (name, _) => {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown parameter [{name}] in request body or parameter is of the wrong type"
                )));
            }
        }
    }
    let Some(id) = asked.scroll_id else {
        return Err(JobError::invalid_request(&["scrollId is missing"]).into());
    };
    check_scroll_id(&id)?;
    let keep_alive = asked.scroll.map(|text| span(&text, "scroll")).transpose()?;
    let Context::Scroll(scroll) = state.jobs.contexts().get(&id, keep_alive)? else {
        return Err(ApiError::illegal_argument("Cannot parse scroll id"));
    };
    let mut scroll = scroll.lock().await;
    let mut found = Found::default();
    if scroll.after.is_some() {
        scroll.search.search_after = scroll.after.clone();
        scroll.search.counted = Counted::Not;
        scroll.search.aggregations.clear();
        found = search::run(&state, &scroll.targets, &scroll.search).await?;
    }
    scroll.turn(&mut found);
    let total = total_of(scroll.total, asked.rest_total_hits_as_int);
    let shards = scroll.targets.len();
    let answer = search::told(
        started,
        Some(("_scroll_id", id)),
        shards,
        &found,
        Some(total),
    );
    Ok(json_response(StatusCode::OK, answer))
}

fn check_scroll_id(id: &str) -> Result<()> {
    match is_id(id) {
        true => Ok(()),
        false => Err(ApiError::illegal_argument("Cannot parse scroll id")),
    }
}

async fn clear(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    clear_given(&state, None, &uri, body).await
}

async fn clear_of(
    state: State<ApiState>,
    Path(ids): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    clear_given(&state, Some(ids), &uri, body).await
}

/// What a body names comes before the path and the parameter, as when a scroll goes on.
async fn clear_given(
    state: &ApiState,
    of: Option<String>,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let asked: Turned = Params::new(uri)?.read()?;
    let given = of.or(asked.scroll_id).unwrap_or_default();
    let mut ids: Vec<String> = given
        .split(',')
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect();
    for (name, value) in fields(body).await? {
        match name.as_str() {
            "scroll_id" => ids = texts(&value, "scroll_id")?,
            name => {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown parameter [{name}] in request body or parameter is of the wrong type"
                )));
            }
        }
    }
    clear_all(state, ids)
}

fn clear_all(state: &ApiState, ids: Vec<String>) -> Result<Response> {
    let contexts = state.jobs.contexts();
    if ids.is_empty() {
        return Err(JobError::invalid_request(&["no scroll ids specified"]).into());
    }
    if ids.iter().any(|id| id == "_all") {
        let freed = contexts.close_all(true).len();
        return Ok(ok(&json!({"succeeded": true, "num_freed": freed})));
    }
    for id in &ids {
        check_scroll_id(id)?;
    }
    Ok(freed(ids.iter().filter(|id| contexts.close(id)).count()))
}

fn freed(count: usize) -> Response {
    let status = match count {
        0 => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let told = json!({"succeeded": true, "num_freed": count});
    json_response(status, told.to_string())
}

fn texts(value: &Value, name: &str) -> Result<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(ApiError::illegal_argument(format!(
            "{name} array element should only contain {name}"
        ))),
    };
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// What a point in time holds.
pub fn point(state: &ApiState, id: &str, keep_alive: Option<Duration>) -> Result<Arc<Vec<Target>>> {
    if !is_id(id) {
        return Err(ApiError::illegal_argument(format!("invalid id: [{id}]")));
    }
    match state.jobs.contexts().get(id, keep_alive)? {
        Context::Point(targets) => Ok(targets),
        Context::Scroll(_) => Err(ApiError::illegal_argument(format!("invalid id: [{id}]"))),
    }
}

#[derive(Deserialize)]
struct Opened {
    keep_alive: Option<String>,
}

/// Holds what an expression means as it is now: its id, when that was, and how many indices there are.
async fn hold(state: &ApiState, expression: &str, uri: &Uri) -> Result<(String, i64, usize)> {
    let mut params = Params::new(uri)?.ignore(&[
        "allow_partial_search_results",
        "allow_partial_pit_creation",
        "max_concurrent_shard_requests",
        "preference",
        "routing",
    ]);
    let reading = Named::deserialize(&mut params)?.reading()?;
    let asked: Opened = params.read()?;
    let Some(keep_alive) = asked.keep_alive else {
        return Err(JobError::invalid_request(&["[keep_alive] is not specified"]).into());
    };
    let keep_alive = span(&keep_alive, "keep_alive")?;
    let meant = state.jobs.meant(expression, reading).await?;
    let targets = state.jobs.targets(&meant)?;
    let (count, now) = (targets.len(), state.jobs.settings().clock.now());
    let point = Context::Point(Arc::new(targets));
    let id = state
        .jobs
        .contexts()
        .open(point, search::names(&meant), keep_alive, now)?;
    Ok((id, now, count))
}

async fn open(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    if let Some((name, _)) = fields(body).await?.into_iter().next() {
        return Err(ApiError::illegal_argument(format!(
            "[{name}] is not supported when a point in time is opened"
        )));
    }
    let (id, _, count) = hold(&state, &expression, &uri).await?;
    Ok(ok(&json!({"id": id, "_shards": shards(count)})))
}

fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

async fn close(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let mut said = fields(body).await?;
    let id = said.shift_remove("id");
    let Some(Value::String(id)) = id else {
        return Err(JobError::invalid_request(&["reader id must be specified"]).into());
    };
    Ok(freed(usize::from(state.jobs.contexts().close(&id))))
}

async fn open_point(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let (id, created, count) = hold(&state, &expression, &uri).await?;
    Ok(ok(
        &json!({"pit_id": id, "_shards": shards(count), "creation_time": created}),
    ))
}

async fn close_points(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let said = fields(body).await?;
    let ids = match said.get("pit_id") {
        Some(ids) => texts(ids, "pit_id")?,
        None => return Err(JobError::invalid_request(&["no pit ids specified"]).into()),
    };
    let contexts = state.jobs.contexts();
    let pits: Vec<Value> = ids
        .into_iter()
        .map(|id| json!({"successful": contexts.close(&id), "pit_id": id}))
        .collect();
    Ok(ok(&json!({"pits": pits})))
}

async fn close_all_points(state: State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let closed = state.jobs.contexts().close_all(false);
    let pits: Vec<Value> = closed
        .into_iter()
        .map(|id| json!({"successful": true, "pit_id": id}))
        .collect();
    Ok(ok(&json!({"pits": pits})))
}

async fn all_points(state: State<ApiState>, uri: Uri) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let pits: Vec<Value> = state
        .jobs
        .contexts()
        .all(false)
        .into_iter()
        .map(|told| {
            json!({
                "pit_id": told.id, "creation_time": told.created, "keep_alive": told.keep_alive.as_millis() as u64
            })
        })
        .collect();
    Ok(ok(&json!({"pits": pits})))
}
