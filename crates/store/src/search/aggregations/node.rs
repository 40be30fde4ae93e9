//! An aggregation at work: its columns in the segment at hand, and what it has counted.

use serde_json::Value;
use tantivy::SegmentOrdinal;

use super::buckets::Buckets;
use super::composite::CompositeState;
use super::keys::{Key, Lexicon};
use super::metrics::{Distinct, Number, Places};
use super::{Aggregation, Chosen, Kind, Metric, Order, Values};
use crate::dates::{self, DateFormat, Zone};
use crate::query::{self, Context, Document, Dsl, FieldType, Query, Schema};
use crate::search::error::{Result, fault, illegal};
use crate::search::hits::Top;
use crate::search::matches::{Docs, Matches};
use crate::search::run::OfSegment;
use crate::search::sort::{Bound, no_fielddata, place};
use crate::search::values::{Datum, FieldValues};
use crate::search::view::View;

/// What is known of the field of an aggregation.
#[derive(Debug, Clone)]
pub(super) struct Info {
    pub of: FieldType,
    pub format: DateFormat,
}

/// Whether the document at hand is one that a filter lets through.
pub(super) enum Passing {
    Docs(Docs),
    Known(bool),
}

/// A query of a filter, as the target at hand understands it.
pub(super) enum Filter {
    Matches(Box<Matches>),
    Json(Query),
}

/// Parts of a histogram: bounds, as far as they were given.
pub(super) type Ends = [Option<f64>; 2];

pub(super) enum State<'a> {
    Numbers(Vec<Number>),
    Distinct(Vec<Distinct>),
    Lists(Vec<Vec<f64>>),
    Places(Vec<Places>),
    Hits {
        tops: Vec<(Top<'a>, u64)>,
        segment: Option<OfSegment<'a>>,
        bounds: Vec<Vec<Bound>>,
        target: usize,
    },
    Buckets(Buckets),
    /// Parts whose number follows from that of the part further out.
    Counts(Vec<u64>),
    Composite(Box<CompositeState>),
    Pipeline,
}

pub(super) struct Node<'a> {
    pub of: &'a Aggregation,
    pub state: State<'a>,
    pub subs: Vec<Node<'a>>,
    /// One of each field that it has.
    pub values: Vec<FieldValues>,
    pub infos: Vec<Option<Info>>,
    pub lexicons: Vec<Lexicon>,
    /// What stands for a missing value.
    pub missing: Option<Datum>,
    pub filters: Vec<Filter>,
    pub passing: Vec<Passing>,
    /// Ranges as numbers.
    pub ranges: Vec<Ends>,
    pub extended: Option<Ends>,
    pub hard: Option<Ends>,
    /// The part of a time that was found last: its start and end.
    pub window: (i64, i64),
    /// Which words may be keys, as far as it was asked: `None` is unknown.
    pub allowed: Vec<Option<bool>>,
    pub keys: Vec<Key>,
    /// Of the words of the segment at hand; 0 is unknown.
    pub hashes: Vec<u64>,
}

impl<'a> Node<'a> {
    pub fn all(of: &'a [Aggregation]) -> Result<Vec<Self>> {
        of.iter().map(Self::new).collect()
    }

