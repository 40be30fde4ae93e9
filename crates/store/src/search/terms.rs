//! Documents that have one of the terms that something holds of: prefixes, patterns and regular expressions.

use tantivy::query::{
    BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query, Scorer, Weight,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TERMINATED, Term};

use crate::query::{Pattern, wildcard};

/// What terms are held against.
#[derive(Debug, Clone)]
pub(super) enum Matcher {
    Lowercase(Vec<String>),
    Prefix(String),
    LowercasePrefix(String),
    Wildcard(String),
    LowercaseWildcard(String),
    Regexp(Pattern),
}

impl Matcher {
    pub fn is_match(&self, term: &str) -> bool {
        match self {
            Self::Lowercase(wanted) => wanted.contains(&term.to_lowercase()),
            Self::Prefix(prefix) => term.starts_with(prefix.as_str()),
            Self::LowercasePrefix(prefix) => term.to_lowercase().starts_with(prefix.as_str()),
            Self::Wildcard(pattern) => wildcard(pattern, term),
            Self::LowercaseWildcard(pattern) => wildcard(pattern, &term.to_lowercase()),
            Self::Regexp(pattern) => pattern.is_match(term),
        }
    }

    /// What every term that matches begins with.
    fn prefix(&self) -> &str {
        match self {
            Self::Prefix(prefix) => prefix,
            Self::Wildcard(pattern) => {
                let end = pattern.find(['*', '?', '\\']).unwrap_or(pattern.len());
                &pattern[..end]
            }
            Self::Regexp(pattern) => pattern.prefix(),
            Self::Lowercase(_) | Self::LowercasePrefix(_) | Self::LowercaseWildcard(_) => "",
        }
    }
}

/// Of a path, the documents with a term that matches.
#[derive(Debug, Clone)]
pub(super) struct TermsQuery {
    path: Term,
    matcher: Matcher,
}

impl TermsQuery {
    /// A path is a term without a value.
    pub fn new(path: Term, matcher: Matcher) -> Self {
        Self { path, matcher }
    }
}

impl Query for TermsQuery {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for TermsQuery {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let inverted = reader.inverted_index(self.path.field())?;
        let mut empty = self.path.clone();
        empty.append_type_and_str("");
        let start = empty.serialized_value_bytes().len();
        let mut first = self.path.clone();
        first.append_type_and_str(self.matcher.prefix());
        let first = first.serialized_value_bytes();
        let mut documents = BitSet::with_max_value(reader.max_doc());
        let mut terms = inverted.terms().range().ge(first).into_stream()?;
        while let Some((term, info)) = terms.next() {
            if !term.starts_with(first) {
                break;
            }
            let word = str::from_utf8(&term[start..]).unwrap_or_default();
            if !self.matcher.is_match(word) {
                continue;
            }
            let mut postings =
                inverted.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
            let mut doc = postings.doc();
            while doc != TERMINATED {
                documents.insert(doc);
                doc = postings.advance();
            }
        }
        Ok(Box::new(ConstScorer::new(
            BitSetDocSet::from(documents),
            boost,
        )))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("TermsQuery", 1.0))
    }
}
