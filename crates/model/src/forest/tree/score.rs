//! What a tree says of a point: its score, whose share that is, and what is near.

use super::{Node, SAME, Scratch, Step, Tree};
use crate::forest::points::Points;
use crate::forest::span;

/// A leaf, and how far it is from what was asked for (sum of the known dimensions' differences).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub place: u16,
    pub distance: f32,
}

/// Trees that are gone down together: each waits for its memory, so they wait at the same time.
pub const ABREAST: usize = 5;

/// A node on the way down: twice its mass, and one more where it goes right.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    node: u32,
    mass: u32,
}

/// Where one is on the way down.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    node: u32,
    mass: u32,
    /// Turns, and those of them to the left: as many nodes are no leaf's place.
    depth: u32,
    lefts: u32,
}

impl Walk {
    /// Goes on, if this is no leaf. No processor foresees which way, so there is no branch about it.
    #[inline(always)]
    fn turn(&mut self, tree: &Tree, query: &[f32]) -> Option<Turn> {
        if self.mass < 2 {
            return None;
        }
        let at = tree.nodes.get(self.node as usize)?;
        // None where all are the same point.
        let x = query.get(usize::from(at.dimension))?;
        // 1 above the cut, and 0 up to it: the sign of a difference.
        let right = (at.cut - x).to_bits() >> 31;
        let turn = Turn {
            node: self.node,
            mass: 2 * self.mass + right,
        };
        let (left, goes) = (u32::from(at.left), right.wrapping_neg());
        self.node += 1 + ((left - 1) & goes);
        self.mass = left ^ ((left ^ (self.mass - left)) & goes);
        self.depth += 1;
        self.lefts += 1 - right;
        Some(turn)
    }
}

impl Tree {
    /// The anomaly score of a point, before it is scaled by the mass: the expected inverse of the depth at which it
    /// would be cut off.
    pub fn score(&self, points: &Points, query: &[f32], scratch: &mut Scratch) -> f64 {
        let Scratch {
            path, low, high, ..
        } = scratch;
        let Some(leaf) = self.seek(query, path) else {
            return 0.0;
        };
        let way = (path.len() as u32, path.iter().rev().copied());
        self.score_on::<0>(points, query, leaf, way, (low, high))
    }

    /// The same of some trees.
    pub fn scores(
        trees: &[Self; ABREAST],
        points: &Points,
        query: &[f32],
        scratch: &mut Scratch,
    ) -> [f64; ABREAST] {
        match query.len() {
            8 => Self::scores_of::<8>(trees, points, query, scratch),
            16 => Self::scores_of::<16>(trees, points, query, scratch),
            _ => Self::scores_of::<0>(trees, points, query, scratch),
        }
    }

    fn scores_of<const N: usize>(
        trees: &[Self; ABREAST],
        points: &Points,
        query: &[f32],
        scratch: &mut Scratch,
    ) -> [f64; ABREAST] {
        let query = span::known::<N>(query);
        let Scratch {
            turns, low, high, ..
        } = scratch;
        let mut walks = trees.each_ref().map(|tree| Walk {
            mass: tree.mass() as u32,
            ..Walk::default()
        });
        let (mut level, mut is_open) = (0, true);
        while is_open {
            is_open = false;
            if level == turns.len() {
                turns.push([Turn::default(); ABREAST]);
            }
            let turns = &mut turns[level];
            level += 1;
            for lane in 0..ABREAST {
                if let Some(turn) = walks[lane].turn(&trees[lane], query) {
                    turns[lane] = turn;
                    is_open = true;
                }
            }
        }
        let mut scores = [0.0; ABREAST];
        for (lane, tree) in trees.iter().enumerate() {
            let Walk {
                node,
                mass,
                mut lefts,
                depth,
            } = walks[lane];
            if mass == 0 {
                continue;
            }
            let first = (node - lefts) as u16;
            let up = turns[..depth as usize].iter().rev().map(|turns| {
                let Turn { node, mass } = turns[lane];
                let goes_left = mass & 1 == 0;
                lefts -= u32::from(goes_left);
                Step {
                    node: node as u16,
                    first: (node - lefts) as u16,
                    mass: (mass >> 1) as u16,
                    goes_left,
                }
            });
            let leaf = (first, mass as u16);
            scores[lane] = tree.score_on::<N>(points, query, leaf, (depth, up), (low, high));
        }
        scores
    }

