//! The analysis of one job: records in, finished buckets out.
//!
//! Time is what the records say. A bucket closes when a record at least `latency` past its end has come, or when a
//! flush says that time has passed; it is then judged, and never changes again.

mod categories;
mod forecast;
mod forests;
mod format1;
mod intake;
mod memory;
mod rules;
mod time;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{AnalysisConfig, MLCATEGORY};
use crate::counts::DataCounts;
use crate::detector::{Closing, Lane, LaneState};
use crate::gather::{Gathered, OpenBucket};
use crate::intern::Interner;
use crate::normalise::Normaliser;
use crate::record::RecordBatch;
use crate::report::Reporter;
use crate::results::BucketResults;
use crate::rules::{RuleSet, Rules, Shift};
use crate::workers::{Alone, Workers};
use categories::Categories;
use forests::{Forests, Sight, tell};

pub use forecast::{ForecastPlace, ForecastPlan, Forecaster, NoForecast};

/// Buckets that one call may close before it hands out what it has, so that a gap in time needs no unbounded memory.
const BUCKETS_A_CALL: u64 = 512;
/// Series that one call may judge: a large job must not keep a thread from the others for long.
const JUDGEMENTS_A_CALL: u64 = 200_000;
/// A longer gap without records is jumped over: a wrong time far in the future must not cost years of empty buckets.
const LONGEST_GAP: i64 = 100_000;
/// Share of the memory limit from which memory is short: idle slots are then pruned early.
const SOFT: f64 = 0.8;
/// Logarithm of how far a bucket must be below the mean size to count as sparse.
const SPARSE: f64 = 2.0;

/// Settings of a run. They are part of the state: a job that is taken up after a crash goes on with those it had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Bytes; 0 for none.
    pub memory_limit: u64,
    /// Seconds after which a series without records is dropped.
    pub prune_window: i64,
    pub plot: PlotOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_limit: 0,
            prune_window: 30 * 86_400,
            plot: PlotOptions::default(),
        }
    }
}

/// What is told of the models themselves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlotOptions {
    pub enabled: bool,
    /// Split values to plot; empty for all.
    pub terms: Vec<String>,
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

/// The format in which states are written.
const FORMAT: u16 = 2;

/// Whether a saved state is of the format in which states are written now.
pub fn is_current(state: &[u8]) -> bool {
    postcard::take_from_bytes::<u16>(state).is_ok_and(|(format, _)| format == FORMAT)
}

#[derive(Debug, Clone)]
pub struct Engine {
    analysis: AnalysisConfig,
    lanes: Vec<Lane>,
    /// Of each lane.
    columns: Vec<LaneColumns>,
    influencer_columns: Vec<usize>,
    summary_column: Option<usize>,
    analysis_fields: u64,
    /// Bytes that a record may come to need beside its slots.
    most_a_record: u64,
    state: State,
    workers: Arc<dyn Workers>,
    /// Emptied buckets, to be used again.
    spare: Vec<OpenBucket>,
    /// Slots dropped since this engine was made.
    dropped: u64,
    /// Influencer values of the record at hand.
    influencers: Vec<Option<u32>>,
    /// Of a job that has categories.
    categories: Option<Categories>,
    /// Of a job whose engine they are.
    forests: Option<Forests>,
}

#[derive(Debug, Clone, Copy)]
struct LaneColumns {
    field: Option<usize>,
    by: Option<usize>,
    over: Option<usize>,
    partition: Option<usize>,
}

/// All that a restored engine needs to go on as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    options: Options,
    counts: DataCounts,
    peak_bytes: u64,
    allocation_failures: u64,
    exceeded_bytes: u64,
    pruned: bool,
    refused: bool,
    /// Whether the last bucket's growth was refused for want of room.
    stunted: bool,
    /// Split values.
    names: Interner,
    lanes: Vec<LaneState>,
    /// Start of the first bucket that still takes records; none before the first record. Epoch seconds.
    open_from: Option<i64>,
    /// Start of the bucket of the earliest record since the beginning or the last jump in time.
    first_bucket: i64,
    /// Start of the bucket of the latest record.
    latest_bucket: i64,
    open: VecDeque<OpenBucket>,
    /// Bytes that the open buckets take beside their slots.
    gathered_bytes: u64,
    last_pruning: i64,
    /// Mean records of a bucket that had some.
    mean_bucket_records: f64,
    rules: Rules,
    /// Moves of a detector's clocks that have been made, of those that the rules ask for.
    shifted: Vec<(usize, Shift)>,
    normaliser: Normaliser,
    annotates: bool,
}

