//! Elasticsearch's error envelope.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tidewatch_jobs::{About, JobError};
use tidewatch_store::index::IndexError;

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

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        Self(error.into())
    }
}

impl ApiError {
    pub fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self(JobError::new(status.as_u16(), kind, reason))
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self(JobError::illegal_argument(reason))
    }

    /// A parameter or value that is no truth.
    pub fn no_bool(text: &str) -> Self {
        Self::illegal_argument(format!(
            "Failed to parse value [{text}] as only [true] or [false] are allowed."
        ))
    }

    /// A parameter that is no number, where Elasticsearch tells just that.
    pub fn number_format(text: &str) -> Self {
        let reason = match text {
            "" => "empty String".to_owned(),
            text => format!("For input string: \"{text}\""),
        };
        Self::new(StatusCode::BAD_REQUEST, "number_format_exception", reason)
    }

    /// A URI that can't be read.
    pub fn bad_parameter(reason: &str) -> Self {
        let cause = JobError::illegal_argument(reason);
        let error = Self::new(StatusCode::BAD_REQUEST, "bad_parameter_exception", reason);
        Self(error.0.because(cause))
    }

    /// A request that is wrong as a whole, whoever it is for.
    pub fn invalid(reason: &str) -> Self {
        let reason = format!("Validation Failed: 1: {reason};");
        Self::new(StatusCode::BAD_REQUEST, "validation_exception", reason)
    }

    pub fn parse(reason: impl Into<String>) -> Self {
        Self(JobError::parse(reason))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// `error` and `status`, as an answer has them.
    pub fn envelope(&self) -> Value {
        let mut envelope = json!({"root_cause": [brief(root(&self.0))]});
        if let (Value::Object(envelope), Value::Object(details)) = (&mut envelope, details(&self.0))
        {
            envelope.extend(details);
        }
        json!({"error": envelope, "status": self.status().as_u16()})
    }
}

/// Exceptions of Java's or of a library, not of Elasticsearch's own kind: they are not told as the root of a failure.
const FOREIGN: [&str; 8] = [
    "illegal_argument_exception",
    "x_content_parse_exception",
    "json_parse_exception",
    "number_format_exception",
    "validation_exception",
    "action_request_validation_exception",
    "media_type_header_exception",
    "bad_parameter_exception",
];

/// The error that Elasticsearch takes for the root: the last of its own kind, or of parsing.
fn root(error: &JobError) -> &JobError {
    let parsing = |error: &JobError| error.kind == "x_content_parse_exception";
    let own = |error: &JobError| !FOREIGN.contains(&error.kind);
    match &error.cause {
        // What went wrong in a shard, whatever it is.
        Some(cause) if error.kind == "search_phase_execution_exception" => root(cause),
        Some(cause) if own(cause) && (own(error) || parsing(error)) => root(cause),
        Some(cause) if parsing(cause) && parsing(error) => root(cause),
        _ => error,
    }
}

/// An error without its cause. What it is about is told on its own.
fn brief(error: &JobError) -> Value {
    let mut brief = Map::from_iter([
        ("type".to_owned(), error.kind.into()),
        ("reason".to_owned(), error.reason.as_str().into()),
    ]);
    let mut tell = |field: &str, value: &str| brief.insert(field.to_owned(), value.into());
    match error.about.as_deref() {
        None => {}
        Some(About::Script(place)) => brief.extend(place.to_json()),
        Some(About::Index { name, uuid }) => {
            if error.kind == "index_not_found_exception" {
                tell("resource.type", "index_or_alias");
                tell("resource.id", name);
            }
            tell("index_uuid", uuid);
            if OF_A_SHARD.contains(&error.kind) {
                tell("shard", "0");
            }
            tell("index", name);
        }
    }
    brief.into()
}

/// Errors about a document, which is in the only shard of its index.
const OF_A_SHARD: [&str; 2] = [
    "version_conflict_engine_exception",
    "document_missing_exception",
];

/// An error as it stands within an answer.
pub fn details(error: &JobError) -> Value {
    let mut details = brief(error);
    if let Some(cause) = &error.cause {
        if error.kind == "search_phase_execution_exception" {
            let index = match cause.about.as_deref() {
                Some(About::Index { name, .. }) => Some(name),
                _ => None,
            };
            let shard = if index.is_some() { 0 } else { -1 };
            details["phase"] = "query".into();
            details["grouped"] = true.into();
            details["failed_shards"] =
                json!([{"shard": shard, "index": index, "reason": self::details(cause)}]);
        }
        details["caused_by"] = self::details(cause);
    }
    details
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        json_response(self.status(), self.envelope().to_string())
    }
}

/// `error_trace`: what stands for the stack of calls in an answer is the chain of causes.
pub fn add_trace(answer: &mut Value) {
    if let Some(error @ Value::Object(_)) = answer.get_mut("error") {
        for root in error["root_cause"].as_array_mut().into_iter().flatten() {
            root["stack_trace"] = trace(root).into();
        }
        let mut next = Some(error);
        while let Some(error @ Value::Object(_)) = next {
            error["stack_trace"] = trace(error).into();
            next = error.get_mut("caused_by");
        }
    }
}

fn trace(error: &Value) -> String {
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let told = format!("{}: {}", text("type"), text("reason"));
    match error.get("caused_by") {
        Some(cause) => format!("{told}\nCaused by: {}", trace(cause)),
        None => told,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: &'static str, reason: &str) -> JobError {
        ApiError::new(StatusCode::BAD_REQUEST, kind, reason).0
    }

    #[test]
    fn the_root_is_the_last_of_elasticsearchs_own() {
        let parsing = |reason| error("x_content_parse_exception", reason);
        let chain = parsing("a").because(parsing("b").because(error("status_exception", "c")));
        assert_eq!(root(&chain).reason, "c");
        let chain =
            parsing("a").because(parsing("b").because(error("illegal_argument_exception", "c")));
        assert_eq!(root(&chain).reason, "b");
        let chain = error("parse_exception", "a").because(error("parse_exception", "b"));
        assert_eq!(root(&chain).reason, "b");
        let chain = error("illegal_argument_exception", "a").because(error("parse_exception", "b"));
        assert_eq!(root(&chain).reason, "a");
    }

    #[test]
    fn traces_stand_at_each_error() {
        let mut answer = json!({"error": {
            "root_cause": [{"type": "r", "reason": "s"}], "type": "a", "reason": "b",
            "caused_by": {"type": "c", "reason": "d"}
        }, "status": 400});
        add_trace(&mut answer);
        assert_eq!(answer["error"]["root_cause"][0]["stack_trace"], "r: s");
        assert_eq!(answer["error"]["stack_trace"], "a: b\nCaused by: c: d");
        assert_eq!(answer["error"]["caused_by"]["stack_trace"], "c: d");
    }
}