    /// The score of a point, on the way up from a leaf.
    #[inline(always)]
    fn score_on<const N: usize>(
        &self,
        points: &Points,
        query: &[f32],
        (leaf, mass): (u16, u16),
        (depth, up): (u32, impl Iterator<Item = Step>),
        room: (&mut Vec<f32>, &mut Vec<f32>),
    ) -> f64 {
        let mut depth = depth as f32;
        let point = points.at(self.leaves[usize::from(leaf)]);
        if point == query {
            return self.seen(depth, mass);
        }
        let mut score = 1.0 / (depth + 1.0);
        self.climb::<N>(points, point, up, room, |_, low, high| {
            let Some((outside, width)) = span::measure(low, high, query) else {
                return false;
            };
            let cut_off = outside / (outside + width);
            score = score * (1.0 - cut_off) + cut_off * (1.0 / depth);
            depth -= 1.0;
            true
        });
        f64::from(score)
    }

    /// The score of a point that is in the sample.
    pub(super) fn seen(&self, depth: f32, mass: u16) -> f64 {
        let damp = 1.0 - f64::from(mass) / (2.0 * self.mass() as f64);
        damp / (f64::from(depth) + (1.0 + f64::from(mass)).log2())
    }

    /// Adds the shares that dimensions have in a point's score: `above` where the point is over the box, and `below`.
    pub fn attribute(
        &self,
        points: &Points,
        query: &[f32],
        scratch: &mut Scratch,
        shares: &mut [[f64; 2]],
        scaled: f64,
    ) {
        let Some((leaf, mass)) = self.seek(query, &mut scratch.path) else {
            return;
        };
        let depth = scratch.path.len() as f32;
        let point = points.at(self.leaves[usize::from(leaf)]);
        let seen = point == query;
        let at_leaf = match seen {
            true => self.seen(depth, mass),
            false => f64::from(1.0 / (depth + 1.0)),
        };
        let mut own = vec![[0.0; 2]; query.len()];
        let mut take = |low: &[f32], high: &[f32], score: f64| {
            let Some((outside, width)) = span::measure(low, high, query) else {
                return false;
            };
            let (outside, width) = (f64::from(outside), f64::from(width));
            let cut_off = outside / (outside + width);
            for (own, ((&low, &high), &x)) in own.iter_mut().zip(low.iter().zip(high).zip(query)) {
                let by = |amount: f32| score * f64::from(amount.max(0.0)) / (outside + width);
                own[0] = own[0] * (1.0 - cut_off) + by(x - high);
                own[1] = own[1] * (1.0 - cut_off) + by(low - x);
            }
            true
        };
        if seen {
            // No dimension sets it apart.
            own.iter_mut()
                .for_each(|own| *own = [at_leaf / (2 * query.len()) as f64; 2]);
        } else {
            take(point, point, at_leaf);
            let Scratch {
                path, low, high, ..
            } = scratch;
            let mut depth = path.len() as f64;
            let up = path.iter().rev().copied();
            self.climb::<0>(points, point, up, (low, high), |_, low, high| {
                let goes = take(low, high, 1.0 / depth);
                depth -= 1.0;
                goes
            });
        }
        for (share, own) in shares.iter_mut().zip(own) {
            share[0] += own[0] * scaled;
            share[1] += own[1] * scaled;
        }
    }

    /// The leaf that is nearest to a point, as the cuts have it: where a cut is in a dimension that is not known, both
    /// sides are looked at.
    pub fn nearest(
        &self,
        points: &Points,
        query: &[f32],
        known: &[bool],
        scratch: &mut Scratch,
    ) -> Option<Near> {
        let open = &mut scratch.open;
        open.clear();
        if self.mass() > 0 {
            open.push((0, 0, self.mass() as u16));
        }
        let mut best: Option<Near> = None;
        while let Some((node, first, mass)) = open.pop() {
            if mass > 1 && self.nodes[usize::from(node)].dimension != SAME {
                let Node {
                    cut,
                    dimension,
                    left,
                } = self.nodes[usize::from(node)];
                let dimension = usize::from(dimension);
                let unknown = !known[dimension];
                if unknown || query[dimension] > cut {
                    open.push((node + left, first + left, mass - left));
                }
                if unknown || query[dimension] <= cut {
                    open.push((node + 1, first, left));
                }
                continue;
            }
            let place = self.leaves[usize::from(first)];
            let each = points.at(place).iter().zip(query).zip(known);
            let apart = each.map(|((a, b), &known)| if known { (a - b).abs() } else { 0.0 });
            let distance = apart.sum();
            if best.is_none_or(|best| distance < best.distance) {
                best = Some(Near { place, distance });
            }
        }
        best
    }
}
