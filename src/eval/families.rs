//! Made-up series whose anomalies are known, in families that differ in what makes detection hard.

use std::f64::consts::TAU;

use super::plan::{
    Ar1, DAY, HOUR, Labelled, Made, Plan, START, Window, daily, hour, inside, level, weekend,
};
use crate::random::Random;

const SPANS: [i64; 4] = [300, 900, 1_800, 3_600];

type Make = fn(&mut Random, &Plan) -> Made;

/// Name, series for each seed, maker.
const FAMILIES: [(&str, usize, Make); 12] = [
    ("spikes and dips", 8, spikes_and_dips),
    ("workdays", 6, workdays),
    ("slow latency", 6, slow_latency),
    ("low counts", 6, low_counts),
    ("level shift", 5, level_shift),
    ("trend", 4, trend),
    ("widening", 4, widening),
    ("gaps", 4, gaps),
    ("batches", 6, batches),
    ("smooth quiet", 6, smooth_quiet),
    ("skewed quiet", 3, skewed_quiet),
    ("wander", 3, wander),
];

/// All series of a seed.
pub fn make(seed: u64) -> Vec<Labelled> {
    let mut all = Vec::new();
    for (place, (family, many, make)) in FAMILIES.into_iter().enumerate() {
        for number in 0..many {
            let mut random = Random::stream(seed, all.len() as u64);
            let plan = Plan {
                number,
                // With the seeds every kind of series comes in every span.
                span: SPANS[(number + place + (seed % 4) as usize) % SPANS.len()],
                days: 21 + 7 * (number as i64 % 3),
            };
            let made = make(&mut random, &plan);
            all.push(Labelled {
                family,
                function: made.function,
                span: plan.span,
                values: made.values,
                windows: made.windows,
            });
        }
    }
    all
}

/// Spikes where the day is low and dips where it is high: values that would be usual at another hour.
fn spikes_and_dips(random: &mut Random, plan: &Plan) -> Made {
    let phase = random.between(0.0, 24.0);
    let base = level(random, 0.5, 4.0);
    let noise = random.between(0.03, 0.08);
    let length = plan.span * (1 + plan.number as i64 % 3);
    let windows = plan.windows(random, 4, length, |_| true);
    let mut error = Ar1::new(0.4);
    plan.mean(windows.clone(), |time| {
        let mut value = 1.0 + 1.5 * daily(time, phase) + error.next(random, noise);
        if let Some(window) = windows.iter().find(|w| (w.from..w.to).contains(&time)) {
            let high = daily(window.from, phase) > 0.5;
            value += (8.0 * noise + 0.3) * if high { -1.0 } else { 1.0 };
        }
        base * value
    })
}

/// Workdays are busy and weekends quiet, but for three hours the other way round.
fn workdays(random: &mut Random, plan: &Plan) -> Made {
    let plan = &Plan {
        days: plan.days.max(28),
        ..*plan
    };
    let phase = random.between(5.0, 9.0);
    let base = level(random, 1.0, 4.0);
    let noise = random.between(0.03, 0.07);
    let busy = plan.even();
    let windows = plan.windows(random, 3, 3 * HOUR, |time| {
        if busy {
            // A weekend must have been seen before one can be unlike it.
            weekend(time) && (10.0..15.0).contains(&hour(time)) && time > START + 13 * DAY
        } else {
            !weekend(time) && (10.0..14.0).contains(&hour(time))
        }
    });
    plan.mean(windows.clone(), |time| {
        let work = weekend(time) == inside(&windows, time);
        let height = if work { 1.0 } else { 0.25 };
        base * (0.3 + height * 2.0 * daily(time, phase).max(0.05) + noise * random.normal())
    })
}

/// Log-normal latencies, slow for two hours.
fn slow_latency(random: &mut Random, plan: &Plan) -> Made {
    let median = level(random, 0.5, 3.0);
    let sigma = random.between(0.25, 0.5);
    // Longer buckets have fewer of them in two hours, and so need more to be seen.
    let few = if plan.span >= 1_800 { 1.5 } else { 1.0 };
    let slow = sigma * random.between(2.2, 3.2) * few;
    let shape = if plan.even() { 0.3 } else { 0.0 };
    let windows = plan.windows(random, 3, 2 * HOUR, |_| true);
    plan.mean(windows.clone(), |time| {
        let slow = if inside(&windows, time) { slow } else { 0.0 };
        median * (sigma * random.normal() + shape * daily(time, 6.0) + slow).exp()
    })
}

