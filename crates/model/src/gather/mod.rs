//! Records to the statistics of a bucket: one accumulator a slot (a series, or a member of a population), and one more
//! for each influencer value in it.

mod accumulator;
mod sketch;

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use accumulator::Accumulator;
use sketch::Sketch;

use crate::config::Metric;
use crate::intern::Interner;

/// Bytes of an influencer value at work in a slot, the map's spare room included; its text is counted with the names.
const INFLUENCE_BYTES: u64 = 76;
/// Same for a distinct value in a slot.
const DISTINCT_BYTES: u64 = 16;
/// Same for a value kept for a median.
const SAMPLE_BYTES: u64 = 20;

/// An influencer value at work in a slot: slot, influencer field, value in the bucket's own names.
pub type InfluenceKey = (u32, u32, u32);

/// What a record says to one lane.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// None for a record without a value: it counts as an event.
    pub value: Option<f64>,
    /// The second of two numbers: a longitude, or a cosine.
    pub second: f64,
    /// The text of a distinct value, in the bucket's names; none where there is no room for it.
    pub text: Option<u32>,
    /// Events that the record stands for.
    pub events: f64,
}

/// The share of one lane in a bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gathered {
    /// By slot; shorter than the slots are where the last ones had no record.
    pub slots: Vec<Accumulator>,
    /// Slots that had a record.
    pub touched: Vec<u32>,
    #[serde(serialize_with = "sorted", deserialize_with = "from_sorted")]
    pub influences: FxHashMap<InfluenceKey, Accumulator>,
    /// Distinct values of the field: slot, text in the bucket's names.
    #[serde(
        serialize_with = "sorted_set",
        deserialize_with = "Deserialize::deserialize"
    )]
    distinct: FxHashSet<(u32, u32)>,
    /// Values for medians, by slot.
    sketches: Vec<Sketch>,
    /// Bytes of all but the slots.
    bytes: u64,
}

impl Gathered {
    /// Bytes of a slot with one value, where medians are wanted: there is always room for that.
    pub const MEDIAN_BYTES: u64 = size_of::<Sketch>() as u64 + SAMPLE_BYTES;

