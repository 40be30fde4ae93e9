//! Aggregations: numbers of all that is found, or of each of its parts.
//!
//! An [`Aggregation`] is what was asked for; a [`Tally`] takes documents one by one, whether their values come from
//! columns or from JSON, and answers at the end. Parts are numbered as they come, and what is counted within them stands
//! in a list by that number, so that taking a document makes nothing new but a new part.

mod answer;
mod buckets;
mod collect;
mod composite;
mod keys;
mod metrics;
mod node;
mod parse;
mod pipeline;

use serde_json::Value;

use super::request::Search;
use crate::dates::{DateFormat, Interval, Zone};
use crate::query::{Dsl, Pattern};

pub use collect::{At, Tally};

/// Parts of one answer, as `search.max_buckets`.
pub(super) const MOST_BUCKETS: usize = 65_536;

/// What was asked for under a name.
#[derive(Debug, Clone)]
pub struct Aggregation {
    pub name: String,
    pub kind: Kind,
    pub subs: Vec<Aggregation>,
    /// Given back as it is.
    pub meta: Option<Value>,
}

/// Where the values come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    pub field: String,
    /// What a document without a value counts as.
    pub missing: Option<Value>,
    /// How dates are written.
    pub format: Option<DateFormat>,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Metric(Metric, Values),
    TopHits(Box<Search>),
    Terms(Box<Terms>),
    DateHistogram(Box<Histogram<Rounding>>),
    Histogram(Box<Histogram<Steps>>),
    Composite(Box<Composite>),
    Filter(Dsl),
    Filters {
        /// With names, where they were given any.
        filters: Vec<(String, Dsl)>,
        keyed: bool,
        /// The name of the part that no filter matches.
        other: Option<String>,
    },
    Range {
        values: Values,
        ranges: Vec<Span>,
        keyed: bool,
        is_date: bool,
        zone: Zone,
    },
    Missing(Values),
    Pipeline(Pipeline),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    Max,
    Min,
    Avg,
    Sum,
    ValueCount,
    Stats,
    /// With the number of deviations that the bounds are away.
    ExtendedStats(f64),
    Cardinality,
    Percentiles {
        percents: Vec<f64>,
        keyed: bool,
    },
    MedianAbsoluteDeviation,
    GeoCentroid,
    GeoBounds,
}

/// An end of a range that was given as a text is read when its field is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub key: Option<String>,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// What parts are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    Count,
    Key,
    /// A number within the part.
    Path(String),
}

/// Keys that are wanted or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Chosen {
    Pattern(Pattern),
    /// As texts.
    Values(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct Terms {
    pub values: Values,
    pub size: usize,
    /// Each with whether it descends.
    pub order: Vec<(Order, bool)>,
    pub min_doc_count: u64,
    pub include: Option<Chosen>,
    pub exclude: Option<Chosen>,
}

/// The start of the part that a time belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    pub interval: Interval,
    pub zone: Zone,
    pub offset: i64,
}

impl Rounding {
    pub fn start(&self, time: i64) -> i64 {
        let shifted = time.saturating_sub(self.offset);
        self.interval
            .start(shifted, self.zone)
            .saturating_add(self.offset)
    }

    pub fn next(&self, start: i64) -> i64 {
        let shifted = start.saturating_sub(self.offset);
        self.interval
            .next(shifted, self.zone)
            .saturating_add(self.offset)
    }
}

/// Parts of numbers that are all as wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    pub interval: f64,
    pub offset: f64,
}

impl Steps {
    pub fn start(&self, number: f64) -> f64 {
        ((number - self.offset) / self.interval).floor() * self.interval + self.offset
    }
}

#[derive(Debug, Clone)]
pub struct Histogram<R> {
    pub values: Values,
    pub rounding: R,
    pub min_doc_count: u64,
    pub order: Vec<(Order, bool)>,
    /// Between which there are parts even without a document.
    pub extended: Option<[Option<Value>; 2]>,
    /// Outside of which there are none.
    pub hard: Option<[Option<Value>; 2]>,
    pub keyed: bool,
}

#[derive(Debug, Clone)]
pub struct Composite {
    pub sources: Vec<Source>,
    pub size: usize,
    /// The key that the last page ended with.
    pub after: Option<Vec<Value>>,
}

/// A part of a composite key.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub values: Values,
    pub of: SourceKind,
    pub descending: bool,
    /// Whether documents without a value have a part too.
    pub missing_bucket: bool,
    /// Whether it goes first.
    pub missing_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SourceKind {
    Terms,
    DateHistogram(Rounding),
    Histogram(Steps),
}

/// What is made of numbers that others made.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub of: PipelineKind,
    /// A path to a number within the parts.
    pub path: String,
    /// Whether parts without it are left out, or count as 0.
    pub insert_zeros: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineKind {
    Derivative,
    CumulativeSum,
    SerialDiff(usize),
    MaxBucket,
    MinBucket,
    AvgBucket,
    SumBucket,
    StatsBucket,
}

impl PipelineKind {
    /// Whether it stands within each part of what it is made of.
    pub fn is_within(self) -> bool {
        matches!(
            self,
            Self::Derivative | Self::CumulativeSum | Self::SerialDiff(_)
        )
    }
}
