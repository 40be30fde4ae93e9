//! Taking documents.

use serde_json::{Map, Value};
use tantivy::columnar::StrColumn;
use tantivy::{DocId, SegmentOrdinal};

use super::keys::{Key, once};
use super::metrics::hash;
use super::node::{Node, Passing, State};
use super::parse::too_many;
use super::{Aggregation, Kind, Metric};
use crate::query::{Document, Schema};
use crate::search::Target;
use crate::search::error::{Result, illegal};
use crate::search::hits::{Candidate, Place, Top};
use crate::search::run::of_result;
use crate::search::values::{Datum, FieldValues, Known, Scalar, Words};
use crate::search::view::View;

/// Numbers that are held for percentiles.
const MOST_LISTED: usize = 16 << 20;
/// Parts of filters and ranges within other parts.
const MOST_PARTS: u32 = 1 << 25;
/// Words of a segment whose hashes are kept.
const MOST_HASHES: usize = 1 << 22;

/// The document at hand.
#[derive(Clone, Copy)]
pub struct At<'d> {
    pub doc: DocId,
    pub score: f32,
    /// In JSON, with its number, where it stands in no segment.
    pub json: Option<(Document<'d>, u64)>,
}

/// What aggregations have seen so far.
pub struct Tally<'a> {
    nodes: Vec<Node<'a>>,
    is_held: bool,
    now: i64,
    listed: usize,
}

impl<'a> Tally<'a> {
    /// # Errors
    /// For orders by what isn't there.
    pub fn new(of: &'a [Aggregation], now: i64) -> Result<Self> {
        Ok(Self {
            nodes: Node::all(of)?,
            is_held: false,
            now,
            listed: 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Begins a target.
    ///
    /// # Errors
    /// For fields that an aggregation can't be of, and what a filter can't ask of them.
    pub fn bind(&mut self, schema: &dyn Schema, view: Option<&View>, target: usize) -> Result<()> {
        let now = self.now;
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.bind(schema, view, target, now))
    }

    /// Begins a segment of the target at hand.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn open(&mut self, view: &View, segment: SegmentOrdinal) -> Result<()> {
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.open(view, segment))?;
        self.is_held = self.nodes.iter().any(Node::is_held);
        Ok(())
    }

    /// Takes a document of the segment at hand; they come ascending. One in JSON comes with itself.
    ///
    /// # Errors
    /// For more parts than there may be, and scripts that fail.
    #[inline]
    pub fn take(&mut self, at: At<'_>) -> Result<()> {
        if let Some((document, _)) = at.json {
            self.nodes.iter_mut().for_each(|node| node.load(document));
        } else if self.is_held {
            self.nodes
                .iter_mut()
                .try_for_each(|node| node.hold(at.doc))?;
        }
        for node in &mut self.nodes {
            node.collect(at, 0, &mut self.listed)?;
        }
        Ok(())
    }

    /// `aggregations` of an answer, of the targets that were bound.
    ///
    /// # Errors
    /// For more parts than there may be.
    pub fn answer(mut self, targets: &[&Target], typed_keys: bool) -> Result<Map<String, Value>> {
        super::answer::answer(&mut self.nodes, targets, typed_keys)
    }
}

/// The place of a part in a list, which grows up to there.
#[inline]
fn at<T: Default>(list: &mut Vec<T>, number: u32) -> &mut T {
    let number = number as usize;
    if number >= list.len() {
        list.resize_with(number + 1, T::default);
    }
    &mut list[number]
}

/// The number of a part that follows from that of the part further out.
fn part(owner: u32, parts: u32, number: u32) -> Result<u32> {
    let part = owner
        .checked_mul(parts)
        .and_then(|first| first.checked_add(number));
    match part.filter(|part| *part < MOST_PARTS) {
        Some(part) => Ok(part),
        None => Err(too_many(MOST_PARTS as usize)),
    }
}

impl Passing {
    fn is(&mut self, doc: DocId) -> bool {
        match self {
            Self::Known(is) => *is,
            Self::Docs(docs) => {
                docs.seek(doc);
                docs.doc() == doc
            }
        }
    }
}

