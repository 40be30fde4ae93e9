//! Series that go together: each is judged given the other as well.
//!
//! Two by values of a partition may move as one (load and latency, in and out). A value may then be usual by itself and
//! not beside the other's: its deviation is compared to what the other's deviation lets expect. With correlation `r` of
//! standardised deviations `x` and `y` that is `(x - r y) / sqrt(1 - r^2)` (the conditional of a bivariate normal law),
//! judged by its own history ([`Tail`]).
//!
//! Pairs are sought among the series by random projections of their past deviations (Johnson & Lindenstrauss 1984): the
//! correlation of two short sketches is nearly that of the long histories. Each series has one partner at most.

use serde::{Deserialize, Serialize};

use super::{Judged, Point};
use crate::series::Tail;

/// Numbers of a sketch.
const SKETCH: usize = 16;
/// Buckets that a sketch remembers, to 1/e.
const MEMORY: f32 = 300.0;
/// Buckets between two searches.
const PAUSE: u32 = 32;
/// Series that a series is compared to in one search.
const NEIGHBOURS: usize = 64;
/// Correlation of sketches from which a pair is tried, and that of a pair below which it is given up.
const PROMISING: f32 = 0.75;
const LOOSE: f64 = 0.5;
/// Buckets that a pair must have shared before it judges; to be given up it must have had as many.
const WARM: f64 = 64.0;
/// Deviations are cut at so many standard ones before they teach.
const TAME: f64 = 4.0;
/// Half the width of a 95 % interval, in standard deviations.
const HALF: f64 = 1.96;

