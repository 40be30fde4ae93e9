//! Scores set against the job's own past: where many buckets are as surprising, each of them says less.
//!
//! The score of a probability is a fixed function, and stays with the result as its initial score. The present score
//! is the initial one under a bound, which comes from the share of the window's buckets that scored as high or higher.
//! Each scope has bounds of its own. They follow the counts in big steps only, and with each step the results of the
//! whole window are set under the new bounds: so every result in the window has the score that its initial score and
//! the scope's bounds of now give, whatever was between. That makes it safe to rescore twice, after a crash too.

mod curve;

use serde::{Deserialize, Serialize};

use crate::results::{Bucket, BucketResults};
use curve::{BIG, BINS, Curve, bin};

/// Parts of the window: the oldest is forgotten at once.
const SLOTS: usize = 8;
/// A change of this many points is told at once; a smaller one only now and then.
const GREAT: f64 = 10.0;
/// How often smaller changes are told while the window's buckets come once.
const TELLINGS: u64 = 128;
/// The shortest window that a job has by itself: seconds, and buckets.
const SHORTEST: (i64, i64) = (30 * 86_400, 100);
/// No score is bounded below this.
const LOWEST: f64 = 1.0;

/// The influencer field that stands for the bucket as a whole.
pub const BUCKET_TIME: &str = "bucket_time";

/// Whose scores are set against each other.
#[derive(Debug, Clone, Copy)]
enum Scope<'n> {
    BucketInfluencer(&'n str),
    Influencer(&'n str),
    Detector(usize),
}

impl Scope<'_> {
    /// Its number, among those of a job with such influencer fields.
    fn number(self, influencers: &[String]) -> Option<usize> {
        let field = |name| influencers.iter().position(|field| field == name);
        match self {
            Self::BucketInfluencer(BUCKET_TIME) => Some(0),
            Self::BucketInfluencer(name) => field(name).map(|field| 1 + field),
            Self::Influencer(name) => field(name).map(|field| 1 + influencers.len() + field),
            Self::Detector(index) => Some(1 + 2 * influencers.len() + index),
        }
    }
}

/// The bounds of all scopes of a job, to set results of the past under.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    influencers: Vec<String>,
    curves: Vec<Curve>,
}

impl Curves {
    fn bound(&self, scope: Scope<'_>, score: f64) -> f64 {
        let number = scope.number(&self.influencers);
        let curve = number.and_then(|number| self.curves.get(number));
        curve.map_or(score, |curve| curve.bound(score))
    }

    /// The present score of a bucket influencer of a field, by its initial one.
    pub fn bucket_influencer(&self, field: &str, initial: f64) -> f64 {
        self.bound(Scope::BucketInfluencer(field), initial)
    }

    /// The present score of an influencer of a field, by its initial one.
    pub fn influencer(&self, field: &str, initial: f64) -> f64 {
        self.bound(Scope::Influencer(field), initial)
    }

    /// The present score of a record of a detector, by its initial one.
    pub fn record(&self, detector: usize, initial: f64) -> f64 {
        self.bound(Scope::Detector(detector), initial)
    }
}

/// Kinds of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    pub buckets: bool,
    pub records: bool,
    pub influencers: bool,
}

/// That the scores of past results are to be set under new bounds. The bucket that it comes with, and those after it,
/// have theirs already.
#[derive(Debug, Clone, PartialEq)]
pub struct Renormalisation {
    /// The first results to rescore, epoch milliseconds.
    pub from: i64,
    /// The end of them.
    pub before: i64,
    /// Those with a lower present score stay as they are.
    pub floor: f64,
    /// Those in which anything changes.
    pub kinds: Kinds,
    pub curves: Curves,
}

/// A part of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Slot {
    /// Start of its first bucket, epoch seconds.
    start: i64,
    buckets: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct History {
    /// Buckets by their highest score.
    counts: [[u32; BINS]; SLOTS],
    /// The bounds that results are under.
    curve: Curve,
}

impl History {
    const EMPTY: Self = Self {
        counts: [[0; BINS]; SLOTS],
        curve: Curve::FREE,
    };

    fn target(&self, buckets: u64) -> Curve {
        let mut sums = [0u64; BINS];
        for slot in &self.counts {
            for (sum, count) in sums.iter_mut().zip(slot) {
                *sum += u64::from(*count);
            }
        }
        Curve::of(&sums, buckets)
    }
}

