//! The models of detectors.
//!
//! A detector analyses one thing, or with `metric` three: each is a [`Lane`], with a state of its own. A lane's state has
//! *slots*, the places to which records are gathered: one for each combination of split values that was seen. What
//! the slots are to each other is the kind of the lane, a variant of [`LaneState`]: series of their own, members of a
//! population, categories.
//!
//! To add a kind: a module with the state and the methods that [`LaneState`] calls, a variant, and a line in each
//! method's `match`.

mod correlated;
mod herd;
mod individual;

use serde::{Deserialize, Serialize};

use crate::config::{AnalysisConfig, Metric};
use crate::gather::Gathered;
use crate::intern::Interner;
use crate::rules::{Case, Rules, Verdict};
use crate::series::{Change, Finding, Series, Side};
use crate::workers::Workers;

pub use individual::{Individual, Member};

/// Stands for a split that the detector hasn't.
pub const NO_SPLIT: u32 = u32::MAX;
/// Less unusual values are not told.
pub const MAX_PROBABILITY: f64 = 0.02;

/// The split values of a slot, as the engine's names number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub partition: u32,
    pub by: u32,
    pub over: u32,
}

impl Key {
    /// Gives the split values the numbers that they have now.
    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        for id in [&mut self.partition, &mut self.by, &mut self.over] {
            if *id != NO_SPLIT {
                *id = new(*id);
            }
        }
    }

    pub fn ids(self) -> impl Iterator<Item = u32> {
        [self.partition, self.by, self.over]
            .into_iter()
            .filter(|&id| id != NO_SPLIT)
    }
}

/// One thing that a detector analyses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lane {
    /// Index of the detector.
    pub detector: usize,
    pub metric: Metric,
    pub side: Side,
    /// A bucket without records is a value of zero.
    pub zeros: bool,
    /// By values are also judged beside each other.
    pub multivariate: bool,
    /// Seconds of a bucket.
    pub span: i64,
}

impl Lane {
    /// The lanes of an analysis, in the order of its detectors.
    pub fn of(analysis: &AnalysisConfig) -> Vec<Self> {
        let of_detector = |(detector, config): (usize, &crate::config::Detector)| {
            let function = config.function;
            let by = config.by_field_name.is_some();
            function.features().iter().map(move |&(metric, side)| Self {
                detector,
                metric,
                side,
                zeros: function.zeros(),
                multivariate: analysis.multivariate_by_fields && by,
                span: analysis.span(),
            })
        };
        let detectors = analysis.detectors.iter().enumerate();
        detectors.flat_map(of_detector).collect()
    }
}

/// A value, or a pair of them for a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    One(f64),
    Pair([f64; 2]),
}

impl Point {
    pub fn values(&self) -> &[f64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Pair(pair) => pair,
        }
    }
}

/// What a slot's value in a bucket came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    pub slot: u32,
    pub key: Key,
    pub actual: Point,
    pub typical: Point,
    /// What the recent peak has left of the finding's probability.
    pub probability: f64,
    pub finding: Finding,
    /// By value of the series beside which this one is odd.
    pub correlated: Option<u32>,
}

/// The bucket at hand, as lanes see it.
#[derive(Clone, Copy)]
pub struct Closing<'a> {
    pub lane: &'a Lane,
    /// Start of the bucket, epoch seconds.
    pub bucket: i64,
    /// Split values whose models are plotted; `None` for no plot, empty for all.
    pub plotted: Option<&'a [u32]>,
    pub workers: &'a dyn Workers,
    /// `None` where no rule has a say in the bucket.
    pub ruling: Option<Ruling<'a>>,
}

/// The rules of a job, and the names of the split values that they ask for.
#[derive(Clone, Copy)]
pub struct Ruling<'a> {
    pub rules: &'a Rules,
    pub names: &'a Interner,
}

impl<'a> Ruling<'a> {
    /// For a lane in a bucket: `None` where the rules have no say.
    pub fn of(rules: &'a Rules, names: &'a Interner, lane: &Lane, bucket: i64) -> Option<Self> {
        (!rules.is_idle(lane.detector, bucket)).then_some(Self { rules, names })
    }

    /// A slot without a value in a bucket.
    pub fn case(&self, bucket: i64, key: Key) -> Case<'a> {
        let name = |id: u32| (id != NO_SPLIT).then(|| self.names.name(id));
        Case {
            start: bucket,
            actual: &[],
            typical: &[],
            by: name(key.by),
            over: name(key.over),
            partition: name(key.partition),
        }
    }
}

