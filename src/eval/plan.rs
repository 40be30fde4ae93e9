//! What the families are made of: labelled series, their windows, and the plan of one series.

use std::f64::consts::TAU;

use crate::random::Random;

pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;
/// Wednesday, 15 November 2023, 00:00 UTC.
pub const START: i64 = 1_700_006_400;
/// After-effects of an anomaly are excused for so long after its end.
const SETTLING: i64 = 6 * HOUR;

/// The detector function that a series is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Mean,
    Count,
}

/// A time with an anomaly, to be found by an alarm. Epoch seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub from: i64,
    pub to: i64,
    /// Alarms until then are after-effects, no false ones.
    pub settled: i64,
}

impl Window {
    pub fn of(from: i64, length: i64) -> Self {
        let to = from + length;
        Self {
            from,
            to,
            settled: to + SETTLING,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    pub family: &'static str,
    pub function: Function,
    /// Seconds of a bucket.
    pub span: i64,
    /// Start of a bucket and its value; buckets may be missing.
    pub values: Vec<(i64, f64)>,
    pub windows: Vec<Window>,
}

/// What is fixed about a series before chance comes in.
pub struct Plan {
    /// Of the series in its family.
    pub number: usize,
    pub span: i64,
    pub days: i64,
}

pub struct Made {
    pub function: Function,
    pub values: Vec<(i64, f64)>,
    pub windows: Vec<Window>,
}

impl Plan {
    pub fn even(&self) -> bool {
        self.number.is_multiple_of(2)
    }

    /// How far through the series a time is, 0 to 1.
    pub fn progress(&self, time: i64) -> f64 {
        (time - START) as f64 / (self.days * DAY) as f64
    }

    pub fn values(&self, mut value: impl FnMut(i64) -> f64) -> Vec<(i64, f64)> {
        let times = (0..self.days * DAY / self.span).map(|i| START + i * self.span);
        times.map(|time| (time, value(time))).collect()
    }

    pub fn mean(&self, windows: Vec<Window>, value: impl FnMut(i64) -> f64) -> Made {
        Made {
            function: Function::Mean,
            values: self.values(value),
            windows,
        }
    }

    pub fn count(&self, windows: Vec<Window>, value: impl FnMut(i64) -> f64) -> Made {
        Made {
            function: Function::Count,
            ..self.mean(windows, value)
        }
    }

    /// Up to `most` windows from day 10 on, at least two and a half days apart, that start where `fits`.
    pub fn windows(
        &self,
        random: &mut Random,
        most: usize,
        length: i64,
        fits: impl Fn(i64) -> bool,
    ) -> Vec<Window> {
        let mut windows: Vec<Window> = Vec::new();
        for _ in 0..5_000 {
            if windows.len() == most {
                break;
            }
            let day = random.between(10.0, self.days as f64 - 1.5);
            let from = START + (day * DAY as f64) as i64 / self.span * self.span;
            let free = |window: &Window| (window.from - from).abs() > 5 * DAY / 2;
            if fits(from) && windows.iter().all(free) {
                windows.push(Window::of(from, length));
            }
        }
        windows.sort_by_key(|window| window.from);
        windows
    }
}

/// A level between `10^low` and `10^high`: a model must not care about units.
pub fn level(random: &mut Random, low: f64, high: f64) -> f64 {
    10f64.powf(random.between(low, high))
}

pub fn hour(time: i64) -> f64 {
    time.rem_euclid(DAY) as f64 / HOUR as f64
}

pub fn weekend(time: i64) -> bool {
    // The epoch began on a Thursday.
    matches!(time.div_euclid(DAY).rem_euclid(7), 2 | 3)
}

/// A day's shape, mostly between 0 and 1.
pub fn daily(time: i64, phase: f64) -> f64 {
    let x = TAU * (hour(time) - phase) / 24.0;
    0.5 + 0.4 * x.sin() + 0.15 * (2.0 * x).sin()
}

pub fn inside(windows: &[Window], time: i64) -> bool {
    windows.iter().any(|w| (w.from..w.to).contains(&time))
}

/// Noise that remembers part of what it was.
pub struct Ar1 {
    keep: f64,
    now: f64,
}

impl Ar1 {
    pub fn new(keep: f64) -> Self {
        Self { keep, now: 0.0 }
    }

    pub fn next(&mut self, random: &mut Random, width: f64) -> f64 {
        self.now = self.keep * self.now + width * random.normal();
        self.now
    }
}
