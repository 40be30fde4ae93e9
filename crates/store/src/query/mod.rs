//! Queries over documents: parsed once from Elasticsearch's DSL, and evaluated by whoever holds the documents.

mod bounds;
mod matching;
mod parse;
mod words;

use serde_json::Value;

pub use bounds::Bounds;
pub use matching::{Document, compare, values, wildcard};
pub use parse::{Context, QueryError, parse};
pub use words::{query_string, simple_query_string};

/// What documents are asked for. A field is a path with dots; `_id` and `_index` are fields too.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    All,
    None,
    /// One of the values.
    Terms {
        field: String,
        values: Vec<Value>,
        ignore_case: bool,
    },
    Range {
        field: String,
        from: Option<Limit>,
        to: Option<Limit>,
    },
    Exists(String),
    Prefix {
        field: String,
        prefix: String,
        ignore_case: bool,
    },
    /// `*` and `?`. Of the field `*`, of any text of the document.
    Wildcard {
        field: String,
        pattern: String,
        ignore_case: bool,
    },
    Ids(Vec<String>),
    /// Words of a text. Without a field, of all texts of the document.
    Words {
        field: Option<String>,
        words: Vec<String>,
        how: How,
    },
    /// One of the objects at a path, taken alone.
    Nested {
        path: String,
        query: Box<Query>,
    },
    Bool {
        must: Vec<Query>,
        should: Vec<Query>,
        must_not: Vec<Query>,
        /// How many of `should` there must be.
        at_least: usize,
    },
}

/// How words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Any,
    All,
    /// One after the other.
    Phrase,
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// A number, also for a date (epoch milliseconds), or a text.
    pub value: Value,
    pub inclusive: bool,
}

/// What a field holds, as far as queries differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Keyword,
    /// Looked at by its words, in any case.
    Text,
    Number,
    Date,
    Bool,
}

impl Query {
    /// All of them.
    pub fn and(queries: Vec<Query>) -> Self {
        Self::Bool {
            must: queries,
            should: Vec::new(),
            must_not: Vec::new(),
            at_least: 0,
        }
    }

    /// One of them.
    pub fn or(queries: Vec<Query>) -> Self {
        Self::Bool {
            must: Vec::new(),
            should: queries,
            must_not: Vec::new(),
            at_least: 1,
        }
    }

    pub fn term(field: &str, value: impl Into<Value>) -> Self {
        Self::Terms {
            field: field.to_owned(),
            values: vec![value.into()],
            ignore_case: false,
        }
    }
}

#[cfg(test)]
mod tests;
