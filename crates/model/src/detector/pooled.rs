//! Models that several slots share: a population's, one for each pair of partition and by value, and those of times and
//! places, which populations share and which a series has for itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::slots::Slots;
use super::{Closed, Closing, Judged, Key, Lane, NO_SPLIT, Point, people};
use crate::circle::Circle;
use crate::config::Metric;
use crate::crowd::{Crowd, MEMBER_BYTES};
use crate::gather::{Accumulator, Gathered};
use crate::place::{self, Place};
use crate::series::Finding;

const DAY: i64 = 86_400;
/// Bytes that finding a pool takes.
const ENTRY_BYTES: u64 = 32;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Pool {
    Crowd(Box<Crowd>),
    Circle(Box<Circle>),
    Place(Box<Place>),
}

/// Partition and by value.
type PoolKey = (u32, u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    slots: Slots,
    pools: BTreeMap<PoolKey, Pool>,
    /// Buckets that had records, of which frequent members are in many.
    buckets: u32,
    /// Bytes of a slot beside its place in the list, and of a pool without members.
    each: u64,
    of_pool: u64,
}

/// The value of a slot in a bucket.
#[derive(Clone, Copy)]
struct Value {
    slot: u32,
    key: Key,
    value: Point,
}

impl Value {
    fn pool(&self) -> PoolKey {
        (self.key.partition, self.key.by)
    }
}

/// What a pool made of a bucket, to be learnt.
enum Seen {
    Crowd(Vec<(u32, f64)>, crate::crowd::Seen),
    Circle(Vec<(f64, Finding)>),
    Place(Vec<(place::Point, place::Located)>),
}

impl Pool {
    fn new(lane: &Lane) -> Self {
        match lane.metric {
            Metric::TimeOfDay => Self::Circle(Box::new(Circle::new(DAY))),
            Metric::TimeOfWeek => Self::Circle(Box::new(Circle::new(7 * DAY))),
            Metric::Place => Self::Place(Box::default()),
            metric => Self::Crowd(Box::new(Crowd::new(lane.span, metric.link()))),
        }
    }

    /// Bytes of one without members.
    fn newborn_bytes(lane: &Lane) -> u64 {
        let bytes = match lane.metric {
            Metric::TimeOfDay => Circle::newborn_bytes(DAY),
            Metric::TimeOfWeek => Circle::newborn_bytes(7 * DAY),
            Metric::Place => Place::newborn_bytes(),
            _ => Crowd::newborn_bytes(),
        };
        bytes as u64 + ENTRY_BYTES
    }

    /// Judges the values of a bucket, by their over values.
    fn judge(&self, closing: &Closing<'_>, values: &[Value]) -> (Vec<Judged>, Seen) {
        match self {
            Self::Crowd(crowd) => {
                let numbers = values.iter().map(|v| (v.key.over, v.value.values()[0]));
                let numbers: Vec<(u32, f64)> = numbers.collect();
                let seen = crowd.judge(closing.bucket, &numbers, closing.lane.side);
                let each = values.iter().zip(&seen.findings);
                let judged = each
                    .map(|(value, &found)| Judged::new(value.slot, value.key, value.value, found));
                (judged.collect(), Seen::Crowd(numbers, seen))
            }
            Self::Circle(circle) => {
                let judge = |value: &Value| {
                    let into = value.value.values()[0];
                    let found = circle.judge(into);
                    let judged = Judged::new(value.slot, value.key, value.value, found);
                    (judged, (into, found))
                };
                let (judged, seen) = values.iter().map(judge).unzip();
                (judged, Seen::Circle(seen))
            }
            Self::Place(place) => {
                let judge = |value: &Value| {
                    let point = point(value.value);
                    let found = place.judge(point);
                    (located(value, &found), (point, found))
                };
                let (judged, seen) = values.iter().map(judge).unzip();
                (judged, Seen::Place(seen))
            }
        }
    }

    fn learn(&mut self, bucket: i64, seen: &Seen) {
        match (self, seen) {
            (Self::Crowd(crowd), Seen::Crowd(values, seen)) => crowd.learn(values, seen),
            (Self::Circle(circle), Seen::Circle(seen)) => seen
                .iter()
                .for_each(|(into, found)| circle.learn(bucket, *into, found)),
            (Self::Place(place), Seen::Place(seen)) => seen
                .iter()
                .for_each(|(point, found)| place.learn(*point, found)),
            _ => {}
        }
    }
}

fn point(value: Point) -> place::Point {
    match value {
        Point::Pair([lat, lon]) => place::Point { lat, lon },
        Point::One(lat) => place::Point { lat, lon: 0.0 },
    }
}

fn located(value: &Value, found: &place::Located) -> Judged {
    let finding = Finding {
        probability: found.probability,
        single: found.probability,
        multiple: 1.0,
        // Of the distance, km.
        typical: 0.0,
        lower: 0.0,
        upper: found.usual,
    };
    let place::Point { lat, lon } = found.typical;
    Judged {
        typical: Point::Pair([lat, lon]),
        ..Judged::new(value.slot, value.key, value.value, finding)
    }
}

/// The value of a slot's bucket, if it has one.
fn value(metric: Metric, found: &Accumulator) -> Option<Point> {
    match metric {
        Metric::Place => found.pair().map(Point::Pair),
        Metric::TimeOfDay | Metric::TimeOfWeek => {
            let period = if metric == Metric::TimeOfDay {
                DAY
            } else {
                7 * DAY
            } as f64;
            let [sine, cosine] = found.pair()?;
            let turn = sine.atan2(cosine) / std::f64::consts::TAU;
            Some(Point::One((turn.rem_euclid(1.0) * period).round() % period))
        }
        metric => found.value(metric).map(Point::One),
    }
}

