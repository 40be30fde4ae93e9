//! What `exclude_frequent` leaves out.

use serde::{Deserialize, Serialize};

use super::herd::Herd;

/// Share of the buckets, or of the people, from which something is frequent, as in Elasticsearch.
const FREQUENT: f64 = 0.1;

/// Whether `of` is so much of `all` that it is left out.
pub fn is_frequent(of: u32, all: u32) -> bool {
    f64::from(of) > FREQUENT * f64::from(all)
}

/// In how many buckets slots had records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frequencies {
    buckets: u32,
    /// By slot.
    present: Herd<u32>,
}

impl Frequencies {
    pub fn admit(&mut self) {
        self.present.push(0);
    }

    /// Takes note of the slots that had records in a bucket.
    pub fn see(&mut self, touched: &[u32]) {
        self.buckets += u32::from(!touched.is_empty());
        for &slot in touched {
            *self.present.get_mut(slot as usize) += 1;
        }
    }

    pub fn is_frequent(&self, slot: u32) -> bool {
        is_frequent(*self.present.get(slot as usize), self.buckets)
    }

    pub fn retain(&mut self, keep: &[bool]) {
        self.present.retain(keep);
    }

    pub fn newborn_bytes(&self) -> u64 {
        self.present.next_bytes()
    }

    pub fn bytes(&self) -> u64 {
        self.present.bytes()
    }
}
