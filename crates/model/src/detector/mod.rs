//! The models of detectors.
//!
//! A detector analyses one thing, or with `metric` three: each is a [`Lane`], with a state of its own. A lane's state has
//! *slots*, the places to which records are gathered: one for each combination of split values that was seen. What
//! the slots are to each other is the kind of the lane, a variant of [`LaneState`]: series of their own, members of a
//! population, categories.
//!
//! To add a kind: a module with the state and the methods that [`LaneState`] calls, a variant, and a line in [`any`] and
//! each `match`.

mod correlated;
mod features;
mod frequent;
mod herd;
mod individual;
mod people;
mod pool;
mod pooled;
mod rares;
mod shared_rares;
mod slots;

use serde::{Deserialize, Serialize};

use crate::config::{AnalysisConfig, Excluded, Metric};
use crate::forest::Entity;
use crate::gather::Gathered;
use crate::intern::Interner;
use crate::rare::Rarity;
use crate::rules::{Case, Rules, Verdict};
use crate::series::{Change, Finding, Series, Side};
use crate::workers::Workers;

pub use features::Features;
pub use individual::{Individual, Member};
use pooled::Pooled;
use rares::Rares;
use shared_rares::SharedRares;

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
            *id = renamed(*id, new);
        }
    }

    pub fn ids(self) -> impl Iterator<Item = u32> {
        [self.partition, self.by, self.over]
            .into_iter()
            .filter(|&id| id != NO_SPLIT)
    }
}

fn renamed(id: u32, new: &dyn Fn(u32) -> u32) -> u32 {
    if id == NO_SPLIT { id } else { new(id) }
}

/// One thing that a detector analyses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lane {
    /// Index of the detector.
    pub detector: usize,
    pub metric: Metric,
    pub side: Side,
    /// A bucket without records is a value of zero. Members of a population have none.
    pub zeros: bool,
    /// It compares the members of a population: there is an over field.
    pub population: bool,
    /// What is too frequent to be told.
    pub exclude: Excluded,
    /// By values are also judged beside each other.
    pub multivariate: bool,
    /// Seconds of a bucket.
    pub span: i64,
    /// It is a feature of random cut forests, to which so many bytes an entity are counted.
    pub forest: Option<u64>,
}

impl Lane {
    /// The lanes of an analysis, in the order of its detectors.
    pub fn of(analysis: &AnalysisConfig) -> Vec<Self> {
        let of_detector = |(detector, config): (usize, &crate::config::Detector)| {
            let function = config.function;
            let population = config.over_field_name.is_some();
            let exclude = config.excluded();
            let by = config.by_field_name.is_some();
            function.features().iter().map(move |&(metric, side)| Self {
                detector,
                metric,
                side,
                zeros: function.zeros() && !population,
                population,
                exclude,
                multivariate: analysis.multivariate_by_fields == Some(true) && by && !population,
                span: analysis.span(),
                // A forest is counted once: its detectors have one lane each.
                forest: analysis.forest.as_ref().map(|config| match detector {
                    0 => Entity::bytes(config, analysis.detectors.len()),
                    _ => 0,
                }),
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
#[derive(Debug, Clone, PartialEq)]
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
    /// Of a by value that is rare.
    pub rarity: Option<Rarity>,
    /// What a member of a population did, the least likely first: it has no by value of its own then.
    pub causes: Vec<Judged>,
}

impl Judged {
    pub fn new(slot: u32, key: Key, actual: Point, finding: Finding) -> Self {
        Self {
            slot,
            key,
            actual,
            typical: Point::One(finding.typical),
            probability: finding.probability,
            finding,
            correlated: None,
            rarity: None,
            causes: Vec::new(),
        }
    }
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
    /// Models that slots share: populations, times and places.
    Pooled(Pooled),
    /// By values, of which some are rare.
    Rares(Rares),
    /// Same, of a population.
    SharedRares(SharedRares),
    /// Entities that have random cut forests.
    Features(Features),
}

/// The same for any kind.
macro_rules! any {
    ($state:expr, $kind:ident => $what:expr) => {
        match $state {
            Self::Individual($kind) => $what,
            Self::Pooled($kind) => $what,
            Self::Rares($kind) => $what,
            Self::SharedRares($kind) => $what,
            Self::Features($kind) => $what,
        }
    };
}

impl LaneState {
    pub fn new(lane: &Lane) -> Self {
        if let Some(each) = lane.forest {
            return Self::Features(Features::new(each));
        }
        match lane.metric {
            Metric::Presence if lane.population => Self::SharedRares(SharedRares::new(lane)),
            Metric::Presence => Self::Rares(Rares::default()),
            Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place => {
                Self::Pooled(Pooled::new(lane))
            }
            _ if lane.population => Self::Pooled(Pooled::new(lane)),
            _ => Self::Individual(Individual::new(lane)),
        }
    }

    /// Whether it is of the kind of a lane.
    pub fn is_of(&self, lane: &Lane) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(&Self::new(lane))
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        any!(self, kind => kind.find(key))
    }

    /// Bytes that a new slot takes, at most.
    pub fn newborn_bytes(&self) -> u64 {
        match self {
            Self::Individual(series) => series.newborn_bytes(),
            Self::Pooled(pools) => pools.newborn_bytes(),
            Self::Rares(values) => values.newborn_bytes(),
            Self::SharedRares(values) => values.newborn_bytes(),
            Self::Features(entities) => entities.newborn_bytes(),
        }
    }

    /// Starts a slot, which had its first record in `bucket`.
    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        match self {
            Self::Individual(series) => series.admit(lane, key, bucket),
            Self::Pooled(pools) => pools.admit(lane, key, bucket),
            Self::Rares(values) => values.admit(key, bucket),
            Self::SharedRares(values) => values.admit(lane, key, bucket),
            Self::Features(entities) => entities.admit(key, bucket),
        }
    }

    /// Judges what was gathered in a bucket, and learns it.
    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        any!(self, kind => kind.close(closing, gathered))
    }

    /// Moves the clocks of the slots that are meant by some seconds: a time of the day comes as much earlier.
    pub fn shift_clock(&mut self, seconds: i64, is_meant: &dyn Fn(Key) -> bool) {
        match self {
            Self::Individual(series) => series.shift_clock(seconds, is_meant),
            Self::Pooled(pools) => pools.shift_clock(seconds, is_meant),
            // They know no time.
            Self::Rares(_) | Self::SharedRares(_) | Self::Features(_) => {}
        }
    }

    /// Lets hungry slots grow in their order as long as the lane's growth stays within `room` bytes. Gives what is
    /// left; `None` when it was not enough.
    pub fn grow(&mut self, hungry: &[u32], room: u64) -> Option<u64> {
        match self {
            Self::Individual(series) => series.grow(hungry, room),
            // Their models have what they need from the start.
            Self::Pooled(_) | Self::Rares(_) | Self::SharedRares(_) | Self::Features(_) => {
                Some(room)
            }
        }
    }

    /// What would come of the bucket if it closed now, of which the share `complete` has passed; nothing is learnt.
    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered, complete: f64) -> Closed {
        match self {
            Self::Individual(series) => series.peek(closing, gathered, complete),
            Self::Pooled(pools) => pools.peek(closing, gathered, complete),
            Self::Rares(values) => values.peek(closing, gathered),
            Self::SharedRares(values) => values.peek(closing, gathered),
            Self::Features(_) => Closed::default(),
        }
    }

