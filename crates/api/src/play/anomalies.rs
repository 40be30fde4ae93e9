//! `apps/{app}/anomalies`.

use serde_json::{Value, json};
use tidewatch_jobs::play::{Anomaly, Asked};

use super::apps;
use super::error::Result;
use super::filter::Active;
use super::request::{Params, token};
use super::values::{DATE_TIME, DIMENSION, METRIC, date_time, decimal, dimension, period};
use crate::ApiState;

/// What an answer can have.
pub fn shape() -> String {
    let spec = format!("aggregationPeriod,startTime({DATE_TIME}),endTime({DATE_TIME})");
    format!(
        "anomalies(name,metricSet,timelineSpec({spec}),dimensions({DIMENSION}),metric({METRIC})),nextPageToken"
    )
}

const USUAL: usize = 10;
const MOST: usize = 100;
/// Stands for every app.
const ANY: &str = "-";

pub async fn list(state: &ApiState, app: &str, mut params: Params) -> Result<Value> {
    let filter = params.text("filter").unwrap_or_default();
    let most = params.page_size(USUAL, MOST)?;
    let request = json!(["anomalies", app, filter, most]);
    let after = params.page(&request)?;
    params.finish()?;
    let active = Active::parse(&filter)?;
    if app != ANY {
        apps::check(state, app)?;
    }
    let asked = Asked {
        app: (app != ANY).then(|| app.to_owned()),
        start: active.start,
        end: active.end,
        after,
        most,
    };
    let listed = state.jobs.play_anomalies(&asked).await?;
    let anomalies: Vec<Value> = listed.anomalies.iter().filter_map(resource).collect();
    let mut answer = json!({});
    // Google leaves out what is empty.
    if !anomalies.is_empty() {
        answer["anomalies"] = anomalies.into();
    }
    if let Some(token) = listed.last.and_then(|last| token(&request, &last)) {
        answer["nextPageToken"] = token.into();
    }
    Ok(answer)
}

/// None where a time isn't of the years that Google's dates have.
fn resource(anomaly: &Anomaly) -> Option<Value> {
    let app = &anomaly.app;
    let mut resource = json!({
        "name": format!("apps/{app}/anomalies/{}", anomaly.id),
        "metricSet": format!("apps/{app}/{}", anomaly.metric_set),
        "timelineSpec": {
            "aggregationPeriod": period(anomaly.period),
            "startTime": date_time(anomaly.start, anomaly.period)?,
            "endTime": date_time(anomaly.end, anomaly.period)?,
        },
    });
    if !anomaly.dimensions.is_empty() {
        let dimensions = anomaly.dimensions.iter();
        resource["dimensions"] = dimensions
            .map(|(name, value)| dimension(name, value))
            .collect();
    }
    let mut metric = json!({"metric": anomaly.metric, "decimalValue": decimal(anomaly.value)});
    if let Some(bounds) = anomaly.bounds {
        metric["decimalValueConfidenceInterval"] = json!({
            "lowerBound": decimal(bounds.lower), "upperBound": decimal(bounds.upper)
        });
    }
    resource["metric"] = metric;
    Some(resource)
}
