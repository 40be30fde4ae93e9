//! What a request to Prometheus' API asks for.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use chrono::DateTime;

use super::detectors::{parameters, read};
use super::promql::duration;
use super::refused::{Outcome, Refused};
use crate::escape;

/// Points of a series in one answer, as Prometheus has it.
const MAX_POINTS: i64 = 11_000;

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

#[cfg(test)]
mod tests {
    use super::*;

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
