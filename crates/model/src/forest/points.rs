//! The latest values of all features, once: points are shingles of them, and overlap.

use serde::{Deserialize, Serialize};

use super::span;

/// A ring of entries, each with a value a feature. A point is some entries on end; its place is that of its first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// Entries that the ring holds.
    window: u32,
    /// Values of an entry.
    features: u16,
    /// Entries of a point.
    shingle: u16,
    /// Entries that were ever added.
    added: u64,
    /// The first entries stand once more at the end, so that no point is in two parts.
    values: Vec<f32>,
}

impl Points {
    pub fn new(window: usize, features: usize, shingle: usize) -> Self {
        Self {
            window: window as u32,
            features: features as u16,
            shingle: shingle as u16,
            added: 0,
            values: vec![0.0; Self::values(window, features, shingle)],
        }
    }

    fn values(window: usize, features: usize, shingle: usize) -> usize {
        (window + shingle - 1) * features
    }

    /// Bytes of the values.
    pub fn bytes(window: usize, features: usize, shingle: usize) -> usize {
        Self::values(window, features, shingle) * size_of::<f32>()
    }

    /// Values of a point.
    pub fn dimensions(&self) -> usize {
        usize::from(self.shingle) * usize::from(self.features)
    }

    pub fn features(&self) -> usize {
        self.features.into()
    }

    pub fn window(&self) -> usize {
        self.window as usize
    }

    pub fn added(&self) -> u64 {
        self.added
    }

    /// Adds an entry over the oldest one. Gives the place of the point that it completes, once there are entries enough.
    pub fn push(&mut self, entry: &[f32]) -> Option<u16> {
        let features = self.features();
        let at = (self.added % u64::from(self.window)) as usize;
        self.values[at * features..][..features].copy_from_slice(entry);
        if at + 1 < usize::from(self.shingle) {
            let twin = (self.window() + at) * features;
            self.values[twin..][..features].copy_from_slice(entry);
        }
        self.added += 1;
        let before = self.added.checked_sub(self.shingle.into())?;
        Some((before % u64::from(self.window)) as u16)
    }

    /// The values of the point at a place, the oldest entry first.
    pub fn at(&self, place: u16) -> &[f32] {
        let start = usize::from(place) * self.features();
        &self.values[start..start + self.dimensions()]
    }

    /// Widens a box so that it holds the points at some places.
    #[inline(always)]
    pub fn cover<const N: usize>(&self, low: &mut [f32], high: &mut [f32], places: &[u16]) {
        if N == 0 {
            for &place in places {
                span::stretch(low, high, self.at(place));
            }
            return;
        }
        let Some(last) = places.len().checked_sub(1) else {
            return;
        };
        let (Some(lows), Some(highs)) = (low.first_chunk_mut::<N>(), high.first_chunk_mut::<N>())
        else {
            return;
        };
        // Kept out of memory on the way.
        let (mut low, mut high) = (*lows, *highs);
        // In pairs, the last one twice if need be: how many there are is seldom foreseen by the processor.
        let features = self.features();
        for first in (0..places.len()).step_by(2) {
            for place in [places[first], places[last.min(first + 1)]] {
                let start = usize::from(place) * features;
                let point = &self.values[start..start + N];
                for (&x, (low, high)) in point.iter().zip(low.iter_mut().zip(&mut high)) {
                    *low = span::least(*low, x);
                    *high = span::greatest(*high, x);
                }
            }
        }
        (*lows, *highs) = (low, high);
    }

    /// Copies the latest entries, as many as a point has but the last, to the front of `point`; zeros for those before
    /// the first.
    pub fn lead_in(&self, point: &mut [f32]) {
        let features = self.features();
        let lead = usize::from(self.shingle) - 1;
        for back in 1..=lead {
            let to = &mut point[(lead - back) * features..][..features];
            match self.added.checked_sub(back as u64) {
                Some(entry) => {
                    let at = (entry % u64::from(self.window)) as usize;
                    to.copy_from_slice(&self.values[at * features..][..features]);
                }
                None => to.fill(0.0),
            }
        }
    }

    /// How many points ago the one at a place was complete.
    pub fn age(&self, place: u16) -> usize {
        let newest = self.added.saturating_sub(self.shingle.into()) % u64::from(self.window);
        let (newest, place) = (newest as usize, usize::from(place));
        match newest.checked_sub(place) {
            Some(age) => age,
            None => newest + self.window() - place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_overlap_and_go_round() {
        let mut points = Points::new(5, 2, 3);
        let mut places = Vec::new();
        for i in 0..12 {
            let entry = [i as f32, -(i as f32)];
            let mut ahead = [0.0; 6];
            points.lead_in(&mut ahead);
            ahead[4..].copy_from_slice(&entry);
            let place = points.push(&entry);
            assert_eq!(place.is_some(), i >= 2);
            if let Some(place) = place {
                assert_eq!(points.at(place), ahead, "{i}");
                assert_eq!(points.age(place), 0);
                places.push(place);
            }
        }
        // Those of which no entry has been written over.
        for (age, place) in places.iter().rev().take(3).enumerate() {
            assert_eq!(points.age(*place), age);
            assert_eq!(points.at(*place)[4], (11 - age) as f32);
        }
    }
}
