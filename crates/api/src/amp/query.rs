//! The HTTP API of Prometheus over what detectors found.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde_json::{Value, json};

use super::detector::{Found, all, of_workspace};
use super::detectors::{check_workspace, parameters, read};
use super::error::AmpError;
use super::promql::{
    Expression, Labels, Selector, Series, Value as Evaluated, at, duration, parse,
};
use super::series::{NoSeries, load};
use crate::error::json_response;
use crate::{ApiState, escape};

/// Points of a series in one answer, as Prometheus has it.
const MAX_POINTS: i64 = 11_000;

/// A refusal in Prometheus' own envelope.
#[derive(Debug)]
pub enum Refused {
    Told(StatusCode, &'static str, String),
    Service(AmpError),
}

pub type Outcome<T> = Result<T, Refused>;

impl Refused {
    pub fn parameter(name: &str, told: impl std::fmt::Display) -> Self {
        Self::bad(format!("invalid parameter \"{name}\": {told}"))
    }

    pub fn bad(told: String) -> Self {
        Self::Told(StatusCode::BAD_REQUEST, "bad_data", told)
    }

    pub fn execution(told: impl Into<String>) -> Self {
        Self::Told(StatusCode::UNPROCESSABLE_ENTITY, "execution", told.into())
    }
}

impl From<NoSeries> for Refused {
    fn from(why: NoSeries) -> Self {
        match why {
            NoSeries::TooMany => Self::execution(
                "query processing would load too many samples into memory in query execution",
            ),
            NoSeries::Job(error) => {
                Self::Told(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.reason)
            }
        }
    }
}

impl From<AmpError> for Refused {
    fn from(error: AmpError) -> Self {
        Self::Service(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Service(error) => error.into_response(),
            Self::Told(status, kind, told) => {
                let body = json!({"status": "error", "errorType": kind, "error": told});
                json_response(status, body.to_string())
            }
        }
    }
}

pub fn success(data: &Value) -> Response {
    let body = json!({"status": "success", "data": data});
    json_response(StatusCode::OK, body.to_string())
}

/// The parameters of a request: of its query, and of the form that is its body.
pub struct Asked(Vec<(String, String)>);

impl Asked {
    pub async fn read(request: Request) -> Outcome<Self> {
        let mut pairs = parameters(request.uri())?;
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_form = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            let body: Body = request.into_body();
            let body = read(body).await?;
            let text = String::from_utf8_lossy(&body);
            let form = escape::pairs(&text).map_err(|error| Refused::bad(error.0.reason))?;
            // The body's come first.
            pairs.splice(0..0, form);
        }
        Ok(Self(pairs))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be given several times.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn query(&self) -> &str {
        self.get("query").unwrap_or_default()
    }

    pub fn time(&self, name: &str) -> Outcome<Option<i64>> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = || {
            Refused::parameter(
                name,
                format!("cannot parse \"{text}\" to a valid timestamp"),
            )
        };
        // Years that nobody means would not fit into what they are counted in.
        const FARTHEST: f64 = 1e12;
        match text.parse::<f64>() {
            Ok(seconds) if seconds.abs() < FARTHEST => Ok(Some((seconds * 1_000.0).round() as i64)),
            Ok(_) => Err(wrong()),
            Err(_) => match DateTime::parse_from_rfc3339(text) {
                Ok(time) => Ok(Some(time.timestamp_millis())),
                Err(_) => Err(wrong()),
            },
        }
    }

