//! Where a series is going: its values to come with the bounds of 95 %, on the scale of the data.
//!
//! Far ahead there is a season and a level: the seasons are mixed by how well each has done over the last weeks beside a
//! level that follows slowly, and the level goes on by a damped trend (Gardner & McKenzie 1985, Management Science 31,
//! p. 1237). What the next value is expected to be beyond that fades, as fast as the series forgets. The bounds widen
//! from the errors of the next value to those of the season and by what the level is seen to do from day to day.

use super::outlook::{self, ERROR_DAYS, unit};
use super::predict::slow_days;
use super::season::DAY;
use super::seasons::SEASONS;
use super::trend::{self, Trend};
use super::{BOUND, LARGEST, Series};

/// What remains of a trend after a day.
const DAMPING: f64 = 0.98;
/// Standard deviation of a normal law, in mean absolute deviations.
const DEVIATION: f64 = 1.2533;
/// Times of a day at which a season is looked at to know its mean.
const LOOKS: i64 = 24;
/// Errors that are alike by chance: of `n` that do not go with each other, a variance may be larger by this over `n`.
const FEW: f64 = 4.0;
/// A level of which nothing is known yet wanders by this part of an error's variance a day.
const UNKNOWN: f64 = 0.05;

/// One value to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The median.
    pub prediction: f64,
    pub lower: f64,
    pub upper: f64,
}

/// The forecast of a series as it stands.
#[derive(Debug)]
pub struct Forecast<'a> {
    series: &'a Series,
    weights: [f64; SEASONS],
    level: f64,
    trend: Trend,
    wander: f64,
    /// Mean absolute error of the season beside the level.
    error: f64,
    /// How much larger its variance may be than what the few errors that do not go with each other have shown.
    doubt: f64,
    /// Width of the errors of the next value.
    next: f64,
    /// What the next value is expected to be beyond season and level, and how much of that a bucket keeps.
    excess: f64,
    keep: f64,
    /// How much of it stays for good, because the level wanders.
    stays: f64,
}

impl<'a> Forecast<'a> {
    /// None before the first value.
    pub fn new(series: &'a Series) -> Option<Self> {
        if series.seen == 0 {
            return None;
        }
        let next = series.last + series.span;
        let errors = series.predictors.far_errors();
        let weights = outlook::weights(errors, series.least_width(0.0));
        let mixed = |of: &dyn Fn(usize) -> f64| -> f64 {
            let known = weights.iter().enumerate().filter(|(_, w)| **w > 0.0);
            known.map(|(season, weight)| weight * of(season)).sum()
        };
        let error = mixed(&|season| errors[season].unwrap_or(0.0));
        let trend = trend::fit(&levels(series, &weights));
        // A level without a season stays behind a trend; a season has learnt to make up for it.
        let behind = trend.slope * slow_days(series.span);
        let level = mixed(&|season| series.predictors.slow_level(season)) + weights[0] * behind;
        let unknown = UNKNOWN * (DEVIATION * error).powi(2);
        let [wander, most] = trend.walk.unwrap_or([unknown; 2]);
        let mut forecast = Self {
            series,
            weights,
            level,
            trend,
            wander: most,
            error,
            doubt: 1.0,
            next: 0.0,
            excess: 0.0,
            keep: 0.0,
            stays: 0.0,
        };
        let now = series.clock(series.last);
        // The level has followed what of today was off the season, and of yesterday, as far as it still remembers it.
        let today = 1.0 - (-(now.rem_euclid(DAY) as f64) / DAY as f64).exp();
        forecast.level -=
            today * forecast.of_week(now) + (1.0 - today) * forecast.of_week(now - DAY);
        let expected = series
            .predictors
            .forecast(series.clock(next), series.span)
            .mean;
        forecast.excess = expected - forecast.median(next);
        forecast.next = series.base_width(expected);
        forecast.keep = forecast.persistence();
        let buckets = f64::from(series.seen).min(ERROR_DAYS * DAY as f64 / series.span as f64);
        let apart = buckets * (1.0 - forecast.keep) / (1.0 + forecast.keep);
        forecast.doubt = 1.0 + FEW / apart.max(1.0);
        let far = (DEVIATION * error).powi(2);
        // A level that follows a random walk by a day is off by half of what the walk adds a day.
        let beyond = far - (DEVIATION * f64::from(series.width[1])).powi(2);
        let walk = 0.5 * wander;
        if walk > 0.0 {
            forecast.stays = walk / walk.max(beyond);
        }
        Some(forecast)
    }

