//! `_search`: what is asked for in a body and in parameters, and the answer to it.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Context, Meant, Scroll, window};
use tidewatch_store::query::Dsl;
use tidewatch_store::search::{Counted, Found, Hit, Key, Search, SearchError, Shown, Target};

use super::bulk::answer::quote;
use super::get::ShownParams;
use super::named::Named;
use super::{ALL, scroll};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

/// Bytes of the body of a search.
const LONGEST: usize = 20 << 20;

/// Parameters that change nothing of what is found here.
pub const IGNORED: [&str; 12] = [
    "allow_partial_search_results",
    "batched_reduce_size",
    "ccs_minimize_roundtrips",
    "force_synthetic_source",
    "ignore_throttled",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "preference",
    "routing",
    "search_type",
    "stats",
    "timeout",
];

/// A query in the query string.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub struct Queried {
    q: Option<String>,
    df: Option<String>,
    default_operator: Option<String>,
    analyze_wildcard: Option<bool>,
    lenient: Option<bool>,
    analyzer: Option<String>,
}

impl Queried {
    /// The query of `q`.
    pub fn query(&self) -> Result<Option<Dsl>> {
        let Some(q) = &self.q else {
            return Ok(None);
        };
        let mut said = json!({"query": q});
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                said[name] = value;
            }
        };
        put("default_field", self.df.clone().map(Value::from));
        put(
            "default_operator",
            self.default_operator.clone().map(Value::from),
        );
        put("analyze_wildcard", self.analyze_wildcard.map(Value::from));
        put("lenient", self.lenient.map(Value::from));
        put("analyzer", self.analyzer.clone().map(Value::from));
        Ok(Some(
            Dsl::new(json!({"query_string": said})).map_err(SearchError::from)?,
        ))
    }
}

/// Parameters of a search; a body says the rest.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Parameters {
    from: Option<i64>,
    size: Option<i64>,
    sort: Option<String>,
    track_total_hits: Option<String>,
    track_scores: Option<bool>,
    version: Option<bool>,
    seq_no_primary_term: Option<bool>,
    terminate_after: Option<i64>,
    stored_fields: Option<String>,
    docvalue_fields: Option<String>,
    rest_total_hits_as_int: bool,
    typed_keys: bool,
    scroll: Option<String>,
    request_cache: bool,
    explain: Option<bool>,
}

/// All parameters of a search.
#[derive(Debug, Default)]
pub struct Asked {
    named: Named,
    parameters: Parameters,
    queried: Queried,
    shown: ShownParams,
}

impl Asked {
    pub fn read(uri: &Uri) -> Result<Self> {
        Self::read_but(uri, &[])
    }

    /// Where others have taken some of the parameters.
    pub fn read_but(uri: &Uri, taken: &[&'static str]) -> Result<Self> {
        let mut params = Params::new(uri)?.ignore(&IGNORED).ignore(taken);
        Ok(Self {
            named: Named::deserialize(&mut params)?,
            queried: Queried::deserialize(&mut params)?,
            shown: ShownParams::deserialize(&mut params)?,
            parameters: params.read()?,
        })
    }

    /// Of a search among several, which has no parameters of its own.
    pub fn named(named: Named, rest_total_hits_as_int: bool, typed_keys: bool) -> Self {
        Self {
            named,
            parameters: Parameters {
                rest_total_hits_as_int,
                typed_keys,
                ..Parameters::default()
            },
            ..Self::default()
        }
    }

    /// What the parameters say, over what the body said.
    fn over(&self, search: &mut Search) -> Result<()> {
        let asked = &self.parameters;
        if let Some(query) = self.queried.query()? {
            search.query = query;
        }
        search.from = asked.from.unwrap_or(search.from);
        search.size = asked.size.unwrap_or(search.size);
        if let Some(sort) = &asked.sort {
            search.sort = Key::of_param(sort)?;
        }
        if let Some(counted) = &asked.track_total_hits {
            search.counted = Counted::parse(&counted.as_str().into())?;
        }
        if asked.rest_total_hits_as_int {
            search.counted = match search.counted {
                Counted::UpTo(_) if asked.track_total_hits.is_some() => {
                    return Err(ApiError::illegal_argument(format!(
                        "[rest_total_hits_as_int] cannot be used if the tracking of total hits is not accurate, got {}",
                        asked.track_total_hits.as_deref().unwrap_or_default()
                    )));
                }
                Counted::Not => Counted::Not,
                _ => Counted::AsNumber,
            };
        }
        search.typed_keys = asked.typed_keys;
        search.track_scores = asked.track_scores.unwrap_or(search.track_scores);
        search.version = asked.version.unwrap_or(search.version);
        search.seq_no_primary_term = asked
            .seq_no_primary_term
            .unwrap_or(search.seq_no_primary_term);
        if let Some(most) = asked.terminate_after {
            search.terminate_after = u64::try_from(most)
                .map_err(|_| ApiError::illegal_argument("terminateAfter must be > 0"))?;
        }
        if asked.explain == Some(true) {
            return Err(ApiError::illegal_argument(
                "[explain] is not supported by this server",
            ));
        }
        if asked.stored_fields.as_deref() == Some("_none_") {
            search.source.hidden = true;
        }
        if let Some(fields) = &asked.docvalue_fields {
            let fields: Value = fields.split(',').collect();
            search.docvalue_fields =
                tidewatch_store::search::Asked::parse("docvalue_fields", &fields)?;
        }
        if let Some(shown) = self.shown.value() {
            search.source = Shown::parse(&shown)?;
        }
        Ok(())
    }
}

/// The body of a search, read; with nothing in it, an empty one.
pub async fn object(body: Body) -> Result<Map<String, Value>> {
    let bytes = body::read_up_to(body, LONGEST).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Map::new()),
        false => body::object(&bytes),
    }
}

