//! Where the next value is expected: wide enough for what usually comes, by how far off forecasts were.

use serde::{Deserialize, Serialize};

use super::config::NearExpected;
use super::running::Running;
use super::scale::{FARTHEST, Scale};

/// Deviations from the expected value to the end of a band: of errors like those of a bell curve, 99 of 100 are less.
const WIDTH: f64 = 2.5;
/// Errors further out are learnt as this many deviations: an anomaly is not to widen the bands for long.
const CLIP: f64 = 4.0;

/// How far off forecasts of a feature were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    errors: Running,
    is_begun: bool,
}

impl Errors {
    /// Learns an error. `noise`: what values differ by without anything being meant by it, which is what is known of
    /// errors at first.
    pub fn learn(&mut self, error: f64, noise: f64, decay: f64) {
        if !self.is_begun {
            self.is_begun = true;
            self.errors.add(noise, decay);
            self.errors.add(-noise, decay);
        }
        let most = CLIP * self.usual(noise);
        self.errors.add(error.clamp(-most, most), decay);
    }

    /// The root of the mean square.
    fn usual(&self, noise: f64) -> f64 {
        match self.is_begun {
            true => self.errors.mean().hypot(self.errors.deviation()),
            false => noise,
        }
        .max(f64::MIN_POSITIVE)
    }
}

/// Lower and upper end about an expected value, both finite. What is ignored on purpose widens it, as far as that is
/// an amount at all.
pub fn band(scale: &Scale, errors: &Errors, near: NearExpected, expected: f64) -> (f64, f64) {
    let noise = scale.noise();
    let width = noise.max(WIDTH * errors.usual(noise));
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
        let errors = Errors::default();
        let near = |above: f64, above_ratio: f64| NearExpected {
            above,
            above_ratio,
            ..NearExpected::default()
        };
        let (lower, usual) = band(&scale, &errors, near(0.0, 0.0), 10.0);
        assert!(lower < 10.0 && usual > 10.0 && usual < 20.0);
        assert_eq!(band(&scale, &errors, near(50.0, 0.0), 10.0), (lower, 60.0));
        assert_eq!(band(&scale, &errors, near(0.0, 5.0), -10.0).1, 40.0);
        for (amount, ratio) in [(f64::MAX, 0.0), (0.0, f64::MAX), (f64::INFINITY, 1e200)] {
            assert_eq!(
                band(&scale, &errors, near(amount, ratio), 10.0),
                (lower, usual)
            );
        }
    }
}
