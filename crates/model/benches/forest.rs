//! Scores and updates of a random cut forest on one core, beside the published Rust implementation (`krcflib`, a
//! release of AWS's own): one feature, shingles of 8, samples of 256, both grown before they are measured.

use divan::Bencher;
use divan::counter::ItemsCount;
use rcflib::rcf::{RCF, RCFBuilder, RCFOptionsBuilder};
use tidewatch_model::forest::{ForestConfig, Scratch, Trees};

const SHINGLE: usize = 8;
const GROWN: usize = 20_000;
const POINTS: usize = 4_000;
const TREES: [u16; 2] = [30, 50];

fn main() {
    for trees in TREES {
        let (ours, theirs) = (Trees::bytes(&config(trees), 1), published(trees).size());
        println!("{trees} trees: {ours} bytes; published: {theirs} bytes");
    }
    divan::main();
}

fn config(trees: u16) -> ForestConfig {
    ForestConfig {
        trees,
        ..ForestConfig::default()
    }
}

/// A wave with noise and some spikes.
fn values(count: usize) -> Vec<f32> {
    let mut x = 12_345_u64;
    let mut unit = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 40) as f32 / (1_u64 << 24) as f32
    };
    let value = |i: usize| {
        let noise: f32 = (0..4).map(|_| unit()).sum::<f32>() - 2.0;
        let spike = if i % 997 == 500 { 12.0 } else { 0.0 };
        3.0 * (i as f32 * std::f32::consts::TAU / 48.0).sin() + noise + spike
    };
    (0..count).map(value).collect()
}

fn published(trees: u16) -> Box<dyn RCF + Sync + Send> {
    let mut forest = RCFBuilder::new(1, SHINGLE)
        .tree_capacity(256)
        .number_of_trees(trees.into())
        .random_seed(7)
        .parallel_enabled(false)
        .internal_shingling(true)
        .time_decay(0.1 / 256.0)
        .initial_accept_fraction(0.125)
        .bounding_box_cache_fraction(1.0)
        .build_default()
        .expect("it takes these settings");
    for value in values(GROWN) {
        forest.update(&[value], 0).expect("it takes a point");
    }
    forest
}

#[divan::bench(args = TREES, sample_count = 20, sample_size = 1)]
fn tidewatch(bencher: Bencher, trees: u16) {
    let mut forest = Trees::new(&config(trees), 1, 7);
    let mut scratch = Scratch::default();
    let mut step = |value: f32, scratch: &mut Scratch| {
        let mut point = [0.0; SHINGLE];
        forest.lead_in(&mut point);
        point[SHINGLE - 1] = value;
        let score = forest.score(&point, scratch);
        forest.add(&[value], true, scratch);
        score
    };
    for value in values(GROWN) {
        step(value, &mut scratch);
    }
    let values = values(POINTS);
    let bencher = bencher.counter(ItemsCount::new(POINTS));
    bencher.bench_local(|| {
        let each = values.iter().map(|&value| step(value, &mut scratch));
        each.sum::<f64>()
    });
}

#[divan::bench(args = TREES, sample_count = 20, sample_size = 1)]
fn krcflib(bencher: Bencher, trees: u16) {
    let mut forest = published(trees);
    let values = values(POINTS);
    let bencher = bencher.counter(ItemsCount::new(POINTS));
    bencher.bench_local(|| {
        let each = values.iter().map(|&value| {
            let score = forest.score(&[value]).expect("it scores a point");
            forest.update(&[value], 0).expect("it takes a point");
            score
        });
        each.sum::<f64>()
    });
}
