//! What is asked of an index, and what it answers, document by document

use bytes::Bytes;
use serde_json::{Map, Value};

use super::error::Refusal;

/// One write.
#[derive(Debug, Clone, Default)]
pub struct Write {
    pub op: Op,
    /// None: the index makes one up (20 characters, safe in a URL). Never for a deletion or an update.
    pub id: Option<String>,
    /// The document as JSON, for [`Op::Index`] and [`Op::Create`].
    pub source: Bytes,
    pub routing: Option<String>,
    /// Only if the document has this `_seq_no` and `_primary_term`.
    pub if_seq_no: Option<u64>,
    pub if_primary_term: Option<u64>,
    pub version: Option<Versioned>,
}

#[derive(Debug, Clone, Default)]
pub enum Op {
    #[default]
    Index,
    /// Refused where there is one already.
    Create,
    Delete,
    Update(Box<Update>),
}

/// A version that the client keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioned {
    /// `external`: must be greater than the one there is.
    External(u64),
    /// `external_gte`: or equal.
    ExternalOrEqual(u64),
}

/// A part of a document, to go over the one there is.
#[derive(Debug, Clone)]
pub struct Update {
    pub doc: Option<Map<String, Value>>,
    /// What is written where there is no document.
    pub upsert: Option<Map<String, Value>>,
    pub doc_as_upsert: bool,
    /// Nothing is written where nothing changes.
    pub detect_noop: bool,
    /// How often another's write in between is overcome.
    pub retry_on_conflict: u32,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            doc: None,
            upsert: None,
            doc_as_upsert: false,
            detect_noop: true,
            retry_on_conflict: 0,
        }
    }
}

/// The answer to one write.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Also where one was made up.
    pub id: String,
    pub result: Result<Done, Refusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub effect: Effect,
    pub version: u64,
    pub seq_no: u64,
    pub primary_term: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Created,
    Updated,
    Deleted,
    /// A deletion of what isn't there: it takes a `seq_no` all the same.
    NotFound,
    /// An update that changes nothing.
    Noop,
}

impl Effect {
    /// `result` on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::NotFound => "not_found",
            Self::Noop => "noop",
        }
    }
}

/// A document as it is now.
#[derive(Debug, Clone)]
pub struct Stored {
    pub source: Bytes,
    pub routing: Option<String>,
    pub version: u64,
    pub seq_no: u64,
    pub primary_term: u64,
}
