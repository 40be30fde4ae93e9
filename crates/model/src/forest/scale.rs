//! The unit of a feature: values are brought to a mean of 0 and a deviation of 1, so that no feature outweighs others.

use serde::{Deserialize, Serialize};

use super::running::Running;

/// A value further out is taken for this far.
const CLIP: f64 = 100.0;
/// So that squares stay numbers.
pub(super) const FARTHEST: f64 = 1e150;
/// Share of the unit, and of the level, that is no difference.
const PRECISION: (f64, f64) = (1e-3, 1e-6);

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    values: Running,
    /// From one value to the next.
    steps: Running,
    /// Deviations of the values, smoothed.
    spread: Running,
    /// Deviations of the steps, smoothed for longer.
    jitter: Running,
    last: Option<f64>,
}

impl Scale {
    /// Learns a value; one that was filled in says nothing of how values spread.
    pub fn learn(&mut self, value: f64, is_imputed: bool, decay: f64) {
        let value = value.clamp(-FARTHEST, FARTHEST);
        if !is_imputed {
            self.values.add(value, decay);
            self.spread.add(self.values.deviation(), decay);
        }
        let step = self.last.map_or(0.0, |last| value - last);
        self.steps.add(step, decay);
        self.jitter.add(self.steps.deviation(), 0.1 * decay);
        self.last = Some(value);
    }

    pub fn last(&self) -> Option<f64> {
        self.last
    }

    fn level(&self) -> f64 {
        self.values.mean()
    }

    /// The unit, never 0.
    pub fn unit(&self) -> f64 {
        let least = (1e-6 * self.level().abs()).max(1e-12);
        self.spread.mean().max(least)
    }

    pub fn scaled(&self, value: f64) -> f32 {
        let scaled = (value.clamp(-FARTHEST, FARTHEST) - self.level()) / self.unit();
        scaled.clamp(-CLIP, CLIP) as f32
    }

    pub fn unscaled(&self, scaled: f32) -> f64 {
        f64::from(scaled) * self.unit() + self.level()
    }

    /// What values differ by from one to the next without anything being meant by it.
    pub fn noise(&self) -> f64 {
        self.jitter.mean() + PRECISION.0 * self.unit() + PRECISION.1 * self.level().abs()
    }
}
