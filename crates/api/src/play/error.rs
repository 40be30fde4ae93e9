//! Google's error body.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidewatch_jobs::JobError;

use crate::error::ApiError;

#[derive(Debug, Clone, PartialEq)]
pub struct PlayError {
    code: StatusCode,
    /// Google's name of it, as in `google.rpc.Code`.
    status: &'static str,
    pub message: String,
    /// The parameter that is wrong, and in what way.
    violation: Option<(Option<String>, String)>,
}

pub type Result<T> = std::result::Result<T, PlayError>;

impl PlayError {
    fn new(code: StatusCode, status: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            status,
            message: message.into(),
            violation: None,
        }
    }

    fn invalid(field: Option<&str>, message: String, description: String) -> Self {
        Self {
            violation: Some((field.map(str::to_owned), description)),
            ..Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
        }
    }

    /// A parameter whose value can't be.
    pub fn bad(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        let message = format!("Invalid value for {field}: {description}");
        Self::invalid(Some(field), message, description)
    }

    /// A parameter that isn't of its type.
    pub fn mistyped(field: &str, kind: &str, text: &str) -> Self {
        let told = format!("Invalid value at '{field}' ({kind}), \"{text}\"");
        Self::invalid(Some(field), told.clone(), told)
    }

    pub fn unknown_parameter(name: &str) -> Self {
        let told = format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' \
             could not be found in request message."
        );
        Self::invalid(None, told.clone(), told)
    }

    /// A field of a body that Google doesn't know. `path` is empty at the top.
    pub fn unknown_field(name: &str, path: &str) -> Self {
        let (field, place) = match path {
            "" => (None, String::new()),
            path => (Some(path), format!(" at '{path}'")),
        };
        let told = format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
        );
        Self::invalid(field, told.clone(), told)
    }

    /// A body that is no JSON object.
    pub fn unreadable(told: String) -> Self {
        let message = format!("Invalid JSON payload received. {told}");
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message)
    }

    /// A part of an answer that there isn't.
    pub fn selection(what: &str) -> Self {
        let told = format!("Invalid field selection {what}");
        Self::invalid(Some("fields"), told.clone(), told)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    pub fn unimplemented(what: &str) -> Self {
        let message = format!("Operation is not implemented: {what}.");
        Self::new(StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED", message)
    }

    /// On several lines or on one.
    pub fn response(&self, pretty: bool) -> Response {
        response(self.code, &self.body(), pretty)
    }

    fn body(&self) -> Value {
        let mut error = json!({
            "code": self.code.as_u16(), "message": self.message, "status": self.status
        });
        if let Some((field, description)) = &self.violation {
            let mut violation = json!({});
            if let Some(field) = field {
                violation["field"] = field.as_str().into();
            }
            violation["description"] = description.as_str().into();
            error["details"] = json!([{
                "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]
            }]);
        }
        json!({"error": error})
    }
}

impl From<JobError> for PlayError {
    fn from(error: JobError) -> Self {
        match error.status {
            400 | 413 => Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", error.reason),
            404 => Self::not_found(error.reason),
            429 => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "RESOURCE_EXHAUSTED",
                error.reason,
            ),
            503 => Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", error.reason),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.reason),
        }
    }
}

impl From<ApiError> for PlayError {
    fn from(error: ApiError) -> Self {
        error.0.into()
    }
}

/// An answer of Google's, on several lines or on one.
pub fn response(status: StatusCode, value: &Value, pretty: bool) -> Response {
    let text = match pretty {
        true => format!("{value:#}\n"),
        false => value.to_string(),
    };
    let kind = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];
    (status, kind, text).into_response()
}
