//! A file of cases: YAML documents, each a named list of steps, with `setup` and `teardown` around every case.
//!
//! The format is the one of Elasticsearch's own REST tests, and two things more: `answer` looks at the status and the
//! headers, and text between slashes inside an expected object is a pattern for the value at its place.

use std::path::Path;

use serde_json::{Map, Value};

use super::skip::Skip;

pub struct Suite {
    /// The file's name without its ending.
    pub name: String,
    /// Why no case of this file can be run, if so.
    pub skip: Skip,
    /// The cases of the official clients, told by a section `requires`, do not look at warnings.
    pub warnings: bool,
    pub setup: Vec<Step>,
    pub teardown: Vec<Step>,
    pub cases: Vec<Case>,
}

pub struct Case {
    pub name: String,
    pub skip: Skip,
    pub steps: Vec<Step>,
}

#[derive(Clone)]
pub enum Step {
    Do(Box<Call>),
    /// Keeps the value at a path under a name.
    Set(Vec<(String, String)>),
    Answer(Value),
    Check {
        kind: Kind,
        path: String,
        expected: Value,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Match,
    Length,
    IsTrue,
    IsFalse,
    Exists,
    NotExists,
    Gt,
    Gte,
    Lt,
    Lte,
    Contains,
    CloseTo,
}

/// One call of an API, and what its answer must be like.
#[derive(Clone, Default)]
pub struct Call {
    pub api: String,
    pub params: Map<String, Value>,
    pub body: Option<Value>,
    pub headers: Vec<(String, String)>,
    /// What kind of error it must be; none means success.
    pub catch: Option<String>,
    pub warnings: Vec<String>,
    pub warnings_regex: Vec<String>,
    pub allowed_warnings: Vec<String>,
    pub allowed_warnings_regex: Vec<String>,
}

impl Suite {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text)
    }

    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|e| format!("not YAML: {e}"))?;
        let mut suite = Self {
            name: name.to_owned(),
            skip: Skip::default(),
            warnings: true,
            setup: Vec::new(),
            teardown: Vec::new(),
            cases: Vec::new(),
        };
        for (section, content) in documents.iter().flat_map(entries) {
            let at = |e: String| format!("«{section}»: {e}");
            match section {
                "requires" => {
                    suite.skip.environment(content).map_err(at)?;
                    suite.warnings = false;
                }
                "setup" => {
                    let (skip, steps) = steps(content).map_err(at)?;
                    suite.skip.merge(skip);
                    suite.setup = steps;
                }
                "teardown" => suite.teardown = steps(content).map_err(at)?.1,
                name => suite.cases.push(Case::parse(name, content).map_err(at)?),
            }
        }
        if suite.cases.is_empty() {
            return Err("a file without a case".into());
        }
        Ok(suite)
    }
}

impl Case {
    fn parse(name: &str, content: &Value) -> Result<Self, String> {
        let (skip, steps) = steps(content)?;
        if !steps.iter().any(|s| matches!(s, Step::Do(_))) {
            return Err("a case that does nothing".into());
        }
        Ok(Self {
            name: name.to_owned(),
            skip,
            steps,
        })
    }
}

/// The conditions and the steps of a section.
fn steps(content: &Value) -> Result<(Skip, Vec<Step>), String> {
    let list = content.as_array().ok_or("a section is a list of steps")?;
    let mut skip = Skip::default();
    let mut steps = Vec::new();
    for (number, step) in list.iter().enumerate() {
        let at = |e| format!("step {}: {e}", number + 1);
        let (name, content) = single(step).map_err(at)?;
        match name {
            "skip" => skip.unless_skipped(content).map_err(at)?,
            "requires" => skip.requires(content).map_err(at)?,
            _ => steps.push(Step::parse(name, content).map_err(at)?),
        }
    }
    Ok((skip, steps))
}

impl Step {
    fn parse(name: &str, content: &Value) -> Result<Self, String> {
        let kind = match name {
            "do" => return Ok(Self::Do(Box::new(Call::parse(content)?))),
            "set" => {
                let names = object(content)?
                    .iter()
                    .map(|(path, name)| Ok((path.clone(), text(name)?)))
                    .collect::<Result<_, String>>()?;
                return Ok(Self::Set(names));
            }
            "answer" => {
                let known = |key: &&String| !matches!(key.as_str(), "status" | "headers");
                if let Some(key) = object(content)?.keys().find(known) {
                    return Err(format!("an answer has no {key}"));
                }
                return Ok(Self::Answer(content.clone()));
            }
            "match" => Kind::Match,
            "length" => Kind::Length,
            "is_true" => Kind::IsTrue,
            "is_false" => Kind::IsFalse,
            "exists" => Kind::Exists,
            "not_exists" => Kind::NotExists,
            "gt" => Kind::Gt,
            "gte" => Kind::Gte,
            "lt" => Kind::Lt,
            "lte" => Kind::Lte,
            "contains" => Kind::Contains,
            "close_to" => Kind::CloseTo,
            other => return Err(format!("unknown step {other}")),
        };
        let alone = matches!(
            kind,
            Kind::IsTrue | Kind::IsFalse | Kind::Exists | Kind::NotExists
        );
        let (path, expected) = if alone {
            (text(content)?, Value::Null)
        } else {
            let (path, expected) = single(content)?;
            (path.to_owned(), expected.clone())
        };
        Ok(Self::Check {
            kind,
            path,
            expected,
        })
    }
}

impl Call {
    fn parse(content: &Value) -> Result<Self, String> {
        let mut call = Self::default();
        for (key, value) in object(content)? {
            match key.as_str() {
                "catch" => call.catch = Some(text(value)?),
                "warnings" => call.warnings = texts(value)?,
                "warnings_regex" => call.warnings_regex = texts(value)?,
                "allowed_warnings" => call.allowed_warnings = texts(value)?,
                "allowed_warnings_regex" => call.allowed_warnings_regex = texts(value)?,
                "headers" => {
                    for (name, value) in object(value)? {
                        call.headers.push((name.clone(), text(value)?));
                    }
                }
                // A cluster of one node has nothing to select from.
                "node_selector" => {}
                api if call.api.is_empty() => {
                    call.api = api.to_owned();
                    if !value.is_null() {
                        call.params = object(value)?.clone();
                    }
                    call.body = call.params.shift_remove("body");
                }
                other => return Err(format!("unknown key {other} beside {}", call.api)),
            }
        }
        if call.api.is_empty() {
            return Err("a do without a call".into());
        }
        Ok(call)
    }
}

fn entries(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let sections = document.as_object().into_iter().flatten();
    sections.map(|(name, content)| (name.as_str(), content))
}

pub fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("expected names and values, not {value}"))
}

/// The only entry of an object.
fn single(value: &Value) -> Result<(&str, &Value), String> {
    let mut entries = object(value)?.iter();
    match (entries.next(), entries.next()) {
        (Some((name, content)), None) => Ok((name, content)),
        _ => Err(format!("expected exactly one entry in {value}")),
    }
}

pub fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(format!("expected text, not {other}")),
    }
}

pub fn texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}
