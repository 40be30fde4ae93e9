//! The document that a script looks at.

use std::sync::Arc;

use serde_json::Value;

/// One value of a field, as a column has it, or as a runtime field emits it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    Bool(bool),
    /// A whole number.
    Long(i64),
    Double(f64),
    /// A keyword, or an address as text.
    Text(Arc<str>),
    /// Epoch milliseconds.
    Date(i64),
    /// Epoch nanoseconds.
    DateNanos(i64),
}

/// A field that a script asks for.
#[derive(Debug, Clone, Copy)]
pub struct Field<'s> {
    pub name: &'s str,
    /// Its place in [`Script::fields`](super::Script::fields). None where the name is known only when the script runs.
    pub at: Option<usize>,
}

/// Why a field has no values for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoField {
    Unmapped,
    /// It is mapped, and can't be read so: a text without columns. The reason is told as it is.
    Refused(String),
}

/// A document, as scripts see it.
pub trait Document {
    /// Adds the values of a field in the order of its column: ascending.
    ///
    /// # Errors
    /// [`NoField`] where there is nothing that could have values.
    fn values(
        &self,
        field: Field<'_>,
        values: &mut Vec<FieldValue>,
    ) -> std::result::Result<(), NoField>;

    /// What was written; none where there is no document. It is asked for only by scripts that need it.
    fn source(&self) -> Option<&Value>;
}

/// No document: of scripts that are given numbers alone.
pub struct Nothing;

impl Document for Nothing {
    fn values(&self, _: Field<'_>, _: &mut Vec<FieldValue>) -> std::result::Result<(), NoField> {
        Err(NoField::Unmapped)
    }

    fn source(&self) -> Option<&Value> {
        None
    }
}
