//! Numbers of what is in a part.

use std::hash::{DefaultHasher, Hash, Hasher};

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};

use super::Metric;

/// Different values that are told apart exactly.
const EXACT: usize = 40_000;
/// Bits of a hash that choose a register.
const REGISTER_BITS: u32 = 14;

/// A sum that keeps what rounding would lose.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    #[inline]
    fn add(&mut self, value: f64) {
        let corrected = value - self.lost;
        let sum = self.sum + corrected;
        self.lost = (sum - self.sum) - corrected;
        self.sum = sum;
    }

    /// What is infinite leaves nothing to correct.
    fn value(self) -> f64 {
        self.sum
    }
}

/// What is known of the numbers of a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    count: u64,
    sum: Sum,
    squares: Sum,
    min: f64,
    max: f64,
}

impl Default for Number {
    fn default() -> Self {
        Self {
            count: 0,
            sum: Sum::default(),
            squares: Sum::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Number {
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum.add(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    #[inline]
    pub fn add_square(&mut self, value: f64) {
        self.squares.add(value * value);
    }

    #[inline]
    pub fn add_count(&mut self, count: u64) {
        self.count += count;
    }

    /// As Elasticsearch tells it. `text` writes a number as the field's format does, where it has one.
    pub fn told(
        &self,
        metric: &Metric,
        text: &dyn Fn(f64) -> Option<String>,
    ) -> Map<String, Value> {
        let some = |number: f64| match self.count {
            0 => Value::Null,
            _ => number.into(),
        };
        let (sum, count) = (self.sum.value(), self.count as f64);
        let avg = sum / count.max(1.0);
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| {
            told.insert(name.to_owned(), value);
        };
        let value = match metric {
            Metric::ValueCount => {
                tell("value", self.count.into());
                return told;
            }
            Metric::Sum => {
                tell("value", sum.into());
                if let Some(text) = text(sum) {
                    tell("value_as_string", text.into());
                }
                return told;
            }
            Metric::Max => self.max,
            Metric::Min => self.min,
            Metric::Avg => avg,
            Metric::Stats | Metric::ExtendedStats(_) => {
                tell("count", self.count.into());
                tell("min", some(self.min));
                tell("max", some(self.max));
                tell("avg", some(avg));
                tell("sum", sum.into());
                let texts = [
                    ("min", self.min),
                    ("max", self.max),
                    ("avg", avg),
                    ("sum", sum),
                ];
                let texts = texts.map(|(name, value)| (format!("{name}_as_string"), text(value)));
                if let Metric::ExtendedStats(sigma) = metric {
                    self.extended(*sigma, &mut told);
                }
                for (name, text) in texts {
                    if let (Some(text), true) = (text, self.count > 0) {
                        told.insert(name, text.into());
                    }
                }
                return told;
            }
            _ => return told,
        };
        tell("value", some(value));
        if let (Some(text), true) = (text(value), self.count > 0) {
            tell("value_as_string", text.into());
        }
        told
    }

    fn extended(&self, sigma: f64, told: &mut Map<String, Value>) {
        let (count, sum, squares) = (self.count as f64, self.sum.value(), self.squares.value());
        let spread = (squares - sum * sum / count).max(0.0);
        let number = |value: f64| match value.is_finite() {
            true => Value::from(value),
            false => Value::Null,
        };
        let (population, sampling) = (spread / count, spread / (count - 1.0));
        let deviation = |variance: f64| number(variance.sqrt());
        let avg = sum / count;
        let bound = |variance: f64, side: f64| number(avg + side * sigma * variance.sqrt());
        let squares = if self.count > 0 {
            number(squares)
        } else {
            Value::Null
        };
        let all = [
            ("sum_of_squares", squares),
            ("variance", number(population)),
            ("variance_population", number(population)),
            ("variance_sampling", number(sampling)),
            ("std_deviation", deviation(population)),
            ("std_deviation_population", deviation(population)),
            ("std_deviation_sampling", deviation(sampling)),
            (
                "std_deviation_bounds",
                json!({
                    "upper": bound(population, 1.0), "lower": bound(population, -1.0),
                    "upper_population": bound(population, 1.0), "lower_population": bound(population, -1.0),
                    "upper_sampling": bound(sampling, 1.0), "lower_sampling": bound(sampling, -1.0)
                }),
            ),
        ];
        told.extend(all.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// How many different values there are: exactly, while they are few.
#[derive(Debug, Clone)]
pub(super) enum Distinct {
    Few(FxHashSet<u64>),
    /// The longest run of zeros that each register has seen.
    Many(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Few(FxHashSet::default())
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Distinct {
    pub fn add(&mut self, hash: u64) {
        match self {
            Self::Few(seen) => {
                seen.insert(hash);
                if seen.len() > EXACT {
                    let mut many = Self::Many(vec![0; 1 << REGISTER_BITS].into());
                    seen.iter().for_each(|hash| many.add(*hash));
                    *self = many;
                }
            }
            Self::Many(registers) => {
                let at = (hash >> (64 - REGISTER_BITS)) as usize;
                let rest = hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1);
                let run = rest.leading_zeros() as u8 + 1;
                registers[at] = registers[at].max(run);
            }
        }
    }

    pub fn count(&self) -> u64 {
        match self {
            Self::Few(seen) => seen.len() as u64,
            Self::Many(registers) => {
                let count = registers.len() as f64;
                let alpha = 0.7213 / (1.0 + 1.079 / count);
                let sum: f64 = registers
                    .iter()
                    .map(|run| 0.5_f64.powi(i32::from(*run)))
                    .sum();
                let estimate = alpha * count * count / sum;
                let empty = registers.iter().filter(|run| **run == 0).count();
                match empty {
                    1.. if estimate <= 2.5 * count => (count * (count / empty as f64).ln()) as u64,
                    _ => estimate as u64,
                }
            }
        }
    }
}

/// The number below which so many percent are, between two of them where it falls there. The numbers ascend.
pub(super) fn percentile(numbers: &[f64], percent: f64) -> Option<f64> {
    let last = numbers.len().checked_sub(1)?;
    let place = percent / 100.0 * last as f64;
    let (low, part) = (place.floor(), place.fract());
    let low = low as usize;
    let (a, b) = (numbers[low], numbers[(low + 1).min(last)]);
    Some(match part > 0.0 {
        true => a + (b - a) * part,
        false => a,
    })
}

/// The middle distance from the middle.
pub(super) fn median_deviation(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = percentile(numbers, 50.0)?;
    let mut distances: Vec<f64> = numbers
        .iter()
        .map(|number| (number - middle).abs())
        .collect();
    distances.sort_by(f64::total_cmp);
    percentile(&distances, 50.0)
}

/// Places of a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    count: u64,
    lat: Sum,
    lon: Sum,
    /// The least and greatest latitude and longitude.
    bounds: [f64; 4],
}

impl Default for Places {
    fn default() -> Self {
        Self {
            count: 0,
            lat: Sum::default(),
            lon: Sum::default(),
            bounds: [
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ],
        }
    }
}

impl Places {
    pub fn add(&mut self, lat: f64, lon: f64) {
        self.count += 1;
        self.lat.add(lat);
        self.lon.add(lon);
        let [south, north, west, east] = self.bounds;
        self.bounds = [south.min(lat), north.max(lat), west.min(lon), east.max(lon)];
    }

    pub fn told(&self, metric: &Metric) -> Map<String, Value> {
        let [south, north, west, east] = self.bounds;
        let count = self.count as f64;
        let told = match (metric, self.count) {
            (Metric::GeoCentroid, 0) => json!({"count": 0}),
            (Metric::GeoCentroid, _) => {
                let (lat, lon) = (self.lat.value() / count, self.lon.value() / count);
                json!({"location": {"lat": lat, "lon": lon}, "count": self.count})
            }
            (_, 0) => json!({}),
            _ => json!({"bounds": {
                "top_left": {"lat": north, "lon": west}, "bottom_right": {"lat": south, "lon": east}
            }}),
        };
        match told {
            Value::Object(told) => told,
            _ => Map::new(),
        }
    }
}
