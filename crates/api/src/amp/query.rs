//! Queries of Prometheus over what detectors found.

use std::collections::BTreeMap;

use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::asked::{Asked, Range};
use super::detector::{Found, all, of_workspace};
use super::detectors::check_workspace;
use super::error::AmpError;
use super::promql::{Expression, Kind, Labels, Metric, Selector, Series, Sight, Value, parse};
use super::refused::{Outcome, Refused};
use super::series::load;
use super::shown::{Matrix, Shown, success};
use crate::ApiState;

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
    // What is far from small is no work for a thread that others wait for.
    elsewhere(move || {
        if let Expression::Selector(selector @ Selector { range: Some(_), .. }) = &expression {
            let (from, to) = selector.window(time);
            return Ok(success(&Shown::Matrix(raw(series, from, to))));
        }
        let value = Sight::new(&expression, &series).at(&expression, time);
        Ok(success(&match value.map_err(Refused::execution)? {
            Value::Number(number) => Shown::Scalar((time, number)),
            Value::Vector(vector) => {
                let shown = vector.into_iter();
                let shown: Vec<_> = shown
                    .map(|(metric, value)| (metric.labels(), (time, value)))
                    .collect();
                check_names(shown.iter().map(|(labels, _)| labels))?;
                Shown::Vector(shown)
            }
        }))
    })
    .await
}

/// The samples of series themselves, after `from` up to and with `to`.
fn raw(series: Vec<Series>, from: i64, to: i64) -> Matrix {
    let within = |mut samples: Vec<(i64, f64)>| {
        samples.retain(|(time, _)| (from + 1..=to).contains(time));
        samples
    };
    let all = series.into_iter();
    all.map(|series| (series.labels, within(series.samples)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect()
}

pub async fn range(
    State(state): State<ApiState>,
    workspace: Workspace,
    request: Request,
) -> Outcome<Response> {
    let asked = Asked::read(request).await?;
    let range = asked.range()?;
    let expression = parse(asked.query()).map_err(|told| Refused::parameter("query", told))?;
    if expression.kind() == Kind::Matrix {
        return Err(Refused::parameter(
            "query",
            "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ));
    }
    let detectors = detectors(&state, workspace)?;
    let series = fitting(&state, &detectors, &expression, range.start, range.end).await?;
    elsewhere(move || {
        let matrix = evaluated(&expression, &series, range)?;
        Ok(success(&Shown::Matrix(matrix)))
    })
    .await
}

async fn elsewhere(work: impl FnOnce() -> Outcome<Response> + Send + 'static) -> Outcome<Response> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AmpError::internal(error.to_string()))?
}

/// A matrix of the values at all times of a range.
fn evaluated(expression: &Expression, series: &[Series], range: Range) -> Outcome<Matrix> {
    let mut sight = Sight::new(expression, series);
    let mut found: BTreeMap<Metric, Vec<(i64, f64)>> = BTreeMap::new();
    for time in range.times() {
        let value = sight.at(expression, time).map_err(Refused::execution)?;
        let vector = match value {
            Value::Number(number) => vec![(Metric::new(Labels::new()), number)],
            Value::Vector(vector) => vector,
        };
        for (metric, value) in vector {
            let samples = found.entry(metric).or_default();
            if samples.last().is_some_and(|(last, _)| *last == time) {
                return Err(same_labels());
            }
            samples.push((time, value));
        }
    }
    let found = found.into_iter();
    Ok(found
        .map(|(metric, samples)| (metric.labels(), samples))
        .collect())
}

/// Two metrics whose names were taken away may look the same.
fn check_names<'a>(labels: impl Iterator<Item = &'a Labels>) -> Outcome<()> {
    let mut labels: Vec<&Labels> = labels.collect();
    labels.sort_unstable();
    match labels.windows(2).any(|pair| pair[0] == pair[1]) {
        false => Ok(()),
        true => Err(same_labels()),
    }
}

fn same_labels() -> Refused {
    Refused::execution("vector cannot contain metrics with the same labelset")
}

/// The series that an expression sees at some of the times from `start` to `end`.
async fn fitting(
    state: &ApiState,
    detectors: &[Found],
    expression: &Expression,
    start: i64,
    end: i64,
) -> Outcome<Vec<Series>> {
    let selectors = expression.selectors();
    let from = selectors.iter().map(|selector| selector.window(start).0);
    let to = selectors.iter().map(|selector| selector.window(end).1);
    let (Some(from), Some(to)) = (from.min(), to.max()) else {
        return Ok(Vec::new());
    };
    Ok(load(&state.jobs, detectors, &selectors, from, to).await?)
}
