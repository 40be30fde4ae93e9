//! The analysis of one job: records in, finished buckets out.
//!
//! Time is what the records say. A bucket closes when a record at least `latency` past its end has come, or when a
//! flush says that time has passed; it is then judged, and never changes again.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use crate::config::{AnalysisConfig, Metric};
use crate::counts::{DataCounts, MemoryStatus, ModelSize};
use crate::detector::{DetectorState, Member, NO_SPLIT};
use crate::gather::{Accumulator, OpenBucket};
use crate::intern::Interner;
use crate::record::{Record, RecordBatch};
use crate::report::Reporter;
use crate::results::BucketResults;
use crate::series::Series;

/// Buckets that one call may close before it hands out what it has, so that a gap in time needs no unbounded memory.
const BUCKETS_A_CALL: usize = 512;
/// A longer gap without records is jumped over: a wrong time far in the future must not cost years of empty buckets.
const LONGEST_GAP: i64 = 100_000;
/// Share of the memory limit from which idle series are pruned four times as early.
const SOFT: f64 = 0.8;
/// Bytes of an influencer value at work in a series, its text and the map's spare room included.
const INFLUENCE_BYTES: u64 = 160;
/// Logarithm of how far a bucket must be below the mean size to count as sparse.
const SPARSE: f64 = 2.0;

/// Settings that may change while a job runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Bytes.
    pub memory_limit: u64,
    pub model_plot: bool,
    /// Split values to plot; empty for all.
    pub model_plot_terms: Vec<String>,
}

/// What was asked with a flush. Times are epoch milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flush {
    /// Close all buckets that end by then, records or none.
    pub advance_time: Option<i64>,
    /// Go on from then without results for the time between.
    pub skip_time: Option<i64>,
}

/// A state that can't be taken up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the model state was written by a newer version (format {0})")]
    Newer(u16),
    #[error("the model state is damaged: {0}")]
    Damaged(String),
    #[error("the model state belongs to another analysis")]
    OtherAnalysis,
}

const FORMAT: u16 = 1;

#[derive(Debug, Clone)]
pub struct Engine {
    analysis: AnalysisConfig,
    pub options: Options,
    columns: Vec<DetectorColumns>,
    influencer_columns: Vec<usize>,
    summary_column: Option<usize>,
    analysis_fields: u64,
    series_bytes: u64,
    state: State,
    /// Emptied buckets, to be used again.
    spare: Vec<OpenBucket>,
    /// Influencer values of the record at hand.
    influencers: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct DetectorColumns {
    field: Option<usize>,
    by: Option<usize>,
    partition: Option<usize>,
}

/// All that a restored engine needs to go on as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    counts: DataCounts,
    peak_bytes: u64,
    allocation_failures: u64,
    exceeded_bytes: u64,
    pruned: bool,
    refused: bool,
    /// Split values.
    names: Interner,
    detectors: Vec<DetectorState>,
    /// Start of the first bucket that still takes records; none before the first record. Epoch seconds.
    open_from: Option<i64>,
    /// Start of the bucket of the earliest record since the beginning or the last jump in time.
    first_bucket: i64,
    /// Start of the bucket of the latest record.
    latest_bucket: i64,
    open: VecDeque<OpenBucket>,
    /// Influencer values at work in the open buckets.
    influences: u64,
    last_pruning: i64,
    /// Mean records of a bucket that had some.
    mean_bucket_records: f64,
}

impl Engine {
    pub fn new(analysis: AnalysisConfig, options: Options) -> Self {
        let detectors = vec![DetectorState::default(); analysis.detectors.len()];
        let state = State {
            counts: DataCounts::default(),
            peak_bytes: 0,
            allocation_failures: 0,
            exceeded_bytes: 0,
            pruned: false,
            refused: false,
            names: Interner::default(),
            detectors,
            open_from: None,
            first_bucket: 0,
            latest_bucket: 0,
            open: VecDeque::new(),
            influences: 0,
            last_pruning: 0,
            mean_bucket_records: 0.0,
        };
        Self::with_state(analysis, options, state)
    }

