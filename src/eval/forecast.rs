//! How far forecasts are off, and how often their bounds hold, on series with seasons and trends, beside the naive
//! forecasts that say the last day or the last week again.

use std::io::Write;

use serde::Serialize;
use tidewatch_model::series::{Forecast, Link, Series, Side};

use super::plan::{Ar1, DAY, START, daily, hour, level, weekend};
use crate::random::Random;

const SPANS: [i64; 4] = [300, 900, 1_800, 3_600];
/// Series of each family for each seed.
const SERIES: usize = 6;
/// Days that are forecast.
const HORIZONS: [i64; 2] = [1, 7];

/// What the future of a series is made of: its value at a time, given how many days it has been going.
type Value<'a> = Box<dyn FnMut(&mut Random, i64, f64) -> f64 + 'a>;

/// Name, days that are learnt at least, the link that the engine starts with, and the maker, which gets the relative
/// growth a day.
type Family = (
    &'static str,
    i64,
    Link,
    fn(&mut Random, f64) -> Value<'static>,
);

const FAMILIES: [Family; 10] = [
    ("daily", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.03, 0.15);
        Box::new(move |random, time, days| {
            base * (1.0 + growth * days + daily(time, phase) + noise * random.normal())
        })
    }),
    ("daily, ar", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.02, 0.06);
        let mut error = Ar1::new(random.between(0.6, 0.95));
        Box::new(move |random, time, days| {
            base * (1.0 + growth * days + daily(time, phase) + error.next(random, noise))
        })
    }),
    ("weekly", 28, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.03, 0.1);
        let heights: [f64; 7] = std::array::from_fn(|_| random.between(0.3, 1.5));
        Box::new(move |random, time, days| {
            let height = heights[time.div_euclid(DAY).rem_euclid(7) as usize];
            base * (1.0 + growth * days + height * daily(time, phase) + noise * random.normal())
        })
    }),
    ("workdays", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(5.0, 9.0), level(random, 0.0, 4.0));
        let noise = random.between(0.03, 0.1);
        let quiet = random.between(0.2, 0.6);
        Box::new(move |random, time, days| {
            let height = if weekend(time) { quiet } else { 1.0 };
            base * (0.8 + growth * days + height * daily(time, phase) + noise * random.normal())
        })
    }),
    ("multiplicative", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.08, 0.3);
        Box::new(move |random, time, days| {
            let y = growth * days + 2.0 * daily(time, phase) + noise * random.normal();
            base * y.exp()
        })
    }),
    ("counts", 21, Link::Root, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), random.between(4.0, 60.0));
        let quiet = random.between(0.4, 1.0);
        Box::new(move |random, time, days| {
            let height = if weekend(time) { quiet } else { 1.0 };
            let mean = base * (0.5 + growth * days + height * daily(time, phase));
            f64::from(random.poisson(mean.max(0.1)))
        })
    }),
    ("level shift", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.03, 0.1);
        let (from, height) = (random.between(7.0, 18.0), random.between(0.5, 1.5));
        Box::new(move |random, time, days| {
            let shift = if days > from { height } else { 0.0 };
            base * (1.0
                + shift
                + 0.5 * growth * days
                + daily(time, phase)
                + noise * random.normal())
        })
    }),
    ("other period", 21, Link::Identity, |random, growth| {
        let base = level(random, 0.0, 4.0);
        let period = [5.0, 7.0, 9.0, 10.0][(random.uniform() * 4.0) as usize];
        let noise = random.between(0.05, 0.15);
        Box::new(move |random, time, days| {
            let hours = time.div_euclid(DAY) as f64 * 24.0 + hour(time);
            let shape = (std::f64::consts::TAU * hours / period).sin();
            base * (3.0 + growth * days + shape + noise * random.normal())
        })
    }),
    ("wandering", 21, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let (noise, step) = (random.between(0.02, 0.1), random.between(0.05, 0.15));
        let (mut wander, mut before) = (0.0, 0.0);
        Box::new(move |random, time, days| {
            wander += step * (days - before).sqrt() * random.normal();
            before = days;
            base * (3.0 + growth * days + wander + daily(time, phase) + noise * random.normal())
        })
    }),
    ("first days", 4, Link::Identity, |random, growth| {
        let (phase, base) = (random.between(0.0, 24.0), level(random, 0.0, 4.0));
        let noise = random.between(0.03, 0.1);
        Box::new(move |random, time, days| {
            base * (1.0 + growth * days + daily(time, phase) + noise * random.normal())
        })
    }),
];

/// One family at one horizon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    family: &'static str,
    horizon_days: i64,
    series: usize,
    /// Symmetric mean absolute percentage errors, 0 to 200: the mean of the series'.
    smape: f64,
    smape_last_day: f64,
    /// None where there was no week to say again.
    smape_last_week: Option<f64>,
    /// Share of the series where the forecast is better than the better naive one, which only hindsight knows.
    better: f64,
    /// Share of the values within the bounds of 95 %.
    coverage: f64,
}

