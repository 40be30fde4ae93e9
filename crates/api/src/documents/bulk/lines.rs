//! The lines of a bulk: actions, each with the document after it. Nothing is copied: a document is a slice of the body.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tidewatch_jobs::JobError;

use crate::content::Failure;
use crate::error::{ApiError, Result};
use crate::token::{Kind, Tokens};

/// What is to be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Index,
    Create,
    Update,
    Delete,
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [Self::Index, Self::Create, Self::Update, Self::Delete];
        all.into_iter().find(|what| what.name() == name)
    }
}

/// An action, and its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub what: What,
    pub index: Arc<str>,
    pub id: Option<String>,
    /// As it stands in its line; nothing for a deletion.
    pub document: Bytes,
    pub options: Options,
}

/// What actions rarely say. Of a request: what holds where they don't.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub routing: Option<String>,
    pub if_seq_no: Option<i64>,
    pub if_primary_term: Option<i64>,
    pub version: Option<i64>,
    pub version_type: Option<String>,
    /// Without it, what the request says.
    pub require_alias: Option<bool>,
    pub pipeline: Option<String>,
    /// `_source` of an update: which fields of the document its answer shows.
    pub source: Option<Value>,
}

/// The actions of a body, one after the other.
pub struct Lines<'o> {
    body: Bytes,
    at: usize,
    /// The number of the line, from 1.
    line: usize,
    /// Where documents go that don't say: the index of the request, or of the action before.
    index: Option<Arc<str>>,
    last: Option<Arc<str>>,
    options: &'o Options,
}

impl<'o> Lines<'o> {
    pub fn new(body: Bytes, index: Option<&str>, options: &'o Options) -> Self {
        Self {
            body,
            at: 0,
            line: 0,
            index: index.map(Arc::from),
            last: None,
            options,
        }
    }

