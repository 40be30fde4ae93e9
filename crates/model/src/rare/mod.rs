//! Rare values: how often does this job see a thing as uncommon as this one.
//!
//! [`Rare`] knows in what share of a partition's buckets each value was present. A value is as unusual as the more
//! likely of two things: that this very value comes, by its own past, and that a bucket shows anything as uncommon,
//! which a [`Ladder`] has counted. So a newcomer among a settled few is an event, and in a stream that is made of
//! newcomers it is not.

mod ladder;
mod people;

use serde::{Deserialize, Serialize};

use ladder::{Ladder, NEVER};
pub use people::{RarePeople, singularity};

/// Buckets after which the past has faded to 1/e.
const MEMORY: f64 = 4_000.0;
/// What one sighting less is worth: the discount of a Pitman-Yor law (Pitman & Yor 1997, Annals of Probability 25, p. 855),
/// by which what was seen once is told from what is seen now and then.
const DISCOUNT: f64 = 0.5;
/// Growing weights are brought back to 1 from here.
const LARGEST_UNIT: f64 = 1e6;

/// Bytes of a value: a list that grows by doubling is three quarters full in the mean. Its length alone says what it
/// takes, so that a restored state counts the same.
pub const VALUE_BYTES: usize = size_of::<(u32, f32)>() * 4 / 3;

/// The judgement of a value that a bucket has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rarity {
    /// That a bucket shows something as uncommon as this.
    pub probability: f64,
    /// Never seen before: `by_field_first_occurrence`.
    pub first: bool,
    /// How many times more common the known values are, in the mean: `by_field_relative_rarity`.
    pub relative: f64,
    /// Share of the buckets that would have this value.
    pub typical: f64,
}

/// How often values were present, all fading at one rate. Instead of taking from all, what comes weighs ever more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Presence {
    /// Weight of the next bucket.
    unit: f64,
    /// Weight of all buckets.
    total: f64,
    /// Weight of the buckets of each value, and their sum.
    sum: f64,
    values: Vec<(u32, f32)>,
}

impl Presence {
    fn new() -> Self {
        Self {
            unit: 1.0,
            total: 0.0,
            sum: 0.0,
            values: Vec::new(),
        }
    }

    /// Buckets seen, and how many had this value.
    fn counts(&self, value: u32) -> (f64, f64) {
        let count = self
            .values
            .binary_search_by_key(&value, |&(id, _)| id)
            .map_or(0.0, |at| f64::from(self.values[at].1));
        (self.total / self.unit, count / self.unit)
    }

    /// That a bucket has this value, which was seen before.
    fn predicted(buckets: f64, count: f64) -> f64 {
        ((count - DISCOUNT).max(0.5 * count) / (buckets + 1.0)).clamp(0.0, 1.0)
    }

    fn rarity(&self, value: u32, probability: f64) -> Rarity {
        let (buckets, count) = self.counts(value);
        let known = (self.values.len() as f64).max(1.0);
        let mean = self.sum / self.unit / known;
        Rarity {
            probability,
            first: count == 0.0,
            relative: mean / count.max(1.0),
            typical: count.max(DISCOUNT) / (buckets + 1.0),
        }
    }

    /// Learns the values of a bucket: sorted, each once.
    fn learn(&mut self, present: impl Iterator<Item = u32>) {
        for value in present {
            match self.values.binary_search_by_key(&value, |&(id, _)| id) {
                Ok(at) => self.values[at].1 += self.unit as f32,
                Err(at) => self.values.insert(at, (value, self.unit as f32)),
            }
            self.sum += self.unit;
        }
        self.total += self.unit;
        self.unit *= (1.0 / MEMORY).exp();
        if self.unit > LARGEST_UNIT {
            for (_, count) in &mut self.values {
                *count = (f64::from(*count) / self.unit) as f32;
            }
            (self.sum, self.total, self.unit) = (self.sum / self.unit, self.total / self.unit, 1.0);
        }
    }

    fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        self.values.retain(|&(id, _)| keep(id));
        self.sum = self.values.iter().map(|&(_, count)| f64::from(count)).sum();
    }

    fn rename(&mut self, mut new: impl FnMut(u32) -> u32) {
        for (id, _) in &mut self.values {
            *id = new(*id);
        }
        self.values.sort_unstable_by_key(|&(id, _)| id);
    }
}

/// The rung of a thing that a share `rate` has.
fn rung(rate: f64) -> usize {
    (-rate.log2()).clamp(0.0, (NEVER - 1) as f64) as usize
}

/// The values of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rare {
    presence: Presence,
    ladder: Ladder,
}

impl Default for Rare {
    fn default() -> Self {
        Self::new()
    }
}

impl Rare {
    pub fn new() -> Self {
        Self {
            presence: Presence::new(),
            ladder: Ladder::default(),
        }
    }

    /// Judges a value that the coming bucket has.
    pub fn judge(&self, value: u32) -> Rarity {
        let (buckets, count) = self.presence.counts(value);
        let own = Presence::predicted(buckets, count);
        let probability = self.ladder.probability(self.rung(value)).max(own);
        self.presence.rarity(value, probability)
    }

    fn rung(&self, value: u32) -> usize {
        let (buckets, count) = self.presence.counts(value);
        if count == 0.0 {
            NEVER
        } else {
            rung(count / buckets)
        }
    }

    /// Learns a finished bucket by the values that it had: sorted, each once. A bucket without records is none.
    pub fn learn(&mut self, present: &[u32]) {
        let Some(rarest) = present.iter().map(|&value| self.rung(value)).max() else {
            return;
        };
        self.ladder.learn(rarest);
        self.presence.learn(present.iter().copied());
    }

    /// Values known.
    pub fn len(&self) -> usize {
        self.presence.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.presence.values.is_empty()
    }

    /// Keeps the values that `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(u32) -> bool) {
        self.presence.retain(keep);
    }

    /// Gives values the numbers that they have now.
    pub fn rename(&mut self, new: impl FnMut(u32) -> u32) {
        self.presence.rename(new);
    }
}

#[cfg(test)]
mod tests;
