//! The samples of a PromQL query: each is a record with its labels and its `value`.
//!
//! The query is evaluated at the multiples of its step. Where it has no sample, or none that is a finite number, there
//! is no record: a gap stays a gap. A sample stands for the step that begins with it or, with `"at": "end"`, for the one
//! that ends with it: then a bucket is known once its end has come, and not a step later.

mod answer;
mod samples;
mod write;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Map, Value};
use tidewatch_model::units::TimeSpan;

use super::http::{FORM, Http, encoded};
use super::settings::Endpoint;
use super::{Pages, Result, Source, SourceError, Summary, Wanted, Window};
use crate::config::PROMQL;
use answer::Matrix;
use samples::Samples;
pub use write::{RemoteWrite, Written};

/// Points of a series that Prometheus gives in one answer.
const MAX_POINTS: i64 = 11_000;
/// How closely the first data is looked for before it is read.
const CLOSE: i64 = 3_600_000;

/// A server that is asked.
#[derive(Debug)]
pub(crate) struct Prometheus {
    http: Http,
}

/// What one datafeed reads of it.
#[derive(Clone)]
pub(crate) struct Series(Arc<Inner>);

struct Inner {
    server: Arc<Prometheus>,
    wanted: Wanted,
    query: String,
    /// Milliseconds between the samples of a series.
    step: i64,
    /// How many milliseconds before its evaluation a sample counts: what ends with it is before it.
    ahead: i64,
}

/// Times at which a query is evaluated: multiples of the step, both ends included.
#[derive(Debug, Clone, Copy)]
struct Points {
    first: i64,
    last: i64,
    step: i64,
}

impl Prometheus {
    /// # Errors
    /// What is wrong in the settings.
    pub fn new(endpoint: &Endpoint) -> std::result::Result<Self, String> {
        if endpoint.api_key.is_some() {
            return Err("api_key is Elasticsearch's: give bearer_token".to_owned());
        }
        if endpoint.scroll {
            return Err("scroll is Elasticsearch's".to_owned());
        }
        Ok(Self {
            http: Http::new(endpoint)?,
        })
    }

    /// # Errors
    /// Refused where the datafeed asks for what Prometheus hasn't.
    pub fn source(self: &Arc<Self>, wanted: Wanted) -> Result<Series> {
        let refuse = |reason: String| Err(SourceError::refused(400, reason));
        let Some(said) = wanted.query.get(PROMQL) else {
            return refuse("a source of kind [prometheus] is asked a [promql] query".to_owned());
        };
        let others = [
            ("aggregations", wanted.aggregations.is_some()),
            ("script_fields", !wanted.script_fields.is_empty()),
            ("runtime_mappings", !wanted.runtime_mappings.is_empty()),
        ];
        if let Some((name, _)) = others.iter().find(|(_, given)| *given) {
            return refuse(format!("a source of kind [prometheus] has no [{name}]"));
        }
        if wanted.indices.iter().any(|name| name != "*") {
            return refuse(format!(
                "a source of kind [prometheus] has no index [{}]: its datafeeds have [*]",
                wanted.indices.join(",")
            ));
        }
        let step = match said["step"].as_str() {
            None => wanted.bucket_span,
            Some(text) => {
                let step = TimeSpan::parse(text);
                let step = step.map_err(|error| {
                    SourceError::refused(400, format!("[{PROMQL}] [step]: {error}"))
                })?;
                i64::try_from(step.as_duration().as_millis()).unwrap_or(0)
            }
        };
        if step <= 0 || wanted.bucket_span % step != 0 {
            return refuse(format!(
                "[{PROMQL}] [step] [{}] must be a divisor of the bucket_span [{}]",
                said["step"].as_str().unwrap_or_default(),
                TimeSpan::millis(wanted.bucket_span)
            ));
        }
        Ok(Series(Arc::new(Inner {
            query: said["query"].as_str().unwrap_or_default().to_owned(),
            server: self.clone(),
            ahead: i64::from(said["at"] == "end"),
            wanted,
            step,
        })))
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<u8>> {
        let form: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let form = form.join("&").into_bytes();
        let answer = self.http.send(Method::POST, path, FORM, form).await?;
        answer::check(&answer)?;
        Ok(answer.body)
    }

    /// Whether there may be anything at all between two times.
    async fn has_data(&self, window: Window) -> Result<bool> {
        let (start, end) = (seconds(window.start), seconds(window.end));
        let parameters = [("start", start.as_str()), ("end", end.as_str())];
        let body = self.ask("/api/v1/labels", &parameters).await?;
        answer::is_list_of_some(&body)
    }

    /// A time before which there is nothing in a window, if there is anything in it. Nobody asks for each minute
    /// since 1970.
    async fn first_data(&self, window: Window) -> Result<Option<i64>> {
        let (mut none, mut some) = (window.start, window.end);
        if !self.has_data(window).await? {
            return Ok(None);
        }
        while some - none > CLOSE {
            let middle = none + (some - none) / 2;
            let half = Window {
                start: window.start,
                end: middle,
            };
            match self.has_data(half).await? {
                true => some = middle,
                false => none = middle,
            }
        }
        Ok(Some(none))
    }
}

impl Points {
    /// Those within a window.
    fn within(window: Window, step: i64) -> Self {
        Self {
            first: window
                .start
                .saturating_add(step - 1)
                .div_euclid(step)
                .saturating_mul(step),
            last: window
                .end
                .saturating_sub(1)
                .div_euclid(step)
                .saturating_mul(step),
            step,
        }
    }

    fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// The first of them, and the rest.
    fn split(self, count: i64) -> (Self, Self) {
        let last = self
            .first
            .saturating_add((count - 1).saturating_mul(self.step));
        let last = last.min(self.last);
        let rest = Self {
            first: last.saturating_add(self.step),
            ..self
        };
        (Self { last, ..self }, rest)
    }
}

impl Inner {
    async fn range(&self, query: &str, points: Points) -> Result<Vec<u8>> {
        let parameters = [
            ("query", query),
            ("start", &seconds(points.first)),
            ("end", &seconds(points.last)),
            ("step", &seconds(points.step)),
        ];
        self.server.ask("/api/v1/query_range", &parameters).await
    }

    /// The times of a window that are worth asking for.
    async fn points(&self, mut window: Window) -> Result<Points> {
        window.start = window.start.saturating_add(self.ahead);
        window.end = window.end.min(now().saturating_add(self.step));
        window.end = window.end.saturating_add(self.ahead);
        let points = Points::within(window, self.step);
        if points.is_empty() || points.split(MAX_POINTS).1.is_empty() {
            return Ok(points);
        }
        Ok(match self.server.first_data(window).await? {
            Some(start) => Points::within(Window { start, ..window }, self.step),
            None => Points {
                first: 0,
                last: -1,
                step: self.step,
            },
        })
    }

    /// How many samples there are at each time that has any.
    async fn counted(&self, window: Window, mut take: impl FnMut(i64, u64)) -> Result<()> {
        // NaN and the infinities are no values.
        let query = format!("count(((\n{}\n) > -Inf) < Inf)", self.query);
        let mut rest = self.points(window).await?;
        while !rest.is_empty() {
            let (points, after) = rest.split(MAX_POINTS);
            rest = after;
            let body = self.range(&query, points).await?;
            for series in Matrix::read(&body)?.result {
                for sample in &series.values {
                    if let Some(number) = sample.number() {
                        take(sample.time() - self.ahead, number as u64);
                    }
                }
            }
        }
        Ok(())
    }

    async fn summary(&self, window: Window) -> Result<Summary> {
        let mut summary = Summary::default();
        let taken = |time: i64, count: u64| {
            summary.earliest = summary.earliest.or(Some(time));
            summary.latest = Some(time);
            summary.documents += count;
        };
        self.counted(window, taken).await?;
        Ok(summary)
    }

    async fn counts(&self, window: Window, span: i64) -> Result<Vec<(i64, u64)>> {
        let mut counts: Vec<(i64, u64)> = Vec::new();
        let taken = |time: i64, count: u64| {
            let bucket = time.div_euclid(span) * span;
            match counts.last_mut() {
                Some((last, sum)) if *last == bucket => *sum += count,
                _ => counts.push((bucket, count)),
            }
        };
        self.counted(window, taken).await?;
        Ok(counts)
    }

    /// Evaluates the query once: it is one, and gives a vector.
    async fn check(&self) -> Result<()> {
        let parameters = [("query", self.query.as_str())];
        let body = self.server.ask("/api/v1/query", &parameters).await?;
        match answer::kind(&body)?.as_str() {
            "vector" => Ok(()),
            kind => Err(SourceError::refused(
                400,
                format!("[{PROMQL}] [query] must give a vector but gives a [{kind}]"),
            )),
        }
    }
}

impl Series {
    async fn preview(&self, window: Window, size: usize) -> Result<Vec<Map<String, Value>>> {
        let mut samples = Samples::new(self.clone(), window).await?;
        let mut records = Vec::new();
        while records.len() < size
            && let Some(some) = samples.shown().await?
        {
            records.extend(some);
        }
        records.truncate(size);
        Ok(records)
    }
}

impl Source for Series {
    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.check())
    }

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>> {
        Box::pin(self.0.summary(window))
    }

    /// By the answers before. To count the samples of a query costs as much as to ask for them.
    fn paces_itself(&self) -> bool {
        true
    }

    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>> {
        Box::pin(async move {
            let samples = Samples::new(self.clone(), window).await?;
            Ok(Box::new(samples) as Box<dyn Pages>)
        })
    }

    fn counts(&self, window: Window, span: i64) -> BoxFuture<'_, Result<Vec<(i64, u64)>>> {
        Box::pin(self.0.counts(window, span))
    }

    fn preview(
        &self,
        window: Window,
        size: usize,
    ) -> BoxFuture<'_, Result<Vec<Map<String, Value>>>> {
        Box::pin(self.preview(window, size))
    }
}

/// Seconds with three digits behind the point.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests;
