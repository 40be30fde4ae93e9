//! The boxes of large nodes: they are the top of the tree, and are found again from the rest.

use super::{NO_BOX, SAME, Step, Tree};
use crate::forest::points::Points;
use crate::forest::span;

/// Leaves from which a node's box is kept, unless there are too many such nodes.
const LARGE: u16 = 16;
/// Steps by which there are more of them, or fewer.
const STEP: u16 = 4;

/// The boxes of large nodes, in preorder as well: they are the top of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Boxes {
    /// Leaves from which a node is large; 0: they have to be made anew.
    pub large: u16,
    /// What it was the last time.
    usual: u16,
    /// Lows and highs of each.
    pub values: Vec<f32>,
    /// Large nodes under the left child of each.
    pub left: Vec<u16>,
}

/// Boxes that a tree keeps at most.
pub(super) fn most_boxes(sample: usize) -> usize {
    (sample / 11).max(8)
}

impl Boxes {
    /// Lows and highs of a box.
    #[inline(always)]
    pub fn at(&self, place: u16, dimensions: usize) -> (&[f32], &[f32]) {
        let kept = &self.values[usize::from(place) * 2 * dimensions..];
        kept[..2 * dimensions].split_at(dimensions)
    }

    fn at_mut(&mut self, place: u16, dimensions: usize) -> (&mut [f32], &mut [f32]) {
        let kept = &mut self.values[usize::from(place) * 2 * dimensions..];
        kept[..2 * dimensions].split_at_mut(dimensions)
    }

    /// A node goes: with a box, all have to be made anew.
    pub fn lose(&mut self, step: &Step) {
        if step.place != NO_BOX {
            self.large = 0;
        }
    }
}

impl Tree {
    /// Widens the boxes on the way to a new point. `parted`: from so many leaves it is parted by a new node.
    pub(super) fn widen_boxes(&mut self, above: &[Step], parted: u16, point: &[f32]) {
        let large = self.boxes.large;
        let is_new = parted + 1 >= large;
        if is_new || above.iter().any(|step| step.mass + 1 == large) {
            // There is a large node more.
            self.boxes.large = 0;
            return;
        }
        for step in above.iter().take_while(|step| step.place != NO_BOX) {
            let (low, high) = self.boxes.at_mut(step.place, point.len());
            span::stretch(low, high, point);
        }
    }

    /// Makes the boxes on the way to a point that has gone smaller, if they were about it.
    pub(super) fn narrow_boxes(&mut self, path: &[Step], points: &Points, point: &[f32]) {
        let large = self.boxes.large;
        if path.iter().any(|step| step.mass == large) {
            self.boxes.large = 0;
        }
        if self.boxes.large == 0 {
            return;
        }
        for step in path.iter().rev().filter(|step| step.place != NO_BOX) {
            let (low, high) = self.boxes.at(step.place, point.len());
            let mut each = low.iter().zip(high).zip(point);
            if each.all(|((low, high), x)| low < x && x < high) {
                return;
            }
            self.make_box(
                points,
                step.node.into(),
                step.first.into(),
                step.mass - 1,
                step.place,
            );
        }
    }

    /// Makes the boxes of large nodes anew, if there are others.
    pub fn keep_boxes(&mut self, points: &Points, sample: usize) {
        if self.boxes.large > 0 {
            return;
        }
        self.boxes.large = self.boxes.usual.max(LARGE);
        let most = most_boxes(sample);
        loop {
            self.boxes.values.clear();
            self.boxes.left.clear();
            let mass = self.mass() as u16;
            if self.keep_box(points, 0, 0, mass, most) {
                break;
            }
            self.boxes.large += STEP;
        }
        self.boxes.usual = self.boxes.large;
        if 4 * self.boxes.left.len() < 3 * most {
            self.boxes.usual -= STEP;
        }
    }

    /// Keeps the boxes of a node and of those under it; `false` if there are too many.
    fn keep_box(
        &mut self,
        points: &Points,
        node: usize,
        first: usize,
        mass: u16,
        most: usize,
    ) -> bool {
        if !self.is_large(node, mass) {
            return true;
        }
        let place = self.boxes.left.len();
        if place == most {
            return false;
        }
        self.boxes.left.push(0);
        let length = (place + 1) * 2 * points.dimensions();
        self.boxes.values.resize(length, 0.0);
        let left = self.nodes[node].left;
        let after = usize::from(left);
        if !self.keep_box(points, node + 1, first, left, most) {
            return false;
        }
        self.boxes.left[place] = (self.boxes.left.len() - place - 1) as u16;
        if !self.keep_box(points, node + after, first + after, mass - left, most) {
            return false;
        }
        self.make_box(points, node, first, mass, place as u16);
        true
    }

    fn is_large(&self, node: usize, mass: u16) -> bool {
        mass >= self.boxes.large && self.nodes[node].dimension != SAME
    }

    /// Makes the box of a node from those of its children, or from their leaves.
    fn make_box(&mut self, points: &Points, node: usize, first: usize, mass: u16, place: u16) {
        let dimensions = points.dimensions();
        let left = self.nodes[node].left;
        let after = usize::from(left);
        let on_left = self.boxes.left[usize::from(place)];
        let start = usize::from(place) * 2 * dimensions;
        let children = [
            (node + 1, first, left, 1),
            (node + after, first + after, mass - left, 1 + on_left),
        ];
        for (side, (node, first, mass, next)) in children.into_iter().enumerate() {
            let is_large = self.is_large(node, mass);
            let (before, behind) = self.boxes.values.split_at_mut(start + 2 * dimensions);
            let (low, high) = before[start..].split_at_mut(dimensions);
            if side == 0 {
                low.fill(f32::INFINITY);
                high.fill(f32::NEG_INFINITY);
            }
            if is_large {
                let child = usize::from(next - 1) * 2 * dimensions;
                let (its_low, its_high) = behind[child..][..2 * dimensions].split_at(dimensions);
                span::stretch(low, high, its_low);
                span::stretch(low, high, its_high);
                continue;
            }
            let leaves = self.leaves[first..][..usize::from(mass)].iter();
            let leaves = leaves.map(|&place| points.at(place));
            match dimensions {
                8 => span::cover::<8>(low, high, leaves),
                16 => span::cover::<16>(low, high, leaves),
                _ => span::cover::<0>(low, high, leaves),
            }
        }
    }
}
