//! Rare by values: one model for each partition, a slot for each value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::frequent::is_frequent;
use super::slots::Slots;
use super::{Closed, Closing, Judged, Key, Point};
use crate::gather::Gathered;
use crate::rare::{Rare, Rarity, VALUE_BYTES};
use crate::series::Finding;

/// The value of what was there: rules can't ask for it.
pub(super) const THERE: Point = Point::One(1.0);
/// Bytes that finding a model takes.
pub(super) const ENTRY_BYTES: u64 = 24;
const MODEL_BYTES: u64 = size_of::<Rare>() as u64 + ENTRY_BYTES;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rares {
    slots: Slots,
    /// By partition.
    models: BTreeMap<u32, Rare>,
    /// Buckets that had records, of which frequent values are in many.
    buckets: u32,
}

/// The judgement that a value was there.
pub(super) fn judged(slot: u32, key: Key, rarity: Rarity) -> Judged {
    let finding = Finding::alone(rarity.probability, [0.0, rarity.typical, 1.0]);
    Judged {
        typical: Point::One(rarity.typical),
        rarity: Some(rarity),
        ..Judged::new(slot, key, THERE, finding)
    }
}

impl Rares {
    pub fn find(&self, key: Key) -> Option<u32> {
        self.slots.find(key)
    }

    pub fn newborn_bytes(&self) -> u64 {
        self.slots.newborn_bytes() + VALUE_BYTES as u64 + MODEL_BYTES
    }

    pub fn admit(&mut self, key: Key, bucket: i64) -> u32 {
        let model = self.models.entry(key.partition);
        model.or_default();
        self.slots.admit(key, bucket)
    }

    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        self.buckets += u32::from(!gathered.touched.is_empty());
        for &slot in &gathered.touched {
            self.slots.touch(slot, closing.bucket);
        }
        let present = self.present(gathered);
        let closed = self.judge(closing, &present);
        for of_partition in present.chunk_by(|a, b| a.0.partition == b.0.partition) {
            let learnt = of_partition.iter().filter(|(key, _)| {
                let said = closing.verdict(*key, &THERE, &THERE);
                !said.skip_update
            });
            let values: Vec<u32> = learnt.map(|(key, _)| key.by).collect();
            if let Some(model) = self.models.get_mut(&of_partition[0].0.partition) {
                model.learn(&values);
            }
        }
        closed
    }

    pub fn peek(&self, closing: &Closing<'_>, gathered: &Gathered) -> Closed {
        self.judge(closing, &self.present(gathered))
    }

    /// The values of a bucket and their slots, by partition and value.
    fn present(&self, gathered: &Gathered) -> Vec<(Key, u32)> {
        let touched = gathered.touched.iter();
        let mut present: Vec<(Key, u32)> = touched
            .map(|&slot| (self.slots.get(slot).key, slot))
            .collect();
        present.sort_unstable();
        present
    }

    /// A probability is one of the whole bucket of a partition: so many are judged.
    fn judge(&self, closing: &Closing<'_>, present: &[(Key, u32)]) -> Closed {
        let mut closed = Closed::default();
        for of_partition in present.chunk_by(|a, b| a.0.partition == b.0.partition) {
            let Some(model) = self.models.get(&of_partition[0].0.partition) else {
                continue;
            };
            closed.judged += 1;
            for &(key, slot) in of_partition {
                let rarity = model.judge(key.by);
                let seen = self.slots.get(slot).seen;
                let out = closing.lane.exclude.by && is_frequent(seen, self.buckets);
                if !out && closing.wants(key, rarity.probability) {
                    let judged = judged(slot, key, rarity);
                    let said = closing.verdict(key, &judged.actual, &judged.typical);
                    if !said.skip_result {
                        closed.told.push(judged);
                    }
                }
            }
        }
        closed
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        let values = self.slots.len() as u64 * VALUE_BYTES as u64;
        self.slots.bytes() + values + self.models.len() as u64 * MODEL_BYTES
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let slot = self.slots.get(slot as u32);
        (slot.key, slot.last_record, slot.seen)
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        let places = self.slots.retain(keep);
        let Self { slots, models, .. } = self;
        let mut values: Vec<Key> = slots.iter().map(|slot| slot.key).collect();
        values.sort_unstable();
        for (&partition, model) in models.iter_mut() {
            let from = values.partition_point(|key| key.partition < partition);
            let values = &values[from..];
            let values = &values[..values.partition_point(|key| key.partition == partition)];
            model.retain(|by| values.binary_search_by_key(&by, |key| key.by).is_ok());
        }
        models.retain(|&partition, _| {
            let at = values.partition_point(|key| key.partition < partition);
            values.get(at).is_some_and(|key| key.partition == partition)
        });
        places
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.rename(new);
        let models = std::mem::take(&mut self.models).into_iter();
        let models = models.map(|(partition, mut model)| {
            model.rename(new);
            (super::renamed(partition, new), model)
        });
        self.models = models.collect();
    }
}
