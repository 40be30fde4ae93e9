use super::*;
use crate::noise::Noise;
use crate::score::score;

/// One bucket of a job that has process `i` with probability `often[i]`.
fn bucket(noise: &mut Noise, often: &[f64]) -> Vec<u32> {
    (0..often.len() as u32)
        .filter(|&i| noise.uniform() < often[i as usize])
        .collect()
}

const COMMON: [f64; 5] = [0.95, 0.9, 0.8, 0.3, 0.1];

#[test]
fn one_newcomer_among_a_settled_few_is_told_once() {
    let mut told = 0;
    for seed in 0..50 {
        let mut noise = Noise(seed);
        let mut rare = Rare::new();
        for i in 0..192 {
            let mut present = bucket(&mut noise, &COMMON);
            for &value in &present {
                assert!(score(rare.judge(value).probability) < 50.0, "{seed} {i}");
            }
            if (172..175).contains(&i) {
                let found = rare.judge(9);
                assert_eq!(found.first, i == 172);
                assert!(found.relative > 30.0);
                let score = score(found.probability);
                told += usize::from(i == 172 && score >= 50.0);
                assert!(i == 172 || score < 25.0, "{seed} {score}");
                present.push(9);
            }
            rare.learn(&present);
        }
    }
    assert!(told >= 45, "{told} of 50");
}

#[test]
fn a_stream_of_newcomers_is_quiet() {
    for often in [1.0, 0.2, 0.05] {
        let mut noise = Noise(7);
        let mut rare = Rare::new();
        let (mut next, mut told, mut below, mut all) = (100, 0, 0, 0);
        for i in 0..4_000 {
            let mut present = bucket(&mut noise, &COMMON);
            if noise.uniform() < often {
                let p = rare.judge(next).probability;
                told += usize::from(score(p) >= 50.0);
                present.push(next);
                next += 1;
            }
            let least = present.iter().map(|&v| rare.judge(v).probability);
            let least = least.fold(1.0, f64::min);
            if i > 1_000 {
                all += 1;
                below += usize::from(least < 1e-2);
            }
            rare.learn(&present);
        }
        assert!(told <= 1, "{told} at {often}");
        let share = below as f64 / f64::from(all);
        assert!(share < 0.02, "{share} at {often}");
    }
}

#[test]
fn early_history_is_quiet() {
    // A long tail of processes: nearly every early bucket shows one for the first time.
    let often: Vec<f64> = (1..60).map(|i| 0.9 / f64::from(i)).collect();
    let mut told = 0;
    for seed in 0..20 {
        let mut noise = Noise(seed);
        let mut rare = Rare::new();
        for _ in 0..500 {
            let present = bucket(&mut noise, &often);
            for &value in &present {
                told += usize::from(score(rare.judge(value).probability) >= 50.0);
            }
            rare.learn(&present);
        }
    }
    assert!(told <= 2, "{told} in 20 jobs");
}

#[test]
fn what_comes_weekly_is_known_after_once() {
    let mut noise = Noise(3);
    let mut rare = Rare::new();
    let mut scores = Vec::new();
    for i in 0..168 * 6 {
        let mut present = bucket(&mut noise, &COMMON);
        if i % 168 == 167 {
            scores.push(score(rare.judge(50).probability));
            present.push(50);
        }
        rare.learn(&present);
    }
    assert!(scores[0] >= 40.0, "{scores:?}");
    assert!(scores[1..].iter().all(|&s| s < 15.0), "{scores:?}");
}

/// Who was seen with what.
#[derive(Default)]
struct Town {
    rare: RarePeople,
    seen: std::collections::BTreeSet<(u32, u32)>,
}

impl Town {
    fn others(&self, person: u32, value: u32) -> u32 {
        let with = self
            .seen
            .iter()
            .filter(|&&(p, v)| v == value && p != person);
        with.count() as u32
    }

    fn judge(&self, person: u32, value: u32) -> Rarity {
        self.rare.judge(value, self.others(person, value), 41)
    }

    fn learn(&mut self, pairs: &[(u32, u32)]) {
        let with = |&(person, value): &(u32, u32)| (value, self.others(person, value));
        let mut done: Vec<(u32, u32)> = pairs.iter().map(with).collect();
        done.sort_unstable();
        self.rare.learn(&done, 41);
        self.seen.extend(pairs);
    }
}

#[test]
fn a_person_with_what_nobody_has_is_told() {
    let mut noise = Noise(5);
    let mut town = Town::default();
    let mut worst: f64 = 0.0;
    for i in 0..200 {
        let mut pairs: Vec<(u32, u32)> = (0..40u32)
            .filter_map(|person| {
                let (here, which) = (noise.uniform(), noise.uniform());
                (here < 0.5).then_some((person, (which * 4.0) as u32))
            })
            .collect();
        // One always has a thing of his own: rare among people, common among buckets.
        pairs.push((40, 20));
        for &(person, value) in &pairs {
            worst = worst.max(score(town.judge(person, value).probability));
        }
        if i == 180 {
            let found = town.judge(17, 30);
            assert!(found.first && score(found.probability) >= 50.0, "{found:?}");
            pairs.push((17, 30));
        }
        if i == 190 {
            let again = score(town.judge(18, 30).probability);
            assert!(again < 25.0, "{again}");
        }
        town.learn(&pairs);
    }
    assert!(worst < 25.0, "{worst}");
}

#[test]
fn what_nobody_shares_weighs_most() {
    assert_eq!(singularity([(0, 3.0), (9, 10.0)]), 4.0);
}

#[test]
fn numbers_change_and_nothing_else() {
    let mut noise = Noise(1);
    let mut rare = Rare::new();
    for _ in 0..50 {
        rare.learn(&bucket(&mut noise, &COMMON));
    }
    let mut other = rare.clone();
    other.rename(|id| 10 - id);
    assert_eq!(other.judge(10 - 2), rare.judge(2));
    other.retain(|id| id != 8);
    assert!(other.judge(8).first && other.len() == rare.len() - 1);
}
