//! A search from end to end.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tantivy::{DocAddress, DocId, SegmentOrdinal, TERMINATED};
use tokio::runtime::{Handle, RuntimeFlavor};

use serde_json::{Map, Value};

use super::aggregations::{At, Tally};
use super::error::Result;
use super::hits::{Candidate, Hit, Place, Top, told_page};
use super::matches::Matches;
use super::request::{Counted, Search};
use super::scan::segments;
use super::sort::{Bound, Key};
use super::values::{Datum, FieldValues};
use super::view::View;
use super::zones::Zones;
use super::{Made, Target, now};
use crate::query::{Bounds, Context, Document, Dsl, Query, Schema, values};
use crate::{Source, Store};

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// How many documents match.
    pub total: u64,
    pub max_score: Option<f32>,
    /// None where none were asked for.
    pub aggregations: Option<Map<String, Value>>,
    /// An index was left before its end, as `terminate_after` says.
    pub terminated_early: bool,
}

/// How a place in the order of writing is told: the target, and the number there.
const TARGET_BITS: u32 = 44;

impl Store {
    /// Searches targets: the documents of each as they were when its reader was made, results as they are now.
    ///
    /// # Errors
    /// For what a request can't be: see [`SearchError`](super::SearchError).
    pub async fn search(&self, targets: &[Target], search: &Search) -> Result<Found> {
        search.check()?;
        let mut order: Vec<&Target> = targets.iter().collect();
        order.sort_by(|a, b| a.index().cmp(b.index()));
        let now = now();
        let mut state = State {
            search,
            now,
            tally: Tally::new(&search.aggregations, now)?,
            top: Top::new(search),
            bounds: Vec::new(),
            found: Found::default(),
        };
        for (number, target) in order.iter().enumerate() {
            match target {
                Target::Documents { view, filter } => {
                    blocking(|| state.documents(number, view, filter.as_ref()))?;
                }
                Target::Results { source, schema } => {
                    let of = (source, &**schema, None);
                    state.results(self, number, of).await?;
                }
                Target::Made {
                    source,
                    schema,
                    made,
                } => {
                    let of = (source, &**schema, Some(&**made));
                    state.results(self, number, of).await?;
                }
            }
        }
        blocking(|| state.finish(&order))
    }

    /// How many documents match.
    ///
    /// # Errors
    /// As for [`search`](Self::search).
    pub async fn count(&self, targets: &[Target], query: &Dsl) -> Result<u64> {
        let search = Search {
            query: query.clone(),
            size: 0,
            ..Search::default()
        };
        Ok(self.search(targets, &search).await?.total)
    }
}

/// Leaves other tasks to other threads meanwhile, where there are any.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

struct State<'s> {
    search: &'s Search,
    now: i64,
    tally: Tally<'s>,
    top: Top<'s>,
    /// How each target sorts.
    bounds: Vec<Vec<Bound>>,
    found: Found,
}