    fn new(of: &'a Aggregation) -> Result<Self> {
        let state = match &of.kind {
            Kind::Metric(metric, _) => match metric {
                Metric::Cardinality => State::Distinct(Vec::new()),
                Metric::Percentiles { .. } | Metric::MedianAbsoluteDeviation => {
                    State::Lists(Vec::new())
                }
                Metric::GeoCentroid | Metric::GeoBounds => State::Places(Vec::new()),
                _ => State::Numbers(Vec::new()),
            },
            Kind::TopHits(_) => State::Hits {
                tops: Vec::new(),
                segment: None,
                bounds: Vec::new(),
                target: 0,
            },
            Kind::Terms(_) | Kind::DateHistogram(_) | Kind::Histogram(_) => {
                State::Buckets(Buckets::new())
            }
            Kind::Composite(_) => State::Composite(Box::default()),
            Kind::Filter(_) | Kind::Filters { .. } | Kind::Range { .. } | Kind::Missing(_) => {
                State::Counts(Vec::new())
            }
            Kind::Pipeline(_) => State::Pipeline,
        };
        check_order(of)?;
        let fields = of.fields().len();
        Ok(Self {
            of,
            state,
            subs: Self::all(&of.subs)?,
            values: (0..fields).map(|_| FieldValues::None).collect(),
            infos: vec![None; fields],
            lexicons: (0..fields).map(|_| Lexicon::default()).collect(),
            missing: None,
            filters: Vec::new(),
            passing: Vec::new(),
            ranges: Vec::new(),
            extended: None,
            hard: None,
            window: (0, 0),
            allowed: Vec::new(),
            keys: Vec::new(),
            hashes: Vec::new(),
        })
    }

    /// Begins a target: an index with its documents, or results.
    pub fn bind(
        &mut self,
        schema: &dyn Schema,
        view: Option<&View>,
        target: usize,
        now: i64,
    ) -> Result<()> {
        let context = Context { schema, now };
        for (at, values) in self.of.fields().into_iter().enumerate() {
            let Some(field) = schema.field(&values.field) else {
                continue;
            };
            if let Some(view) = view {
                self.check(&values.field, &field, view)?;
            }
            if self.infos[at].is_none() {
                self.infos[at] = Some(Info {
                    of: field.of,
                    format: values.format.clone().unwrap_or(field.format),
                });
            }
        }
        if let Some(values) = self.of.fields().first() {
            let info = self.infos[0].as_ref();
            let of = info.map_or(FieldType::Keyword, |info| info.of);
            let format = info.map(|info| info.format.clone()).unwrap_or_default();
            self.missing = values
                .missing
                .as_ref()
                .and_then(|value| place(value, of, &format));
            self.read_bounds(&format, now)?;
        }
        let filters: Vec<&Dsl> = match &self.of.kind {
            Kind::Filter(query) => vec![query],
            Kind::Filters { filters, .. } => filters.iter().map(|(_, query)| query).collect(),
            _ => Vec::new(),
        };
        self.filters = filters
            .into_iter()
            .map(|query| match view {
                Some(view) => Ok(Filter::Matches(Box::new(Matches::new(
                    view,
                    &[query],
                    now,
                    false,
                )?))),
                None => Ok(Filter::Json(query.read(&context)?)),
            })
            .collect::<Result<_>>()?;
        if let (
            State::Hits {
                bounds,
                target: at,
                tops,
                ..
            },
            Kind::TopHits(search),
        ) = (&mut self.state, &self.of.kind)
        {
            let keys = search.sort.iter().map(|key| key.bound(schema, view));
            bounds.resize(target, Vec::new());
            bounds.push(keys.collect::<Result<_>>()?);
            *at = target;
            tops.iter_mut().for_each(|(top, _)| top.bind(schema));
        }
        if let (State::Composite(state), Kind::Composite(composite)) =
            (&mut self.state, &self.of.kind)
        {
            state.bind(composite, &self.infos, &mut self.lexicons);
        }
        for sub in &mut self.subs {
            sub.bind(schema, view, target, now)?;
        }
        Ok(())
    }

    /// Refuses fields that an aggregation can't be of.
    fn check(&self, path: &str, field: &query::Field, view: &View) -> Result<()> {
        if field.of == FieldType::Text && !matches!(self.of.kind, Kind::Missing(_)) {
            no_fielddata(path, view)?;
        }
        let wants_numbers = match &self.of.kind {
            Kind::Metric(metric, _) => !matches!(
                metric,
                Metric::ValueCount | Metric::Cardinality | Metric::GeoCentroid | Metric::GeoBounds
            ),
            Kind::DateHistogram(_) | Kind::Histogram(_) | Kind::Range { .. } => true,
            _ => false,
        };
        let is_number =
            field.of.is_date() || matches!(field.of, FieldType::Number | FieldType::Bool);
        if wants_numbers && !is_number {
            return illegal(format!(
                "Field [{path}] of type [{}] is not supported for aggregation [{}]",
                field.type_name,
                self.of.kind.type_name()
            ));
        }
        Ok(())
    }

