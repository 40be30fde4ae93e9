//! The evaluation of a script over one document.

mod call;
mod date;
mod dissect;
mod expression;
mod field;
mod function;
mod matcher;
mod statement;
mod text;

use std::sync::Arc;

use serde_json::Value as Json;

use super::context::Kind;
use super::document::{Document, FieldValue};
use super::error::Fault;
use super::syntax::Program;
use super::token::Wrong;
use super::value::Value;

use matcher::Matcher;

/// Expressions that are evaluated, and what working on long texts and lists counts as.
const STEPS: u32 = 1_000_000;
/// Bytes of all texts and lists that are made.
const BYTES: usize = 8 << 20;
/// Bytes of one text.
const TEXT: usize = 1 << 20;
/// Lists within lists, where they are compared or written out.
const NESTING: usize = 32;
/// Values that one document may emit, and their characters.
const EMITTED: usize = 100;
const EMITTED_CHARS: usize = 1 << 20;

pub(super) type Stop = Box<Wrong>;
pub(super) type Result<T> = std::result::Result<T, Stop>;
/// Of what doesn't know its place in the script.
type Plain<T> = std::result::Result<T, Fault>;

fn stop(at: u32) -> impl FnOnce(Fault) -> Stop {
    move |fault| Box::new((at as usize, fault))
}

fn too_long() -> Fault {
    Fault::new(
        "painless_error",
        "The maximum number of statements that can be executed in a loop has been reached.",
    )
}

/// A field of the document that was read.
struct Loaded {
    /// Its place among the fields that the script names, or its name where it names it only now.
    field: std::result::Result<usize, Arc<str>>,
    values: Vec<FieldValue>,
    /// There is no such field, and that is no error.
    missing: bool,
}

/// One run of a script.
pub(super) struct Run<'a> {
    program: &'a Program,
    params: &'a Json,
    document: &'a dyn Document,
    locals: Vec<Value<'a>>,
    lists: Vec<Vec<Value<'a>>>,
    /// In the order in which their keys came.
    maps: Vec<Vec<(Value<'a>, Value<'a>)>>,
    matchers: Vec<Matcher>,
    loaded: Vec<Loaded>,
    /// The runtime field that is emitted, its type and its values.
    emits: &'a str,
    kind: Option<Kind>,
    pub emitted: Vec<FieldValue>,
    emitted_chars: usize,
    steps: u32,
    bytes: usize,
}

impl<'a> Run<'a> {
    pub fn new(
        program: &'a Program,
        params: &'a Json,
        document: &'a dyn Document,
        emits: &'a str,
        kind: Option<Kind>,
    ) -> Self {
        Self {
            program,
            params,
            document,
            locals: vec![Value::Null; program.locals],
            lists: Vec::new(),
            maps: Vec::new(),
            matchers: Vec::new(),
            loaded: Vec::new(),
            emits,
            kind,
            emitted: Vec::new(),
            emitted_chars: 0,
            steps: STEPS,
            bytes: BYTES,
        }
    }

    /// Counts work: of steps, whatever they are.
    pub(super) fn work(&mut self, steps: usize) -> Plain<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or_else(too_long)?;
        Ok(())
    }

    /// Counts memory that a run takes and gives back only at its end, and the work on it.
    pub(super) fn take(&mut self, bytes: usize) -> Plain<()> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            let reason = format!("the script takes more than [{BYTES}] bytes of memory");
            Fault::new("circuit_breaking_exception", reason)
        })?;
        self.work(bytes / 64)
    }

    fn new_text(&mut self, text: impl Into<Arc<str>>) -> Plain<Value<'a>> {
        let text = text.into();
        if text.len() > TEXT {
            return Err(text_too_long());
        }
        self.take(text.len() + 16)?;
        Ok(Value::Text(text))
    }

    fn new_list(&mut self, values: Vec<Value<'a>>) -> Plain<Value<'a>> {
        self.take((values.len() + 1) * size_of::<Value>())?;
        self.lists.push(values);
        Ok(Value::List(self.lists.len() - 1))
    }

    fn new_map(&mut self, pairs: Vec<(Value<'a>, Value<'a>)>) -> Plain<Value<'a>> {
        self.take((pairs.len() + 1) * 2 * size_of::<Value>())?;
        self.maps.push(pairs);
        Ok(Value::Map(self.maps.len() - 1))
    }
}

fn text_too_long() -> Fault {
    Fault::argument(format!(
        "a text of the script is longer than [{TEXT}] bytes"
    ))
}
