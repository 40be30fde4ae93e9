//! One random cut tree over a sample of the points (Guha, Mishra, Roy and Schrijvers 2016, ICML).
//!
//! Nodes stand in preorder and leaves from left to right, so that what is under a node is a piece of each list: a node
//! of `mass` leaves has `mass - 1` nodes, itself the first, and needs no links. Adding and removing moves what is
//! behind; that is less than following links would cost. The boxes of large nodes are kept, those of small ones are
//! found again from their leaves.

mod boxes;
mod sample;
mod score;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::points::Points;

use boxes::{Boxes, most_boxes};

use score::Turn;
pub use score::{ABREAST, Near};

/// Stands for the dimension of a node whose leaves are all the same point.
const SAME: u16 = u16::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Node {
    /// Points up to it in its dimension are on the left.
    cut: f32,
    dimension: u16,
    /// Leaves on the left.
    left: u16,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Places of the leaves' points.
    leaves: Vec<u16>,
    /// What the sample is drawn by: the greatest goes first.
    weights: Vec<f32>,
    /// The greatest of them.
    heaviest: f32,
    #[serde(skip)]
    boxes: Boxes,
}

/// A node on the way down to a leaf.
#[derive(Debug, Clone, Copy)]
struct Step {
    node: u16,
    /// The first leaf.
    first: u16,
    mass: u16,
    goes_left: bool,
}

/// Memory that is used again.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    path: Vec<Step>,
    /// Of some trees, level by level.
    turns: Vec<[Turn; ABREAST]>,
    low: Vec<f32>,
    high: Vec<f32>,
    /// The lows and highs of one more.
    parted: Vec<f32>,
    /// Nodes still to be seen: node, first leaf, mass.
    open: Vec<(u16, u16, u16)>,
}

impl Tree {
    /// An empty tree with room for a sample.
    pub fn new(sample: usize, dimensions: usize) -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            leaves: Vec::new(),
            weights: Vec::new(),
            heaviest: f32::NEG_INFINITY,
            boxes: Boxes::default(),
        };
        tree.reserve(sample, dimensions);
        tree
    }

    /// Makes room for a sample, once.
    pub fn reserve(&mut self, sample: usize, dimensions: usize) {
        let reserve = |length: usize| sample - length.min(sample);
        self.nodes.reserve_exact(reserve(self.nodes.len()));
        self.leaves.reserve_exact(reserve(self.leaves.len()));
        self.weights.reserve_exact(reserve(self.weights.len()));
        self.boxes.most = most_boxes(sample);
        self.boxes.values = Vec::with_capacity(self.boxes.most * 2 * dimensions);
        self.boxes.nodes = Vec::with_capacity(self.boxes.most);
    }

    /// Bytes of a tree with its room.
    pub fn bytes(sample: usize, dimensions: usize) -> usize {
        let leaf = size_of::<Node>() + size_of::<u16>() + size_of::<f32>();
        let kept = 2 * dimensions * size_of::<f32>() + size_of::<u16>();
        size_of::<Self>() + sample * leaf + most_boxes(sample) * kept
    }

    /// Points in the sample.
    pub fn mass(&self) -> usize {
        self.leaves.len()
    }

    pub fn heaviest(&self) -> f32 {
        self.heaviest
    }

    /// Follows the cuts down to a leaf: its first place in the list, and how often it is there.
    fn seek(&self, query: &[f32], path: &mut Vec<Step>) -> Option<(u16, u16)> {
        self.descend(path, |node, _| {
            query[usize::from(node.dimension)] <= node.cut
        })
    }

    /// Goes down to a leaf, left where `is_left` of a node and of the place that parts its leaves.
    #[inline(always)]
    fn descend(
        &self,
        path: &mut Vec<Step>,
        is_left: impl Fn(&Node, u16) -> bool,
    ) -> Option<(u16, u16)> {
        path.clear();
        let (mut node, mut first, mut mass) = (0_u16, 0_u16, self.mass() as u16);
        while mass > 1 {
            let at = &self.nodes[usize::from(node)];
            if at.dimension == SAME {
                break;
            }
            let goes_left = is_left(at, first + at.left);
            path.push(Step {
                node,
                first,
                mass,
                goes_left,
            });
            if goes_left {
                (node, mass) = (node + 1, at.left);
            } else {
                (node, first, mass) = (node + at.left, first + at.left, mass - at.left);
            }
        }
        (mass > 0).then_some((first, mass))
    }

    /// The leaves on the other side of a node. Which that is, no processor foresees: there is no branch about it.
    #[inline(always)]
    fn beside(&self, step: &Step) -> &[u16] {
        let left = usize::from(self.nodes[usize::from(step.node)].left);
        let (first, mass) = (usize::from(step.first), usize::from(step.mass));
        let to_left = usize::from(step.goes_left).wrapping_neg();
        let length = left ^ ((left ^ (mass - left)) & to_left);
        &self.leaves[first + (left & to_left)..][..length]
    }

    /// Goes back up a path from a leaf, as long as `visit` wants to: the node, and the box of all that is under it.
    #[inline(always)]
    fn climb<const N: usize>(
        &self,
        points: &Points,
        leaf: &[f32],
        path: impl Iterator<Item = Step>,
        (low, high): (&mut Vec<f32>, &mut Vec<f32>),
        mut visit: impl FnMut(&Step, &[f32], &[f32]) -> bool,
    ) {
        // Where the length is known, the box is kept out of memory.
        let (mut own_low, mut own_high) = ([0.0; N], [0.0; N]);
        let (low, high) = if N > 0 {
            (&mut own_low[..], &mut own_high[..])
        } else {
            low.resize(leaf.len(), 0.0);
            high.resize(leaf.len(), 0.0);
            (&mut low[..], &mut high[..])
        };
        low.copy_from_slice(leaf);
        high.copy_from_slice(leaf);
        for step in path {
            if self.boxes.has(step.mass) {
                let (its_low, its_high) = self.boxes.of(step.node, low.len());
                low.copy_from_slice(its_low);
                high.copy_from_slice(its_high);
            } else {
                points.cover::<N>(low, high, self.beside(&step));
            }
            // Called at one place, so that it is compiled into the loop.
            if !visit(&step, low, high) {
                return;
            }
        }
    }
}

/// The boxes are found again from the rest.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes && self.leaves == other.leaves && self.weights == other.weights
    }
}
