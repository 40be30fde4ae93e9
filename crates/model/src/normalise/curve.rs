//! From how often a job has scores as high to the most that such a score may say.

use serde::{Deserialize, Serialize};

/// Scores are counted in bins of one width. The last takes 100 itself.
pub(super) const BINS: usize = 32;
const WIDTH: f64 = 100.0 / BINS as f64;
/// A change of this many points is worth rewriting results for, as in Elasticsearch. (Its other rule, of a score that
/// falls below a third of another, says nothing here: no bound is below 1.)
pub(super) const BIG: f64 = 1.5;

/// The share of a job's buckets that are at least as surprising, and the score that stands for it: the percentiles by
/// which Elasticsearch normalises. Between two knots the score is linear in the share's logarithm; below the first it
/// is linear in the share, up to 100 for none.
const KNOTS: [(f64, f64); 7] = [
    (0.001, 90.0),
    (0.01, 50.0),
    (0.03, 20.0),
    (0.05, 3.0),
    (0.10, 1.5),
    (0.15, 1.2),
    (0.30, 1.0),
];

/// The bin of a score.
pub(super) fn bin(score: f64) -> usize {
    ((score / WIDTH) as usize).min(BINS - 1)
}

/// The most that a score may be, by its bin, in hundredths of a point; it rises from bin to bin. Where nothing is
/// bounded it is the bin's upper end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Curve([u16; BINS]);

impl Curve {
    /// Bounds nothing.
    pub const FREE: Self = {
        let (mut curve, mut bin) = ([0; BINS], 0);
        while bin < BINS {
            curve[bin] = (WIDTH * 100.0 * (bin + 1) as f64).ceil() as u16;
            bin += 1;
        }
        Self(curve)
    };

    /// The bounds that fit a job of so many buckets, counted by their scores. A bucket is set against the others that
    /// are as high or higher. Those of the first bin are noise, and not counted.
    pub fn of(counts: &[u64; BINS], buckets: u64) -> Self {
        let mut curve = Self::FREE;
        let mut above = 0u64;
        for (bin, count) in counts.iter().enumerate().rev() {
            above = above.saturating_add(*count);
            let share = least(above.saturating_sub(1)) / buckets.max(1) as f64;
            let bound = (100.0 * of_share(share)).round() as u16;
            curve.0[bin] = curve.0[bin].min(bound);
        }
        curve
    }

    pub fn bound(&self, score: f64) -> f64 {
        score.min(self.at(bin(score)))
    }

    fn at(&self, bin: usize) -> f64 {
        f64::from(self.0[bin]) / 100.0
    }

    fn changes(&self, other: &Self, bin: usize) -> f64 {
        (self.at(bin) - other.at(bin)).abs()
    }

    /// The most points that a score changes by when another curve takes this one's place.
    pub fn change(&self, other: &Self) -> f64 {
        let changes = (0..BINS).map(|bin| self.changes(other, bin));
        changes.fold(0.0, f64::max)
    }

    /// Goes over to another curve where that is a big change; elsewhere it stays exactly as it is, so that results
    /// there stay as they are written.
    pub fn follow(&self, other: &Self) -> Self {
        let mut new = *self;
        let mut last = 0;
        for bin in 0..BINS {
            if self.changes(other, bin) >= BIG {
                new.0[bin] = other.0[bin];
            }
            // A step that is not taken may not stand above one that is.
            new.0[bin] = new.0[bin].max(last);
            last = new.0[bin];
        }
        new
    }

    /// The least score under this curve that is another under the other.
    pub fn first_change(&self, other: &Self) -> f64 {
        let changed = (0..BINS).filter(|&bin| self.0[bin] != other.0[bin]);
        let least = |bin| self.at(bin).min(WIDTH * bin as f64);
        changed.map(least).fold(100.0, f64::min)
    }
}

/// The least number of events to expect where `count` were seen, with 95 % certainty: the 5 % quantile of a gamma
/// distribution of that shape, as a cube of a normal one (Wilson & Hilferty 1931, The Distribution of Chi-Square).
/// So few events bound little.
fn least(count: u64) -> f64 {
    const Z: f64 = 1.645;
    if count == 0 {
        return 0.0;
    }
    let count = count as f64;
    count * (1.0 - 1.0 / (9.0 * count) - Z / (3.0 * count.sqrt())).powi(3)
}

