//! The boxes of large nodes: they are the top of the tree, and are found again from the rest.

use super::{SAME, Step, Tree};
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
    /// Boxes that are kept at most.
    pub most: usize,
    /// Lows and highs of each.
    pub values: Vec<f32>,
    /// The node of each.
    pub nodes: Vec<u16>,
}

/// Boxes that a tree keeps at most.
pub(super) fn most_boxes(sample: usize) -> usize {
    (sample / 13).max(8)
}

impl Boxes {
    /// Lows and highs of a large node.
    #[inline(always)]
    pub fn of(&self, node: u16, dimensions: usize) -> (&[f32], &[f32]) {
        let start = self.place(node) * 2 * dimensions;
        let (low, high) = (start..start + dimensions, start + dimensions);
        (&self.values[low], &self.values[high..high + dimensions])
    }

    fn of_mut(&mut self, node: u16, dimensions: usize) -> (&mut [f32], &mut [f32]) {
        let start = self.place(node) * 2 * dimensions;
        self.values[start..start + 2 * dimensions].split_at_mut(dimensions)
    }

    /// Where the box of a large node stands: after those of all nodes before it.
    #[inline(always)]
    fn place(&self, node: u16) -> usize {
        let before = self.nodes.iter().map(|&kept| u16::from(kept < node));
        before.sum::<u16>().into()
    }

    /// Whether a node of so many leaves has a box.
    #[inline(always)]
    pub fn has(&self, mass: u16) -> bool {
        self.large > 0 && mass >= self.large
    }

    /// A node comes to stand at a place.
    pub fn shift_up(&mut self, from: usize) {
        for node in &mut self.nodes {
            *node += u16::from(usize::from(*node) >= from);
        }
    }

    /// The node at a place goes.
    pub fn shift_down(&mut self, from: usize) {
        for node in &mut self.nodes {
            *node -= u16::from(usize::from(*node) > from);
        }
    }

    /// A node isn't large any more.
    pub fn remove(&mut self, node: u16) {
        let (place, length) = (self.place(node), self.values.len() / self.nodes.len());
        self.nodes.remove(place);
        self.values.drain(place * length..(place + 1) * length);
        if 2 * self.nodes.len() < self.most && self.large > LARGE {
            // There is room for those of smaller ones.
            self.large = 0;
        }
    }
}

impl Tree {
    /// Widens the boxes on the way to a new point.
    pub(super) fn widen_boxes(&mut self, above: &[Step], point: &[f32]) {
        for step in above {
            if !self.boxes.has(step.mass) {
                break;
            }
            let (low, high) = self.boxes.of_mut(step.node, point.len());
            span::stretch(low, high, point);
        }
    }

    /// Makes the boxes on the way to a point that has gone smaller, if they were about it.
    pub(super) fn narrow_boxes(&mut self, path: &[Step], points: &Points, point: &[f32]) {
        let large = self.boxes.large;
        if large == 0 {
            return;
        }
        for step in path.iter().rev().filter(|step| step.mass > large) {
            let (low, high) = self.boxes.of(step.node, point.len());
            if span::is_within(low, high, point) {
                return;
            }
            self.make_box(points, step.node, step.first.into(), step.mass - 1);
        }
    }

    /// Keeps the box of a node that has become large; if there are too many, all are made anew.
    pub(super) fn add_box(&mut self, points: &Points, node: u16, first: u16, mass: u16) {
        let boxes = &mut self.boxes;
        if boxes.nodes.len() == boxes.most {
            boxes.large = 0;
            return;
        }
        let (place, length) = (boxes.place(node), 2 * points.dimensions());
        boxes.nodes.insert(place, node);
        let end = boxes.values.len();
        boxes.values.resize(end + length, 0.0);
        let start = place * length;
        boxes.values.copy_within(start..end, start + length);
        self.make_box(points, node, first.into(), mass);
    }

    /// Makes the boxes of large nodes anew, if there are others.
    pub fn keep_boxes(&mut self, points: &Points) {
        if self.boxes.large > 0 {
            return;
        }
        self.boxes.large = self.boxes.usual.saturating_sub(STEP).max(LARGE);
        loop {
            self.boxes.values.clear();
            self.boxes.nodes.clear();
            if self.keep_box(points, 0, 0, self.mass() as u16) {
                break;
            }
            self.boxes.large += STEP;
        }
        self.boxes.usual = self.boxes.large;
    }

    /// Keeps the boxes of a node and of those under it; `false` if there are too many.
    fn keep_box(&mut self, points: &Points, node: u16, first: usize, mass: u16) -> bool {
        if !self.is_large(node, mass) {
            return true;
        }
        if self.boxes.nodes.len() == self.boxes.most {
            return false;
        }
        self.boxes.nodes.push(node);
        let length = self.boxes.nodes.len() * 2 * points.dimensions();
        self.boxes.values.resize(length, 0.0);
        let left = self.nodes[usize::from(node)].left;
        let beside = first + usize::from(left);
        if !self.keep_box(points, node + 1, first, left)
            || !self.keep_box(points, node + left, beside, mass - left)
        {
            return false;
        }
        self.make_box(points, node, first, mass);
        true
    }

    fn is_large(&self, node: u16, mass: u16) -> bool {
        mass >= self.boxes.large && self.nodes[usize::from(node)].dimension != SAME
    }

    /// Makes the box of a node from those of its children, or from their leaves.
    fn make_box(&mut self, points: &Points, node: u16, first: usize, mass: u16) {
        let dimensions = points.dimensions();
        let left = self.nodes[usize::from(node)].left;
        let start = self.boxes.place(node) * 2 * dimensions;
        let children = [
            (node + 1, first, left),
            (node + left, first + usize::from(left), mass - left),
        ];
        for (side, (node, first, mass)) in children.into_iter().enumerate() {
            let child = self.is_large(node, mass).then(|| self.boxes.place(node));
            let end = start + 2 * dimensions;
            let (before, behind) = self.boxes.values.split_at_mut(end);
            let (low, high) = before[start..].split_at_mut(dimensions);
            if side == 0 {
                low.fill(f32::INFINITY);
                high.fill(f32::NEG_INFINITY);
            }
            if let Some(child) = child {
                let child = child * 2 * dimensions - end;
                let (its_low, its_high) = behind[child..][..2 * dimensions].split_at(dimensions);
                span::stretch(low, high, its_low);
                span::stretch(low, high, its_high);
                continue;
            }
            let leaves = &self.leaves[first..][..usize::from(mass)];
            match dimensions {
                8 => points.cover::<8>(low, high, leaves),
                16 => points.cover::<16>(low, high, leaves),
                _ => points.cover::<0>(low, high, leaves),
            }
        }
    }
}
