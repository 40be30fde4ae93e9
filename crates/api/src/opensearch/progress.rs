//! How far the forests of a detector are on their way to their first judgement.

use serde_json::{Value, json};

use super::detector::Detector;
use super::dialect::Dialect;

#[derive(Debug, Clone, Copy)]
pub struct Progress {
    seen: i64,
    needed: i64,
    /// Milliseconds.
    interval: i64,
}

/// Points that a forest of the detector sees before it judges. `dialect`: in which it was created.
pub fn needed(detector: &Detector, dialect: Dialect) -> i64 {
    dialect.learnt().max(detector.shingle_size).max(1)
}

impl Progress {
    /// Of a forest that has seen so many points.
    pub fn new(seen: u64, detector: &Detector, dialect: Dialect) -> Self {
        Self {
            seen: i64::try_from(seen).unwrap_or(i64::MAX),
            needed: needed(detector, dialect),
            interval: detector.interval(),
        }
    }

    pub fn is_done(self) -> bool {
        self.seen >= self.needed
    }

    /// 0 to 1.
    pub fn share(self) -> f64 {
        self.seen.min(self.needed) as f64 / self.needed as f64
    }

    /// As profiles have it.
    pub fn told(self) -> Value {
        if self.is_done() {
            return json!({"percentage": "100%"});
        }
        let left = self.needed - self.seen;
        let mut told = json!({"percentage": format!("{}%", 100 * self.seen / self.needed)});
        let minutes = left.saturating_mul(self.interval) / 60_000;
        if minutes > 0 {
            told["estimated_minutes_left"] = minutes.into();
        }
        told["needed_shingles"] = left.into();
        told
    }
}
