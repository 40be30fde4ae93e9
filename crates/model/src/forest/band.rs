//! Where the next value is expected: as far from the forecast as nearly all values were.

use serde::{Deserialize, Serialize};

use super::config::NearExpected;
use super::scale::{FARTHEST, Scale};

/// Share of the values that may lie outside.
const OUTSIDE: f64 = 0.03;
/// By how much a value outside widens a band, in the logarithm; those within make it narrower in proportion, so that in
/// the long run the share is right, whatever comes (Gibbs and Candès 2021, NeurIPS).
const STEP: f64 = 0.05;
/// Noises that a band begins with, to each side, and the least of them that it comes down to.
const NOISES: (f64, f64) = (2.5, 0.25);

/// How far from their forecasts nearly all values of a feature were; 0 before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach(f64);

impl Reach {
    /// Learns how far off a forecast was. `noise`: what values differ by without anything being meant by it.
    pub fn learn(&mut self, error: f64, noise: f64) {
        let now = self.of(noise);
        let is_outside = if error.abs() > now { 1.0 } else { 0.0 };
        let next = now * (STEP * (is_outside - OUTSIDE)).exp();
        self.0 = next.max(NOISES.1 * noise).min(FARTHEST);
    }

    fn of(self, noise: f64) -> f64 {
        match self.0 > 0.0 {
            true => self.0,
            false => NOISES.0 * noise,
        }
    }
}

/// Lower and upper end about an expected value, both finite. What is ignored on purpose widens it, as far as that is
/// an amount at all.
pub fn band(scale: &Scale, usual: Reach, near: NearExpected, expected: f64) -> (f64, f64) {
    let noise = scale.noise();
    let width = noise.max(usual.of(noise));
    let reach = |amount: f64, ratio: f64| {
        let told = [amount, ratio * expected.abs()].into_iter();
        // Of one that is without end nothing can be shown.
        let told = told.filter(|amount| *amount < FARTHEST);
        told.fold(width, f64::max).min(FARTHEST)
    };
    (
        expected - reach(near.below, near.below_ratio),
        expected + reach(near.above, near.above_ratio),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forest::random::Random;
    use crate::forest::{Entity, ForestConfig, Rule, Scratch};

    /// About 0, with a deviation of 1.
    fn bell(random: &mut Random) -> f64 {
        (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
    }

    /// The share of the values that lie in their bands, and the mean width of these.
    fn coverage(
        config: &ForestConfig,
        count: usize,
        mut next: impl FnMut(usize, &mut Random) -> f64,
    ) -> (f64, f64) {
        let mut random = Random::of(7, 0, 1);
        let mut entity = Entity::new(config, 1, 42);
        let mut scratch = Scratch::default();
        let rule = Rule {
            config,
            sides: &[[true; 2]],
        };
        let (mut within, mut all, mut width) = (0, 0, 0.0);
        for n in 0..count {
            let value = next(n, &mut random);
            let found = entity.observe(&rule, &[Some(value)], |_| true, &mut scratch);
            let found = found.expect("a finding");
            if let (Some(lower), Some(upper)) = (found.lower.first(), found.upper.first()) {
                all += 1;
                within += usize::from((*lower..=*upper).contains(&value));
                width += upper - lower;
            }
        }
        (
            f64::from(within as u32) / f64::from(all as u32),
            width / f64::from(all as u32),
        )
    }

    #[test]
    fn most_values_lie_in_their_bands() {
        let config = ForestConfig::default();
        let day = |n: usize| (n as f64 * std::f64::consts::TAU / 288.0).sin();
        let mut walk = 0.0;
        let mut slow = 0.0;
        type Next<'a> = Box<dyn FnMut(usize, &mut Random) -> f64 + 'a>;
        // How wide a band may be: six deviations of what comes by chance, or what a value is off by its neighbours.
        let kinds: Vec<(&str, f64, Next)> = vec![
            (
                "noise",
                18.0,
                Box::new(|_, random| 50.0 + 3.0 * bell(random)),
            ),
            ("even", 18.0, Box::new(|_, random| 10.0 * random.unit())),
            (
                "daily",
                14.0,
                Box::new(move |n, random| 100.0 + 20.0 * day(n) + 2.0 * bell(random)),
            ),
            (
                "smooth",
                2.0,
                Box::new(move |n, random| 100.0 + 20.0 * day(n) + 0.05 * bell(random)),
            ),
            (
                "counts",
                8.0,
                Box::new(|_, random| (0..20).filter(|_| random.unit() < 0.1).count() as f64),
            ),
            (
                "tails",
                9.0,
                Box::new(|_, random| random.unit().max(1e-9).ln() - random.unit().max(1e-9).ln()),
            ),
            (
                "bends",
                3.0,
                Box::new(move |n, _| {
                    10.0 + (n as f64 * 0.0046).sin() + 0.2 * ((n * 41) % 101) as f64 / 101.0
                }),
            ),
            (
                "walk",
                8.0,
                Box::new(move |_, random| {
                    walk += bell(random);
                    walk
                }),
            ),
            (
                "slow",
                8.0,
                Box::new(move |_, random| {
                    slow = 0.9 * slow + bell(random);
                    slow
                }),
            ),
            (
                "spikes",
                30.0,
                Box::new(|n, random| if n % 100 == 99 { 100.0 } else { bell(random) }),
            ),
        ];
        for (name, widest, next) in kinds {
            let (share, width) = coverage(&config, 3_000, next);
            assert!(
                share > 0.95,
                "{name}: {share:.4} of the values in bands of {width:.3}"
            );
            assert!(width < widest, "{name}: {width:.3}");
        }
    }

    #[test]
    fn a_band_has_ends_whatever_is_ignored() {
        let mut scale = Scale::default();
        for n in 0..100 {
            scale.learn(f64::from(n % 2), false, 0.01);
        }
        let reach = Reach::default();
        let near = |above: f64, above_ratio: f64| NearExpected {
            above,
            above_ratio,
            ..NearExpected::default()
        };
        let (lower, usual) = band(&scale, reach, near(0.0, 0.0), 10.0);
        assert!(lower < 10.0 && usual > 10.0 && usual < 20.0);
        assert_eq!(band(&scale, reach, near(50.0, 0.0), 10.0), (lower, 60.0));
        assert_eq!(band(&scale, reach, near(0.0, 5.0), -10.0).1, 40.0);
        for (amount, ratio) in [(f64::MAX, 0.0), (0.0, f64::MAX), (f64::INFINITY, 1e200)] {
            assert_eq!(
                band(&scale, reach, near(amount, ratio), 10.0),
                (lower, usual)
            );
        }
    }
}
