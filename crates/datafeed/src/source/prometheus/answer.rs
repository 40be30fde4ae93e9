//! What Prometheus answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::source::http::Answer;
use crate::source::{Result, SourceError};

#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default, rename = "errorType")]
    kind: String,
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    result_type: String,
}

/// The series of a range of time.
#[derive(Deserialize)]
pub(super) struct Matrix<'a> {
    #[serde(borrow)]
    pub result: Vec<Labelled<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Labelled<'a> {
    #[serde(borrow)]
    pub metric: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow, default)]
    pub values: Vec<Sample<'a>>,
    #[serde(default)]
    histograms: Option<IgnoredAny>,
}

/// Seconds, and a number as text.
#[derive(Deserialize)]
pub(super) struct Sample<'a>(f64, #[serde(borrow)] pub Cow<'a, str>);

impl Sample<'_> {
    /// Epoch milliseconds.
    pub fn time(&self) -> i64 {
        (self.0 * 1000.0).round() as i64
    }

    /// None of what is no finite number.
    pub fn number(&self) -> Option<f64> {
        self.1
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    }
}

/// # Errors
/// Unavailable where it may go better later, Refused where it can't.
pub(super) fn check(answer: &Answer) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let status = answer.status.as_u16();
    let told = serde_json::from_slice::<Refusal>(&answer.body).ok();
    let reason = match &told {
        Some(told) => format!("{}: {}", told.kind, told.error),
        None => {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.trim().chars().take(300).collect();
            format!("{}: {text}", answer.status)
        }
    };
    Err(match status {
        408 | 429 | 499.. => SourceError::Unavailable(format!("{reason} ({status})")),
        401 | 403 => SourceError::Refused {
            status,
            kind: "security_exception",
            reason,
        },
        _ => SourceError::refused(400, reason),
    })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    let envelope: Envelope<T> = serde_json::from_slice(body).map_err(|error| {
        SourceError::Unavailable(format!("the answer can't be understood: {error}"))
    })?;
    // Newer servers have a place of their own for what is only worth knowing.
    let known = |warning: &&String| !warning.starts_with("PromQL info:");
    if let Some(warning) = envelope.warnings.iter().find(known) {
        // A part of the data may be missing, which would look like an anomaly.
        return Err(SourceError::Unavailable(warning.clone()));
    }
    envelope
        .data
        .ok_or_else(|| SourceError::Unavailable("the answer has no data".to_owned()))
}

impl<'a> Matrix<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self> {
        let matrix: Self = read(body)?;
        match matrix
            .result
            .iter()
            .any(|series| series.histograms.is_some())
        {
            false => Ok(matrix),
            true => Err(SourceError::refused(
                400,
                "native histograms are no numbers: ask for [histogram_quantile], [histogram_sum] or \
                 [histogram_count] of them",
            )),
        }
    }
}

/// The type of a query's result: `vector`, `scalar`..
pub(super) fn kind(body: &[u8]) -> Result<String> {
    Ok(read::<Typed>(body)?.result_type)
}

pub(super) fn is_list_of_some(body: &[u8]) -> Result<bool> {
    Ok(!read::<Vec<IgnoredAny>>(body)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    #[test]
    fn what_is_left_out_is_an_error() {
        let body = |more: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{more}]}}"#)
        };
        let warned = body("")
            + r#","warnings":["PromQL info: metric might not be a counter","store x is away"]}"#;
        assert_eq!(
            Matrix::read(warned.as_bytes()).err(),
            Some(SourceError::Unavailable("store x is away".to_owned()))
        );
        let told = body("")
            + r#","warnings":["PromQL info: metric might not be a counter"],"infos":["x"]}"#;
        assert!(Matrix::read(told.as_bytes()).is_ok());
        let histogram = body(r#"{"metric":{"a":"\u00e9"},"histograms":[[1,{}]]}"#) + "}";
        assert!(matches!(
            Matrix::read(histogram.as_bytes()),
            Err(SourceError::Refused { .. })
        ));
        let plain =
            body(r#"{"metric":{"a":"\u00e9"},"values":[[1.5,"2"],[2,"NaN"],[3,"+Inf"]]}"#) + "}";
        let matrix = Matrix::read(plain.as_bytes()).unwrap();
        let values = matrix.result[0].values.iter();
        let read: Vec<_> = values
            .map(|sample| (sample.time(), sample.number()))
            .collect();
        assert_eq!(read, [(1500, Some(2.0)), (2000, None), (3000, None)]);
    }

    #[test]
    fn errors_are_told_apart() {
        let answer = |status: u16, body: &str| {
            check(&Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body: body.as_bytes().to_vec(),
            })
            .unwrap_err()
        };
        let bad = r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected end"}"#;
        let reason = "bad_data: 1:3: parse error: unexpected end";
        assert_eq!(answer(400, bad), SourceError::refused(400, reason));
        let busy = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        assert_eq!(
            answer(503, busy),
            SourceError::Unavailable("timeout: query timed out (503)".to_owned())
        );
        let login = answer(401, "Unauthorized\n");
        assert!(matches!(
            login,
            SourceError::Refused {
                status: 401,
                kind: "security_exception",
                ..
            }
        ));
    }
}
