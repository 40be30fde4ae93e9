//! Request bodies: read within limits, parsed strictly, refused with Elasticsearch's chain of parse errors.

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tidewatch_jobs::JobError;
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::UNNAMED;

use crate::error::{ApiError, Result};
use crate::near;

/// Bytes of a body that is read as a whole.
const MAX_BODY: usize = 10 << 20;

pub async fn read(body: Body) -> Result<Bytes> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "illegal_argument_exception",
            format!("entity content is too long; at most [{MAX_BODY}] bytes are taken"),
        )),
        Err(error) => Err(ApiError::parse(format!(
            "the request body could not be read: {error}"
        ))),
    }
}

/// Parses a body as the named parser of Elasticsearch would.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], parser: &'static str) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| explain(&error, parser))?;
    deserializer.end().map_err(|error| {
        let reason = format!(
            "[{}:{}] unexpected content after the object",
            error.line(),
            error.column()
        );
        refusal(reason)
    })?;
    Ok(value)
}

/// For fields that are true where they are left out.
pub const fn yes() -> bool {
    true
}

/// What serde says, as the exception that it was before serde made text of it.
pub fn cause(text: &str) -> JobError {
    match ConfigError::from_display(text) {
        Some(error) => error.into(),
        None => JobError::illegal_argument(text),
    }
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

fn refusal(reason: String) -> ApiError {
    ApiError(x_content(reason))
}

fn x_content(reason: String) -> JobError {
    JobError {
        status: 400,
        kind: "x_content_parse_exception",
        reason,
        cause: None,
    }
}

/// The name that Elasticsearch gives the parser of a field's object.
fn parser_of<'a>(field: &'a str, root: &str) -> &'a str {
    match (field, root) {
        ("detectors", "job_update") => "detector_update",
        ("detectors", _) => "detector",
        ("custom_rules", _) => "detection_rule",
        ("conditions", _) => "rule_condition",
        ("events", _) => "scheduled_event",
        (field, _) => field,
    }
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>, root: &'static str) -> ApiError {
    let inner = error.inner();
    let at = format!("[{}:{}]", inner.line(), inner.column());
    let text = inner.to_string();
    // serde_json puts the place at the end; it stands in front here.
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    if inner.is_syntax() || inner.is_eof() {
        return refusal(format!("{at} [{root}] malformed JSON: {text}"));
    }
    let mut fields: Vec<&str> = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            _ => None,
        })
        .collect();
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    let leaf = if text.starts_with("unknown field") {
        let unknown = quoted(text);
        if fields.last() == Some(&unknown.as_str()) {
            fields.pop();
        }
        let parser = fields.last().map_or(root, |field| parser_of(field, root));
        let known: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
        let hint = near::meant(&unknown, &known)
            .map_or(String::new(), |known| format!(" did you mean {known}?"));
        x_content(format!("{at} [{parser}] unknown field [{unknown}]{hint}"))
    } else if text.starts_with("missing field") {
        JobError::illegal_argument(format!("Required [{}]", quoted(text)))
    } else {
        of_field(cause(text), fields.last().unwrap_or(&root))
    };
    let wrap = |cause: JobError, depth: usize| {
        let parser = if depth == 0 {
            root
        } else {
            parser_of(fields[depth - 1], root)
        };
        x_content(format!(
            "{at} [{parser}] failed to parse field [{}]",
            fields[depth]
        ))
        .because(cause)
    };
    ApiError((0..fields.len()).rev().fold(leaf, wrap))
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
                "x_content_parse_exception: [1:15] [job_details] unknown field [descriptionn] did you mean any of [description, data_description]?"
            ]
        );
        assert_eq!(
            reasons(r#"{"analysis_config": {"detectors": [{"function": "count", "foo": 1}]}}"#),
            [
                "x_content_parse_exception: [1:62] [job_details] failed to parse field [analysis_config]",
                "x_content_parse_exception: [1:62] [analysis_config] failed to parse field [detectors]",
                "x_content_parse_exception: [1:62] [detector] unknown field [foo]"
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
        assert!(reasons[0].ends_with("[job_details] failed to parse field [analysis_config]"));
    }

    #[test]
    fn deep_nesting_is_refused_and_harmless() {
        let body = "[".repeat(200_000);
        assert!(reasons(&format!("{{\"custom_settings\": {{\"a\": {body}")).len() == 1);
    }
}
