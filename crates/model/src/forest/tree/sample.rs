//! Points come into the sample and leave it.

use super::{Node, SAME, Scratch, Step, Tree};
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
        let found = self.seek(query, &mut scratch.path);
        let (at, leaf, node) = match found {
            None => (0, 0, None),
            Some(leaf) if query.len() == 8 => self.place::<8>(points, query, leaf, random, scratch),
            Some(leaf) => self.place::<0>(points, query, leaf, random, scratch),
        };
        let (above, below) = scratch.path.split_at(at);
        self.widen_boxes(above, query);
        for step in above {
            self.nodes[usize::from(step.node)].left += u16::from(step.goes_left);
        }
        // A node that was just too small for a box, or the new one.
        let large = self.boxes.large;
        let grown = above.iter().find(|step| step.mass + 1 == large);
        let mut grown = grown.map(|step| (step.node, step.first, large));
        if let Some((index, node)) = node {
            self.boxes.shift_up(index);
            self.nodes.insert(index, node);
            let under = below.first().map(|step| (step.first, step.mass)).or(found);
            let under = under.filter(|(_, mass)| large > 0 && mass + 1 >= large);
            if let Some((first, mass)) = under.filter(|_| node.dimension != SAME) {
                grown = Some((index as u16, first, mass + 1));
            }
        }
        self.leaves.insert(leaf, place);
        self.weights.insert(leaf, weight);
        self.heaviest = self.heaviest.max(weight);
        if let Some((node, first, mass)) = grown {
            self.add_box(points, node, first, mass);
        }
        self.keep_boxes(points);
    }

    /// Where a point comes to be: how many steps down, its leaf, and the node that parts it from what is there.
    fn place<const N: usize>(
        &self,
        points: &Points,
        query: &[f32],
        (leaf, mass): (u16, u16),
        random: &mut Random,
        scratch: &mut Scratch,
    ) -> (usize, usize, Option<(usize, Node)>) {
        let query = span::known::<N>(query);
        let depth = scratch.path.len();
        let under = self.under(scratch.path.last());
        let point = points.at(self.leaves[usize::from(leaf)]);
        if point == query {
            let same = Node {
                cut: 0.0,
                dimension: SAME,
                left: 1,
            };
            return (depth, usize::from(leaf), Some((under, same)));
        }
        let Scratch {
            path,
            low,
            high,
            parted,
            ..
        } = scratch;
        let mut keep = |low: &[f32], high: &[f32]| {
            parted.clear();
            parted.extend_from_slice(low);
            parted.extend_from_slice(high);
        };
        // The highest node at which a cut parts the point from all others, and where in the way between them it is.
        let apart = span::measure(point, point, query).map_or(0.0, |(apart, _)| f64::from(apart));
        let mut found = (depth, under, leaf, mass, random.unit() * apart);
        keep(point, point);
        let mut level = path.len();
        let up = path.iter().rev().copied();
        self.climb::<N>(points, point, up, (low, high), |step, low, high| {
            level -= 1;
            let Some((outside, width)) = span::measure(low, high, query) else {
                return false;
            };
            let at = random.unit() * f64::from(outside + width);
            if at < f64::from(outside) {
                found = (level, step.node.into(), step.first, step.mass, at);
                keep(low, high);
            }
            true
        });
        let (level, index, first, mass, at) = found;
        let (low, high) = parted.split_at(query.len());
        let cut = cut(low, high, query, at);
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

    /// The first node of what is under the last step.
    fn under(&self, last: Option<&Step>) -> usize {
        last.map_or(0, |step| {
            let node = usize::from(step.node);
            match step.goes_left {
                true => node + 1,
                false => node + usize::from(self.nodes[node].left),
            }
        })
    }

    /// Removes the heaviest point.
    pub fn evict(&mut self, points: &Points, scratch: &mut Scratch) {
        if let Some(leaf) = span::find(&self.weights, self.heaviest) {
            self.remove(points, leaf, scratch);
        }
    }

    /// Removes the points of which `goes` holds.
    pub fn purge(&mut self, points: &Points, goes: impl Fn(u16) -> bool, scratch: &mut Scratch) {
        for leaf in (0..self.leaves.len()).rev() {
            if goes(self.leaves[leaf]) {
                self.remove(points, leaf, scratch);
            }
        }
    }

    fn remove(&mut self, points: &Points, leaf: usize, scratch: &mut Scratch) {
        let path = &mut scratch.path;
        let last = self.descend(path, |_, parted| leaf < usize::from(parted));
        // With a leaf goes the node that parted it from others, or one of those that are the same.
        let goes = match last {
            Some((_, mass)) if mass > 1 => self.under(path.last()),
            _ => path.pop().map_or(0, |step| {
                if self.boxes.has(step.mass) {
                    self.boxes.remove(step.node);
                }
                usize::from(step.node)
            }),
        };
        let large = self.boxes.large;
        if let Some(step) = path.iter().find(|step| large > 0 && step.mass == large) {
            self.boxes.remove(step.node);
        }
        for step in &*path {
            self.nodes[usize::from(step.node)].left -= u16::from(step.goes_left);
        }
        if !self.nodes.is_empty() {
            self.boxes.shift_down(goes);
            self.nodes.remove(goes);
        }
        let place = self.leaves.remove(leaf);
        self.narrow_boxes(path, points, points.at(place));
        let weight = self.weights.remove(leaf);
        if weight >= self.heaviest {
            self.heaviest = span::greatest_of(&self.weights);
        }
    }
}

/// A cut between a box and a point outside of it, `at` on the way between them, dimension by dimension: the dimension,
/// and the value up to which points are on the left.
fn cut(low: &[f32], high: &[f32], query: &[f32], mut at: f64) -> Option<(usize, f32)> {
    let mut last = None;
    for (dimension, ((&low, &high), &x)) in low.iter().zip(high).zip(query).enumerate() {
        let beyond = f64::from(span::beyond(low, high, x));
        if beyond <= 0.0 {
            continue;
        }
        // Between the near edges: from the lower one on, but never on the upper.
        let (lower, upper) = if x < low { (x, low) } else { (high, x) };
        let cut = lower + at.min(beyond) as f32;
        last = Some((dimension, if cut < upper { cut } else { lower }));
        if at < beyond {
            break;
        }
        at -= beyond;
    }
    last
}
