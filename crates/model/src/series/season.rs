//! Repeating shapes: tables of deviations from the level, by the time within a period.

use serde::{Deserialize, Serialize};

pub const DAY: i64 = 86_400;
pub const WEEK: i64 = 604_800;

const COUNT: u8 = 63;
const LOW: u8 = 64;
const HIGH: u8 = 128;

/// A table over one period; a slot is at least a bucket wide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    period: i64,
    /// Seconds from the epoch to a start of the period.
    offset: i64,
    width: i64,
    values: Vec<f32>,
    /// Values that a slot has taken, saturating at [`COUNT`], and whether the last was a surprise, and on which side.
    visits: Vec<u8>,
}

impl Table {
    /// A table of at most `slots` slots for buckets of `span` seconds; `None` when the period holds less than four
    /// buckets and so has no shape to learn.
    pub fn new(period: i64, offset: i64, span: i64, slots: i64) -> Option<Self> {
        if period < 4 * span {
            return None;
        }
        let width = span.max((period + slots - 1) / slots);
        let slots = ((period + width - 1) / width) as usize;
        Some(Self {
            period,
            offset,
            width,
            values: vec![0.0; slots],
            visits: vec![0; slots],
        })
    }

    pub fn slot(&self, time: i64) -> usize {
        ((time - self.offset).rem_euclid(self.period) / self.width) as usize
    }

    /// Whether a bucket of `span` seconds at `time` is the first of its slot.
    pub fn is_first(&self, time: i64, span: i64) -> bool {
        (time - self.offset).rem_euclid(self.period) % self.width < span
    }

    /// Buckets of `span` seconds to a slot.
    pub fn buckets(&self, span: i64) -> f64 {
        (self.width as f64 / span as f64).max(1.0)
    }

    pub fn at(&self, slot: usize) -> f64 {
        f64::from(self.values[slot])
    }

    /// Values that a slot has taken, saturating.
    pub fn visits(&self, slot: usize) -> u8 {
        self.visits[slot] & COUNT
    }

    /// The mean of a slot and its two neighbours on each side, the nearer the heavier: less noise, less edge.
    pub fn smooth(&self, slot: usize) -> f64 {
        let n = self.values.len();
        if n < 12 {
            return self.at(slot);
        }
        let of = |shift: usize| self.at((slot + n + shift - 2) % n);
        (of(0) + 2.0 * of(1) + 3.0 * of(2) + 2.0 * of(3) + of(4)) / 9.0
    }

    /// Moves a slot by an error: fully the first time, then much as the mean of what it saw (the
    /// first a little less, since the level was not known then), at last at `rate`. An error
    /// beyond `tame` is cut to it, unless the slot is new or it comes again: what repeats in a slot belongs there. Only
    /// the `first` bucket of a slot can come again: the others are the same occasion.
    pub fn learn(&mut self, slot: usize, error: f64, rate: f64, tame: f64, first: bool) {
        let state = &mut self.visits[slot];
        let count = (*state & COUNT).saturating_add(1).min(COUNT);
        let side = match error {
            e if e > tame => HIGH,
            e if e < -tame => LOW,
            _ => 0,
        };
        let before = *state & (HIGH | LOW);
        let again = first && side != 0 && before == side;
        *state = count | if first { side } else { before };
        let mut rate = f64::max(1.25 / (f64::from(count) + 0.25), rate);
        if again {
            rate = rate.max(0.5);
        }
        let step = if again || count <= 3 {
            error
        } else {
            error.clamp(-tame, tame)
        };
        self.values[slot] += (step * rate) as f32;
    }

    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>() + self.visits.capacity()
    }

    pub fn period(&self) -> i64 {
        self.period
    }
}

/// Whether a time falls on a Saturday or Sunday, UTC (the epoch was a Thursday).
pub fn is_weekend(time: i64) -> bool {
    matches!(time.div_euclid(DAY).rem_euclid(7), 2 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_cover_the_period_and_wrap() {
        let table = Table::new(DAY, 0, 900, 288).expect("a day has 96 quarters");
        assert_eq!(table.slot(0), 0);
        assert_eq!(table.slot(DAY - 1), 95);
        assert_eq!(table.slot(-1), 95);
        assert!(Table::new(DAY, 0, DAY, 288).is_none());
        let odd = Table::new(DAY, 0, 7 * 60, 288).expect("fits");
        assert!(
            (0..3 * DAY)
                .step_by(61)
                .all(|t| odd.slot(t) < odd.values.len())
        );
    }

    #[test]
    fn the_weekend_is_where_the_calendar_has_it() {
        // 2023-11-18 was a Saturday.
        assert!(is_weekend(1_700_265_600) && is_weekend(1_700_265_600 + DAY));
        assert!(!is_weekend(1_700_265_600 - 1) && !is_weekend(1_700_265_600 + 2 * DAY));
    }
}
