//! Jobs: creation to deletion, opening, closing, flushing, statistics.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_datafeed::config::{DatafeedConfig, NewDatafeed};
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_jobs::tasks::Task;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{FlushRequest, ForecastStats, JobError, JobStats, Opening};
use tidewatch_model::config::Detector;
use tidewatch_model::units::TimeSpan;
use tidewatch_store::Annotations;

use crate::cluster::{node, ok};
use crate::datafeeds::IndicesParams;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::retention;
use crate::{ApiState, body, dates, media};

/// How long opening and closing may take.
pub const PATIENCE: TimeSpan = TimeSpan::minutes(30);
const FLUSH_DEPRECATED: &str = "Forcing any buffered data to be processed is deprecated, in a future major version it \
                                will be compulsory to use a datafeed";

pub async fn create(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&["timeout", "master_timeout"]);
    let indices = IndicesParams::take(&mut params)?;
    let mut new: NewJob<NewDatafeed> = params.body(body, "job_details").await?;
    if let Some(datafeed) = &mut new.datafeed_config {
        let given = datafeed.indices_options.take();
        datafeed.indices_options = given.or(indices.options.clone());
    }
    let feeds = state.feeds;
    let made = lasting(async move { feeds.create_job(&job_id, new).await });
    let (job, datafeed, warnings) = made.await?;
    let mut response = ok(&shown(&job, datafeed.as_deref(), false));
    for warning in warnings {
        media::warn(&mut response, &warning);
    }
    indices.warn(&mut response);
    Ok(response)
}

pub async fn get_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    get(state, Path(String::new()), uri).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetAsked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
    #[serde(default)]
    exclude_generated: bool,
}

pub async fn get(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: GetAsked = Params::new(&uri)?.read()?;
    let jobs = state.jobs.find(&expression, asked.allow_no_match)?;
    let jobs: Vec<Value> = jobs
        .iter()
        .map(|job| {
            let datafeed = state.feeds.of_job(&job.job_id);
            shown(job, datafeed.as_deref(), asked.exclude_generated)
        })
        .collect();
    Ok(ok(&json!({"count": jobs.len(), "jobs": jobs})))
}

/// A job's configuration with its datafeed's; where that is asked less what the server made up, as it could be put again.
fn shown(job: &Job, datafeed: Option<&DatafeedConfig>, exclude_generated: bool) -> Value {
    let mut shown = json!(job);
    let Value::Object(fields) = &mut shown else {
        return shown;
    };
    if exclude_generated {
        for generated in Job::GENERATED {
            fields.shift_remove(generated);
        }
        if let Some(Value::Object(settings)) = fields.get_mut("custom_settings") {
            settings.shift_remove("created_by");
        }
    }
    if let Some(datafeed) = datafeed {
        let behind = ["groups", "description", "analysis_config"];
        let at = fields
            .keys()
            .position(|name| behind.contains(&name.as_str()));
        let (at, datafeed) = (
            at.unwrap_or(fields.len()),
            datafeed.shown(exclude_generated),
        );
        fields.shift_insert(at, "datafeed_config".to_owned(), datafeed);
    }
    shown
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteAsked {
    #[serde(default)]
    force: bool,
    #[serde(default = "body::yes")]
    wait_for_completion: bool,
    #[serde(default)]
    delete_user_annotations: bool,
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let params = Params::new(&uri)?.ignore(&["timeout", "master_timeout"]);
    let asked: DeleteAsked = params.read()?;
    let task = state.jobs.delete(
        &job_id,
        asked.force,
        annotations(asked.delete_user_annotations),
    );
    task_answer(&task, asked.wait_for_completion).await
}

/// Which annotations go with a job's data.
fn annotations(delete_users: bool) -> Annotations {
    match delete_users {
        true => Annotations::All,
        false => Annotations::Own,
    }
}

/// What a task gave at its end, or only its id.
async fn task_answer(task: &Task, wait: bool) -> Result<Response> {
    match wait {
        true => Ok(ok(&task.ended().await?)),
        false => Ok(ok(&json!({"task": task.id}))),
    }
}

pub async fn update(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let is_dry_run = params.flag("dry_run")?;
    let update: JobUpdate = params.body(body, "job_update").await?;
    if is_dry_run {
        return retention::foresee_update(&state, &job_id, update).await;
    }
    let job = lasting(async move { state.jobs.update(&job_id, update).await }).await?;
    Ok(ok(&json!(job)))
}

/// Elasticsearch's parser of it is a lenient one.
#[derive(Deserialize)]
struct OpenAsked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(default = "patience")]
    timeout: TimeSpan,
}