impl Node<'_> {
    fn subs(subs: &mut [Self], doc: At<'_>, number: u32, listed: &mut usize) -> Result<()> {
        for sub in subs {
            sub.collect(doc, number, listed)?;
        }
        Ok(())
    }

    /// Takes a document in a part further out.
    fn collect(&mut self, doc: At<'_>, owner: u32, listed: &mut usize) -> Result<()> {
        match &self.of.kind {
            Kind::Metric(metric, _) => self.measure(metric, doc, owner, listed),
            Kind::Terms(terms) => {
                self.read_keys(doc)?;
                if terms.include.is_some() || terms.exclude.is_some() {
                    let mut keys = std::mem::take(&mut self.keys);
                    keys.retain(|key| {
                        self.knows(*key, terms.include.as_ref(), terms.exclude.as_ref())
                    });
                    self.keys = keys;
                }
                self.count_keys(doc, owner, listed)
            }
            Kind::DateHistogram(histogram) => {
                let Self {
                    values,
                    keys,
                    window,
                    missing,
                    hard,
                    ..
                } = self;
                keys.clear();
                let mut add = |time: i64| {
                    if time < window.0 || time >= window.1 {
                        let start = histogram.rounding.start(time);
                        *window = (start, histogram.rounding.next(start));
                    }
                    keys.push(Key::whole(window.0));
                };
                values[0].wholes(doc.doc, &mut add);
                if let (true, Some(missing)) = (keys.is_empty(), &missing) {
                    let number = missing.scalar().number().unwrap_or_default();
                    let start = histogram.rounding.start(number as i64);
                    keys.push(Key::whole(start));
                }
                if let Some([min, max]) = hard {
                    keys.retain(|key| {
                        let time = key.as_whole() as f64;
                        min.is_none_or(|min| time >= min) && max.is_none_or(|max| time <= max)
                    });
                }
                once(keys);
                self.count_keys(doc, owner, listed)
            }
            Kind::Histogram(histogram) => {
                let Self {
                    values,
                    keys,
                    missing,
                    hard,
                    ..
                } = self;
                keys.clear();
                let start = |number| Key::fraction(histogram.rounding.start(number));
                values[0].numbers(doc.doc, |number| {
                    let is_in = hard.is_none_or(|[min, max]| {
                        min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
                    });
                    if is_in {
                        keys.push(start(number));
                    }
                });
                if let Some(missing) = missing
                    && values[0].count(doc.doc) == 0
                {
                    keys.extend(missing.scalar().number().map(start));
                }
                once(keys);
                self.count_keys(doc, owner, listed)
            }
            Kind::Composite(composite) => {
                let composite = &**composite;
                let mut state = std::mem::replace(&mut self.state, State::Pipeline);
                if let State::Composite(state) = &mut state {
                    state.take(composite, &mut self.values, &mut self.lexicons, doc.doc)?;
                    for part in &state.parts {
                        Self::subs(&mut self.subs, doc, *part, listed)?;
                    }
                }
                self.state = state;
                Ok(())
            }
            Kind::Filter(_) => {
                let is_in = self
                    .passing
                    .first_mut()
                    .is_some_and(|passing| passing.is(doc.doc));
                self.count_one(is_in, doc, owner, listed)
            }
            Kind::Missing(values) => {
                let is_in = values.missing.is_none() && self.values[0].count(doc.doc) == 0;
                self.count_one(is_in, doc, owner, listed)
            }
            Kind::Filters { filters, other, .. } => {
                let parts = u32::try_from(filters.len()).unwrap_or(u32::MAX) + 1;
                let mut is_any = false;
                for number in 0..parts {
                    let is_in = match self.passing.get_mut(number as usize) {
                        Some(passing) => passing.is(doc.doc),
                        None => !is_any && other.is_some(),
                    };
                    is_any |= is_in;
                    self.count_one(is_in, doc, part(owner, parts, number)?, listed)?;
                }
                Ok(())
            }
            Kind::Range { .. } => {
                let parts = u32::try_from(self.ranges.len()).unwrap_or(u32::MAX);
                for number in 0..parts {
                    let [from, to] = self.ranges[number as usize];
                    let within = |value: f64| {
                        from.is_none_or(|from| value >= from) && to.is_none_or(|to| value < to)
                    };
                    let (mut is_in, mut has_any) = (false, false);
                    self.values[0].numbers(doc.doc, |value| {
                        has_any = true;
                        is_in |= within(value);
                    });
                    if !has_any && let Some(missing) = &self.missing {
                        is_in = missing.scalar().number().is_some_and(within);
                    }
                    self.count_one(is_in, doc, part(owner, parts, number)?, listed)?;
                }
                Ok(())
            }
            Kind::TopHits(search) => {
                let State::Hits {
                    tops,
                    segment,
                    bounds,
                    target,
                } = &mut self.state
                else {
                    return Ok(());
                };
                while tops.len() <= owner as usize {
                    tops.push((Top::new(search), 0));
                }
                let (top, count) = &mut tops[owner as usize];
                *count += 1;
                if top.is_empty() {
                    return Ok(());
                }
                match (doc.json, segment) {
                    (Some((document, number)), _) => {
                        let none = Vec::new();
                        let bounds = bounds.get(*target).unwrap_or(&none);
                        let place = Place::Result {
                            id: document.id.to_owned(),
                            source: document.source.clone(),
                        };
                        let sort = of_result(search, bounds, document, *target, number);
                        top.offer(Candidate {
                            sort,
                            score: 1.0,
                            target: *target,
                            number,
                            place,
                        });
                        Ok(())
                    }
                    (None, Some(segment)) => segment.offer(doc.doc, doc.score, top),
                    (None, None) => Ok(()),
                }
            }
            Kind::Pipeline(_) => Ok(()),
        }
    }

    fn read_keys(&mut self, doc: At<'_>) -> Result<()> {
        self.keys.clear();
        self.lexicons[0].keys(&mut self.values[0], doc.doc, &mut self.keys)?;
        if let (true, Some(missing)) = (self.keys.is_empty(), &self.missing) {
            self.keys.push(self.lexicons[0].key(missing.scalar()));
        }
        Ok(())
    }

    /// As [`allows`](Self::allows), but words are asked about once.
    fn knows(
        &mut self,
        key: Key,
        include: Option<&super::Chosen>,
        exclude: Option<&super::Chosen>,
    ) -> bool {
        if key.tag != super::keys::Tag::Word {
            return self.allows(key, include, exclude);
        }
        let number = key.word_number();
        match *at(&mut self.allowed, number) {
            Some(is) => is,
            None => {
                let is = self.allows(key, include, exclude);
                *at(&mut self.allowed, number) = Some(is);
                is
            }
        }
    }

    fn count_keys(&mut self, doc: At<'_>, owner: u32, listed: &mut usize) -> Result<()> {
        let State::Buckets(buckets) = &mut self.state else {
            return Ok(());
        };
        for key in &self.keys {
            let number = buckets.count(owner, *key)?;
            Self::subs(&mut self.subs, doc, number, listed)?;
        }
        Ok(())
    }

    #[inline]
    fn count_one(
        &mut self,
        is_in: bool,
        doc: At<'_>,
        number: u32,
        listed: &mut usize,
    ) -> Result<()> {
        if !is_in {
            return Ok(());
        }
        if let State::Counts(counts) = &mut self.state {
            *at(counts, number) += 1;
        }
        Self::subs(&mut self.subs, doc, number, listed)
    }

    fn measure(
        &mut self,
        metric: &Metric,
        doc: At<'_>,
        owner: u32,
        listed: &mut usize,
    ) -> Result<()> {
        let values = &mut self.values[0];
        let has_none = self.missing.is_some() && values.count(doc.doc) == 0;
        let missing = self
            .missing
            .as_ref()
            .filter(|_| has_none)
            .map(Datum::scalar);
        let missing_number = missing.and_then(Scalar::number);
        match &mut self.state {
            State::Numbers(numbers) => {
                let number = at(numbers, owner);
                match metric {
                    Metric::ValueCount => {
                        let count = values.count(doc.doc);
                        let count = if has_none { 1 } else { count };
                        number.add_count(count as u64);
                    }
                    Metric::ExtendedStats(_) => {
                        let mut add = |value| {
                            number.add(value);
                            number.add_square(value);
                        };
                        values.numbers(doc.doc, &mut add);
                        if let Some(value) = missing_number {
                            add(value);
                        }
                    }
                    _ => {
                        values.numbers(doc.doc, |value| number.add(value));
                        if let Some(value) = missing_number {
                            number.add(value);
                        }
                    }
                }
            }
            State::Distinct(distinct) => {
                let distinct = at(distinct, owner);
                if let Some(missing) = missing {
                    distinct.add(of_scalar(missing));
                }
                match values {
                    FieldValues::Words(Words { column, known }) => {
                        for number in column.ords().values_for_doc(doc.doc) {
                            distinct.add(of_word(&mut self.hashes, column, known, number)?);
                        }
                    }
                    values => values.each(doc.doc, &mut |value| distinct.add(of_scalar(value)))?,
                }
            }
            State::Lists(lists) => {
                let list = at(lists, owner);
                let before = list.len();
                values.numbers(doc.doc, |value| list.push(value));
                if let Some(value) = missing_number {
                    list.push(value);
                }
                *listed += list.len() - before;
                if *listed > MOST_LISTED {
                    return illegal(format!(
                        "[{}] takes at most [{MOST_LISTED}] values of a search",
                        self.of.kind.type_name()
                    ));
                }
            }
            State::Places(places) => {
                let places = at(places, owner);
                values.each(doc.doc, &mut |value| {
                    if let Scalar::Point(lat, lon) = value {
                        places.add(lat, lon);
                    }
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The hash of a word of the segment at hand, kept once it is known.
fn of_word(
    hashes: &mut Vec<u64>,
    column: &StrColumn,
    known: &mut Known,
    number: u64,
) -> Result<u64> {
    if column.num_terms() > MOST_HASHES {
        return Ok(hash(&known.word(column, number)?));
    }
    let place = at(hashes, u32::try_from(number).unwrap_or(u32::MAX));
    if *place == 0 {
        *place = hash(&known.word(column, number)?);
    }
    Ok(*place)
}

/// Numbers that are equal have one hash, however they are held.
fn of_scalar(value: Scalar<'_>) -> u64 {
    match value {
        Scalar::Str(text) => hash(&text),
        Scalar::Point(lat, lon) => hash(&(lat.to_bits(), lon.to_bits())),
        Scalar::I64(value) => hash(&i128::from(value)),
        Scalar::U64(value) => hash(&i128::from(value)),
        Scalar::Bool(value) => hash(&i128::from(value)),
        Scalar::F64(value) if value.fract() == 0.0 && value.abs() < i64::MAX as f64 => {
            hash(&i128::from(value as i64))
        }
        Scalar::F64(value) => hash(&value.to_bits()),
    }
}
