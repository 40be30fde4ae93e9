//! Request bodies: read within limits, parsed strictly, refused with Elasticsearch's chain of parse errors.

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tidewatch_jobs::JobError;
use tidewatch_model::units::UNNAMED;

use crate::content::{Content, Failure};
use crate::error::{ApiError, Result};
use crate::token::{Kind, Place, Tokens};

/// Bytes of a body that is read as a whole.
const MAX_BODY: usize = 10 << 20;

pub async fn read(body: Body) -> Result<Bytes> {
    read_up_to(body, MAX_BODY).await
}

/// A body of at most so many bytes.
pub async fn read_up_to(body: Body, most: usize) -> Result<Bytes> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut stream = body.into_data_stream();
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::parse(format!("the request body could not be read: {error}"))
        })?;
        length += chunk.len();
        if length > most {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "illegal_argument_exception",
                format!("entity content is too long; at most [{most}] bytes are taken"),
            ));
        }
        if length == chunk.len() {
            first = chunk;
        } else {
            if whole.is_empty() {
                whole.reserve(announced.min(most));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&chunk);
        }
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// Parses a body as the named parser of Elasticsearch would.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], parser: &'static str) -> Result<T> {
    let read = || {
        let mut tokens = Tokens::new(bytes)?;
        if tokens.kind != Kind::StartObject {
            let (at, kind) = (tokens.place(), tokens.kind.name());
            let reason = format!("{at} [{parser}] Expected START_OBJECT but was: {kind}");
            return Err(Failure::told(x_content(reason)));
        }
        let value = T::deserialize(Content {
            tokens: &mut tokens,
            parser,
            root: parser,
        })?;
        tokens.advance()?;
        Ok(value)
    };
    read().map_err(|failure| match failure {
        Failure::Told(error) => ApiError(*error),
        failure => ApiError::illegal_argument(failure.to_string()),
    })
}

/// A body whose fields are looked at one by one.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let told = error.to_string();
        let told = told
            .rsplit_once(" at line ")
            .map_or(told.as_str(), |(told, _)| told);
        let (line, column) = (error.line(), error.column());
        let cause = JobError {
            kind: "json_parse_exception",
            ..JobError::illegal_argument(told)
        };
        ApiError(x_content(format!("[{line}:{column}] {told}")).because(cause))
    })
}

/// For fields that are true where they are left out.
pub const fn yes() -> bool {
    true
}

/// What serde says, as the exception that it was before serde made text of it.
pub fn cause(text: &str) -> JobError {
    JobError::from_carried(text).unwrap_or_else(|| JobError::illegal_argument(text))
}

/// A refusal of a value, with the name of its field where that is to be told.
pub fn of_field(mut error: JobError, name: &str) -> JobError {
    error.reason = error.reason.replacen(
        &format!("setting {UNNAMED}"),
        &format!("setting [{name}]"),
        1,
    );
    error
}

/// The refusal of text that is no JSON.
pub fn malformed(at: Place, told: &str) -> JobError {
    x_content(format!("{at} {told}")).because(JobError {
        kind: "json_parse_exception",
        ..JobError::illegal_argument(told)
    })
}

pub fn x_content(reason: String) -> JobError {
    JobError::new(400, "x_content_parse_exception", reason)
}

