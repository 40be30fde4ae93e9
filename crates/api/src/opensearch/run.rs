//! Starting and stopping: in real time, or over a part of the past.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::call::{Call, Object};
use super::dialect::Dialect;
use super::{call, history, real_time, whole};
use crate::cluster::ok;
use crate::error::{ApiError, Result};

/// An id with the place of its document, which newer servers don't tell.
fn placed(id: &str, version: u64, seq_no: u64, term: u64, dialect: Dialect) -> Value {
    match dialect.is_legacy() {
        true => json!({"_id": id, "_version": version, "_seq_no": seq_no, "_primary_term": term}),
        false => json!({"_id": id}),
    }
}

/// The dates that a body has. None: it has none at all.
fn range(body: &Map<String, Value>) -> Result<Option<(i64, i64)>> {
    if body.is_empty() {
        return Ok(None);
    }
    let time = |name: &str, what: &str| {
        call::time(body, name).ok_or_else(|| {
            ApiError::illegal_argument(format!(
                "Detection data range's {what} time must not be null"
            ))
        })
    };
    Ok(Some((
        time("start_time", "start")?,
        time("end_time", "end")?,
    )))
}

pub async fn start(call: Call, Path(id): Path<String>, Object(body): Object) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let told = match range(&body)? {
        Some(range) => {
            let start = async move { history::start(&state, &id, range, dialect).await };
            placed(&whole(start).await?, 1, 0, 1, dialect)
        }
        None => {
            let own = id.clone();
            let start = async move { real_time::start(&state, &own, dialect).await };
            let started = whole(start).await?;
            let seq_no = started.version.saturating_sub(1);
            placed(&id, started.version, seq_no, 1, dialect)
        }
    };
    Ok(ok(&told))
}

pub async fn stop(call: Call, Path(id): Path<String>) -> Result<Response> {
    let is_historical = call.query.flag("historical")?;
    let Call { state, dialect, .. } = call;
    let stopped = match is_historical {
        true => whole(async move { history::stop(&state, &id, dialect).await }).await?,
        false => {
            let own = id.clone();
            whole(async move { real_time::stop(&state, &own, dialect).await }).await?;
            id
        }
    };
    Ok(ok(&placed(&stopped, 0, 0, 0, dialect)))
}