    /// Bounds and ranges, as the field's format reads them.
    fn read_bounds(&mut self, format: &DateFormat, now: i64) -> Result<()> {
        let number = |value: &Option<Value>, zone: Zone, is_date: bool| -> Result<Option<f64>> {
            match value {
                None => Ok(None),
                Some(Value::String(text)) if is_date => {
                    let time = dates::math(text, format, zone, now, false);
                    let time = time.map_err(|error| fault("parse_exception", error.0));
                    time.map(|time| Some(time as f64))
                }
                Some(Value::String(text)) => text.parse().map(Some).map_err(|_| {
                    fault(
                        "number_format_exception",
                        format!("For input string: \"{text}\""),
                    )
                }),
                Some(value) => Ok(value.as_f64()),
            }
        };
        let both = |bounds: &Option<[Option<Value>; 2]>, zone, is_date| -> Result<Option<Ends>> {
            match bounds {
                None => Ok(None),
                Some([min, max]) => Ok(Some([
                    number(min, zone, is_date)?,
                    number(max, zone, is_date)?,
                ])),
            }
        };
        match &self.of.kind {
            Kind::DateHistogram(histogram) => {
                let zone = histogram.rounding.zone;
                self.extended = both(&histogram.extended, zone, true)?;
                self.hard = both(&histogram.hard, zone, true)?;
            }
            Kind::Histogram(histogram) => {
                self.extended = both(&histogram.extended, Zone::Utc, false)?;
                self.hard = both(&histogram.hard, Zone::Utc, false)?;
            }
            Kind::Range {
                ranges,
                is_date,
                zone,
                ..
            } => {
                let each = ranges.iter().map(|span| {
                    Ok([
                        number(&span.from, *zone, *is_date)?,
                        number(&span.to, *zone, *is_date)?,
                    ])
                });
                self.ranges = each.collect::<Result<_>>()?;
            }
            _ => {}
        }
        if let Some([Some(min), Some(max)]) = self.extended
            && min > max
        {
            return illegal(format!(
                "[extended_bounds.min][{min}] cannot be greater than [extended_bounds.max][{max}] for histogram \
                 aggregation [{}]",
                self.of.name
            ));
        }
        Ok(())
    }

    /// Begins a segment of the target at hand.
    pub fn open(&mut self, view: &View, segment: SegmentOrdinal) -> Result<()> {
        for (at, values) in self.of.fields().into_iter().enumerate() {
            let opened = FieldValues::open_millis(view, segment, &values.field)?;
            self.lexicons[at].open(&opened);
            self.values[at] = opened;
        }
        self.hashes.clear();
        let passing = self.filters.iter().map(|filter| match filter {
            Filter::Matches(matches) => Ok(Passing::Docs(matches.of(view, segment)?)),
            Filter::Json(_) => Ok(Passing::Known(false)),
        });
        self.passing = passing.collect::<Result<_>>()?;
        if let (
            State::Hits {
                segment: opened,
                bounds,
                target,
                ..
            },
            Kind::TopHits(search),
        ) = (&mut self.state, &self.of.kind)
        {
            let bounds = bounds.get(*target).cloned().unwrap_or_default();
            *opened = Some(OfSegment::open(view, segment, search, *target, bounds)?);
        }
        self.subs
            .iter_mut()
            .try_for_each(|sub| sub.open(view, segment))
    }

    /// Whether a document's values must be brought before it is looked at.
    pub fn is_held(&self) -> bool {
        self.values.iter().any(FieldValues::is_held) || self.subs.iter().any(Self::is_held)
    }

