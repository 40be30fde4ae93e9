use proptest::prelude::*;

use super::*;

const SPANS: [i64; 5] = [60, 300, 900, 3_600, 86_400];

/// Noise with a fixed seed: splitmix64 (Steele, Lea & Flood 2014), uniform on (0, 1).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        let (r, angle) = (self.uniform(), self.uniform());
        (-2.0 * r.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Poisson of mean `mean`, by Knuth's product.
    fn count(&mut self, mean: f64) -> f64 {
        let (mut n, mut product) = (0.0, self.uniform());
        while product > (-mean).exp() {
            product *= self.uniform();
            n += 1.0;
        }
        n
    }
}

fn day(time: i64) -> f64 {
    (std::f64::consts::TAU * time.rem_euclid(DAY) as f64 / DAY as f64).sin()
}

/// Shares of values below 1e-2 and 1e-3 after the first thousand.
fn shares(mut value: impl FnMut(i64, &mut Noise) -> f64) -> [f64; 2] {
    let (mut below, mut all) = ([0.0; 2], 0.0);
    for seed in 0..6 {
        let mut noise = Noise(seed);
        let mut series = Series::new(900, Link::Identity);
        for i in 0..5_000 {
            let time = 1_700_000_100 + i * 900;
            let found = series.follow(time, value(time, &mut noise), Side::Both);
            if i >= 1_000 {
                all += 1.0;
                below[0] += f64::from(u8::from(found.probability < 1e-2));
                below[1] += f64::from(u8::from(found.probability < 1e-3));
            }
        }
    }
    below.map(|n| n / all)
}

#[test]
fn probabilities_are_honest_on_clean_series() {
    let mut level = 0.0;
    let families: [(&str, [f64; 2]); 5] = [
        ("normal", shares(|_, noise| 100.0 + 10.0 * noise.normal())),
        (
            "log-normal",
            shares(|_, noise| 20.0 * (0.5 * noise.normal()).exp()),
        ),
        ("counts", shares(|_, noise| noise.count(4.0))),
        (
            "autoregressive",
            shares(|_, noise| {
                level = 0.8 * level + noise.normal();
                level
            }),
        ),
        (
            "daily",
            shares(|time, noise| 100.0 + 40.0 * day(time) + 5.0 * noise.normal()),
        ),
    ];
    for (family, [hundredth, thousandth]) in families {
        assert!((0.3e-2..2e-2).contains(&hundredth), "{family}: {hundredth}");
        assert!(
            (0.2e-3..3e-3).contains(&thousandth),
            "{family}: {thousandth}"
        );
    }
}

/// Three weeks of quarters of an hour; `value` tells a time from the start of the last week.
fn three_weeks(value: impl Fn(i64, &mut Noise) -> f64) -> Vec<(i64, f64)> {
    let mut noise = Noise(7);
    let mut series = Series::new(900, Link::Identity);
    let mut told = Vec::new();
    for i in 0..3 * 672 {
        let time = 1_700_438_400 + i * 900;
        let since = (i - 2 * 672) * 900;
        let found = series.follow(time, value(since, &mut noise), Side::Both);
        let left = series.after_peak(found.probability);
        if since >= -4 * DAY && left < 1e-4 {
            told.push((since, left));
        }
    }
    told
}

#[test]
fn an_outage_of_low_counts_is_told_and_nothing_else() {
    // Three hours at noon without any of the usual handful an hour.
    let told = three_weeks(|since, noise| {
        let outage = (0..3 * 3_600).contains(&(since - DAY * 5 / 2));
        let mean = 4.0 + 3.0 * day(since - DAY / 4);
        if outage { 0.0 } else { noise.count(mean) }
    });
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|(since, _)| (0..4 * 3_600).contains(&(since - DAY * 5 / 2))),
        "{told:?}"
    );
}

#[test]
fn a_level_shift_is_told_and_then_taken_for_normal() {
    let told = three_weeks(|since, noise| {
        let shift = if since >= DAY { 40.0 } else { 0.0 };
        100.0 + shift + 20.0 * day(since) + 3.0 * noise.normal()
    });
    assert!(
        told.iter().any(|(since, _)| *since < DAY + 3_600),
        "{told:?}"
    );
    assert!(
        told.iter().all(|(since, _)| (DAY..2 * DAY).contains(since)),
        "{told:?}"
    );
}

#[test]
fn a_batch_is_known_by_its_hour_and_missed_when_it_does_not_run() {
    let told = three_weeks(|since, noise| {
        let due = since.rem_euclid(DAY) < 1_800;
        let missing = (3 * DAY..4 * DAY).contains(&since);
        10.0 + noise.normal() + if due && !missing { 60.0 } else { 0.0 }
    });
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|(since, _)| (3 * DAY..3 * DAY + 7_200).contains(since)),
        "{told:?}"
    );
}

