//! `_bulk`: many documents, taken as they come and written some thousands at a time.

use std::fmt::Write as _;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Incoming, Index};

use super::one::WRITING;
use super::{deleted, index_to_write, result_of, source, written};
use crate::ApiState;
use crate::error::{ApiError, Result, details, json_response};
use crate::params::Params;

/// Documents of one transaction, and bytes of their sources.
const DOCUMENTS: usize = 4_000;
const BYTES: usize = 8 << 20;
/// Bytes of one request, Elasticsearch's own limit.
const MOST: usize = 100 << 20;

pub async fn everywhere(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    take(state, None, &uri, body).await
}

pub async fn into(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    take(state, Some(index), &uri, body).await
}

async fn take(state: ApiState, index: Option<String>, uri: &Uri, body: Body) -> Result<Response> {
    let started = Instant::now();
    Params::new(uri)?.ignore(&WRITING).finish()?;
    let mut bulk = Bulk::new(state, index);
    let mut stream = body.into_data_stream();
    let mut rest = BytesMut::new();
    let mut read = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::parse(format!("the request body could not be read: {error}"))
        })?;
        read += chunk.len();
        if read > MOST {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "illegal_argument_exception",
                format!("entity content is too long; at most [{MOST}] bytes are taken"),
            ));
        }
        // Only what is new can hold the end of a line.
        let mut looked = rest.len();
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest[looked..].iter().position(|byte| *byte == b'\n') {
            let line = rest.split_to(looked + end);
            rest.advance(1);
            looked = 0;
            bulk.line(&line).await?;
        }
    }
    if !rest.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::illegal_argument(
            "The bulk request must be terminated by a newline [\\n]",
        ));
    }
    bulk.finish(started).await
}

/// A request on its way.
struct Bulk {
    state: ApiState,
    /// Where documents go that don't say.
    index: Option<String>,
    /// The number of the line, from 1.
    line: usize,
    /// What is to be done with the next line.
    action: Option<Action>,
    waiting: Vec<Task>,
    bytes: usize,
    items: String,
    errors: bool,
}

/// A line that says what to do.
struct Action {
    name: &'static str,
    index: String,
    id: Option<String>,
}

