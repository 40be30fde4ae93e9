//! What a series keeps for the sake of forecasts: how well each season does far ahead, and the means of its last days.

use serde::{Deserialize, Serialize};

use super::predict::{Predictors, SEASONS};
use super::season::DAY;

/// Days whose means are kept: two weeks, so that each day has one of its kind to be compared with.
pub const DAYS: usize = 14;
/// Days after which an error is forgotten, to 1/e: a weekend must be known until the next.
pub const ERROR_DAYS: f64 = 7.0;
/// Seconds between errors: a table's slot that several buckets share has learnt of today by the second of them.
const APART: i64 = 3_600;
/// No day yet.
const UNKNOWN: i64 = i64::MIN;
/// The mean of a day without values, and of the first, which is most often a part of one.
const NONE: f32 = f32::NEG_INFINITY;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Mean absolute errors of each season beside its slow level, which is what there is to go by far ahead.
    errors: [f32; SEASONS],
    /// The day that is being summed (see [`unit`]), the values in it, and their mean.
    day: i64,
    count: u32,
    mean: f64,
    /// Means of the days before it, the last one first; [`NONE`] where there is none.
    days: [f32; DAYS],
}

/// Seconds of what counts as a day: a bucket, where that is longer.
pub fn unit(span: i64) -> i64 {
    span.max(DAY)
}

impl Default for Outlook {
    fn default() -> Self {
        Self {
            errors: [0.0; SEASONS],
            day: UNKNOWN,
            count: 0,
            mean: f64::from(NONE),
            days: [NONE; DAYS],
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
        if seen > 0 && time.rem_euclid(APART) < span {
            let every = span.max(APART) as f64;
            let forget = (every / (ERROR_DAYS * DAY as f64)).min(0.2);
            let errors = f64::from(seen) * span as f64 / every;
            // The first errors are of seasons that were not known yet.
            let rate = (2.0 / (errors + 1.0)).clamp(forget, 1.0);
            for (season, shape) in seasons.iter().enumerate() {
                if let Some(shape) = shape {
                    let error = (y - shape - predictors.slow_level(season)).abs();
                    let kept = &mut self.errors[season];
                    *kept += (rate * (error - f64::from(*kept))) as f32;
                }
            }
        }
        let day = time.div_euclid(unit(span));
        if self.day == UNKNOWN {
            self.day = day;
        } else if day != self.day {
            self.begin(day);
        }
        if self.mean.is_finite() {
            self.count = self.count.saturating_add(1);
            self.mean += (y - self.mean) / f64::from(self.count);
        }
    }

    fn begin(&mut self, day: i64) {
        let passed = usize::try_from(day.saturating_sub(self.day)).unwrap_or(DAYS);
        self.days.rotate_right(passed.min(DAYS) % DAYS);
        self.days[..passed.min(DAYS)].fill(NONE);
        if (1..=DAYS).contains(&passed) {
            self.days[passed - 1] = self.mean as f32;
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
        days.filter(|(_, mean)| mean.is_finite())
            .map(|(day, &mean)| (day, f64::from(mean)))
    }
}
