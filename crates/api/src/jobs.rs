//! Jobs: creation to deletion, opening, closing, flushing, statistics.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_jobs::tasks::Task;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{
    FlushRequest, ForecastStats, JobError, JobStats, Opening, State as JobState, maintenance,
};
use tidewatch_model::config::Detector;
use tidewatch_model::units::TimeSpan;

use crate::cluster::{node, ok};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body, dates, media};

/// How long opening and closing may take.
const PATIENCE: TimeSpan = TimeSpan::minutes(30);
const FLUSH_DEPRECATED: &str = "Forcing any buffered data to be processed is deprecated, in a future major version it \
                                will be compulsory to use a datafeed";

pub async fn create(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    for name in [
        "ignore_unavailable",
        "allow_no_indices",
        "ignore_throttled",
        "expand_wildcards",
        "timeout",
        "master_timeout",
    ] {
        params.take(name);
    }
    params.finish()?;
    let new: NewJob = body::required(&body::read(body).await?, "job_details")?;
    let (job, warnings) = lasting(async move { state.jobs.create(&job_id, new).await }).await?;
    let mut response = ok(&json!(job));
    for warning in warnings {
        media::warn(&mut response, &warning);
    }
    Ok(response)
}

pub async fn get_all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    get(state, Path(String::new()), uri).await
}

pub async fn get(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let allow_no_match = params.take_bool("allow_no_match")?.unwrap_or(true);
    let exclude_generated = params.take_bool("exclude_generated")?.unwrap_or(false);
    params.finish()?;
    let jobs = state.jobs.find(&expression, allow_no_match)?;
    let jobs: Vec<Value> = jobs
        .iter()
        .map(|job| {
            if exclude_generated {
                ungenerated(job)
            } else {
                json!(job)
            }
        })
        .collect();
    Ok(ok(&json!({"count": jobs.len(), "jobs": jobs})))
}

