//! One document by its id, as it is now.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Index, Meant};
use tidewatch_store::index;
use tidewatch_store::query::Query;
use tidewatch_store::search::Shown;

use super::bulk::answer::quote;
use super::named::single;
use crate::ApiState;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;

/// Which fields of a document are shown, as parameters say it.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub struct ShownParams {
    _source: Option<String>,
    _source_includes: Option<String>,
    _source_excludes: Option<String>,
}

impl ShownParams {
    /// As a body says it in `_source`; none where nothing is said.
    pub fn value(&self) -> Option<Value> {
        let patterns = |text: &Option<String>| -> Vec<String> {
            let parts = text.iter().flat_map(|text| text.split(','));
            parts.map(str::to_owned).collect()
        };
        let excludes = patterns(&self._source_excludes);
        match (self._source.as_deref(), &self._source_includes) {
            (None, None) if excludes.is_empty() => None,
            (Some("false"), _) => Some(false.into()),
            (None | Some("" | "true"), includes) => {
                Some(json!({"includes": patterns(includes), "excludes": excludes}))
            }
            (Some(_), _) => {
                Some(json!({"includes": patterns(&self._source), "excludes": excludes}))
            }
        }
    }

    pub fn shown(&self) -> Result<Shown> {
        match self.value() {
            Some(value) => Ok(Shown::parse(&value)?),
            None => Ok(Shown::default()),
        }
    }
}

/// A document by its id, with what is known of it beside its fields.
pub struct Document {
    pub source: Bytes,
    pub routing: Option<String>,
    pub version: u64,
    pub seq_no: u64,
    pub primary_term: u64,
}

impl From<index::Stored> for Document {
    fn from(stored: index::Stored) -> Self {
        Self {
            source: stored.source,
            routing: stored.routing,
            version: stored.version,
            seq_no: stored.seq_no,
            primary_term: stored.primary_term,
        }
    }
}

/// The document of an index of an id.
pub async fn find(state: &ApiState, index: &Meant, id: &str) -> Result<Option<Document>> {
    match index {
        Meant::Own { index, .. } => Ok(index.get(id).await?.map(Document::from)),
        Meant::Internal(index) => {
            // An alias shows every document of its index by its id.
            let whole = Index {
                only: None,
                ..index.clone()
            };
            let mut found = None;
            let mut take = |_: &str, document: tidewatch_store::Found| {
                found = Some(document.source);
                false
            };
            let query = Query::Ids(vec![id.to_owned()]);
            state.jobs.search(&[whole], &query, &mut take).await?;
            Ok(found.map(|source| Document {
                source: source.to_string().into(),
                routing: None,
                version: 1,
                seq_no: 0,
                primary_term: 1,
            }))
        }
    }
}

/// The fields of a document that are shown, JSON; none where none are.
pub fn shown_source(source: &Bytes, shown: &Shown) -> Result<Option<String>> {
    if shown.hidden {
        return Ok(None);
    }
    let text = if shown.includes.is_empty() && shown.excludes.is_empty() {
        std::str::from_utf8(source).unwrap_or_default().to_owned()
    } else {
        let fields = serde_json::from_slice(source).unwrap_or_default();
        shown.of(fields).to_string()
    };
    Ok(Some(text))
}

/// What an answer tells of a document, JSON.
pub fn told(index: &str, id: &str, document: Option<&Document>, shown: &Shown) -> Result<String> {
    let mut text = "{\"_index\":".to_owned();
    quote(&mut text, index);
    text.push_str(",\"_id\":");
    quote(&mut text, id);
    let Some(document) = document else {
        text.push_str(",\"found\":false}");
        return Ok(text);
    };
    text.push_str(&format!(
        ",\"_version\":{},\"_seq_no\":{},\"_primary_term\":{}",
        document.version, document.seq_no, document.primary_term
    ));
    if let Some(routing) = &document.routing {
        text.push_str(",\"_routing\":");
        quote(&mut text, routing);
    }
    text.push_str(",\"found\":true");
    if let Some(source) = shown_source(&document.source, shown)? {
        text.push_str(",\"_source\":");
        text.push_str(&source);
    }
    text.push('}');
    Ok(text)
}

/// What the answer to an update shows of the document, JSON.
pub async fn of_update(
    index: &Arc<index::Index>,
    id: &str,
    shown: &Shown,
) -> Result<Option<String>> {
    if shown.hidden {
        return Ok(None);
    }
    let Some(document) = index.get(id).await?.map(Document::from) else {
        return Ok(None);
    };
    let source = shown_source(&document.source, shown)?.unwrap_or_default();
    Ok(Some(format!(
        "{{\"_seq_no\":{},\"_primary_term\":{},\"found\":true,\"_source\":{source}}}",
        document.seq_no, document.primary_term
    )))
}

#[derive(Deserialize)]
struct Asked {
    version: Option<i64>,
    stored_fields: Option<String>,
}

/// The index and the document that are asked for, and which fields of it.
async fn asked(
    state: &ApiState,
    name: &str,
    id: &str,
    uri: &Uri,
) -> Result<(Meant, Option<Document>, Shown)> {
    let mut params = Params::new(uri)?.ignore(&[
        "routing",
        "preference",
        "realtime",
        "refresh",
        "version_type",
        "force_synthetic_source",
    ]);
    let shown = ShownParams::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let mut shown = shown.shown()?;
    match asked.stored_fields.as_deref() {
        None | Some("_source") => {}
        Some("_none_") => shown.hidden = true,
        Some(other) => {
            return Err(ApiError::illegal_argument(format!(
                "[stored_fields] doesn't support [{other}]: no field is stored beside [_source]"
            )));
        }
    }
    let index = single(state, name).await?;
    let document = find(state, &index, id).await?;
    if let (Some(version), Some(document)) = (asked.version, &document)
        && u64::try_from(version) != Ok(document.version)
    {
        return Err(JobError::new(
            409,
            "version_conflict_engine_exception",
            format!(
                "[{id}]: version conflict, current version [{}] is different than the one provided [{version}]",
                document.version
            ),
        )
        .about(index.name(), uuid(&index))
        .into());
    }
    Ok((index, document, shown))
}

fn uuid(index: &Meant) -> &str {
    match index {
        Meant::Own { index, .. } => index.uuid(),
        Meant::Internal(_) => "_na_",
    }
}

pub async fn document(
    State(state): State<ApiState>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let (index, document, shown) = asked(&state, &name, &id, &uri).await?;
    let status = match document {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    let told = told(index.name(), &id, document.as_ref(), &shown)?;
    Ok(json_response(status, told))
}

pub async fn source(
    State(state): State<ApiState>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let (index, document, shown) = asked(&state, &name, &id, &uri).await?;
    let missing = || {
        let reason = format!("Document not found [{}]/[{id}]", index.name());
        JobError::not_found(reason)
    };
    let document = document.ok_or_else(missing)?;
    if shown.hidden {
        return Err(JobError::invalid_request(&["fetching source can not be disabled"]).into());
    }
    let source = shown_source(&document.source, &shown)?.unwrap_or_default();
    Ok(json_response(StatusCode::OK, source))
}
