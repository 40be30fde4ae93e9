//! The median of a stream in bounded memory.
//!
//! Values are kept as they are up to [`MOST`]; then neighbours are merged into their mean as long as none comes to stand
//! for more than a small share of all: a digest of equal shares (Dunning & Ertl 2019, Computing Extremely Accurate
//! Quantiles Using t-Digests, with the uniform scale). The median's rank is then known to about that share.

use serde::{Deserialize, Serialize};

/// Values kept.
const MOST: usize = 512;
/// The most that one value comes to stand for by merging: neighbours then come to less than half of [`MOST`] values.
const MOST_SHARE: f64 = 1.0 / 128.0;
/// Room for values that is kept from bucket to bucket.
const KEPT: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// Values with their weights.
    values: Vec<(f64, f64)>,
}

impl Sketch {
    /// Forgets the values; little memory is kept, for there may be many sketches.
    pub fn clear(&mut self) {
        self.values.clear();
        self.values.shrink_to(KEPT);
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Adds a value that stands for `weight` > 0.
    pub fn add(&mut self, value: f64, weight: f64) {
        if self.values.len() == MOST {
            self.compact();
        }
        self.values.push((value, weight));
    }

    fn compact(&mut self) {
        self.values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let most = self.values.iter().map(|v| v.1).sum::<f64>() * MOST_SHARE;
        let mut kept = 0;
        for i in 1..self.values.len() {
            let (value, weight) = self.values[i];
            let (mean, sum) = self.values[kept];
            if sum + weight <= most {
                let joint = sum + weight;
                self.values[kept] = (mean + (value - mean) * (weight / joint), joint);
            } else {
                kept += 1;
                self.values[kept] = (value, weight);
            }
        }
        self.values.truncate(kept + 1);
        // A few values may hold nearly all of the weight: the least are then merged whatever they are.
        if self.values.len() == MOST {
            let (mean, sum) = self.values[0];
            let (value, weight) = self.values.remove(1);
            self.values[0] = (
                mean + (value - mean) * (weight / (sum + weight)),
                sum + weight,
            );
        }
    }

    /// The median; the mean of both middles where there are two. Sorts what is kept.
    pub fn median(&mut self) -> Option<f64> {
        self.values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = self.values.iter().map(|v| v.1).sum::<f64>() / 2.0;
        let mut below = 0.0;
        for (i, &(value, weight)) in self.values.iter().enumerate() {
            below += weight;
            if below > half {
                return Some(value);
            }
            if below == half {
                let next = self.values.get(i + 1).map_or(value, |next| next.0);
                return Some(value + (next - value) / 2.0);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_their_exact_median() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.median(), None);
        for value in [5.0, 1.0, 9.0] {
            sketch.add(value, 1.0);
        }
        assert_eq!(sketch.median(), Some(5.0));
        sketch.add(7.0, 1.0);
        assert_eq!(sketch.median(), Some(6.0));
        sketch.add(0.0, 10.0);
        assert_eq!(sketch.median(), Some(0.0));
    }

    #[test]
    fn many_values_in_any_order_have_nearly_theirs() {
        let n = 300_000u64;
        let orders: [fn(u64) -> u64; 3] = [|i| i, |i| 300_000 - i, |i| (i * 7_919) % 300_007];
        for order in orders {
            let mut sketch = Sketch::default();
            (0..n).for_each(|i| sketch.add(order(i) as f64, 1.0));
            let share = sketch.median().expect("values") / n as f64;
            assert!(
                sketch.len() <= MOST && (share - 0.5).abs() < 0.01,
                "{share}"
            );
        }
    }
}
