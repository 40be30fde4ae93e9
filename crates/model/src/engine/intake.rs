//! The way of one record into its bucket: this is the hot path, and allocates nothing once a series is known.

use super::{Engine, LaneColumns};
use crate::config::Metric;
use crate::detector::{Key, NO_SPLIT};
use crate::gather::Sample;
use crate::intern::Interner;
use crate::record::Record;

impl Engine {
    pub(super) fn take(&mut self, record: &Record<'_>, start: i64) {
        let counts = &mut self.state.counts;
        let limit = self
            .state
            .latest_bucket
            .saturating_sub(self.analysis.latency());
        let open_from = self.state.open_from.unwrap_or(start);
        if record.time.div_euclid(1_000) < limit || start < open_from {
            counts.out_of_order_timestamp_count += 1;
            return;
        }
        counts.processed_record_count += 1;
        counts.earliest_record_timestamp = Some(
            counts
                .earliest_record_timestamp
                .map_or(record.time, |t| t.min(record.time)),
        );
        counts.latest_record_timestamp = Some(
            counts
                .latest_record_timestamp
                .map_or(record.time, |t| t.max(record.time)),
        );
        self.recount_fields();
        self.state.first_bucket = self.state.first_bucket.min(start);
        self.state.latest_bucket = self.state.latest_bucket.max(start);

        let place = self.open_bucket(start);
        self.gather_with_category(record, place);
    }

    /// The place of a bucket among the open ones. Buckets without records are not kept open: there may be many.
    fn open_bucket(&mut self, start: i64) -> usize {
        match self
            .state
            .open
            .iter()
            .rposition(|bucket| bucket.start <= start)
        {
            Some(place) if self.state.open[place].start == start => place,
            before => {
                let place = before.map_or(0, |place| place + 1);
                let bucket = self.new_bucket(start);
                self.state.open.insert(place, bucket);
                place
            }
        }
    }

    pub(super) fn gather(&mut self, record: &Record<'_>, place: usize) {
        let events = match self.summary_column {
            None => 1.0,
            // Without a usable count a summarised record says nothing.
            Some(column) => match record.number(column) {
                Some(events) if events > 0.0 => events,
                _ => return,
            },
        };
        let bucket = &mut self.state.open[place];
        bucket.records += 1;
        bucket.events += events;
        let columns = self.influencer_columns.iter();
        let texts = columns.filter_map(|&column| record.text(column));
        let texts: usize = texts.map(Interner::most_bytes).sum();
        let room = self.has_room(texts as u64);
        let bucket = &mut self.state.open[place];
        let before = bucket.names.bytes();
        for (value, &column) in self.influencers.iter_mut().zip(&self.influencer_columns) {
            *value = record.text(column).and_then(|text| bucket.name(text, room));
        }
        self.state.gathered_bytes += (bucket.names.bytes() - before) as u64;
        let start = bucket.start;
        for number in 0..self.lanes.len() {
            let columns = self.columns[number];
            let lane = self.lanes[number];
            let Some(sample) = self.sample(record, lane.metric, columns.field, events, place)
            else {
                continue;
            };
            let use_null = self.analysis.detectors[lane.detector].use_null;
            let Some(slot) = self.slot(number, record, columns, use_null, start) else {
                continue;
            };
            let room = self.has_room(0);
            let gathered = &mut self.state.open[place].lanes[number];
            let before = gathered.bytes();
            gathered.add(slot, lane.metric, sample, &self.influencers, room);
            self.state.gathered_bytes =
                (self.state.gathered_bytes + gathered.bytes()).saturating_sub(before);
        }
    }

    /// Whether a record may take what it needs in a bucket, `text` bytes for its names among it.
    fn has_room(&self, text: u64) -> bool {
        let limit = self.state.options.memory_limit;
        limit == 0 || self.reserved_bytes() + self.most_a_record + text <= limit
    }