    /// Adds what a record says to a slot, and to the influencer values `influencers` in it. Without `room` only what
    /// needs no more memory is taken: influencers are what can be done without.
    pub fn add(
        &mut self,
        slot: u32,
        metric: Metric,
        mut sample: Sample,
        influencers: &[Option<u32>],
        room: bool,
    ) {
        let at = slot as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Accumulator::EMPTY);
        }
        if self.slots[at].count == 0.0 {
            self.touched.push(slot);
        }
        match metric {
            Metric::Distinct | Metric::Information => {
                let new = sample.text.is_some_and(|text| {
                    let new = room && self.distinct.insert((slot, text));
                    self.bytes += if new { DISTINCT_BYTES } else { 0 };
                    new
                });
                sample.value = Some(f64::from(u8::from(new)));
            }
            Metric::Median => self.sample(at, &sample, room),
            _ => {}
        }
        let Sample {
            value,
            second,
            events,
            ..
        } = sample;
        self.slots[at].add(metric, value, second, events);
        for (field, id) in influencers.iter().enumerate() {
            let Some(id) = id else { continue };
            let key = (slot, field as u32, *id);
            if let Some(part) = self.influences.get_mut(&key) {
                part.add(metric, value, second, events);
            } else if room {
                let mut part = Accumulator::EMPTY;
                part.add(metric, value, second, events);
                self.influences.insert(key, part);
                self.bytes += INFLUENCE_BYTES;
            }
        }
    }

    fn sample(&mut self, at: usize, sample: &Sample, room: bool) {
        let Some(value) = sample.value else { return };
        if at >= self.sketches.len() {
            self.sketches.resize_with(at + 1, Sketch::default);
        }
        let sketch = &mut self.sketches[at];
        let before = sketch.len() as u64;
        if before == 0 {
            sketch.add(value, sample.events);
        } else if room {
            sketch.add(value, sample.events);
            self.bytes = (self.bytes + sketch.len() as u64 * SAMPLE_BYTES)
                .saturating_sub(before * SAMPLE_BYTES);
        }
    }

    /// Works out what sums alone don't tell, once the records of the bucket are known.
    pub fn settle(&mut self, metric: Metric, names: &Interner) {
        match metric {
            Metric::Median => {
                for &slot in &self.touched {
                    let median = self
                        .sketches
                        .get_mut(slot as usize)
                        .and_then(Sketch::median);
                    self.slots[slot as usize].a = median.unwrap_or_default();
                }
            }
            Metric::Information => self.settle_information(names),
            _ => {}
        }
    }

    /// The bytes that the distinct values of a slot, in their order, compress to (DEFLATE): what they say, much as
    /// Kolmogorov would have it.
    fn settle_information(&mut self, names: &Interner) {
        let mut all: Vec<(u32, &str)> = self
            .distinct
            .iter()
            .map(|&(slot, text)| (slot, names.name(text)))
            .collect();
        all.sort_unstable();
        let mut text = Vec::new();
        for of_slot in all.chunk_by(|a, b| a.0 == b.0) {
            text.clear();
            of_slot
                .iter()
                .for_each(|(_, value)| text.extend_from_slice(value.as_bytes()));
            let packed = miniz_oxide::deflate::compress_to_vec(&text, 6);
            self.slots[of_slot[0].0 as usize].a = packed.len() as f64;
        }
    }

    /// Bytes of all but the slots.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The most bytes that a record may need here.
    pub fn most_a_record(influencers: usize) -> u64 {
        influencers as u64 * INFLUENCE_BYTES + DISTINCT_BYTES + SAMPLE_BYTES
    }

    pub fn get(&self, slot: usize) -> Accumulator {
        self.slots.get(slot).copied().unwrap_or(Accumulator::EMPTY)
    }

    fn clear(&mut self) {
        for &slot in &self.touched {
            self.slots[slot as usize] = Accumulator::EMPTY;
            if let Some(sketch) = self.sketches.get_mut(slot as usize) {
                sketch.clear();
            }
        }
        self.touched.clear();
        self.influences.clear();
        self.distinct.clear();
        self.bytes = 0;
    }

    /// Follows slots to their new places after a pruning. A slot with records is never pruned.
    pub fn renumber(&mut self, places: &[Option<u32>]) {
        let place = |slot: u32| places.get(slot as usize).copied().flatten();
        let mut slots = std::mem::take(&mut self.slots);
        let mut sketches = std::mem::take(&mut self.sketches);
        for slot in &mut self.touched {
            let old = *slot as usize;
            let Some(new) = place(*slot) else { continue };
            put(&mut self.slots, new, std::mem::take(&mut slots[old]));
            if let Some(sketch) = sketches.get_mut(old) {
                put(&mut self.sketches, new, std::mem::take(sketch));
            }
            *slot = new;
        }
        self.influences = std::mem::take(&mut self.influences)
            .into_iter()
            .filter_map(|((slot, field, value), part)| Some(((place(slot)?, field, value), part)))
            .collect();
        self.distinct = std::mem::take(&mut self.distinct)
            .into_iter()
            .filter_map(|(slot, text)| Some((place(slot)?, text)))
            .collect();
    }

    /// Takes over what an older format gathered.
    pub fn restored(
        slots: Vec<Accumulator>,
        touched: Vec<u32>,
        influences: Vec<(InfluenceKey, Accumulator)>,
    ) -> Self {
        Self {
            slots,
            touched,
            bytes: influences.len() as u64 * INFLUENCE_BYTES,
            influences: influences.into_iter().collect(),
            ..Self::default()
        }
    }
}

fn put<T: Default>(list: &mut Vec<T>, at: u32, value: T) {
    let at = at as usize;
    if at >= list.len() {
        list.resize_with(at + 1, T::default);
    }
    list[at] = value;
}

/// A bucket that still takes records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenBucket {
    /// Start, epoch seconds.
    pub start: i64,
    pub records: u64,
    /// Records, each with the events that it stands for.
    pub events: f64,
    /// Influencer values and distinct values: they live as long as the bucket.
    pub names: Interner,
    pub lanes: Vec<Gathered>,
}

impl OpenBucket {
    pub fn new(start: i64, lanes: usize) -> Self {
        Self {
            start,
            lanes: vec![Gathered::default(); lanes],
            ..Self::default()
        }
    }

    /// Makes an emptied bucket a new one, its memory kept.
    pub fn reopen(&mut self, start: i64) {
        self.start = start;
        self.records = 0;
        self.events = 0.0;
        self.names.clear();
        self.lanes.iter_mut().for_each(Gathered::clear);
    }

    /// Bytes of all but the slots.
    pub fn bytes(&self) -> u64 {
        let lanes: u64 = self.lanes.iter().map(|lane| lane.bytes).sum();
        lanes + self.names.bytes() as u64
    }

    /// The number of a string; a new one gets one where there is `room`.
    pub fn name(&mut self, text: &str, room: bool) -> Option<u32> {
        if room {
            self.names.intern(text)
        } else {
            self.names.get(text)
        }
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

fn sorted_set<T: Ord + Hash + Serialize, S: Serializer>(
    set: &FxHashSet<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut entries: Vec<_> = set.iter().collect();
    entries.sort_unstable();
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
