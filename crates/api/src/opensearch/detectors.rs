//! Detectors: created, shown, changed, deleted.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::change::{self, Expected};
use super::detector::Period;
use super::dialect::Dialect;
use super::read::Sent;
use super::stored::{self, Stored};
use super::{Query, history, object, real_time, whole};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{Result, json_response};

/// Of a detector that names none.
const INTERVAL: i64 = 10;

/// Whether it is OpenSearch's dashboards that ask: what they keep with a detector is told to them alone.
pub fn is_dashboards(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.contains("OpenSearch Dashboards"))
}

pub fn read(body: &serde_json::Map<String, Value>, dialect: Dialect) -> Result<Sent> {
    let sent = Sent::read(body, dialect, Some(Period::minutes(INTERVAL)));
    sent.map_err(|wrong| wrong.into_error(dialect))
}

/// A detector with its place, in the order that OpenSearch has after a write.
fn written(stored: &Stored, dialect: Dialect, headers: &HeaderMap) -> Value {
    json!({
        "_id": stored.id,
        "_version": stored.version,
        "_seq_no": stored.seq_no,
        "anomaly_detector": stored.detector.told(dialect, is_dashboards(headers)),
        "_primary_term": 1
    })
}

pub async fn create(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let sent = read(&object(body).await?, dialect)?;
    let stored = whole(async move { change::create(&state, sent, dialect).await }).await?;
    let told = written(&stored, dialect, &headers).to_string();
    let mut response = json_response(StatusCode::CREATED, told);
    // Everywhere that of Open Distro.
    let location = format!("{}/{}", Dialect::OpenDistro.root(), stored.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub async fn update(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let query = Query::of(&uri)?;
    let expected = Expected {
        seq_no: query.whole("if_seq_no")?,
        primary_term: query.whole("if_primary_term")?,
    };
    let sent = read(&object(body).await?, dialect)?;
    let update = async move { change::update(&state, &id, sent, expected, dialect).await };
    let stored = whole(update).await?;
    Ok(ok(&written(&stored, dialect, &headers)))
}

pub async fn get(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let query = Query::of(&uri)?;
    let (with_job, with_task) = (query.flag("job")?, query.flag("task")?);
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let to_dashboards = is_dashboards(&headers);
    let stored = &kept.stored;
    let mut told = json!({
        "_id": stored.id,
        "_version": stored.version,
        "_primary_term": 1,
        "_seq_no": stored.seq_no,
        "anomaly_detector": stored.detector.told(dialect, to_dashboards)
    });
    if with_job && let Some(job) = real_time::job(&state, &kept, dialect) {
        told["anomaly_detector_job"] = job;
    }
    if with_task {
        let name = dialect.says("realtime_task", "realtime_detection_task");
        if let Some(task) = real_time::task(&state, &kept, dialect, to_dashboards) {
            told[name] = task;
        }
        if let Some(task) = history::latest(&state, &id)? {
            told["historical_analysis_task"] = history::told(&state, &task, dialect, to_dashboards);
        }
    }
    Ok(ok(&told))
}

pub async fn delete(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(id): Path<String>,
) -> Result<Response> {
    let next = stored::next_seq_no(&stored::all(&state)?);
    let deleted = {
        let id = id.clone();
        whole(async move { change::delete(&state, &id, dialect).await }).await?
    };
    let (code, result) = match &deleted {
        Some(_) => (StatusCode::OK, "deleted"),
        None => (StatusCode::NOT_FOUND, "not_found"),
    };
    let mut told = json!({"_index": dialect.detectors_index()});
    if dialect == Dialect::OpenDistro {
        told["_type"] = "_doc".into();
    }
    let rest = json!({
        "_id": id,
        "_version": deleted.map_or(1, |stored| stored.version.saturating_add(1)),
        "result": result,
        "forced_refresh": true,
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": next,
        "_primary_term": 1
    });
    if let (Value::Object(told), Value::Object(rest)) = (&mut told, rest) {
        told.extend(rest);
    }
    Ok(json_response(code, told.to_string()))
}
