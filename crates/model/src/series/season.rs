//! Repeating shapes: tables of deviations from the level, by the time within a period.

use serde::{Deserialize, Serialize};

pub const DAY: i64 = 86_400;
pub const WEEK: i64 = 604_800;

/// Visits of a slot, in what is kept of them.
pub const COUNT: u8 = 63;
const LOW: u8 = 64;
const HIGH: u8 = 128;
/// Steps to which the first value of a table comes, which leaves room for larger ones.
const FIRST: f64 = 4_096.0;
/// Steps that a value has at most.
const MOST: f64 = 32_000.0;

/// A value in steps, low byte first; then the visits, saturating at [`COUNT`], and whether the last was a surprise, and
/// on which side.
type Slot = [u8; 3];

/// A table over one period; a slot is at least a bucket wide. Values are kept as whole steps, of which one more is
/// learnt by a chance that follows from the time, so that even what moves less than a step at a time gets there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    period: u32,
    width: u32,
    /// Of a step: a power of two, or 0 while all is zero.
    scale: f32,
    /// Of one kind of period after the other.
    slots: Box<[Slot]>,
}

/// One visit of a slot.
pub struct Visit {
    pub time: i64,
    /// Of learning, once the slot is known.
    pub rate: f64,
    /// An error beyond is cut to it.
    pub tame: f64,
    /// Whether the bucket is the first of its slot.
    pub first: bool,
}

impl Table {
    /// A table of at most `most` slots for each of some kinds of periods, for buckets of `span` seconds; `None` when the
    /// period holds less than four buckets and so has no shape to learn.
    pub fn new(period: i64, kinds: usize, span: i64, most: i64) -> Option<Self> {
        let (width, slots) = layout(period, span, most)?;
        Some(Self {
            period: u32::try_from(period).ok()?,
            width,
            scale: 0.0,
            slots: vec![[0; 3]; kinds * slots].into_boxed_slice(),
        })
    }

    /// Heap bytes of such a table.
    pub fn bytes_of(period: i64, kinds: usize, span: i64, most: i64) -> usize {
        layout(period, span, most)
            .map_or(0, |(_, slots)| allocated(kinds * slots * size_of::<Slot>()))
    }

    /// Slots of one kind of period.
    fn round(&self) -> usize {
        self.period.div_ceil(self.width) as usize
    }

    pub fn slot(&self, time: i64) -> usize {
        (time.rem_euclid(i64::from(self.period)) / i64::from(self.width)) as usize
    }

    /// The slot in the table of one of two kinds.
    pub fn slot_of(&self, time: i64, second: bool) -> usize {
        self.slot(time) + if second { self.round() } else { 0 }
    }

    /// Whether a bucket of `span` seconds at `time` is the first of its slot.
    pub fn is_first(&self, time: i64, span: i64) -> bool {
        time.rem_euclid(i64::from(self.period)) % i64::from(self.width) < span
    }

    /// Buckets of `span` seconds to a slot.
    pub fn buckets(&self, span: i64) -> f64 {
        (f64::from(self.width) / span as f64).max(1.0)
    }

    fn steps(&self, slot: usize) -> i16 {
        let [low, high, _] = self.slots[slot];
        i16::from_le_bytes([low, high])
    }

    pub fn at(&self, slot: usize) -> f64 {
        f64::from(self.steps(slot)) * f64::from(self.scale)
    }

    /// Values that a slot has taken, saturating.
    pub fn visits(&self, slot: usize) -> u8 {
        self.slots[slot][2] & COUNT
    }

    /// The mean of a slot and its two neighbours on each side, the nearer the heavier: less noise, less edge.
    pub fn smooth(&self, slot: usize) -> f64 {
        let n = self.round();
        if n < 12 {
            return self.at(slot);
        }
        let (place, kind) = (slot % n, slot - slot % n);
        let of = |shift: usize| i32::from(self.steps(kind + (place + n + shift - 2) % n));
        let sum = of(0) + 2 * of(1) + 3 * of(2) + 2 * of(3) + of(4);
        f64::from(sum) * f64::from(self.scale) / 9.0
    }

    /// Moves a slot by an error: fully the first time, then much as the mean of what it saw (the
    /// first a little less, since the level was not known then), at last at the visit's rate. An error
    /// beyond `tame` is cut to it, unless the slot is new or it comes again: what repeats in a slot belongs there. Only
    /// the `first` bucket of a slot can come again: the others are the same occasion.
    pub fn learn(&mut self, slot: usize, error: f64, visit: &Visit) {
        if slot == 0 && visit.first {
            self.refine();
        }
        let tame = visit.tame;
        let state = &mut self.slots[slot][2];
        let count = (*state & COUNT).saturating_add(1).min(COUNT);
        let side = match error {
            e if e > tame => HIGH,
            e if e < -tame => LOW,
            _ => 0,
        };
        let before = *state & (HIGH | LOW);
        let again = visit.first && side != 0 && before == side;
        *state = count | if visit.first { side } else { before };
        let mut rate = f64::max(1.25 / (f64::from(count) + 0.25), visit.rate);
        if again {
            rate = rate.max(0.5);
        }
        let step = if again || count <= 3 {
            error
        } else {
            error.clamp(-tame, tame)
        };
        self.put(slot, self.at(slot) + step * rate, chance(visit.time));
    }

    fn put(&mut self, slot: usize, value: f64, chance: f64) {
        let size = value.abs();
        if self.scale == 0.0 {
            if size == 0.0 {
                return;
            }
            self.scale = power(size / FIRST);
        }
        if size > MOST * f64::from(self.scale) {
            // As many halvings as leave it half of the room.
            let scale = power(2.0 * size / MOST);
            self.rescale(f64::from(self.scale) / f64::from(scale));
            self.scale = scale;
        }
        let steps = (value / f64::from(self.scale) + chance).floor();
        self.set(slot, steps as i16);
    }