pub async fn everywhere(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    answer(state, None, &uri, body).await
}

pub async fn search(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    answer(state, Some(expression), &uri, body).await
}

async fn answer(
    state: ApiState,
    expression: Option<String>,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let asked = Asked::read(uri)?;
    let body = object(body).await?;
    let answer = found(&state, expression.as_deref(), asked, body).await?;
    Ok(json_response(StatusCode::OK, answer))
}

/// A point in time that a body names.
struct Point {
    id: String,
    keep_alive: Option<Duration>,
}

fn point(body: &mut Map<String, Value>) -> Result<Option<Point>> {
    let Some(said) = body.shift_remove("pit") else {
        return Ok(None);
    };
    let Some(id) = said["id"].as_str() else {
        return Err(ApiError(body::x_content(
            "[1:1] [pit] failed to parse: point in time id is not provided".to_owned(),
        )));
    };
    let keep_alive = match &said["keep_alive"] {
        Value::Null => None,
        value => Some(scroll::span(
            value.as_str().unwrap_or_default(),
            "keep_alive",
        )?),
    };
    Ok(Some(Point {
        id: id.to_owned(),
        keep_alive,
    }))
}

/// The answer to a search, JSON.
pub async fn found(
    state: &ApiState,
    expression: Option<&str>,
    asked: Asked,
    mut body: Map<String, Value>,
) -> Result<String> {
    let started = Instant::now();
    let point = point(&mut body)?;
    let mut search = Search::parse(body).map_err(|error| match JobError::from(error) {
        error if error.kind == "query_shard_exception" => of_shard(error),
        error => error,
    })?;
    asked.over(&mut search)?;
    let request_cache = asked.parameters.request_cache;
    let keep_alive = match &asked.parameters.scroll {
        Some(text) => Some(scroll::span(text, "scroll")?),
        None => None,
    };
    let (targets, indices) = match &point {
        None if let Some(targets) = opensearch(state, expression).await? => (targets, Vec::new()),
        None => {
            let reading = asked.named.clone().reading()?;
            let meant = state.jobs.meant(expression.unwrap_or(ALL), reading).await?;
            search.window = window(&meant);
            let names = meant.iter().map(|meant| meant.name().to_owned()).collect();
            (state.jobs.targets(&meant)?, names)
        }
        Some(point) => {
            let mut wrong = Vec::new();
            if expression.is_some() {
                wrong.push("[indices] cannot be used with point in time. Do not specify any index with point in time.");
            }
            if keep_alive.is_some() {
                wrong.push("using [point in time] is not allowed in a scroll context");
            }
            if !wrong.is_empty() {
                return Err(JobError::invalid_request(&wrong).into());
            }
            let targets = scroll::point(state, &point.id, point.keep_alive)?;
            // What tells equals apart.
            if !search.sort.is_empty() && !search.sort.iter().any(is_shard_doc) {
                search.sort.push(Key::shard_doc());
            }
            (targets.to_vec(), Vec::<String>::new())
        }
    };
    if let Some(keep_alive) = keep_alive {
        check_scroll(&search, request_cache)?;
        return scroll::begin(state, targets, indices, search, keep_alive, started).await;
    }
    search.check()?;
    let found = run(state, &targets, &search).await?;
    let id = point.map(|point| ("pit_id", point.id));
    let total = search.counted.told(found.total);
    Ok(told(started, id, targets.len(), &found, total))
}

/// What an expression means where it names what is no index of Elasticsearch's.
async fn opensearch(state: &ApiState, expression: Option<&str>) -> Result<Option<Vec<Target>>> {
    match expression {
        Some(expression) => crate::opensearch::targets(state, expression).await,
        None => Ok(None),
    }
}

