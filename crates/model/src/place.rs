//! Places on the globe: where things come from.
//!
//! The places of the past are a few round clusters that follow the points one by one: each has a centre, a mean squared
//! distance, and a weight that fades. How far out a point is, is its distance to a cluster in widths of it, the
//! further the fewer points the cluster has; a `Tail` calibrates this, for whatever shape the clusters really have.

use serde::{Deserialize, Serialize};

use crate::series::Tail;

/// Clusters at most.
const CLUSTERS: usize = 8;
/// Mean radius of the earth, km (Moritz 2000, Geodetic Reference System 1980).
const EARTH: f64 = 6_371.0;
/// No cluster is taken for narrower, km.
const NARROWEST: f64 = 1.0;
/// Widths from a centre beyond which a point starts a cluster of its own.
const APART: f64 = 6.0;
/// Widths within which a lighter cluster is part of another.
const WITHIN: f64 = 4.0;
/// Width of a cluster of one point, km, and how many points this guess is worth.
const GUESS: f64 = 20.0;
const GUESS_WEIGHT: f64 = 2.0;
/// Points after which the past has faded to 1/e.
const MEMORY: f64 = 2_000.0;
/// Points that must have been seen before they are judged.
const WARM: u32 = 16;
const FLAGGED: f64 = 3e-4;

/// Degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub lat: f64,
    pub lon: f64,
}

impl Point {
    /// Km along a great circle, by the haversine formula (Sinnott 1984, Sky and Telescope 68, p. 159).
    pub fn distance(self, other: Self) -> f64 {
        let [a, b] = [self, other].map(|p| (p.lat.to_radians(), p.lon.to_radians()));
        let half = |x: f64| (x / 2.0).sin().powi(2);
        let h = half(a.0 - b.0) + a.0.cos() * b.0.cos() * half(a.1 - b.1);
        2.0 * EARTH * h.clamp(0.0, 1.0).sqrt().asin()
    }

