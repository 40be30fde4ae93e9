//! A series of its own for each pair of partition and by value.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Deserializer, Serialize};
use std::hash::BuildHasher;

use super::correlated::Correlated;
use super::frequent::Frequencies;
use super::herd::{Herd, PIECE};
use super::{Closed, Closing, Judged, Key, Lane, NO_SPLIT, Point, taken_on};
use crate::config::Metric;
use crate::gather::{Accumulator, Gathered};
use crate::rules::Verdict;
use crate::series::{Finding, Series};
use crate::workers::Part;

/// Values from which the work of a bucket is shared.
const MANY: usize = 2_048;
/// Bytes that finding a slot takes, the spare room of its table included.
const INDEX_BYTES: u64 = 10;

/// One series with the split values that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub partition: u32,
    pub by: u32,
    /// Start of the last bucket that had a record of it, epoch seconds.
    pub last_record: i64,
    pub series: Series,
}

impl Member {
    fn key(&self) -> Key {
        Key {
            partition: self.partition,
            by: self.by,
            over: NO_SPLIT,
        }
    }

    /// Bytes beside its place in the list.
    fn heap(&self) -> u64 {
        (self.series.bytes() - size_of::<Series>()) as u64
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Individual {
    members: Herd<Member>,
    correlated: Option<Box<Correlated>>,
    /// Where frequent by values are left out.
    frequencies: Option<Frequencies>,
    /// Bytes of a slot beside its member.
    each: u64,
    #[serde(skip)]
    index: HashTable<u32>,
    /// Bytes of the members beside their places in the list.
    #[serde(skip)]
    heap: u64,
}

fn hash(key: Key) -> u64 {
    FxBuildHasher.hash_one((key.partition, key.by))
}

impl Individual {
    pub fn new(lane: &Lane) -> Self {
        let mut each = INDEX_BYTES;
        if lane.multivariate {
            each += Correlated::BYTES;
        }
        if lane.metric == Metric::Median {
            each += Gathered::MEDIAN_BYTES;
        }
        Self {
            members: Herd::default(),
            correlated: lane.multivariate.then(Box::default),
            frequencies: lane.exclude.by.then(Frequencies::default),
            each,
            index: HashTable::new(),
            heap: 0,
        }
    }

    /// Takes over members of an older format.
    pub fn restored(lane: &Lane, members: impl IntoIterator<Item = Member>) -> Self {
        let mut all = Self::new(lane);
        members
            .into_iter()
            .for_each(|member| all.members.push(member));
        if let Some(frequencies) = &mut all.frequencies {
            (0..all.members.len()).for_each(|_| frequencies.admit());
        }
        all.reindex();
        all
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        self.index
            .find(hash(key), |&slot| {
                self.members.get(slot as usize).key() == key
            })
            .copied()
    }

    pub fn newborn_bytes(&self) -> u64 {
        let heap = Series::newborn_bytes() - size_of::<Series>();
        let frequencies = self.frequencies.as_ref();
        let frequency = frequencies.map_or(0, Frequencies::newborn_bytes);
        self.members.next_bytes() + heap as u64 + self.each + frequency
    }

    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        let slot = self.members.len() as u32;
        let member = Member {
            partition: key.partition,
            by: key.by,
            last_record: bucket,
            series: Series::new(lane.span, lane.metric.link()),
        };
        self.heap += member.heap();
        self.members.push(member);
        if let Some(frequencies) = &mut self.frequencies {
            frequencies.admit();
        }
        let members = &self.members;
        self.index.insert_unique(hash(key), slot, |&slot| {
            hash(members.get(slot as usize).key())
        });
        slot
    }

    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        let mut closed = self.observe(closing, gathered);
        if let Some(frequencies) = &mut self.frequencies {
            frequencies.see(&gathered.touched);
        }
        if let Some(correlated) = &mut self.correlated {
            correlated.see(&mut closed.told);
            closed.rejoin();
        }
        // Also where they are odd only beside another.
        self.leave_out_frequent(&mut closed);
        closed
    }