/// The past of a job's scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Normaliser {
    /// Seconds; 0: scores stay as they are.
    window: i64,
    slots: [Slot; SLOTS],
    /// The one at work.
    slot: u8,
    /// By number; none for a scope that has had no score yet.
    scopes: Vec<Option<Box<History>>>,
    buckets_since_look: u32,
    buckets_since_change: u32,
    /// Whether results may be there that are not under the bounds of now: the next change goes through all of them.
    unsure: bool,
    /// What the scopes take.
    #[serde(skip)]
    bytes: u64,
}

impl Normaliser {
    /// For buckets of a span in seconds.
    pub fn new(span: i64) -> Self {
        Self {
            window: default_window(span),
            slots: [Slot::default(); SLOTS],
            slot: 0,
            scopes: Vec::new(),
            buckets_since_look: 0,
            buckets_since_change: 0,
            unsure: false,
            bytes: 0,
        }
    }

    /// Takes another window, in seconds: none for the usual one of buckets of a span, 0 for no bounds.
    pub fn configure(&mut self, window: Option<i64>, span: i64) {
        let window = window.unwrap_or_else(|| default_window(span)).max(0);
        if window == 0 {
            *self = Self::new(span);
        }
        self.window = window;
        self.unsure = true;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts its bytes anew, once it is read from a state.
    pub fn weigh(&mut self) {
        let taken = self.scopes.iter().flatten().count() * size_of::<History>();
        self.bytes = (taken + size_of_val(&*self.scopes)) as u64;
    }

    /// Takes the scores of a bucket that is final, then sets its results under the bounds, and tells what that changes
    /// for those before. A scope that would need more than `room` bytes is left out.
    pub fn take(&mut self, influencers: &[String], results: &mut BucketResults, room: u64) {
        if self.window == 0 {
            return;
        }
        let start = results.bucket.timestamp.div_euclid(1_000);
        self.turn(start);
        let surprised = self.count(influencers, results, room);
        let pause = self.buckets() / TELLINGS;
        self.buckets_since_look = self.buckets_since_look.saturating_add(1);
        self.buckets_since_change = self.buckets_since_change.saturating_add(1);
        if surprised || u64::from(self.buckets_since_look) > pause {
            self.buckets_since_look = 0;
            let change = self.change();
            let paused = u64::from(self.buckets_since_change) > pause;
            if change >= GREAT || (change >= BIG && paused) {
                results.renormalisation = Some(Box::new(self.follow(influencers, start)));
            }
        }
        self.bound(influencers, results);
    }

    /// Sets the scores of a bucket's results under the bounds.
    pub fn bound(&self, influencers: &[String], results: &mut BucketResults) {
        let bound = |scope: Scope<'_>, score| {
            let history = scope
                .number(influencers)
                .and_then(|number| self.scopes.get(number)?.as_ref());
            history.map_or(score, |history| history.curve.bound(score))
        };
        let Bucket {
            bucket_influencers,
            anomaly_score,
            ..
        } = &mut results.bucket;
        for of in &mut *bucket_influencers {
            let scope = Scope::BucketInfluencer(&of.influencer_field_name);
            of.anomaly_score = bound(scope, of.initial_anomaly_score);
        }
        let all = bucket_influencers.iter().map(|of| of.anomaly_score);
        *anomaly_score = all.fold(0.0, f64::max);
        for record in &mut results.records {
            let scope = Scope::Detector(record.detector_index);
            record.record_score = bound(scope, record.initial_record_score);
        }
        for of in &mut results.influencers {
            let scope = Scope::Influencer(&of.influencer_field_name);
            of.influencer_score = bound(scope, of.initial_influencer_score);
        }
    }

    fn buckets(&self) -> u64 {
        let each = self.slots.iter().map(|slot| u64::from(slot.buckets));
        each.sum()
    }

    /// Goes on to the slot of a bucket, and forgets what has left the window.
    fn turn(&mut self, start: i64) {
        let now = self.slots[self.at_work()];
        if now.buckets > 0 && start.saturating_sub(now.start) >= self.window / SLOTS as i64 {
            self.slot = ((self.at_work() + 1) % SLOTS) as u8;
            self.forget(self.at_work());
        }
        for slot in 0..SLOTS {
            let Slot {
                start: old,
                buckets,
            } = self.slots[slot];
            if buckets > 0 && start.saturating_sub(old) >= self.window {
                self.forget(slot);
            }
        }
        let at_work = self.at_work();
        let now = &mut self.slots[at_work];
        if now.buckets == 0 {
            now.start = start;
        }
        now.buckets = now.buckets.saturating_add(1);
    }