    fn with_state(analysis: AnalysisConfig, options: Options, state: State) -> Self {
        let schema = analysis.schema();
        let column = |name: &Option<String>| name.as_ref().and_then(|name| schema.position(name));
        let columns = analysis.detectors.iter().map(|detector| DetectorColumns {
            field: column(&detector.field_name),
            by: column(&detector.by_field_name),
            partition: column(&detector.partition_field_name),
        });
        let columns = columns.collect();
        Self {
            columns,
            influencer_columns: analysis
                .influencers
                .iter()
                .filter_map(|name| schema.position(name))
                .collect(),
            summary_column: column(&analysis.summary_count_field_name),
            analysis_fields: analysis.analysis_fields().len() as u64,
            series_bytes: (Series::full_bytes(analysis.span()) + size_of::<Member>()
                - size_of::<Series>()
                + 4 * size_of::<Accumulator>()) as u64,
            influencers: vec![None; analysis.influencers.len()],
            analysis,
            options,
            state,
            spare: Vec::new(),
        }
    }

    /// Takes up a saved state of the same analysis.
    pub fn restore(
        analysis: AnalysisConfig,
        options: Options,
        bytes: &[u8],
    ) -> Result<Self, StateError> {
        let damaged = |error: postcard::Error| StateError::Damaged(error.to_string());
        let (format, rest) = postcard::take_from_bytes::<u16>(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(StateError::Newer(format));
        }
        let state: State = postcard::from_bytes(rest).map_err(damaged)?;
        if state.detectors.len() != analysis.detectors.len() {
            return Err(StateError::OtherAnalysis);
        }
        Ok(Self::with_state(analysis, options, state))
    }

    /// The state, from which [`Engine::restore`] goes on as if nothing had been between.
    pub fn save(&self) -> Vec<u8> {
        // Writing to memory fails for no type of ours: lengths are known and there are no foreign serialisers.
        postcard::to_stdvec(&FORMAT)
            .and_then(|head| postcard::to_extend(&self.state, head))
            .unwrap_or_else(|error| unreachable!("the state can't be written: {error}"))
    }

    pub fn analysis(&self) -> &AnalysisConfig {
        &self.analysis
    }

    pub fn counts(&self) -> &DataCounts {
        &self.state.counts
    }

    /// End of the last bucket that is final, epoch milliseconds; none before the first record.
    pub fn last_finalized_bucket_end(&self) -> Option<i64> {
        self.state
            .open_from
            .map(|start| start.max(self.state.first_bucket) * 1_000)
    }

    /// Analyses the records of a batch from `row` on. Gives the row to go on from: less than the batch's length when
    /// enough buckets have closed to be written first; the call is then repeated with it. The batch's input has been
    /// counted before, by [`Engine::count_input`].
    pub fn process(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        results: &mut Vec<BucketResults>,
    ) -> usize {
        for row in row..batch.len() {
            let record = batch.record(row);
            let bucket = self.bucket_of(record.time);
            self.start_at(bucket);
            if !self.advance(
                bucket.saturating_sub(self.analysis.latency()),
                bucket,
                results,
            ) {
                return row;
            }
            self.take(&record, bucket);
        }
        batch.len()
    }

    /// Does what a flush asks. `false`: enough buckets have closed; the call is repeated once they are written.
    pub fn flush(&mut self, flush: &Flush, results: &mut Vec<BucketResults>) -> bool {
        if let Some(time) = flush.skip_time {
            self.skip_to(time);
        }
        match flush.advance_time {
            Some(time) if self.state.open_from.is_some() => {
                let end = self.bucket_of(time);
                let done = self.advance(end, end, results);
                if done {
                    self.state.latest_bucket = self.state.latest_bucket.max(end);
                }
                done
            }
            _ => true,
        }
    }

