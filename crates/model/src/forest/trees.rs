//! A random cut forest: trees over samples of the same points.

use serde::{Deserialize, Serialize};

use super::config::ForestConfig;
use super::points::Points;
use super::random::Random;
use super::tree::{Near, Scratch, Tree};

/// Share of a sample up to which every point is taken; then fewer and fewer, so that trees differ from the start.
const ALL_TAKEN: f64 = 0.125;
/// The oldest points leave the samples when another such share of the window is about to be written over.
const PURGES: u64 = 16;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trees {
    seed: u64,
    sample: u16,
    decay: f64,
    points: Points,
    trees: Vec<Tree>,
}

impl Trees {
    pub fn new(config: &ForestConfig, features: usize, seed: u64) -> Self {
        let shingle = usize::from(config.shingle_size);
        let points = Points::new(config.window(), features, shingle);
        let sample = usize::from(config.sample_size);
        let tree = || Tree::new(sample, points.dimensions());
        Self {
            seed,
            sample: config.sample_size,
            decay: config.decay(),
            trees: (0..config.trees).map(|_| tree()).collect(),
            points,
        }
    }

    /// After it was read from a state: finds what isn't part of that.
    pub fn restore(&mut self) {
        let (sample, dimensions) = (usize::from(self.sample), self.points.dimensions());
        for tree in &mut self.trees {
            tree.reserve(sample, dimensions);
            tree.keep_boxes(&self.points);
        }
    }

    /// Bytes of a forest, which it has from the start.
    pub fn bytes(config: &ForestConfig, features: usize) -> usize {
        let shingle = usize::from(config.shingle_size);
        let tree = Tree::bytes(config.sample_size.into(), shingle * features);
        size_of::<Self>()
            + usize::from(config.trees) * tree
            + Points::bytes(config.window(), features, shingle)
    }

    pub fn count(&self) -> usize {
        self.trees.len()
    }

    /// Values of a point.
    pub fn dimensions(&self) -> usize {
        self.points.dimensions()
    }

    /// Entries that were added.
    pub fn added(&self) -> u64 {
        self.points.added()
    }

    /// Puts the latest entries before the one that is to come, which is the last of `point`.
    pub fn lead_in(&self, point: &mut [f32]) {
        self.points.lead_in(point);
    }

    /// The anomaly score of a point: about 1 for what is usual.
    pub fn score(&self, query: &[f32], scratch: &mut Scratch) -> f64 {
        // Most trees have the same mass, and a logarithm takes long.
        let (mut mass, mut scale) = (0, 0.0);
        let mut scaled = |tree: &Tree, score| {
            if tree.mass() != mass {
                (mass, scale) = (tree.mass(), scale_of(tree));
            }
            score * scale
        };
        let (abreast, rest) = self.trees.as_chunks();
        let mut sum = 0.0;
        for trees in abreast {
            let scores = Tree::scores(trees, &self.points, query, scratch);
            let each = trees.iter().zip(scores);
            sum += each.map(|(tree, score)| scaled(tree, score)).sum::<f64>();
        }
        for tree in rest {
            sum += scaled(tree, tree.score(&self.points, query, scratch));
        }
        sum / self.trees.len() as f64
    }

    /// The shares of the dimensions in a point's score, where it is above and where it is below what is known.
    pub fn attribution(&self, query: &[f32], scratch: &mut Scratch) -> Vec<[f64; 2]> {
        let mut shares = vec![[0.0; 2]; query.len()];
        for tree in &self.trees {
            let scale = scale_of(tree) / self.trees.len() as f64;
            tree.attribute(&self.points, query, scratch, &mut shares, scale);
        }
        shares
    }

    /// For each tree its point that is nearest in the dimensions that are known.
    pub fn nearest(&self, query: &[f32], known: &[bool], scratch: &mut Scratch) -> Vec<Near> {
        let each = self.trees.iter();
        each.filter_map(|tree| tree.nearest(&self.points, query, known, scratch))
            .collect()
    }

    pub fn point(&self, near: Near) -> &[f32] {
        self.points.at(near.place)
    }

    /// Adds an entry, and the point that it completes to some of the samples if that `is_sampled`.
    pub fn add(&mut self, entry: &[f32], is_sampled: bool, scratch: &mut Scratch) {
        let place = self.points.push(entry);
        self.purge(scratch);
        let Some(place) = place.filter(|_| is_sampled) else {
            return;
        };
        let step = self.points.added();
        let aged = self.decay * step as f64;
        let sample = usize::from(self.sample);
        for (number, tree) in self.trees.iter_mut().enumerate() {
            let mut random = Random::of(self.seed, number, step);
            let is_first = tree.mass() < sample
                && random.unit() < first_chance(tree.mass() as f64 / sample as f64);
            let Some(weight) = drawn(&mut random, aged, (!is_first).then(|| tree.heaviest()))
            else {
                continue;
            };
            if !is_first {
                tree.evict(&self.points, scratch);
            }
            tree.insert(&self.points, place, weight, &mut random, scratch);
        }
    }

    /// Takes out of the samples what is about to be written over.
    fn purge(&mut self, scratch: &mut Scratch) {
        let points = &self.points;
        let stride = (points.window() as u64 / PURGES).max(1);
        if !points.added().is_multiple_of(stride) {
            return;
        }
        let shingle = points.dimensions() / points.features();
        let oldest = points.window().saturating_sub(stride as usize + shingle);
        for tree in &mut self.trees {
            tree.purge(points, |place| points.age(place) > oldest, scratch);
            tree.keep_boxes(points);
        }
    }
}

/// The scale of a tree's scores: larger trees are deeper.
fn scale_of(tree: &Tree) -> f64 {
    (tree.mass() as f64 + 1.0).log2()
}

/// The chance of a point to be taken where a sample is filled to a share.
fn first_chance(filled: f64) -> f64 {
    ((1.0 - filled) / (1.0 - ALL_TAKEN)).min(1.0)
}

/// The weight of a new point in a sample: those with the least are kept, and a later one has less (Efraimidis and
/// Spirakis 2006, Information Processing Letters 97). None if it isn't below `most`.
fn drawn(random: &mut Random, aged: f64, most: Option<f32>) -> Option<f32> {
    let unit = random.unit();
    if let Some(most) = most {
        // Most points are not taken. With `y` the most that ln(-ln(unit)) may be, `unit` has to be above
        // exp(-exp(y)), which is above 1 - exp(y); with z = -y above 0, exp(z) is above its series' first terms.
        let y = f64::from(most) + aged;
        let z = -y;
        if z > 0.0 && (1.0 - unit) * (1.0 + z * (1.0 + z / 2.0 * (1.0 + z / 3.0))) >= 1.0 {
            return None;
        }
    }
    // From 0 on: the logarithm of nothing is kept out.
    let weight = ((-(unit.max(1e-18)).ln()).max(1e-18).ln() - aged) as f32;
    most.is_none_or(|most| weight < most).then_some(weight)
}
