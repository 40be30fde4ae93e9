//! One document is written or deleted: `_doc`, `_create`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Destination;
use tidewatch_store::index::{Done, Effect, Op, Versioned, Write};

use super::bulk::{What, answer, lines::Options};
use super::named::Refresh;
use super::warn_of_dot;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

/// Bytes of one document.
pub const LARGEST: usize = 20 << 20;

/// Parameters of writes that say nothing where there is one copy of everything.
pub const IGNORED: [&str; 4] = [
    "timeout",
    "wait_for_active_shards",
    "list_executed_pipelines",
    "include_source_on_error",
];

/// Parameters of a write of one document.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    pub op_type: Option<String>,
    pub refresh: Option<String>,
    pub routing: Option<String>,
    pub require_alias: bool,
    pub pipeline: Option<String>,
}

/// What must hold of the document that is there, as it was said.
#[derive(Debug, Clone, Deserialize, Default, PartialEq)]
#[serde(default)]
pub struct Conditions {
    pub if_seq_no: Option<i64>,
    pub if_primary_term: Option<i64>,
    pub version: Option<i64>,
    pub version_type: Option<String>,
}

/// What must hold of the document that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Checked {
    pub if_seq_no: Option<u64>,
    pub if_primary_term: Option<u64>,
    pub version: Option<Versioned>,
}

impl Conditions {
    pub fn of(options: &Options) -> Self {
        Self {
            if_seq_no: options.if_seq_no,
            if_primary_term: options.if_primary_term,
            version: options.version,
            version_type: options.version_type.clone(),
        }
    }

    /// # Errors
    /// What can't be asked together, or of such a write.
    pub fn check(&self, what: What) -> Result<Checked> {
        if *self == Self::default() {
            return Ok(Checked::default());
        }
        let invalid = |reason: &str| Err(JobError::invalid_request(&[reason]).into());
        let kind = match self.version_type.as_deref() {
            None | Some("internal") => None,
            Some("external" | "external_gt") => Some(Versioned::External as fn(u64) -> Versioned),
            Some("external_gte") => Some(Versioned::ExternalOrEqual as fn(u64) -> Versioned),
            Some(other) => {
                return Err(ApiError::illegal_argument(format!(
                    "No version type match [{other}]"
                )));
            }
        };
        let has_seq_no = self.if_seq_no.is_some() || self.if_primary_term.is_some();
        if what == What::Create && kind.is_some() {
            return invalid(
                "create operations only support internal versioning. use index instead",
            );
        }
        if what == What::Create && has_seq_no {
            return invalid("create operations do not support compare and set. use index instead");
        }
        let (if_seq_no, if_primary_term) = match (self.if_seq_no, self.if_primary_term) {
            (None, None) => (None, None),
            (Some(_), None) => return invalid("ifSeqNo is set, but primary term is [0]"),
            (None, Some(term)) => {
                return invalid(&format!(
                    "ifSeqNo is unassigned, but primary term is [{term}]"
                ));
            }
            (Some(seq_no), Some(term)) => match (u64::try_from(seq_no), u64::try_from(term)) {
                (Ok(seq_no), Ok(term)) => (Some(seq_no), Some(term)),
                (Err(_), _) => {
                    return Err(ApiError::illegal_argument(format!(
                        "sequence numbers must be non negative. got [{seq_no}]."
                    )));
                }
                (_, Err(_)) => {
                    return Err(ApiError::illegal_argument(format!(
                        "primary term must be non negative. got [{term}]"
                    )));
                }
            },
        };
        let version = match (kind, self.version) {
            (None, None) => None,
            (None, Some(_)) => {
                return invalid(
                    "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and \
                     `if_primary_term` instead",
                );
            }
            (Some(_), _) if has_seq_no => {
                return invalid("compare and write operations can not use versioning");
            }
            (Some(kind), Some(version)) if version >= 0 => Some(kind(version.cast_unsigned())),
            (Some(_), version) => {
                return invalid(&format!(
                    "illegal version value [{}] for version type [{}]",
                    version.unwrap_or(-3),
                    self.version_type
                        .as_deref()
                        .unwrap_or_default()
                        .to_uppercase()
                ));
            }
        };
        Ok(Checked {
            if_seq_no,
            if_primary_term,
            version,
        })
    }
}

/// There are no pipelines, so none of a name.
pub fn check_pipeline(name: Option<&str>) -> std::result::Result<(), JobError> {
    match name {
        None | Some("_none") => Ok(()),
        Some(name) => Err(JobError::illegal_argument(format!(
            "pipeline with id [{name}] does not exist"
        ))),
    }
}

pub async fn add(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    index_document(&state, &index, None, What::Index, &uri, body).await
}

pub async fn put(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    index_document(&state, &index, Some(id), What::Index, &uri, body).await
}

pub async fn create(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    index_document(&state, &index, Some(id), What::Create, &uri, body).await
}

