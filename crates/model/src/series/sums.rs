//! Sums of residuals over the last buckets: they show a spell of which no single bucket tells.
//!
//! The residuals are those to the steady forecast, which does not follow a spell of some hours. The sums are
//! exponentially weighted, at several lengths, each in units of its own mean size; the largest of them on each side is
//! the statistic (a scan over lengths), so that one [`super::tail::Tail`] a side calibrates all lengths at once.

use serde::{Deserialize, Serialize};

/// Lengths, in buckets.
const LENGTHS: [f64; 3] = [3.0, 10.0, 30.0];
/// A single bucket adds no more than so many widths.
const MOST: f64 = 5.0;
/// Errors are cut at so many widths before they widen anything.
const TAME: f64 = 6.0;
const MEMORY: f64 = 400.0;
/// A residual beyond so many widths counts towards a lasting shift.
const OFF: f64 = 2.0;
/// Seconds for which a shift must last to be taken for the new level.
const LASTING: f64 = 12.0 * 3_600.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Mean absolute residual.
    pub(super) width: f32,
    pub(super) sums: [f32; LENGTHS.len()],
    /// Mean absolute sums.
    pub(super) widths: [f32; LENGTHS.len()],
    /// Buckets for which residuals have been far out on one side, negative below; calm ones take off two each.
    pub(super) off: i32,
}

/// The sums with one more residual: kept from judging to learning.
pub struct Added {
    error: f64,
    residual: f64,
    sums: [f64; LENGTHS.len()],
    /// The largest sum below and above.
    pub extremes: [f64; 2],
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            width: 0.0,
            sums: [0.0; LENGTHS.len()],
            widths: [1.0; LENGTHS.len()],
            off: 0,
        }
    }
}

impl Sums {
    /// Adds an error, already taken relative to the spread of its hour; `floor` is the least width that means anything.
    pub fn add(&self, error: f64, floor: f64) -> Added {
        let residual = error / f64::from(self.width).max(floor);
        let mut sums = self.sums.map(f64::from);
        for (sum, length) in sums.iter_mut().zip(LENGTHS) {
            // As wide as a residual when residuals are independent.
            *sum =
                (1.0 - 1.0 / length) * *sum + residual.clamp(-MOST, MOST) * (2.0 / length).sqrt();
        }
        let most = |side: f64| {
            let each = sums.iter().zip(&self.widths);
            each.fold(0.0, |most, (sum, &width)| {
                f64::max(most, side * sum / f64::from(width).max(0.05))
            })
        };
        Added {
            error,
            residual,
            sums,
            extremes: [most(-1.0), most(1.0)],
        }
    }

    /// Learns what `add` gave, the `n`th of buckets of `span` seconds. True when the level has shifted for good: the
    /// sums then start over.
    pub fn learn(&mut self, added: &Added, floor: f64, n: f64, warm: bool, span: i64) -> bool {
        let width = f64::from(self.width);
        let size = added.error.abs();
        let tamed = if warm {
            size.min(TAME * width.max(floor))
        } else {
            size
        };
        self.width += ((tamed - width) / n.min(MEMORY)) as f32;
        let rate = 1.0 / (n + 20.0).min(MEMORY);
        for (i, &sum) in added.sums.iter().enumerate() {
            self.sums[i] = sum as f32;
            let width = f64::from(self.widths[i]);
            self.widths[i] += (rate * (sum.abs().min(TAME * width) - width)) as f32;
        }
        let side = if added.residual.abs() > OFF {
            added.residual.signum() as i32
        } else {
            0
        };
        self.off = match side {
            0 => self.off.signum() * (self.off.abs() - 2).max(0),
            side if side * self.off >= 0 => self.off + side,
            side => side,
        };
        let lasting = (LASTING / span as f64).clamp(6.0, 100.0);
        let shifted = f64::from(self.off.abs()) > lasting;
        if shifted {
            self.off = 0;
            self.sums = [0.0; LENGTHS.len()];
        }
        shifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_stands_out_and_a_lasting_one_is_a_shift() {
        let mut sums = Sums::default();
        let noise =
            |i: u32| f64::from((i.wrapping_mul(2_654_435_761) >> 8) & 0xffff) / 65_536.0 - 0.5;
        let mut calm: f64 = 0.0;
        for i in 1..=1_000u32 {
            let added = sums.add(noise(i), 1e-9);
            if i > 200 {
                calm = calm.max(added.extremes[1]);
            }
            assert!(!sums.learn(&added, 1e-9, f64::from(i), i > 12, 900));
        }
        // Each bucket of the spell is within what noise reaches.
        let mut spell: f64 = 0.0;
        for i in 0..8 {
            let added = sums.add(0.45, 1e-9);
            spell = spell.max(added.extremes[1]);
            assert!(!sums.learn(&added, 1e-9, f64::from(1_001 + i), true, 900));
        }
        assert!(spell > 1.3 * calm, "{spell} {calm}");
        let shifted = (0..60).any(|i| {
            let added = sums.add(2.0, 1e-9);
            sums.learn(&added, 1e-9, f64::from(1_009 + i), true, 900)
        });
        assert!(shifted);
    }
}
