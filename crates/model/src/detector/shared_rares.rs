//! Rare by values of populations (`rare` and `freq_rare` with an over field): a slot for each pair of a person and a
//! value that was seen, so that the slots themselves say who shares what.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize};

use super::frequent::is_frequent;
use super::rares::{ENTRY_BYTES, THERE, judged};
use super::slots::Slots;
use super::{Closed, Closing, Judged, Key, Lane, NO_SPLIT, Point, people};
use crate::config::Metric;
use crate::crowd::{Crowd, MEMBER_BYTES};
use crate::gather::Gathered;
use crate::rare::{RarePeople, VALUE_BYTES, singularity};
use crate::rules::Verdict;
use crate::series::{Link, Side};

/// Bytes of a count of sharers, or of the values of a person, the map's spare room included.
const COUNT_BYTES: u64 = 24;
/// What is rare is done often when it is more than this: less is all the same, and never unusual.
const OFTEN: f64 = 1.0;
/// Values told as the causes of a person's doing.
const CAUSES: usize = 10;
/// What is less than this share of the greatest part in a person's doing is no cause of it.
const CAUSE_SHARE: f64 = 0.25;

/// What is known of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Model {
    rare: RarePeople,
    /// How much people do that few others do, for `freq_rare`.
    singular: Option<Box<Crowd>>,
}

impl Model {
    fn new(lane: &Lane) -> Self {
        let frequent = is_of_frequency(lane);
        Self {
            rare: RarePeople::new(),
            singular: frequent.then(|| Box::new(Crowd::with_link(lane.span, Link::Root))),
        }
    }
}