impl Closing<'_> {
    /// What rules say of a slot's value, and of what is typical of it.
    pub fn verdict(&self, key: Key, actual: &Point, typical: &Point) -> Verdict {
        let Some(ruling) = self.ruling else {
            return Verdict::default();
        };
        let case = Case {
            actual: actual.values(),
            typical: typical.values(),
            ..ruling.case(self.bucket, key)
        };
        ruling.rules.judge(self.lane.detector, &case)
    }

    /// Whether a value is told, plotted, or looked at beside others.
    fn wants(&self, key: Key, probability: f64) -> bool {
        probability < MAX_PROBABILITY || self.lane.multivariate || self.plots(key)
    }

    /// Whether the models of some split values are plotted.
    pub fn plots(&self, key: Key) -> bool {
        self.plotted
            .is_some_and(|terms| terms.is_empty() || key.ids().any(|id| terms.contains(&id)))
    }
}

/// What a bucket's values came to in one lane.
#[derive(Debug, Default)]
pub struct Closed {
    /// Values judged.
    pub judged: usize,
    /// Those that are told or plotted, in the order of the slots.
    pub told: Vec<Judged>,
    /// Those of them that rules speak of, in a lane that looks at its values beside each other: they stay out of that.
    pub apart: Vec<Judged>,
    /// What slots have taken for their new normal.
    pub changes: Vec<(Key, Change)>,
    /// Slots whose models would grow: see [`LaneState::grow`].
    pub hungry: Vec<u32>,
}

impl Closed {
    /// Takes a judged value, as far as rules let it.
    pub fn take(&mut self, closing: &Closing<'_>, mut judged: Judged, said: Verdict) {
        if said.skip_result {
            judged.probability = 1.0;
        } else {
            self.judged += 1;
        }
        if closing.wants(judged.key, judged.probability) {
            let apart = closing.lane.multivariate && said != Verdict::default();
            let list = if apart {
                &mut self.apart
            } else {
                &mut self.told
            };
            list.push(judged);
        }
    }

    /// Takes those apart back among the others.
    pub fn rejoin(&mut self) {
        if !self.apart.is_empty() {
            self.told.append(&mut self.apart);
            self.told.sort_by_key(|judged| judged.slot);
        }
    }
}

/// The state of a lane: what it has learnt of its slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum LaneState {
    /// A series a slot.
    Individual(Individual),
}

impl LaneState {
    pub fn new(lane: &Lane) -> Self {
        Self::Individual(Individual::new(lane))
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        match self {
            Self::Individual(series) => series.find(key),
        }
    }

    /// Bytes that a new slot takes.
    pub fn newborn_bytes(&self) -> u64 {
        match self {
            Self::Individual(series) => series.newborn_bytes(),
        }
    }

    /// Starts a slot, which had its first record in `bucket`.
    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        match self {
            Self::Individual(series) => series.admit(lane, key, bucket),
        }
    }

    /// Judges what was gathered in a bucket, and learns it.
    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        match self {
            Self::Individual(series) => series.close(closing, gathered),
        }
    }

    /// Moves the clocks of the slots that are meant by some seconds: a time of the day comes as much earlier.
    pub fn shift_clock(&mut self, seconds: i64, is_meant: &dyn Fn(Key) -> bool) {
        match self {
            Self::Individual(series) => series.shift_clock(seconds, is_meant),
        }
    }

    /// Lets hungry slots grow in their order as long as the lane's growth stays within `room` bytes. Gives what is
    /// left; `None` when it was not enough.
    pub fn grow(&mut self, hungry: &[u32], room: u64) -> Option<u64> {
        match self {
            Self::Individual(series) => series.grow(hungry, room),
        }
    }

    /// What would come of the bucket if it closed now, of which the share `complete` has passed; nothing is learnt.
    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered, complete: f64) -> Closed {
        match self {
            Self::Individual(series) => series.peek(closing, gathered, complete),
        }
    }

    /// The probability that a slot's value would have had if it had been `value`; `None` where that can't be said.
    pub fn again(&self, closing: &Closing<'_>, slot: u32, value: f64) -> Option<f64> {
        match self {
            Self::Individual(series) => Some(series.again(closing, slot, value)),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Individual(series) => series.len(),
        }
    }

    /// Bytes of the models.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Individual(series) => series.bytes(),
        }
    }

    /// Split values of a slot, start of the last bucket that had a record of it, and how many buckets it has been seen.
    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        match self {
            Self::Individual(series) => series.slot(slot),
        }
    }

    /// Whether slots are series, which can be forecast.
    pub fn has_series(&self) -> bool {
        match self {
            Self::Individual(_) => true,
        }
    }

    /// The series of a slot, where it is one.
    pub fn series(&self, slot: usize) -> Option<&Series> {
        match self {
            Self::Individual(series) => Some(series.series(slot)),
        }
    }

    /// Drops the slots that are not kept; gives the new place of each.
    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        match self {
            Self::Individual(series) => series.retain(keep),
        }
    }

    /// Gives the split values the numbers that they have now.
    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        match self {
            Self::Individual(series) => series.rename(new),
        }
    }
}

/// Where slots come to lie when some are dropped.
fn places(keep: &[bool]) -> Vec<Option<u32>> {
    let mut next = 0;
    let place = |&stays: &bool| {
        next += u32::from(stays);
        stays.then(|| next - 1)
    };
    keep.iter().map(place).collect()
}
