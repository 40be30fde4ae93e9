//! The way of one record into its bucket: this is the hot path, and allocates nothing once a series is known.

use std::collections::hash_map::Entry;

use super::{Engine, INFLUENCE_BYTES};
use crate::detector::NO_SPLIT;
use crate::gather::Accumulator;
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
        self.gather(record, place);
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

    fn gather(&mut self, record: &Record<'_>, place: usize) {
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
        for (value, &column) in self.influencers.iter_mut().zip(&self.influencer_columns) {
            *value = record
                .text(column)
                .and_then(|text| bucket.names.intern(text));
        }
        let start = bucket.start;
        for number in 0..self.columns.len() {
            let columns = self.columns[number];
            let (metric, use_null) = {
                let detector = &self.analysis.detectors[number];
                (detector.function.metric(), detector.use_null)
            };
            let value = columns.field.and_then(|column| record.number(column));
            if columns.field.is_some() && value.is_none() {
                continue;
            }
            // A record without the split value belongs to no series, or to the one of null.
            let split = |column: Option<usize>| match column {
                None => Some(None),
                Some(column) => record.text(column).or(use_null.then_some("")).map(Some),
            };
            let (Some(partition), Some(by)) = (split(columns.partition), split(columns.by)) else {
                continue;
            };
            let names = &self.state.names;
            let known = |split: Option<&str>| match split {
                None => Some(NO_SPLIT),
                Some(text) => names.get(text),
            };
            let found = match (known(partition), known(by)) {
                (Some(partition), Some(by)) => self.state.detectors[number].find(partition, by),
                _ => None,
            };
            let series = match found {
                Some(series) => series,
                None => match self.admit(number, partition, by, start) {
                    Some(series) => series,
                    None => continue,
                },
            };
            let most = self.influencers.len() as u64 * INFLUENCE_BYTES;
            let limit = self.state.options.memory_limit;
            let room = limit == 0 || self.bytes() + most <= limit;
            let gathered = &mut self.state.open[place].detectors[number];
            gathered.add(series, metric, value, events);
            for (field, id) in self.influencers.iter().enumerate() {
                let Some(id) = id else { continue };
                match gathered.influences.entry((series, field as u32, *id)) {
                    Entry::Occupied(mut part) => part.get_mut().add(metric, value, events),
                    // Where memory is short, influencers are what can be done without.
                    Entry::Vacant(place) if room => {
                        place.insert(Accumulator::EMPTY).add(metric, value, events);
                        self.state.influences += 1;
                    }
                    Entry::Vacant(_) => {}
                }
            }
        }
    }

    /// Starts a series, if the memory limit allows.
    fn admit(
        &mut self,
        detector: usize,
        partition: Option<&str>,
        by: Option<&str>,
        start: i64,
    ) -> Option<u32> {
        let names = 2 * (partition.map_or(0, str::len) + by.map_or(0, str::len) + 20) as u64;
        let needed = self.bytes() + self.series_bytes + names;
        if self.state.options.memory_limit > 0 && needed > self.state.options.memory_limit {
            self.state.refused = true;
            self.state.allocation_failures += 1;
            self.state.exceeded_bytes = self
                .state
                .exceeded_bytes
                .max(needed - self.state.options.memory_limit);
            return None;
        }
        let mut id = |split: Option<&str>| match split {
            None => Some(NO_SPLIT),
            Some(text) => self.state.names.intern(text),
        };
        let (partition, by) = (id(partition)?, id(by)?);
        let config = &self.analysis.detectors[detector];
        let number =
            self.state.detectors[detector].add(config, self.analysis.span(), partition, by, start);
        self.state.peak_bytes = self.state.peak_bytes.max(self.bytes());
        Some(number)
    }
}
