//! How time goes on: buckets open, close and are judged, gaps are jumped over.

use super::forests::{Sight, tell};
use super::{BUCKETS_A_CALL, Engine, JUDGEMENTS_A_CALL, LONGEST_GAP, SPARSE};
use crate::detector::{Closing, Ruling};
use crate::gather::OpenBucket;
use crate::report::Reporter;
use crate::results::BucketResults;

impl Engine {
    /// The first record opens the first buckets: its own, and those before it that latency still allows.
    pub(super) fn start_at(&mut self, bucket: i64) {
        if self.state.open_from.is_none() {
            let span = self.analysis.span();
            let latency = (self.analysis.latency() + span - 1) / span * span;
            self.state.open_from = Some(bucket.saturating_sub(latency));
            self.state.first_bucket = bucket;
            self.state.latest_bucket = bucket;
            self.state.last_pruning = bucket;
        }
    }

    /// Closes the buckets that end by `until`, of which the last record seen or promised is in `latest`.
    pub(super) fn advance(
        &mut self,
        until: i64,
        latest: i64,
        results: &mut Vec<BucketResults>,
    ) -> bool {
        let span = self.analysis.span();
        while let Some(start) = self.state.open_from
            && start + span <= until
        {
            let last = until.div_euclid(span) * span;
            if start < self.state.first_bucket {
                // Before the first record there is nothing to tell, however far latency reaches back.
                self.state.open_from = Some(last.min(self.state.first_bucket));
                continue;
            }
            let enough = JUDGEMENTS_A_CALL / self.slot_count().max(1);
            if results.len() as u64 >= enough.clamp(1, BUCKETS_A_CALL) {
                return false;
            }
            // Up to the next bucket that has records, or to where time has come.
            let next = self.state.open.front().map(|bucket| bucket.start);
            let to = next.map_or(last, |next| next.min(last));
            if (to - start) / span > LONGEST_GAP {
                self.jump(to, next.unwrap_or(latest));
                continue;
            }
            self.close_first(start, results);
        }
        true
    }

    fn jump(&mut self, to: i64, latest: i64) {
        self.state.open_from = Some(to);
        self.state.first_bucket = latest;
    }

    fn close_first(&mut self, start: i64, results: &mut Vec<BucketResults>) {
        let span = self.analysis.span();
        self.state.open_from = Some(start + span);
        let mut bucket = match self.state.open.front() {
            Some(bucket) if bucket.start == start => {
                // The front has just been seen.
                self.state.open.pop_front().unwrap_or_default()
            }
            _ => self.new_bucket(start),
        };
        self.count_bucket(&bucket);
        results.push(self.judge(&mut bucket));
        self.prune(start);
        self.retire(bucket);
    }

    /// Forgets what has been gathered for the buckets that begin from `start` on and before `end`, in epoch
    /// milliseconds, as far as they still take records: they are going to be sent again. The counts of records stay.
    pub fn forget(&mut self, start: i64, end: i64) {
        let first = self.bucket_of(start);
        let within =
            |bucket: &OpenBucket| bucket.start >= first && bucket.start.saturating_mul(1_000) < end;
        let mut place = 0;
        while let Some(bucket) = self.state.open.get(place) {
            if !within(bucket) {
                place += 1;
            } else if let Some(bucket) = self.state.open.remove(place) {
                self.retire(bucket);
            }
        }
    }

    pub(super) fn retire(&mut self, mut bucket: OpenBucket) {
        self.state.gathered_bytes -= bucket.bytes();
        bucket.reopen(0);
        self.spare.push(bucket);
    }

    pub(super) fn new_bucket(&mut self, start: i64) -> OpenBucket {
        match self.spare.pop() {
            Some(mut bucket) => {
                bucket.reopen(start);
                bucket
            }
            None => OpenBucket::new(start, self.lanes.len()),
        }
    }

    fn judge(&mut self, bucket: &mut OpenBucket) -> BucketResults {
        let annotations = self.shift_clocks(bucket.start);
        let plot = &self.state.options.plot;
        let terms = plot.terms.iter();
        let terms: Vec<u32> = terms.filter_map(|t| self.state.names.get(t)).collect();
        // Terms that no model has: nothing is plotted.
        let plotted = plot.enabled && (plot.terms.is_empty() || !terms.is_empty());
        let mut reporter = Reporter::new(
            &self.analysis,
            &self.lanes,
            &self.state.names,
            bucket.start,
            false,
        );
        let mut hungry = Vec::new();
        let start = bucket.start;
        let closing = |lane| Closing {
            lane,
            bucket: start,
            plotted: plotted.then_some(&terms),
            workers: &*self.workers,
            ruling: Ruling::of(&self.state.rules, &self.state.names, lane, start),
        };
        for (number, lane) in self.lanes.iter().enumerate() {
            let closing = closing(lane);
            let gathered = &mut bucket.lanes[number];
            gathered.settle(lane.metric, &bucket.names);
            let mut closed = self.state.lanes[number].close(&closing, gathered);
            if !self.state.annotates {
                closed.changes.clear();
            }
            hungry.push(std::mem::take(&mut closed.hungry));
            reporter.see(number, &closing, closed);
        }
        let mut forests = None;
        if let Some(all) = &mut self.forests {
            let closings: Vec<Closing<'_>> = self.lanes.iter().map(closing).collect();
            let told = all.close(Sight {
                analysis: &self.analysis,
                names: &self.state.names,
                states: &self.state.lanes,
                closings: &closings,
                gathered: &bucket.lanes,
                is_interim: false,
            });
            for (number, (closing, closed)) in closings.iter().zip(told.closed).enumerate() {
                reporter.see(number, closing, closed);
            }
            forests = Some(told.results);
        }
        let mut results = reporter.finish(bucket, &self.state.lanes);
        if let Some(forests) = forests {
            tell(&mut results, forests);
        }
        results.bucket.scheduled_events = self.state.rules.scheduled(bucket.start);
        results.annotations.extend(annotations);
        let room = self.room();
        let normaliser = &mut self.state.normaliser;
        normaliser.take(&self.analysis.influencers, &mut results, room);
        self.feed(&hungry);
        results
    }

