//! Answers to queries as Prometheus writes them.

use axum::http::StatusCode;
use axum::response::Response;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::promql::Labels;
use crate::error::json_response;

/// Epoch milliseconds and a value.
type Sample = (i64, f64);

/// Series with their samples.
pub type Matrix = Vec<(Labels, Vec<Sample>)>;

/// What a query came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Scalar(Sample),
    Vector(Vec<(Labels, Sample)>),
    Matrix(Matrix),
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    status: &'static str,
    data: &'a T,
}

pub fn success<T: Serialize>(data: &T) -> Response {
    let status = "success";
    let body = serde_json::to_string(&Envelope { status, data });
    // Texts and numbers can always be written.
    json_response(StatusCode::OK, body.unwrap_or_default())
}

/// A sample on the wire: seconds, and the number as text.
struct Written(Sample);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self((time, number)) = *self;
        let text = match number {
            number if number == f64::INFINITY => "+Inf".to_owned(),
            number if number == f64::NEG_INFINITY => "-Inf".to_owned(),
            number => number.to_string(),
        };
        match time % 1_000 {
            0 => (time / 1_000, text).serialize(to),
            _ => (time as f64 / 1_000.0, text).serialize(to),
        }
    }
}

#[derive(Serialize)]
struct One<'a> {
    metric: &'a Labels,
    value: Written,
}

#[derive(Serialize)]
struct Many<'a> {
    metric: &'a Labels,
    values: Vec<Written>,
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut data = to.serialize_map(Some(2))?;
        match self {
            Self::Scalar(sample) => {
                data.serialize_entry("resultType", "scalar")?;
                data.serialize_entry("result", &Written(*sample))?;
            }
            Self::Vector(vector) => {
                let each = vector.iter().map(|(metric, sample)| One {
                    metric,
                    value: Written(*sample),
                });
                data.serialize_entry("resultType", "vector")?;
                data.serialize_entry("result", &each.collect::<Vec<_>>())?;
            }
            Self::Matrix(matrix) => {
                let each = matrix.iter().map(|(metric, samples)| Many {
                    metric,
                    values: samples.iter().map(|sample| Written(*sample)).collect(),
                });
                data.serialize_entry("resultType", "matrix")?;
                data.serialize_entry("result", &each.collect::<Vec<_>>())?;
            }
        }
        data.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_as_prometheus_does() {
        let sample = |of: Sample| serde_json::to_string(&Written(of)).unwrap();
        assert_eq!(sample((1_500, 0.1)), r#"[1.5,"0.1"]"#);
        assert_eq!(sample((2_000, 1e21)), r#"[2,"1000000000000000000000"]"#);
        let odd = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let odd = odd.map(|number| sample((0, number)));
        assert_eq!(odd, [r#"[0,"+Inf"]"#, r#"[0,"-Inf"]"#, r#"[0,"NaN"]"#]);
    }
}