/// A job's configuration less what the server made up, as it could be put again.
fn ungenerated(job: &Job) -> Value {
    let mut job = json!(job);
    if let Value::Object(fields) = &mut job {
        for generated in Job::GENERATED {
            fields.shift_remove(generated);
        }
        if let Some(Value::Object(settings)) = fields.get_mut("custom_settings") {
            settings.shift_remove("created_by");
        }
    }
    job
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let force = params.take_bool("force")?.unwrap_or(false);
    let wait = params.take_bool("wait_for_completion")?.unwrap_or(true);
    params.take_bool("delete_user_annotations")?;
    params.take("timeout");
    params.take("master_timeout");
    params.finish()?;
    task_answer(&state.jobs.delete(&job_id, force), wait).await
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
    Params::new(&uri)?.finish()?;
    let update: JobUpdate = body::required(&body::read(body).await?, "job_update")?;
    let job = lasting(async move { state.jobs.update(&job_id, update).await }).await?;
    Ok(ok(&json!(job)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpenBody {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    timeout: Option<TimeSpan>,
}

pub async fn open(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let given: OpenBody = optional(body, "open_job").await?.unwrap_or_default();
    let timeout = params
        .take("timeout")
        .map(|text| time_span("timeout", &text))
        .transpose()?
        .or(given.timeout);
    params.finish()?;
    let timeout = timeout.unwrap_or(PATIENCE);
    let opening = within(timeout, "Opening", &job_id, {
        let (jobs, job_id) = (state.jobs.clone(), job_id.clone());
        async move { jobs.open(&job_id).await }
    });
    let node = match opening.await? {
        Opening::Opened => state.identity.node_id.as_str(),
        Opening::Waiting => "",
    };
    Ok(ok(&json!({"opened": true, "node": node})))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CloseBody {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    timeout: Option<TimeSpan>,
    force: Option<bool>,
    allow_no_match: Option<bool>,
}

pub async fn close(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let given = match optional::<CloseBody>(body, "close_job").await? {
        Some(given) => given,
        None => CloseBody {
            _job_id: None,
            timeout: params
                .take("timeout")
                .map(|text| time_span("timeout", &text))
                .transpose()?,
            force: params.take_bool("force")?,
            allow_no_match: params.take_bool("allow_no_match")?,
        },
    };
    params.finish()?;
    let (force, allow_no_match) = (
        given.force.unwrap_or(false),
        given.allow_no_match.unwrap_or(true),
    );
    within(given.timeout.unwrap_or(PATIENCE), "Closing", &expression, {
        let (jobs, expression) = (state.jobs.clone(), expression.clone());
        async move { jobs.close(&expression, allow_no_match, force).await }
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
struct FlushBody {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    calc_interim: Option<bool>,
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
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let given = match optional::<FlushBody>(body, "flush_job").await? {
        Some(given) => given,
        None => FlushBody {
            _job_id: None,
            calc_interim: params.take_bool("calc_interim")?,
            start: params.take("start").map(Text::Text),
            end: params.take("end").map(Text::Text),
            advance_time: params.take("advance_time").map(Text::Text),
            skip_time: params.take("skip_time").map(Text::Text),
        },
    };
    params.finish()?;
    let request = flush_request(given)?;
    let end = state.jobs.flush(&job_id, request).await?;
    let mut answer = json!({"flushed": true});
    if let Some(end) = end {
        answer["last_finalized_bucket_end"] = end.into();
    }
    let mut response = ok(&answer);
    media::warn(&mut response, FLUSH_DEPRECATED);
    Ok(response)
}

fn flush_request(given: FlushBody) -> Result<FlushRequest> {
    let time = |name: &str, text: Option<Text>| {
        text.map(Text::into_string)
            .filter(|text| !text.is_empty())
            .map(|text| dates::seconds_or_millis(name, &text))
            .transpose()
    };
    let calc_interim = given.calc_interim.unwrap_or(false);
    let (start, end) = (time("start", given.start)?, time("end", given.end)?);
    let (advance_time, skip_time) = (
        time("advance_time", given.advance_time)?,
        time("skip_time", given.skip_time)?,
    );
    let invalid = |what: String| {
        Err(ApiError::illegal_argument(format!(
            "Invalid flush parameters: {what}"
        )))
    };
    if !calc_interim {
        if start.is_some() {
            return invalid("unexpected 'start'.".to_owned());
        }
        if end.is_some() {
            return invalid("unexpected 'end'.".to_owned());
        }
    }
    match (start, end) {
        (None, Some(_)) => return invalid("'start' has not been specified.".to_owned()),
        (Some(start), Some(end)) if end <= start => {
            return Err(dates::backwards(start, end));
        }
        _ => {}
    }
    if let (Some(advance), Some(skip)) = (advance_time, skip_time)
        && advance <= skip
    {
        return invalid(format!(
            "advance_time [{advance}] must be later than skip_time [{skip}]."
        ));
    }
    // A start alone means the one bucket there.
    let end = end.or(start.map(|start| start + 1_000));
    Ok(FlushRequest {
        calc_interim,
        start,
        end,
        advance_time,
        skip_time,
    })
}

pub async fn reset(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let wait = params.take_bool("wait_for_completion")?.unwrap_or(true);
    params.take_bool("delete_user_annotations")?;
    params.finish()?;
    task_answer(&state.jobs.reset(&job_id), wait).await
}

pub async fn validate(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    let job: NewJob = body::required(&body::read(body).await?, "job_details")?;
    state.jobs.validate(job)?;
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn validate_detector(uri: Uri, body: Body) -> Result<Response> {
    Params::new(&uri)?.finish()?;
    // A detector that can be read is a valid one.
    let _: Detector = body::required(&body::read(body).await?, "detector")?;
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn all_expired(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    expired(state, Path("_all".to_owned()), uri, body).await
}

/// Elasticsearch can be slowed down or timed out here; there is nothing to slow down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiredBody {
    #[serde(rename = "requests_per_second")]
    _requests_per_second: Option<f64>,
    #[serde(rename = "timeout")]
    _timeout: Option<TimeSpan>,
}

pub async fn expired(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    if optional::<ExpiredBody>(body, "delete_expired_data")
        .await?
        .is_none()
    {
        params.take_number::<f64>("requests_per_second", "float")?;
        params
            .take("timeout")
            .map(|text| time_span("timeout", &text))
            .transpose()?;
    }
    params.finish()?;
    let deleted = maintenance::delete_expired(&state.jobs, &expression).await?;
    Ok(ok(&json!({"deleted": deleted})))
}

pub async fn all_stats(state: State<ApiState>, uri: Uri) -> Result<Response> {
    stats(state, Path(String::new()), uri).await
}

pub async fn stats(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let allow_no_match = params.take_bool("allow_no_match")?.unwrap_or(true);
    params.finish()?;
    let stats = state.jobs.stats(&expression, allow_no_match)?;
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
    if matches!(stats.state, JobState::Opened | JobState::Closing) {
        document["node"] = node(&state.identity);
    }
    if let Some(explanation) = &stats.assignment_explanation {
        document["assignment_explanation"] = explanation.as_str().into();
    }
    if let Some(open_for) = stats.open_for {
        document["open_time"] = format!("{}s", open_for.as_secs()).into();
    }
    document["timing_stats"] = json!(stats.timing_stats);
    document
}

/// A body that may be left out.
pub async fn optional<T: serde::de::DeserializeOwned>(
    body: Body,
    parser: &'static str,
) -> Result<Option<T>> {
    let bytes = body::read(body).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(None),
        false => body::parse(&bytes, parser).map(Some),
    }
}

pub fn time_span(name: &str, text: &str) -> Result<TimeSpan> {
    TimeSpan::parse(text).map_err(|error| {
        ApiError::illegal_argument(format!(
            "failed to parse setting [{name}] with value [{text}] as a time value: {error}"
        ))
    })
}

/// The answer to an upload.
pub fn accepted(value: &Value) -> Response {
    json_response(StatusCode::ACCEPTED, value.to_string())
}
