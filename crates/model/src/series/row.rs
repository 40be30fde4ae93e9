//! The predictors beside one season: a level at each of four rates, and how well each has predicted.

use serde::{Deserialize, Serialize};

/// Rates at which a level follows: slow mean, slow with a slope, fast mean, last value.
pub const RATES: usize = 4;
/// The firm levels are so many times as slow as the slow mean.
const FIRM: f64 = 3.0;
/// Errors beyond so many widths say no more against a predictor.
const CLIP: f64 = 16.0;

/// The predictors of one season. Levels are relative to the origin, so that single precision is enough for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub levels: [f32; RATES],
    pub widths: [f32; RATES],
    pub evidence: [f32; RATES],
    /// Of the second.
    pub slope: f32,
    /// A level that an event of a day hardly bends.
    pub firm: f32,
    /// Mean absolute error of the slow level, over weeks: what there is to go by far ahead.
    pub far: f32,
}

/// How much of an error is learnt: by seasons (unless it comes again in its slot), by levels, by firm levels.
pub struct Cuts {
    pub seasons: f64,
    pub levels: f64,
    pub firm: f64,
}

/// How fast a row learns.
pub struct Pace {
    /// Values learnt.
    pub n: f64,
    /// Of the slow mean.
    pub slow: f64,
    /// Share of the evidence that is kept.
    pub forget: f32,
    /// The least width that means anything.
    pub floor: f64,
}

impl Row {
    pub fn starting(level: f64) -> Self {
        Self {
            levels: [level as f32; RATES],
            firm: level as f32,
            ..Self::default()
        }
    }

    pub fn level(&self, kind: usize) -> f64 {
        let slope = if kind == 1 {
            f64::from(self.slope)
        } else {
            0.0
        };
        f64::from(self.levels[kind]) + slope
    }

    pub fn rise(&mut self, by: f64) {
        let levels = self.levels.iter_mut().chain([&mut self.firm]);
        levels.for_each(|level| *level = (f64::from(*level) + by) as f32);
    }

    /// The same with so much less evidence for it.
    pub fn behind(mut self, by: f32) -> Self {
        self.evidence
            .iter_mut()
            .for_each(|evidence| *evidence -= by);
        self
    }

    pub fn best(&self) -> f32 {
        self.evidence.iter().copied().fold(f32::MIN, f32::max)
    }

    /// Learns `y` beside a season's `shape`.
    pub fn learn(&mut self, y: f64, shape: f64, pace: &Pace, cuts: &Cuts) {
        let &Pace {
            n,
            slow,
            forget,
            floor,
        } = pace;
        let rate = (1.0 / n).max(0.02);
        let most = if n < 48.0 { f64::INFINITY } else { cuts.firm };
        let firm = f64::from(self.firm);
        self.firm =
            (firm + (slow / FIRM).max(1.0 / n) * (y - shape - firm).clamp(-most, most)) as f32;
        for kind in 0..RATES {
            let level = self.level(kind);
            let error = y - shape - level;
            let width = f64::from(self.widths[kind]).max(floor);
            let likelihood = -width.ln() - (error.abs() / width).min(CLIP);
            if n > 4.0 {
                self.evidence[kind] = forget * self.evidence[kind] + likelihood as f32;
            }
            let seen = error.clamp(-cuts.levels, cuts.levels);
            self.widths[kind] = (width + rate * (seen.abs() - width)) as f32;
            let step = match kind {
                0 => slow,
                1 => (2.0 * slow).clamp(0.02, 0.3),
                2 => 0.3,
                _ => 1.0,
            };
            self.levels[kind] = (level + step * seen) as f32;
            if kind == 1 {
                self.slope += (step * 0.05 * seen) as f32;
            }
        }
    }
}