    /// What is frequent is judged, but not told.
    fn leave_out_frequent(&self, closed: &mut Closed) {
        let Some(frequencies) = &self.frequencies else {
            return;
        };
        for judged in closed.told.iter_mut().chain(&mut closed.apart) {
            if frequencies.is_frequent(judged.slot) {
                judged.probability = 1.0;
            }
        }
    }

    fn observe(&mut self, closing: &Closing<'_>, gathered: &Gathered) -> Closed {
        let values = if closing.lane.zeros {
            self.members.len()
        } else {
            gathered.touched.len()
        };
        let pieces = self.members.pieces_mut();
        let width = closing.workers.width();
        if width == 1 || values < MANY {
            let (closed, freed) = close(closing, gathered, pieces, 0);
            self.heap = self.heap.saturating_add_signed(-freed);
            return closed;
        }
        // Some more parts than workers, so that none waits long for the slowest.
        let size = pieces.len().div_ceil(4 * width);
        let shares = pieces.chunks_mut(size);
        let mut done: Vec<(Closed, i64)> = Vec::new();
        done.resize_with(shares.len(), Default::default);
        let parts = shares.zip(&mut done).enumerate();
        let parts = parts.map(|(number, (pieces, done))| -> Part<'_> {
            Box::new(move || *done = close(closing, gathered, pieces, number * size * PIECE))
        });
        closing.workers.run(parts.collect());
        let mut all = Closed::default();
        for (closed, freed) in done {
            all.judged += closed.judged;
            all.told.extend(closed.told);
            all.apart.extend(closed.apart);
            all.changes.extend(closed.changes);
            all.hungry.extend(closed.hungry);
            self.heap = self.heap.saturating_add_signed(-freed);
        }
        all
    }

    pub fn shift_clock(&mut self, seconds: i64, is_meant: &dyn Fn(Key) -> bool) {
        let members = self.members.iter_mut();
        members
            .filter(|member| is_meant(member.key()))
            .for_each(|member| member.series.shift_clock(seconds));
    }

    pub fn grow(&mut self, hungry: &[u32], mut room: u64) -> Option<u64> {
        for &slot in hungry {
            let member = self.members.get_mut(slot as usize);
            let before = member.heap();
            room = room.checked_sub(member.series.wants() as u64)?;
            member.series.grow();
            self.heap = self.heap + member.heap() - before;
        }
        Some(room)
    }

    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered, complete: f64) -> Closed {
        let mut closed = Closed::default();
        let lane = closing.lane;
        for (slot, member) in self.members.iter().enumerate() {
            let Some(value) = value(lane, gathered.get(slot)) else {
                continue;
            };
            let see = |value| member.series.peek(closing.bucket, value, lane.side);
            let value = if lane.metric.adds_up() {
                taken_on(value, complete, see(value).typical)
            } else {
                value
            };
            let finding = see(value);
            let judged = judged(slot, member, value, finding.probability, finding);
            let said = closing.verdict(judged.key, &judged.actual, &judged.typical);
            closed.take(closing, judged, said);
        }
        self.leave_out_frequent(&mut closed);
        closed.rejoin();
        closed
    }

    pub fn again(&self, closing: &Closing<'_>, slot: u32, value: f64) -> f64 {
        let series = &self.members.get(slot as usize).series;
        series
            .peek(closing.bucket, value, closing.lane.side)
            .probability
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn bytes(&self) -> u64 {
        let frequencies = self.frequencies.as_ref().map_or(0, Frequencies::bytes);
        self.members.bytes() + self.heap + self.members.len() as u64 * self.each + frequencies
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let member = self.members.get(slot);
        (member.key(), member.last_record, member.series.seen())
    }

    pub fn series(&self, slot: usize) -> &Series {
        &self.members.get(slot).series
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        self.members.retain(keep);
        if let Some(frequencies) = &mut self.frequencies {
            frequencies.retain(keep);
        }
        self.reindex();
        let places = super::places(keep);
        if let Some(correlated) = &mut self.correlated {
            correlated.renumber(&places);
        }
        places
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        for member in self.members.iter_mut() {
            let mut key = member.key();
            key.rename(new);
            (member.partition, member.by) = (key.partition, key.by);
        }
        self.reindex();
    }

    fn reindex(&mut self) {
        self.heap = self.members.iter().map(Member::heap).sum();
        self.index.clear();
        for (slot, member) in self.members.iter().enumerate() {
            let members = &self.members;
            self.index
                .insert_unique(hash(member.key()), slot as u32, |&slot| {
                    hash(members.get(slot as usize).key())
                });
        }
    }
}

