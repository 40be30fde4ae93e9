//! Whether probabilities are what they say: on clean stationary series, where nothing happens, a share `p` of the buckets
//! should have a probability below `p`.

use std::f64::consts::TAU;
use std::io::Write;

use serde::Serialize;
use tidewatch_model::score::score;
use tidewatch_model::series::{Link, Series, Side};

use super::matching::clusters;
use super::plan::{DAY, START, daily, weekend};
use crate::random::Random;

/// Buckets in which a series is learnt before they count.
const LEARNING: i64 = 1_000;
const JUDGED: i64 = 10_000;
/// Series of each family for each seed.
const SERIES: u64 = 20;
const NOMINAL: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Scores from here on are counted as alarms.
const ALARM: f64 = 75.0;

type Draw = fn(&mut Random, &mut f64, i64) -> f64;

/// Name, the link that the engine starts with, and a bucket's value, of chance, what the series remembers and the time.
const FAMILIES: [(&str, Link, Draw); 16] = [
    ("normal", Link::Identity, |random, _, _| {
        100.0 + 10.0 * random.normal()
    }),
    ("log-normal", Link::Identity, |random, _, _| {
        20.0 * (0.5 * random.normal()).exp()
    }),
    ("poisson, mean 3", Link::Root, |random, _, _| {
        random.poisson(3.0).into()
    }),
    ("poisson, mean 30", Link::Root, |random, _, _| {
        random.poisson(30.0).into()
    }),
    ("laplace", Link::Identity, |random, _, _| {
        random.exponential() - random.exponential()
    }),
    ("uniform", Link::Identity, |random, _, _| random.uniform()),
    ("ar(1), 0.8", Link::Identity, |random, error, _| {
        *error = 0.8 * *error + random.normal();
        50.0 + *error
    }),
    ("seasonal + noise", Link::Identity, |random, _, time| {
        let x = TAU * time.rem_euclid(DAY) as f64 / DAY as f64;
        100.0 + 40.0 * x.sin() + 5.0 * random.normal()
    }),
    ("gamma, shape 2", Link::Identity, |random, _, _| {
        random.exponential() + random.exponential()
    }),
    ("exponential", Link::Identity, |random, _, _| {
        100.0 * random.exponential()
    }),
    ("student t, 4", Link::Identity, |random, _, _| {
        50.0 + student(random)
    }),
    ("two modes", Link::Identity, |random, _, _| {
        let mode = if random.uniform() < 0.3 { 20.0 } else { 10.0 };
        mode + random.normal()
    }),
    ("neg. binomial", Link::Root, |random, _, _| {
        let rate = 2.5 * (random.exponential() + random.exponential());
        random.poisson(rate).into()
    }),
    ("integers", Link::Identity, |random, _, _| {
        (20.0 + 1.5 * random.normal()).round()
    }),
    ("sparse counts", Link::Root, |random, _, _| {
        random.poisson(0.3).into()
    }),
    ("workdays + noise", Link::Identity, |random, _, time| {
        let height = if weekend(time) { 0.25 } else { 1.0 };
        100.0 * (0.3 + 2.0 * height * daily(time, 7.0) + 0.05 * random.normal())
    }),
];

/// Student's t of 4 degrees of freedom: a normal over the root of a chi-squared over its degrees.
fn student(random: &mut Random) -> f64 {
    let chi_squared = 2.0 * (random.exponential() + random.exponential());
    random.normal() / (chi_squared / 4.0).sqrt()
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Calibration {
    family: &'static str,
    buckets: u64,
    shares: [Share; 3],
    /// Clusters of buckets that score [`ALARM`] or more.
    alarms_per_10000_buckets: f64,
}

#[derive(Debug, PartialEq, Serialize)]
struct Share {
    nominal: f64,
    observed: f64,
}

/// In buckets of `span` seconds, for deviations on `side`.
pub fn calibrate(
    seeds: impl Iterator<Item = u64> + Clone,
    span: i64,
    side: Side,
) -> Vec<Calibration> {
    let families = FAMILIES.into_iter().zip(0..);
    let calibrated = families.map(|((family, link, draw), place)| {
        let (mut buckets, mut below, mut alarms) = (0u64, [0u64; 3], 0);
        let each = |seed| (0..SERIES).map(move |number| (seed, SERIES * place + number));
        for (seed, number) in seeds.clone().flat_map(each) {
            let mut random = Random::stream(seed, number);
            let mut series = Series::new(span, link);
            let seen = observe(
                &mut series,
                &mut random,
                draw,
                (span, side),
                LEARNING + JUDGED,
            );
            buckets += seen.probabilities.len() as u64;
            for (below, nominal) in below.iter_mut().zip(NOMINAL) {
                let found = seen.probabilities.iter().filter(|&&p| p < nominal);
                *below += found.count() as u64;
            }
            alarms += seen.alarms;
        }
        let all = buckets as f64;
        Calibration {
            family,
            buckets,
            shares: std::array::from_fn(|i| Share {
                nominal: NOMINAL[i],
                observed: below[i] as f64 / all,
            }),
            alarms_per_10000_buckets: 1e4 * alarms as f64 / all,
        }
    });
    calibrated.collect()
}

struct Seen {
    probabilities: Vec<f64>,
    alarms: usize,
}

fn observe(
    series: &mut Series,
    random: &mut Random,
    draw: Draw,
    (span, side): (i64, Side),
    buckets: i64,
) -> Seen {
    let (mut memory, mut probabilities, mut scores) = (0.0, Vec::new(), Vec::new());
    for bucket in 0..buckets {
        let time = START + bucket * span;
        let value = draw(random, &mut memory, time);
        let probability = series.follow(time, value, side).probability;
        // A score is of what the bar after an alarm lets pass, a probability is not.
        let passed = series.after_peak(probability);
        if bucket >= LEARNING {
            probabilities.push(probability);
            scores.push((time, score(passed)));
        }
    }
    let peaks = clusters(scores);
    Seen {
        probabilities,
        alarms: peaks.iter().filter(|&&peak| peak >= ALARM).count(),
    }
}

pub fn print(out: &mut impl Write, calibrated: &[Calibration]) -> std::io::Result<()> {
    writeln!(
        out,
        "Share of buckets with a probability below the nominal one, as a multiple of it (1 is right),\n\
         and alarms (score {ALARM} or more) per 10,000 buckets.\n"
    )?;
    write!(out, "{:<17} {:>8}", "family", "buckets")?;
    for nominal in NOMINAL {
        write!(out, " {:>7}", format!("{nominal:e}"))?;
    }
    writeln!(out, " {:>7}", "alarms")?;
    for family in calibrated {
        write!(out, "{:<17} {:>8}", family.family, family.buckets)?;
        for share in &family.shares {
            write!(out, " {:>7.2}", share.observed / share.nominal)?;
        }
        writeln!(out, " {:>7.2}", family.alarms_per_10000_buckets)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_seen_alike_each_time() {
        let (_, link, draw) = FAMILIES[0];
        let seen = || {
            let (mut series, mut random) = (Series::new(900, link), Random::stream(1, 1));
            observe(
                &mut series,
                &mut random,
                draw,
                (900, Side::Both),
                LEARNING + 500,
            )
        };
        let (once, again) = (seen(), seen());
        assert_eq!(once.probabilities.len(), 500);
        assert_eq!(once.probabilities, again.probabilities);
        assert!(
            once.probabilities
                .iter()
                .all(|p| (0.0..=1.0).contains(p) && *p > 0.0)
        );
    }
}
