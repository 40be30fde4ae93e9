//! Detectors: created, shown, changed, deleted.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::call::{Call, Object};
use super::change::{self, Expected};
use super::detector::Period;
use super::dialect::Dialect;
use super::read::Sent;
use super::stored::{self, Stored};
use super::{history, real_time, whole};
use crate::cluster::ok;
use crate::error::{Result, json_response};

/// Of a detector that names none.
const INTERVAL: i64 = 10;

pub fn read(body: &serde_json::Map<String, Value>, dialect: Dialect) -> Result<Sent> {
    let sent = Sent::read(body, dialect, Some(Period::minutes(INTERVAL)));
    sent.map_err(|wrong| wrong.into_error(dialect))
}

/// A detector with its place, in the order that OpenSearch has after a write.
fn written(stored: &Stored, dialect: Dialect, to_dashboards: bool) -> Value {
    json!({
        "_id": stored.id,
        "_version": stored.version,
        "_seq_no": stored.seq_no,
        "anomaly_detector": stored.detector.told(dialect, to_dashboards),
        "_primary_term": 1
    })
}

pub async fn create(call: Call, Object(body): Object) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let sent = read(&body, dialect)?;
    let stored = whole(async move { change::create(&state, sent, dialect).await }).await?;
    let told = written(&stored, dialect, call.to_dashboards).to_string();
    let mut response = json_response(StatusCode::CREATED, told);
    // Everywhere that of Open Distro.
    let location = format!("{}/{}", Dialect::OpenDistro.root(), stored.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub async fn update(call: Call, Path(id): Path<String>, Object(body): Object) -> Result<Response> {
    let expected = Expected {
        seq_no: call.query.whole("if_seq_no")?,
        primary_term: call.query.whole("if_primary_term")?,
    };
    let Call { state, dialect, .. } = call;
    let sent = read(&body, dialect)?;
    let update = async move { change::update(&state, &id, sent, expected, dialect).await };
    let stored = whole(update).await?;
    Ok(ok(&written(&stored, dialect, call.to_dashboards)))
}

pub async fn get(call: Call, Path(id): Path<String>) -> Result<Response> {
    let (with_job, with_task) = (call.query.flag("job")?, call.query.flag("task")?);
    let Call {
        state,
        dialect,
        to_dashboards,
        ..
    } = call;
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
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

pub async fn delete(call: Call, Path(id): Path<String>) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let next = stored::next_seq_no(&stored::all(&state)?);
    let deleted = {
        let id = id.clone();
        whole(async move { change::delete(&state, &id, dialect).await }).await?
    };
    let (code, result) = match &deleted {
        Some(_) => (StatusCode::OK, "deleted"),
        None => (StatusCode::NOT_FOUND, "not_found"),
    };
    let version = deleted.map_or(1, |stored| stored.version.saturating_add(1));
    let mut told = json!({
        "_index": dialect.detectors_index(),
        "_type": "_doc",
        "_id": id,
        "_version": version,
        "result": result,
        "forced_refresh": true,
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": next,
        "_primary_term": 1
    });
    if let (Value::Object(told), true) = (&mut told, dialect != Dialect::OpenDistro) {
        told.shift_remove("_type");
    }
    Ok(json_response(code, told.to_string()))
}
