//! A bar after an alarm: what follows must stand out from it to be told again.
//!
//! An operator counts what comes in one go once, so an event's after-glow, its slow growth and a spike that keeps
//! coming back are told at most now and then: the bar sinks within hours, and the slower the more alarms there have been
//! of late.

use serde::{Deserialize, Serialize};

use super::season::DAY;

/// Days in which the bar sinks to 1/e when there was one alarm.
const MEMORY: f64 = 1.0 / 3.0;
/// Days in which alarms are forgotten, to 1/e.
const ALARM_MEMORY: f64 = 3.0;
/// An alarm, for the count: `-ln p` from here on.
const ALARM: f64 = 6.0;
/// Less does not raise the bar.
const LEAST: f64 = 5.0;
/// What comes after a peak counts in full when it is so many times as surprising, and falls off steeply below.
const MARGIN: f64 = 1.5;
const STEEPNESS: f64 = 32.0;
/// Same for what has not stood out enough to be told yet (`-ln p` below that) and grows within so many seconds: a spell
/// must not hide behind its own first bucket.
const UNTOLD: f64 = 9.2;
const MARGIN_GROWING: f64 = 1.2;
const GROWING: f64 = 3.0 * 3_600.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// In units of `-ln p`.
    pub(super) height: f32,
    /// Alarms of late, decayed.
    pub(super) alarms: f32,
    /// Buckets since something rose over the bar that was not the growth of what had.
    pub(super) since: u32,
}

impl Bar {
    /// The probability that remains of `probability` over the bar, in a series of buckets of `span` seconds.
    pub fn pass(&mut self, probability: f64, span: i64) -> f64 {
        self.pass_after(1, probability, span)
    }

    /// The same of a value that comes so many buckets after the last.
    pub fn pass_after(&mut self, buckets: u32, probability: f64, span: i64) -> f64 {
        let passed = f64::from(buckets);
        let surprise = -probability.max(1e-300).ln();
        let day = DAY as f64 / span as f64;
        let memory = (day * MEMORY).max(12.0) * (1.0 + f64::from(self.alarms));
        let height = f64::from(self.height) * (-passed / memory).exp();
        let recent = f64::from(self.since) <= (GROWING / span as f64).max(3.0);
        let growing = recent && height < UNTOLD;
        let margin = if growing { MARGIN_GROWING } else { MARGIN };
        let ratio = surprise / (margin * height).max(1e-9);
        let left = surprise * ratio.powf(STEEPNESS).min(1.0);
        let raised = if left > LEAST { left } else { 0.0 };
        self.since = if raised > height && !growing {
            0
        } else {
            self.since.saturating_add(buckets)
        };
        self.height = height.max(raised) as f32;
        let keep = (-passed / (day * ALARM_MEMORY).max(12.0)).exp();
        let alarm = f64::from(u8::from(left > ALARM));
        self.alarms = (f64::from(self.alarms) * keep + alarm) as f32;
        (-left).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_glow_is_held_back_and_a_greater_event_is_not() {
        let mut bar = Bar::default();
        assert!((bar.pass(1e-5, 900) - 1e-5).abs() < 1e-12);
        assert!(bar.pass(1e-5, 900) > 0.5);
        assert!(bar.pass(1e-10, 900) < 1e-9);
        // Three days on, the same is news again.
        for _ in 0..3 * 96 {
            bar.pass(0.5, 900);
        }
        assert!(bar.pass(1e-5, 900) < 2e-5);
    }

    #[test]
    fn a_pause_sinks_the_bar_as_well() {
        let mut bar = Bar::default();
        bar.pass(1e-5, 900);
        let mut paused = bar;
        assert!(paused.pass_after(2, 1e-5, 900) > 0.5);
        assert!(bar.pass_after(3 * 96, 1e-5, 900) < 2e-5);
    }

    #[test]
    fn a_spell_is_not_hidden_by_its_first_bucket() {
        let mut bar = Bar::default();
        for _ in 0..96 {
            bar.pass(0.5, 900);
        }
        assert!(bar.pass(1e-3, 900) < 2e-3);
        assert!(bar.pass(3e-5, 900) < 1e-4);
        // Told, so growing as much again is no news.
        assert!(bar.pass(1e-6, 900) > 1e-3);
    }

    #[test]
    fn what_comes_back_every_few_hours_is_told_ever_less() {
        let mut bar = Bar::default();
        let mut told = [0; 2];
        for i in 0..2 * 96 * 4 {
            let p = if i % 24 == 0 { 1e-5 } else { 0.5 };
            if bar.pass(p, 900) < 1e-4 {
                told[usize::from(i >= 96 * 4)] += 1;
            }
        }
        assert!(told[0] + told[1] <= 12, "{told:?} of 32");
    }

    #[test]
    fn all_probabilities_stay_probabilities() {
        let mut bar = Bar::default();
        for p in [0.0, 1.0, 1e-300, 0.3, 0.0] {
            assert!((0.0..=1.0).contains(&bar.pass(p, 60)));
        }
    }
}
