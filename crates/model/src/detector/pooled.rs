//! Models that several slots share: a population's, one for each pair of partition and by value, and those of times and
//! places, which populations share and which a series has for itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::frequent::is_frequent;
use super::herd::Herd;
use super::pool::{Pool, Value, value};
use super::slots::Slots;
use super::{
    Closed, Closing, Judged, Key, Lane, MAX_PROBABILITY, NO_SPLIT, Point, people, taken_on,
};
use crate::config::{Excluded, Metric};
use crate::crowd::MEMBER_BYTES;
use crate::gather::Gathered;
use crate::rules::Verdict;
use crate::series::Bar;

/// Partition and by value.
type PoolKey = (u32, u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    slots: Slots,
    /// By slot, of times and places: what comes in one go is told once. Members of a population are known by an effect
    /// of their own soon, and told for each bucket until then.
    bars: Option<Herd<Bar>>,
    pools: BTreeMap<PoolKey, Pool>,
    /// Buckets that had records, of which frequent members are in many.
    buckets: u32,
    /// Bytes of a slot beside its place in the list, and of a pool without members.
    each: u64,
    of_pool: u64,
}

impl Pooled {
    pub fn new(lane: &Lane) -> Self {
        let in_one_go = matches!(
            lane.metric,
            Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place
        );
        let of_member = match lane.metric {
            _ if in_one_go => 0,
            Metric::Median => MEMBER_BYTES as u64 + Gathered::MEDIAN_BYTES,
            _ => MEMBER_BYTES as u64,
        };
        Self {
            slots: Slots::default(),
            bars: in_one_go.then(Herd::default),
            pools: BTreeMap::new(),
            buckets: 0,
            each: of_member,
            of_pool: Pool::newborn_bytes(lane.metric),
        }
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        self.slots.find(key)
    }

    pub fn newborn_bytes(&self) -> u64 {
        let bar = self.bars.as_ref().map_or(0, Herd::next_bytes);
        self.slots.newborn_bytes() + bar + self.each + self.of_pool
    }