pub fn measure(seeds: impl Iterator<Item = u64> + Clone) -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, family) in FAMILIES.into_iter().enumerate() {
        let mut sums: [Vec<Errors>; 2] = Default::default();
        for seed in seeds.clone() {
            for number in 0..SERIES {
                let mut random = Random::stream(seed, (place * SERIES + number) as u64);
                let span = SPANS[(number + place + (seed % 4) as usize) % SPANS.len()];
                let errors = one(&mut random, &family, number, span);
                for (all, errors) in sums.iter_mut().zip(errors) {
                    all.push(errors);
                }
            }
        }
        for (horizon_days, all) in HORIZONS.into_iter().zip(&sums) {
            let n = all.len() as f64;
            let mean = |of: &dyn Fn(&Errors) -> f64| all.iter().map(of).sum::<f64>() / n;
            let weeks: Option<Vec<f64>> = all.iter().map(|errors| errors.week).collect();
            rows.push(Row {
                family: family.0,
                horizon_days,
                series: all.len(),
                smape: mean(&|errors| errors.own),
                smape_last_day: mean(&|errors| errors.day),
                smape_last_week: weeks.map(|weeks| weeks.iter().sum::<f64>() / n),
                better: mean(&|errors| {
                    let best = errors.week.unwrap_or(f64::INFINITY).min(errors.day);
                    f64::from(u8::from(errors.own < best))
                }),
                coverage: mean(&|errors| errors.covered),
            });
        }
    }
    rows
}

struct Errors {
    own: f64,
    day: f64,
    week: Option<f64>,
    covered: f64,
}

/// Learns a series and forecasts it, for each horizon.
fn one(random: &mut Random, family: &Family, number: usize, span: i64) -> [Errors; 2] {
    let &(_, least, link, make) = family;
    let days = least + (random.uniform() * 8.0) as i64;
    // Up, down, and level; the origin is at any hour.
    let growth = [1.0, -0.4, 0.0][number % 3] * random.between(0.01, 0.025);
    let learnt = (days * DAY + (random.uniform() * DAY as f64) as i64) / span;
    let mut value = make(random, growth);
    let mut draw = |bucket: i64| {
        let time = START + bucket * span;
        value(random, time, (bucket * span) as f64 / DAY as f64)
    };
    let past: Vec<f64> = (0..learnt).map(&mut draw).collect();
    let future: Vec<f64> = (learnt..learnt + HORIZONS[1] * DAY / span)
        .map(&mut draw)
        .collect();
    let mut series = Series::new(span, link);
    for (bucket, &value) in (0..).zip(&past) {
        series.follow(START + bucket * span, value, Side::Both);
    }
    let forecast = Forecast::new(&series);
    let points: Vec<_> = (learnt..)
        .take(future.len())
        .filter_map(|bucket| Some(forecast.as_ref()?.at(START + bucket * span)))
        .collect();
    let again = |period: i64| -> Option<Vec<f64>> {
        let back = past.len().checked_sub((period / span) as usize)?;
        Some(
            past[back..]
                .iter()
                .copied()
                .cycle()
                .take(future.len())
                .collect(),
        )
    };
    let (day, week) = (again(DAY).unwrap_or_default(), again(7 * DAY));
    let predictions: Vec<f64> = points.iter().map(|point| point.prediction).collect();
    HORIZONS.map(|days| {
        let n = (days * DAY / span) as usize;
        let held = future[..n].iter().zip(&points);
        let held = held.filter(|(value, point)| (point.lower..=point.upper).contains(value));
        Errors {
            own: smape(&predictions[..n], &future),
            day: smape(&day[..n], &future),
            week: week.as_ref().map(|week| smape(&week[..n], &future)),
            covered: held.count() as f64 / n as f64,
        }
    })
}

/// As in the M4 competition (Makridakis et al. 2020, International Journal of Forecasting 36, p. 57), in percent.
fn smape(forecast: &[f64], truth: &[f64]) -> f64 {
    let each = forecast.iter().zip(truth).map(|(f, v)| {
        let size = f.abs() + v.abs();
        if size > 0.0 {
            200.0 * (f - v).abs() / size
        } else {
            0.0
        }
    });
    each.sum::<f64>() / forecast.len() as f64
}

pub fn print(out: &mut impl Write, rows: &[Row]) -> std::io::Result<()> {
    writeln!(
        out,
        "Symmetric mean absolute percentage errors of forecasts, beside the last day or week said again; the share of\n\
         series where they are better than the better of the two; and the share of values within the bounds of 95 %.\n"
    )?;
    writeln!(
        out,
        "{:<15} {:>4} {:>6} | {:>8} {:>8} {:>9} | {:>6} {:>8}",
        "family", "days", "series", "forecast", "last day", "last week", "better", "coverage"
    )?;
    for row in rows {
        let week = row
            .smape_last_week
            .map_or("-".to_owned(), |week| format!("{week:.2}"));
        writeln!(
            out,
            "{:<15} {:>4} {:>6} | {:>8.2} {:>8.2} {week:>9} | {:>6.2} {:>8.3}",
            row.family,
            row.horizon_days,
            row.series,
            row.smape,
            row.smape_last_day,
            row.better,
            row.coverage
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_both_and_in_percent() {
        assert_eq!(smape(&[1.0, 0.0], &[3.0, 0.0]), 50.0);
        assert_eq!(smape(&[0.0], &[2.0]), 200.0);
    }

    #[test]
    fn forecasts_of_a_day_shape_are_measured_alike_and_are_better_than_saying_it_again() {
        let measured = || one(&mut Random::stream(1, 1), &FAMILIES[0], 0, 3_600);
        let (once, again) = (measured(), measured());
        for (once, again) in once.iter().zip(again) {
            assert_eq!((once.own, once.covered), (again.own, again.covered));
            assert!(once.own < once.day && Some(once.own) < once.week);
            assert!(once.covered > 0.8);
        }
    }
}