fn of_share(share: f64) -> f64 {
    let mut last = KNOTS[0];
    if share <= last.0 {
        return 100.0 - share / last.0 * (100.0 - last.1);
    }
    for knot in KNOTS {
        if share < knot.0 {
            return last.1 + (share / last.0).ln() / (knot.0 / last.0).ln() * (knot.1 - last.1);
        }
        last = knot;
    }
    last.1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(of: &[(f64, u64)]) -> [u64; BINS] {
        let mut counts = [0; BINS];
        of.iter()
            .for_each(|&(score, count)| counts[bin(score)] += count);
        counts
    }

    #[test]
    fn shares_have_their_knots() {
        assert_eq!(of_share(0.0), 100.0);
        for (share, score) in KNOTS {
            assert!((of_share(share) - score).abs() < 1e-9);
        }
        assert_eq!(of_share(0.7), 1.0);
    }

    #[test]
    fn few_events_promise_little() {
        // Exact quantiles of gamma distributions of shape 1, 10 and 100.
        for (count, exact) in [(1, 0.0513), (10, 5.4254), (100, 84.1389)] {
            assert!((least(count) / exact - 1.0).abs() < 0.25, "{count}");
        }
        assert!((least(100) - 84.1389).abs() < 0.1);
    }

    #[test]
    fn a_quiet_job_keeps_its_scores() {
        // A month of quarter hours, as chance and two alarms have it.
        let month = counts(&[(5.0, 8), (30.0, 1), (95.0, 1), (100.0, 1)]);
        let curve = Curve::of(&month, 2_880);
        for score in [0.5, 5.0, 30.0, 95.0] {
            assert_eq!(curve.bound(score), score);
        }
        assert_eq!(Curve::of(&month, 2_880).change(&Curve::FREE), 0.0);
        assert_eq!(curve.bound(100.0), 100.0);
    }

    #[test]
    fn a_noisy_job_is_bounded_by_its_share_of_alarms() {
        let noisy = |alarms| Curve::of(&counts(&[(99.0, alarms), (30.0, 1)]), 100_000);
        let at = |alarms| noisy(alarms).bound(99.0);
        assert!((at(1_000) - 50.0).abs() < 2.5, "{}", at(1_000));
        assert!((at(3_000) - 20.0).abs() < 2.0, "{}", at(3_000));
        assert!((at(100) - 90.0).abs() < 4.0, "{}", at(100));
        assert!(noisy(3_000).bound(30.0) <= at(3_000));
        assert_eq!(at(40_000), 1.0);
        assert_eq!(at(1), 99.0);
    }

    #[test]
    fn only_what_changes_much_moves() {
        let old = Curve::of(&counts(&[(99.0, 100), (60.0, 100)]), 10_000);
        let near = Curve::of(&counts(&[(99.0, 101), (60.0, 100)]), 10_000);
        assert_eq!(old.follow(&near), old);
        let far = Curve::of(&counts(&[(99.0, 100), (60.0, 300)]), 10_000);
        let new = old.follow(&far);
        assert_eq!(new.at(bin(99.0)), old.at(bin(99.0)));
        assert_eq!(new.at(bin(60.0)), far.at(bin(60.0)));
        assert!(old.first_change(&new) <= new.bound(60.0));
    }

    proptest! {
        #[test]
        fn curves_rise_and_bound(
            counts in prop::array::uniform32(prop_oneof![4 => Just(0u64), 2 => 0u64..40, 1 => 0u64..100_000]),
            others in prop::array::uniform32(prop_oneof![4 => Just(0u64), 2 => 0u64..40]),
            buckets in 1u64..1_000_000,
            scores in prop::collection::vec(0.0..=100.0f64, 1..50),
        ) {
            let (one, two) = (Curve::of(&counts, buckets), Curve::of(&others, buckets));
            let mixed = one.follow(&two);
            for curve in [one, two, mixed] {
                prop_assert!(curve.0.is_sorted());
                prop_assert!((100..=313).contains(&curve.0[0]));
                for &score in &scores {
                    let bounded = curve.bound(score);
                    prop_assert!((0.0..=score).contains(&bounded));
                }
            }
            let from = one.first_change(&mixed);
            for score in scores {
                if one.bound(score) != mixed.bound(score) {
                    prop_assert!(one.bound(score) >= from);
                }
            }
        }
    }
}
