//! Datafeeds: creation to deletion, starting, stopping, previews, statistics.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_datafeed::config::{DatafeedConfig, DatafeedUpdate, IndicesOptions, NewDatafeed};
use tidewatch_datafeed::run::{StartRequest, Status, StopRequest};
use tidewatch_datafeed::{Feeds, PreviewRequest};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::NewJob;
use tidewatch_model::units::TimeSpan;

use crate::cluster::{node, ok};
use crate::error::{ApiError, Result};
use crate::jobs::{Text, lasting};
use crate::params::Params;
use crate::{ApiState, Identity, body, dates, media};

/// How long starting may take.
const TO_START: TimeSpan = TimeSpan::seconds(20);
/// How long stopping may take.
const TO_STOP: TimeSpan = TimeSpan::minutes(5);
const THROTTLED_DEPRECATED: &str = "[ignore_throttled] parameter is deprecated because frozen indices have been \
                                    deprecated. Consider cold or frozen tiers in place of frozen indices.";

pub fn routes() -> Router<ApiState> {
    const DATAFEED: &str = "/_ml/datafeeds/{datafeed_id}";
    let datafeed = |rest: &str| format!("{DATAFEED}{rest}");
    Router::new()
        .route("/_ml/datafeeds", get(get_all))
        .route("/_ml/datafeeds/_stats", get(all_stats))
        .route(
            "/_ml/datafeeds/_preview",
            get(preview_config).post(preview_config),
        )
        .route(DATAFEED, put(create).get(get_some).delete(delete))
        .route(&datafeed("/_update"), post(update))
        .route(&datafeed("/_start"), post(start))
        .route(&datafeed("/_stop"), post(stop))
        .route(&datafeed("/_stats"), get(stats))
        .route(&datafeed("/_preview"), get(preview).post(preview))
}

/// What a request says of the indices of a datafeed, in its parameters.
pub struct IndicesParams {
    /// None where it says nothing.
    pub options: Option<IndicesOptions>,
    is_throttled_given: bool,
}

impl IndicesParams {
    pub fn take(params: &mut Params) -> Result<Self> {
        let expand = params.take("expand_wildcards");
        let mut truth = |name| -> Result<Option<bool>> {
            match params.take(name).as_deref() {
                None => Ok(None),
                Some("true" | "") => Ok(Some(true)),
                Some("false") => Ok(Some(false)),
                Some(other) => Err(ApiError::no_bool(other)),
            }
        };
        let unavailable = truth("ignore_unavailable")?;
        let none = truth("allow_no_indices")?;
        let throttled = truth("ignore_throttled")?;
        let is_given = expand.is_some() || unavailable.or(none).or(throttled).is_some();
        let options = IndicesOptions::from_texts(expand.as_deref(), unavailable, none, throttled);
        Ok(Self {
            options: match is_given {
                true => Some(options.map_err(JobError::from)?),
                false => None,
            },
            is_throttled_given: throttled.is_some(),
        })
    }

    /// Tells of what is deprecated.
    pub fn warn(&self, response: &mut Response) {
        if self.is_throttled_given {
            media::warn(response, THROTTLED_DEPRECATED);
        }
    }
}

async fn create(
    State(state): State<ApiState>,
    Path(datafeed_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&["timeout", "master_timeout"]);
    let indices = IndicesParams::take(&mut params)?;
    let mut new: NewDatafeed = params.body(body, "datafeed_config").await?;
    new.indices_options = new.indices_options.or(indices.options.clone());
    let feeds = state.feeds;
    let made = lasting(async move { feeds.create(&datafeed_id, new).await }).await?;
    let mut response = ok(&made.shown(false));
    indices.warn(&mut response);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetAsked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
    #[serde(default)]
    exclude_generated: bool,
}

async fn get_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    get_some(state, Path(String::new()), uri).await
}

async fn get_some(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: GetAsked = Params::new(&uri)?.read()?;
    let datafeeds = state.feeds.find(&expression, asked.allow_no_match)?;
    let shown: Vec<Value> = datafeeds
        .iter()
        .map(|datafeed| datafeed.shown(asked.exclude_generated))
        .collect();
    Ok(ok(&json!({"count": shown.len(), "datafeeds": shown})))
}