type Sketch = [f32; SKETCH];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Correlated {
    /// Of each slot.
    sketches: Vec<Sketch>,
    /// Pair of each slot, if it has one.
    paired: Vec<Option<u32>>,
    pairs: Vec<Pair>,
    buckets: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair {
    slots: [u32; 2],
    seen: f64,
    /// Means of the squares and of the product.
    squares: [f64; 2],
    product: f64,
    /// Mean absolute conditional deviation.
    width: f64,
    tails: [Tail; 2],
}

impl Pair {
    fn new(slots: [u32; 2]) -> Self {
        Self {
            slots,
            seen: 0.0,
            squares: [0.0; 2],
            product: 0.0,
            width: 0.0,
            tails: [Tail::new(1.8, [-6.0, 0.0, 3.0], 1.0); 2],
        }
    }

    fn correlation(&self) -> f64 {
        let scale = (self.squares[0] * self.squares[1]).sqrt();
        if scale > 0.0 {
            (self.product / scale).clamp(-0.999, 0.999)
        } else {
            0.0
        }
    }

    /// The slope of the deviation of one on that of the other: what `of` should be given one unit of its partner.
    fn slope(&self, of: usize) -> f64 {
        let [a, b] = self.squares;
        self.correlation()
            * if of == 0 {
                a / b.max(1e-12)
            } else {
                b / a.max(1e-12)
            }
            .sqrt()
    }

    /// Deviation of the first from what the second says, in mean absolute ones.
    fn deviation(&self, deviations: [f64; 2]) -> f64 {
        let away = deviations[0] - self.slope(0) * deviations[1];
        away / self.width.max(1e-6)
    }

    fn learn(&mut self, deviations: [f64; 2]) {
        let [x, y] = deviations.map(|z| z.clamp(-TAME, TAME));
        if self.seen >= WARM / 2.0 {
            let away = (x - self.slope(0) * y).abs();
            let rate = 1.0 / (self.seen - WARM / 2.0 + 1.0).min(f64::from(MEMORY));
            let most = if self.seen > WARM {
                4.0 * self.width
            } else {
                f64::INFINITY
            };
            self.width += rate * (away.min(most) - self.width);
        }
        if self.seen >= WARM {
            let u = self.deviation(deviations);
            for (tail, side) in self.tails.iter_mut().zip([-1.0, 1.0]) {
                tail.learn((side * u).max(0.0), if u.abs() > 8.0 { 0.1 } else { 1.0 });
            }
        }
        self.seen += 1.0;
        let rate = 1.0 / self.seen.min(f64::from(MEMORY));
        self.squares[0] += rate * (x * x - self.squares[0]);
        self.squares[1] += rate * (y * y - self.squares[1]);
        self.product += rate * (x * y - self.product);
    }
}

impl Correlated {
    /// Bytes for each slot: its sketch, its place, and its half of a pair.
    pub const BYTES: u64 =
        (size_of::<Sketch>() + size_of::<Option<u32>>()) as u64 * 2 + size_of::<Pair>() as u64;

    /// Looks at the values of a bucket (all of them, in the order of slots) beside each other, and learns. A value that is
    /// odder beside its partner than by itself is told with its partner's by value.
    pub fn see(&mut self, values: &mut [Judged]) {
        let deviations: Vec<f64> = values.iter().map(deviation).collect();
        let place = |slot: u32| {
            values
                .binary_search_by_key(&slot, |judged| judged.slot)
                .ok()
        };
        let mut told = Vec::new();
        for pair in &mut self.pairs {
            let [Some(a), Some(b)] = pair.slots.map(place) else {
                continue;
            };
            let both = [deviations[a], deviations[b]];
            if pair.seen >= WARM && pair.correlation().abs() >= LOOSE {
                let u = pair.deviation(both);
                let tail = &pair.tails[usize::from(u > 0.0)];
                // Both sides, and beside what each says alone.
                let p = (4.0 * tail.probability(u.abs())).min(1.0);
                // The one further out is the odd one.
                let odd = usize::from(both[1].abs() > both[0].abs());
                let [slot, other] = if odd == 0 { [a, b] } else { [b, a] };
                told.push((slot, other, p, pair.slope(odd) * both[1 - odd]));
            }
            pair.learn(both);
        }
        for (slot, other, p, expected) in told {
            let partner = values[other].key.by;
            let judged = &mut values[slot];
            if p < judged.probability {
                let scale = scale(judged);
                judged.probability = p;
                judged.finding.probability = judged.finding.probability.min(p);
                judged.finding.single = judged.finding.single.min(p);
                judged.finding.typical += expected * scale;
                judged.typical = Point::One(judged.finding.typical);
                judged.correlated = Some(partner);
            }
        }
        self.project(values, &deviations);
        self.buckets = self.buckets.wrapping_add(1);
        if self.buckets.is_multiple_of(PAUSE) {
            self.search(values);
        }
    }

    fn project(&mut self, values: &[Judged], deviations: &[f64]) {
        let slots = values.last().map_or(0, |judged| judged.slot as usize + 1);
        if self.sketches.len() < slots {
            self.sketches.resize(slots, [0.0; SKETCH]);
            self.paired.resize(slots, None);
        }
        // A bucket's signs: the same for all, so that series which go together stay together.
        let mut signs = u64::from(self.buckets)
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        signs = (signs ^ (signs >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        signs ^= signs >> 29;
        let keep = (-1.0 / MEMORY).exp();
        for (judged, deviation) in values.iter().zip(deviations) {
            let step = deviation.clamp(-TAME, TAME) as f32;
            for (k, number) in self.sketches[judged.slot as usize].iter_mut().enumerate() {
                let sign = if signs >> (3 * k) & 1 == 0 { 1.0 } else { -1.0 };
                *number = keep * *number + sign * step;
            }
        }
    }

    /// Gives up loose pairs, and tries series without a partner that seem to go together.
    fn search(&mut self, values: &[Judged]) {
        let keep = |pair: &Pair| pair.seen < WARM || pair.correlation().abs() >= LOOSE;
        if !self.pairs.iter().all(keep) {
            self.pairs.retain(keep);
            self.repair();
        }
        if self.buckets < PAUSE * 2 {
            return;
        }
        // Those with the same greatest number may be alike: few are compared in vain.
        let mut free: Vec<(u32, usize, u32)> = values
            .iter()
            .filter(|judged| self.paired[judged.slot as usize].is_none())
            .map(|judged| {
                let sketch = &self.sketches[judged.slot as usize];
                let greatest =
                    (0..SKETCH).max_by(|&a, &b| sketch[a].abs().total_cmp(&sketch[b].abs()));
                (judged.key.partition, greatest.unwrap_or(0), judged.slot)
            })
            .collect();
        free.sort_unstable();
        for (i, &(partition, greatest, slot)) in free.iter().enumerate() {
            if self.paired[slot as usize].is_some() {
                continue;
            }
            let alike = free[i + 1..]
                .iter()
                .take_while(|other| (other.0, other.1) == (partition, greatest))
                .take(NEIGHBOURS)
                .filter(|other| self.paired[other.2 as usize].is_none())
                .map(|other| {
                    let of = |slot: u32| &self.sketches[slot as usize];
                    (cosine(of(slot), of(other.2)).abs(), other.2)
                });
            let best = alike.max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, other)) = best.filter(|best| best.0 >= PROMISING) {
                let number = self.pairs.len() as u32;
                self.pairs.push(Pair::new([slot, other]));
                self.paired[slot as usize] = Some(number);
                self.paired[other as usize] = Some(number);
            }
        }
    }

    fn repair(&mut self) {
        self.paired.fill(None);
        for (number, pair) in self.pairs.iter().enumerate() {
            for slot in pair.slots {
                self.paired[slot as usize] = Some(number as u32);
            }
        }
    }

    /// Follows slots to their new places.
    pub fn renumber(&mut self, places: &[Option<u32>]) {
        let place = |slot: u32| places.get(slot as usize).copied().flatten();
        let old = std::mem::take(&mut self.sketches);
        let kept = old
            .into_iter()
            .zip(places)
            .filter(|(_, place)| place.is_some());
        self.sketches = kept.map(|(sketch, _)| sketch).collect();
        self.paired = vec![None; self.sketches.len()];
        self.pairs.retain_mut(|pair| match pair.slots.map(place) {
            [Some(a), Some(b)] => {
                pair.slots = [a, b];
                true
            }
            _ => false,
        });
        self.repair();
    }
}

/// Half the 95 % interval of a value, as a standard deviation.
fn scale(judged: &Judged) -> f64 {
    let half = (judged.finding.upper - judged.finding.lower) / 2.0 / HALF;
    if half > 0.0 { half } else { 1.0 }
}

fn deviation(judged: &Judged) -> f64 {
    let actual = judged.actual.values()[0];
    ((actual - judged.finding.typical) / scale(judged)).clamp(-50.0, 50.0)
}

fn cosine(a: &Sketch, b: &Sketch) -> f32 {
    let dot = |x: &Sketch, y: &Sketch| x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
}
