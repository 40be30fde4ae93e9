//! The recent values of a series, a ring: to choose the link, to find periods, and to start what is taken up late.

use serde::{Deserialize, Serialize};

use super::season::allocated;

/// Values kept at most.
pub const RECENT: usize = 336;
/// Values that a new series keeps.
const FEW: usize = 16;

/// Values are kept by their distance from an origin, as the upper half of a single-precision number: eight bits of
/// precision are enough for what is asked of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    origin: f64,
    values: Box<[u16]>,
    /// Values and gaps taken since the ring is as large as it is.
    taken: u32,
    /// Values taken.
    known: u32,
}

impl Default for Recent {
    fn default() -> Self {
        Self::of(FEW)
    }
}

impl Recent {
    /// A ring of so many values.
    pub fn of(most: usize) -> Self {
        Self {
            origin: 0.0,
            values: vec![0; most].into_boxed_slice(),
            taken: 0,
            known: 0,
        }
    }

    /// Bytes of a ring of so many values with its allocations, this struct's own included.
    pub const fn bytes_of(most: usize) -> usize {
        allocated(size_of::<Self>()) + allocated(most * size_of::<u16>())
    }

    /// Takes a value after `missed` buckets without one.
    pub fn push(&mut self, missed: i64, value: f64) {
        let room = self.values.len();
        if self.known == 0 {
            self.origin = value;
        }
        self.known = self.known.saturating_add(1);
        let missed = missed.clamp(0, room as i64) as usize;
        for value in std::iter::repeat_n(f64::NAN, missed).chain([value]) {
            self.values[self.taken as usize % room] = half(value - self.origin);
            self.taken = self.taken.wrapping_add(1);
            if (self.taken as usize).is_multiple_of(room) {
                self.centre();
            }
        }
    }

    /// Moves the origin to a value that is amid the others: what is near to it is known best.
    fn centre(&mut self) {
        let mut few = [f64::NAN; 9];
        let step = self.values.len().div_ceil(few.len()).max(1);
        for (place, &value) in few.iter_mut().zip(self.values.iter().step_by(step)) {
            *place = self.origin + whole(value);
        }
        // No number comes last.
        few.sort_unstable_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        let known = few.iter().filter(|value| !value.is_nan()).count();
        if known == 0 {
            return;
        }
        let origin = few[known / 2];
        for value in &mut self.values {
            *value = half(self.origin + whole(*value) - origin);
        }
        self.origin = origin;
    }

    pub fn len(&self) -> usize {
        self.values.len().min(self.taken as usize)
    }

    /// Room for values.
    pub fn room(&self) -> usize {
        self.values.len()
    }

    /// Values taken since there is a ring.
    pub fn known(&self) -> u32 {
        self.known
    }

    /// Whether at least half of the buckets had a value.
    pub fn is_dense(&self) -> bool {
        2 * self.known >= self.taken
    }

    /// Oldest first, NaN where a bucket had none.
    pub fn in_order(&self) -> impl Iterator<Item = f64> + Clone {
        let (room, len) = (self.values.len(), self.len());
        let first = self.taken as usize - len;
        (first..first + len).map(move |i| self.origin + whole(self.values[i % room]))
    }

    /// Makes room for more values.
    pub fn grow(&mut self, most: usize) {
        let kept: Vec<f64> = self.in_order().collect();
        let mut values = vec![0; most].into_boxed_slice();
        for (place, value) in values.iter_mut().zip(&kept) {
            *place = half(value - self.origin);
        }
        (self.values, self.taken) = (values, kept.len() as u32);
    }

    /// Bytes of its allocations, this struct's own included.
    pub fn bytes(&self) -> usize {
        Self::bytes_of(self.values.len())
    }
}

/// The upper half of a single-precision number, rounded to the nearest.
fn half(value: f64) -> u16 {
    if value.is_nan() {
        return (f32::NAN.to_bits() >> 16) as u16;
    }
    ((value as f32).to_bits().saturating_add(0x8000) >> 16) as u16
}

fn whole(half: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(half) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_in_order() {
        let mut recent = Recent::default();
        recent.push(0, 7.0);
        recent.push(2, -2.0);
        let values: Vec<f64> = recent.in_order().collect();
        assert!(values[0] == 7.0 && values[1].is_nan() && values[3] == -2.0);
        for i in 0..10u8 {
            recent.push(0, f64::from(i));
        }
        recent.grow(RECENT);
        for i in 10..250u8 {
            recent.push(0, f64::from(i));
        }
        for i in 0..200u8 {
            recent.push(0, f64::from(i));
        }
        let values: Vec<f64> = recent.in_order().collect();
        assert_eq!((values.len(), recent.room()), (RECENT, RECENT));
        assert_eq!(values[RECENT - 1], 199.0);
        assert_eq!(values[RECENT - 201], 249.0);
        assert_eq!(values[0], 450.0 - RECENT as f64);
    }

    #[test]
    fn small_changes_of_a_high_level_are_kept() {
        let mut recent = Recent::of(48);
        // The first is far off.
        recent.push(0, -1e12);
        for i in 0..200 {
            recent.push(0, 1e9 + f64::from(i % 7));
        }
        for (i, value) in recent.in_order().enumerate() {
            assert_eq!(value, 1e9 + ((200 - 48 + i) % 7) as f64, "{i}");
        }
    }
}
