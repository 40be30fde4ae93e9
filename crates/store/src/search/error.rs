//! Why a search gives nothing.

use crate::StoreError;
use crate::index::IndexError;
use crate::query::QueryError;

pub type Result<T, E = SearchError> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum SearchError {
    /// The request can't be done as it stands: Elasticsearch's type of the error, and its reason. Status 400.
    #[error(transparent)]
    Refused(#[from] QueryError),
    /// A script that can't be compiled, or that failed. Status 400.
    #[error(transparent)]
    Script(#[from] crate::script::ScriptError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(error.into())
    }
}

impl From<std::io::Error> for SearchError {
    fn from(error: std::io::Error) -> Self {
        tantivy::TantivyError::from(error).into()
    }
}

pub(super) fn refuse<T>(kind: &'static str, reason: impl Into<String>) -> Result<T> {
    Err(fault(kind, reason))
}

pub(super) fn fault(kind: &'static str, reason: impl Into<String>) -> SearchError {
    SearchError::Refused(crate::query::fault(kind, reason))
}

pub(super) fn illegal<T>(reason: impl Into<String>) -> Result<T> {
    refuse("illegal_argument_exception", reason)
}