    fn count_bucket(&mut self, bucket: &OpenBucket) {
        let counts = &mut self.state.counts;
        counts.bucket_count += 1;
        let records = bucket.records as f64;
        if bucket.records == 0 {
            counts.empty_bucket_count += 1;
            counts.latest_empty_bucket_timestamp = Some(bucket.start * 1_000);
            return;
        }
        let mean = &mut self.state.mean_bucket_records;
        if *mean > 0.0 && mean.ln() - records.ln() > SPARSE {
            counts.sparse_bucket_count += 1;
            counts.latest_sparse_bucket_timestamp = Some(bucket.start * 1_000);
        }
        let full = (counts.bucket_count - counts.empty_bucket_count).min(1_000) as f64;
        *mean += (records - *mean) / full;
    }

    /// Goes on from the bucket boundary at or after a time, without results for what lies between.
    pub(super) fn skip_to(&mut self, millis: i64) {
        let span = self.analysis.span();
        let start = (millis.div_euclid(1_000) + span - 1).div_euclid(span) * span;
        if self.state.open_from.is_some_and(|open| open >= start) {
            return;
        }
        while let Some(bucket) = self.state.open.pop_front_if(|bucket| bucket.start < start) {
            self.retire(bucket);
        }
        if self.state.open_from.is_none() {
            self.state.latest_bucket = start;
            self.state.last_pruning = start;
        }
        self.jump(start, start);
        self.state.latest_bucket = self.state.latest_bucket.max(start);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::engine::{Engine, Flush, Options};
    use crate::record::RecordBatch;

    #[test]
    fn buckets_that_are_sent_again_give_what_was_sent_last() {
        let config = json!({
            "bucket_span": "1m", "latency": "5m", "influencers": ["host"],
            "detectors": [{"function": "median", "field_name": "v", "partition_field_name": "host"}]
        });
        let analysis: crate::config::AnalysisConfig =
            serde_json::from_value(config).expect("valid");
        let schema = analysis.schema();
        let column = |name: &str| schema.position(name).expect("a column");
        let (host, value) = (column("host"), column("v"));
        let records = |minutes: std::ops::Range<i64>, of: f64| {
            let mut batch = RecordBatch::new(schema.fields.len());
            for minute in minutes {
                for second in 0..10 {
                    batch.begin();
                    batch.set_text(host, if second % 2 == 0 { "a" } else { "b" });
                    batch.set_number(value, of + second as f64);
                    batch.commit((minute * 60 + second) * 1_000);
                }
            }
            batch
        };
        let run = |corrected: bool| {
            let mut engine = Engine::new(analysis.clone(), Options::default());
            let mut results = Vec::new();
            engine.process(&records(0..98, 1.0), 0, &mut results);
            if corrected {
                engine.process(&records(98..100, 1e6), 0, &mut results);
                engine.forget(98 * 60_000 + 59_999, 99 * 60_000 + 1);
            }
            engine.process(&records(98..110, 2.0), 0, &mut results);
            let told = results.iter().map(|of| (&of.bucket, &of.records));
            told.map(|told| serde_json::to_string(&told).expect("JSON"))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(true).len(), 104);
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn times_before_the_epoch_can_be_skipped_to() {
        let config = json!({"bucket_span": "1h", "detectors": [{"function": "count"}]});
        let analysis = serde_json::from_value(config).expect("valid");
        let mut engine = Engine::new(analysis, Options::default());
        let flush = Flush {
            advance_time: None,
            skip_time: Some(-7_200_000),
        };
        let mut results = Vec::new();
        assert!(engine.flush(&flush, &mut results));
        let mut batch = RecordBatch::new(0);
        for hour in -4..3 {
            batch.begin();
            batch.commit(hour * 3_600_000);
        }
        assert_eq!(engine.process(&batch, 0, &mut results), 7);
        let counts = engine.counts();
        assert_eq!(counts.out_of_order_timestamp_count, 2);
        assert_eq!(counts.processed_record_count, 5);
    }
}