impl Engine {
    pub fn new(analysis: AnalysisConfig, options: Options) -> Self {
        let lanes = Lane::of(&analysis);
        let lanes = lanes.iter().map(LaneState::new).collect();
        let state = State {
            options,
            counts: DataCounts::default(),
            peak_bytes: 0,
            allocation_failures: 0,
            exceeded_bytes: 0,
            pruned: false,
            refused: false,
            stunted: false,
            names: Interner::default(),
            lanes,
            open_from: None,
            first_bucket: 0,
            latest_bucket: 0,
            open: VecDeque::new(),
            gathered_bytes: 0,
            last_pruning: 0,
            mean_bucket_records: 0.0,
            rules: RuleSet::new(&analysis, BTreeMap::new(), Vec::new()).into(),
            shifted: Vec::new(),
            normaliser: Normaliser::new(analysis.span()),
            annotates: true,
        };
        let categories = Categories::new(&analysis, None);
        let forests = Forests::of(&analysis);
        let mut engine = Self::with_state(analysis, state, categories, forests);
        engine.renormalise(None);
        engine
    }

    fn with_state(
        analysis: AnalysisConfig,
        mut state: State,
        categories: Option<Categories>,
        forests: Option<Forests>,
    ) -> Self {
        state.normaliser.weigh();
        // It may have been counted by other measures when it was saved.
        state.gathered_bytes = state.open.iter().map(OpenBucket::bytes).sum();
        let schema = analysis.schema();
        let position = |name: &String| match &categories {
            Some(categories) if name == MLCATEGORY => Some(categories.column),
            _ => schema.position(name),
        };
        let column = |name: &Option<String>| name.as_ref().and_then(position);
        let lanes = Lane::of(&analysis);
        let columns = lanes.iter().map(|lane| {
            let detector = &analysis.detectors[lane.detector];
            LaneColumns {
                field: column(&detector.field_name),
                by: column(&detector.by_field_name),
                over: column(&detector.over_field_name),
                partition: column(&detector.partition_field_name),
            }
        });
        let columns = columns.collect();
        Self {
            lanes,
            columns,
            influencer_columns: analysis.influencers.iter().filter_map(position).collect(),
            summary_column: column(&analysis.summary_count_field_name),
            analysis_fields: analysis.analysis_fields().len() as u64,
            most_a_record: Gathered::most_a_record(analysis.influencers.len()),
            influencers: vec![None; analysis.influencers.len()],
            analysis,
            state,
            workers: Arc::new(Alone),
            spare: Vec::new(),
            categories,
            forests,
            dropped: 0,
        }
    }

    /// Takes up a saved state of the same analysis.
    pub fn restore(analysis: AnalysisConfig, bytes: &[u8]) -> Result<Self, StateError> {
        let damaged = |error: postcard::Error| StateError::Damaged(error.to_string());
        let (format, rest) = postcard::take_from_bytes::<u16>(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(StateError::Newer(format));
        }
        let mut forests = None;
        let (state, categories) = match format {
            1 => (format1::read(rest, &analysis).map_err(damaged)?, None),
            _ => {
                let (state, rest) = postcard::take_from_bytes::<State>(rest).map_err(damaged)?;
                let (categories, rest) = postcard::take_from_bytes(rest).map_err(damaged)?;
                if analysis.forest.is_some() {
                    forests = Some(Forests::restore(rest).map_err(damaged)?);
                }
                (state, categories)
            }
        };
        let lanes = Lane::of(&analysis);
        let fits = |(lane, state): (&Lane, &LaneState)| state.is_of(lane);
        if state.lanes.len() != lanes.len() || !lanes.iter().zip(&state.lanes).all(fits) {
            return Err(StateError::OtherAnalysis);
        }
        let entities = state.lanes.first().map(LaneState::len);
        if forests
            .as_ref()
            .is_some_and(|of| Some(of.len()) != entities)
        {
            return Err(StateError::OtherAnalysis);
        }
        let categories = Categories::new(&analysis, categories);
        Ok(Self::with_state(analysis, state, categories, forests))
    }