/// Few events, by day more than at night, and none for three hours.
fn low_counts(random: &mut Random, plan: &Plan) -> Made {
    let top = random.between(6.0, 18.0)
        * (0.6 + 0.1 * plan.number as f64)
        * (plan.span as f64 / 1_800.0).clamp(0.35, 1.5);
    let windows = plan.windows(random, 3, 3 * HOUR, |time| {
        (9.0..16.0).contains(&hour(time))
    });
    plan.count(windows.clone(), |time| {
        let wave = (0.5 + 0.5 * (TAU * (hour(time) - 7.5) / 24.0).sin()).powf(1.2);
        if inside(&windows, time) {
            0.0
        } else {
            f64::from(random.poisson(top * (0.1 + wave)))
        }
    })
}

/// A new level for good: an alarm at first, and none when a day has passed.
fn level_shift(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let noise = random.between(0.02, 0.05);
    let shape = if plan.even() { 0.5 } else { 0.0 };
    let phase = random.between(0.0, 24.0);
    let shift = if plan.number.is_multiple_of(3) {
        -0.35
    } else {
        0.4
    };
    let mut windows = plan.windows(random, 1, 6 * HOUR, |_| true);
    for window in &mut windows {
        window.settled = window.from + DAY;
    }
    let mut error = Ar1::new(0.3);
    plan.mean(windows.clone(), |time| {
        let shifted = windows.iter().any(|window| time >= window.from);
        let shift = if shifted { shift } else { 0.0 };
        base * (1.0 + shape * daily(time, phase) + error.next(random, noise) + shift)
    })
}

/// A straight way up or down.
fn trend(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let noise = random.between(0.02, 0.06);
    let rise = if plan.even() { 2.0 } else { -0.8 };
    let shape = if plan.number < 2 { 0.5 } else { 0.0 };
    let phase = random.between(0.0, 24.0);
    plan.mean(vec![], |time| {
        let rise = rise * plan.progress(time);
        base * (1.0 + rise + shape * daily(time, phase) + noise * random.normal())
    })
}

/// Noise that grows to six times its width.
fn widening(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let shape = if plan.even() { 0.5 } else { 0.0 };
    let phase = random.between(0.0, 24.0);
    plan.mean(vec![], |time| {
        let width = 0.02 + 0.1 * plan.progress(time);
        base * (2.0 + shape * daily(time, phase) + width * random.normal())
    })
}

/// A sensor that is off for hours at times, and spikes when it is on.
fn gaps(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let noise = random.between(0.03, 0.06);
    let phase = random.between(0.0, 24.0);
    let windows = plan.windows(random, 2, 2 * plan.span, |_| true);
    let mut off = Vec::new();
    for _ in 0..4 {
        let day = random.between(2.0, plan.days as f64 - 1.0);
        let hours = random.between(0.5, 20.0);
        let length = (hours * HOUR as f64) as i64;
        off.push(Window::of(START + (day * DAY as f64) as i64, length));
    }
    let mut made = plan.mean(windows.clone(), |time| {
        let spike = if inside(&windows, time) { 0.8 } else { 0.0 };
        base * (1.0 + daily(time, phase) + noise * random.normal() + spike)
    });
    made.values
        .retain(|(time, _)| inside(&windows, *time) || !inside(&off, *time));
    made
}