    fn at_work(&self) -> usize {
        usize::from(self.slot) % SLOTS
    }

    fn forget(&mut self, slot: usize) {
        self.slots[slot] = Slot::default();
        for history in self.scopes.iter_mut().flatten() {
            history.counts[slot] = [0; BINS];
        }
    }

    /// Counts the highest score of each scope. Those of the lowest bin are noise, and change nothing.
    fn count(&mut self, influencers: &[String], results: &BucketResults, room: u64) -> bool {
        let of_bucket = results.bucket.bucket_influencers.iter();
        let of_bucket = of_bucket.map(|of| {
            let scope = Scope::BucketInfluencer(&of.influencer_field_name);
            (scope, of.initial_anomaly_score)
        });
        let of_records = results.records.iter();
        let of_records = of_records.map(|record| {
            let scope = Scope::Detector(record.detector_index);
            (scope, record.initial_record_score)
        });
        let of_influencers = results.influencers.iter();
        let of_influencers = of_influencers.map(|of| {
            let scope = Scope::Influencer(&of.influencer_field_name);
            (scope, of.initial_influencer_score)
        });
        let mut highest: Vec<(usize, usize)> = of_bucket
            .chain(of_records)
            .chain(of_influencers)
            .filter_map(|(scope, score)| Some((scope.number(influencers)?, bin(score))))
            .filter(|&(_, bin)| bin > 0)
            .collect();
        highest.sort_unstable();
        let most = self.bytes.saturating_add(room);
        for (place, &(number, bin)) in highest.iter().enumerate() {
            let is_highest = highest.get(place + 1).is_none_or(|next| next.0 != number);
            let at_work = self.at_work();
            if is_highest && let Some(history) = self.history(number, most) {
                let count = &mut history.counts[at_work][bin];
                *count = count.saturating_add(1);
            }
        }
        !highest.is_empty()
    }

    /// The history of a scope; a new one if that keeps to `most` bytes.
    fn history(&mut self, number: usize, most: u64) -> Option<&mut History> {
        if self.scopes.get(number).is_none_or(Option::is_none) {
            let more = (number + 1).saturating_sub(self.scopes.len());
            let needed = size_of::<History>() + more * size_of::<Option<Box<History>>>();
            if self.bytes + needed as u64 > most {
                return None;
            }
            self.scopes.reserve_exact(more);
            self.scopes.extend(std::iter::repeat_n(None, more));
            self.scopes[number] = Some(Box::new(History::EMPTY));
            self.bytes += needed as u64;
        }
        self.scopes[number].as_deref_mut()
    }

    fn change(&self) -> f64 {
        let buckets = self.buckets();
        let scopes = self.scopes.iter().flatten();
        let changes = scopes.map(|history| history.curve.change(&history.target(buckets)));
        changes.fold(0.0, f64::max)
    }

    /// Goes over to the bounds that the counts give.
    fn follow(&mut self, influencers: &[String], start: i64) -> Renormalisation {
        let buckets = self.buckets();
        let (mut floor, mut kinds) = (100.0f64, Kinds::default());
        for (number, history) in self.scopes.iter_mut().enumerate() {
            let Some(history) = history else { continue };
            let new = history.curve.follow(&history.target(buckets));
            if new != history.curve {
                floor = floor.min(history.curve.first_change(&new));
                match number {
                    _ if number <= influencers.len() => kinds.buckets = true,
                    _ if number <= 2 * influencers.len() => kinds.influencers = true,
                    _ => kinds.records = true,
                }
                history.curve = new;
            }
        }
        if std::mem::take(&mut self.unsure) {
            floor = LOWEST;
            (kinds.buckets, kinds.records, kinds.influencers) = (true, true, true);
        }
        self.buckets_since_change = 0;
        let curve = |history: &Option<Box<History>>| {
            let history = history.as_ref();
            history.map_or(Curve::FREE, |history| history.curve)
        };
        Renormalisation {
            from: start.saturating_sub(self.window).saturating_mul(1_000),
            before: start.saturating_mul(1_000),
            floor,
            kinds,
            curves: Curves {
                influencers: influencers.to_vec(),
                curves: self.scopes.iter().map(curve).collect(),
            },
        }
    }
}

fn default_window(span: i64) -> i64 {
    SHORTEST.0.max(SHORTEST.1.saturating_mul(span))
}

#[cfg(test)]
mod tests;
