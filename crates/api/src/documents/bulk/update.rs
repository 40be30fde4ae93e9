//! What an update says: the parts of a document, and what is to be there first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;
use serde_json::value::RawValue;
use tidewatch_jobs::JobError;
use tidewatch_store::index;

use crate::body;
use crate::error::{ApiError, Result};

/// The body of an update.
#[derive(Debug, Clone)]
pub struct Update {
    pub update: index::Update,
    /// Which fields of the document the answer shows.
    pub source: Option<Value>,
    pub if_seq_no: Option<i64>,
    pub if_primary_term: Option<i64>,
}

impl Update {
    /// # Errors
    /// No JSON object, a script, or neither a document nor anything else to do.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_slice(bytes).map_err(|error| {
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "x_content_parse_exception",
                    format!(
                        "[{}:{}] [UpdateRequest] failed to parse: {error}",
                        error.line(),
                        error.column()
                    ),
                )
            })?;
        let mut said = Self {
            update: index::Update::default(),
            source: None,
            if_seq_no: None,
            if_primary_term: None,
        };
        for (name, raw) in fields {
            let text = raw.get();
            let document = || {
                serde_json::from_str(text).map_err(|_| {
                    body::x_content(format!(
                        "[1:1] [UpdateRequest] {name} doesn't support values of this type"
                    ))
                })
            };
            let flag = || match text {
                "true" | "\"true\"" => Ok(true),
                "false" | "\"false\"" => Ok(false),
                text => Err(ApiError::no_bool(text)),
            };
            let number = || text.parse().map_err(|_| ApiError::number_format(text));
            match &*name {
                "doc" => said.update.doc = Some(document()?),
                "upsert" => said.update.upsert = Some(document()?),
                "doc_as_upsert" => said.update.doc_as_upsert = flag()?,
                "detect_noop" => said.update.detect_noop = flag()?,
                "_source" => said.source = serde_json::from_str(text).ok(),
                "if_seq_no" => said.if_seq_no = Some(number()?),
                "if_primary_term" => said.if_primary_term = Some(number()?),
                "script" | "scripted_upsert" => {
                    return Err(ApiError::illegal_argument(format!(
                        "[{name}] is not supported in an update: say the fields that change by [doc]"
                    )));
                }
                name => {
                    return Err(body::x_content(format!(
                        "[1:1] [UpdateRequest] unknown field [{name}]"
                    ))
                    .into());
                }
            }
        }
        match &said.update.doc {
            None if said.update.doc_as_upsert => Err(JobError::invalid_request(&[
                "script or doc is missing",
                "doc must be specified if doc_as_upsert is enabled",
            ])
            .into()),
            None => Err(JobError::invalid_request(&["script or doc is missing"]).into()),
            _ => Ok(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_says_what_changes() {
        let body =
            b"{\"doc\": {\"a\": [1, {}]}, \"upsert\":{\"b\":2}, \"detect_noop\":false, \"_source\":true}";
        let Update { update, source, .. } = Update::parse(body).expect("fine");
        assert_eq!(
            (update.doc.map(Value::from), update.upsert.map(Value::from)),
            (Some(json!({"a": [1, {}]})), Some(json!({"b": 2})))
        );
        assert!(!update.detect_noop && !update.doc_as_upsert);
        assert_eq!(source, Some(true.into()));
        for (body, told) in [
            ("{", "[UpdateRequest] failed to parse"),
            ("[]", "[UpdateRequest] failed to parse"),
            ("{}", "1: script or doc is missing;"),
            ("{\"doc\":1}", "doc doesn't support values"),
            ("{\"script\":\"x\"}", "[script] is not supported"),
            (
                "{\"field\":1}",
                "[1:1] [UpdateRequest] unknown field [field]",
            ),
        ] {
            let error = Update::parse(body.as_bytes()).expect_err(body).0;
            assert!(error.reason.contains(told), "{}", error.reason);
        }
    }
}