const fn patience() -> TimeSpan {
    PATIENCE
}

pub async fn open(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: OpenAsked = Params::new(&uri)?.body_or(body, "xpack/ml/job").await?;
    let opening = within(asked.timeout, "Opening", &job_id, {
        let (jobs, job_id) = (state.jobs.clone(), job_id.clone());
        async move { jobs.open(&job_id).await }
    });
    let node = match opening.await? {
        Opening::Opened => state.identity.node_id.as_str(),
        Opening::Waiting => "",
    };
    Ok(ok(&json!({"opened": true, "node": node})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseAsked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(default = "patience")]
    timeout: TimeSpan,
    #[serde(default)]
    force: bool,
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

pub async fn close(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: CloseAsked = Params::new(&uri)?
        .body_or(body, "cluster:admin/xpack/ml/job/close")
        .await?;
    within(asked.timeout, "Closing", &expression, {
        let (feeds, expression) = (state.feeds.clone(), expression.clone());
        async move {
            feeds
                .close_jobs(&expression, asked.allow_no_match, asked.force)
                .await
        }
    })
    .await?;
    Ok(ok(&json!({"closed": true})))
}

/// Waits for a change to be made, which goes on to its end when the client has gone.
pub async fn lasting<T: Send + 'static>(
    change: impl Future<Output = tidewatch_jobs::Result<T>> + Send + 'static,
) -> Result<T> {
    let made = tokio::spawn(change).await;
    Ok(made.map_err(|error| JobError::internal(error.to_string()))??)
}

/// Waits for a step in a job's life, which goes on when the client has waited long enough, or has gone.
async fn within<T: Send + 'static>(
    patience: TimeSpan,
    what: &str,
    job_id: &str,
    step: impl Future<Output = tidewatch_jobs::Result<T>> + Send + 'static,
) -> Result<T> {
    let task = tokio::spawn(step);
    match tokio::time::timeout(patience.as_duration().max(Duration::from_millis(1)), task).await {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(error)) => Err(JobError::internal(error.to_string()).into()),
        Err(_) => Err(JobError::timed_out(format!(
            "{what} job [{job_id}] timed out after [{patience}]"
        ))
        .into()),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FlushAsked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    calc_interim: bool,
    start: Option<Text>,
    end: Option<Text>,
    advance_time: Option<Text>,
    skip_time: Option<Text>,
}

/// A time that may come as a number or as text.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Text {
    Number(i64),
    Text(String),
}

