//! Queries over documents: parsed once from Elasticsearch's DSL, and evaluated by whoever holds the documents.
//!
//! A [`Dsl`] is a query as it was sent. Read by the [`Schema`] of an index it is a [`Query`], whose values are as the
//! fields of that index have them: dates are epoch milliseconds.

mod bounds;
mod matching;
mod parse;
mod parts;
mod regexp;
mod schema;
mod typed;

use serde_json::{Map, Value};

pub use bounds::Bounds;
pub use matching::{Document, compare, values, wildcard};
pub use parse::{Context, QueryError, parse};
pub use regexp::Pattern;
pub use schema::{Field, FieldType, Loose, Nothing, Schema};
pub use typed::{query_string, simple_query_string};

pub(crate) use matching::as_field;
pub(crate) use parse::fault;

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
    /// Addresses from one to another, inclusive; those of IPv4 as they are within IPv6.
    Addresses {
        field: String,
        from: u128,
        to: u128,
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
    Regexp {
        field: String,
        pattern: Pattern,
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
        /// As `must`, but of no weight in the score.
        filter: Vec<Query>,
        should: Vec<Query>,
        must_not: Vec<Query>,
        /// How many of `should` there must be.
        at_least: usize,
    },
    /// The best of several counts, and a part of the others.
    Best {
        queries: Vec<Query>,
        tie_breaker: f32,
    },
    /// The score is this number.
    Constant {
        query: Box<Query>,
        score: f32,
    },
    /// The score counts so many times.
    Boosted {
        query: Box<Query>,
        boost: f32,
    },
}

/// How words are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// At least so many of them.
    AtLeast(usize),
    All,
    /// One after the other, with room for so many moves.
    Phrase(u32),
    /// As a phrase whose last word is only begun.
    PhrasePrefix,
}

impl How {
    pub const ANY: Self = Self::AtLeast(1);
}

/// An end of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// A number, also for a date (epoch milliseconds), or a text.
    pub value: Value,
    pub inclusive: bool,
}

impl Query {
    /// All of them.
    pub fn and(queries: Vec<Query>) -> Self {
        Self::Bool {
            must: queries,
            filter: Vec::new(),
            should: Vec::new(),
            must_not: Vec::new(),
            at_least: 0,
        }
    }

    /// One of them.
    pub fn or(queries: Vec<Query>) -> Self {
        Self::Bool {
            must: Vec::new(),
            filter: Vec::new(),
            should: queries,
            must_not: Vec::new(),
            at_least: 1,
        }
    }

    /// All but those that match it.
    pub fn except(query: Query) -> Self {
        Self::Bool {
            must: Vec::new(),
            filter: Vec::new(),
            should: Vec::new(),
            must_not: vec![query],
            at_least: 0,
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

/// A query as it was sent, its form checked. What its values mean is told by the index that it asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Dsl(Value);

impl Default for Dsl {
    fn default() -> Self {
        Self::all()
    }
}

impl Dsl {
    /// # Errors
    /// [`QueryError`] for what is malformed, and by its name for a kind that isn't known.
    pub fn new(json: Value) -> Result<Self, QueryError> {
        parse(&json, &Context::new(&Nothing))?;
        Ok(Self(json))
    }

    pub fn all() -> Self {
        Self(Map::from_iter([("match_all".to_owned(), Value::Object(Map::new()))]).into())
    }

    /// All of them.
    pub fn and(queries: Vec<Dsl>) -> Self {
        let filter = queries.into_iter().map(|query| query.0).collect();
        let filter = Map::from_iter([("filter".to_owned(), Value::Array(filter))]);
        Self(Map::from_iter([("bool".to_owned(), filter.into())]).into())
    }

    pub fn json(&self) -> &Value {
        &self.0
    }

    /// As an index understands it.
    ///
    /// # Errors
    /// [`QueryError`] for values that a field of the index can't have.
    pub fn read(&self, context: &Context<'_>) -> Result<Query, QueryError> {
        parse(&self.0, context)
    }
}

#[cfg(test)]
mod tests;
