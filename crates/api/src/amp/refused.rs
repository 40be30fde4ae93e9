//! Refusals in Prometheus' own envelope.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::AmpError;
use super::promql::{TIMED_OUT, TOO_MANY};
use super::series::NoSeries;
use crate::error::json_response;

/// What a client of Prometheus is told, or one of the service.
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
        let told = told.into();
        match told == TIMED_OUT {
            true => Self::Told(StatusCode::SERVICE_UNAVAILABLE, "timeout", told),
            false => Self::Told(StatusCode::UNPROCESSABLE_ENTITY, "execution", told),
        }
    }
}

impl From<NoSeries> for Refused {
    fn from(why: NoSeries) -> Self {
        match why {
            NoSeries::TooMany => Self::execution(TOO_MANY),
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
