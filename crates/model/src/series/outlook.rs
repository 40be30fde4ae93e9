//! What a series keeps for the sake of forecasts: how well each season does far ahead, and the means of its last days.

use serde::{Deserialize, Serialize};

use super::predict::{Predictors, SEASONS};
use super::season::DAY;

/// Days whose means are kept: two weeks, so that each day has one of its kind to be compared with.
pub const DAYS: usize = 14;
/// Days after which an error is forgotten, to 1/e: a weekend must be known until the next.
const ERROR_DAYS: f64 = 7.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Mean absolute errors of each season beside its slow level, which is what there is to go by far ahead.
    errors: [f32; SEASONS],
    /// The day that is being summed (see [`unit`]), the values in it, and their mean.
    day: i64,
    count: u32,
    mean: f64,
    /// Means of the days before it, the last one first; NaN for a day without values. Empty before the second day.
    days: Vec<f32>,
}

/// Seconds of what counts as a day: a bucket, where that is longer.
pub fn unit(span: i64) -> i64 {
    span.max(DAY)
}

impl Default for Outlook {
    fn default() -> Self {
        Self {
            errors: [0.0; SEASONS],
            day: i64::MIN,
            count: 0,
            mean: 0.0,
            days: Vec::new(),
        }
    }
}

impl Outlook {
    /// Learns the value `y`, freed of what was outlandish in it, after `seen` others and before the predictors do.
    pub fn learn(
        &mut self,
        seen: u32,
        time: i64,
        span: i64,
        y: f64,
        seasons: &[Option<f64>; SEASONS],
        predictors: &Predictors,
    ) {
        if seen > 0 {
            let forget = (span as f64 / (ERROR_DAYS * DAY as f64)).min(0.2);
            // The first errors are of seasons that were not known yet.
            let rate = (2.0 / (f64::from(seen) + 1.0)).max(forget);
            for (season, shape) in seasons.iter().enumerate() {
                if let Some(shape) = shape {
                    let error = (y - shape - predictors.slow_level(season)).abs();
                    let kept = &mut self.errors[season];
                    *kept += (rate * (error - f64::from(*kept))) as f32;
                }
            }
        }
        let day = time.div_euclid(unit(span));
        if day != self.day {
            self.close_day(day);
        }
        self.count += 1;
        self.mean += (y - self.mean) / f64::from(self.count);
    }

    fn close_day(&mut self, day: i64) {
        if self.count > 0 {
            // The first day is most often a part of one.
            let first = self.days.is_empty();
            let mean = if first { f32::NAN } else { self.mean as f32 };
            let missed = day.saturating_sub(self.day).saturating_sub(1);
            let missed = usize::try_from(missed).unwrap_or(DAYS).min(DAYS);
            if first {
                self.days.reserve_exact(DAYS);
            }
            self.days.truncate(DAYS - 1);
            self.days.insert(0, mean);
            for _ in 0..missed {
                self.days.truncate(DAYS - 1);
                self.days.insert(0, f32::NAN);
            }
        }
        (self.day, self.count, self.mean) = (day, 0, 0.0);
    }

    /// A season that was taken up starts with the error of what it has to be better than.
    pub fn adopt(&mut self, season: usize, error: f64) {
        self.errors[season] = error as f32;
    }

    pub fn error(&self, season: usize) -> f64 {
        f64::from(self.errors[season])
    }

    /// Number and mean of each day that is over and had values, the last one first.
    pub fn days(&self) -> impl Iterator<Item = (i64, f64)> {
        let numbers = (1..).map(|back| self.day - back);
        let days = numbers.zip(&self.days);
        days.filter(|(_, mean)| !mean.is_nan())
            .map(|(day, &mean)| (day, f64::from(mean)))
    }

    pub fn bytes(&self) -> usize {
        self.days.capacity() * size_of::<f32>()
    }
}

/// What `bytes` may come to.
pub const fn full_bytes() -> usize {
    DAYS * size_of::<f32>()
}