    pub fn range(&self) -> Outcome<Range> {
        let needed = |name: &str, time: Option<i64>| {
            let told = "cannot parse \"\" to a valid timestamp";
            time.ok_or_else(|| Refused::parameter(name, told))
        };
        let start = needed("start", self.time("start")?)?;
        let end = needed("end", self.time("end")?)?;
        if end < start {
            return Err(Refused::parameter(
                "end",
                "end timestamp must not be before start time",
            ));
        }
        let text = self.get("step").unwrap_or_default();
        let step = match text.parse::<f64>() {
            Ok(seconds) => Some((seconds * 1_000.0) as i64),
            Err(_) => duration(text),
        };
        let Some(step) = step else {
            return Err(Refused::parameter(
                "step",
                format!("cannot parse \"{text}\" to a valid duration"),
            ));
        };
        if step <= 0 {
            return Err(Refused::parameter(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        if (end - start) / step >= MAX_POINTS {
            return Err(Refused::bad(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution \
                 (?step=XX)"
                    .to_owned(),
            ));
        }
        Ok(Range { start, end, step })
    }
}

/// When a query is evaluated; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

impl Range {
    pub fn times(self) -> impl Iterator<Item = i64> {
        (0..=(self.end - self.start) / self.step).map(move |n| self.start + n * self.step)
    }
}

/// The detectors of the workspace that a path names, or all.
pub type Workspace = Option<Path<String>>;

pub fn detectors(state: &ApiState, workspace: Workspace) -> Outcome<Vec<Found>> {
    match workspace {
        None => Ok(all(&state.jobs)),
        Some(Path(workspace_id)) => {
            check_workspace(state, &workspace_id)?;
            Ok(of_workspace(&state.jobs, &workspace_id))
        }
    }
}

pub async fn instant(
    State(state): State<ApiState>,
    workspace: Workspace,
    request: Request,
) -> Outcome<Response> {
    let asked = Asked::read(request).await?;
    let time = asked.time("time")?.unwrap_or_else(|| state.jobs.now());
    let expression = parse(asked.query()).map_err(|told| Refused::parameter("query", told))?;
    let detectors = detectors(&state, workspace)?;
    let series = fitting(&state, &detectors, &expression, time, time).await?;
    if let Expression::Selector(Selector { range: Some(_), .. }) = expression {
        let shown = series
            .iter()
            .map(|series| matrix_entry(&series.labels, &series.samples));
        return Ok(success(&json!({
            "resultType": "matrix", "result": shown.collect::<Vec<_>>()
        })));
    }
    Ok(success(&match at(&expression, &series, time) {
        Evaluated::Number(number) => {
            json!({"resultType": "scalar", "result": sample((time, number))})
        }
        Evaluated::Vector(vector) => {
            check_names(&vector)?;
            let shown = vector
                .iter()
                .map(|(labels, value)| json!({"metric": labels, "value": sample((time, *value))}));
            json!({"resultType": "vector", "result": shown.collect::<Vec<_>>()})
        }
    }))
}

pub async fn range(
    State(state): State<ApiState>,
    workspace: Workspace,
    request: Request,
) -> Outcome<Response> {
    let asked = Asked::read(request).await?;
    let range = asked.range()?;
    let expression = parse(asked.query()).map_err(|told| Refused::parameter("query", told))?;
    if let Expression::Selector(Selector { range: Some(_), .. }) = expression {
        return Err(Refused::parameter(
            "query",
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ));
    }
    let detectors = detectors(&state, workspace)?;
    let series = fitting(&state, &detectors, &expression, range.start, range.end).await?;
    Ok(success(&evaluated(&expression, &series, range)?))
}

/// A matrix of the values at all times of a range.
fn evaluated(expression: &Expression, series: &[Series], range: Range) -> Outcome<Value> {
    let mut result: Vec<Value> = Vec::new();
    let matrix = |result: Vec<Value>| Ok(json!({"resultType": "matrix", "result": result}));
    if expression.selector().is_none() {
        let values = range.times().map(|time| {
            let Evaluated::Number(number) = at(expression, &[], time) else {
                return (time, f64::NAN);
            };
            (time, number)
        });
        let values: Vec<(i64, f64)> = values.collect();
        return matrix(vec![matrix_entry(&Labels::new(), &values)]);
    }
    let mut seen = Vec::new();
    // What is asked of one series has nothing to do with the others.
    for one in series.chunks(1) {
        let mut labels = None;
        let mut values = Vec::new();
        for time in range.times() {
            if let Evaluated::Vector(vector) = at(expression, one, time)
                && let Some((found, value)) = vector.into_iter().next()
            {
                labels.get_or_insert(found);
                values.push((time, value));
            }
        }
        if let Some(labels) = labels {
            result.push(matrix_entry(&labels, &values));
            seen.push((labels, 0.0));
        }
    }
    check_names(&seen)?;
    matrix(result)
}

/// Two metrics whose names were taken away may look the same.
fn check_names(vector: &[(Labels, f64)]) -> Outcome<()> {
    let mut labels: Vec<&Labels> = vector.iter().map(|(labels, _)| labels).collect();
    labels.sort_unstable();
    match labels.windows(2).any(|pair| pair[0] == pair[1]) {
        false => Ok(()),
        true => Err(Refused::execution(
            "vector cannot contain metrics with the same labelset",
        )),
    }
}

async fn fitting(
    state: &ApiState,
    detectors: &[Found],
    expression: &Expression,
    start: i64,
    end: i64,
) -> Outcome<Vec<Series>> {
    let Some(selector) = expression.selector() else {
        return Ok(Vec::new());
    };
    let from = start.saturating_sub(expression.look_back());
    Ok(load(&state.jobs, detectors, &[selector], from, end).await?)
}

pub fn matrix_entry(labels: &Labels, samples: &[(i64, f64)]) -> Value {
    let values: Vec<Value> = samples.iter().map(|of| sample(*of)).collect();
    json!({"metric": labels, "values": values})
}

/// Seconds, and the number as text.
fn sample((time, number): (i64, f64)) -> Value {
    let text = match number {
        number if number == f64::INFINITY => "+Inf".to_owned(),
        number if number == f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    };
    match time % 1_000 {
        0 => json!([time / 1_000, text]),
        _ => json!([time as f64 / 1_000.0, text]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_prometheus_does() {
        assert_eq!(sample((1_500, 0.1)).to_string(), r#"[1.5,"0.1"]"#);
        assert_eq!(
            sample((2_000, 1e21)).to_string(),
            r#"[2,"1000000000000000000000"]"#
        );
        let odd = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let odd = odd.map(|number| sample((0, number)).to_string());
        assert_eq!(odd, [r#"[0,"+Inf"]"#, r#"[0,"-Inf"]"#, r#"[0,"NaN"]"#]);
    }

    #[test]
    fn ranges_are_bounded() {
        let range = |start: &str, end: &str, step: &str| {
            let pairs = [("start", start), ("end", end), ("step", step)];
            let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            match Asked(pairs.into()).range() {
                Ok(range) => Ok(range.times().collect::<Vec<_>>()),
                Err(Refused::Told(_, _, told)) => Err(told),
                Err(Refused::Service(error)) => Err(error.message),
            }
        };
        assert_eq!(range("0", "2.5", "1"), Ok(vec![0, 1_000, 2_000]));
        assert_eq!(range("1970-01-01T00:01:00Z", "60", "1m"), Ok(vec![60_000]));
        assert!(
            range("0", "11000", "1")
                .unwrap_err()
                .contains("11,000 points")
        );
        assert!(
            range("1", "0", "1")
                .unwrap_err()
                .contains("must not be before start")
        );
        assert!(
            range("0", "1", "0")
                .unwrap_err()
                .contains("zero or negative")
        );
        assert!(
            range("x", "1", "1")
                .unwrap_err()
                .contains("cannot parse \"x\"")
        );
        assert!(range("1e300", "1", "1").is_err());
        assert!(range("0", "1", "-5m").is_err());
    }
}