/// `freq_rare` asks who does much, `rare` whether anyone does.
fn is_of_frequency(lane: &Lane) -> bool {
    lane.side == Side::High
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SharedRares {
    slots: Slots,
    /// By partition.
    models: BTreeMap<u32, Model>,
    /// Buckets that had records, of which frequent people are in many.
    buckets: u32,
    /// `freq_rare`, not `rare`.
    frequent: bool,
    /// People that a value of a partition was seen with, values that a person was seen with, and people: all follow from
    /// the slots.
    #[serde(skip)]
    sharers: FxHashMap<(u32, u32), u32>,
    #[serde(skip)]
    people: FxHashMap<(u32, u32), u32>,
    #[serde(skip)]
    crowds: BTreeMap<u32, u32>,
}

/// A value that a person has in a bucket.
#[derive(Clone, Copy)]
struct Pair {
    slot: u32,
    key: Key,
    /// Other people who were seen with it before.
    others: u32,
    /// Events.
    times: f64,
    said: Verdict,
}

impl SharedRares {
    pub fn new(lane: &Lane) -> Self {
        Self::of(Slots::default(), BTreeMap::new(), 0, is_of_frequency(lane))
    }

    fn of(slots: Slots, models: BTreeMap<u32, Model>, buckets: u32, frequent: bool) -> Self {
        let mut all = Self {
            slots,
            models,
            buckets,
            frequent,
            sharers: FxHashMap::default(),
            people: FxHashMap::default(),
            crowds: BTreeMap::new(),
        };
        all.recount();
        all
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        self.slots.find(key)
    }

    pub fn newborn_bytes(&self) -> u64 {
        self.slots.newborn_bytes() + self.value_bytes() + self.person_bytes() + self.model_bytes()
    }

    fn value_bytes(&self) -> u64 {
        COUNT_BYTES + VALUE_BYTES as u64
    }

    fn person_bytes(&self) -> u64 {
        COUNT_BYTES
            + if self.frequent {
                MEMBER_BYTES as u64
            } else {
                0
            }
    }

    fn model_bytes(&self) -> u64 {
        let singular = if self.frequent {
            Crowd::newborn_bytes()
        } else {
            0
        };
        (size_of::<Model>() + singular) as u64 + ENTRY_BYTES
    }

    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        let model = self.models.entry(key.partition);
        model.or_insert_with(|| Model::new(lane));
        self.count(key, 0);
        self.slots.admit(key, bucket)
    }

    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        self.buckets += u32::from(!gathered.touched.is_empty());
        let pairs = self.pairs(closing, gathered);
        let mut closed = Closed::default();
        for of_partition in pairs.chunk_by(|a, b| a.key.partition == b.key.partition) {
            let partition = of_partition[0].key.partition;
            let all = self.crowds.get(&partition).copied().unwrap_or(0);
            let Some(model) = self.models.get_mut(&partition) else {
                continue;
            };
            let (judged, did) = judge(model, closing, of_partition, all);
            if let (Some(crowd), Some((values, seen))) = (&mut model.singular, did) {
                crowd.learn(&values, &seen);
            }
            let learnt = of_partition.iter().filter(|pair| !pair.said.skip_update);
            let done = learnt.map(|pair| (pair.key.by, pair.others));
            let done: Vec<(u32, u32)> = done.collect();
            model.rare.learn(&done, all);
            self.tell(closing, judged, all, &mut closed);
        }
        for pair in &pairs {
            if pair.said.skip_update {
                self.slots.spare(pair.slot, closing.bucket);
            } else if self.slots.touch(pair.slot, closing.bucket).seen == 0 {
                self.count(pair.key, 1);
            }
        }
        closed
    }

    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered) -> Closed {
        let mut closed = Closed::default();
        let pairs = self.pairs(closing, gathered);
        for of_partition in pairs.chunk_by(|a, b| a.key.partition == b.key.partition) {
            let partition = of_partition[0].key.partition;
            let all = self.crowds.get(&partition).copied().unwrap_or(0);
            if let Some(model) = self.models.get(&partition) {
                let (judged, _) = judge(model, closing, of_partition, all);
                self.tell(closing, judged, all, &mut closed);
            }
        }
        closed
    }

    /// The pairs of a bucket, by partition, value and person.
    fn pairs(&self, closing: &Closing<'_>, gathered: &Gathered) -> Vec<Pair> {
        let of = |&slot: &u32| {
            let found = self.slots.get(slot);
            let key = found.key;
            let with = self.sharers.get(&(key.partition, key.by));
            Pair {
                slot,
                key,
                others: with.map_or(0, |with| with.saturating_sub(found.seen.min(1))),
                times: gathered
                    .get(slot as usize)
                    .value(Metric::Count)
                    .unwrap_or(0.0),
                said: closing.verdict(key, &THERE, &THERE),
            }
        };
        let mut pairs: Vec<Pair> = gathered.touched.iter().map(of).collect();
        pairs.sort_unstable_by_key(|pair| pair.key);
        pairs
    }

    /// Takes what people did of a partition's bucket into what is told.
    fn tell(&self, closing: &Closing<'_>, judged: Vec<Judged>, all: u32, closed: &mut Closed) {
        let frequent = is_of_frequency(closing.lane);
        // Rarity is one of the whole bucket, its probability too; people who do much are many.
        closed.judged += if frequent { judged.len() } else { 1 };
        for mut person in judged {
            person.causes.retain(|cause| {
                let said = closing.verdict(cause.key, &THERE, &THERE);
                !said.skip_result && !self.is_excluded(closing.lane, cause, all)
            });
            let wanted = closing.wants(person.key, person.probability);
            if let Some(first) = person.causes.first().filter(|_| wanted) {
                // What was left out no longer counts.
                let probability = if frequent {
                    person.probability
                } else {
                    first.probability
                };
                let did = person.actual;
                let mut person = people::person(probability, person.causes);
                if frequent {
                    // All that was done is what is unusual, not the part of one value in it.
                    person.actual = did;
                }
                if closing.wants(person.key, probability) {
                    closed.told.push(person);
                }
            }
        }
    }

    fn is_excluded(&self, lane: &Lane, cause: &Judged, all: u32) -> bool {
        let Key { partition, by, .. } = cause.key;
        let with = self.sharers.get(&(partition, by)).copied().unwrap_or(0);
        let seen = self.slots.get(cause.slot).seen;
        (lane.exclude.by && is_frequent(with, all))
            || (lane.exclude.over && is_frequent(seen, self.buckets))
    }

    /// Counts `pairs` of a person and a value, one or, of those that have not been seen to the end of a bucket, none.
    fn count(&mut self, key: Key, pairs: u32) {
        *self.sharers.entry((key.partition, key.by)).or_insert(0) += pairs;
        let values = self.people.entry((key.partition, key.over)).or_insert(0);
        *values += pairs;
        if pairs == 1 && *values == 1 {
            *self.crowds.entry(key.partition).or_insert(0) += 1;
        }
    }

    fn recount(&mut self) {
        self.sharers.clear();
        self.people.clear();
        self.crowds.clear();
        for slot in 0..self.slots.len() as u32 {
            let slot = self.slots.get(slot);
            self.count(slot.key, slot.seen.min(1));
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        self.slots.bytes()
            + self.sharers.len() as u64 * self.value_bytes()
            + self.people.len() as u64 * self.person_bytes()
            + self.models.len() as u64 * self.model_bytes()
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let slot = self.slots.get(slot as u32);
        (slot.key, slot.last_record, slot.seen)
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let places = self.slots.retain(keep);
        self.recount();
        let Self {
            models,
            sharers,
            people,
            slots,
            ..
        } = self;
        let mut partitions: Vec<u32> = slots.iter().map(|slot| slot.key.partition).collect();
        partitions.sort_unstable();
        models.retain(|partition, _| partitions.binary_search(partition).is_ok());
        for (&partition, model) in models.iter_mut() {
            model
                .rare
                .retain(|by| sharers.contains_key(&(partition, by)));
            if let Some(crowd) = &mut model.singular {
                crowd.retain(|over| people.contains_key(&(partition, over)));
            }
        }
        places
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.rename(new);
        self.recount();
        let models = std::mem::take(&mut self.models).into_iter();
        let models = models.map(|(partition, mut model)| {
            model.rare.rename(new);
            if let Some(crowd) = &mut model.singular {
                crowd.rename(new);
            }
            (super::renamed(partition, new), model)
        });
        self.models = models.collect();
    }
}