    fn set(&mut self, slot: usize, steps: i16) {
        let [low, high] = steps.to_le_bytes();
        let [.., visits] = self.slots[slot];
        self.slots[slot] = [low, high, visits];
    }

    fn rescale(&mut self, by: f64) {
        for slot in 0..self.slots.len() {
            let steps = (f64::from(self.steps(slot)) * by).round();
            self.set(slot, steps as i16);
        }
    }

    /// Halves the step when no value needs the room: one that was far out may be gone.
    fn refine(&mut self) {
        let most = (0..self.slots.len()).map(|slot| self.steps(slot).unsigned_abs());
        let most = most.max().unwrap_or(0);
        if (1..FIRST as u16 / 2).contains(&most) && self.scale > 2.0 * f32::MIN_POSITIVE {
            self.rescale(2.0);
            self.scale /= 2.0;
        }
    }

    /// The root of the mean square of all values.
    pub fn size(&self) -> f64 {
        let squares = (0..self.slots.len()).map(|slot| self.at(slot).powi(2));
        (squares.sum::<f64>() / self.slots.len().max(1) as f64).sqrt()
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        allocated(size_of_val(&*self.slots))
    }

    pub fn period(&self) -> i64 {
        i64::from(self.period)
    }

    /// Puts what another way of keeping tables held at `time` into its slot.
    pub fn carry(&mut self, slot: usize, value: f64, visits: u8) {
        self.slots[slot][2] = visits;
        self.put(slot, value, 0.5);
    }
}

/// Width and number of slots.
fn layout(period: i64, span: i64, most: i64) -> Option<(u32, usize)> {
    if period < 4 * span {
        return None;
    }
    let width = span.max((period + most - 1) / most);
    let slots = (period + width - 1) / width;
    Some((u32::try_from(width).ok()?, slots as usize))
}

/// What an allocation of so many bytes takes with what the allocator keeps beside it.
pub const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else {
        (bytes + 8).next_multiple_of(16)
    }
}

/// The power of two at or below a size.
fn power(size: f64) -> f32 {
    let exponent = (size as f32).to_bits() & 0x7f80_0000;
    f32::from_bits(exponent).max(f32::MIN_POSITIVE)
}

/// A number from 0 to 1, another for each time: a multiplicative hash (Knuth, TAOCP 3, 6.4).
fn chance(time: i64) -> f64 {
    let mixed = (time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1u64 << 24) as f64
}

/// Whether a time falls on a Saturday or Sunday, UTC (the epoch was a Thursday).
pub fn is_weekend(time: i64) -> bool {
    matches!(time.div_euclid(DAY).rem_euclid(7), 2 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIT: Visit = Visit {
        time: 0,
        rate: 0.12,
        tame: f64::INFINITY,
        first: true,
    };

    #[test]
    fn slots_cover_the_period_and_wrap() {
        let table = Table::new(DAY, 1, 900, 288).expect("a day has 96 quarters");
        assert_eq!(table.slot(0), 0);
        assert_eq!(table.slot(DAY - 1), 95);
        assert_eq!(table.slot(-1), 95);
        assert!(Table::new(DAY, 1, DAY, 288).is_none());
        let odd = Table::new(DAY, 2, 7 * 60, 288).expect("fits");
        let mut slots = (0..3 * DAY).step_by(61).map(|t| odd.slot_of(t, true));
        assert!(slots.all(|slot| slot >= odd.round() && slot < odd.slots.len()));
        assert_eq!(odd.bytes(), Table::bytes_of(DAY, 2, 7 * 60, 288));
    }

    #[test]
    fn steps_smaller_than_one_get_there() {
        let mut table = Table::new(DAY, 1, 3_600, 24).expect("fits");
        table.learn(0, 1e6, &VISIT);
        // What one step is worth to the slot beside it.
        let step = f64::from(table.scale);
        for i in 0..4_000 {
            let error = 5.25 * step - table.at(1);
            let time = i * DAY;
            table.learn(
                1,
                error,
                &Visit {
                    time,
                    rate: 0.01,
                    ..VISIT
                },
            );
        }
        assert!(
            (table.at(1) / step - 5.25).abs() <= 1.0,
            "{}",
            table.at(1) / step
        );
    }

    #[test]
    fn the_largest_value_sets_the_step_and_its_going_gives_it_back() {
        let mut table = Table::new(DAY, 1, 3_600, 24).expect("fits");
        for slot in 1..24 {
            table.learn(slot, slot as f64, &VISIT);
        }
        table.learn(0, 1e9, &VISIT);
        assert!((table.at(0) / 1e9 - 1.0).abs() < 1e-3 && table.at(3) == 0.0);
        for i in 0..400 {
            for slot in 0..24 {
                let error = slot as f64 - table.at(slot);
                let time = i * DAY + slot as i64 * 3_600;
                table.learn(slot, error, &Visit { time, ..VISIT });
            }
        }
        for slot in 0..24 {
            assert!(
                (table.at(slot) - slot as f64).abs() < 0.02,
                "{}",
                table.at(slot)
            );
        }
    }

    #[test]
    fn the_weekend_is_where_the_calendar_has_it() {
        // 2023-11-18 was a Saturday.
        assert!(is_weekend(1_700_265_600) && is_weekend(1_700_265_600 + DAY));
        assert!(!is_weekend(1_700_265_600 - 1) && !is_weekend(1_700_265_600 + 2 * DAY));
    }
}