    /// What the open buckets would give if they closed now; nothing is learnt. Counts and sums are taken on to the
    /// end of the bucket as if the rest of it were as expected.
    pub fn interim(&self) -> Vec<BucketResults> {
        let latest = self
            .state
            .counts
            .latest_record_timestamp
            .unwrap_or(i64::MIN)
            .div_euclid(1_000);
        let mut results = Vec::new();
        for bucket in self
            .state
            .open
            .iter()
            .filter(|b| b.start >= self.state.first_bucket)
        {
            let elapsed = (latest + 1 - bucket.start).clamp(0, self.analysis.span());
            let complete = elapsed as f64 / self.analysis.span() as f64;
            let mut reporter = self.reporter(bucket.start, true);
            for (number, detector) in self.analysis.detectors.iter().enumerate() {
                let gathered = &bucket.detectors[number];
                for (place, member) in self.state.detectors[number].members.iter().enumerate() {
                    let function = detector.function;
                    let found = gathered.get(place).value(function.metric());
                    let Some(value) = found.or_else(|| function.zeros().then_some(0.0)) else {
                        continue;
                    };
                    let adds_up = matches!(function.metric(), Metric::Count | Metric::Sum);
                    let expected = member
                        .series
                        .peek(bucket.start, value, function.side())
                        .typical;
                    let value = if adds_up {
                        value + (1.0 - complete) * expected
                    } else {
                        value
                    };
                    let finding = member.series.peek(bucket.start, value, function.side());
                    reporter.see(number, place, member, value, finding.probability, finding);
                }
            }
            results.push(reporter.finish(bucket, &self.state.detectors));
        }
        results
    }

    /// Bytes of the models, against the limit.
    pub fn size(&self) -> ModelSize {
        let by = self.distinct(|member| member.by);
        let partition = self.distinct(|member| member.partition);
        let bytes = self.bytes();
        ModelSize {
            model_bytes: bytes,
            peak_model_bytes: self.state.peak_bytes.max(bytes),
            model_bytes_exceeded: self.state.exceeded_bytes,
            model_bytes_memory_limit: self.options.memory_limit,
            total_by_field_count: by,
            total_over_field_count: 0,
            total_partition_field_count: partition,
            bucket_allocation_failures_count: self.state.allocation_failures,
            memory_status: match (self.state.refused, self.state.pruned) {
                (true, _) => MemoryStatus::HardLimit,
                (false, true) => MemoryStatus::SoftLimit,
                (false, false) => MemoryStatus::Ok,
            },
            timestamp: self
                .last_finalized_bucket_end()
                .map(|end| end - self.analysis.span() * 1_000),
        }
    }

    fn distinct(&self, of: impl Fn(&Member) -> u32) -> u64 {
        let members = self
            .state
            .detectors
            .iter()
            .flat_map(|detector| &detector.members);
        let mut ids: Vec<u32> = members.map(of).filter(|&id| id != NO_SPLIT).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len() as u64
    }

    fn series_count(&self) -> u64 {
        self.state
            .detectors
            .iter()
            .map(|detector| detector.members.len() as u64)
            .sum()
    }

    /// A series counts in full from its start: what has been let in may grow without a look at the limit.
    fn bytes(&self) -> u64 {
        self.series_count() * self.series_bytes
            + self.state.names.bytes() as u64
            + self.state.influences * INFLUENCE_BYTES
    }

    fn bucket_of(&self, millis: i64) -> i64 {
        let span = self.analysis.span();
        millis.div_euclid(1_000).div_euclid(span) * span
    }

    /// Takes the counts of a batch that is going to be processed.
    pub fn count_input(&mut self, batch: &RecordBatch) {
        let counts = &mut self.state.counts;
        counts.input_bytes += batch.input.bytes;
        counts.input_record_count += batch.input.records;
        counts.input_field_count += batch.input.fields;
        counts.invalid_date_count += batch.input.invalid_dates;
        counts.missing_field_count += batch.input.missing_fields;
        self.recount_fields();
    }

    fn recount_fields(&mut self) {
        let counts = &mut self.state.counts;
        let all = counts.processed_record_count * self.analysis_fields;
        counts.processed_field_count = all.saturating_sub(counts.missing_field_count);
    }

