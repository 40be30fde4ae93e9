//! What a tree says of a point: its score, whose share that is, and what is near.

use super::{Node, SAME, Scratch, Tree};
use crate::forest::points::Points;
use crate::forest::span;

/// A leaf, and how far it is from what was asked for (sum of the known dimensions' differences).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub place: u16,
    pub distance: f32,
}

impl Tree {
    /// The anomaly score of a point, before it is scaled by the mass: the expected inverse of the depth at which it
    /// would be cut off.
    pub fn score(&self, points: &Points, query: &[f32], scratch: &mut Scratch) -> f64 {
        match query.len() {
            8 => self.score_of::<8>(points, query, scratch),
            16 => self.score_of::<16>(points, query, scratch),
            _ => self.score_of::<0>(points, query, scratch),
        }
    }

    fn score_of<const N: usize>(
        &self,
        points: &Points,
        query: &[f32],
        scratch: &mut Scratch,
    ) -> f64 {
        let query = span::known::<N>(query);
        let Some((leaf, mass)) = self.seek(query, &mut scratch.path) else {
            return 0.0;
        };
        let depth = scratch.path.len() as f32;
        let point = points.at(self.leaves[usize::from(leaf)]);
        if point == query {
            return self.seen(depth, mass);
        }
        let mut score = 1.0 / (depth + 1.0);
        self.climb::<N>(points, point, scratch, |level, _, low, high| {
            let (outside, width) = span::measure(low, high, query);
            if outside <= 0.0 {
                return false;
            }
            let cut_off = outside / (outside + width);
            score += cut_off * (1.0 / (level as f32 + 1.0) - score);
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
        shares: &mut Vec<[f64; 2]>,
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
            let (outside, width) = span::measure(low, high, query);
            if outside <= 0.0 {
                return false;
            }
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
            self.climb::<0>(points, point, scratch, |level, _, low, high| {
                take(low, high, 1.0 / (level as f64 + 1.0))
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
