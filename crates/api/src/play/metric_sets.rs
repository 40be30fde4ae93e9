//! `apps/{app}/{metricSet}`: up to when there is data.

use serde_json::{Value, json};
use tidewatch_jobs::play::Period;

use super::apps;
use super::error::{PlayError, Result};
use super::values::{DATE_TIME, date_time, period};
use crate::ApiState;

/// What an answer can have.
pub fn shape() -> String {
    format!("name,freshnessInfo(freshnesses(aggregationPeriod,latestEndTime({DATE_TIME})))")
}

/// The end of the latest point of each aggregation period, of all jobs that show the metric set.
pub async fn get(state: &ApiState, app: &str, set: &str) -> Result<Value> {
    apps::check(state, app)?;
    let freshness = state.jobs.play_freshness(app, set).await?;
    let name = format!("apps/{app}/{set}");
    let Some(freshness) = freshness else {
        return Err(PlayError::not_found(format!(
            "Metric set not found: no job shows [{name}]"
        )));
    };
    let freshnesses = [Period::Daily, Period::Hourly].into_iter();
    let freshnesses = freshnesses.filter_map(|of| {
        let ends = freshness.iter().filter(|(period, _)| *period == of);
        let end = date_time(ends.map(|(_, end)| *end).max()?, of)?;
        Some(json!({"aggregationPeriod": period(of), "latestEndTime": end}))
    });
    Ok(json!({"name": name, "freshnessInfo": {"freshnesses": freshnesses.collect::<Vec<_>>()}}))
}
