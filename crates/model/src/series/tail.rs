//! How far out a statistic is, told by its own history.
//!
//! A [`Tail`] watches one side of a statistic `u`. It tracks the point that [`SHARE`] of the values exceed, and fits
//! what lies beyond by three shapes at once: power law, exponential and Gaussian. Each is an exponential law in a
//! transformed excess (`ln u/q`, `u - q`, `u^2 - q^2`), so each has the same conjugate fit: with `n` excesses of sum
//! `S` and a gamma prior of weight `a` and sum `b`, the predictive tail is `(1 + e/(S + b))^-(n + a)` (Bernardo &
//! Smith 1994, Bayesian Theory, p. 436: the Lomax law). Few observations thus give heavy tails by themselves. The
//! shapes are mixed by their decayed predictive likelihood, and a prior says which to expect.
//!
//! An excursion over the threshold counts once, by its peak, when it is over (declustering: Leadbetter 1991, Statistics
//! & Probability Letters 12, p. 357): neighbours in a sum share most of their terms, and an event that goes on must not
//! teach its own tail.

use serde::{Deserialize, Serialize};

/// The share of values that lies beyond the threshold.
pub const SHARE: f64 = 0.08;

const SHAPES: usize = 3;
/// Pseudo-excesses of the prior.
const PRIOR: f64 = 3.0;
/// Mean transformed excess that the prior expects of a statistic in units of its mean absolute deviation.
const PRIOR_MEAN: [f64; SHAPES] = [0.5, 1.2, 4.5];
/// Excesses after which the past has faded to 1/e.
const MEMORY: f64 = 400.0;
/// Same for the evidence by which shapes are mixed.
const EVIDENCE_MEMORY: f64 = 150.0;
/// No single excess says more against a shape than this log density: one anomaly must not decide which it is.
const LEAST_LIKELY: f64 = -8.0;
/// An excess enters a shape's sum at most as the one that a share of so many excesses exceeds.
const RAREST: f64 = 1e-3;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    pub(super) threshold: f32,
    pub(super) pace: f32,
    /// Values seen, which sets the rate at which the threshold moves.
    pub(super) seen: u32,
    pub(super) excesses: f32,
    pub(super) sums: [f32; SHAPES],
    pub(super) evidence: [f32; SHAPES],
    /// The highest value of the present excursion over the threshold, and how much it will count.
    pub(super) peak: f32,
    pub(super) peak_weight: f32,
}

impl Tail {
    /// A tail that starts from a threshold and from the logarithms of the odds of each shape: power law, exponential,
    /// Gaussian. `pace` is the share of values that are news: one in so many buckets as a sum has terms.
    pub fn new(threshold: f64, prior: [f32; SHAPES], pace: f64) -> Self {
        Self {
            pace: pace as f32,
            threshold: threshold as f32,
            seen: 0,
            excesses: 0.0,
            sums: [0.0; SHAPES],
            evidence: prior,
            peak: 0.0,
            peak_weight: 1.0,
        }
    }

    /// The point that [`SHARE`] of the values exceed.
    pub fn threshold(&self) -> f64 {
        f64::from(self.threshold)
    }

    /// P(U >= u), for this side.
    pub fn probability(&self, u: f64) -> f64 {
        let q = f64::from(self.threshold);
        if u <= 0.0 {
            return 1.0;
        }
        if u <= q {
            return SHARE.powf(u / q);
        }
        let excess = transformed(u, q);
        let weights = self.weights();
        let mut p = 0.0;
        for k in 0..SHAPES {
            p += weights[k] * self.survival(k, excess[k]);
        }
        (SHARE * p).clamp(0.0, 1.0)
    }