    /// What a record says to a lane of a metric; `None` for nothing.
    fn sample(
        &mut self,
        record: &Record<'_>,
        metric: Metric,
        field: Option<usize>,
        events: f64,
        place: usize,
    ) -> Option<Sample> {
        let mut sample = Sample {
            events,
            ..Sample::default()
        };
        let period = match metric {
            Metric::TimeOfDay => 86_400,
            // Of whole weeks since the epoch, a Thursday: so clients understand it.
            Metric::TimeOfWeek => 604_800,
            _ => 0,
        };
        if period > 0 {
            let into = record.time.rem_euclid(period * 1_000);
            let angle = std::f64::consts::TAU * into as f64 / (period * 1_000) as f64;
            (sample.value, sample.second) = (Some(angle.sin()), angle.cos());
            return Some(sample);
        }
        let Some(column) = field else {
            return Some(sample);
        };
        match metric {
            Metric::Distinct | Metric::Information => {
                let text = record.text(column)?;
                let room = self.has_room(Interner::most_bytes(text) as u64);
                let bucket = &mut self.state.open[place];
                let before = bucket.names.bytes();
                sample.text = bucket.name(text, room);
                self.state.gathered_bytes += (bucket.names.bytes() - before) as u64;
            }
            Metric::Place => {
                let [latitude, longitude] = coordinates(record.text(column)?)?;
                (sample.value, sample.second) = (Some(latitude), longitude);
            }
            _ => sample.value = Some(record.number(column)?),
        }
        Some(sample)
    }

    /// The slot of a record; a new one is started if the memory limit allows. A record without a split value belongs to
    /// none, or to the one of null.
    fn slot(
        &mut self,
        lane: usize,
        record: &Record<'_>,
        columns: LaneColumns,
        use_null: bool,
        start: i64,
    ) -> Option<u32> {
        let split = |column: Option<usize>, null: bool| match column {
            None => Some(None),
            Some(column) => record.text(column).or(null.then_some("")).map(Some),
        };
        let splits = [
            split(columns.partition, use_null)?,
            split(columns.by, use_null)?,
            split(columns.over, false)?,
        ];
        let names = &self.state.names;
        let known = |split: Option<&str>| match split {
            None => Some(NO_SPLIT),
            Some(text) => names.get(text),
        };
        let [partition, by, over] = splits.map(known);
        let key = partition.zip(by).zip(over);
        key.and_then(|((partition, by), over)| {
            let key = Key {
                partition,
                by,
                over,
            };
            self.state.lanes[lane].find(key)
        })
        .or_else(|| self.admit(lane, splits, start))
    }

    /// Starts a slot, if the memory limit allows.
    fn admit(&mut self, lane: usize, splits: [Option<&str>; 3], start: i64) -> Option<u32> {
        let text: usize = splits.iter().flatten().map(|text| text.len() + 20).sum();
        let with = match self.forests.is_some() {
            // An entity has a slot of each feature.
            true => &self.state.lanes[..],
            false => &self.state.lanes[lane..=lane],
        };
        let slot_bytes = self.slot_bytes();
        let slot: u64 = with.iter().map(|of| of.newborn_bytes() + slot_bytes).sum();
        let needed = self.reserved_bytes() + slot + 2 * text as u64;
        let limit = self.state.options.memory_limit;
        if limit > 0 && needed > limit {
            self.state.refused = true;
            self.state.allocation_failures += 1;
            self.state.exceeded_bytes = self.state.exceeded_bytes.max(needed - limit);
            return None;
        }
        let mut id = |split: Option<&str>| match split {
            None => Some(NO_SPLIT),
            Some(text) => self.state.names.intern(text),
        };
        let [partition, by, over] = splits.map(&mut id);
        let key = Key {
            partition: partition?,
            by: by?,
            over: over?,
        };
        let slot = match &mut self.forests {
            Some(forests) => {
                let lanes = self.state.lanes.iter_mut().zip(&self.lanes);
                let slots: Vec<u32> = lanes
                    .map(|(state, lane)| state.admit(lane, key, start))
                    .collect();
                forests.admit(splits);
                slots[lane]
            }
            None => self.state.lanes[lane].admit(&self.lanes[lane], key, start),
        };
        self.state.peak_bytes = self.state.peak_bytes.max(self.bytes());
        Some(slot)
    }
}

/// `latitude,longitude` in degrees.
fn coordinates(text: &str) -> Option<[f64; 2]> {
    let (latitude, longitude) = text.split_once(',')?;
    let degrees = |text: &str, most: f64| {
        let degrees: f64 = text.trim().parse().ok()?;
        (degrees.abs() <= most).then_some(degrees)
    };
    Some([degrees(latitude, 90.0)?, degrees(longitude, 180.0)?])
}
