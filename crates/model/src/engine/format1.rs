//! The saved state's first format, read only.

use std::collections::VecDeque;

use serde::Deserialize;

use super::{Options, State};
use crate::config::{AnalysisConfig, Metric};
use crate::counts::DataCounts;
use crate::detector::{Individual, Lane, LaneState, Member};
use crate::gather::{Accumulator, Gathered, InfluenceKey, OpenBucket};
use crate::intern::Interner;
use crate::normalise::Normaliser;
use crate::rules::Rules;
use crate::series::format1;

#[derive(Deserialize)]
struct State1 {
    options: Options,
    counts: DataCounts,
    peak_bytes: u64,
    allocation_failures: u64,
    exceeded_bytes: u64,
    pruned: bool,
    refused: bool,
    names: Interner,
    detectors: Vec<Detector1>,
    open_from: Option<i64>,
    first_bucket: i64,
    latest_bucket: i64,
    open: VecDeque<OpenBucket1>,
    /// Influencer values at work: counted anew.
    #[allow(dead_code)]
    influences: u64,
    last_pruning: i64,
    mean_bucket_records: f64,
}

#[derive(Deserialize)]
struct Detector1 {
    members: Vec<Member1>,
}

#[derive(Deserialize)]
struct Member1 {
    partition: u32,
    by: u32,
    last_record: i64,
    series: format1::Series,
}

#[derive(Deserialize)]
struct OpenBucket1 {
    start: i64,
    records: u64,
    events: f64,
    names: Interner,
    detectors: Vec<Gathered1>,
}

#[derive(Deserialize)]
struct Gathered1 {
    series: Vec<Accumulator1>,
    touched: Vec<u32>,
    influences: Vec<(InfluenceKey, Accumulator1)>,
}

#[derive(Deserialize)]
struct Accumulator1 {
    count: f64,
    valued: f64,
    sum: f64,
    min: f64,
    max: f64,
}

impl From<Member1> for Member {
    fn from(member: Member1) -> Self {
        Self {
            partition: member.partition,
            by: member.by,
            last_record: member.last_record,
            series: member.series.into(),
        }
    }
}

impl Accumulator1 {
    fn of(self, metric: Metric) -> Accumulator {
        let a = match metric {
            Metric::Sum | Metric::Mean => self.sum,
            Metric::Min => self.min,
            Metric::Max => self.max,
            _ => 0.0,
        };
        Accumulator {
            count: self.count,
            valued: self.valued,
            a: if self.valued > 0.0 { a } else { 0.0 },
            b: 0.0,
        }
    }
}

impl Gathered1 {
    fn of(self, metric: Metric) -> Gathered {
        let slots = self.series.into_iter().map(|slot| slot.of(metric));
        let influences = self.influences.into_iter();
        Gathered::restored(
            slots.collect(),
            self.touched,
            influences
                .map(|(key, part)| (key, part.of(metric)))
                .collect(),
        )
    }
}

/// Reads a state of the first format, in which a detector had one lane and each lane series of their own.
pub(super) fn read(bytes: &[u8], analysis: &AnalysisConfig) -> postcard::Result<State> {
    let state: State1 = postcard::from_bytes(bytes)?;
    let metrics = || analysis.detectors.iter().map(|d| d.function.metric());
    let open = state.open.into_iter().map(|bucket| OpenBucket {
        start: bucket.start,
        records: bucket.records,
        events: bucket.events,
        names: bucket.names,
        lanes: bucket
            .detectors
            .into_iter()
            .zip(metrics())
            .map(|(gathered, metric)| gathered.of(metric))
            .collect(),
    });
    let open: VecDeque<OpenBucket> = open.collect();
    Ok(State {
        options: state.options,
        counts: state.counts,
        peak_bytes: state.peak_bytes,
        allocation_failures: state.allocation_failures,
        exceeded_bytes: state.exceeded_bytes,
        pruned: state.pruned,
        refused: state.refused,
        stunted: false,
        names: state.names,
        lanes: Lane::of(analysis)
            .iter()
            .zip(state.detectors)
            .map(|(lane, detector)| {
                let members = detector.members.into_iter().map(Member::from);
                LaneState::Individual(Individual::restored(lane, members))
            })
            .collect(),
        open_from: state.open_from,
        first_bucket: state.first_bucket,
        latest_bucket: state.latest_bucket,
        gathered_bytes: open.iter().map(OpenBucket::bytes).sum(),
        open,
        last_pruning: state.last_pruning,
        mean_bucket_records: state.mean_bucket_records,
        rules: Rules::default(),
        shifted: Vec::new(),
        normaliser: Normaliser::new(analysis.span()),
    })
}
