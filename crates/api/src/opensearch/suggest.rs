//! `_suggest`: what of a detector's settings would suit its data.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::call::{Call, Object};
use super::data::Data;
use super::detector::Period;
use super::detectors;
use super::dialect::status;
use super::validate::Model;
use crate::cluster::ok;
use crate::error::{ApiError, Result};

const MINUTE: i64 = 60_000;
/// Intervals of the past that may be suggested.
const LONGEST: i64 = 10_000;

/// Suggests what is asked for: `detection_interval`, `history`, `window_delay`. What no good value is found for is left
/// out.
pub async fn suggest(
    call: Call,
    Path(types): Path<String>,
    Object(body): Object,
) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let asks = |name: &str| types.split(',').any(|asked| asked.trim() == name);
    let (interval, history, delay) = (
        asks("detection_interval"),
        asks("history"),
        asks("window_delay"),
    );
    if !(interval || history || delay) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "validation_exception",
            "Validation Failed: 1: The given suggest type doesn't exist;",
        ));
    }
    let sent = detectors::read(&body, dialect)?;
    let detector = &sent.detector;
    let Some(data) = Data::of(&state, detector).await? else {
        return Err(status(400, "Data of other clusters is not looked at."));
    };
    let model = Model::of(&state, data, &sent, dialect).await;
    let model = model.map_err(|_| status(400, "Empty data. Cannot find a good interval."))?;
    let now = state.jobs.now();
    let mut told = json!({});
    // A history is one of intervals.
    let of = match interval {
        true => {
            let found = model.shortest_good().await;
            let found = found.map_err(|wrong| wrong.into_error(dialect))?;
            found.map(|interval| interval / MINUTE)
        }
        false => Some((detector.interval() + MINUTE - 1) / MINUTE),
    };
    if let Some(minutes) = of.filter(|_| interval || history) {
        told["interval"] = json!(Period::minutes(minutes));
    }
    if history {
        let least = dialect.learnt() + detector.shingle_size;
        let there = of.map_or(0, |minutes| {
            (model.latest.min(now) - model.earliest) / (minutes * MINUTE).max(1)
        });
        told["history"] = there.min(LONGEST).max(least).into();
    }
    if delay {
        let late = (now - model.latest).max(0);
        let each = detector.interval().max(1);
        // One more than it is late, as clocks and networks differ.
        let intervals = match late {
            0 => 0,
            late => (late + each - 1) / each + 1,
        };
        let minutes = (intervals.saturating_mul(each) + MINUTE - 1) / MINUTE;
        told["windowDelay"] = json!(Period::minutes(minutes));
    }
    Ok(ok(&told))
}
