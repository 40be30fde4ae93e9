//! What is wrong with a script, in Elasticsearch's form.

use serde_json::{Map, Value, json};

/// Characters that are shown before and after the place of an error.
const AROUND: usize = 25;

/// A script that can't be compiled, or that failed. Its status is 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ScriptError {
    /// Elasticsearch's name of the exception: `script_exception`, or what is wrong with the object around the script.
    pub kind: &'static str,
    /// `compile error`, `runtime error`, or what is wrong with the object around the script.
    pub reason: String,
    /// Where it is, and what it is.
    pub place: Option<Box<Place>>,
}

/// Where a script is wrong. Offsets are characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub script: String,
    pub lang: &'static str,
    pub offset: usize,
    pub cause: Fault,
}

/// A failure within a script, of which only the script knows where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Elasticsearch's name of the exception.
    pub kind: &'static str,
    pub reason: String,
}

impl Fault {
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { kind, reason }
    }

    pub fn argument(reason: impl Into<String>) -> Self {
        Self::new("illegal_argument_exception", reason)
    }

    pub fn cast(reason: impl Into<String>) -> Self {
        Self::new("class_cast_exception", reason)
    }
}

impl Place {
    /// What Elasticsearch tells of it beside kind, reason and cause.
    pub fn to_json(&self) -> Map<String, Value> {
        let length = self.script.chars().count();
        let start = self.offset.saturating_sub(AROUND);
        let end = (self.offset + AROUND).min(length);
        let part: String = self.script.chars().skip(start).take(end - start).collect();
        let (before, indent) = if start > 0 {
            ("... ", "    ")
        } else {
            ("", "")
        };
        let after = if end < length { " ..." } else { "" };
        let pointer = " ".repeat(self.offset - start);
        Map::from_iter([
            (
                "script_stack".to_owned(),
                json!([
                    format!("{before}{part}{after}"),
                    format!("{indent}{pointer}^---- HERE"),
                ]),
            ),
            ("script".to_owned(), self.script.as_str().into()),
            ("lang".to_owned(), self.lang.into()),
            (
                "position".to_owned(),
                json!({"offset": self.offset, "start": start, "end": end}),
            ),
        ])
    }
}

impl ScriptError {
    pub(super) fn outside(kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            place: None,
        }
    }

    /// `offset` in bytes.
    pub(super) fn within(
        reason: &str,
        script: &str,
        lang: &'static str,
        offset: usize,
        cause: Fault,
    ) -> Self {
        let offset = script
            .char_indices()
            .take_while(|(at, _)| *at < offset)
            .count();
        Self {
            kind: "script_exception",
            reason: reason.to_owned(),
            place: Some(Box::new(Place {
                script: script.to_owned(),
                lang,
                offset,
                cause,
            })),
        }
    }
}
