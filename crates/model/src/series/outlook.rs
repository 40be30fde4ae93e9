//! What a series keeps for the sake of forecasts: how its level went from day to day, and how well each season does far
//! ahead (with the season's own levels, in its [`Row`](super::row::Row)).

use serde::{Deserialize, Serialize};

use super::predict::Predictors;
use super::season::DAY;
use super::seasons::SEASONS;

/// Days that are kept: two weeks, so that each day has one of its kind to be compared with.
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
    /// The values of the day that is being summed (see [`unit`]), saturating; the day, and their mean.
    count: u16,
    day: i32,
    mean: f64,
    /// The mean of the last day that had values.
    before: f32,
    /// By how much the mean of each day was over that of the last one before it that had values; the last day first.
    steps: [Short; DAYS],
}

/// The upper half of a single precision number: three digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Short(u16);

impl Short {
    fn of(value: f32) -> Self {
        if !value.is_finite() {
            return Self((NONE.to_bits() >> 16) as u16);
        }
        // Rounded; the largest are cut.
        let bits = value.to_bits().saturating_add(1 << 15) >> 16;
        let cut = bits.min(if value < 0.0 { 0xff7f } else { 0x7f7f });
        Self(cut as u16)
    }

    fn value(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
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
            count: 0,
            day: UNKNOWN,
            mean: f64::from(NONE),
            before: NONE,
            steps: [Short::of(NONE); DAYS],
        }
    }
}

impl Outlook {
    /// Of a series whose errors far ahead were not kept from its start.
    pub fn late() -> Self {
        Self {
            learnt: LITTLE,
            ..Self::default()
        }
    }

    /// Learns the value `y`, freed of what was outlandish in it, before the predictors do.
    pub fn learn(&mut self, time: i64, span: i64, y: f64, predictors: &mut Predictors) {
        if predictors.learnt > 0 && time.rem_euclid(APART) < span {
            self.learnt = self.learnt.saturating_add(1);
            let forget = span.max(APART) as f64 / (ERROR_DAYS * DAY as f64);
            // The first errors are of seasons that were not known yet.
            let rate = (2.0 / (f64::from(self.learnt) + 1.0)).max(forget.min(0.2));
            predictors.learn_far(time, span, y, rate);
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

    fn begin(&mut self, day: i32) {
        let passed = usize::try_from(i64::from(day) - i64::from(self.day)).unwrap_or(DAYS);
        self.steps.rotate_right(passed.min(DAYS) % DAYS);
        self.steps[..passed.min(DAYS)].fill(Short::of(NONE));
        let mean = self.mean as f32;
        if mean.is_finite() {
            if let Some(step) = passed.checked_sub(1).and_then(|at| self.steps.get_mut(at)) {
                let before = Some(self.before).filter(|before| before.is_finite());
                *step = Short::of(mean - before.unwrap_or(mean));
            }
            self.before = mean;
        }
        (self.day, self.count, self.mean) = (day, 0, 0.0);
    }

    /// Goes on as one that learnt the recent values over again with more seasons.
    pub fn take_over(&mut self, other: &Self) {
        self.learnt = other.learnt;
    }

    /// The days that are over and had values, the last one first: their numbers, and by how much the mean of each is
    /// over that of the last.
    pub fn days(&self) -> impl Iterator<Item = (i64, f64)> {
        let numbers = (1..).map(|back| i64::from(self.day) - back);
        let steps = self.steps.iter().map(|step| f64::from(step.value()));
        let days = numbers.zip(steps).filter(|(_, step)| step.is_finite());
        days.scan(0.0, |level, (day, step)| {
            let mean = *level;
            *level -= step;
            Some((day, mean))
        })
    }
}

/// How much each season counts by its error, together 1; `None` counts nothing, and errors below `least` mean nothing.
pub fn weights(errors: [Option<f64>; SEASONS], least: f64) -> [f64; SEASONS] {
    let errors = errors.map(|error| error.map(|error| error.max(least)));
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

/// What each season is worth far ahead, whatever it is for the next value: its weight where it is clearly better than
/// none.
pub fn worth(errors: [Option<f64>; SEASONS]) -> [f64; SEASONS] {
    let most = CLEARLY * errors[0].unwrap_or(0.0);
    let clear = errors.map(|error| error.filter(|&error| error < most));
    if clear.iter().any(Option::is_some) {
        weights(clear, f64::MIN_POSITIVE)
    } else {
        [0.0; SEASONS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_kept_as_steps_from_one_to_the_next() {
        let mut outlook = Outlook::default();
        let mut predictors = Predictors::new();
        // A first day that is half over, then levels of 1000 and some; nothing on two of the days.
        let level = |day: i64| 1_000.0 + [0.0, 1.5, -7.0, 3.25, 3.5][day as usize % 5];
        for hour in 12..24 * 20 {
            let day = hour / 24;
            if ![8, 17].contains(&day) {
                outlook.learn(hour * 3_600, 3_600, level(day), &mut predictors);
            }
        }
        let days: Vec<(i64, f64)> = outlook.days().collect();
        let numbers: Vec<i64> = days.iter().map(|(day, _)| *day).collect();
        assert_eq!(numbers, [18, 16, 15, 14, 13, 12, 11, 10, 9, 7, 6, 5]);
        for (day, mean) in days {
            assert!(
                (mean - (level(day) - level(18))).abs() < 0.1,
                "{day}: {mean}"
            );
        }
        outlook.learn(100 * DAY, 3_600, 5.0, &mut predictors);
        assert_eq!(outlook.days().count(), 0, "too long ago");
    }

    #[test]
    fn halves_of_numbers_round_and_stay_finite() {
        for value in [0.0, 1.0, -1.0, 2.345, -1e-9, f32::MAX, f32::MIN] {
            let half = Short::of(value).value();
            assert!(
                (half - value).abs() <= value.abs() / 256.0,
                "{value} {half}"
            );
        }
        assert_eq!(Short::of(f32::NAN).value(), NONE);
    }

    #[test]
    fn a_season_counts_by_its_error_and_is_worth_what_it_is_clearly_better_by() {
        let errors = [Some(1.0), Some(0.95), None, Some(2.0), None, None];
        let weights = weights(errors, 0.1);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && weights[1] > 0.7);
        assert_eq!(worth(errors), [0.0; SEASONS]);
        let clear = [Some(1.0), Some(0.5), None, Some(2.0), None, None];
        assert_eq!(worth(clear), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(
            super::weights([Some(0.0); SEASONS], 1e-9)
                .iter()
                .all(|w| *w > 0.1)
        );
    }
}
