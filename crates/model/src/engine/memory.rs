//! What the models take, and how the limit is kept.
//!
//! Nothing is allocated for a model but a new slot and a step of growth that a model asks for. Both are looked at
//! beforehand: what would pass the limit is refused, and the model goes on with what it has.

use super::categories::Categories;
use super::{Engine, SOFT};
use crate::categorize::CategorizerStats;
use crate::counts::{MemoryStatus, ModelSize};
use crate::detector::{Key, Lane, LaneState, NO_SPLIT};
use crate::gather::Accumulator;

/// Share of the memory limit down to which slots are pruned.
const ROOMY: f64 = 0.7;
/// Buckets that late records may keep open, for the count.
const MOST_OPEN: i64 = 10_000;
/// Buckets for which a slot must have had no record to be pruned where memory is short.
const IDLE: i64 = 3;

impl Engine {
    /// Bytes of the models, against the limit.
    pub fn size(&self) -> ModelSize {
        let bytes = self.bytes();
        ModelSize {
            model_bytes: bytes,
            peak_model_bytes: self.state.peak_bytes.max(bytes),
            model_bytes_exceeded: self.state.exceeded_bytes,
            model_bytes_memory_limit: self.state.options.memory_limit,
            total_by_field_count: self.distinct(|key| key.by),
            total_over_field_count: self.distinct(|key| key.over),
            total_partition_field_count: self.distinct(|key| key.partition),
            bucket_allocation_failures_count: self.state.allocation_failures,
            memory_status: match (self.state.refused, self.state.pruned) {
                (true, _) => MemoryStatus::HardLimit,
                (false, true) => MemoryStatus::SoftLimit,
                (false, false) => MemoryStatus::Ok,
            },
            categories: self
                .categories
                .as_ref()
                .map_or_else(CategorizerStats::default, |c| c.categorizers().stats()),
            timestamp: self
                .last_finalized_bucket_end()
                .map(|end| end - self.analysis.span() * 1_000),
        }
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let lanes = self.state.lanes.iter();
        lanes.flat_map(|lane| (0..lane.len()).map(|slot| lane.slot(slot).0))
    }

    fn distinct(&self, of: impl Fn(Key) -> u32) -> u64 {
        let mut seen = vec![false; self.state.names.len()];
        let ids = self.keys().map(of).filter(|&id| id != NO_SPLIT);
        ids.for_each(|id| seen[id as usize] = true);
        seen.iter().filter(|&&seen| seen).count() as u64
    }

    pub(super) fn slot_count(&self) -> u64 {
        self.state.lanes.iter().map(|lane| lane.len() as u64).sum()
    }

    /// Bytes that a slot takes in so many buckets at work.
    fn gathered_slot_bytes(buckets: usize) -> u64 {
        (buckets * (size_of::<Accumulator>() + size_of::<u32>())) as u64
    }

    /// Bytes that a slot takes in buckets, as many as may be open at once.
    pub(super) fn slot_bytes(&self) -> u64 {
        let late = self.analysis.latency() / self.analysis.span();
        let open = late.clamp(0, MOST_OPEN) as usize + 2;
        Self::gathered_slot_bytes(open.max(self.state.open.len() + 1))
    }

    /// Bytes of the models and of what is gathered.
    pub(super) fn bytes(&self) -> u64 {
        // An emptied bucket is used again before another is made.
        self.bytes_with(Self::gathered_slot_bytes(self.state.open.len().max(1)))
    }

