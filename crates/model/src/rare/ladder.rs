//! How often something as uncommon as this comes.
//!
//! Rungs stand for how uncommon a thing is, each twice as much as the one below; a bucket stands on the rung of the most
//! uncommon thing that it has. The share of buckets on a rung or above is the probability: it needs no law of how values
//! come up, and calibrates itself.
//!
//! Older buckets weigh less, by their place in the history: what is discovered while everything is new must not stand
//! for what is discovered later. A few odd buckets hardly count as long as they are few, so that a job's second newcomer is
//! still news; the square that does so becomes the plain count when there are many. Where there were none, the
//! probability falls with the square of the history's length: no sample can tell of odds much beyond its size.

use serde::{Deserialize, Serialize};

use super::MEMORY;

/// The rung of what was never seen.
pub const NEVER: usize = 15;

/// By which the buckets of a history without such an event are divided, twice.
const CLEAN: f64 = 0.4;
/// Odd buckets that count for half.
const FEW: f64 = 20.0;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Buckets seen, up to [`MEMORY`], and their weight.
    seen: f64,
    weight: f64,
    /// Weight of the buckets on each rung.
    rungs: [f32; NEVER + 1],
}

impl Ladder {
    /// That a bucket stands on this rung or above.
    pub fn probability(&self, rung: usize) -> f64 {
        if self.seen == 0.0 {
            return 1.0;
        }
        let odd: f64 = self.rungs[rung..].iter().map(|&w| f64::from(w)).sum();
        let count = odd * odd / (odd + FEW);
        ((CLEAN / self.seen + count) / self.weight).min(1.0)
    }

    pub fn learn(&mut self, rung: usize) {
        self.seen = (self.seen + 1.0).min(MEMORY);
        let keep = 1.0 - 1.0 / self.seen;
        self.weight = keep * self.weight + 1.0;
        for weight in &mut self.rungs {
            *weight *= keep as f32;
        }
        self.rungs[rung] += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_history_tells_by_its_square() {
        let mut ladder = Ladder::default();
        assert_eq!(ladder.probability(NEVER), 1.0);
        let mut last = 1.0;
        for n in 1..=400 {
            ladder.learn(0);
            let p = ladder.probability(5);
            assert!(p < last);
            last = p;
            if n == 100 {
                assert!(p > 5e-5, "{p}");
            }
        }
        assert!(last < 1e-5, "{last}");
        assert!(ladder.probability(0) > 0.9);
    }

    #[test]
    fn what_comes_often_has_its_share() {
        let mut ladder = Ladder::default();
        for i in 0..20_000 {
            ladder.learn(if i % 50 == 0 { 9 } else { 1 });
        }
        let p = ladder.probability(7);
        assert!((0.01..0.03).contains(&p), "{p}");
        assert!(ladder.probability(10) < 1e-6);
    }
}