/// What `freq_rare` has to learn of a bucket.
type Did = (Vec<(u32, f64)>, crate::crowd::Seen);

/// Judges the people of a partition, each with what it did as causes.
fn judge(
    model: &Model,
    closing: &Closing<'_>,
    pairs: &[Pair],
    all: u32,
) -> (Vec<Judged>, Option<Did>) {
    let mut by_person = pairs.to_vec();
    by_person.sort_unstable_by_key(|pair| (pair.key.over, pair.key.by));
    let people = by_person.chunk_by(|a, b| a.key.over == b.key.over);
    let Some(crowd) = &model.singular else {
        let person = |pairs: &[Pair]| {
            let of = |pair: &Pair| {
                let rarity = model.rare.judge(pair.key.by, pair.others, all);
                judged(pair.slot, pair.key, rarity)
            };
            let causes: Vec<Judged> = pairs.iter().map(of).collect();
            let least = causes.iter().map(|cause| cause.probability);
            people::person(least.fold(1.0, f64::min), causes)
        };
        return (people.map(person).collect(), None);
    };
    let did = |pairs: &[Pair]| {
        let done = pairs.iter().map(|pair| (pair.others, pair.times));
        (pairs[0].key.over, singularity(done).max(OFTEN))
    };
    let values: Vec<(u32, f64)> = people.clone().map(did).collect();
    let seen = crowd.judge(closing.bucket, &values, Side::High);
    let each = people.clone().zip(&values).zip(&seen.findings);
    let person = |((pairs, &(_, value)), &found): ((&[Pair], &(u32, f64)), &_)| {
        // The values that had the greatest part in it.
        let mut pairs = pairs.to_vec();
        let part = |pair: &Pair| singularity([(pair.others, pair.times)]);
        pairs.sort_by(|a, b| part(b).total_cmp(&part(a)));
        let least = CAUSE_SHARE * part(&pairs[0]);
        pairs.retain(|pair| part(pair) >= least);
        pairs.truncate(CAUSES);
        let of = |pair: &Pair| Judged::new(pair.slot, pair.key, Point::One(pair.times), found);
        let causes: Vec<Judged> = pairs.iter().map(of).collect();
        let mut person = Judged::new(causes[0].slot, causes[0].key, Point::One(value), found);
        person.key.by = NO_SPLIT;
        person.causes = causes;
        person
    };
    let judged = each.map(person).collect();
    // Who did what is not to be learnt teaches nothing at all.
    let learnt = people.map(|pairs| !pairs.iter().any(|pair| pair.said.skip_update));
    let learnt: Vec<bool> = learnt.collect();
    let mut keep = learnt.iter();
    let mut seen = seen;
    seen.retain(&learnt);
    let mut values = values;
    values.retain(|_| keep.next() != Some(&false));
    (judged, Some((values, seen)))
}

impl<'de> Deserialize<'de> for SharedRares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            slots: Slots,
            models: BTreeMap<u32, Model>,
            buckets: u32,
            frequent: bool,
        }
        let stored = Stored::deserialize(deserializer)?;
        Ok(Self::of(
            stored.slots,
            stored.models,
            stored.buckets,
            stored.frequent,
        ))
    }
}