async fn index_document(
    state: &ApiState,
    index: &str,
    id: Option<String>,
    what: What,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(uri)?
        .ignore(&IGNORED)
        .ignore(&["require_data_stream"]);
    let conditions = Conditions::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let what = match asked.op_type.as_deref() {
        Some("create") => What::Create,
        None | Some("index") => what,
        Some(other) => {
            return Err(ApiError::illegal_argument(format!(
                "opType must be 'create' or 'index', found: [{other}]"
            )));
        }
    };
    let source = body::read_up_to(body, LARGEST).await?;
    if source.iter().all(u8::is_ascii_whitespace) {
        return Err(JobError::invalid_request(&["source is missing"]).into());
    }
    check_pipeline(asked.pipeline.as_deref())?;
    let op = match what {
        What::Create => Op::Create,
        _ => Op::Index,
    };
    let write = write(op, id, source, &asked, conditions.check(what)?);
    let refresh = Refresh::parse(asked.refresh.as_deref())?;
    let done = carry_out(state, index, write, asked.require_alias, refresh).await?;
    Ok(done.response(None))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path((index, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let conditions = Conditions::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let refresh = Refresh::parse(asked.refresh.as_deref())?;
    let checked = conditions.check(What::Delete)?;
    let write = write(Op::Delete, Some(id), Bytes::new(), &asked, checked);
    let done = carry_out(&state, &index, write, asked.require_alias, refresh).await?;
    Ok(done.response(None))
}

/// A write, as its index takes it.
pub fn write(op: Op, id: Option<String>, source: Bytes, asked: &Asked, checked: Checked) -> Write {
    Write {
        op,
        id,
        source,
        routing: asked.routing.clone(),
        if_seq_no: checked.if_seq_no,
        if_primary_term: checked.if_primary_term,
        version: checked.version,
    }
}

/// What was done to one document.
pub struct DoneTo {
    pub destination: Destination,
    pub id: String,
    pub done: Done,
    forced: bool,
    made: bool,
}

/// Writes one document.
pub async fn carry_out(
    state: &ApiState,
    index: &str,
    write: Write,
    must_be_alias: bool,
    refresh: Refresh,
) -> Result<DoneTo> {
    let makes = !matches!(write.op, Op::Delete);
    let (destination, made) = state.jobs.destination(index, makes, must_be_alias).await?;
    let mut outcomes = state.jobs.write(&destination, vec![write]).await?;
    let outcome = outcomes
        .pop()
        .ok_or_else(|| JobError::internal(format!("a write to [{index}] was lost")))?;
    let done = outcome.result?;
    if let Destination::Own(index) = &destination {
        refresh.of(index).await?;
    }
    Ok(DoneTo {
        destination,
        id: outcome.id,
        done,
        forced: refresh == Refresh::Now,
        made,
    })
}

impl DoneTo {
    /// The answer. `get`: what it shows of the document, JSON.
    pub fn response(self, get: Option<&str>) -> Response {
        let index = self.destination.name();
        let mut text = "{".to_owned();
        answer::written(&mut text, index, &self.id, &self.done, self.forced);
        if let Some(get) = get {
            text.push_str(",\"get\":");
            text.push_str(get);
        }
        text.push('}');
        let status = answer::status(self.done.effect);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let mut response = json_response(status, text);
        if self.done.effect == Effect::Created {
            let place = format!("/{}/_doc/{}", encoded(index), encoded(&self.id));
            if let Ok(place) = HeaderValue::from_str(&place) {
                response.headers_mut().insert(header::LOCATION, place);
            }
        }
        if self.made {
            warn_of_dot(index, &mut response);
        }
        response
    }
}

/// A part of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' | b'*' => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_contradict_are_refused() {
        let conditions = |text: &str| -> Conditions {
            let uri: Uri = format!("/?{text}").parse().expect("a URI");
            Params::new(&uri).and_then(Params::read).expect(text)
        };
        let checked = conditions("if_seq_no=3&if_primary_term=1")
            .check(What::Index)
            .expect("fine");
        assert_eq!(
            (checked.if_seq_no, checked.if_primary_term),
            (Some(3), Some(1))
        );
        let checked = conditions("version=5&version_type=external_gte")
            .check(What::Index)
            .expect("fine");
        assert_eq!(checked.version, Some(Versioned::ExternalOrEqual(5)));
        for (text, what, told) in [
            (
                "version=5",
                What::Index,
                "internal versioning can not be used",
            ),
            (
                "version_type=external",
                What::Index,
                "illegal version value [-3]",
            ),
            ("if_seq_no=1", What::Index, "primary term is [0]"),
            ("if_primary_term=1", What::Delete, "ifSeqNo is unassigned"),
            (
                "if_seq_no=1&if_primary_term=1",
                What::Create,
                "compare and set",
            ),
            (
                "version=1&version_type=external",
                What::Create,
                "internal versioning. use index",
            ),
            (
                "version_type=mine",
                What::Index,
                "No version type match [mine]",
            ),
            (
                "if_seq_no=-1&if_primary_term=1",
                What::Index,
                "must be non negative",
            ),
        ] {
            let error = conditions(text).check(what).expect_err(text).0;
            assert!(error.reason.contains(told), "{text}: {}", error.reason);
        }
    }
}