    /// The state, from which [`Engine::restore`] goes on as if nothing had been between.
    pub fn save(&self) -> Vec<u8> {
        // Writing to memory fails for no type of ours: lengths are known and there are no foreign serialisers.
        postcard::to_stdvec(&FORMAT)
            .and_then(|head| postcard::to_extend(&self.state, head))
            .and_then(|states| {
                let categories = self.categories.as_ref();
                postcard::to_extend(&categories.map(Categories::state), states)
            })
            .and_then(|states| match &self.forests {
                Some(forests) => forests.save(states),
                None => Ok(states),
            })
            .unwrap_or_else(|error| unreachable!("the state can't be written: {error}"))
    }

    /// Lends the engine workers; what it finds is the same with any.
    pub fn employ(&mut self, workers: Arc<dyn Workers>) {
        self.workers = workers;
    }

    pub fn analysis(&self) -> &AnalysisConfig {
        &self.analysis
    }

    pub fn counts(&self) -> &DataCounts {
        &self.state.counts
    }

    /// Takes other settings for what comes next.
    pub fn configure(&mut self, options: Options) {
        self.state.options = options;
    }

    /// Sets scores against those of another window from now on, in seconds: none for the usual window, 0 to leave
    /// them as they are. It belongs to the settings of a run, beside [`Options`].
    pub fn renormalise(&mut self, window: Option<i64>) {
        let span = self.analysis.span();
        // A grade is what it is, whatever was before.
        let window = if self.forests.is_some() {
            Some(0)
        } else {
            window
        };
        self.state.normaliser.configure(window, span);
    }

    /// Whether changes of the models are told in annotations from now on. It belongs to the settings of a run as well.
    pub fn annotate(&mut self, changes: bool) {
        self.state.annotates = changes;
    }

    /// Plots other models from now on.
    pub fn plot(&mut self, plot: PlotOptions) {
        self.state.options.plot = plot;
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
            let closing = |lane| Closing {
                lane,
                bucket: bucket.start,
                plotted: None,
                workers: &Alone,
                ruling: self.ruling(lane, bucket.start),
            };
            let closings: Vec<Closing<'_>> = self.lanes.iter().map(closing).collect();
            let mut settled = bucket.lanes.clone();
            for (number, closing) in closings.iter().enumerate() {
                let gathered = &mut settled[number];
                gathered.settle(closing.lane.metric, &bucket.names);
                let closed = self.state.lanes[number].peek(closing, gathered, complete);
                reporter.see(number, closing, closed);
            }
            let mut forests = None;
            if let Some(all) = &self.forests {
                let sight = Sight {
                    analysis: &self.analysis,
                    names: &self.state.names,
                    states: &self.state.lanes,
                    closings: &closings,
                    gathered: &settled,
                    is_interim: true,
                };
                let told = all.peek(sight, complete);
                for (number, (closing, closed)) in closings.iter().zip(told.closed).enumerate() {
                    reporter.see(number, closing, closed);
                }
                forests = Some(told.results);
            }
            let mut result = reporter.finish(bucket, &self.state.lanes);
            if let Some(forests) = forests {
                tell(&mut result, forests);
            }
            result.bucket.scheduled_events = self.state.rules.scheduled(bucket.start);
            let normaliser = &self.state.normaliser;
            normaliser.bound(&self.analysis.influencers, &mut result);
            results.push(result);
        }
        results
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

    fn reporter(&self, start: i64, is_interim: bool) -> Reporter<'_> {
        Reporter::new(
            &self.analysis,
            &self.lanes,
            &self.state.names,
            start,
            is_interim,
        )
    }
}