    /// The probability that a slot's value would have had if it had been `value`; `None` where that can't be said.
    pub fn again(&self, closing: &Closing<'_>, slot: u32, value: f64) -> Option<f64> {
        match self {
            Self::Individual(series) => Some(series.again(closing, slot, value)),
            Self::Pooled(pools) => pools.again(closing, slot, value),
            Self::Rares(_) | Self::SharedRares(_) | Self::Features(_) => None,
        }
    }

    pub fn len(&self) -> usize {
        any!(self, kind => kind.len())
    }

    /// Bytes of the models.
    pub fn bytes(&self) -> u64 {
        any!(self, kind => kind.bytes())
    }

    /// Split values of a slot, start of the last bucket that had a record of it, and how many buckets it has been seen.
    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        any!(self, kind => kind.slot(slot))
    }

    /// Whether slots are series, which can be forecast.
    pub fn has_series(&self) -> bool {
        matches!(self, Self::Individual(_))
    }

    /// The series of a slot, where it is one.
    pub fn series(&self, slot: usize) -> Option<&Series> {
        match self {
            Self::Individual(series) => Some(series.series(slot)),
            _ => None,
        }
    }

    /// Drops the slots that are not kept; gives the new place of each.
    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        any!(self, kind => kind.retain(keep))
    }

    /// Gives the split values the numbers that they have now.
    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        any!(self, kind => kind.rename(new))
    }
}

/// What adds up, taken on to the end of a bucket of which the share `complete` has passed, as if the rest were as usual:
/// towards what is usual of the whole, but never past it, for all of it may have come early.
pub fn taken_on(so_far: f64, complete: f64, usual: f64) -> f64 {
    let missing = usual - so_far;
    so_far + ((1.0 - complete) * usual).clamp(missing.min(0.0), missing.max(0.0))
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

#[cfg(test)]
mod tests {
    use super::taken_on;

    #[test]
    fn an_open_bucket_is_taken_on_to_the_usual_but_not_past_it() {
        // So far, the share that has passed, what is usual, and what is said of the whole.
        let cases = [
            (3.0, 0.5, 6.0, 6.0),
            (1.0, 0.5, 6.0, 4.0),
            (6.0, 0.5, 6.0, 6.0),
            (5.5, 0.5, 6.0, 6.0),
            (20.0, 0.5, 6.0, 20.0),
            (-3.0, 0.5, -6.0, -6.0),
            (-9.0, 0.5, -6.0, -9.0),
        ];
        for (so_far, complete, usual, whole) in cases {
            assert_eq!(
                taken_on(so_far, complete, usual),
                whole,
                "{so_far} of {usual}"
            );
        }
    }
}
