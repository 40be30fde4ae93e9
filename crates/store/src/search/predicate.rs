//! Queries that are checked document by document.

use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde_json::{Map, Value};
use tantivy::query::doc_predicate_query::{
    ConstOrVariableSegmentPredicate, DocPredicate, DocPredicateQuery, SegmentDocPredicate,
};
use tantivy::query::{AllScorer, EmptyQuery, Query as Boxed};
use tantivy::{DocAddress, DocId, DocSet, SegmentOrdinal, SegmentReader};

use super::error::Result;
use super::span::Span;
use super::values::FieldValues;
use super::view::View;
use super::zones::{Near, Zones};
use crate::index::{Found, Kind};
use crate::query::{Document, Limit, Query};

/// What is asked of each document.
enum Check {
    /// A runtime field, by its values.
    Runtime { path: String, query: Query },
    /// The document as it was sent.
    Source(Arc<Query>),
    /// One of many numbers, by their bits.
    Numbers {
        path: String,
        wholes: FxHashSet<i64>,
        fractions: FxHashSet<u64>,
    },
    /// A value between two others.
    Between {
        path: String,
        from: Option<Limit>,
        to: Option<Limit>,
    },
}

impl Check {
    /// The field whose values are looked at.
    fn path(&self) -> Option<&str> {
        match self {
            Self::Runtime { path, .. }
            | Self::Numbers { path, .. }
            | Self::Between { path, .. } => Some(path),
            Self::Source(_) => None,
        }
    }
}

struct Checked {
    view: View,
    check: Arc<Check>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").finish_non_exhaustive()
    }
}

fn query(view: &View, check: Check) -> Box<dyn Boxed> {
    let checked = Checked {
        view: view.clone(),
        check: Arc::new(check),
    };
    Box::new(DocPredicateQuery::from(checked))
}

/// A query of a runtime field.
pub(super) fn of_runtime(view: &View, path: &str, of: &Query) -> Box<dyn Boxed> {
    let check = Check::Runtime {
        path: path.to_owned(),
        query: of.clone(),
    };
    query(view, check)
}

/// A query of what stands in the source.
pub(super) fn of_source(view: &View, of: Arc<Query>) -> Box<dyn Boxed> {
    query(view, Check::Source(of))
}

/// One of many numbers.
pub(super) fn of_numbers(view: &View, found: &Found, values: &[Value]) -> Box<dyn Boxed> {
    let whole = |value: &Value| match value.as_i64() {
        None => value.as_f64().and_then(|number| {
            let is_whole = number.fract() == 0.0 && number.abs() < i64::MAX as f64;
            is_whole.then_some(number as i64)
        }),
        whole => whole,
    };
    let check = Check::Numbers {
        path: found.path.clone(),
        wholes: match found.field.kind {
            Kind::UnsignedLong => values
                .iter()
                .filter_map(Value::as_u64)
                .map(u64::cast_signed)
                .collect(),
            _ => values.iter().filter_map(whole).collect(),
        },
        fractions: values
            .iter()
            .filter_map(Value::as_f64)
            .map(f64::to_bits)
            .collect(),
    };
    match values {
        [] => Box::new(EmptyQuery),
        _ => query(view, check),
    }
}

/// Numbers or words between two limits. The words of addresses are their digits.
pub(super) fn between(
    view: &View,
    path: &str,
    from: Option<&Limit>,
    to: Option<&Limit>,
) -> Box<dyn Boxed> {
    let check = Check::Between {
        path: path.to_owned(),
        from: from.cloned(),
        to: to.cloned(),
    };
    query(view, check)
}

impl DocPredicate for Checked {
    type SegmentDocPredicate = OfSegment;

    fn doc_predicate(
        &self,
        reader: &SegmentReader,
    ) -> tantivy::Result<ConstOrVariableSegmentPredicate<OfSegment>> {
        let segments = self.view.reader.searcher.segment_readers();
        let at = segments
            .iter()
            .position(|segment| segment.segment_id() == reader.segment_id());
        let Some(segment) = at.and_then(|at| SegmentOrdinal::try_from(at).ok()) else {
            return Ok(ConstOrVariableSegmentPredicate::Const(false));
        };
        let values = match self.check.path() {
            None => Ok(FieldValues::None),
            Some(path) => FieldValues::open(&self.view, segment, path),
        };
        let prepared = values.and_then(|values| match &*self.check {
            Check::Between { from, to, .. } => {
                let span = Span::new(values, from.as_ref(), to.as_ref())?;
                Ok((FieldValues::None, Some(span)))
            }
            _ => Ok((values, None)),
        });
        let (values, span) = match prepared {
            Ok((_, Some(Span::Const(is)))) => {
                return Ok(ConstOrVariableSegmentPredicate::Const(is));
            }
            Ok(prepared) => prepared,
            Err(error) => {
                self.view.fail(error);
                return Ok(ConstOrVariableSegmentPredicate::Const(false));
            }
        };
        let necessary_condition: Box<dyn DocSet> = match (&span, self.check.path()) {
            (Some(Span::I64(column, low, high)), Some(path)) => {
                let zones = Zones::of(&self.view, segment, path, column);
                Box::new(Near::new(zones, *low, *high))
            }
            _ => Box::new(AllScorer::new(reader.max_doc())),
        };
        Ok(ConstOrVariableSegmentPredicate::Variable {
            predicate: OfSegment {
                view: self.view.clone(),
                segment,
                check: Arc::clone(&self.check),
                values,
                span,
            },
            necessary_condition,
        })
    }
}

struct OfSegment {
    view: View,
    segment: SegmentOrdinal,
    check: Arc<Check>,
    values: FieldValues,
    span: Option<Span>,
}

impl OfSegment {
    fn is(&mut self, doc: DocId) -> Result<bool> {
        if let Some(span) = &self.span {
            return Ok(span.has(doc));
        }
        match &*self.check {
            Check::Between { .. } => Ok(false),
            Check::Numbers {
                wholes, fractions, ..
            } => Ok(match &self.values {
                FieldValues::I64(column) => column
                    .values_for_doc(doc)
                    .any(|value| wholes.contains(&value)),
                FieldValues::U64(column) => column
                    .values_for_doc(doc)
                    .any(|value| wholes.contains(&value.cast_signed())),
                FieldValues::F64(column) => column
                    .values_for_doc(doc)
                    .any(|value| fractions.contains(&value.to_bits())),
                _ => false,
            }),
            Check::Runtime { path, query } => {
                self.values.hold(doc)?;
                let mut values = Vec::new();
                self.values
                    .each(doc, &mut |value| values.push(value.json()))?;
                let source = Value::Object(Map::from_iter([(path.clone(), values.into())]));
                Ok(query.matches(Document {
                    index: self.view.name(),
                    id: "",
                    source: &source,
                    schema: None,
                }))
            }
            Check::Source(query) => {
                let address = DocAddress::new(self.segment, doc);
                let document = self.view.reader.document(address)?;
                let source = serde_json::from_slice(&document.source).unwrap_or_default();
                Ok(query.matches(Document {
                    index: self.view.name(),
                    id: &document.id,
                    source: &source,
                    schema: Some(&self.view),
                }))
            }
        }
    }
}

impl SegmentDocPredicate for OfSegment {
    fn eval(&mut self, doc: DocId) -> bool {
        match self.is(doc) {
            Ok(is) => is,
            Err(error) => {
                self.view.fail(error);
                false
            }
        }
    }
}