#[test]
fn a_day_of_which_no_hour_jumps_is_told() {
    // A holiday: a tenth less all day, coming and going within hours.
    let told = three_weeks(|since, noise| {
        let ramp = |from: i64| ((since - from) as f64 / 14_400.0).clamp(0.0, 1.0);
        let less = 0.1 * (ramp(3 * DAY) - ramp(4 * DAY));
        (100.0 + 40.0 * day(since)) * (1.0 - less) + 4.0 * noise.normal()
    });
    assert!(
        !told.is_empty()
            && told
                .iter()
                .all(|(since, _)| (3 * DAY..9 * DAY / 2).contains(since)),
        "{told:?}"
    );
}

#[test]
fn the_second_weekend_is_no_surprise() {
    let mut noise = Noise(11);
    for seed in 0..12 {
        let mut series = Series::new(900, Link::Identity);
        // From a Monday on.
        for i in 0..14 * 96 {
            let time = 1_700_438_400 + i * 900;
            let work = if season::is_weekend(time) { 0.3 } else { 1.0 };
            let value = 20.0 + 50.0 * work * (1.2 + day(time)) + 2.0 * noise.normal();
            let found = series.follow(time, value, Side::Both);
            let left = series.after_peak(found.probability);
            assert!(i < 11 * 96 || left > 1e-6, "{seed}: {left} at {i}");
        }
    }
}

#[test]
fn sides_that_do_not_matter_are_not_judged() {
    let mut noise = Noise(3);
    let mut series = Series::new(900, Link::Identity);
    for i in 0..1_000 {
        series.follow(i * 900, 50.0 + noise.normal(), Side::High);
    }
    let time = 1_000 * 900;
    assert!(series.peek(time, 0.0, Side::High).probability > 0.1);
    assert!(series.peek(time, 0.0, Side::Low).probability < 1e-4);
    assert!(series.peek(time, 100.0, Side::High).probability < 1e-4);
    assert!(series.peek(time, 100.0, Side::Low).probability > 0.1);
}

#[test]
fn full_bytes_bound_what_a_series_takes() {
    for span in SPANS {
        let mut series = Series::new(span, Link::Identity);
        assert_eq!(series.bytes(), Series::newborn_bytes());
        // A period of 37 buckets, for which a table is found beside the calendar's.
        for i in 0..3_000 {
            let value = if i % 37 < 9 { 10.0 } else { 2.0 };
            let before = series.bytes();
            let value = value + f64::from(i as i32 % 5) * 0.1;
            series.observe(i * span, value, Side::Both);
            let (seen, wanted) = (series.bytes(), series.wants());
            assert!(seen <= before, "{span}: what only looks takes nothing");
            series.grow();
            assert!(series.bytes() <= seen + wanted, "{span} at {i}");
            assert!(series.bytes() <= Series::full_bytes(span), "{span}");
        }
    }
}

/// Follows `days` days of buckets from a Monday on.
fn follow(
    series: &mut Series,
    days: std::ops::Range<i64>,
    span: i64,
    value: impl Fn(i64, f64) -> f64,
) {
    let mut noise = Noise(days.end as u64);
    for i in days.start * DAY / span..days.end * DAY / span {
        let time = 1_700_438_400 + i * span;
        series.follow(time, value(time, noise.normal()), Side::Both);
    }
}

#[test]
fn a_series_takes_what_it_has_a_use_for() {
    assert!(
        Series::newborn_bytes() <= 600,
        "{}",
        Series::newborn_bytes()
    );
    let weekend = |time: i64| f64::from(u8::from(season::is_weekend(time)));
    for span in [300, 900, 1_800, 3_600] {
        let mut plain = Series::new(span, Link::Identity);
        follow(&mut plain, 0..28, span, |_, noise| 100.0 + 10.0 * noise);
        assert!(plain.bytes() <= 1_012, "{span}: {}", plain.bytes());
        let mut daily = Series::new(span, Link::Identity);
        let value = |time, noise| 100.0 + 40.0 * day(time) + 5.0 * noise;
        follow(&mut daily, 0..28, span, value);
        let mut weekly = Series::new(span, Link::Identity);
        let value = |time, noise| 100.0 + 40.0 * day(time) * (1.0 - weekend(time)) + 5.0 * noise;
        follow(&mut weekly, 0..42, span, value);
        // The Tuesday and the Saturday after, at six, when the day is highest.
        for (series, after, peak) in [
            (&daily, 29, 140.0),
            (&weekly, 43, 140.0),
            (&weekly, 47, 100.0),
        ] {
            assert!(series.bytes() <= 3_600, "{span}: {}", series.bytes());
            let time = 1_700_438_400 + after * DAY + DAY / 4;
            let steady = series.predictors.forecast(time, span).steady;
            assert!((steady - peak).abs() < 10.0, "{span}: {steady}");
        }
    }
}

