//! Why the index refuses something: in Elasticsearch's words

use std::sync::Arc;

use crate::StoreError;

/// The result of every call of the index.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;

/// What is wrong with a request, or with one document of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Elasticsearch's type of the error.
    pub kind: &'static str,
    pub reason: String,
    pub caused_by: Option<Box<Refusal>>,
    /// The index that the error is about, where Elasticsearch tells it.
    pub index: Option<IndexName>,
}

/// An index as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexName {
    pub name: String,
    /// `_na_` where there is no such index.
    pub uuid: String,
}

impl Refusal {
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            caused_by: None,
            index: None,
        }
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::new("illegal_argument_exception", reason)
    }

    pub fn mapper_parsing(reason: impl Into<String>) -> Self {
        Self::new("mapper_parsing_exception", reason)
    }

    pub fn no_such_index(name: &str) -> Self {
        Self::new(
            "index_not_found_exception",
            format!("no such index [{name}]"),
        )
        .about(name, "_na_")
    }

    pub fn because(mut self, cause: Refusal) -> Self {
        self.caused_by = Some(Box::new(cause));
        self
    }

    pub fn about(mut self, name: &str, uuid: &str) -> Self {
        self.index = Some(IndexName {
            name: name.to_owned(),
            uuid: uuid.to_owned(),
        });
        self
    }

    /// The HTTP status that Elasticsearch gives it.
    pub fn status(&self) -> u16 {
        match self.kind {
            "index_not_found_exception"
            | "aliases_not_found_exception"
            | "document_missing_exception" => 404,
            "version_conflict_engine_exception" => 409,
            _ => 400,
        }
    }
}

/// An error of the index.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// The request can't be done as it stands.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files of an index can't be read or written: a full or failing disk, a damaged file.
    #[error("index error: {0}")]
    Tantivy(Arc<tantivy::TantivyError>),
}

impl From<tantivy::TantivyError> for IndexError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Tantivy(Arc::new(error))
    }
}
