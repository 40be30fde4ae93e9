//! Where a datafeed's records come from: what is asked of every source, whatever it reads.
//!
//! A source gives the records of a [`Window`] of time in ascending order, in [`Page`]s that are cut between two times:
//! a page holds all records of each of its milliseconds. So the time of the last record that a job has taken is all that
//! must be known to go on, and nothing is read twice. Records of the same time always come in the same order, since
//! sums depend on it.

mod aggregated;
pub mod files;
pub mod flatten;
mod http;
mod index;
mod prometheus;
mod remote;
mod settings;
pub mod sources;
#[cfg(test)]
mod standin;
mod wanted;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tidewatch_model::record::RecordBatch;

pub use prometheus::{RemoteWrite, Written};
pub use settings::{Directory, Endpoint, Secret, SourceSettings, Urls};
pub use sources::{InvalidSource, Sources};
pub use wanted::Wanted;

/// From `start` up to, not including, `end`: epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}

/// What there is in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Epoch milliseconds of the first and last document; none where there are none.
    pub earliest: Option<i64>,
    pub latest: Option<i64>,
    pub documents: u64,
}

/// Records on their way to a job.
#[derive(Debug)]
pub struct Page {
    pub batch: RecordBatch,
    /// Every record of the window before this time has now been given.
    pub until: i64,
}

/// Why a source gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It may be there again: the same window is asked for again later.
    #[error("{0}")]
    Unavailable(String),
    /// The request can't succeed as it stands: an index that is missing, a field without a mapping.
    #[error("{reason}")]
    Refused {
        status: u16,
        /// Elasticsearch's type of the error.
        kind: &'static str,
        reason: String,
    },
}

impl SourceError {
    /// A request that can't succeed, in the words of Elasticsearch's machine learning.
    pub(crate) fn refused(status: u16, reason: impl Into<String>) -> Self {
        Self::Refused {
            status,
            kind: match status {
                404 => "resource_not_found_exception",
                _ => "status_exception",
            },
            reason: reason.into(),
        }
    }
}

pub type Result<T> = std::result::Result<T, SourceError>;

/// Opens sources: those of a server, or a test's.
pub trait Open: Send + Sync {
    /// The source that a datafeed reads from; nothing is asked of it yet.
    ///
    /// # Errors
    /// Refused where there is no such source, or it can't do what the datafeed wants.
    fn open(&self, wanted: Wanted) -> Result<Box<dyn Source>>;
}

impl Open for Sources {
    fn open(&self, wanted: Wanted) -> Result<Box<dyn Source>> {
        Self::open(self, wanted)
    }
}

/// A source, with the query and the fields of one datafeed.
pub trait Source: Send + Sync {
    /// Refuses what can't be read at all: `_start` asks before anything is begun.
    fn check(&self) -> BoxFuture<'_, Result<()>>;

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>>;

    /// Whether it finds by itself how long a part of a window can be asked for at a time. Then nothing is counted before
    /// it is read.
    fn paces_itself(&self) -> bool {
        false
    }

    /// Begins to read a window, as it is at this moment.
    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>>;

    /// How many documents there are in each bucket of `span` milliseconds that has any, by its start, ascending.
    fn counts(&self, window: Window, span: i64) -> BoxFuture<'_, Result<Vec<(i64, u64)>>>;

    /// The first records of a window as a client would send them: at most `size`.
    fn preview(
        &self,
        window: Window,
        size: usize,
    ) -> BoxFuture<'_, Result<Vec<Map<String, Value>>>>;
}

/// The pages of a window, one after the other.
pub trait Pages: Send {
    /// `None` when the window is read to its end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>>;
}