    /// The point a share `part` of the way to another, the short way round.
    fn towards(self, other: Self, part: f64) -> Self {
        let lon = (other.lon - self.lon + 540.0).rem_euclid(360.0) - 180.0;
        Self {
            lat: self.lat + part * (other.lat - self.lat),
            lon: (self.lon + part * lon + 540.0).rem_euclid(360.0) - 180.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cluster {
    centre: Point,
    weight: f64,
    /// Mean squared distance of its points, km^2.
    square: f64,
}

impl Cluster {
    /// Width in each of two directions, km.
    fn width(&self) -> f64 {
        let n = self.weight;
        let square = (n * self.square + GUESS_WEIGHT * GUESS * GUESS) / (n + GUESS_WEIGHT);
        (square / 2.0).sqrt().max(NARROWEST)
    }
}

/// The judgement of a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Located {
    /// Of a point as far from what is known.
    pub probability: f64,
    /// The nearest known place.
    pub typical: Point,
    /// How far off it is, and how far 95 % of the points of that place are, km.
    pub distance: f64,
    pub usual: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    clusters: Vec<Cluster>,
    seen: u32,
    tail: Tail,
    flags: f32,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    pub fn new() -> Self {
        Self {
            clusters: Vec::with_capacity(CLUSTERS),
            seen: 0,
            tail: Tail::new(3.0, [-4.0, 3.0, 0.0], 1.0),
            flags: 0.0,
        }
    }

    /// Judges a point.
    pub fn judge(&self, point: Point) -> Located {
        let Some((nearest, statistic)) = self.nearest(point) else {
            return Located {
                probability: 1.0,
                typical: point,
                distance: 0.0,
                usual: 0.0,
            };
        };
        let mut probability = 1.0;
        if self.seen >= WARM {
            let n = f64::from(self.seen);
            // No sample of n can tell of odds much beyond its size.
            let floor = (0.1 / n).powi(2) / n.sqrt();
            probability = self.tail.probability(statistic).max(floor);
        }
        let cluster = &self.clusters[nearest];
        Located {
            probability,
            typical: cluster.centre,
            distance: cluster.centre.distance(point),
            // P(R > r) = 0.05 of a Rayleigh law.
            usual: 2.448 * cluster.width(),
        }
    }

    /// The cluster that a point belongs to most, and how far out it is there: the logarithm of its density against that
    /// at the centre of a cluster of everything, which has an exponential tail where clusters are Gaussian.
    fn nearest(&self, point: Point) -> Option<(usize, f64)> {
        let all: f64 = self.clusters.iter().map(|c| c.weight).sum();
        let out = |cluster: &Cluster| {
            let widths = cluster.centre.distance(point) / cluster.width();
            0.5 * widths * widths + (all / cluster.weight).ln().max(0.0)
        };
        let nearest = self.clusters.iter().map(out).enumerate();
        nearest.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Learns a point that was judged.
    pub fn learn(&mut self, point: Point, judged: &Located) {
        let nearest = self.nearest(point);
        if let Some((_, statistic)) = nearest
            && self.seen >= 4
        {
            let flagged = self.seen >= WARM && judged.probability < FLAGGED;
            let weight = self.weight(flagged);
            self.tail.learn(statistic, weight);
        }
        self.seen = self.seen.saturating_add(1);
        for cluster in &mut self.clusters {
            cluster.weight *= 1.0 - 1.0 / MEMORY;
        }
        match nearest {
            Some((at, _)) if self.belongs(at, point) => {
                let cluster = &mut self.clusters[at];
                cluster.weight += 1.0;
                let rate = 1.0 / cluster.weight;
                let distance = cluster.centre.distance(point);
                cluster.centre = cluster.centre.towards(point, rate);
                cluster.square += rate * ((1.0 - rate) * distance * distance - cluster.square);
                self.swallow(at);
            }
            _ => {
                if self.clusters.len() == CLUSTERS {
                    self.make_room();
                }
                self.clusters.push(Cluster {
                    centre: point,
                    weight: 1.0,
                    square: 0.0,
                });
            }
        }
    }

    fn belongs(&self, at: usize, point: Point) -> bool {
        let cluster = &self.clusters[at];
        cluster.centre.distance(point) < APART * cluster.width()
    }

    /// Merges a cluster with those that have come to lie within it: what once was on its rim.
    fn swallow(&mut self, at: usize) {
        let cluster = self.clusters[at];
        let inside = |other: &Cluster| {
            other.weight <= cluster.weight
                && cluster.centre.distance(other.centre) < WITHIN * cluster.width()
        };
        let found = (0..self.clusters.len()).find(|&i| i != at && inside(&self.clusters[i]));
        if let Some(other) = found {
            self.merge(at.min(other), at.max(other));
        }
    }

    /// Merges the two clusters whose union grows the least, by Ward's criterion (1963, JASA 58, p. 236).
    fn make_room(&mut self) {
        let mut best = (f64::INFINITY, 0, 1);
        for (i, a) in self.clusters.iter().enumerate() {
            for (j, b) in self.clusters.iter().enumerate().skip(i + 1) {
                let square = a.centre.distance(b.centre).powi(2);
                let growth = square * a.weight * b.weight / (a.weight + b.weight);
                if growth < best.0 {
                    best = (growth, i, j);
                }
            }
        }
        self.merge(best.1, best.2);
    }

    /// Makes clusters `i < j` one.
    fn merge(&mut self, i: usize, j: usize) {
        let b = self.clusters.remove(j);
        let a = &mut self.clusters[i];
        let weight = a.weight + b.weight;
        let apart = a.centre.distance(b.centre).powi(2) * a.weight * b.weight / weight;
        a.square = (a.weight * a.square + b.weight * b.square + apart) / weight;
        a.centre = a.centre.towards(b.centre, b.weight / weight);
        a.weight = weight;
    }

    /// How much a point counts in the tail: an anomaly hardly, unless anomalies are what there is.
    fn weight(&mut self, flagged: bool) -> f64 {
        self.flags *= 0.99;
        if !flagged {
            return 1.0;
        }
        self.flags += 1.0;
        (0.1 * f64::from(self.flags)).clamp(0.1, 1.0)
    }

    /// Bytes of one: it never takes more.
    pub fn newborn_bytes() -> usize {
        size_of::<Self>() + CLUSTERS * size_of::<Cluster>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    const BERLIN: Point = Point {
        lat: 52.5,
        lon: 13.4,
    };
    const MADRID: Point = Point {
        lat: 40.4,
        lon: -3.7,
    };
    const SYDNEY: Point = Point {
        lat: -33.9,
        lon: 151.2,
    };

    fn observe(place: &mut Place, point: Point) -> Located {
        let located = place.judge(point);
        place.learn(point, &located);
        located
    }

    fn near(noise: &mut Noise, centre: Point, km: f64) -> Point {
        let degrees = km / 111.2;
        Point {
            lat: centre.lat + degrees * noise.normal(),
            lon: centre.lon + degrees * noise.normal() / centre.lat.to_radians().cos(),
        }
    }

    fn two_towns(noise: &mut Noise) -> Point {
        if noise.uniform() < 0.7 {
            near(noise, BERLIN, 30.0)
        } else {
            near(noise, MADRID, 8.0)
        }
    }

    #[test]
    fn probabilities_are_honest_on_two_towns() {
        let (mut below, mut all) = ([0.0; 2], 0.0);
        for seed in 0..10 {
            let mut noise = Noise(seed);
            let mut place = Place::new();
            for i in 0..4_000 {
                let p = observe(&mut place, two_towns(&mut noise)).probability;
                if i >= 400 {
                    all += 1.0;
                    below[0] += f64::from(u8::from(p < 1e-2));
                    below[1] += f64::from(u8::from(p < 1e-3));
                }
            }
        }
        let [one, few] = below.map(|n| n / all);
        println!("two towns: {one:.5} {few:.6}");
        assert!((0.005..0.02).contains(&one), "{one}");
        assert!((0.000_5..0.002).contains(&few), "{few}");
    }

    #[test]
    fn a_new_continent_is_told_and_then_known() {
        let mut noise = Noise(3);
        let mut place = Place::new();
        for i in 0..200 {
            let p = observe(&mut place, two_towns(&mut noise)).probability;
            assert!(p > 5e-5, "{i}: {p}");
        }
        let found = observe(&mut place, SYDNEY);
        assert!(found.probability < 1e-6, "{found:?}");
        assert!(found.typical.distance(BERLIN) < 20.0 || found.typical.distance(MADRID) < 20.0);
        assert!(found.distance > 15_000.0 && found.usual < 200.0);
        let again = observe(&mut place, SYDNEY);
        assert!(again.probability > 1e-4, "{again:?}");
        for _ in 0..100 {
            observe(&mut place, two_towns(&mut noise));
            observe(&mut place, near(&mut noise, SYDNEY, 20.0));
        }
        assert!(place.judge(SYDNEY).probability > 0.05);
    }

    #[test]
    fn one_building_and_then_another_town() {
        let mut place = Place::new();
        for _ in 0..100 {
            observe(&mut place, BERLIN);
        }
        assert!(place.judge(BERLIN).probability > 0.05);
        assert!(place.judge(MADRID).probability < 1e-5);
    }

    #[test]
    fn points_from_anywhere_are_bounded_and_quiet() {
        let mut noise = Noise(6);
        let mut place = Place::new();
        let mut told = 0;
        for i in 0..5_000 {
            let point = Point {
                lat: (2.0 * noise.uniform() - 1.0).asin().to_degrees(),
                lon: 360.0 * noise.uniform() - 180.0,
            };
            let p = observe(&mut place, point).probability;
            assert!((0.0..=1.0).contains(&p));
            told += usize::from(i > 100 && p < 1e-4);
        }
        assert!(told <= 2, "{told}");
        assert!(place.clusters.len() <= CLUSTERS && Place::newborn_bytes() < 1_024);
    }

    #[test]
    fn distances_go_the_short_way_round() {
        assert!((BERLIN.distance(MADRID) - 1_870.0).abs() < 10.0);
        let [a, b] = [179.0, -179.0].map(|lon| Point { lat: 0.0, lon });
        assert!((a.distance(b) - 222.4).abs() < 1.0);
        assert!((a.towards(b, 0.5).lon.abs() - 180.0).abs() < 1e-9);
    }
}