impl Pooled {
    pub fn new(lane: &Lane) -> Self {
        let of_member = match lane.metric {
            Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place => 0,
            Metric::Median => MEMBER_BYTES as u64 + Gathered::MEDIAN_BYTES,
            _ => MEMBER_BYTES as u64,
        };
        Self {
            slots: Slots::default(),
            pools: BTreeMap::new(),
            buckets: 0,
            each: of_member,
            of_pool: Pool::newborn_bytes(lane),
        }
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        self.slots.find(key)
    }

    pub fn newborn_bytes(&self) -> u64 {
        self.slots.newborn_bytes() + self.each + self.of_pool
    }

    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        let pool = self.pools.entry((key.partition, key.by));
        pool.or_insert_with(|| Pool::new(lane));
        self.slots.admit(key, bucket)
    }

    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        self.buckets += u32::from(!gathered.touched.is_empty());
        for &slot in &gathered.touched {
            self.slots.touch(slot, closing.bucket);
        }
        let values = self.values(closing.lane, gathered, |_, value| value);
        let mut all = Vec::with_capacity(values.len());
        for values in values.chunk_by(|a, b| a.pool() == b.pool()) {
            let Some(pool) = self.pools.get_mut(&values[0].pool()) else {
                continue;
            };
            let (judged, seen) = pool.judge(closing, values);
            all.extend(judged);
            pool.learn(closing.bucket, &seen);
        }
        self.told(closing, all)
    }

    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered, complete: f64) -> Closed {
        // What adds up is taken on to the end of the bucket as if the rest of it were as expected.
        let expected = |key: Key, value: f64| match self.pools.get(&(key.partition, key.by)) {
            Some(Pool::Crowd(crowd)) => {
                let side = closing.lane.side;
                crowd.peek(closing.bucket, key.over, value, side).typical
            }
            _ => value,
        };
        let values = self.values(closing.lane, gathered, |key, value| match value {
            Point::One(so_far) if closing.lane.metric.adds_up() => {
                Point::One(so_far + (1.0 - complete) * expected(key, so_far))
            }
            value => value,
        });
        let mut all = Vec::with_capacity(values.len());
        for values in values.chunk_by(|a, b| a.pool() == b.pool()) {
            if let Some(pool) = self.pools.get(&values[0].pool()) {
                all.extend(pool.judge(closing, values).0);
            }
        }
        self.told(closing, all)
    }

    /// The values of a bucket by pool and over value, passed through `correct`.
    fn values(
        &self,
        lane: &Lane,
        gathered: &Gathered,
        correct: impl Fn(Key, Point) -> Point,
    ) -> Vec<Value> {
        let of = |&slot: &u32| {
            let key = self.slots.get(slot).key;
            let value = value(lane.metric, &gathered.get(slot as usize))?;
            let value = correct(key, value);
            Some(Value { slot, key, value })
        };
        let mut values: Vec<Value> = gathered.touched.iter().filter_map(of).collect();
        values.sort_unstable_by_key(|value| (value.pool(), value.key.over));
        values
    }

    fn told(&self, closing: &Closing<'_>, mut all: Vec<Judged>) -> Closed {
        let lane = closing.lane;
        all.retain(|judged| !self.is_excluded(lane, judged));
        if lane.population {
            return people::told(closing, all);
        }
        let judged = all.len();
        all.retain(|judged| closing.wants(judged.key, judged.probability));
        all.sort_unstable_by_key(|judged| judged.slot);
        Closed {
            judged,
            told: all,
            hungry: Vec::new(),
        }
    }

    /// Whether a value is of a member, or of a by value, that is too frequent to be told.
    fn is_excluded(&self, lane: &Lane, judged: &Judged) -> bool {
        let seen = self.slots.get(judged.slot).seen;
        // Without by values a slot's buckets are those of its member, without members those of its by value.
        let over = lane.exclude.over && lane.population && judged.key.by == NO_SPLIT;
        let by = lane.exclude.by && !lane.population;
        (over || by) && people::is_frequent(seen, self.buckets)
    }

    pub fn again(&self, closing: &Closing<'_>, slot: u32, value: f64) -> Option<f64> {
        let key = self.slots.get(slot).key;
        let pool = self.pools.get(&(key.partition, key.by))?;
        let Pool::Crowd(crowd) = pool else {
            return None;
        };
        let found = crowd.peek(closing.bucket, key.over, value, closing.lane.side);
        Some(found.probability)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        let members = self.slots.len() as u64 * self.each;
        self.slots.bytes() + members + self.pools.len() as u64 * self.of_pool
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let slot = self.slots.get(slot as u32);
        (slot.key, slot.last_record, slot.seen)
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let places = self.slots.retain(keep);
        let members = self.slots.iter().map(|slot| slot.key);
        let mut members: Vec<(PoolKey, u32)> = members
            .map(|key| ((key.partition, key.by), key.over))
            .collect();
        members.sort_unstable();
        self.pools.retain(|pool, _| {
            let at = members.partition_point(|member| member.0 < *pool);
            members.get(at).is_some_and(|member| member.0 == *pool)
        });
        for (key, pool) in &mut self.pools {
            if let Pool::Crowd(crowd) = pool {
                crowd.retain(|over| members.binary_search(&(*key, over)).is_ok());
            }
        }
        places
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.rename(new);
        let renamed = |id: u32| super::renamed(id, new);
        let pools = std::mem::take(&mut self.pools).into_iter();
        let pools = pools.map(|((partition, by), mut pool)| {
            if let Pool::Crowd(crowd) = &mut pool {
                crowd.rename(renamed);
            }
            ((renamed(partition), renamed(by)), pool)
        });
        self.pools = pools.collect();
    }
}
