//! Open files: those that were read last stay where they are.

use std::io;
use std::sync::Arc;

use tidewatch_model::record::RecordBatch;

use super::filter::Filter;
use super::records::{FileInfo, Records};
use crate::projection::Projection;

/// Files that are open at once; of a compressed one a decoder takes about a megabyte.
const MAX_OPEN: usize = 128;

pub(super) struct Reader {
    projection: Arc<Projection>,
    filter: Option<Arc<Filter>>,
    /// The one that was read last is the last.
    open: Vec<(Arc<FileInfo>, Records)>,
}

impl Reader {
    pub fn new(projection: Arc<Projection>, filter: Option<Arc<Filter>>) -> Self {
        Self {
            projection,
            filter,
            open: Vec::new(),
        }
    }

    pub fn batch(&self) -> RecordBatch {
        self.projection.batch()
    }

    /// The records of a file, somewhere in it. None when it isn't what it was.
    pub fn take(&mut self, file: &Arc<FileInfo>) -> io::Result<Option<Records>> {
        let is_it = |(known, _): &(Arc<FileInfo>, Records)| {
            // A decoder that has seen the end, or damage, doesn't go on.
            let goes_on = !file.compressed || known.stamp == file.stamp;
            known.id == file.id && file.head.starts_with(&known.head) && goes_on
        };
        match self.open.iter().rposition(is_it) {
            Some(at) => Ok(Some(self.open.remove(at).1)),
            None => match Records::open(file, self.projection.clone(), self.filter.is_some()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                opened => opened,
            },
        }
    }

    pub fn give_back(&mut self, file: &Arc<FileInfo>, records: Records) {
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push((file.clone(), records));
    }

    /// Forgets the files that aren't among these: they keep their places on the disk as long as they are open.
    pub fn keep(&mut self, is_there: impl Fn(&FileInfo) -> bool) {
        self.open.retain(|(file, _)| is_there(file));
    }

    /// Whether the record that was read last is asked for.
    pub fn wants(&self, records: &Records, time: i64) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.takes(records.document(), time))
    }
}
