//! The random cut forest beside the published Rust implementation (`krcflib`, a release of AWS's own): what one finds
//! odd, the other does, as far as two runs of the same forest with other chances agree; and what each takes.

use peak_alloc::PeakAlloc;
use rcflib::rcf::{RCFBuilder, RCFOptionsBuilder};
use rcflib::trcf::basictrcf::{BasicTRCFBuilder, TRCFOptionsBuilder};
use rcflib::trcf::types::{ForestMode, TransformMethod};
use tidewatch_model::forest::{Entity, ForestConfig, Rule, Scratch, Trees};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Points before which neither has seen enough.
const FIRST: usize = 300;
const TREES: u16 = 100;

/// From 0 to 1, by a number.
fn unit(i: usize) -> f64 {
    let x = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x ^ (x >> 29)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A wave with noise, and once in so many values a spike or a dip.
fn series(count: usize, pause: usize) -> Vec<f64> {
    let value = |i: usize| {
        let noise = (0..6).map(|k| unit(6 * i + k)).sum::<f64>() - 3.0;
        let usual = 100.0 + 40.0 * (i as f64 * std::f64::consts::TAU / 60.0).sin() + 3.0 * noise;
        let far = 100.0 + 100.0 * unit(i + 7);
        match (i % pause, i / pause % 2) {
            (75, 0) => usual + far,
            (75, _) => usual - far,
            _ => usual,
        }
    };
    (0..count).map(value).collect()
}

/// Scores and grades.
type Found = (Vec<f64>, Vec<f64>);

fn ours(series: &[f64], seed: u64) -> Found {
    let config = ForestConfig {
        trees: TREES,
        ..ForestConfig::default()
    };
    let rule = Rule {
        config: &config,
        sides: &[[true, true]],
    };
    let mut entity = Entity::new(&config, 1, seed);
    let mut scratch = Scratch::default();
    let mut find = |&value: &f64| {
        let found = entity.observe(&rule, &[Some(value)], |_| true, &mut scratch);
        let found = found.expect("nothing is missing");
        (found.score, found.grade)
    };
    series.iter().map(&mut find).skip(FIRST).unzip()
}

fn theirs(series: &[f64], seed: u64) -> Found {
    let mut forest = BasicTRCFBuilder::new(1, 8)
        .tree_capacity(256)
        .number_of_trees(TREES.into())
        .random_seed(seed)
        .transform_method(TransformMethod::NORMALIZE)
        .forest_mode(ForestMode::STANDARD)
        .parallel_enabled(false)
        .time_decay(0.1 / 256.0)
        .transform_decay(0.1 / 256.0)
        .initial_accept_fraction(0.125)
        .output_after(32)
        .bounding_box_cache_fraction(1.0)
        .build()
        .expect("it takes these settings");
    let find = |(time, &value): (usize, &f64)| {
        let found = forest.process(&[value as f32], time as u64);
        let found = found.expect("it takes a point");
        (f64::from(found.score), f64::from(found.anomaly_grade))
    };
    series.iter().enumerate().map(find).skip(FIRST).unzip()
}

/// Places in the order of the values; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = first as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&at| ranks[at] = shared);
        first += equal.len();
    }
    ranks
}

/// Spearman's rank correlation.
fn agreement(a: &[f64], b: &[f64]) -> f64 {
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let (a, b) = (ranks(a), ranks(b));
    let of = |a: &[f64], b: &[f64]| -> f64 {
        let each = a.iter().zip(b);
        each.map(|(a, b)| (a - middle) * (b - middle)).sum()
    };
    of(&a, &b) / (of(&a, &a) * of(&b, &b)).sqrt()
}

#[test]
fn it_agrees_with_the_published_forest_and_takes_a_quarter_of_its_memory() {
    // Where spikes are so many that they are half known, scores differ by more than chance.
    let many = series(4_000, 150);
    let scores = agreement(&ours(&many, 1).0, &theirs(&many, 1).0);
    assert!(scores >= 0.9, "{scores}");
    // Where they are rare, both tell the same.
    let rare = series(6_000, 400);
    let grades = agreement(&ours(&rare, 1).1, &theirs(&rare, 1).1);
    assert!(grades >= 0.9, "{grades}");
    println!("scores {scores:.3}, grades {grades:.3}");

    // What is said of the memory is what is taken.
    let config = ForestConfig {
        trees: 30,
        ..ForestConfig::default()
    };
    let before = MEMORY.current_usage();
    let mut scratch = Scratch::default();
    let mut forest = Trees::new(&config, 1, 7);
    for &value in &many {
        forest.add(&[value as f32], true, &mut scratch);
    }
    let taken = (MEMORY.current_usage() - before) as f64;
    let said = Trees::bytes(&config, 1) as f64;
    assert!((0.95..1.05).contains(&(taken / said)), "{taken} {said}");
    let mut published = RCFBuilder::new(1, 8)
        .tree_capacity(256)
        .number_of_trees(30)
        .random_seed(7)
        .parallel_enabled(false)
        .internal_shingling(true)
        .time_decay(0.1 / 256.0)
        .bounding_box_cache_fraction(1.0)
        .build_default()
        .expect("it takes these settings");
    for &value in &many {
        published
            .update(&[value as f32], 0)
            .expect("it takes a point");
    }
    let theirs = published.size() as f64;
    println!("bytes {said} and {theirs}");
    assert!(said <= theirs / 4.0, "{said} {theirs}");
}