    /// The value of the bucket at `time`, which is best later than the last one.
    pub fn at(&self, time: i64) -> Point {
        let series = self.series;
        let ahead = self.buckets_ahead(time);
        let days = self.days_ahead(time);
        let kept = self.stays + (1.0 - self.stays) * self.keep.powf(ahead);
        let median = self.median(time) + self.excess * kept;
        let far = DEVIATION * self.error;
        let own = (far * far * (1.0 - kept * kept)).max((DEVIATION * self.next).powi(2));
        let own = own * self.doubt;
        let spread = series.spread_at(time);
        let variance =
            own * spread * spread + self.wander * days + self.trend.slope_variance * days * days;
        let width = BOUND / DEVIATION * variance.sqrt();
        let [lower, prediction, upper] = [-width, 0.0, width].map(|away| {
            let y = (median + away).clamp(-LARGEST, LARGEST);
            series.told(y).clamp(-LARGEST, LARGEST)
        });
        Point {
            prediction,
            lower,
            upper,
        }
    }

    /// By season, level and trend.
    fn median(&self, time: i64) -> f64 {
        let days = self.days_ahead(time);
        let trend = self.trend.slope * (1.0 - DAMPING.powf(days)) / -DAMPING.ln();
        let clock = self.series.clock(time);
        self.level + trend + self.of_week(clock) + season(self.series, &self.weights, clock)
    }

    /// What the day of the week is off its season, at a time of the seasons' clock.
    fn of_week(&self, clock: i64) -> f64 {
        if unit(self.series.span) > DAY {
            return 0.0;
        }
        self.trend.week[trend::of_week(clock.div_euclid(DAY) as f64)]
    }

    /// How much of what is beyond season and level is still there a bucket later: of a series that forgets by a share at
    /// each step, the square of the last value's error goes with twice what it forgets.
    fn persistence(&self) -> f64 {
        let best = (0..SEASONS).max_by(|&a, &b| self.weights[a].total_cmp(&self.weights[b]));
        let [slow, last] = self
            .series
            .predictors
            .slow_and_last_width(best.unwrap_or(0));
        if slow > 0.0 {
            (1.0 - 0.5 * (last / slow).powi(2)).clamp(0.0, 0.9999)
        } else {
            0.0
        }
    }

    fn buckets_ahead(&self, time: i64) -> f64 {
        let ahead = time.saturating_sub(self.series.last) as f64 / self.series.span as f64;
        (ahead - 1.0).max(0.0)
    }

    fn days_ahead(&self, time: i64) -> f64 {
        time.saturating_sub(self.series.last).max(0) as f64 / unit(self.series.span) as f64
    }
}

/// The seasons together, at a time of their clock.
fn season(series: &Series, weights: &[f64; SEASONS], clock: i64) -> f64 {
    let seasons = series.predictors.far(clock, series.span);
    let known = seasons.iter().zip(weights);
    known
        .map(|(shape, weight)| weight * shape.unwrap_or(0.0))
        .sum()
}