    pub fn hold(&mut self, doc: u32) -> Result<()> {
        self.values
            .iter_mut()
            .try_for_each(|values| values.hold(doc))?;
        self.subs.iter_mut().try_for_each(|sub| sub.hold(doc))
    }

    /// Takes over the values of a document that stands in JSON.
    pub fn load(&mut self, document: Document<'_>) {
        for (at, values) in self.of.fields().into_iter().enumerate() {
            let mut held = Vec::new();
            match values.field.as_str() {
                "_id" => held.push(Datum::Str(document.id.to_owned())),
                "_index" => held.push(Datum::Str(document.index.to_owned())),
                field => {
                    query::values(document.source, field, &mut |value| {
                        held.extend(Datum::of(value));
                        false
                    });
                }
            }
            self.values[at] = FieldValues::outside(held);
        }
        let passing = self.filters.iter().map(|filter| match filter {
            Filter::Json(query) => Passing::Known(query.matches(document)),
            Filter::Matches(_) => Passing::Known(false),
        });
        self.passing = passing.collect();
        self.subs.iter_mut().for_each(|sub| sub.load(document));
    }

    /// Whether keys that are chosen by what they say have this one.
    pub fn allows(&mut self, key: Key, include: Option<&Chosen>, exclude: Option<&Chosen>) -> bool {
        let lexicon = &self.lexicons[0];
        let of = self.infos[0].as_ref().map(|info| info.of);
        let is_in = |chosen: &Chosen| {
            let text = match key.json(lexicon) {
                Value::String(text) => text,
                Value::Number(number) if of == Some(FieldType::Bool) => {
                    (number.as_u64() == Some(1)).to_string()
                }
                value => value.to_string(),
            };
            match chosen {
                Chosen::Pattern(pattern) => pattern.is_match(&text),
                Chosen::Values(values) => values.iter().any(|value| {
                    *value == text
                        || value
                            .parse::<f64>()
                            .is_ok_and(|value| text.parse() == Ok(value))
                }),
            }
        };
        include.is_none_or(is_in) && !exclude.is_some_and(is_in)
    }
}

impl Aggregation {
    /// The fields that it has values of.
    pub(super) fn fields(&self) -> Vec<&Values> {
        match &self.kind {
            Kind::Metric(_, values) | Kind::Missing(values) | Kind::Range { values, .. } => {
                vec![values]
            }
            Kind::Terms(terms) => vec![&terms.values],
            Kind::DateHistogram(histogram) => vec![&histogram.values],
            Kind::Histogram(histogram) => vec![&histogram.values],
            Kind::Composite(composite) => composite
                .sources
                .iter()
                .map(|source| &source.values)
                .collect(),
            Kind::TopHits(_) | Kind::Filter(_) | Kind::Filters { .. } | Kind::Pipeline(_) => {
                Vec::new()
            }
        }
    }
}

/// Refuses to order parts by what isn't within them.
fn check_order(of: &Aggregation) -> Result<()> {
    let order = match &of.kind {
        Kind::Terms(terms) => &terms.order,
        Kind::DateHistogram(histogram) => &histogram.order,
        Kind::Histogram(histogram) => &histogram.order,
        _ => return Ok(()),
    };
    for (by, _) in order {
        let Order::Path(path) = by else {
            continue;
        };
        let name = path.split(['>', '.', '[']).next().unwrap_or_default();
        let is_there = of.subs.iter().any(|sub| {
            (sub.name == name || path.starts_with(&sub.name))
                && !matches!(sub.kind, Kind::Pipeline(_))
        });
        if !is_there {
            return illegal(format!(
                "Invalid aggregation order path [{path}]. The provided aggregation [{name}] either does not exist, or is a \
                 pipeline aggregation and cannot be used to sort the buckets."
            ));
        }
    }
    Ok(())
}
