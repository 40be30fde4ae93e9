//! The scale on which a series is modelled: residuals should be about equally wide at every level there.

use serde::{Deserialize, Serialize};

/// `y = f(x)`, increasing, with its inverse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Link {
    Identity,
    /// `2 sqrt(x + 3/8)`, which makes the variance of Poisson counts about 1 (Anscombe 1948, Biometrika 35, p. 246).
    Root,
    /// `ln(x + offset)`: multiplicative noise. The offset keeps zeros finite.
    Log {
        offset: f64,
    },
}

const ANSCOMBE: f64 = 0.375;

impl Link {
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Identity => x,
            Self::Root => 2.0 * (x.max(0.0) + ANSCOMBE).sqrt(),
            Self::Log { offset } => (x.max(0.0) + offset).ln(),
        }
    }

    pub fn invert(self, y: f64) -> f64 {
        match self {
            Self::Identity => y,
            Self::Root => ((y.max(0.0) / 2.0).powi(2) - ANSCOMBE).max(0.0),
            Self::Log { offset } => (y.min(700.0).exp() - offset).max(0.0),
        }
    }

    /// `ln f'(x)`: the density's change of variable.
    fn ln_slope(self, x: f64) -> f64 {
        match self {
            Self::Identity => 0.0,
            Self::Root => -0.5 * (x.max(0.0) + ANSCOMBE).ln(),
            Self::Log { offset } => -(x.max(0.0) + offset).ln(),
        }
    }

    /// The width below which a residual means nothing: rounding of the level, or less than one event.
    pub fn resolution(self, level: f64) -> f64 {
        match self {
            Self::Identity => level.abs() * 1e-7 + 1e-12,
            Self::Root => 0.25,
            Self::Log { .. } => 1e-4,
        }
    }

    /// The link under which the next value was best predicted from the last few, over `values` (oldest first, NaN
    /// where a bucket had none): the sum of log predictive densities under an exponentially weighted level with
    /// Laplace noise. `current` is kept unless another is clearly better.
    pub fn choose(values: &[f32], current: Self) -> Self {
        let mut sorted: Vec<f32> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        if sorted.len() < 24 || sorted.iter().any(|&v| v < 0.0) {
            return Self::Identity;
        }
        sorted.sort_by(f32::total_cmp);
        let median = f64::from(sorted[sorted.len() / 2]);
        let mut candidates = vec![Self::Identity, Self::Root];
        // A logarithm needs a level well above zero: else the offset decides everything.
        if f64::from(sorted[sorted.len() / 20]) > 0.05 * median && median > 0.0 {
            // One event more or less is no multiple of nothing: counts are offset by one.
            let counts = sorted.iter().all(|v| v.fract() == 0.0);
            let least = if counts { 1.0 } else { 0.0 };
            candidates.push(Self::Log {
                offset: f64::max(0.02 * median, least),
            });
        }
        let same = |a: Self, b: Self| std::mem::discriminant(&a) == std::mem::discriminant(&b);
        let fit = |link: Self| link.predictive_log_density(values);
        let now = candidates
            .iter()
            .copied()
            .find(|&link| same(link, current))
            .map(fit);
        let Some((best, score)) = candidates
            .iter()
            .map(|&link| (link, fit(link)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
        else {
            return current;
        };
        match now {
            Some(_) if same(best, current) => current,
            Some(kept) if score - kept < 6.0 + 0.02 * sorted.len() as f64 => current,
            _ => best,
        }
    }

    fn predictive_log_density(self, values: &[f32]) -> f64 {
        let mut known = values.iter().map(|&v| f64::from(v)).filter(|v| !v.is_nan());
        let Some(first) = known.next() else {
            return 0.0;
        };
        let (mut level, mut width, mut sum) = (self.apply(first), 0.0, 0.0);
        for (n, x) in known.enumerate() {
            let y = self.apply(x);
            let error = (y - level).abs();
            let floor = self.resolution(level);
            if n >= 8 {
                let scale: f64 = f64::max(width, floor);
                sum += -scale.ln() - (error / scale).min(8.0) + self.ln_slope(x);
            }
            width += (error - width) / (n as f64 + 1.0).min(60.0);
            level += 0.3 * (y - level);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_invert() {
        for link in [Link::Identity, Link::Root, Link::Log { offset: 0.5 }] {
            for x in [0.0, 0.3, 7.0, 1e6] {
                assert!(
                    (link.invert(link.apply(x)) - x).abs() <= 1e-9 * (1.0 + x),
                    "{link:?} {x}"
                );
            }
        }
    }

    #[test]
    fn noise_that_grows_with_the_level_asks_for_a_logarithm() {
        let values: Vec<f32> = (0..300u32)
            .map(|i| {
                let level = 100.0 * (1.0 + 0.9 * (f64::from(i) / 20.0).sin());
                (level
                    * if i.wrapping_mul(2_654_435_761) >> 31 == 0 {
                        0.8
                    } else {
                        1.25
                    }) as f32
            })
            .collect();
        assert!(matches!(
            Link::choose(&values, Link::Identity),
            Link::Log { .. }
        ));
        let negative: Vec<f32> = values.iter().map(|v| v - 500.0).collect();
        assert_eq!(Link::choose(&negative, Link::Root), Link::Identity);
    }

    #[test]
    fn the_zero_of_a_count_is_not_far_below_one() {
        let counts: Vec<f32> = (0..300u32)
            .map(|i| {
                let level = 30.0 * (1.0 + 0.9 * (f64::from(i) / 20.0).sin());
                let high = i.wrapping_mul(2_654_435_761) >> 31 == 1;
                (level * if high { 1.5 } else { 0.67 }).round() as f32
            })
            .collect();
        let Link::Log { offset } = Link::choose(&counts, Link::Identity) else {
            panic!("multiplicative noise");
        };
        assert!(offset >= 1.0);
    }
}