/// The value of a slot's bucket, if it has one.
fn value(lane: &Lane, found: Accumulator) -> Option<f64> {
    found
        .value(lane.metric)
        .or_else(|| lane.zeros.then_some(0.0))
}

fn judged(slot: usize, member: &Member, value: f64, left: f64, finding: Finding) -> Judged {
    Judged {
        probability: left,
        ..Judged::new(slot as u32, member.key(), Point::One(value), finding)
    }
}

/// Judges and learns the values of some pieces, of which the first slot is `first`. Gives the bytes that models have
/// freed as well.
fn close(
    closing: &Closing<'_>,
    gathered: &Gathered,
    pieces: &mut [Vec<Member>],
    first: usize,
) -> (Closed, i64) {
    let (mut closed, mut freed) = (Closed::default(), 0);
    let lane = closing.lane;
    let mut observe = |slot: usize, member: &mut Member| {
        let found = gathered.get(slot);
        if found.count > 0.0 {
            member.last_record = closing.bucket;
        }
        let Some(value) = value(lane, found) else {
            return;
        };
        let before = member.heap();
        let (key, mut said) = (member.key(), Verdict::default());
        let rule = |finding: &Finding| {
            said = closing.verdict(key, &Point::One(value), &Point::One(finding.typical));
            said.skip_update
        };
        let series = &mut member.series;
        let finding = series.observe_unless(closing.bucket, value, lane.side, rule);
        // What is not told holds nothing back.
        let told = if said.skip_result {
            1.0
        } else {
            finding.probability
        };
        let left = member.series.after_peak(told);
        freed += before as i64 - member.heap() as i64;
        closed.take(closing, judged(slot, member, value, left, finding), said);
        if let Some(change) = finding.change {
            closed.changes.push((member.key(), change));
        }
        if member.series.wants() > 0 {
            closed.hungry.push(slot as u32);
        }
    };
    if lane.zeros {
        for (slot, member) in pieces.iter_mut().flatten().enumerate() {
            observe(first + slot, member);
        }
    } else {
        let touched = &gathered.touched;
        let from = touched.partition_point(|&slot| (slot as usize) < first);
        for &slot in &touched[from..] {
            let slot = slot as usize;
            let Some(piece) = pieces.get_mut((slot - first) / PIECE) else {
                break;
            };
            observe(slot, &mut piece[(slot - first) % PIECE]);
        }
    }
    (closed, freed)
}

/// The index and the sums are no part of what a lane has learnt.
impl PartialEq for Individual {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members && self.correlated == other.correlated
    }
}

impl<'de> Deserialize<'de> for Individual {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            members: Herd<Member>,
            correlated: Option<Box<Correlated>>,
            frequencies: Option<Frequencies>,
            each: u64,
        }
        let stored = Stored::deserialize(deserializer)?;
        let mut all = Self {
            members: stored.members,
            correlated: stored.correlated,
            frequencies: stored.frequencies,
            each: stored.each,
            index: HashTable::new(),
            heap: 0,
        };
        all.reindex();
        Ok(all)
    }
}