impl State<'_> {
    fn bind(&mut self, schema: &dyn Schema, view: Option<&View>) -> Result<Vec<Bound>> {
        let bounds: Result<Vec<Bound>> = self
            .search
            .sort
            .iter()
            .map(|key| key.bound(schema, view))
            .collect();
        self.bounds.push(bounds?);
        self.top.bind(schema);
        self.tally.bind(schema, view, self.bounds.len() - 1)?;
        Ok(self.bounds.last().cloned().unwrap_or_default())
    }

    fn documents(&mut self, target: usize, view: &View, filter: Option<&Dsl>) -> Result<()> {
        let bounds = self.bind(view, Some(view))?;
        let search = self.search;
        let queries: Vec<&Dsl> = std::iter::once(&search.query).chain(filter).collect();
        let matches = Matches::new(view, &queries, self.now, search.scores())?;
        let after = match &search.post_filter {
            Some(query) => Some(Matches::new(view, &[query], self.now, false)?),
            None => None,
        };
        let counts_only =
            self.top.is_empty() && self.tally.is_empty() && search.min_score.is_none();
        // Where nothing is asked of a document but its place in the order, blocks of documents may be left out.
        let skips = search.counted == Counted::Not
            && self.tally.is_empty()
            && after.is_none()
            && search.min_score.is_none()
            && search.terminate_after == 0;
        let mut left = match search.terminate_after {
            0 => u64::MAX,
            most => most,
        };
        for segment in segments(view) {
            if counts_only && after.is_none() && search.terminate_after == 0 {
                self.found.total += matches.count(view, segment)?;
                continue;
            }
            let mut of_segment = OfSegment::open(view, segment, search, target, bounds.clone())?;
            self.tally.open(view, segment)?;
            let mut docs = matches.of(view, segment)?;
            let mut passing = match &after {
                Some(after) => Some(after.of(view, segment)?),
                None => None,
            };
            let zones = match skips {
                true => of_segment.zones(view)?,
                false => None,
            };
            // Where the next block begins.
            let mut block = 0;
            while docs.doc() != TERMINATED {
                let doc = docs.doc();
                if let Some(zones) = &zones
                    && doc >= block
                {
                    let near = zones.next(doc, |zone| of_segment.may_offer(&zone, &self.top));
                    if near != doc {
                        docs.seek(near);
                        continue;
                    }
                    block = zones.end(doc);
                }
                let score = if matches.scores() { docs.score() } else { 0.0 };
                docs.advance();
                if search
                    .min_score
                    .is_some_and(|least| f64::from(score) < least)
                {
                    continue;
                }
                if left == 0 {
                    self.found.terminated_early = true;
                    break;
                }
                left -= 1;
                self.tally.take(At {
                    doc,
                    score,
                    json: None,
                })?;
                if let Some(passing) = &mut passing {
                    passing.seek(doc);
                    if passing.doc() != doc {
                        continue;
                    }
                }
                self.found.total += 1;
                if !self.top.is_empty() {
                    of_segment.offer(doc, score, &mut self.top)?;
                }
            }
        }
        view.check()
    }

    async fn results(
        &mut self,
        store: &Store,
        target: usize,
        (source, schema, made): (&Source, &dyn Schema, Option<&dyn Made>),
    ) -> Result<()> {
        let bounds = self.bind(schema, None)?;
        let context = Context {
            schema,
            now: self.now,
        };
        let query = self.search.query.read(&context)?;
        let passing = match &self.search.post_filter {
            Some(query) => query.read(&context)?,
            None => Query::All,
        };
        let mut number = 0;
        let mut refused = None;
        let mut take = |found: crate::Found| {
            let found = match made {
                Some(made) => made.document(found),
                None => Some(found),
            };
            let Some(found) = found else {
                return true;
            };
            let document = Document {
                index: &source.index,
                id: &found.id,
                source: &found.source,
                // Results stand there as queries mean them.
                schema: made.map(|_| schema),
            };
            number += 1;
            if !query.matches(document) {
                return true;
            }
            let taken = match self.tally.is_empty() {
                true => Ok(()),
                false => self.tally.take(At {
                    doc: 0,
                    score: 1.0,
                    json: Some((document, number)),
                }),
            };
            if let Err(error) = taken {
                refused = Some(error);
                return false;
            }
            if !passing.matches(document) {
                return true;
            }
            self.found.total += 1;
            if self.top.is_empty() {
                return true;
            }
            let sort = of_result(self.search, &bounds, document, target, number);
            self.top.offer(Candidate {
                sort,
                score: 1.0,
                target,
                number,
                place: Place::Result {
                    id: found.id,
                    source: found.source,
                },
            });
            true
        };
        let narrowed = match made {
            Some(made) => made.bounds(&query),
            None => Bounds::of(&query),
        };
        store.scan_documents(source, &narrowed, &mut take).await?;
        refused.map_or(Ok(()), Err)
    }

    fn finish(self, targets: &[&Target]) -> Result<Found> {
        let Self {
            search,
            mut top,
            tally,
            bounds,
            mut found,
            ..
        } = self;
        found.hits = told_page(search, targets, &bounds, top.take_page())?;
        if !tally.is_empty() {
            found.aggregations = Some(tally.answer(targets, search.typed_keys)?);
        }
        found.max_score = found
            .hits
            .iter()
            .filter_map(|hit| hit.score)
            .reduce(f32::max);
        Ok(found)
    }
}

fn own_order(target: usize, number: u64) -> Datum {
    let target = u64::try_from(target).unwrap_or_default() << TARGET_BITS;
    Datum::I64((target | number).cast_signed())
}

