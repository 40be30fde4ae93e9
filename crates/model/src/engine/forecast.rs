//! Forecasts of all series of a job, taken from the engine in parts.

use super::Engine;
use crate::detector::{LaneState, NO_SPLIT};
use crate::results::{ByField, ForecastSeries, PartitionField};
use crate::series::{Forecast, Point, Series};

/// Why a job can't be forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoForecast {
    #[error("Forecast is not supported for population analysis")]
    Population,
    #[error("Forecast cannot be executed as job requires data to have been processed and modeled")]
    NoData,
}

/// What there is to forecast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastPlan {
    /// End of the last final bucket, from which it goes on; epoch seconds.
    pub start: i64,
    /// What can't be forecast.
    pub messages: Vec<String>,
    /// Series there are now.
    pub series: u64,
}

/// How far forecasting has come: a lane, the next slot in it, and the slots that had been dropped by then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForecastPlace {
    lane: usize,
    slot: usize,
    dropped: u64,
}

/// The model of one series, apart from its engine.
#[derive(Debug, Clone)]
pub struct Forecaster {
    pub of: ForecastSeries,
    series: Series,
}

impl Forecaster {
    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        self.series.bytes() as u64
    }

    /// The buckets from `start` to before `end`, epoch seconds, each with its start.
    pub fn points(&self, start: i64, end: i64) -> impl Iterator<Item = (i64, Point)> {
        let forecast = Forecast::new(&self.series);
        let span = self.of.bucket_span.max(1);
        let times = (0..).map(move |bucket| start.saturating_add(span.saturating_mul(bucket)));
        let times = times.take_while(move |time| *time < end);
        times.filter_map(move |time| Some((time, forecast.as_ref()?.at(time))))
    }
}

impl Engine {
    pub fn forecast_plan(&self) -> Result<ForecastPlan, NoForecast> {
        if self.columns.iter().any(|columns| columns.over.is_some()) {
            return Err(NoForecast::Population);
        }
        let series = || self.state.lanes.iter().filter(|lane| lane.has_series());
        let seen = |lane: &LaneState| (0..lane.len()).any(|slot| lane.slot(slot).2 > 0);
        let start = self.last_finalized_bucket_end();
        let Some(start) = start.filter(|_| self.state.lanes.iter().any(seen)) else {
            return Err(NoForecast::NoData);
        };
        let mut messages = Vec::new();
        for (lane, state) in self.lanes.iter().zip(&self.state.lanes) {
            if !state.has_series() {
                let function = self.analysis.detectors[lane.detector].function;
                messages.push(format!(
                    "The function [{}] of detector [{}] can't be forecast",
                    function.name(),
                    lane.detector
                ));
            }
        }
        messages.dedup();
        Ok(ForecastPlan {
            start: start.div_euclid(1_000),
            messages,
            series: series().map(|lane| lane.len() as u64).sum(),
        })
    }

    /// Copies of the next models, of about so many bytes together, at least one; and whether more are left. A series
    /// may come a second time when others have been dropped since the last part.
    pub fn forecast_part(&self, place: &mut ForecastPlace, bytes: u64) -> (Vec<Forecaster>, bool) {
        let dropped = self.dropped.saturating_sub(place.dropped);
        let back = usize::try_from(dropped).unwrap_or(usize::MAX);
        place.slot = place.slot.saturating_sub(back);
        place.dropped = self.dropped;
        let (mut part, mut taken) = (Vec::new(), 0);
        while let Some(state) = self.state.lanes.get(place.lane) {
            if place.slot >= state.len() {
                (place.lane, place.slot) = (place.lane + 1, 0);
                continue;
            }
            if let Some(series) = state.series(place.slot).filter(|series| series.seen() > 0) {
                let size = series.bytes() as u64;
                if taken > 0 && taken + size > bytes {
                    break;
                }
                taken += size;
                part.push(Forecaster {
                    of: self.forecast_series(place.lane, place.slot),
                    series: series.clone(),
                });
            }
            place.slot += 1;
        }
        (part, place.lane < self.state.lanes.len())
    }

    fn forecast_series(&self, lane: usize, slot: usize) -> ForecastSeries {
        let (key, ..) = self.state.lanes[lane].slot(slot);
        let lane = &self.lanes[lane];
        let detector = &self.analysis.detectors[lane.detector];
        let name = |id: u32| match id {
            NO_SPLIT => String::new(),
            id => self.state.names.name(id).to_owned(),
        };
        let by = detector.by_field_name.as_ref().map(|field| ByField {
            by_field_name: field.clone(),
            by_field_value: name(key.by),
        });
        let partition = detector.partition_field_name.as_ref();
        let partition = partition.map(|field| PartitionField {
            partition_field_name: field.clone(),
            partition_field_value: name(key.partition),
        });
        ForecastSeries {
            bucket_span: lane.span,
            detector_index: lane.detector,
            partition,
            by,
            model_feature: lane.metric.feature(),
        }
    }
}