impl Text {
    pub fn into_string(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

pub async fn flush(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Response {
    let flushed = flushed(&state, &job_id, &uri, body).await;
    let mut response = flushed.into_response();
    media::warn(&mut response, FLUSH_DEPRECATED);
    response
}

async fn flushed(state: &ApiState, job_id: &str, uri: &Uri, body: Body) -> Result<Response> {
    let asked = Params::new(uri)?
        .body_or(body, "cluster:admin/xpack/ml/job/flush")
        .await?;
    let request = flush_request(asked)?;
    let end = state.jobs.flush(job_id, request).await?;
    let mut answer = json!({"flushed": true});
    if let Some(end) = end {
        answer["last_finalized_bucket_end"] = end.into();
    }
    Ok(ok(&answer))
}

fn flush_request(asked: FlushAsked) -> Result<FlushRequest> {
    let calc_interim = asked.calc_interim;
    let (start, end) = dates::range(asked.start, asked.end)?;
    let told = match (calc_interim, start, end) {
        (false, Some(_), _) => Some("unexpected 'start'."),
        (false, None, Some(_)) => Some("unexpected 'end'."),
        (true, None, Some(_)) => Some("'start' has not been specified."),
        _ => None,
    };
    if let Some(told) = told {
        return Err(ApiError::illegal_argument(format!(
            "Invalid flush parameters: {told}"
        )));
    }
    let given = |text: Option<Text>| text.map(Text::into_string).filter(|text| !text.is_empty());
    let (advance, skip) = (given(asked.advance_time), given(asked.skip_time));
    let time = |name: &str, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| dates::seconds_or_millis(name, text))
            .transpose()
    };
    let advance_time = time("advance_time", &advance)?;
    let skip_time = time("skip_time", &skip)?;
    if let (Some(advance_time), Some(skip_time)) = (advance_time, skip_time)
        && advance_time / 1_000 <= skip_time / 1_000
    {
        return Err(JobError::bad_request(format!(
            "advance_time [{}] must be later than skip_time [{}]",
            advance.unwrap_or_default(),
            skip.unwrap_or_default()
        ))
        .into());
    }
    Ok(FlushRequest {
        calc_interim,
        start,
        end,
        advance_time,
        skip_time,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetAsked {
    #[serde(default = "body::yes")]
    wait_for_completion: bool,
    #[serde(default)]
    delete_user_annotations: bool,
}

pub async fn reset(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: ResetAsked = Params::new(&uri)?.read()?;
    let annotations = annotations(asked.delete_user_annotations);
    let task = state.jobs.reset(&job_id, annotations);
    task_answer(&task, asked.wait_for_completion).await
}

pub async fn validate(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    let job: NewJob<NewDatafeed> = Params::new(&uri)?.body(body, "job_details").await?;
    state.jobs.validate(job)?;
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn validate_detector(uri: Uri, body: Body) -> Result<Response> {
    // A detector that can be read is a valid one.
    let _: Detector = Params::new(&uri)?.body(body, "detector").await?;
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn all_stats(state: State<ApiState>, uri: Uri) -> Result<Response> {
    stats(state, Path(String::new()), uri).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsAsked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

pub async fn stats(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: StatsAsked = Params::new(&uri)?.read()?;
    let stats = state.jobs.stats(&expression, asked.allow_no_match)?;
    let ids = stats.iter().map(|stats| stats.job_id.as_str());
    state.jobs.check_results_open(ids).await?;
    let forecasts = state.jobs.forecast_stats().await?;
    let none = ForecastStats::default();
    let jobs: Vec<Value> = stats
        .iter()
        .map(|stats| {
            let forecasts = forecasts.get(&stats.job_id).unwrap_or(&none);
            stats_document(&state, stats, forecasts)
        })
        .collect();
    Ok(ok(&json!({"count": jobs.len(), "jobs": jobs})))
}

fn stats_document(state: &ApiState, stats: &JobStats, forecasts: &ForecastStats) -> Value {
    let mut document = json!({
        "job_id": stats.job_id,
        "data_counts": stats.data_counts,
        "model_size_stats": stats.model_size_stats,
        "forecasts_stats": forecasts,
        "state": stats.state.name()
    });
    if stats.is_assigned {
        document["node"] = node(&state.identity);
    }
    if let Some(explanation) = &stats.assignment_explanation {
        document["assignment_explanation"] = explanation.as_str().into();
    }
    if let Some(open_for) = stats.open_for {
        document["open_time"] = format!("{}s", open_for.as_secs()).into();
    }
    document["timing_stats"] = json!(stats.timing_stats);
    document["health"] = json!(stats.health);
    document
}

/// The answer to an upload.
pub fn accepted(value: &Value) -> Response {
    json_response(StatusCode::ACCEPTED, value.to_string())
}
