//! Refusals, as the service gives them: the name in a header, the rest in the body.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;

use crate::error::json_response;

pub type Result<T> = std::result::Result<T, AmpError>;

/// The type of detectors in errors.
pub const DETECTOR: &str = "AnomalyDetector";
/// The type of workspaces in errors.
pub const WORKSPACE: &str = "Workspace";
/// The service's code, where quotas are told.
const SERVICE: &str = "aps";
/// Seconds after which it is worth trying again.
const RETRY_AFTER: u32 = 2;

#[derive(Debug, Clone, PartialEq)]
pub struct AmpError {
    pub status: StatusCode,
    /// The name of the exception, as clients know it.
    pub kind: &'static str,
    pub message: String,
    /// What stands beside the message.
    more: Map<String, Value>,
    retry: bool,
}

/// A part of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongField {
    /// Where it stands, as `configuration.randomCutForest.query`.
    pub name: String,
    pub message: String,
}

impl AmpError {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            more: Map::new(),
            retry: false,
        }
    }

    fn with(mut self, more: Value) -> Self {
        if let Value::Object(more) = more {
            self.more = more;
        }
        self
    }

    fn invalid(reason: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
            .with(json!({"reason": reason}))
    }

    /// Fields against which something is to be said; there is at least one.
    pub fn fields(wrong: &[WrongField]) -> Self {
        let told = wrong.iter().map(|field| {
            format!(
                "Value at '{}' failed to satisfy constraint: {}",
                field.name, field.message
            )
        });
        let told: Vec<String> = told.collect();
        let (count, s) = (wrong.len(), if wrong.len() == 1 { "" } else { "s" });
        let list = wrong
            .iter()
            .map(|field| json!({"name": field.name, "message": field.message}));
        let list: Vec<Value> = list.collect();
        let message = format!("{count} validation error{s} detected: {}", told.join("; "));
        Self::invalid("FIELD_VALIDATION_FAILED", message)
            .with(json!({"reason": "FIELD_VALIDATION_FAILED", "fieldList": list}))
    }

    /// One field.
    pub fn field(name: &str, message: impl Into<String>) -> Self {
        Self::fields(&[WrongField {
            name: name.to_owned(),
            message: message.into(),
        }])
    }

    pub fn unparsable(message: impl Into<String>) -> Self {
        Self::invalid("CANNOT_PARSE", message)
    }

    /// What is no part of a request, and yet stands in its way.
    pub fn other(message: impl Into<String>) -> Self {
        Self::invalid("OTHER", message)
    }

    pub fn unknown_operation() -> Self {
        Self::invalid(
            "UNKNOWN_OPERATION",
            "This operation of the service is not supported here",
        )
    }

    pub fn not_found(kind: &str, id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            format!("{kind} not found: {id}"),
        )
        .with(json!({"resourceId": id, "resourceType": kind}))
    }

    pub fn conflict(id: &str, message: impl Into<String>) -> Self {
        Self::conflict_of(DETECTOR, id, message)
    }

    pub fn conflict_of(kind: &str, id: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictException", message)
            .with(json!({"resourceId": id, "resourceType": kind}))
    }

    /// A token of a client that was used before. `id`: for which detector.
    pub fn token(id: &str) -> Self {
        Self::conflict(
            id,
            "The client token was used for a request with other parameters",
        )
    }

    /// `id`: of the workspace whose quota it is.
    pub fn quota(id: &str, quota: &str, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYMENT_REQUIRED,
            "ServiceQuotaExceededException",
            message,
        )
        .with(json!({
            "resourceId": id, "resourceType": WORKSPACE, "serviceCode": SERVICE, "quotaCode": quota
        }))
    }

    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// It may go better later.
    pub fn throttled(message: impl Into<String>) -> Self {
        let kind = "ThrottlingException";
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, kind, message);
        Self {
            retry: true,
            ..error.with(json!({"serviceCode": SERVICE}))
        }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        let kind = "InternalServerException";
        Self {
            retry: true,
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, message)
        }
    }

    /// What jobs refuse to do for a detector.
    pub fn of_job(error: JobError, detector_id: &str) -> Self {
        let mut reason = error.reason;
        if let Some(cause) = error.cause {
            reason = format!("{reason}: {}", cause.reason);
        }
        match error.status {
            404 => Self::not_found(DETECTOR, detector_id),
            409 => Self::conflict(detector_id, reason),
            408 | 429 | 503 => Self::throttled(reason),
            400..500 => Self::other(reason),
            _ => Self::internal(reason),
        }
    }
}

impl From<tidewatch_store::StoreError> for AmpError {
    fn from(error: tidewatch_store::StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

impl IntoResponse for AmpError {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("message".to_owned(), self.message.into());
        body.extend(self.more);
        let mut response = json_response(self.status, Value::Object(body).to_string());
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(self.kind));
        if self.retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jobs_refuse_has_the_name_that_clients_know() {
        let kinds = [400, 404, 409, 429, 503, 500].map(|status| {
            let error = JobError::new(status, "x", "because");
            let error = AmpError::of_job(error, "ad-1");
            let response = error.clone().into_response();
            let retry = response.headers().contains_key(header::RETRY_AFTER);
            (error.status.as_u16(), error.kind, retry)
        });
        assert_eq!(
            kinds,
            [
                (400, "ValidationException", false),
                (404, "ResourceNotFoundException", false),
                (409, "ConflictException", false),
                (429, "ThrottlingException", true),
                (429, "ThrottlingException", true),
                (500, "InternalServerException", true),
            ]
        );
    }

    #[test]
    fn all_wrong_fields_are_told() {
        let field = |name: &str| WrongField {
            name: name.to_owned(),
            message: "Member must not be null".to_owned(),
        };
        let error = AmpError::fields(&[field("alias"), field("configuration")]);
        assert!(
            error
                .message
                .starts_with("2 validation errors detected: Value at 'alias'")
        );
        assert_eq!(error.more["fieldList"][1]["name"], "configuration");
        assert_eq!(error.more["reason"], "FIELD_VALIDATION_FAILED");
    }
}
