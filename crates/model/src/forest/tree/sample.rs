//! Points come into the sample and leave it.

use super::{Node, SAME, Scratch, Tree};
use crate::forest::points::Points;
use crate::forest::random::Random;
use crate::forest::span;

impl Tree {
    /// Adds the point at a place.
    pub fn insert(
        &mut self,
        points: &Points,
        place: u16,
        weight: f32,
        random: &mut Random,
        scratch: &mut Scratch,
    ) {
        let query = points.at(place);
        let (at, leaf, node) = match self.descend(query, &mut scratch.path) {
            None => (0, 0, None),
            Some((leaf, mass)) => self.place(points, query, leaf, mass, random, scratch),
        };
        for step in &scratch.path[..at] {
            self.nodes[usize::from(step.node)].left += u16::from(step.goes_left);
        }
        if let Some((index, node)) = node {
            self.nodes.insert(index, node);
        }
        self.leaves.insert(leaf, place);
        self.weights.insert(leaf, weight);
        self.heaviest = self.heaviest.max(weight);
        self.boxes.large = 0;
    }

    /// Where a point comes to be: how many steps down, its leaf, and the node that parts it from what is there.
    fn place(
        &self,
        points: &Points,
        query: &[f32],
        leaf: u16,
        mass: u16,
        random: &mut Random,
        scratch: &mut Scratch,
    ) -> (usize, usize, Option<(usize, Node)>) {
        let depth = scratch.path.len();
        // Nodes of what is under the last step.
        let under = match scratch.path.last() {
            None => 0,
            Some(step) if step.goes_left => usize::from(step.node) + 1,
            Some(step) => {
                let node = usize::from(step.node);
                node + usize::from(self.nodes[node].left)
            }
        };
        let point = points.at(self.leaves[usize::from(leaf)]);
        if point == query {
            let same = Node {
                cut: 0.0,
                dimension: SAME,
                left: 1,
            };
            return (depth, usize::from(leaf), Some((under, same)));
        }
        let cut = draw(point, point, query, random);
        // The highest node at which a cut parts the point from all others.
        let mut found = (depth, under, leaf, mass, cut);
        self.climb(points, point, scratch, |level, step, low, high| {
            let (outside, width) = span::measure(low, high, query);
            if outside <= 0.0 {
                return false;
            }
            if random.unit() * f64::from(outside + width) < f64::from(outside) {
                let cut = draw(low, high, query, random);
                found = (level, step.node.into(), step.first, step.mass, cut);
            }
            true
        });
        let (level, index, first, mass, cut) = found;
        let Some((dimension, cut)) = cut else {
            // They differ by less than numbers can tell.
            let same = Node {
                cut: 0.0,
                dimension: SAME,
                left: 1,
            };
            return (depth, usize::from(leaf), Some((under, same)));
        };
        let is_left = query[dimension] <= cut;
        let node = Node {
            cut,
            dimension: dimension as u16,
            left: if is_left { 1 } else { mass },
        };
        let leaf = usize::from(first) + if is_left { 0 } else { usize::from(mass) };
        (level, leaf, Some((index, node)))
    }

    /// Removes the heaviest point.
    pub fn evict(&mut self) {
        let heaviest = self.heaviest;
        let weights = self.weights.iter();
        if let Some(leaf) = weights.into_iter().position(|&weight| weight == heaviest) {
            self.remove(leaf);
        }
    }

    /// Removes the points of which `goes` holds.
    pub fn purge(&mut self, goes: impl Fn(u16) -> bool) {
        for leaf in (0..self.leaves.len()).rev() {
            if goes(self.leaves[leaf]) {
                self.remove(leaf);
            }
        }
    }

    fn remove(&mut self, leaf: usize) {
        let (mut node, mut first, mut mass) = (0, 0, self.mass());
        let mut parent = None;
        while mass > 1 {
            let Node {
                dimension, left, ..
            } = self.nodes[node];
            parent = Some(node);
            if dimension == SAME {
                break;
            }
            let left = usize::from(left);
            if leaf < first + left {
                self.nodes[node].left -= 1;
                (node, mass) = (node + 1, left);
            } else {
                (node, first, mass) = (node + left, first + left, mass - left);
            }
        }
        if let Some(parent) = parent {
            self.nodes.remove(parent);
        }
        self.leaves.remove(leaf);
        let weight = self.weights.remove(leaf);
        if weight >= self.heaviest {
            let weights = self.weights.iter().copied();
            self.heaviest = weights.fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        }
        self.boxes.large = 0;
    }
}

/// A cut between a box and a point outside of it, uniform over what is between them: the dimension, and the value up
/// to which points are on the left.
fn draw(low: &[f32], high: &[f32], query: &[f32], random: &mut Random) -> Option<(usize, f32)> {
    let each = |(dimension, ((&low, &high), &x)): (usize, ((&f32, &f32), &f32))| {
        let beyond = span::beyond(low, high, x);
        (beyond > 0.0).then_some((dimension, low, x, beyond))
    };
    let sides = || low.iter().zip(high).zip(query).enumerate().filter_map(each);
    let all: f64 = sides().map(|(.., beyond)| f64::from(beyond)).sum();
    let mut at = random.unit() * all;
    let mut last = None;
    for (dimension, low, x, beyond) in sides() {
        // Between the near edges: from the lower one on, but never on the upper.
        let (lower, upper) = if x < low {
            (x, low)
        } else {
            (high[dimension], x)
        };
        let cut = lower + at.min(f64::from(beyond)) as f32;
        let cut = if cut < upper { cut } else { lower };
        last = Some((dimension, cut));
        if at < f64::from(beyond) {
            break;
        }
        at -= f64::from(beyond);
    }
    last
}
