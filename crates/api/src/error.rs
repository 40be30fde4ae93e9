//! Elasticsearch's error envelope.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidewatch_jobs::JobError;

/// An error as the wire has it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ApiError(pub JobError);

pub type Result<T> = std::result::Result<T, ApiError>;

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        Self(error)
    }
}

impl ApiError {
    pub fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self(JobError {
            status: status.as_u16(),
            kind,
            reason: reason.into(),
            cause: None,
        })
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self(JobError::illegal_argument(reason))
    }

    /// A parameter that is no number, where Elasticsearch tells just that.
    pub fn number_format(text: &str) -> Self {
        let reason = match text {
            "" => "empty String".to_owned(),
            text => format!("For input string: \"{text}\""),
        };
        Self::new(StatusCode::BAD_REQUEST, "number_format_exception", reason)
    }

    /// A request that is wrong as a whole, whoever it is for.
    pub fn invalid(reason: &str) -> Self {
        let reason = format!("Validation Failed: 1: {reason};");
        Self::new(StatusCode::BAD_REQUEST, "validation_exception", reason)
    }

    pub fn parse(reason: impl Into<String>) -> Self {
        Self(JobError::parse(reason))
    }
}

/// An error without its cause. Of an index that isn't there, its name is told on its own.
fn brief(error: &JobError) -> Value {
    let mut brief = json!({"type": error.kind, "reason": error.reason});
    let name = error.reason.strip_prefix("no such index [");
    if let Some(name) = name.and_then(|name| name.strip_suffix(']')) {
        brief["resource.type"] = "index_or_alias".into();
        brief["resource.id"] = name.into();
        brief["index_uuid"] = "_na_".into();
        brief["index"] = name.into();
    }
    brief
}

/// An error as it stands within an answer.
pub fn details(error: &JobError) -> Value {
    let mut details = brief(error);
    if let Some(cause) = &error.cause {
        details["caused_by"] = self::details(cause);
    }
    details
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let status =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut envelope = json!({"root_cause": [brief(&error)]});
        if let (Value::Object(envelope), Value::Object(details)) = (&mut envelope, details(&error))
        {
            envelope.extend(details);
        }
        json_response(
            status,
            json!({"error": envelope, "status": status.as_u16()}).to_string(),
        )
    }
}

/// A response of JSON text.
pub fn json_response(status: StatusCode, body: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    (status, headers, body).into_response()
}

/// An error in the short form that Elasticsearch has for requests that reach no handler.
pub fn plain(status: StatusCode, text: String) -> Response {
    json_response(
        status,
        json!({"error": text, "status": status.as_u16()}).to_string(),
    )
}
