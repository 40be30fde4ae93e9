//! The boxes of large nodes: they are the top of the tree, and are found again from the rest.

use super::{SAME, Tree};
use crate::forest::points::Points;
use crate::forest::span;

/// Leaves from which a node's box is kept, unless there are too many such nodes.
const LARGE: u16 = 24;

/// The boxes of large nodes, in preorder as well: they are the top of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Boxes {
    /// Leaves from which a node is large; 0: they have to be made anew.
    pub large: u16,
    /// Lows and highs of each.
    pub values: Vec<f32>,
    /// Large nodes under the left child of each.
    pub left: Vec<u16>,
}

/// Boxes that a tree keeps at most.
pub(super) fn most_boxes(sample: usize) -> usize {
    (sample / 10).max(8)
}

impl Tree {
    /// Makes the boxes of large nodes anew, if anything has changed.
    pub fn keep_boxes(&mut self, points: &Points, sample: usize) {
        if self.boxes.large > 0 {
            return;
        }
        self.boxes.large = LARGE;
        loop {
            self.boxes.values.clear();
            self.boxes.left.clear();
            let mass = self.mass() as u16;
            if self.keep_box(points, 0, 0, mass, most_boxes(sample)) {
                return;
            }
            self.boxes.large *= 2;
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
        if mass < self.boxes.large || self.nodes[node].dimension == SAME {
            return true;
        }
        let place = self.boxes.left.len();
        if place == most {
            return false;
        }
        let dimensions = points.dimensions();
        let Boxes { values, left, .. } = &mut self.boxes;
        left.push(0);
        let start = values.len();
        values.extend(std::iter::repeat_n(f32::INFINITY, dimensions));
        values.extend(std::iter::repeat_n(f32::NEG_INFINITY, dimensions));
        let on_left = self.nodes[node].left;
        let children = [
            (node + 1, first, on_left),
            (
                node + usize::from(on_left),
                first + usize::from(on_left),
                mass - on_left,
            ),
        ];
        for (side, (node, first, mass)) in children.into_iter().enumerate() {
            let child = self.boxes.values.len();
            if !self.keep_box(points, node, first, mass, most) {
                return false;
            }
            if side == 0 {
                self.boxes.left[place] = (self.boxes.left.len() - place - 1) as u16;
            }
            let (before, after) = self.boxes.values.split_at_mut(child);
            let (low, high) = before[start..][..2 * dimensions].split_at_mut(dimensions);
            if after.is_empty() {
                for &place in &self.leaves[first..][..usize::from(mass)] {
                    span::stretch(low, high, points.at(place));
                }
            } else {
                span::stretch(low, high, &after[..dimensions]);
                span::stretch(low, high, &after[dimensions..2 * dimensions]);
            }
        }
        true
    }
}
