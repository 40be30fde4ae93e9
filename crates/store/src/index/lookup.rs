//! Documents by their id, in what is committed

use std::sync::Arc;

use tantivy::columnar::ColumnValues;
use tantivy::fastfield::AliveBitSet;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, DocSet, InvertedIndexReader, Searcher, TERMINATED, Term};

use super::error::Result;
use super::schema::PHYSICAL;

/// The segments of a commit, ready for many look-ups.
pub struct Lookup {
    pub searcher: Searcher,
    segments: Vec<Segment>,
}

struct Segment {
    ids: Arc<InvertedIndexReader>,
    seq_nos: Arc<dyn ColumnValues<u64>>,
    versions: Arc<dyn ColumnValues<u64>>,
    alive: Option<AliveBitSet>,
}

/// Where a document is.
#[derive(Debug, Clone, Copy)]
pub struct Located {
    pub address: DocAddress,
    pub seq_no: u64,
    pub version: u64,
}

impl Lookup {
    pub fn new(searcher: Searcher) -> Result<Self> {
        let segments = searcher
            .segment_readers()
            .iter()
            .map(|segment| {
                let columns = segment.fast_fields();
                Ok(Segment {
                    ids: segment.inverted_index(PHYSICAL.id)?,
                    seq_nos: columns.column_first_or_default("_seq_no")?,
                    versions: columns.column_first_or_default("_version")?,
                    alive: segment.alive_bitset().cloned(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { searcher, segments })
    }

    /// The document with an id.
    pub fn find(&self, id: &str) -> Result<Option<Located>> {
        let term = Term::from_field_text(PHYSICAL.id, id);
        // What was written last is likelier to be asked for.
        let mut ord = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        for segment in self.segments.iter().rev() {
            ord -= 1;
            let postings = segment
                .ids
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(tantivy::TantivyError::from)?;
            let Some(mut postings) = postings else {
                continue;
            };
            let mut doc = postings.doc();
            while doc != TERMINATED {
                if segment
                    .alive
                    .as_ref()
                    .is_none_or(|alive| alive.is_alive(doc))
                {
                    return Ok(Some(Located {
                        address: DocAddress::new(ord, doc),
                        seq_no: segment.seq_nos.get_val(doc),
                        version: segment.versions.get_val(doc),
                    }));
                }
                doc = postings.advance();
            }
        }
        Ok(None)
    }
}

/// The term of an id, to delete it by.
pub fn term_of(id: &str) -> Term {
    Term::from_field_text(PHYSICAL.id, id)
}