/// Batch jobs that run by the clock: one is missing, or one runs when none should.
fn batches(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 3.0);
    let noise = random.between(0.03, 0.08);
    let height = random.between(3.0, 6.0);
    let every = if plan.even() { DAY } else { 6 * HOUR };
    let first = [3 * HOUR, 14 * HOUR, 22 * HOUR][plan.number % 3] % every;
    let length = (2 * plan.span).max(HOUR / 2);
    let due = |time: i64| (time - first).rem_euclid(every) < length;
    let mut windows = plan.windows(random, 4, length, |time| {
        !due(time) && !due(time + length) && !due(time - length)
    });
    // Every second window moves back to the run before it, which does not happen.
    let mut missing = Vec::new();
    for window in windows.iter_mut().step_by(2) {
        let run = (window.from - first).div_euclid(every) * every + first;
        *window = Window::of(run, length);
        missing.push(*window);
    }
    plan.mean(windows.clone(), |time| {
        let runs = if due(time) {
            !inside(&missing, time)
        } else {
            inside(&windows, time)
        };
        let run = height * (1.0 + 0.05 * random.normal());
        base * (1.0 + noise * random.normal() + if runs { run } else { 0.0 })
    })
}

/// Nothing happens, with and without a day's shape, in noise that remembers nothing, some or nearly all.
fn smooth_quiet(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let noise = random.between(0.005, 0.1);
    let phase = random.between(0.0, 24.0);
    let shape = [0.0, 0.5, 1.0][plan.number % 3];
    let mut error = Ar1::new([0.0, 0.8, 0.95][plan.number / 2 % 3]);
    plan.mean(vec![], |time| {
        base * (2.0 + shape * daily(time, phase) + error.next(random, noise))
    })
}

/// Nothing happens, in laws with a long tail: log-normal, exponential, small counts.
fn skewed_quiet(random: &mut Random, plan: &Plan) -> Made {
    let median = level(random, 0.5, 3.0);
    let sigma = random.between(0.3, 0.9);
    match plan.number % 3 {
        0 => plan.mean(vec![], |_| median * (sigma * random.normal()).exp()),
        1 => plan.mean(vec![], |_| median * random.exponential()),
        _ => plan.count(vec![], |_| f64::from(random.poisson(1.5))),
    }
}

/// Nearly a random walk, with two jumps and back.
fn wander(random: &mut Random, plan: &Plan) -> Made {
    let base = level(random, 0.5, 4.0);
    let windows = plan.windows(random, 2, 2 * plan.span, |_| true);
    let mut walk = Ar1::new(0.999);
    plan.mean(windows.clone(), |time| {
        let jump = if inside(&windows, time) { 0.25 } else { 0.0 };
        base * (2.0 + walk.next(random, 0.01) + 0.01 * random.normal() + jump)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_series() {
        assert_eq!(make(3), make(3));
        assert_ne!(make(3)[0].values, make(4)[0].values);
    }

    #[test]
    fn windows_are_judged_and_hold_what_they_say() {
        for seed in 1..=8 {
            for series in make(seed) {
                let Labelled {
                    family, windows, ..
                } = &series;
                let end = series.values[series.values.len() - 1].0;
                for window in windows {
                    assert!(window.from >= START + 9 * DAY, "{family}: {window:?}");
                    assert!(window.to <= end, "{family}: {window:?}");
                    assert_eq!((window.from - START) % series.span, 0, "{family}");
                    let held = series.values.iter().any(|(time, _)| *time == window.from);
                    assert!(held, "{family}: {window:?}");
                }
                let apart = |pair: &[Window]| pair[0].settled < pair[1].from - series.span;
                assert!(windows.windows(2).all(apart), "{family}: {windows:?}");
                assert!(series.values.iter().all(|(_, value)| value.is_finite()));
            }
        }
    }

    #[test]
    fn an_outage_has_no_events_and_a_missing_batch_no_height() {
        for series in make(5) {
            let at = |time: i64| series.values.iter().find(|(t, _)| *t == time);
            let value = |time: i64| at(time).map_or(f64::NAN, |(_, value)| *value);
            for (number, window) in series.windows.iter().enumerate() {
                match series.family {
                    "low counts" => assert_eq!(value(window.from), 0.0),
                    "batches" if number % 2 == 0 => {
                        assert!(value(window.from) < 0.5 * value(window.from - DAY));
                    }
                    "batches" => assert!(value(window.from) > 2.0 * value(window.from - DAY)),
                    _ => {}
                }
            }
        }
    }
}
