//! Records to the statistics of a bucket: one accumulator a series, and one more for each influencer value in it.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Metric;
use crate::intern::Interner;

/// What the records of one series in one bucket add up to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Accumulator {
    /// Events.
    pub count: f64,
    /// Events that had a value.
    pub valued: f64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl Accumulator {
    pub const EMPTY: Self = Self {
        count: 0.0,
        valued: 0.0,
        sum: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    /// Adds a record that stands for `events`; its value is their mean, or their sum where sums are wanted.
    pub fn add(&mut self, metric: Metric, value: Option<f64>, events: f64) {
        self.count += events;
        let Some(value) = value else { return };
        self.valued += events;
        self.sum += if metric == Metric::Mean {
            value * events
        } else {
            value
        };
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// The value of the bucket; `None` where there is none, and where sums ran out of range.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let value = match metric {
            Metric::Count => self.count,
            _ if self.valued <= 0.0 => return None,
            Metric::Sum => self.sum,
            Metric::Mean => self.sum / self.valued,
            Metric::Min => self.min,
            Metric::Max => self.max,
        };
        value.is_finite().then_some(value)
    }

    /// What remains when `part` is taken out. Extremes can't be taken out: a part that holds the extreme leaves none.
    pub fn without(&self, part: &Self, metric: Metric) -> Option<Self> {
        let rest = Self {
            count: self.count - part.count,
            valued: self.valued - part.valued,
            sum: self.sum - part.sum,
            ..*self
        };
        let holds_extreme = match metric {
            Metric::Min => part.min <= self.min,
            Metric::Max => part.max >= self.max,
            _ => false,
        };
        (!holds_extreme).then_some(rest)
    }
}

/// An influencer value at work in a series: series, influencer field, value in the bucket's own names.
pub type InfluenceKey = (u32, u32, u32);

/// The share of one detector in a bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gathered {
    /// By series; shorter than the series are where the last ones had no record.
    pub series: Vec<Accumulator>,
    /// Series that had a record.
    pub touched: Vec<u32>,
    #[serde(serialize_with = "sorted", deserialize_with = "from_sorted")]
    pub influences: FxHashMap<InfluenceKey, Accumulator>,
}

impl Gathered {
    pub fn add(&mut self, series: u32, metric: Metric, value: Option<f64>, events: f64) {
        let at = series as usize;
        if at >= self.series.len() {
            self.series.resize(at + 1, Accumulator::EMPTY);
        }
        if self.series[at].count == 0.0 {
            self.touched.push(series);
        }
        self.series[at].add(metric, value, events);
    }

    pub fn get(&self, series: usize) -> Accumulator {
        self.series
            .get(series)
            .copied()
            .unwrap_or(Accumulator::EMPTY)
    }

    fn clear(&mut self) {
        for &series in &self.touched {
            self.series[series as usize] = Accumulator::EMPTY;
        }
        self.touched.clear();
        self.influences.clear();
    }

    /// Follows series to their new places after a pruning. A series with records is never pruned.
    pub fn renumber(&mut self, places: &[Option<u32>]) {
        let old = std::mem::take(&mut self.series);
        for series in &mut self.touched {
            let Some(place) = places[*series as usize] else {
                continue;
            };
            if place as usize >= self.series.len() {
                self.series.resize(place as usize + 1, Accumulator::EMPTY);
            }
            self.series[place as usize] = old[*series as usize];
            *series = place;
        }
        let influences = std::mem::take(&mut self.influences);
        self.influences = influences
            .into_iter()
            .filter_map(|((series, field, value), part)| {
                Some(((places[series as usize]?, field, value), part))
            })
            .collect();
    }
}

/// A bucket that still takes records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenBucket {
    /// Start, epoch seconds.
    pub start: i64,
    pub records: u64,
    /// Records, each with the events that it stands for.
    pub events: f64,
    /// Influencer values: they live as long as the bucket.
    pub names: Interner,
    /// One a detector.
    pub detectors: Vec<Gathered>,
}

impl OpenBucket {
    pub fn new(start: i64, detectors: usize) -> Self {
        Self {
            start,
            detectors: vec![Gathered::default(); detectors],
            ..Self::default()
        }
    }

    /// Makes an emptied bucket a new one, its memory kept.
    pub fn reopen(&mut self, start: i64) {
        self.start = start;
        self.records = 0;
        self.events = 0.0;
        self.names.clear();
        self.detectors.iter_mut().for_each(Gathered::clear);
    }

    /// Influencer values at work, all series together.
    pub fn influences(&self) -> u64 {
        self.detectors
            .iter()
            .map(|gathered| gathered.influences.len() as u64)
            .sum()
    }
}

/// Maps are written in the order of their keys, so that equal states have equal bytes.
fn sorted<S: Serializer>(
    map: &FxHashMap<InfluenceKey, Accumulator>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| **key);
    serializer.collect_seq(entries)
}

fn from_sorted<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<FxHashMap<InfluenceKey, Accumulator>, D::Error> {
    Ok(
        Vec::<(InfluenceKey, Accumulator)>::deserialize(deserializer)?
            .into_iter()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_bucket() {
        let mut all = Accumulator::EMPTY;
        for (value, events) in [(2.0, 1.0), (5.0, 3.0)] {
            all.add(Metric::Mean, Some(value), events);
        }
        all.add(Metric::Mean, None, 1.0);
        assert_eq!(all.value(Metric::Mean), Some(17.0 / 4.0));
        assert_eq!(all.value(Metric::Count), Some(5.0));
        assert_eq!(
            (all.value(Metric::Min), all.value(Metric::Max)),
            (Some(2.0), Some(5.0))
        );
        assert_eq!(Accumulator::EMPTY.value(Metric::Sum), None);
        let mut part = Accumulator::EMPTY;
        part.add(Metric::Mean, Some(5.0), 3.0);
        assert_eq!(
            all.without(&part, Metric::Mean)
                .and_then(|rest| rest.value(Metric::Mean)),
            Some(2.0)
        );
        assert_eq!(all.without(&part, Metric::Max), None);
    }

    #[test]
    fn sums_beyond_the_range_are_no_value() {
        let mut all = Accumulator::EMPTY;
        all.add(Metric::Sum, Some(1e308), 1.0);
        all.add(Metric::Sum, Some(1e308), 1.0);
        assert_eq!(all.value(Metric::Sum), None);
    }
}