async fn update(
    State(state): State<ApiState>,
    Path(datafeed_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&["timeout", "master_timeout"]);
    let indices = IndicesParams::take(&mut params)?;
    let mut update: DatafeedUpdate = params.body(body, "datafeed_update").await?;
    update.indices_options = indices.options.clone().or(update.indices_options);
    let feeds = state.feeds;
    let made = lasting(async move { feeds.update(&datafeed_id, update).await }).await?;
    let mut response = ok(&made.shown(false));
    indices.warn(&mut response);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteAsked {
    #[serde(default)]
    force: bool,
}

async fn delete(
    State(state): State<ApiState>,
    Path(datafeed_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let params = Params::new(&uri)?.ignore(&["timeout", "master_timeout"]);
    let asked: DeleteAsked = params.read()?;
    lasting(async move { state.feeds.delete(&datafeed_id, asked.force).await }).await?;
    Ok(ok(&json!({"acknowledged": true})))
}

/// Elasticsearch's parser of it is a lenient one.
#[derive(Deserialize)]
struct StartAsked {
    #[serde(rename = "datafeed_id")]
    _datafeed_id: Option<String>,
    start: Option<Text>,
    end: Option<Text>,
    #[serde(default = "to_start")]
    timeout: TimeSpan,
}

const fn to_start() -> TimeSpan {
    TO_START
}

async fn start(
    State(state): State<ApiState>,
    Path(datafeed_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: StartAsked = Params::new(&uri)?
        .body_or(body, "xpack/ml/datafeed")
        .await?;
    let (start, end) = dates::bounds(asked.start, asked.end)?;
    let start = start.unwrap_or(0);
    check_order(start, end)?;
    let request = StartRequest {
        start,
        end,
        timeout: patience(asked.timeout),
    };
    let feeds = state.feeds;
    let is_assigned = lasting(async move { feeds.start_feed(&datafeed_id, request).await }).await?;
    let node = match is_assigned {
        true => state.identity.node_id.as_str(),
        false => "",
    };
    Ok(ok(&json!({"started": true, "node": node})))
}

fn patience(timeout: TimeSpan) -> Duration {
    timeout.as_duration().max(Duration::from_millis(1))
}

fn check_order(start: i64, end: Option<i64>) -> Result<()> {
    match end {
        Some(end) if end <= start => Err(JobError::invalid_request(&[&format!(
            "start [{start}] must be earlier than end [{end}]"
        )])
        .into()),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StopAsked {
    #[serde(rename = "datafeed_id")]
    _datafeed_id: Option<String>,
    #[serde(default = "to_stop")]
    timeout: TimeSpan,
    #[serde(default)]
    force: bool,
    #[serde(default = "body::yes")]
    allow_no_match: bool,
    #[serde(default)]
    close_job: bool,
}

const fn to_stop() -> TimeSpan {
    TO_STOP
}

async fn stop(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: StopAsked = Params::new(&uri)?
        .body_or(body, "cluster:admin/xpack/ml/datafeed/stop")
        .await?;
    let request = StopRequest {
        allow_no_match: asked.allow_no_match,
        force: asked.force,
        close_job: asked.close_job,
        timeout: patience(asked.timeout),
    };
    let feeds = state.feeds;
    lasting(async move { feeds.stop_feeds(&expression, request).await }).await?;
    Ok(ok(&json!({"stopped": true})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsAsked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

async fn all_stats(state: State<ApiState>, uri: Uri) -> Result<Response> {
    stats(state, Path(String::new()), uri).await
}

async fn stats(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: StatsAsked = Params::new(&uri)?.read()?;
    let datafeeds = state.feeds.find(&expression, asked.allow_no_match)?;
    let shown: Vec<Value> = datafeeds
        .iter()
        .map(|datafeed| {
            let status = state.feeds.status(datafeed);
            stats_document(&state.identity, datafeed, &status)
        })
        .collect();
    Ok(ok(&json!({"count": shown.len(), "datafeeds": shown})))
}

fn stats_document(identity: &Identity, datafeed: &DatafeedConfig, status: &Status) -> Value {
    let mut document = json!({
        "datafeed_id": datafeed.datafeed_id,
        "state": status.state.name()
    });
    if status.is_assigned {
        document["node"] = node(identity);
    }
    if let Some(explanation) = &status.assignment_explanation {
        document["assignment_explanation"] = explanation.as_str().into();
    }
    document["timing_stats"] = json!(status.timing_stats.shown());
    if let Some(running) = &status.running_state {
        document["running_state"] = json!(running);
    }
    document
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PreviewAsked {
    datafeed_config: Option<NewDatafeed>,
    job_config: Option<NewJob<NewDatafeed>>,
}

async fn preview_config(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    previewed(&state.feeds, None, &uri, body).await
}

async fn preview(
    State(state): State<ApiState>,
    Path(datafeed_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    previewed(&state.feeds, Some(datafeed_id), &uri, body).await
}

async fn previewed(
    feeds: &Feeds,
    datafeed_id: Option<String>,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(uri)?;
    let time =
        |name: &str, text: Option<String>| text.map(|text| dates::bound(name, &text)).transpose();
    let (start, end) = (params.take("start"), params.take("end"));
    let (start, end) = (time("start", start)?, time("end", end)?);
    check_order(start.unwrap_or(i64::MIN), end)?;
    let asked: PreviewAsked = params.body_or(body, "preview_datafeed_action").await?;
    let request = PreviewRequest {
        datafeed_id,
        datafeed: asked.datafeed_config,
        job: asked.job_config,
        start,
        end,
    };
    Ok(ok(&json!(feeds.preview(request).await?)))
}