    /// The next action.
    ///
    /// # Errors
    /// A line that is no action, or an action that lacks its document: the request as a whole is refused.
    pub fn next(&mut self) -> Result<Option<Action>> {
        while let Some(line) = self.line()? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let mut action = self.action(&line)?;
            if action.what != What::Delete {
                action.document = self.line()?.ok_or_else(|| {
                    self.malformed("a document after it, but found the end of the request")
                })?;
            }
            return Ok(Some(action));
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Bytes>> {
        let rest = &self.body[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Some(length) = memchr::memchr(b'\n', rest) else {
            return Err(ApiError::illegal_argument(
                "The bulk request must be terminated by a newline [\\n]",
            ));
        };
        let end = match rest[..length].last() {
            Some(b'\r') => length - 1,
            _ => length,
        };
        let line = self.body.slice(self.at..self.at + end);
        self.at += length + 1;
        self.line += 1;
        Ok(Some(line))
    }

    fn malformed(&self, what: impl std::fmt::Display) -> ApiError {
        ApiError::illegal_argument(format!(
            "Malformed action/metadata line [{}], expected {what}",
            self.line
        ))
    }

    fn action(&mut self, line: &[u8]) -> Result<Action> {
        let mut tokens = Tokens::new(line).map_err(told)?;
        if tokens.kind != Kind::StartObject {
            return Err(self.found("START_OBJECT", &tokens));
        }
        tokens.advance().map_err(told)?;
        if tokens.kind != Kind::String {
            return Err(self.found("FIELD_NAME", &tokens));
        }
        let name = tokens.string().map_err(told)?;
        let what = What::named(&name).ok_or_else(|| {
            self.malformed(format_args!(
                "field [create], [delete], [index] or [update] but found [{name}]"
            ))
        })?;
        tokens.advance().map_err(told)?;
        let said = match tokens.kind {
            Kind::StartObject => self.metadata(&mut tokens)?,
            _ => return Err(self.found("START_OBJECT or END_OBJECT", &tokens)),
        };
        tokens.advance().map_err(told)?;
        if tokens.kind != Kind::EndObject {
            return Err(self.found("END_OBJECT", &tokens));
        }
        if tokens.advance().is_err() || tokens.kind != Kind::End {
            return Err(ApiError::illegal_argument(format!(
                "Malformed action/metadata line [{}], unexpected data after the closing brace",
                self.line
            )));
        }
        self.complete(what, said)
    }

    fn found(&self, expected: &str, tokens: &Tokens<'_>) -> ApiError {
        self.malformed(format_args!(
            "{expected} but found [{}]",
            tokens.kind.name()
        ))
    }

    /// The object of an action, up to its closing bracket.
    fn metadata(&mut self, tokens: &mut Tokens<'_>) -> Result<Said> {
        let mut said = Said::default();
        loop {
            tokens.advance().map_err(told)?;
            if tokens.kind == Kind::EndObject {
                return Ok(said);
            }
            let name = tokens.string().map_err(told)?;
            tokens.advance().map_err(told)?;
            match tokens.kind {
                Kind::Null => continue,
                Kind::StartObject | Kind::StartArray if name == "_source" => {
                    said.rare().source = Some(tokens.whole().map_err(told)?);
                    continue;
                }
                Kind::StartArray | Kind::StartObject => {
                    return Err(self.malformed(format_args!(
                        "a simple value for field [{name}] but found [{}]",
                        tokens.kind.name()
                    )));
                }
                _ => {}
            }
            let text = match tokens.kind {
                Kind::String => tokens.string().map_err(told)?,
                _ => tokens.raw().to_owned(),
            };
            let number = || text.parse().map_err(|_| ApiError::number_format(&text));
            match name.as_str() {
                "_index" => said.index = Some(self.name(text)),
                "_id" => said.id = Some(text),
                "op_type" => said.create = Some(text == "create"),
                "routing" => said.rare().routing = Some(text),
                "version" => said.rare().version = Some(number()?),
                "version_type" => said.rare().version_type = Some(text),
                "if_seq_no" => said.rare().if_seq_no = Some(number()?),
                "if_primary_term" => said.rare().if_primary_term = Some(number()?),
                "pipeline" => said.rare().pipeline = Some(text),
                "require_alias" => said.rare().require_alias = Some(text == "true"),
                "_source" => {
                    said.rare().source = Some(match text.as_str() {
                        "true" | "false" => (text == "true").into(),
                        _ => text.into(),
                    });
                }
                // Here one write of a document waits for another, and its type is gone.
                "retry_on_conflict" | "_type" | "list_executed_pipelines" => {}
                "require_data_stream" if text == "false" => {}
                name => {
                    return Err(ApiError::illegal_argument(format!(
                        "Action/metadata line [{}] contains an unknown parameter [{name}]",
                        self.line
                    )));
                }
            }
        }
    }

    /// Names are the same in line after line.
    fn name(&mut self, text: String) -> Arc<str> {
        match &self.last {
            Some(last) if **last == *text => last.clone(),
            _ => self.last.insert(Arc::from(text)).clone(),
        }
    }

    fn complete(&self, what: What, said: Said) -> Result<Action> {
        let Said {
            index,
            id,
            create,
            rare,
        } = said;
        let what = match (what, create) {
            (What::Index, Some(true)) => What::Create,
            (what, _) => what,
        };
        let mut missing = Vec::new();
        if what != What::Index && what != What::Create && id.is_none() {
            missing.push("id is missing");
        }
        let index = index.or(self.index.clone());
        if index.is_none() {
            missing.insert(0, "index is missing");
        }
        let (true, Some(index)) = (missing.is_empty(), index) else {
            return Err(JobError::invalid_request(&missing).into());
        };
        let mut options = rare.map_or_else(Options::default, |rare| *rare);
        let default = self.options;
        options.routing = options.routing.or_else(|| default.routing.clone());
        options.pipeline = options.pipeline.or_else(|| default.pipeline.clone());
        options.source = options.source.or_else(|| default.source.clone());
        options.require_alias = options.require_alias.or(default.require_alias);
        if what == What::Update && (options.version.is_some() || options.version_type.is_some()) {
            return Err(ApiError::illegal_argument(
                "Update requests do not support versioning. Please use `if_seq_no` and `if_primary_term` instead",
            ));
        }
        Ok(Action {
            what,
            index,
            id,
            document: Bytes::new(),
            options,
        })
    }
}

/// What the object of an action says.
#[derive(Default)]
struct Said {
    index: Option<Arc<str>>,
    id: Option<String>,
    create: Option<bool>,
    rare: Option<Box<Options>>,
}

impl Said {
    fn rare(&mut self) -> &mut Options {
        self.rare.get_or_insert_default()
    }
}

fn told(failure: Failure) -> ApiError {
    match failure {
        Failure::Told(error) => ApiError(*error),
        failure => ApiError::illegal_argument(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Action>> {
        let options = Options::default();
        let mut lines = Lines::new(Bytes::copy_from_slice(body.as_bytes()), None, &options);
        let mut actions = Vec::new();
        while let Some(action) = lines.next()? {
            actions.push(action);
        }
        Ok(actions)
    }

    #[test]
    fn actions_are_read_with_their_documents() {
        let body = concat!(
            "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\r\n{\"x\":1}\r\n\n",
            "{ \"create\" : { \"_index\" : \"b\\u0062\", \"routing\": 7, \"_id\": null } }\n {} \n",
            "{\"delete\":{\"_index\":\"a\",\"_id\":2,\"if_seq_no\":3,\"if_primary_term\":1}}\n",
            "{\"update\":{\"_index\":\"a\",\"_id\":\"3\",\"_source\":[\"f\"],\"retry_on_conflict\":3}}\n{\"doc\":{}}\n",
            "{\"index\":{\"_index\":\"a\",\"op_type\":\"create\"}}\n\n",
        );
        let read = read(body).expect("fine");
        let told: Vec<(What, &str, Option<&str>, &[u8])> = read
            .iter()
            .map(|action| {
                (
                    action.what,
                    &*action.index,
                    action.id.as_deref(),
                    &*action.document,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (What::Index, "a", Some("1"), &b"{\"x\":1}"[..]),
                (What::Create, "bb", None, b" {} "),
                (What::Delete, "a", Some("2"), b""),
                (What::Update, "a", Some("3"), b"{\"doc\":{}}"),
                (What::Create, "a", None, b""),
            ]
        );
        assert_eq!(read[1].options.routing.as_deref(), Some("7"));
        assert_eq!(
            (read[2].options.if_seq_no, read[2].options.if_primary_term),
            (Some(3), Some(1))
        );
        assert_eq!(read[3].options.source, Some(serde_json::json!(["f"])));
    }

    #[test]
    fn lines_that_are_no_actions_are_refused_with_their_number() {
        for (body, told) in [
            (
                "[]\n",
                "line [1], expected START_OBJECT but found [START_ARRAY]",
            ),
            (
                "\n{}\n",
                "line [2], expected FIELD_NAME but found [END_OBJECT]",
            ),
            (
                "{\"send\":{}}\n",
                "line [1], expected field [create], [delete], [index] or [update] but found [send]",
            ),
            (
                "{\"index\":1}\n",
                "line [1], expected START_OBJECT or END_OBJECT but found [VALUE_NUMBER]",
            ),
            (
                "{\"index\":{\"_id\":[]}}\n",
                "line [1], expected a simple value for field [_id] but found [START_ARRAY]",
            ),
            (
                "{\"index\":{\"_index\":\"a\"},\"x\":1}\n",
                "line [1], expected END_OBJECT but found [VALUE_STRING]",
            ),
            (
                "{\"index\":{\"_index\":\"a\"}}x\n",
                "line [1], unexpected data after the closing brace",
            ),
            (
                "{\"index\":{\"_parent\":\"a\"}}\n",
                "line [1] contains an unknown parameter [_parent]",
            ),
            ("{\"index\":{\"_id\":\"a\"}}\n{}\n", "1: index is missing;"),
            ("{\"delete\":{\"_index\":\"a\"}}\n", "1: id is missing;"),
            (
                "{\"index\":{\"_index\":\"a\"}}\n{}",
                "must be terminated by a newline",
            ),
            (
                "{\"index\":{\"_index\":\"a\"}}\n",
                "expected a document after it",
            ),
            ("{\"index\":{\"_index\":\"a\n", "Unexpected end-of-input"),
        ] {
            let error = read(body).expect_err(body).0;
            assert_eq!(error.status, 400);
            assert!(error.reason.contains(told), "{body}: {}", error.reason);
        }
    }
}
