//! The least and the most of a column's values, block by block: what is written in the order of its time is found without
//! looking at all of it.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tantivy::columnar::ColumnIndex;
use tantivy::index::SegmentId;
use tantivy::{DocId, DocSet, TERMINATED};

use super::view::View;
use crate::index::Values;

/// Documents of a block. Tests have few documents, and many blocks.
const BLOCK: DocId = if cfg!(test) { 3 } else { 512 };
/// Columns whose zones are known at a time.
const MOST_KNOWN: usize = 4_096;

/// A value that has zones.
pub(super) trait Value: PartialOrd + Copy + Default + Debug + Send + Sync + 'static {
    /// Its place in the order of values.
    fn place(self) -> i64;
}

impl Value for i64 {
    fn place(self) -> i64 {
        self
    }
}

impl Value for u64 {
    fn place(self) -> i64 {
        Self::try_into(self).unwrap_or(i64::MAX)
    }
}

/// By segment and field.
type Known = FxHashMap<(SegmentId, String), Arc<Zones>>;

/// What a column holds, block by block.
pub(super) struct Zones {
    max_doc: DocId,
    /// Least and most of each block; the least is above the most where no document has a value.
    blocks: Box<[(i64, i64)]>,
    /// Every document has one value.
    pub is_full: bool,
    /// And none less than that of the document before.
    pub ascends: bool,
}

impl Zones {
    /// Of a column of a segment, which is read through once.
    pub fn of<T: Value>(view: &View, segment: u32, field: &str, column: &Values<T>) -> Arc<Self> {
        static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
        let reader = view.reader.searcher.segment_reader(segment);
        let key = (reader.segment_id(), field.to_owned());
        if let Some(zones) = KNOWN.lock().get(&key) {
            return Arc::clone(zones);
        }
        let zones = Arc::new(Self::new(column, reader.max_doc()));
        let mut known = KNOWN.lock();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(key, Arc::clone(&zones));
        zones
    }

    fn new<T: Value>(column: &Values<T>, max_doc: DocId) -> Self {
        let is_full = matches!(column.index, ColumnIndex::Full);
        let mut ascends = is_full;
        let mut before = i64::MIN;
        let mut buffer = [T::default(); BLOCK as usize];
        let block = |number: DocId| {
            let docs = number * BLOCK..((number + 1) * BLOCK).min(max_doc);
            let mut rows = column.index.docid_range_to_rowids(docs);
            let (mut least, mut most) = (i64::MAX, i64::MIN);
            while !rows.is_empty() {
                let some = (rows.len()).min(buffer.len());
                let values = &mut buffer[..some];
                column.values.get_range(rows.start.into(), values);
                for value in values {
                    let value = (*value).place();
                    least = least.min(value);
                    most = most.max(value);
                    ascends &= before <= value;
                    before = value;
                }
                rows.start += some as u32;
            }
            (least, most)
        };
        Self {
            blocks: (0..max_doc.div_ceil(BLOCK)).map(block).collect(),
            max_doc,
            is_full,
            ascends,
        }
    }

    /// Where the block of a document ends.
    pub fn end(&self, doc: DocId) -> DocId {
        ((doc / BLOCK + 1) * BLOCK).min(self.max_doc)
    }

    /// The first document from one on whose block has values that may be wanted; [`TERMINATED`] when there is none.
    pub fn next(&self, doc: DocId, wanted: impl Fn(RangeInclusive<i64>) -> bool) -> DocId {
        if doc >= self.max_doc {
            return TERMINATED;
        }
        let first = doc / BLOCK;
        let mut blocks = (first..).zip(&self.blocks[first as usize..]);
        match blocks.find(|(_, (least, most))| least <= most && wanted(*least..=*most)) {
            Some((block, _)) => doc.max(block * BLOCK),
            None => TERMINATED,
        }
    }
}

/// The documents of the blocks that have values between two.
pub(super) struct Near {
    zones: Arc<Zones>,
    low: i64,
    high: i64,
    doc: DocId,
    /// Where the block at hand ends.
    end: DocId,
}

impl Near {
    pub fn new(zones: Arc<Zones>, low: i64, high: i64) -> Self {
        let mut near = Self {
            zones,
            low,
            high,
            doc: 0,
            end: 0,
        };
        near.doc = near.settle(0);
        near
    }

    /// Whether a block has values between two.
    pub fn meets(zone: &RangeInclusive<i64>, low: i64, high: i64) -> bool {
        *zone.start() <= high && low <= *zone.end()
    }

    fn settle(&mut self, doc: DocId) -> DocId {
        if doc < self.end {
            return doc;
        }
        let (low, high) = (self.low, self.high);
        let doc = self.zones.next(doc, |zone| Self::meets(&zone, low, high));
        self.end = match doc {
            TERMINATED => 0,
            doc => self.zones.end(doc),
        };
        doc
    }
}

impl DocSet for Near {
    #[inline]
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = self.settle(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = self.settle(target);
        }
        self.doc
    }

    #[inline]
    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        let near = self.zones.blocks.iter().filter(|(least, most)| {
            least <= most && Self::meets(&(*least..=*most), self.low, self.high)
        });
        u32::try_from(near.count())
            .unwrap_or(u32::MAX)
            .saturating_mul(BLOCK)
            .min(self.zones.max_doc)
    }
}