#[test]
fn a_season_that_comes_late_is_found() {
    let (span, batch) = (900, |time: i64| time.rem_euclid(DAY) < 3_600);
    let mut series = Series::new(span, Link::Identity);
    follow(&mut series, 0..35, span, |_, noise| 10.0 + noise);
    assert!(series.bytes() <= 1_012, "{}", series.bytes());
    let value = |time, noise| {
        if batch(time) {
            40.0 + noise
        } else {
            10.0 + noise
        }
    };
    follow(&mut series, 35..70, span, value);
    let midnight = 1_700_438_400 + 70 * DAY;
    assert!(series.peek(midnight, 40.0, Side::Both).probability > 0.01);
    assert!(series.peek(midnight, 10.0, Side::Both).probability < 1e-3);
}

#[test]
fn a_series_that_is_granted_nothing_judges_by_what_it_has() {
    let mut noise = Noise(5);
    let mut series = Series::new(300, Link::Identity);
    for i in 0..2_000 {
        series.observe(i * 300, 50.0 + noise.normal(), Side::Both);
    }
    assert_eq!(series.bytes(), Series::newborn_bytes());
    assert!(series.peek(2_000 * 300, 50.0, Side::Both).probability > 0.1);
    assert!(series.peek(2_000 * 300, 62.0, Side::Both).probability < 1e-4);
}

#[test]
fn a_high_level_costs_no_precision() {
    let told = |level: f64| {
        let mut series = Series::new(900, Link::Identity);
        follow(&mut series, 0..14, 900, |time, noise| {
            level + 3.0 * day(time) + noise
        });
        let time = 1_700_438_400 + 14 * DAY;
        [0.0, 5.0, 8.0].map(|off| {
            let found = series.peek(time, level + off, Side::Both);
            (found.probability.ln(), found.typical - level)
        })
    };
    for (low, high) in told(0.0).into_iter().zip(told(1e6)) {
        assert!((low.0 - high.0).abs() < 0.5, "{low:?} {high:?}");
        assert!((low.1 - high.1).abs() < 0.2, "{low:?} {high:?}");
    }
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let one = prop_oneof![
        8 => -1e3..1e3f64,
        2 => Just(0.0),
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => -1e-300..1e-300f64,
    ];
    prop_oneof![
        proptest::collection::vec(one, 1..700),
        (any::<f64>(), 1..700usize)
            .prop_map(|(value, n)| { vec![if value.is_finite() { value } else { 1.0 }; n] }),
        proptest::collection::vec(0.0..1e4f64, 1..700),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_finite_values_give_finite_judgements(values in values(), span in 0..SPANS.len(), gap in 1i64..50) {
        let mut series = Series::new(SPANS[span], Link::Identity);
        let mut time = -5 * DAY;
        for (i, &value) in values.iter().enumerate() {
            time += SPANS[span] * if i % 97 == 0 { gap } else { 1 };
            let found = series.follow(time, value, Side::Both);
            for p in [found.probability, found.single, found.multiple, series.after_peak(found.probability)] {
                prop_assert!((0.0..=1.0).contains(&p), "{found:?} at {i}");
            }
            for x in [found.typical, found.lower, found.upper] {
                prop_assert!(x.is_finite(), "{found:?} at {i}");
            }
        }
    }

    #[test]
    fn a_stored_series_goes_on_as_if_it_had_not_been(values in values(), at in 0..700usize) {
        let mut kept = Series::new(900, Link::Identity);
        let mut stored = kept.clone();
        for (i, &value) in values.iter().enumerate() {
            if i == at {
                let bytes = postcard::to_stdvec(&stored).expect("a series has a plain form");
                stored = postcard::from_bytes(&bytes).expect("what was written can be read");
            }
            let time = i as i64 * 900;
            prop_assert_eq!(kept.observe(time, value, Side::Both), stored.observe(time, value, Side::Both));
        }
        prop_assert_eq!(kept, stored);
    }
}

#[test]
fn a_step_of_growth_takes_no_more_than_was_asked() {
    for span in [3_600, 7_200, DAY] {
        for seed in 0..200 {
            let mut noise = Noise(seed);
            let mut series = Series::new(span, Link::Identity);
            let steps = 1_000 * DAY / span;
            for i in 0..steps.min(500) {
                let time = 1_700_006_400 + i * span;
                let workday = time.div_euclid(DAY) % 7 < 5;
                let scale = if workday { 3.0 } else { 0.3 };
                let value = match seed % 4 {
                    0 => scale / (noise.uniform() + 0.001),
                    1 => (noise.uniform() * 9.0 * scale).floor(),
                    2 => {
                        if i < 180 {
                            5.0 + noise.normal()
                        } else {
                            scale * noise.normal().exp()
                        }
                    }
                    _ => {
                        if i > 250 {
                            3.0
                        } else {
                            f64::from(u8::from(i < 120))
                        }
                    }
                };
                series.observe(time, value, Side::Both);
                let (before, wants) = (series.bytes(), series.wants());
                if wants > 0 {
                    series.grow();
                    assert!(
                        series.bytes() <= before + wants,
                        "{span} {seed} {i}: {before} {wants}"
                    );
                }
            }
        }
    }
}
