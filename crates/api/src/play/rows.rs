//! `apps/{app}/{metricSet}:query`: the values that jobs watch.

use chrono::NaiveDate;
use serde_json::{Value, json};
use tidewatch_jobs::play::{MetricSet, Period, Row, RowSpot, RowsAsked};

use super::error::{PlayError, Result};
use super::message::Message;
use super::request::{held, page_size, token};
use super::values::{
    DATE_TIME, DIMENSION, LOS_ANGELES, METRIC, UTC, date_time, decimal, dimension, period,
};
use super::{apps, condition};
use crate::ApiState;

/// What an answer can have.
pub fn shape() -> String {
    format!(
        "rows(aggregationPeriod,startTime({DATE_TIME}),dimensions({DIMENSION}),metrics({METRIC})),nextPageToken"
    )
}

const USUAL: usize = 1_000;
const MOST: usize = 10_000;
const PACKAGE: &str = "type.googleapis.com/google.play.developer.reporting.v1beta1";

pub async fn query(state: &ApiState, app: &str, set: &MetricSet, body: &[u8]) -> Result<Value> {
    let mut message = Message::parse(body)?;
    let metrics = message.texts("metrics")?;
    let dimensions = message.texts("dimensions")?;
    let filter = message.text("filter", "TYPE_STRING")?.unwrap_or_default();
    let (period, start, end) = timeline(message.message("timeline_spec")?)?;
    let most = match message.int("page_size")? {
        Some(size) => page_size(size, USUAL, MOST)?,
        None => USUAL,
    };
    if set.has_cohorts() {
        cohort(&mut message)?;
    }
    let page_token = message.text("page_token", "TYPE_STRING")?;
    message.finish()?;
    if let Some(unknown) = metrics.iter().find(|m| !set.metrics.contains(&m.as_str())) {
        return Err(PlayError::bad(
            "metrics",
            format!(
                "unknown metric {unknown} of {}, expected one of {}",
                set.name,
                set.metrics.join(", ")
            ),
        ));
    }
    apps::check(state, app)?;
    let asked = RowsAsked {
        app: app.to_owned(),
        metric_set: set.name.to_owned(),
        condition: condition::parse(&filter)?,
        metrics,
        dimensions,
        period,
        start,
        end,
        most,
        after: None,
    };
    let request = json!([
        set.name,
        app,
        asked.metrics,
        asked.dimensions,
        filter,
        self::period(period),
        start,
        end,
        most
    ]);
    let asked = RowsAsked {
        after: held::<RowSpot>(page_token, &request)?,
        ..asked
    };
    let found = state.jobs.play_rows(&asked).await?;
    let mut answer = json!({});
    let last = found.rows.last().filter(|_| found.is_more);
    if let Some(token) = last.and_then(|last| token(&request, &last.spot)) {
        answer["nextPageToken"] = token.into();
    }
    let rows: Vec<Value> = found
        .rows
        .iter()
        .filter_map(|row| resource(row, &asked))
        .collect();
    if !rows.is_empty() {
        answer["rows"] = rows.into();
    }
    Ok(answer)
}

/// Refuses users that jobs can't tell from others.
fn cohort(message: &mut Message) -> Result<()> {
    let kind = format!("{PACKAGE}.UserCohort");
    match message.text("user_cohort", &kind)?.as_deref() {
        None | Some("USER_COHORT_UNSPECIFIED" | "OS_PUBLIC") => Ok(()),
        Some(other @ ("OS_BETA" | "APP_TESTERS")) => Err(PlayError::bad(
            "user_cohort",
            format!("{other} is not supported: jobs know no cohorts"),
        )),
        Some(other) => Err(PlayError::mistyped("user_cohort", &kind, other)),
    }
}

/// The aggregation period, days where it isn't told, the first moment and the end.
pub fn timeline(message: Option<Message>) -> Result<(Period, Option<i64>, Option<i64>)> {
    let Some(mut message) = message else {
        return Ok((Period::Daily, None, None));
    };
    let kind = format!("{PACKAGE}.AggregationPeriod");
    let period = match message.text("aggregation_period", &kind)?.as_deref() {
        None | Some("AGGREGATION_PERIOD_UNSPECIFIED" | "DAILY") => Period::Daily,
        Some("HOURLY") => Period::Hourly,
        Some("FULL_RANGE") => {
            return Err(PlayError::bad(
                &message.path("aggregation_period"),
                "FULL_RANGE is not supported by any metric set",
            ));
        }
        Some(other) => {
            let path = message.path("aggregation_period");
            return Err(PlayError::mistyped(&path, &kind, other));
        }
    };
    let start = message.message("start_time")?;
    let start = start.map(|start| moment(start, period)).transpose()?;
    let end = message.message("end_time")?;
    let end = end.map(|end| moment(end, period)).transpose()?;
    if start.zip(end).is_some_and(|(start, end)| start >= end) {
        return Err(PlayError::bad(
            &message.path("start_time"),
            "it must be before the end time",
        ));
    }
    message.finish()?;
    Ok((period, start, end))
}

