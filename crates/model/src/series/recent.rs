//! The recent values of a series, a ring: to choose the link and to find periods.

use serde::{Deserialize, Serialize};

/// Values kept.
pub const RECENT: usize = 336;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    values: Vec<f32>,
    head: usize,
}

impl Recent {
    /// Takes a value after `missed` buckets without one (NaN).
    pub fn push(&mut self, missed: i64, value: f32) {
        let missed = missed.clamp(0, RECENT as i64) as usize;
        for value in std::iter::repeat_n(f32::NAN, missed).chain([value]) {
            if self.values.len() < RECENT {
                // Short series are many: grow by quarters, and never past the whole.
                if self.values.len() == self.values.capacity() {
                    let more = (RECENT / 4).min(RECENT - self.values.len());
                    self.values.reserve_exact(more);
                }
                self.values.push(value);
            } else {
                self.values[self.head] = value;
                self.head = (self.head + 1) % RECENT;
            }
        }
    }

    /// Oldest first.
    pub fn in_order(&self) -> Vec<f32> {
        let (newer, older) = self.values.split_at(self.head);
        [older, newer].concat()
    }

    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}

/// What `bytes` comes to.
pub const fn full_bytes() -> usize {
    RECENT * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_in_order() {
        let mut recent = Recent::default();
        recent.push(0, -1.0);
        recent.push(2, -2.0);
        assert!(recent.in_order()[1].is_nan() && recent.in_order()[3] == -2.0);
        for i in 0..1_000u16 {
            recent.push(0, f32::from(i));
        }
        let values = recent.in_order();
        assert_eq!((values.len(), recent.bytes()), (RECENT, full_bytes()));
        assert!(values.windows(2).all(|pair| pair[1] == pair[0] + 1.0));
        assert_eq!(values.last(), Some(&999.0));
    }
}