    pub fn admit(&mut self, lane: &Lane, key: Key, bucket: i64) -> u32 {
        let pool = self.pools.entry(pool_of(key));
        pool.or_insert_with(|| Pool::new(lane));
        if let Some(bars) = &mut self.bars {
            bars.push(Bar::default());
        }
        self.slots.admit(key, bucket)
    }

    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        self.buckets += u32::from(!gathered.touched.is_empty());
        let values = self.values(closing.lane, gathered, |_, value| value);
        let mut all = Vec::with_capacity(values.len());
        for values in values.chunk_by(|a, b| pool_of(a.key) == pool_of(b.key)) {
            let Some(pool) = self.pools.get_mut(&pool_of(values[0].key)) else {
                continue;
            };
            let (judged, mut seen) = pool.judge(closing.bucket, closing.lane.side, values);
            let from = all.len();
            all.extend(ruled(closing, judged));
            if all[from..].iter().any(|(_, said)| said.skip_update) {
                let keep = all[from..].iter().map(|(_, said)| !said.skip_update);
                let keep: Vec<bool> = keep.collect();
                seen.retain(&keep);
            }
            pool.learn(closing.bucket, &seen);
        }
        if let Some(mut bars) = self.bars.take() {
            for (judged, said) in &mut all {
                let bar = bars.get_mut(judged.slot as usize);
                self.pass(bar, closing, judged, *said);
            }
            self.bars = Some(bars);
        }
        for &slot in &gathered.touched {
            self.slots.touch(slot, closing.bucket);
        }
        self.told(closing, all)
    }

    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered, complete: f64) -> Closed {
        let (bucket, side) = (closing.bucket, closing.lane.side);
        // What adds up is taken on to the end of the bucket as if the rest of it were as expected.
        let expected = |key: Key, value: f64| {
            let found = self
                .pools
                .get(&pool_of(key))?
                .peek(bucket, key.over, value, side)?;
            Some(found.typical)
        };
        let values = self.values(closing.lane, gathered, |key, value| match value {
            Point::One(so_far) if closing.lane.metric.adds_up() => {
                let expected = expected(key, so_far);
                Point::One(expected.map_or(so_far, |all| taken_on(so_far, complete, all)))
            }
            value => value,
        });
        let mut all = Vec::with_capacity(values.len());
        for values in values.chunk_by(|a, b| pool_of(a.key) == pool_of(b.key)) {
            if let Some(pool) = self.pools.get(&pool_of(values[0].key)) {
                all.extend(ruled(closing, pool.judge(bucket, side, values).0));
            }
        }
        if let Some(bars) = &self.bars {
            for (judged, said) in &mut all {
                let mut bar = *bars.get(judged.slot as usize);
                self.pass(&mut bar, closing, judged, *said);
            }
        }
        self.told(closing, all)
    }

    /// Leaves of a probability what rises over the slot's bar.
    fn pass(&self, bar: &mut Bar, closing: &Closing<'_>, judged: &mut Judged, said: Verdict) {
        let span = closing.lane.span;
        let away = (closing.bucket - self.slots.get(judged.slot).last_record) / span;
        let away = u32::try_from(away.max(1)).unwrap_or(u32::MAX);
        // What is not told holds nothing back.
        let told = if said.skip_result {
            1.0
        } else {
            judged.probability
        };
        judged.probability = bar.pass_after(away, told, span);
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
        values.sort_unstable_by_key(|value| (pool_of(value.key), value.key.over));
        values
    }

    fn told(&self, closing: &Closing<'_>, mut all: Vec<(Judged, Verdict)>) -> Closed {
        let lane = closing.lane;
        if lane.exclude != Excluded::default()
            && all
                .iter()
                .any(|(judged, _)| judged.probability < MAX_PROBABILITY)
        {
            let frequent = self.frequent_values(lane);
            all.retain(|(judged, _)| !self.is_excluded(lane, judged, &frequent));
        }
        if lane.population {
            let told = all.into_iter().filter(|(_, said)| !said.skip_result);
            return people::told(closing, told.map(|(judged, _)| judged).collect());
        }
        all.sort_unstable_by_key(|(judged, _)| judged.slot);
        let mut closed = Closed::default();
        for (judged, said) in all {
            closed.take(closing, judged, said);
        }
        closed.rejoin();
        closed
    }

    /// The by values that many people share, where they are left out.
    fn frequent_values(&self, lane: &Lane) -> BTreeSet<PoolKey> {
        let mut frequent = BTreeSet::new();
        if !(lane.exclude.by && lane.population) {
            return frequent;
        }
        let people = self.slots.iter().map(|slot| slot.key);
        let mut people: Vec<(u32, u32)> = people.map(|key| (key.partition, key.over)).collect();
        people.sort_unstable();
        people.dedup();
        let mut sharers: BTreeMap<PoolKey, u32> = BTreeMap::new();
        for slot in self.slots.iter() {
            *sharers.entry(pool_of(slot.key)).or_insert(0) += 1;
        }
        for (pool, sharers) in sharers {
            let until = |partition: u32| people.partition_point(|person| person.0 < partition);
            // No split is the last of all numbers.
            let all = pool.0.checked_add(1).map_or(people.len(), until) - until(pool.0);
            if pool.1 != NO_SPLIT && is_frequent(sharers, all as u32) {
                frequent.insert(pool);
            }
        }
        frequent
    }

    /// Whether a value is of a member, or of a by value, that is too frequent to be told.
    fn is_excluded(&self, lane: &Lane, judged: &Judged, frequent: &BTreeSet<PoolKey>) -> bool {
        let often = is_frequent(self.slots.get(judged.slot).seen, self.buckets);
        let by = if lane.population {
            frequent.contains(&pool_of(judged.key))
        } else {
            lane.exclude.by && judged.key.by != NO_SPLIT && often
        };
        by || (lane.exclude.over && lane.population && often)
    }

    pub fn again(&self, closing: &Closing<'_>, slot: u32, value: f64) -> Option<f64> {
        let key = self.slots.get(slot).key;
        let pool = self.pools.get(&pool_of(key))?;
        let found = pool.peek(closing.bucket, key.over, value, closing.lane.side)?;
        Some(found.probability)
    }

    pub fn shift_clock(&mut self, seconds: i64, is_meant: &dyn Fn(Key) -> bool) {
        for (&(partition, by), pool) in &mut self.pools {
            let key = Key {
                partition,
                by,
                over: NO_SPLIT,
            };
            if is_meant(key) {
                pool.shift_clock(seconds);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        let members = self.slots.len() as u64 * self.each;
        let bars = self.bars.as_ref().map_or(0, Herd::bytes);
        self.slots.bytes() + bars + members + self.pools.len() as u64 * self.of_pool
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let slot = self.slots.get(slot as u32);
        (slot.key, slot.last_record, slot.seen)
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let places = self.slots.retain(keep);
        if let Some(bars) = &mut self.bars {
            bars.retain(keep);
        }
        let members = self
            .slots
            .iter()
            .map(|slot| (pool_of(slot.key), slot.key.over));
        let mut members: Vec<(PoolKey, u32)> = members.collect();
        members.sort_unstable();
        self.pools.retain(|pool, _| {
            let at = members.partition_point(|member| member.0 < *pool);
            members.get(at).is_some_and(|member| member.0 == *pool)
        });
        for (key, pool) in &mut self.pools {
            pool.retain(|over| members.binary_search(&(*key, over)).is_ok());
        }
        places
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.rename(new);
        let renamed = |id: u32| super::renamed(id, new);
        let pools = std::mem::take(&mut self.pools).into_iter();
        let pools = pools.map(|((partition, by), mut pool)| {
            pool.rename(renamed);
            ((renamed(partition), renamed(by)), pool)
        });
        self.pools = pools.collect();
    }
}

fn pool_of(key: Key) -> PoolKey {
    (key.partition, key.by)
}

/// Judgements with what rules say of them.
fn ruled<'a>(
    closing: &'a Closing<'_>,
    judged: Vec<Judged>,
) -> impl Iterator<Item = (Judged, Verdict)> + 'a {
    judged.into_iter().map(|judged| {
        let said = closing.verdict(judged.key, &judged.actual, &judged.typical);
        (judged, said)
    })
}
