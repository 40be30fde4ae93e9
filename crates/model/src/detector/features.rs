//! The slots of a feature of random cut forests: those of all features are the same entities, in the same places. The
//! forests themselves are the engine's.

use serde::{Deserialize, Serialize};

use super::slots::Slots;
use super::{Closed, Closing, Key};
use crate::gather::Gathered;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Features {
    slots: Slots,
    /// Bytes of an entity's forest, which are the first feature's.
    each: u64,
}

impl Features {
    pub fn new(each: u64) -> Self {
        Self {
            slots: Slots::default(),
            each,
        }
    }

    /// Forests have another size now.
    pub fn weigh(&mut self, each: u64) {
        self.each = each;
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        self.slots.find(key)
    }

    pub fn newborn_bytes(&self) -> u64 {
        self.slots.newborn_bytes() + self.each
    }

    pub fn admit(&mut self, key: Key, bucket: i64) -> u32 {
        self.slots.admit(key, bucket)
    }

    /// Takes note of who was there; what the values come to is for the forests to say.
    pub fn close(&mut self, closing: &Closing<'_>, gathered: &mut Gathered) -> Closed {
        gathered.touched.sort_unstable();
        for &slot in &gathered.touched {
            self.slots.touch(slot, closing.bucket);
        }
        Closed::default()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        self.slots.bytes() + self.slots.len() as u64 * self.each
    }

    pub fn slot(&self, slot: usize) -> (Key, i64, u32) {
        let slot = self.slots.get(slot as u32);
        (slot.key, slot.last_record, slot.seen)
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        self.slots.retain(keep)
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.rename(new);
    }
}