/// The name that Elasticsearch gives the parser of a field's object.
pub fn parser_of<'a>(field: &'a str, root: &str) -> &'a str {
    match (field, root) {
        ("detectors", "job_update") => "detector_update",
        ("detectors", _) => "detector",
        ("custom_rules", _) => "detection_rule",
        ("conditions", _) => "rule_condition",
        ("events", _) => "scheduled_event",
        ("job_config", _) => "job_details",
        (field, _) => field,
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_jobs::config::NewJob;

    use super::*;

    fn reasons(body: &str) -> Vec<String> {
        let error = parse::<NewJob>(body.as_bytes(), "job_details")
            .expect_err("refused")
            .0;
        let mut reasons = vec![];
        let mut next = Some(Box::new(error));
        while let Some(error) = next {
            reasons.push(format!("{}: {}", error.kind, error.reason));
            next = error.cause;
        }
        reasons
    }

    #[test]
    fn unknown_fields_are_named_with_their_parser() {
        assert_eq!(
            reasons(r#"{"descriptionn": "x"}"#),
            [
                "x_content_parse_exception: [1:2] [job_details] unknown field [descriptionn] did you mean any of [description, data_description]?"
            ]
        );
        assert_eq!(
            reasons(r#"{"analysis_config": {"detectors": [{"function": "count", "foo": 1}]}}"#),
            [
                "x_content_parse_exception: [1:65] [job_details] failed to parse field [analysis_config]",
                "x_content_parse_exception: [1:65] [analysis_config] failed to parse field [detectors]",
                "x_content_parse_exception: [1:58] [detector] unknown field [foo]"
            ]
        );
    }

    #[test]
    fn what_an_object_refuses_is_the_cause() {
        let reasons = reasons(
            r#"{"analysis_config": {"detectors": [{"function": "mean", "by_field_name": "x"}]}}"#,
        );
        assert_eq!(
            reasons.last().map(String::as_str),
            Some("status_exception: field_name must be set when the 'mean' function is used")
        );
        assert_eq!(
            reasons[0],
            "x_content_parse_exception: [1:77] [job_details] failed to parse field [analysis_config]"
        );
    }

    #[test]
    fn values_of_another_kind_are_refused_where_they_stand() {
        for (body, told) in [
            (
                r#"{"description": {"a": 1}}"#,
                "[1:17] [job_details] description doesn't support values of type: START_OBJECT",
            ),
            (
                "{\n  \"description\":\n 5}",
                "[3:2] [job_details] description doesn't support values of type: VALUE_NUMBER",
            ),
            (
                r#"{"analysis_config": []}"#,
                "[1:21] [job_details] analysis_config doesn't support values of type: START_ARRAY",
            ),
            (
                r#"{"results_retention_days": true}"#,
                "[1:28] [job_details] results_retention_days doesn't support values of type: VALUE_BOOLEAN",
            ),
            (
                " []",
                "[1:2] [job_details] Expected START_OBJECT but was: START_ARRAY",
            ),
        ] {
            assert_eq!(
                reasons(body),
                [format!("x_content_parse_exception: {told}")]
            );
        }
        assert_eq!(
            reasons(r#"{"background_persist_interval": "8w"}"#),
            [
                "x_content_parse_exception: [1:33] [job_details] failed to parse field [background_persist_interval]",
                "illegal_argument_exception: failed to parse setting [background_persist_interval] with value [8w] as a time value: unit is missing or unrecognized"
            ]
        );
    }

    #[test]
    fn values_are_taken_as_elasticsearch_takes_them() {
        let job: NewJob = parse(
            br#"{"results_retention_days": "7", "allow_lazy_open": "true", "groups": "one", "model_snapshot_retention_days": 3.0,
                "analysis_config": {"detectors": {"function": "count"}}}"#,
            "job_details",
        )
        .expect("fine");
        assert_eq!(job.results_retention_days, Some(7));
        assert_eq!(job.model_snapshot_retention_days, Some(3));
        assert_eq!(job.groups, Some(vec!["one".to_owned()]));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(
            reasons(r#"{"description": "a", "description": "b"}"#),
            [
                "x_content_parse_exception: [1:22] Duplicate field 'description'",
                "json_parse_exception: Duplicate field 'description'"
            ]
        );
        let deep = "[".repeat(200_000);
        let deep = reasons(&format!("{{\"custom_settings\": {{\"a\": {deep}"));
        assert_eq!(
            deep[0],
            "x_content_parse_exception: [1:153] [job_details] failed to parse field [custom_settings]"
        );
        assert_eq!(deep.len(), 3);
    }
}
