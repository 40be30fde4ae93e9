use super::*;
use crate::noise::Noise;

const START: i64 = 1_700_006_400;
const HOUR: i64 = 3_600;

/// Runs a population of 40 members for `hours`, each present half of the time: calls `see` with hour, member and finding.
fn run(
    seed: u64,
    hours: i64,
    side: Side,
    mut value: impl FnMut(i64, u32, &mut Noise) -> f64,
    mut see: impl FnMut(i64, u32, &Finding),
) -> Crowd {
    let mut noise = Noise(seed);
    let mut crowd = Crowd::new(HOUR, Link::Identity);
    for hour in 0..hours {
        let mut values = Vec::new();
        for member in 0..40 {
            if member == 17 || noise.uniform() < 0.5 {
                values.push((member, value(hour, member, &mut noise)));
            }
        }
        let seen = crowd.judge(START + hour * HOUR, &values, side);
        crowd.learn(&values, &seen);
        for (&(member, _), finding) in values.iter().zip(&seen.findings) {
            see(hour, member, finding);
        }
    }
    crowd
}

/// Shares below 1e-2 and 1e-3 after the first 100 hours.
fn shares(side: Side, value: impl Fn(i64, u32, &mut Noise) -> f64) -> [f64; 2] {
    let (mut below, mut all) = ([0.0; 2], 0.0);
    for seed in 0..6 {
        run(seed, 1_000, side, &value, |hour, _, finding| {
            if hour >= 100 {
                all += 1.0;
                below[0] += f64::from(u8::from(finding.probability < 1e-2));
                below[1] += f64::from(u8::from(finding.probability < 1e-3));
            }
        });
    }
    below.map(|n| n / all)
}

fn bytes(noise: &mut Noise) -> f64 {
    3_000.0 * (0.5 * noise.normal()).exp()
}

fn sun(hour: i64) -> f64 {
    (std::f64::consts::TAU * hour as f64 / 24.0).sin()
}

#[test]
fn probabilities_are_honest() {
    let honest = |name: &str, [one, few]: [f64; 2]| {
        println!("{name}: {one:.5} {few:.6}");
        assert!((0.005..0.02).contains(&one), "{name}: {one}");
        assert!((0.000_5..0.002).contains(&few), "{name}: {few}");
    };
    honest("log-normal", shares(Side::Both, |_, _, n| bytes(n)));
    honest("log-normal, high", shares(Side::High, |_, _, n| bytes(n)));
    honest("Poisson", shares(Side::Both, |_, _, n| n.count(6.0)));
    honest(
        "normal",
        shares(Side::Low, |_, _, n| 50.0 + 7.0 * n.normal()),
    );
    honest(
        "members differ",
        shares(Side::Both, |_, member, n| {
            bytes(n) * f64::from(member % 8 + 1)
        }),
    );
    honest(
        "time of day",
        shares(Side::Both, |hour, _, n| bytes(n) * (1.5 * sun(hour)).exp()),
    );
}

/// Probabilities of a member's three hours of forty times as much: of the typical amount, or of what it was to be.
fn forty_times(typical: bool) -> Vec<f64> {
    let mut told = Vec::new();
    for seed in 0..10 {
        let value = |hour, member, noise: &mut Noise| {
            let event = (150..153).contains(&hour) && member == 17;
            match (event, typical) {
                (false, _) => bytes(noise),
                (true, false) => 40.0 * bytes(noise),
                (true, true) => 40.0 * 3_000.0,
            }
        };
        run(seed, 200, Side::High, value, |hour, member, finding| {
            if (150..153).contains(&hour) && member == 17 {
                assert!((1_000.0..9_000.0).contains(&finding.typical));
                told.push(finding.probability);
            } else if hour >= 100 {
                assert!(finding.probability > 1e-6, "{seed} {hour} {member}");
            }
        });
    }
    told
}

#[test]
fn forty_times_for_three_hours_is_told_and_leaves_no_glow() {
    let typical = forty_times(true);
    assert!(typical.iter().all(|&p| p <= 5e-6), "{typical:?}");
    let clear = typical.iter().filter(|&&p| p <= 1e-6).count();
    assert!(clear >= 20, "{clear} of 30");
    let random = forty_times(false);
    assert!(random.iter().all(|&p| p <= 5e-5), "{random:?}");
}

#[test]
fn a_member_that_is_always_more_is_told_while_it_is_new() {
    let value = |hour, member, noise: &mut Noise| {
        let more = member == 17 && hour >= 100;
        3_000.0 * (0.2 * noise.normal() + if more { 3f64.ln() } else { 0.0 }).exp()
    };
    let (mut new, mut known, mut others) = (0, 0, 0);
    run(1, 300, Side::Both, value, |hour, member, finding| {
        let told = usize::from(finding.probability < 1e-4);
        match (member, hour) {
            (17, 100..103) => new += told,
            (17, 150..) => known += told,
            (_, 100..) if member != 17 => others += told,
            _ => {}
        }
    });
    assert!(
        new >= 2 && known <= 1 && others <= 2,
        "{new} {known} {others}"
    );
}

#[test]
fn what_all_do_at_once_makes_no_one_stand_out() {
    let value = |hour, _, noise: &mut Noise| bytes(noise) * if hour >= 150 { 8.0 } else { 1.0 };
    let mut told = 0;
    run(2, 300, Side::Both, value, |_, _, finding| {
        told += usize::from(finding.probability < 1e-5);
    });
    assert!(told <= 1, "{told}");
}

#[test]
fn members_take_little_and_can_be_forgotten() {
    assert!(MEMBER_BYTES <= 40 && Crowd::newborn_bytes() <= 1_536);
    let mut crowd = run(3, 100, Side::Both, |_, _, n| bytes(n), |_, _, _| {});
    let before = crowd.peek(START, 7, 1e5, Side::High);
    crowd.rename(|id| 100 - id);
    assert_eq!(crowd.peek(START, 93, 1e5, Side::High), before);
    crowd.retain(|id| id != 93);
    assert_eq!(crowd.len(), 39);
}

#[test]
fn any_value_gives_a_probability() {
    let mut crowd = Crowd::new(60, Link::Root);
    for i in 0..400i64 {
        let wild = [f64::MAX, f64::MIN, 0.0, 1e-300, -3.0][i as usize % 5];
        let values = [
            (0, wild),
            (1, 5.0),
            (2, 5.0),
            (3, -wild),
            (i as u32 + 4, 1.0),
        ];
        let seen = crowd.judge(i * 60, &values, Side::Both);
        crowd.learn(&values, &seen);
        for finding in &seen.findings {
            assert!((0.0..=1.0).contains(&finding.probability));
            assert!(finding.lower.is_finite() && finding.upper.is_finite());
            assert!(finding.typical.is_finite());
        }
    }
}