/// A moment of the timeline, from a `google.type.DateTime` that is aligned to it.
fn moment(mut message: Message, period: Period) -> Result<i64> {
    let path = message.path("");
    let path = path.trim_end_matches('.');
    let refused = |told: String| Err(PlayError::bad(path, told));
    let mut part = |name: &str| Ok::<i32, PlayError>(message.int(name)?.unwrap_or_default());
    let date = [part("year")?, part("month")?, part("day")?];
    let hours = part("hours")?;
    let finer = [part("minutes")?, part("seconds")?, part("nanos")?];
    if finer != [0; 3] {
        return refused("minutes, seconds and nanos must be unset".to_owned());
    }
    let zone = match period {
        Period::Daily => LOS_ANGELES,
        Period::Hourly => UTC,
    };
    if period == Period::Daily && hours != 0 {
        return refused("hours must be unset for days".to_owned());
    }
    let offset = message.text("utc_offset", "type.googleapis.com/google.protobuf.Duration")?;
    if offset.is_some_and(|offset| period == Period::Daily || offset != "0s") {
        return refused(format!("utc_offset must be unset: the time zone is {zone}"));
    }
    if let Some(mut told) = message.message("time_zone")? {
        let id = told.text("id", "TYPE_STRING")?;
        told.text("version", "TYPE_STRING")?;
        told.finish()?;
        if let Some(id) = id.filter(|id| id != zone) {
            return refused(format!("time zone {id} is not supported, only {zone}"));
        }
    }
    message.finish()?;
    let [year, month, day] = date;
    let small = |part: i32| u32::try_from(part).unwrap_or_default();
    let date = NaiveDate::from_ymd_opt(year, small(month), small(day));
    let time = date.filter(|_| (1..=9_999).contains(&year));
    let time = time.and_then(|date| date.and_hms_opt(u32::try_from(hours).ok()?, 0, 0));
    match time {
        Some(time) => Ok(time.and_utc().timestamp_millis()),
        None => refused(format!("{year}-{month}-{day} {hours}h is no time")),
    }
}

/// None where a time isn't of the years that Google's dates have.
fn resource(row: &Row, asked: &RowsAsked) -> Option<Value> {
    let mut resource = json!({
        "aggregationPeriod": period(asked.period),
        "startTime": date_time(row.spot.point, asked.period)?,
    });
    if !asked.dimensions.is_empty() {
        let dimensions = asked.dimensions.iter().zip(&row.spot.values);
        resource["dimensions"] = dimensions
            .map(|(name, value)| dimension(name, value))
            .collect();
    }
    let metrics: Vec<&String> = match asked.metrics.is_empty() {
        true => row.metrics.keys().collect(),
        false => asked.metrics.iter().collect(),
    };
    let metrics = metrics.into_iter().filter_map(|name| {
        let value = row.metrics.get(name)?;
        Some(json!({"metric": name, "decimalValue": decimal(*value)}))
    });
    resource["metrics"] = metrics.collect();
    Some(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timelines_are_read_or_refused() {
        let read = |spec: Value| {
            let mut body = Message::parse(json!({"timelineSpec": spec}).to_string().as_bytes())
                .expect("an object");
            let spec = body.message("timeline_spec").expect("an object");
            timeline(spec).map_err(|error| error.message)
        };
        let day = |day: i32| json!({"year": 2021, "month": 3, "day": day});
        let at = |text: &str| {
            let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
            Some(time.timestamp_millis())
        };
        let mut here = day(14);
        here["timeZone"] = json!({"id": "America/Los_Angeles"});
        assert_eq!(
            read(json!({"aggregationPeriod": "DAILY", "startTime": here, "endTime": day(15)})),
            Ok((
                Period::Daily,
                at("2021-03-14T00:00:00Z"),
                at("2021-03-15T00:00:00Z")
            ))
        );
        let hour = |more: Value| {
            let mut hour = day(14);
            for (name, value) in more.as_object().expect("an object") {
                hour[name] = value.clone();
            }
            read(json!({"aggregation_period": "HOURLY", "startTime": hour}))
        };
        let three = json!({"hours": 3, "timeZone": {"id": "UTC"}, "utcOffset": "0s", "minutes": 0});
        assert_eq!(
            hour(three),
            Ok((Period::Hourly, at("2021-03-14T03:00:00Z"), None))
        );
        for (more, told) in [
            (
                json!({"minutes": 1}),
                "minutes, seconds and nanos must be unset",
            ),
            (
                json!({"timeZone": {"id": "Europe/Rome"}}),
                "time zone Europe/Rome is not supported, only UTC",
            ),
            (
                json!({"utcOffset": "3600s"}),
                "utc_offset must be unset: the time zone is UTC",
            ),
            (json!({"day": 32}), "2021-3-32 0h is no time"),
            (json!({"hours": 24}), "2021-3-14 24h is no time"),
            (json!({"month": -1}), "2021--1-14 0h is no time"),
        ] {
            let told = format!("Invalid value for timeline_spec.start_time: {told}");
            assert_eq!(hour(more), Err(told));
        }
        for (spec, told) in [
            (
                json!({"aggregationPeriod": "FULL_RANGE"}),
                "Invalid value for timeline_spec.aggregation_period: FULL_RANGE is not supported by any metric set",
            ),
            (
                json!({"aggregationPeriod": "YEARLY"}),
                "Invalid value at 'timeline_spec.aggregation_period' \
                 (type.googleapis.com/google.play.developer.reporting.v1beta1.AggregationPeriod), \"YEARLY\"",
            ),
            (
                json!({"startTime": day(15), "endTime": day(15)}),
                "Invalid value for timeline_spec.start_time: it must be before the end time",
            ),
            (
                json!({"startTime": {"hours": 1, "year": 2021, "month": 1, "day": 1}}),
                "Invalid value for timeline_spec.start_time: hours must be unset for days",
            ),
        ] {
            assert_eq!(read(spec), Err(told.to_owned()));
        }
    }
}
