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
    sampling: Sampling,
    points: Points,
    trees: Vec<Tree>,
    /// For each tree when it takes a point next.
    #[serde(skip)]
    due: Vec<Due>,
}

impl Trees {
    pub fn new(config: &ForestConfig, features: usize, seed: u64) -> Self {
        let shingle = usize::from(config.shingle_size);
        let points = Points::new(config.window(), features, shingle);
        let sample = usize::from(config.sample_size);
        let tree = || Tree::new(sample, points.dimensions());
        let mut trees = Self {
            sampling: Sampling {
                seed,
                sample: config.sample_size,
                decay: config.decay(),
            },
            trees: (0..config.trees).map(|_| tree()).collect(),
            points,
            due: Vec::new(),
        };
        trees.find_due();
        trees
    }

    /// After it was read from a state: finds what isn't part of that.
    pub fn restore(&mut self) {
        let (sample, dimensions) = (usize::from(self.sampling.sample), self.points.dimensions());
        for tree in &mut self.trees {
            tree.reserve(sample, dimensions);
            tree.keep_boxes(&self.points);
        }
        self.find_due();
    }

    /// Bytes of a forest, which it has from the start.
    pub fn bytes(config: &ForestConfig, features: usize) -> usize {
        let shingle = usize::from(config.shingle_size);
        let tree = Tree::bytes(config.sample_size.into(), shingle * features);
        size_of::<Self>()
            + usize::from(config.trees) * (tree + size_of::<Due>())
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
        // Trees have much the same masses, and a logarithm takes long.
        let mut scales = [(0, 0.0); 8];
        let mut scaled = |tree: &Tree, score| {
            let (mass, scale) = &mut scales[tree.mass() % 8];
            if tree.mass() != *mass {
                (*mass, *scale) = (tree.mass(), scale_of(tree));
            }
            score * *scale
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
        for (number, (tree, due)) in self.trees.iter_mut().zip(&mut self.due).enumerate() {
            if step < due.fill.min(due.exchange) {
                continue;
            }
            let mut random = Random::of(self.sampling.seed, number, step);
            let aged = self.sampling.decay * step as f64;
            let most = (step < due.fill).then(|| f64::from(tree.heaviest()) + aged);
            let weight = (drawn(&mut random, most) - aged) as f32;
            if most.is_some() {
                tree.evict(&self.points, scratch);
            }
            tree.insert(&self.points, place, weight, &mut random, scratch);
            *due = self.sampling.due(number, tree, step);
        }
    }

    /// Finds when the trees take points: it follows from what they have and since when.
    fn find_due(&mut self) {
        let points = &self.points;
        let purged = points.added() - points.added() % stride(points);
        let purged = purged.saturating_sub(1);
        let due = |(number, tree): (usize, &Tree)| {
            let newest = tree.newest(points);
            let newest = newest.map_or(0, |age| points.added() - age as u64);
            self.sampling.due(number, tree, newest.max(purged))
        };
        self.due = self.trees.iter().enumerate().map(due).collect();
    }

    /// Takes out of the samples what is about to be written over.
    fn purge(&mut self, scratch: &mut Scratch) {
        let points = &self.points;
        let stride = stride(points);
        if !points.added().is_multiple_of(stride) {
            return;
        }
        let shingle = points.dimensions() / points.features();
        let oldest = points.window().saturating_sub(stride as usize + shingle);
        let before = points.added() - 1;
        let each = self.trees.iter_mut().zip(&mut self.due);
        for (number, (tree, due)) in each.enumerate() {
            tree.purge(points, |place| points.age(place) > oldest, scratch);
            tree.keep_boxes(points);
            *due = self.sampling.due(number, tree, before);
        }
    }
}

/// Entries from one purge to the next.
fn stride(points: &Points) -> u64 {
    (points.window() as u64 / PURGES).max(1)
}

/// The steps from which on a point is taken into a sample: they are drawn ahead, as most points are not (the jumps of
/// Efraimidis and Spirakis 2006, Information Processing Letters 97).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Due {
    /// Into one that has room.
    fill: u64,
    /// In the place of the heaviest.
    exchange: u64,
}

/// How samples are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sampling {
    seed: u64,
    sample: u16,
    decay: f64,
}

impl Sampling {
    /// When a tree takes a point next, after it was changed at a step.
    fn due(&self, number: usize, tree: &Tree, step: u64) -> Due {
        let mut random = Random::of(!self.seed, number, step);
        let mut wait = || -random.unit().max(1e-18).ln();
        // A new weight is below the heaviest with a hazard that grows by the decay: the one in the middle of the first
        // step and of those that follow makes up for their being steps.
        let hazard = (f64::from(tree.heaviest()) + self.decay * (step as f64 + 0.5)).exp();
        let exchange = match self.decay > 0.0 {
            true => (wait() * self.decay / hazard).ln_1p() / self.decay,
            false => wait() / hazard,
        };
        // One of all points that a sample has room for, and so on by chance.
        let sample = usize::from(self.sample);
        let fill = match tree.mass() < sample {
            true => {
                let chance = first_chance(tree.mass() as f64 / sample as f64);
                wait() / -(-chance).ln_1p()
            }
            false => f64::INFINITY,
        };
        // As floats they never pass the last step.
        let after = |wait: f64| step.saturating_add(wait.ceil().max(1.0) as u64);
        Due {
            fill: after(fill),
            exchange: after(exchange),
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

/// The weight of a new point in a sample, before it ages: those with the least are kept, and a later one has less (see
/// [`Due`]). Below `most`, if there is one.
fn drawn(random: &mut Random, most: Option<f64>) -> f64 {
    let least = most.map_or(0.0, |most| (-most.exp()).exp());
    // From 0 on: the logarithm of nothing is kept out.
    let unit = least + (1.0 - least) * random.unit();
    (-unit.max(1e-18).ln()).max(1e-18).ln()
}