/// The means of the days that are over, without what the season says of them.
fn levels(series: &Series, weights: &[f64; SEASONS]) -> Vec<(f64, f64)> {
    let unit = unit(series.span);
    let looks = (unit / series.span).clamp(1, LOOKS);
    let level = |(day, mean): (i64, f64)| {
        let at = |look: i64| day.saturating_mul(unit) + look * unit / looks;
        let shape = (0..looks)
            .map(|look| season(series, weights, at(look)))
            .sum::<f64>();
        (day as f64, mean - shape / looks as f64)
    };
    series.outlook.days().map(level).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::series::{Link, Side};

    const START: i64 = 1_700_006_400;

    fn learn(span: i64, link: Link, values: impl IntoIterator<Item = Option<f64>>) -> Series {
        let mut series = Series::new(span, link);
        for (bucket, value) in (0..).zip(values) {
            if let Some(value) = value {
                series.follow(START + bucket * span, value, Side::Both);
            }
        }
        series
    }

    fn day(time: i64) -> f64 {
        (std::f64::consts::TAU * time.rem_euclid(DAY) as f64 / DAY as f64).sin()
    }

    /// Mixed well (murmur3's finalizer), uniform on (-1, 1).
    fn noise(i: i64) -> f64 {
        let mut h = (i as u32).wrapping_add(1).wrapping_mul(0x85eb_ca6b);
        h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
        f64::from((h ^ (h >> 16)) & 0xffff) / 32_768.0 - 1.0
    }

    #[test]
    fn nothing_is_said_of_a_series_without_a_value() {
        assert!(Forecast::new(&Series::new(300, Link::Root)).is_none());
    }

    #[test]
    fn season_and_growth_go_on_and_bounds_widen() {
        let truth = |bucket: i64| {
            let time = START + bucket * 900;
            200.0 + 50.0 * day(time) + 3.0 * (bucket as f64 / 96.0)
        };
        let many = 96 * 21;
        let values = (0..many).map(|bucket| Some(truth(bucket) + 4.0 * noise(bucket)));
        let series = learn(900, Link::Identity, values);
        let forecast = Forecast::new(&series).expect("it has values");
        let mut widths = Vec::new();
        for bucket in many..many + 96 * 7 {
            let point = forecast.at(START + bucket * 900);
            assert!(
                (point.prediction - truth(bucket)).abs() < 8.0,
                "{bucket} {point:?}"
            );
            assert!(point.lower < truth(bucket) && truth(bucket) < point.upper);
            widths.push(point.upper - point.lower);
        }
        assert!(
            widths[96 * 7 - 1] > widths[95] && widths[95] < 30.0,
            "{widths:?}"
        );
    }

    #[test]
    fn what_just_happened_fades() {
        let mut error = 0.0;
        let values = (0..96 * 10).map(|bucket| {
            error = 0.97 * error + noise(bucket);
            Some(100.0 + error + if bucket > 96 * 10 - 8 { 10.0 } else { 0.0 })
        });
        let series = learn(900, Link::Identity, values);
        let forecast = Forecast::new(&series).expect("it has values");
        let [soon, late] = [1, 96].map(|ahead| forecast.at(series.last() + ahead * 900).prediction);
        assert!(soon > 104.0 && late < soon - 3.0, "{soon} {late}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bounds_are_in_order_and_finite_whatever_came(
            span in prop::sample::select(vec![1i64, 60, 3_600, 86_400, 604_800]),
            root in any::<bool>(),
            scale in prop::sample::select(vec![1e-9, 1.0, 1e6, 1e17, 1e300]),
            values in prop::collection::vec(
                prop::option::weighted(0.9, prop_oneof![Just(0.0), -1.0..1.0f64, 0.0..100.0f64]), 1..400
            ),
            signed in any::<bool>(),
            ahead in prop::collection::vec(-10i64..1_000_000, 1..20),
        ) {
            let link = if root { Link::Root } else { Link::Identity };
            let sign = |value: f64| scale * if signed { value } else { value.abs() };
            let series = learn(span, link, values.iter().map(|value| value.map(sign)));
            let Some(forecast) = Forecast::new(&series) else {
                prop_assert!(values.iter().all(Option::is_none));
                return Ok(());
            };
            for ahead in ahead {
                let point = forecast.at(series.last() + ahead * span);
                let all = [point.lower, point.prediction, point.upper];
                prop_assert!(all.iter().all(|value| value.is_finite()), "{:?}", point);
                prop_assert!(all.is_sorted(), "{:?}", point);
                prop_assert!(signed || point.lower >= 0.0);
            }
        }
    }
}
