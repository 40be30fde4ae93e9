//! Records of one file, whatever it is written in, one by one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tidewatch_model::record::RecordBatch;

use super::bytes::{Bytes, FileId, Stamp, fill};
use super::layout::Layout;
use super::lines::Lines;
use super::parquet::Rows;
use crate::projection::Projection;

/// What a file is known again by, beside its number.
const HEAD_BYTES: usize = 512;

/// A file whose records can be read.
#[derive(Debug, Clone)]
pub(super) struct FileInfo {
    pub id: FileId,
    /// Its path below the directory.
    pub name: String,
    pub path: PathBuf,
    pub layout: Layout,
    pub compressed: bool,
    /// When it was scanned.
    pub stamp: Stamp,
    /// Its first bytes, decompressed.
    pub head: Vec<u8>,
}

/// What there was to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Record,
    /// One that can't be read, or has no time.
    Bad,
    End,
    /// The beginning of a record of which more may come.
    Waiting,
}

/// The records from a place on. A place is a number of bytes, in Parquet of rows.
pub(super) enum Records {
    Lines(Box<Lines>),
    Parquet(Box<Rows>),
}

impl Records {
    /// `whole` says that the last line needs no end; `full` that documents are asked for.
    pub fn new(
        bytes: Arc<Mutex<Bytes>>,
        layout: &Layout,
        projection: Arc<Projection>,
        whole: bool,
        full: bool,
    ) -> io::Result<Self> {
        Ok(match layout {
            Layout::Parquet => {
                let file = bytes.lock().file()?;
                Self::Parquet(Box::new(Rows::open(file, projection, full)?))
            }
            layout => {
                let lines = Lines::new(bytes, layout.clone(), projection, whole);
                Self::Lines(Box::new(lines))
            }
        })
    }

    /// Opens a file that is known. None when another has taken its place.
    pub fn open(
        info: &FileInfo,
        projection: Arc<Projection>,
        full: bool,
    ) -> io::Result<Option<Self>> {
        let (bytes, stamp, head) = open(&info.path)?;
        if stamp.id != info.id || !head.starts_with(&info.head) {
            return Ok(None);
        }
        Self::new(bytes, &info.layout, projection, true, full).map(Some)
    }

    /// Where the next record begins.
    pub fn at(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.at(),
            Self::Parquet(rows) => rows.at(),
        }
    }

    /// Goes to where a record begins.
    pub fn seek(&mut self, at: u64) {
        match self {
            Self::Lines(lines) => lines.seek(at),
            Self::Parquet(rows) => rows.seek(at),
        }
    }

    /// Adds the next record to a batch, or counts a bad one there.
    pub fn next(&mut self, batch: &mut RecordBatch) -> io::Result<Step> {
        match self {
            Self::Lines(lines) => lines.next(batch),
            Self::Parquet(rows) => rows.next(batch),
        }
    }

    /// The record that was read last, as a document.
    pub fn document(&self) -> Map<String, Value> {
        match self {
            Self::Lines(lines) => lines.document(),
            Self::Parquet(rows) => rows.document(),
        }
    }
}

/// A file, and what it begins with.
pub(super) fn open(path: &Path) -> io::Result<(Arc<Mutex<Bytes>>, Stamp, Vec<u8>)> {
    let (mut bytes, stamp) = Bytes::open(path)?;
    let mut head = vec![0; HEAD_BYTES];
    // What can't be read at all is told by whoever reads it.
    let len = fill(&mut head, |into, at| bytes.read_at(at, into)).unwrap_or(0);
    head.truncate(len);
    Ok((Arc::new(Mutex::new(bytes)), stamp, head))
}