/// What is to be done, or why it can't be.
enum Task {
    Write(&'static str, Incoming),
    Delete(Index, String),
    Refused(&'static str, String, String, JobError),
}

impl Bulk {
    fn new(state: ApiState, index: Option<String>) -> Self {
        Self {
            state,
            index,
            line: 0,
            action: None,
            waiting: Vec::new(),
            bytes: 0,
            items: String::new(),
            errors: false,
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<()> {
        self.line += 1;
        match self.action.take() {
            Some(action) => self.write(action, line),
            None if line.iter().all(u8::is_ascii_whitespace) => return Ok(()),
            None => {
                let action = self.parse(line)?;
                match action.name {
                    "delete" => self.delete(action),
                    _ => self.action = Some(action),
                }
            }
        }
        self.bytes += line.len();
        if self.waiting.len() >= DOCUMENTS || self.bytes >= BYTES {
            self.settle().await?;
        }
        Ok(())
    }

    fn parse(&self, line: &[u8]) -> Result<Action> {
        let number = self.line;
        let malformed = |what: &str| {
            ApiError::illegal_argument(format!(
                "Malformed action/metadata line [{number}], expected {what}"
            ))
        };
        let action: Value = serde_json::from_slice(line)
            .map_err(|error| malformed(&format!("an object: {error}")))?;
        let Value::Object(action) = action else {
            return Err(malformed("START_OBJECT"));
        };
        let Some((name, Value::Object(metadata))) = action.into_iter().next() else {
            return Err(malformed("FIELD_NAME and START_OBJECT"));
        };
        let name = match name.as_str() {
            "index" => "index",
            "create" => "create",
            "delete" => "delete",
            "update" => {
                return Err(ApiError::illegal_argument(format!(
                    "[update] in line [{number}] is not supported: send the whole document by [index]"
                )));
            }
            other => {
                return Err(malformed(&format!(
                    "field [create], [delete], [index] or [update] but found [{other}]"
                )));
            }
        };
        self.metadata(name, metadata)
    }

    fn metadata(&self, name: &'static str, metadata: Map<String, Value>) -> Result<Action> {
        let mut index = self.index.clone();
        let mut id = None;
        for (key, value) in metadata {
            let value = match value {
                Value::String(text) => Some(text),
                Value::Null => None,
                value => Some(value.to_string()),
            };
            match key.as_str() {
                "_index" => index = value.or(index),
                "_id" => id = value,
                "routing" | "require_alias" | "_type" => {}
                key => {
                    return Err(ApiError::illegal_argument(format!(
                        "Action/metadata line [{}] contains an unknown parameter [{key}]",
                        self.line
                    )));
                }
            }
        }
        let index = index.ok_or_else(|| JobError::invalid_request(&["index is missing"]))?;
        Ok(Action { name, index, id })
    }

    fn write(&mut self, action: Action, line: &[u8]) {
        let Action { name, index, id } = action;
        let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let incoming = index_to_write(&self.state, &index)
            .map_err(|error| error.0)
            .and_then(|index| {
                Ok(Incoming {
                    index,
                    id: id.clone(),
                    only_new: name == "create",
                    source: source(line)?,
                })
            });
        self.waiting.push(match incoming {
            Ok(incoming) => Task::Write(name, incoming),
            Err(error) => Task::Refused(name, index, id, error),
        });
    }

    fn delete(&mut self, action: Action) {
        let Action { name, index, id } = action;
        let id = id.unwrap_or_default();
        self.waiting
            .push(match index_to_write(&self.state, &index) {
                Ok(index) => Task::Delete(index, id),
                Err(error) => Task::Refused(name, index, id, error.0),
            });
    }

    /// Does what waits, and says what became of it.
    async fn settle(&mut self) -> Result<()> {
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let mut together = Vec::new();
        for task in waiting {
            if let Task::Delete(index, id) = task {
                // What stands before it is there when it goes.
                self.write_all(&mut together).await?;
                let gone = self
                    .state
                    .jobs
                    .delete_documents(&index, vec![id.clone()])
                    .await?;
                let (result, status) = deleted(gone == [true]);
                self.tell("delete", &index.name, &id, Ok((result, status)));
            } else {
                together.push(task);
            }
        }
        self.write_all(&mut together).await
    }

    /// Writes documents, and says what became of them and of those that are refused.
    async fn write_all(&mut self, tasks: &mut Vec<Task>) -> Result<()> {
        let mut documents = Vec::with_capacity(tasks.len());
        let mut told = Vec::with_capacity(tasks.len());
        for task in tasks.drain(..) {
            match task {
                Task::Write(name, incoming) => {
                    told.push((name, incoming.index.name.clone(), incoming.id.clone(), None));
                    documents.push(incoming);
                }
                Task::Refused(name, index, id, error) => told.push((name, index, id, Some(error))),
                Task::Delete(..) => {}
            }
        }
        if told.is_empty() {
            return Ok(());
        }
        let mut outcomes = self
            .state
            .jobs
            .write_documents(documents)
            .await?
            .into_iter();
        for (name, index, id, refused) in told {
            let outcome = match refused {
                Some(error) => Err(error),
                None => outcomes.next().unwrap_or(Ok(true)),
            };
            self.tell(name, &index, &id, outcome.map(result_of));
        }
        Ok(())
    }

    fn tell(
        &mut self,
        name: &str,
        index: &str,
        id: &str,
        outcome: tidewatch_jobs::Result<(&'static str, StatusCode)>,
    ) {
        let item = match outcome {
            Ok((result, status)) => {
                let mut item = written(index, id, result);
                item["status"] = status.as_u16().into();
                item
            }
            Err(error) => {
                self.errors = true;
                json!({"_index": index, "_id": id, "status": error.status, "error": details(&error)})
            }
        };
        let separator = if self.items.is_empty() { "" } else { "," };
        // Writing to a string can't fail.
        let _ = write!(self.items, "{separator}{{\"{name}\":{item}}}");
    }

    async fn finish(mut self, started: Instant) -> Result<Response> {
        if self.action.is_some() {
            return Err(ApiError::illegal_argument(format!(
                "Malformed action/metadata line [{}], expected a document after it",
                self.line
            )));
        }
        self.settle().await?;
        if self.items.is_empty() {
            return Err(JobError::invalid_request(&["no requests added"]).into());
        }
        Ok(json_response(
            StatusCode::OK,
            format!(
                "{{\"errors\":{},\"took\":{},\"items\":[{}]}}",
                self.errors,
                started.elapsed().as_millis(),
                self.items
            ),
        ))
    }
}
