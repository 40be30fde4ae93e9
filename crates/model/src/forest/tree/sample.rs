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
        let cut = draw(point, point, query, random);
        // The highest node at which a cut parts the point from all others.
        let mut found = (depth, under, leaf, mass, cut);
        let Scratch {
            path, low, high, ..
        } = scratch;
        let mut level = path.len();
        let up = path.iter().rev().copied();
        self.climb::<N>(points, point, up, (low, high), |step, low, high| {
            level -= 1;
            let Some((outside, width)) = span::measure(low, high, query) else {
                return false;
            };
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