/// What a document in JSON is sorted by.
pub(super) fn of_result(
    search: &Search,
    bounds: &[Bound],
    document: Document<'_>,
    target: usize,
    number: u64,
) -> Vec<Option<Datum>> {
    let each = search.sort.iter().zip(bounds).map(|(key, bound)| {
        let mut all = Vec::new();
        match key.field.as_str() {
            "_score" => all.push(Datum::F64(1.0)),
            "_doc" | "_shard_doc" => all.push(own_order(target, number)),
            "_id" => all.push(Datum::Str(document.id.to_owned())),
            "_index" => all.push(Datum::Str(document.index.to_owned())),
            field => {
                values(document.source, field, &mut |value| {
                    all.extend(Datum::of(value));
                    false
                });
            }
        }
        key.value(&mut all, bound)
    });
    each.collect()
}

/// A segment whose documents are offered for the page.
pub(super) struct OfSegment<'s> {
    search: &'s Search,
    target: usize,
    segment: SegmentOrdinal,
    bounds: Vec<Bound>,
    columns: Vec<FieldValues>,
    seq_nos: Arc<dyn tantivy::columnar::ColumnValues<u64>>,
    values: Vec<Datum>,
}

impl<'s> OfSegment<'s> {
    pub fn open(
        view: &View,
        segment: SegmentOrdinal,
        search: &'s Search,
        target: usize,
        bounds: Vec<Bound>,
    ) -> Result<Self> {
        let columns: Result<Vec<FieldValues>> = search
            .sort
            .iter()
            .map(|key| match key.is_score() || key.is_own_order() {
                true => Ok(FieldValues::None),
                false => FieldValues::open(view, segment, &key.field),
            })
            .collect();
        Ok(Self {
            search,
            target,
            segment,
            bounds,
            columns: columns?,
            seq_nos: view.reader.seq_nos(segment)?,
            values: Vec::new(),
        })
    }

    /// Where the values are that come first in the order, if that is known.
    fn zones(&self, view: &View) -> Result<Option<Arc<Zones>>> {
        let Some(key) = self.search.sort.first() else {
            return Ok(None);
        };
        let zones = match self.columns.first() {
            Some(FieldValues::I64(column)) => Zones::of(view, self.segment, &key.field, column),
            _ if key.is_own_order() => match FieldValues::open(view, self.segment, "_seq_no")? {
                FieldValues::U64(column) => Zones::of(view, self.segment, "_seq_no", &column),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(zones.is_full.then_some(zones))
    }

    /// Whether a document whose first value is in a zone can be on the page.
    fn may_offer(&self, zone: &RangeInclusive<i64>, top: &Top<'_>) -> bool {
        let is_own = self.search.sort.first().is_some_and(Key::is_own_order);
        let value = |value: i64| match is_own {
            true => own_order(self.target, value.cast_unsigned()),
            false => Datum::I64(value),
        };
        top.may_take(&value(*zone.start()), &value(*zone.end()))
    }

    pub fn offer(&mut self, doc: DocId, score: f32, top: &mut Top<'_>) -> Result<()> {
        let number = self.seq_nos.get_val(doc);
        if top.is_beaten(score, self.target, number) {
            return Ok(());
        }
        let mut sort = Vec::with_capacity(self.search.sort.len());
        for (at, (key, bound)) in self.search.sort.iter().zip(&self.bounds).enumerate() {
            let value = match key.field.as_str() {
                "_score" => Some(Datum::F64(score.into())),
                "_doc" | "_shard_doc" => Some(own_order(self.target, number)),
                _ => {
                    let column = &mut self.columns[at];
                    column.hold(doc)?;
                    self.values.clear();
                    let values = &mut self.values;
                    column.each(doc, &mut |value| values.push(value.owned()))?;
                    key.value(values, bound)
                }
            };
            if at == 0 && top.is_beaten_by_first(value.as_ref()) {
                return Ok(());
            }
            sort.push(value);
        }
        top.offer(Candidate {
            sort,
            score,
            target: self.target,
            number,
            place: Place::Document(DocAddress::new(self.segment, doc)),
        });
        Ok(())
    }
}
