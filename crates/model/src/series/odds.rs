//! What a series' own probabilities come to.
//!
//! The views of a bucket are put together by a rule that fits most series, but not all alike: where values can leave
//! the usual range on one side only, or are few and discrete, small probabilities come too seldom. [`Odds`] counts
//! how often they have come below [`RARE`], and how far (an exponential law in `-ln p`, of mean 1 when probabilities
//! are what they say), and makes the later ones as much smaller. It never makes them larger: a series with many
//! anomalies is no reason to see less of the next.

use serde::{Deserialize, Serialize};

/// Probabilities below are counted.
const RARE: f64 = 0.03;
/// Buckets, and rare ones among them, that the prior is worth: that probabilities are what they say.
const PRIOR: f64 = 500.0;
const PRIOR_RARE: f64 = 50.0;
/// Buckets after which the past has faded to 1/e.
const MEMORY: f64 = 10_000.0;
/// A single bucket tells of no more than this, in nats below [`RARE`].
const MOST: f64 = 6.0;
/// The least that share and mean are taken for, relative to what they should be.
const LEAST_SHARE: f64 = 0.25;
const LEAST_EXCESS: f64 = 0.8;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// Share of buckets below [`RARE`], and their mean `ln RARE/p`.
    share: f32,
    excess: f32,
    /// Buckets on end below it.
    run: u32,
}

impl Default for Odds {
    fn default() -> Self {
        Self {
            share: RARE as f32,
            excess: 1.0,
            run: 0,
        }
    }
}

impl Odds {
    /// What a probability is worth in this series: rising in it, and at most it.
    pub fn of(&self, probability: f64) -> f64 {
        let share = f64::from(self.share).clamp(LEAST_SHARE * RARE, RARE);
        if probability >= RARE {
            probability.powf(share.ln() / RARE.ln())
        } else {
            let excess = f64::from(self.excess).clamp(LEAST_EXCESS, 1.0);
            share * (probability / RARE).powf(1.0 / excess)
        }
    }

    /// Learns a probability, as it was before `of`, in the `n`th bucket.
    pub fn learn(&mut self, probability: f64, n: f64) {
        let n = n.min(MEMORY);
        let rare = probability < RARE;
        self.run = if rare { self.run.saturating_add(1) } else { 0 };
        // Neighbours tell of the same event.
        let weight = 1.0 / f64::from(self.run.max(1)).sqrt();
        let share = f64::from(self.share);
        self.share += (weight / (n + PRIOR) * (f64::from(u8::from(rare)) - share)) as f32;
        if rare {
            // Of an exponential law of mean 1, cut at `MOST`, the mean is `1 - exp(-MOST)`.
            let excess =
                (RARE / probability.max(f64::MIN_POSITIVE)).ln().min(MOST) / (1.0 - (-MOST).exp());
            let rate = weight / (n * RARE + PRIOR_RARE);
            self.excess += (rate * (excess - f64::from(self.excess))) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers in a scrambled order.
    fn uniform(i: u64) -> f64 {
        (((i * 7_919) % 20_011) as f64 + 0.5) / 20_011.0
    }

    fn learnt(probability: impl Fn(f64) -> f64) -> Odds {
        let mut odds = Odds::default();
        for i in 0..20_000u64 {
            odds.learn(probability(uniform(i)), i as f64);
        }
        odds
    }

    #[test]
    fn probabilities_that_are_right_stay_as_they_are() {
        let odds = learnt(|p| p);
        for p in [0.5, 0.03, 1e-3, 1e-5] {
            let ratio = odds.of(p) / p;
            assert!((0.8..=1.0 + 1e-9).contains(&ratio), "{p}: {ratio}");
        }
    }

    #[test]
    fn those_that_come_too_seldom_are_made_smaller() {
        let odds = learnt(|p| (2.0 * p).min(1.0));
        for p in [1e-2, 1e-3, 1e-4] {
            let ratio = odds.of(2.0 * p) / p;
            assert!((0.75..1.35).contains(&ratio), "{p}: {ratio}");
        }
    }

    #[test]
    fn none_is_made_larger_and_order_stays() {
        for odds in [
            learnt(|p| p * p),
            learnt(|_| 0.0),
            learnt(|_| 1.0),
            learnt(|p| p.sqrt()),
        ] {
            let mut last = 0.0;
            for i in 0..=300 {
                let p = 10f64.powf(f64::from(i) / 20.0 - 15.0);
                let of = odds.of(p);
                assert!(of > last && of <= p * (1.0 + 1e-9), "{p}: {of}");
                last = of;
            }
            assert_eq!((odds.of(0.0), odds.of(1.0)), (0.0, 1.0));
        }
    }
}