    /// Takes a value into the history; `weight` below 1 for one that should count less (an anomaly).
    pub fn learn(&mut self, u: f64, weight: f64) {
        let q = f64::from(self.threshold);
        self.seen = self.seen.saturating_add(1);
        // Robbins-Monro on the quantile; the step shrinks to a floor, so that the threshold can follow.
        // Values that share most of their terms count as the few independent ones they are worth, or one excursion would
        // carry the threshold off with it.
        let pace = f64::from(self.pace);
        let step = pace * (4.0 / (pace * f64::from(self.seen) + 10.0)).max(0.01) * q;
        let moved = q + weight * step * if u > q { 1.0 - SHARE } else { -SHARE };
        self.threshold = moved.clamp(0.05, 1e6) as f32;
        if u > q {
            self.peak = self.peak.max(u as f32);
            self.peak_weight = self.peak_weight.min(weight as f32);
            return;
        }
        if self.peak > 0.0 {
            let (peak, weight) = (f64::from(self.peak), f64::from(self.peak_weight));
            (self.peak, self.peak_weight) = (0.0, 1.0);
            self.learn_excess(peak.max(q), weight);
        }
    }

    fn learn_excess(&mut self, u: f64, weight: f64) {
        let q = f64::from(self.threshold);
        let excess = transformed(u, q);
        let keep = (1.0 - weight / MEMORY) as f32;
        let keep_evidence = (1.0 - weight / EVIDENCE_MEMORY) as f32;
        // Densities of u itself: the transform's slope comes in.
        let slope = [1.0 / u, 1.0, 2.0 * u];
        for k in 0..SHAPES {
            let (n, sum) = (
                f64::from(self.excesses) + PRIOR,
                f64::from(self.sums[k]) + PRIOR * PRIOR_MEAN[k],
            );
            let ln_density =
                (n / sum).ln() - (n + 1.0) * (excess[k] / sum).ln_1p() + f64::ln(slope[k]);
            self.evidence[k] =
                keep_evidence * self.evidence[k] + (weight * ln_density.max(LEAST_LIKELY)) as f32;
            // The excess of which this shape would see a share of `RAREST`: more would make all later ones likely.
            let most = sum * (RAREST.powf(-1.0 / n) - 1.0);
            self.sums[k] = keep * self.sums[k] + (weight * excess[k].min(most)) as f32;
        }
        self.excesses = keep * self.excesses + weight as f32;
    }

    fn survival(&self, shape: usize, excess: f64) -> f64 {
        let n = f64::from(self.excesses) + PRIOR;
        let sum = f64::from(self.sums[shape]) + PRIOR * PRIOR_MEAN[shape];
        (-n * (excess / sum).ln_1p()).exp()
    }

    fn weights(&self) -> [f64; SHAPES] {
        let best = self.evidence.iter().copied().fold(f32::MIN, f32::max);
        let mut weights = self.evidence.map(|e| f64::from(e - best).exp());
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        weights
    }
}

fn transformed(u: f64, q: f64) -> [f64; SHAPES] {
    [(u / q).ln(), u - q, u * u - q * q]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of a law in a scrambled order: a sample without noise of its own.
    fn learnt(quantile: impl Fn(f64) -> f64) -> Tail {
        let mut tail = Tail::new(1.8, [-6.0, 0.0, 3.0], 1.0);
        for i in 0..20_000u64 {
            let v = ((i * 7_919) % 20_011) as f64 / 20_011.0;
            tail.learn(quantile(1.0 - v * 0.999_9 - 5e-5), 1.0);
        }
        tail
    }

    #[test]
    fn an_exponential_tail_is_found() {
        let tail = learnt(|p| -f64::ln(1.0 - p));
        for u in [3.0, 5.0, 7.0] {
            let ratio = tail.probability(u) / f64::exp(-u);
            assert!((0.4..2.5).contains(&ratio), "{u}: {ratio}");
        }
    }

    #[test]
    fn a_power_law_is_not_taken_for_an_exponential() {
        let tail = learnt(|p| (1.0 - p).powf(-0.5));
        let ratio = tail.probability(30.0) / 30f64.powi(-2);
        assert!((0.3..3.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn probabilities_fall_with_distance_and_stay_in_range() {
        let tail = learnt(|p| p * 4.0);
        let mut last = 1.0;
        for i in 0..200 {
            let p = tail.probability(f64::from(i) * 0.1);
            assert!((0.0..=1.0).contains(&p) && p <= last + 1e-12);
            last = p;
        }
    }
}
