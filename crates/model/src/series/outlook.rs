//! What a series keeps for the sake of forecasts: how well each season does far ahead, and the means of its last days.

use serde::{Deserialize, Serialize};

use super::predict::Predictors;
use super::season::DAY;
use super::seasons::SEASONS;

/// Days whose means are kept: two weeks, so that each day has one of its kind to be compared with.
pub const DAYS: usize = 14;
/// Days after which an error is forgotten, to 1/e: a weekend must be known until the next.
pub const ERROR_DAYS: f64 = 7.0;
/// Seconds between errors: a table's slot that several buckets share has learnt of today by the second of them.
const APART: i64 = 3_600;
/// How sharply the better season is preferred: the weight of one goes with this power of its error.
const PREFERENCE: i32 = 24;
/// A season is worth its memory when its error is below this part of the error without one.
const CLEARLY: f64 = 0.9;
/// Errors that count for those which were not kept.
const LITTLE: u16 = 24;
/// No day yet.
const UNKNOWN: i32 = i32::MIN;
/// The mean of a day without values, and of the first, which is most often a part of one.
const NONE: f32 = f32::NEG_INFINITY;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Errors learnt, saturating.
    learnt: u16,
    /// Mean absolute errors of each season beside its slow level, which is what there is to go by far ahead.
    errors: [f32; SEASONS],
    /// The day that is being summed (see [`unit`]), the values in it, and their mean.
    day: i32,
    count: u16,
    mean: f64,
    /// Means of the days before it, the last one first; [`NONE`] where there is none.
    days: [f32; DAYS],
}

/// Seconds of what counts as a day: a bucket, where that is longer.
pub fn unit(span: i64) -> i64 {
    span.max(DAY)
}

/// The number of the day of a time; days beyond counting are the last.
fn day_of(time: i64, span: i64) -> i32 {
    let day = time.div_euclid(unit(span));
    day.clamp((UNKNOWN + 1).into(), i32::MAX.into()) as i32
}

impl Default for Outlook {
    fn default() -> Self {
        Self {
            learnt: 0,
            errors: [0.0; SEASONS],
            day: UNKNOWN,
            count: 0,
            mean: f64::from(NONE),
            days: [NONE; DAYS],
        }
    }
}

impl Outlook {
    /// Of a series whose errors far ahead were never kept.
    pub fn beside(predictors: &Predictors) -> Self {
        Self {
            learnt: LITTLE,
            errors: std::array::from_fn(|season| predictors.slow_and_last_width(season)[0] as f32),
            ..Self::default()
        }
    }

    /// Learns the value `y`, freed of what was outlandish in it, before the predictors do.
    pub fn learn(&mut self, time: i64, span: i64, y: f64, predictors: &Predictors) {
        if predictors.learnt > 0 && time.rem_euclid(APART) < span {
            self.learn_errors(time, span, y, predictors);
        }
        let day = day_of(time, span);
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

    fn learn_errors(&mut self, time: i64, span: i64, y: f64, predictors: &Predictors) {
        self.learnt = self.learnt.saturating_add(1);
        let forget = span.max(APART) as f64 / (ERROR_DAYS * DAY as f64);
        // The first errors are of seasons that were not known yet.
        let rate = (2.0 / (f64::from(self.learnt) + 1.0)).max(forget.min(0.2));
        let far = predictors.far(time, span);
        for (season, shape) in far.into_iter().enumerate() {
            if let Some(shape) = shape {
                let error = (y - shape - predictors.slow_level(season)).abs();
                let kept = &mut self.errors[season];
                *kept += (rate * (error - f64::from(*kept))) as f32;
            } else {
                // A season that is taken up starts with the error that it has to be better than.
                self.errors[season] = self.errors[0];
            }
        }
    }

    /// Takes over the errors of one that learnt the recent values over again with more seasons.
    pub fn take_over(&mut self, other: &Self) {
        (self.learnt, self.errors) = (other.learnt, other.errors);
    }

    /// How much each of the `known` seasons counts, together 1; errors below `least` mean nothing.
    pub fn weights(&self, known: [bool; SEASONS], least: f64) -> [f64; SEASONS] {
        let errors: [Option<f64>; SEASONS] =
            std::array::from_fn(|season| known[season].then(|| self.error(season).max(least)));
        let known = errors.iter().flatten();
        let best = known.fold(f64::INFINITY, |best, &error| best.min(error));
        let weight = |error: f64| (best / error).powi(PREFERENCE);
        let mut weights = errors.map(|error| error.map_or(0.0, weight));
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        weights
    }

    /// What each season is worth far ahead, whatever it is for the next value: its weight where it is clearly better
    /// than none.
    pub fn worth(&self) -> [f64; SEASONS] {
        let worth = (0..SEASONS).map(|season| self.error(season) < CLEARLY * self.error(0));
        let mut known = [false; SEASONS];
        known
            .iter_mut()
            .zip(worth)
            .for_each(|(known, worth)| *known = worth);
        if known.contains(&true) {
            self.weights(known, f64::MIN_POSITIVE)
        } else {
            [0.0; SEASONS]
        }
    }

    fn begin(&mut self, day: i32) {
        let passed = usize::try_from(i64::from(day) - i64::from(self.day)).unwrap_or(DAYS);
        self.days.rotate_right(passed.min(DAYS) % DAYS);
        self.days[..passed.min(DAYS)].fill(NONE);
        if (1..=DAYS).contains(&passed) {
            self.days[passed - 1] = self.mean as f32;
        }
        (self.day, self.count, self.mean) = (day, 0, 0.0);
    }

    pub fn error(&self, season: usize) -> f64 {
        f64::from(self.errors[season])
    }

    /// Number and mean of each day that is over and had values, the last one first.
    pub fn days(&self) -> impl Iterator<Item = (i64, f64)> {
        let numbers = (1..).map(|back| i64::from(self.day) - back);
        let days = numbers.zip(&self.days);
        days.filter(|(_, mean)| mean.is_finite())
            .map(|(day, &mean)| (day, f64::from(mean)))
    }
}
