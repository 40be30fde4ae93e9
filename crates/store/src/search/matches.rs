//! The documents of a segment that match.

use tantivy::query::{AllScorer, EnableScoring, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentOrdinal, TERMINATED};

use super::compile::compile;
use super::error::Result;
use super::view::View;
use crate::query::{Context, Dsl, Query};

/// A query, made ready for the segments of a view.
pub struct Matches {
    weight: Box<dyn Weight>,
    /// It matches every document.
    is_all: bool,
    scores: bool,
}

impl Matches {
    /// With scores, where they are asked for.
    ///
    /// # Errors
    /// For values that a field can't have.
    pub fn new(view: &View, queries: &[&Dsl], now: i64, scores: bool) -> Result<Self> {
        let context = Context { schema: view, now };
        let mut all = Vec::new();
        for query in queries {
            match query.read(&context)? {
                Query::All => {}
                query => all.push(query),
            }
        }
        let query = match all.len() {
            0 => Query::All,
            1 => all.remove(0),
            // The first is the one that gives the score.
            _ => Query::Bool {
                filter: all.split_off(1),
                must: all,
                should: Vec::new(),
                must_not: Vec::new(),
                at_least: 0,
            },
        };
        let searcher = &view.reader.searcher;
        let scoring = match scores {
            true => EnableScoring::enabled_from_searcher(searcher),
            false => EnableScoring::disabled_from_searcher(searcher),
        };
        Ok(Self {
            weight: compile(&query, view)?.weight(scoring)?,
            is_all: query == Query::All,
            scores,
        })
    }

    /// Whether its documents have scores.
    pub fn scores(&self) -> bool {
        self.scores
    }

    /// Documents of a segment, ascending.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn of(&self, view: &View, segment: SegmentOrdinal) -> Result<Docs> {
        let reader = view.reader.searcher.segment_reader(segment);
        let max = reader.max_doc();
        let mut scorer = None;
        if !self.is_all {
            let each = self.weight.scorer(reader, 1.0)?;
            if self.scores || !each.is::<AllScorer>() {
                scorer = Some(each);
            }
        }
        let mut docs = Docs {
            doc: 0,
            max,
            scorer,
            alive: reader.alive_bitset().cloned(),
        };
        docs.doc = docs.scorer.as_ref().map_or(0, |scorer| scorer.doc());
        docs.settle();
        Ok(docs)
    }

    /// How many documents of a segment match.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn count(&self, view: &View, segment: SegmentOrdinal) -> Result<u64> {
        let reader = view.reader.searcher.segment_reader(segment);
        Ok(u64::from(match self.is_all {
            true => reader.num_docs(),
            false => self.weight.count(reader)?,
        }))
    }
}

/// Documents of a segment that match and are not deleted, ascending.
pub struct Docs {
    doc: DocId,
    max: DocId,
    /// None: all of them.
    scorer: Option<Box<dyn Scorer>>,
    alive: Option<tantivy::fastfield::AliveBitSet>,
}

impl Docs {
    /// The document at hand; [`TERMINATED`] when there is none more.
    #[inline]
    pub fn doc(&self) -> DocId {
        self.doc
    }

    pub fn score(&mut self) -> Score {
        self.scorer.as_mut().map_or(1.0, |scorer| scorer.score())
    }

    #[inline]
    pub fn advance(&mut self) {
        self.step();
        self.settle();
    }

    /// To the first document from this one on.
    pub fn seek(&mut self, doc: DocId) {
        if self.doc >= doc {
            return;
        }
        self.doc = match &mut self.scorer {
            Some(scorer) => scorer.seek(doc),
            None => doc,
        };
        self.settle();
    }

    #[inline]
    fn step(&mut self) {
        self.doc = match &mut self.scorer {
            Some(scorer) => scorer.advance(),
            None => self.doc + 1,
        };
    }

    /// Over those that are deleted.
    #[inline]
    fn settle(&mut self) {
        if self.doc >= self.max {
            self.doc = TERMINATED;
        }
        while self.doc != TERMINATED
            && self
                .alive
                .as_ref()
                .is_some_and(|alive| alive.is_deleted(self.doc))
        {
            self.step();
            if self.doc >= self.max {
                self.doc = TERMINATED;
            }
        }
    }
}
