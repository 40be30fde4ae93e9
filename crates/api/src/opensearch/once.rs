//! `_run`: what a detector says of one interval, which is not kept.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_jobs::JobError;

use super::call::{Call, Object, number};
use super::detector::Detector;
use super::preview::Tried;
use super::real_time::check_features;
use super::result::Told;
use super::stored;
use crate::cluster::ok;
use crate::error::Result;
use crate::jobs::lasting;

/// What stands for numbers that there aren't.
const NONE: &str = "NaN";

/// Judges the last interval of a period, less the detector's delay, by what was before it.
pub async fn run(call: Call, Path(id): Path<String>, Object(body): Object) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let time = |name: &str| number(&body, name).unwrap_or_default();
    let (start, end) = (time("period_start"), time("period_end"));
    let is_time = |time: &i64| (1..=super::LATEST).contains(time);
    let wrong = [start, end].into_iter().filter(|time| !is_time(time));
    let mut wrong: Vec<String> = wrong
        .map(|time| format!("timestamp is invalid: {time}"))
        .collect();
    if start > end {
        wrong.push(format!("timestamp is invalid: start {start}, end {end}"));
    }
    if !wrong.is_empty() {
        let reasons: Vec<&str> = wrong.iter().map(String::as_str).collect();
        return Err(JobError::invalid_request(&reasons).into());
    }
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let tried = Tried::of(&state, kept);
    let detector = tried.detector.clone();
    check_features(&detector, dialect)?;
    if !detector.categories().is_empty() {
        // Each entity has results of its own, and the detector none.
        return Ok(ok(&body_of(&detector, None, None)));
    }
    let interval = detector.interval().max(1);
    let last = (end - detector.window_delay.as_millis()).saturating_sub(1);
    let last = last.max(0).div_euclid(interval).saturating_mul(interval);
    let range = (
        last.saturating_sub(detector.history.saturating_mul(interval))
            .max(0),
        last.saturating_add(interval),
    );
    let found = async move { tried.found(&state, range, usize::MAX).await };
    let found = lasting(async move { found.await.map_err(|error| error.0) }).await?;
    let told = found.into_iter().rfind(|told| told.timestamp == last);
    let error = told.is_none().then(|| {
        format!(
            "No data in current window between {last} and {} for {id}",
            last.saturating_add(interval)
        )
    });
    Ok(ok(&body_of(&detector, told.as_ref(), error)))
}

fn body_of(detector: &Detector, told: Option<&Told>, error: Option<String>) -> Value {
    let number = |of: fn(&Told) -> f64| told.map_or_else(|| json!(NONE), |told| json!(of(told)));
    let judged = told.filter(|told| told.anomaly_score > 0.0);
    let features = detector
        .enabled()
        .zip(told.map_or(&[][..], |told| told.values.as_slice()));
    let features: Vec<Value> = features
        .map(|(feature, value)| {
            json!({
                "feature_id": feature.feature_id, "feature_name": feature.feature_name, "data": value
            })
        })
        .collect();
    let anomaly = judged.filter(|told| told.anomaly_grade > 0.0);
    json!({
        "anomalyGrade": number(|told| told.anomaly_grade),
        "confidence": number(|told| told.confidence),
        "anomalyScore": number(|told| told.anomaly_score),
        "error": error,
        "features": features,
        "rcfTotalUpdates": told.map(|told| told.updates),
        "detectorIntervalInMinutes": detector.interval() / 60_000,
        "relativeIndex": anomaly.map(Told::relative_index),
        "relevantAttribution": anomaly.map(|told| &told.attribution),
        "pastValues": anomaly.map(|told| &told.past_values).filter(|values| !values.is_empty()),
        "expectedValuesList": anomaly.map(|told| [&told.expected]),
        "likelihoodOfValues": anomaly.map(|_| [1.0]),
        "threshold": judged.map(|told| told.threshold),
        "task_id": null
    })
}
