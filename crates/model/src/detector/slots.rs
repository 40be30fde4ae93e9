//! The slots of lanes whose models are shared by many of them.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Key;
use super::herd::Herd;

/// Bytes that finding a slot takes, the spare room of its table included.
const INDEX_BYTES: u64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub key: Key,
    /// Start of the last bucket that had a record of it, epoch seconds.
    pub last_record: i64,
    /// Buckets that had one.
    pub seen: u32,
}

#[derive(Debug, Clone, Default)]
pub struct Slots {
    slots: Herd<Slot>,
    index: HashTable<u32>,
}

fn hash(key: Key) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl Slots {
    pub fn find(&self, key: Key) -> Option<u32> {
        let same = |&slot: &u32| self.slots.get(slot as usize).key == key;
        self.index.find(hash(key), same).copied()
    }

    /// Bytes that a new one takes.
    pub fn newborn_bytes(&self) -> u64 {
        self.slots.next_bytes() + INDEX_BYTES
    }

    pub fn admit(&mut self, key: Key, bucket: i64) -> u32 {
        let slot = self.slots.len() as u32;
        self.slots.push(Slot {
            key,
            last_record: bucket,
            seen: 0,
        });
        self.enter(slot);
        slot
    }

    fn enter(&mut self, slot: u32) {
        let slots = &self.slots;
        let of = |slot: u32| hash(slots.get(slot as usize).key);
        self.index.insert_unique(of(slot), slot, |&slot| of(slot));
    }

    /// Takes note that a slot had records in a bucket; gives what it was before.
    pub fn touch(&mut self, slot: u32, bucket: i64) -> Slot {
        let slot = self.slots.get_mut(slot as usize);
        let before = *slot;
        slot.last_record = bucket;
        slot.seen = slot.seen.saturating_add(1);
        before
    }

    /// Takes note that a slot had records that are not to be learnt.
    pub fn spare(&mut self, slot: u32, bucket: i64) {
        self.slots.get_mut(slot as usize).last_record = bucket;
    }

    pub fn get(&self, slot: u32) -> Slot {
        *self.slots.get(slot as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> u64 {
        self.slots.bytes() + self.slots.len() as u64 * INDEX_BYTES
    }

    pub fn retain(&mut self, keep: &[bool]) -> Vec<Option<u32>> {
        self.slots.retain(keep);
        self.reindex();
        super::places(keep)
    }

    pub fn rename(&mut self, new: &dyn Fn(u32) -> u32) {
        self.slots.iter_mut().for_each(|slot| slot.key.rename(new));
        self.reindex();
    }

    fn reindex(&mut self) {
        self.index.clear();
        (0..self.slots.len() as u32).for_each(|slot| self.enter(slot));
    }
}

/// The index is no part of what a lane has learnt.
impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.slots == other.slots
    }
}

impl Serialize for Slots {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.slots.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Self {
            slots: Herd::deserialize(deserializer)?,
            ..Self::default()
        };
        all.reindex();
        Ok(all)
    }
}
