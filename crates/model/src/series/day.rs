//! The last half day against a forecast that an event of a day does not bend.
//!
//! The sums over some buckets ([`super::sums`]) forget within hours, and so does the forecast beside them: its level is
//! the mean of a day. A holiday or a storm changes a whole day while no single bucket jumps, so it is judged here: by an
//! exponentially weighted mean of some hours of residuals to the firm forecast, hardly clipped.

use serde::{Deserialize, Serialize};

use super::season::DAY;
use super::tail::Tail;
use super::views::sides;

/// Seconds that the mean weighs.
const LENGTH: f64 = 10.0 * 3_600.0;
/// A single bucket adds no more than so many widths.
const MOST: f64 = 20.0;
/// Errors are cut at so many widths before they widen anything, and means likewise.
const TAME: f64 = 6.0;
const TAME_MEAN: f64 = 4.0;
/// The firm levels see no more than so many widths of an error.
const FIRM: f64 = 3.5;
/// Days over which widths are averaged.
const MEMORY: f64 = 14.0;
/// Days before the tails learn, and before anything is judged: by then two weekends have been seen.
const SETTLED: i64 = 4;
const WARM: i64 = 14;
/// Few half days are independent, so scale and threshold are known badly: what is judged is shrunk by this, over the root
/// of the number of independent means.
const DOUBT: f64 = 2.0;
/// Residuals beyond so many widths for so many seconds on one side are a shift of the level.
const OFF: f64 = 2.0;
const LASTING: f64 = 12.0 * 3_600.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Days {
    pub(super) seen: u32,
    /// Mean absolute error.
    pub(super) width: f32,
    pub(super) mean: f32,
    /// Mean absolute mean.
    pub(super) wide: f32,
    /// Buckets for which residuals have been far out on one side, negative below; calm ones take off one each.
    pub(super) off: i32,
    pub(super) tails: [Tail; 2],
}

/// The mean with one more residual: kept from judging to learning.
pub struct Day {
    error: f64,
    residual: f64,
    mean: f64,
    sides: [f64; 2],
}

impl Days {
    fn new(span: i64) -> Self {
        // A mean of many residuals is nearly Gaussian.
        let tail = Tail::new(2.2, [-6.0, 0.0, 6.0], 1.0 / length(span));
        Self {
            seen: 0,
            width: 0.0,
            mean: 0.0,
            wide: 1.0,
            off: 0,
            tails: [tail; 2],
        }
    }

    /// Starts late in a series: after so many values, of a known width.
    pub fn after(seen: u32, width: f64, span: i64) -> Self {
        Self {
            seen,
            width: width as f32,
            ..Self::new(span)
        }
    }

    /// Adds an error, already taken relative to the spread of its hour; `floor` is the least width that means anything.
    pub fn add(&self, error: f64, floor: f64, span: i64) -> Day {
        let length = length(span);
        let residual = (error / f64::from(self.width).max(floor)).clamp(-MOST, MOST);
        let mean = (1.0 - 1.0 / length) * f64::from(self.mean) + residual / length;
        Day {
            error,
            residual,
            mean,
            sides: sides(mean / f64::from(self.wide).max(0.01)),
        }
    }

    /// Of a half day at least so far below, and above; `None` while too little is known.
    pub fn probabilities(&self, day: &Day, span: i64) -> Option<[f64; 2]> {
        if i64::from(self.seen) * span < WARM * DAY {
            return None;
        }
        let independent = f64::from(self.seen) / length(span);
        let doubt = 1.0 + DOUBT / (independent + 1.0).sqrt();
        let [below, above] = &self.tails;
        let [down, up] = day.sides;
        Some([
            below.probability(down / doubt),
            above.probability(up / doubt),
        ])
    }

    /// The most of an error that firm levels should see.
    pub fn tame(&self, floor: f64) -> f64 {
        FIRM * f64::from(self.width).max(floor)
    }

    /// Learns what `add` gave. True when the level has shifted for good: the mean then starts over.
    pub fn learn(&mut self, day: &Day, floor: f64, span: i64, weight: f64) -> bool {
        self.seen = self.seen.saturating_add(1);
        let n = f64::from(self.seen);
        let memory = MEMORY * DAY as f64 / span as f64;
        let width = f64::from(self.width);
        let most = if self.seen > super::WARM {
            TAME * width.max(floor)
        } else {
            f64::INFINITY
        };
        self.width += ((day.error.abs().min(most) - width) / n.min(memory).max(1.0)) as f32;
        self.mean = day.mean as f32;
        let wide = f64::from(self.wide);
        let size = day.mean.abs().min(TAME_MEAN * wide);
        self.wide += ((size - wide) / (n + 20.0).min(memory).max(1.0)) as f32;
        if i64::from(self.seen) * span > SETTLED * DAY {
            for (tail, value) in self.tails.iter_mut().zip(day.sides) {
                tail.learn(value, weight);
            }
        }
        let side = if day.residual.abs() > OFF {
            day.residual.signum() as i32
        } else {
            0
        };
        self.off = match side {
            0 => self.off - self.off.signum(),
            side if side * self.off >= 0 => self.off + side,
            side => side,
        };
        let shifted = f64::from(self.off.abs()) > (LASTING / span as f64).max(6.0);
        if shifted {
            self.off = 0;
            self.mean = 0.0;
        }
        shifted
    }
}

/// Buckets that the mean weighs.
fn length(span: i64) -> f64 {
    (LENGTH / span as f64).max(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_is_off_is_told_before_it_is_taken_for_normal() {
        let span = 1_800;
        let mut days = Days::new(span);
        let noise = |i: i64| ((i * 7_919) % 2_003) as f64 / 1_001.5 - 1.0;
        let (mut calm, mut off): (f64, f64) = (1.0, 1.0);
        for i in 0..60 * 48 {
            let day = days.add(noise(i), 1e-9, span);
            if let Some(p) = days.probabilities(&day, span) {
                calm = calm.min(p[0]).min(p[1]);
            }
            assert!(!days.learn(&day, 1e-9, span, 1.0));
        }
        let shifted = (0..40).position(|i| {
            let day = days.add(noise(i) - 3.0, 1e-9, span);
            off = days
                .probabilities(&day, span)
                .map_or(off, |p| p[0].min(off));
            days.learn(&day, 1e-9, span, 1.0)
        });
        assert!(calm > 1e-4 && off < 1e-6, "{calm} {off}");
        assert!(shifted.is_some_and(|after| after >= 24), "{shifted:?}");
    }
}