    /// The same with as many buckets at work as there may be: what is held against the limit.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.bytes_with(self.slot_bytes())
    }

    fn bytes_with(&self, slot_bytes: u64) -> u64 {
        let models: u64 = self.state.lanes.iter().map(LaneState::bytes).sum();
        let categories = self.categories.as_ref().map_or(0, Categories::bytes);
        models
            + categories
            + self.slot_count() * slot_bytes
            + self.state.names.bytes() as u64
            + self.state.gathered_bytes
            + self.state.normaliser.bytes()
    }

    /// Bytes that are left of the limit.
    pub(super) fn room(&self) -> u64 {
        match self.state.options.memory_limit {
            0 => u64::MAX,
            limit => limit.saturating_sub(self.reserved_bytes()),
        }
    }

    /// Lets models grow that asked for it, lane by lane and slot by slot, while there is room.
    pub(super) fn feed(&mut self, hungry: &[Vec<u32>]) {
        let mut room = Some(self.room());
        for (lane, hungry) in self.state.lanes.iter_mut().zip(hungry) {
            room = room.and_then(|room| lane.grow(hungry, room));
        }
        self.state.stunted = room.is_none();
        self.state.peak_bytes = self.state.peak_bytes.max(self.bytes());
    }

    /// Drops the slots that have had no record for the prune window; where memory is short, also the least useful.
    pub(super) fn prune(&mut self, now: i64) {
        let span = self.analysis.span();
        let window = self.state.options.prune_window;
        let limit = self.state.options.memory_limit as f64;
        let short =
            limit > 0.0 && (self.reserved_bytes() as f64 > SOFT * limit || self.state.stunted);
        let pause = if short { 3_600 } else { window / 16 };
        if now - self.state.last_pruning < pause.max(span) {
            return;
        }
        self.state.last_pruning = now;
        let at_work = self.at_work();
        let mut keep = self.recently_seen(&at_work, now.saturating_sub(window));
        if short {
            let spare = self.reserved_bytes() as f64 - ROOMY * limit;
            self.spare_least_useful(&mut keep, &at_work, now, spare.max(0.0) as u64);
        }
        self.drop_slots(&keep);
        self.state.pruned = short;
        if !short {
            self.state.refused = false;
        }
    }

    /// For each lane and slot, whether it has records in a bucket that is still open.
    fn at_work(&self) -> Vec<Vec<bool>> {
        let of_lane = |(number, state): (usize, &LaneState)| {
            let mut at_work = vec![false; state.len()];
            let open = self.state.open.iter();
            open.flat_map(|bucket| &bucket.lanes[number].touched)
                .for_each(|&slot| at_work[slot as usize] = true);
            at_work
        };
        let mut all: Vec<Vec<bool>> = self.state.lanes.iter().enumerate().map(of_lane).collect();
        if self.forests.is_some() {
            let entities = (0..all[0].len()).map(|slot| all.iter().any(|lane| lane[slot]));
            let entities: Vec<bool> = entities.collect();
            all.fill(entities);
        }
        all
    }

    /// For each lane and slot, whether it is at work or had a record at `since` or later. The only slot of a detector
    /// without splits always stays.
    fn recently_seen(&self, at_work: &[Vec<bool>], since: i64) -> Vec<Vec<bool>> {
        let lanes = self.lanes.iter().zip(at_work).enumerate();
        let of_lane = |(number, (lane, at_work)): (usize, (&Lane, &Vec<bool>))| {
            let split = self.analysis.detectors[lane.detector].is_split();
            let slots = at_work.iter().enumerate();
            slots
                .map(|(slot, &at_work)| !split || at_work || self.seen(number, slot).0 >= since)
                .collect()
        };
        lanes.map(of_lane).collect()
    }

    /// Start of the last bucket that had a record of a slot, and in how many it was seen. The features of a forest are
    /// one: where one is there, all are.
    fn seen(&self, lane: usize, slot: usize) -> (i64, u32) {
        let of = |state: &LaneState| {
            let (_, last, seen) = state.slot(slot);
            (last, seen)
        };
        if self.forests.is_none() {
            return of(&self.state.lanes[lane]);
        }
        let all = self.state.lanes.iter().map(of);
        all.fold((i64::MIN, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)))
    }

    /// Gives up slots until `bytes` are free: first those that have been away longest for how often they were seen.
    fn spare_least_useful(
        &self,
        keep: &mut [Vec<bool>],
        at_work: &[Vec<bool>],
        now: i64,
        bytes: u64,
    ) {
        let span = self.analysis.span();
        let mut idle: Vec<(u64, usize, usize)> = Vec::new();
        let lanes = if self.forests.is_some() {
            1
        } else {
            self.lanes.len()
        };
        for (number, lane) in self.lanes.iter().enumerate().take(lanes) {
            if !self.analysis.detectors[lane.detector].is_split() {
                continue;
            }
            for (slot, &stays) in keep[number].iter().enumerate() {
                let (last, seen) = self.seen(number, slot);
                let away = (now - last) / span;
                if stays && away >= IDLE && !at_work[number][slot] {
                    // Buckets away for each that it was seen in.
                    let useless = away as f64 / f64::from(seen.max(1));
                    idle.push((useless.to_bits(), number, slot));
                }
            }
        }
        idle.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut freed = 0;
        for (_, lane, slot) in idle {
            if freed >= bytes {
                break;
            }
            let state = &self.state.lanes[lane];
            freed += state.bytes() / state.len().max(1) as u64;
            keep[lane][slot] = false;
        }
        if self.forests.is_some() {
            let entities = keep[0].clone();
            keep.fill(entities);
        }
    }

    fn drop_slots(&mut self, keep: &[Vec<bool>]) {
        let before = self.slot_count();
        for (number, keep) in keep.iter().enumerate() {
            if keep.iter().all(|&stays| stays) {
                continue;
            }
            let places = self.state.lanes[number].retain(keep);
            let open = self.state.open.iter_mut();
            open.for_each(|bucket| bucket.lanes[number].renumber(&places));
        }
        if let Some(forests) = &mut self.forests {
            forests.retain(&keep[0]);
        }
        let dropped = before - self.slot_count();
        if dropped > 0 {
            self.dropped += dropped;
            self.rebuild_names();
        }
    }

    fn rebuild_names(&mut self) {
        let old = std::mem::take(&mut self.state.names);
        let mut names = crate::intern::Interner::default();
        let mut ids = vec![NO_SPLIT; old.len()];
        for id in self.keys().flat_map(Key::ids) {
            // What fitted before fits now.
            ids[id as usize] = names.intern(old.name(id)).unwrap_or(NO_SPLIT);
        }
        self.state.names = names;
        let lanes = self.state.lanes.iter_mut();
        lanes.for_each(|lane| lane.rename(&|id| ids[id as usize]));
    }
}
