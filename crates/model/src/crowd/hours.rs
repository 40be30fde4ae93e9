//! How the level of a population differs by the hour of the day, UTC.

use serde::{Deserialize, Serialize};

use crate::series::DAY;

const HOURS: usize = 24;
/// Weight of a new value once an hour is known.
const RATE: f32 = 0.1;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hours {
    means: [f32; HOURS],
    /// Values that an hour has taken, saturating.
    seen: [u8; HOURS],
}

impl Hours {
    pub fn at(time: i64) -> usize {
        (time.rem_euclid(DAY) / (DAY / HOURS as i64)) as usize
    }

    pub fn seen(&self, hour: usize) -> u8 {
        self.seen[hour]
    }

    /// Shrunk while little is known.
    pub fn mean(&self, hour: usize) -> f64 {
        let n = f64::from(self.seen[hour]);
        f64::from(self.means[hour]) * n / (n + 1.0)
    }

    pub fn learn(&mut self, hour: usize, value: f64) {
        let seen = &mut self.seen[hour];
        *seen = seen.saturating_add(1);
        let rate = RATE.max(1.0 / f32::from(*seen));
        self.means[hour] += rate * (value as f32 - self.means[hour]);
    }
}
