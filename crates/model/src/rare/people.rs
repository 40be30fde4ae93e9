//! Rare values of a population: how many people share a value.

use serde::{Deserialize, Serialize};

use super::{Ladder, NEVER, Presence, Rarity, rung};

/// The values of one partition. Who has which is known to the caller, who gives the numbers of people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RarePeople {
    presence: Presence,
    ladder: Ladder,
}

impl Default for RarePeople {
    fn default() -> Self {
        Self::new()
    }
}

impl RarePeople {
    pub fn new() -> Self {
        Self {
            presence: Presence::new(),
            ladder: Ladder::default(),
        }
    }

    /// Judges that a person has a value in the coming bucket, which `others` of all `people` were seen with.
    pub fn judge(&self, value: u32, others: u32, people: u32) -> Rarity {
        let (buckets, count) = self.presence.counts(value);
        let own = Presence::predicted(buckets, count);
        let rung = self.rung(value, others, people);
        let probability = self.ladder.probability(rung).max(own);
        self.presence.rarity(value, probability)
    }

    fn rung(&self, value: u32, others: u32, people: u32) -> usize {
        if self.presence.counts(value).1 == 0.0 {
            return NEVER;
        }
        rung((f64::from(others) + 0.5) / (f64::from(people) + 0.5))
    }

    /// Learns a finished bucket by values with the others that had them: sorted by value; a value may come again.
    pub fn learn(&mut self, done: &[(u32, u32)], people: u32) {
        let rungs = done.iter().map(|&(v, others)| self.rung(v, others, people));
        let Some(rarest) = rungs.max() else {
            return;
        };
        self.ladder.learn(rarest);
        let values = done.chunk_by(|a, b| a.0 == b.0).map(|same| same[0].0);
        self.presence.learn(values);
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

/// How much a person did in a bucket that few others do, of pairs of the others and of how often: an event that nobody
/// shares is one, one that `n` others share the `n + 1`th part of it. It is what `freq_rare` compares people by.
pub fn singularity(done: impl IntoIterator<Item = (u32, f64)>) -> f64 {
    let one = |(others, times): (u32, f64)| times / (1.0 + f64::from(others));
    done.into_iter().map(one).sum()
}