    /// The first record opens the first buckets: its own, and those before it that latency still allows.
    fn start_at(&mut self, bucket: i64) {
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
    fn advance(&mut self, until: i64, latest: i64, results: &mut Vec<BucketResults>) -> bool {
        let span = self.analysis.span();
        while let Some(start) = self.state.open_from
            && start + span <= until
        {
            if results.len() >= BUCKETS_A_CALL {
                return false;
            }
            if self.state.open.is_empty() && (until - start) / span > LONGEST_GAP {
                self.jump(until / span * span, latest);
                break;
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
        // Before the first record there is nothing to tell.
        if start >= self.state.first_bucket {
            self.count_bucket(&bucket);
            results.push(self.judge(&mut bucket));
            self.prune(start);
        }
        self.retire(bucket);
    }

    fn retire(&mut self, mut bucket: OpenBucket) {
        self.state.influences -= bucket.influences();
        bucket.reopen(0);
        self.spare.push(bucket);
    }

    fn new_bucket(&mut self, start: i64) -> OpenBucket {
        match self.spare.pop() {
            Some(mut bucket) => {
                bucket.reopen(start);
                bucket
            }
            None => OpenBucket::new(start, self.analysis.detectors.len()),
        }
    }

    fn judge(&mut self, bucket: &mut OpenBucket) -> BucketResults {
        let mut reporter = Reporter::new(
            &self.analysis,
            &self.options,
            &self.state.names,
            bucket.start,
            false,
        );
        for (number, detector) in self.analysis.detectors.iter().enumerate() {
            let state = &mut self.state.detectors[number];
            let see = |place: usize, member: &Member, value: f64, probability: f64, finding| {
                reporter.see(number, place, member, value, probability, finding);
            };
            state.close(detector, &mut bucket.detectors[number], bucket.start, see);
        }
        reporter.finish(bucket, &self.state.detectors)
    }

    fn reporter(&self, start: i64, is_interim: bool) -> Reporter<'_> {
        Reporter::new(
            &self.analysis,
            &self.options,
            &self.state.names,
            start,
            is_interim,
        )
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

    fn take(&mut self, record: &Record<'_>, start: i64) {
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
        let most = (self.influencers.len() * self.columns.len()) as u64 * INFLUENCE_BYTES;
        let room =
            self.options.memory_limit == 0 || self.bytes() + most <= self.options.memory_limit;
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
        if self.options.memory_limit > 0 && needed > self.options.memory_limit {
            self.state.refused = true;
            self.state.allocation_failures += 1;
            self.state.exceeded_bytes = self
                .state
                .exceeded_bytes
                .max(needed - self.options.memory_limit);
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

    /// Drops the series that have had no record for the prune window, and sooner where memory is short.
    fn prune(&mut self, now: i64) {
        let span = self.analysis.span();
        let window = self.analysis.model_prune_window.as_secs();
        let short = self.options.memory_limit > 0
            && self.bytes() as f64 > SOFT * self.options.memory_limit as f64;
        let window = if short {
            (window / 4).max(2 * span)
        } else {
            window
        };
        if now - self.state.last_pruning < (window / 16).max(span) {
            return;
        }
        self.state.last_pruning = now;
        let before = now - window;
        let mut pruned = false;
        for (number, detector) in self.state.detectors.iter_mut().enumerate() {
            // The only series of a detector without splits stays.
            let config = &self.analysis.detectors[number];
            if config.by_field_name.is_none() && config.partition_field_name.is_none() {
                continue;
            }
            if let Some(places) = detector.prune(before) {
                pruned = true;
                self.state
                    .open
                    .iter_mut()
                    .for_each(|bucket| bucket.detectors[number].renumber(&places));
            }
        }
        if pruned {
            self.rebuild_names();
        }
        self.state.pruned = short;
        if !short {
            self.state.refused = false;
        }
    }

    fn rebuild_names(&mut self) {
        let old = std::mem::take(&mut self.state.names);
        let names = &mut self.state.names;
        let mut ids = vec![NO_SPLIT; old.len()];
        for member in self
            .state
            .detectors
            .iter()
            .flat_map(|detector| &detector.members)
        {
            for id in [member.partition, member.by]
                .into_iter()
                .filter(|&id| id != NO_SPLIT)
            {
                // What fitted before fits now.
                ids[id as usize] = names.intern(old.name(id)).unwrap_or(NO_SPLIT);
            }
        }
        self.state
            .detectors
            .iter_mut()
            .for_each(|detector| detector.rename(|id| ids[id as usize]));
    }

    /// Goes on from the bucket boundary at or after a time, without results for what lies between.
    fn skip_to(&mut self, millis: i64) {
        let span = self.analysis.span();
        let start = (millis.div_euclid(1_000) + span - 1).div_euclid(span) * span;
        if self.state.open_from.is_some_and(|open| open >= start) {
            return;
        }
        while let Some(bucket) = self.state.open.pop_front_if(|bucket| bucket.start < start) {
            self.retire(bucket);
        }
        self.jump(start, start);
        self.state.latest_bucket = self.state.latest_bucket.max(start);
        if self.state.last_pruning == 0 {
            self.state.last_pruning = start;
        }
    }
}