/// The answer to a search of targets that are no indices. `tell`: what goes over what was asked for; `each`: what is put
/// right in the hits.
pub async fn found_in(
    state: &ApiState,
    targets: &[Target],
    asked: Asked,
    body: Map<String, Value>,
    tell: impl FnOnce(&mut Search),
    each: impl FnMut(&mut Hit),
) -> Result<String> {
    let started = Instant::now();
    let mut search = Search::parse(body)?;
    asked.over(&mut search)?;
    tell(&mut search);
    search.check()?;
    let mut found = run(state, targets, &search).await?;
    found.hits.iter_mut().for_each(each);
    let total = search.counted.told(found.total);
    Ok(told(started, None, targets.len(), &found, total))
}

fn is_shard_doc(key: &Key) -> bool {
    key.field == "_shard_doc"
}

/// What a scroll can't have.
fn check_scroll(search: &Search, request_cache: bool) -> Result<()> {
    let mut wrong = Vec::new();
    if search.counted == Counted::Not {
        wrong.push("disabling [track_total_hits] is not allowed in a scroll context");
    }
    if search.from > 0 {
        wrong.push("using [from] is not allowed in a scroll context");
    }
    if search.size == 0 {
        wrong.push("[size] cannot be [0] in a scroll context");
    }
    if search.search_after.is_some() {
        wrong.push("[search_after] cannot be used in a scroll context");
    }
    if request_cache {
        wrong.push("[request_cache] cannot be used in a scroll context");
    }
    if !wrong.is_empty() {
        return Err(JobError::invalid_request(&wrong).into());
    }
    if search.size > search.window {
        return Err(ApiError::illegal_argument(format!(
            "Batch size is too large, size must be less than or equal to: [{}] but was [{}]. Scroll batch sizes cost as \
             much memory as result windows so they are controlled by the [index.max_result_window] index level setting.",
            search.window, search.size
        )));
    }
    Ok(())
}

/// Errors that are found before any index is asked.
const BEFORE: [&str; 3] = [
    "parsing_exception",
    "x_content_parse_exception",
    "action_request_validation_exception",
];

/// What an index refuses is the failure of its shard.
fn of_shard(error: JobError) -> JobError {
    match error.status {
        400 if !BEFORE.contains(&error.kind) => {
            JobError::new(400, "search_phase_execution_exception", "all shards failed")
                .because(error)
        }
        _ => error,
    }
}

/// Searches targets.
pub async fn run(state: &ApiState, targets: &[Target], search: &Search) -> Result<Found> {
    let targets = state.jobs.seen_by(targets, search).map_err(of_shard)?;
    let found = state.jobs.store().search(&targets, search).await;
    Ok(found.map_err(|error| of_shard(error.into()))?)
}

/// The text of an answer. `id`: of what goes on with it.
pub fn told(
    started: Instant,
    id: Option<(&str, String)>,
    shards: usize,
    found: &Found,
    total: Option<Value>,
) -> String {
    let mut text = "{".to_owned();
    if let Some((name, id)) = id {
        text.push_str(&format!("\"{name}\":"));
        quote(&mut text, &id);
        text.push(',');
    }
    text.push_str(&format!(
        "\"took\":{},\"timed_out\":false,",
        started.elapsed().as_millis()
    ));
    if found.terminated_early {
        text.push_str("\"terminated_early\":true,");
    }
    text.push_str(&format!(
        "\"_shards\":{{\"total\":{shards},\"successful\":{shards},\"skipped\":0,\"failed\":0}},\"hits\":{{"
    ));
    if let Some(total) = total {
        text.push_str(&format!("\"total\":{total},"));
    }
    let best = found.max_score.map_or(Value::Null, |score| json!(score));
    // What was read as JSON is written as such.
    let hits = serde_json::to_string(&found.hits).unwrap_or_else(|_| "[]".to_owned());
    text.push_str(&format!("\"max_score\":{best},\"hits\":{hits}}}"));
    if let Some(aggregations) = &found.aggregations {
        let aggregations = serde_json::to_string(aggregations).unwrap_or_default();
        text.push_str(&format!(",\"aggregations\":{aggregations}"));
    }
    text.push('}');
    text
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self(error.into())
    }
}

/// The context that a scroll begins with.
pub fn scroll_of(targets: Vec<Target>, mut search: Search) -> Result<Scroll> {
    search.counted = Counted::All;
    let given = search.sort.len();
    if search.sort.is_empty() {
        search.sort = Key::parse(&json!(["_score"]))?;
    }
    if !search.sort.iter().any(Key::is_own_order) {
        search.sort.push(Key::shard_doc());
    }
    Ok(Scroll {
        added: search.sort.len() - given,
        targets,
        search,
        total: 0,
        after: None,
    })
}

/// How a context is named that holds a scroll.
pub fn held(scroll: Scroll) -> Context {
    Context::Scroll(std::sync::Arc::new(tokio::sync::Mutex::new(scroll)))
}

/// The names of indices that are meant.
pub fn names(meant: &[Meant]) -> Vec<String> {
    meant.iter().map(|meant| meant.name().to_owned()).collect()
}
