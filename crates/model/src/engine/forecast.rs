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
    #[error("Forecast is not supported by the random_cut_forest engine")]
    Forest,
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
        if self.forests.is_some() {
            return Err(NoForecast::Forest);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::{Flush, Options};
    use crate::record::RecordBatch;

    const HOUR: i64 = 3_600;
    const START: i64 = 1_700_006_400;

    fn engine(prune_window: i64) -> Engine {
        let analysis = serde_json::from_value(json!({
            "bucket_span": "1h", "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p"}]
        }));
        let options = Options {
            prune_window,
            ..Options::default()
        };
        Engine::new(analysis.expect("a valid analysis"), options)
    }

    /// A record of each part in each hour; all buckets are final after it.
    fn process(engine: &mut Engine, parts: &[&str], hours: std::ops::Range<i64>) {
        let mut batch = RecordBatch::new(2);
        for hour in hours.clone() {
            for (number, part) in parts.iter().enumerate() {
                batch.begin();
                batch.set_number(0, number as f64 + (hour % 3) as f64);
                batch.set_display(1, part);
                batch.commit((START + hour * HOUR) * 1_000);
            }
        }
        let mut results = Vec::new();
        let mut row = 0;
        while row < batch.len() {
            row = engine.process(&batch, row, &mut results);
        }
        let flush = Flush {
            advance_time: Some((START + hours.end * HOUR) * 1_000),
            skip_time: None,
        };
        while !engine.flush(&flush, &mut results) {}
    }

    fn parts(engine: &Engine, place: &mut ForecastPlace, bytes: u64) -> (Vec<String>, bool) {
        let (part, more) = engine.forecast_part(place, bytes);
        let name = |one: &Forecaster| {
            let partition = one.of.partition.as_ref();
            partition.map_or(String::new(), |field| field.partition_field_value.clone())
        };
        (part.iter().map(name).collect(), more)
    }

    #[test]
    fn every_series_comes_once_whatever_the_parts() {
        let mut engine = engine(30 * 86_400);
        assert_eq!(engine.forecast_plan(), Err(NoForecast::NoData));
        process(&mut engine, &["a", "b", "c"], 0..40);
        let plan = engine.forecast_plan().expect("there are data");
        assert_eq!((plan.start, plan.series), (START + 40 * HOUR, 3));
        for bytes in [1, 3_000, u64::MAX] {
            let (mut place, mut all) = (ForecastPlace::default(), Vec::new());
            loop {
                let (names, more) = parts(&engine, &mut place, bytes);
                assert!(bytes > 1 || names.len() == 1);
                all.extend(names);
                if !more {
                    break;
                }
            }
            assert_eq!(all, ["a", "b", "c"], "{bytes}");
        }
        let (part, _) = engine.forecast_part(&mut ForecastPlace::default(), u64::MAX);
        let points: Vec<(i64, Point)> = part[2].points(plan.start, plan.start + 5 * HOUR).collect();
        let times: Vec<i64> = points
            .iter()
            .map(|(time, _)| (time - START) / HOUR)
            .collect();
        assert_eq!(times, [40, 41, 42, 43, 44]);
        assert!(
            points
                .iter()
                .all(|(_, point)| (1.9..4.1).contains(&point.prediction))
        );

        let saved = Engine::restore(engine.analysis().clone(), &engine.save()).expect("sound");
        let (again, _) = saved.forecast_part(&mut ForecastPlace::default(), u64::MAX);
        let again: Vec<(i64, Point)> = again[2].points(plan.start, plan.start + 5 * HOUR).collect();
        assert_eq!(points, again);
    }

    #[test]
    fn none_is_left_out_when_others_are_dropped_meanwhile() {
        let mut engine = engine(10 * HOUR);
        process(&mut engine, &["a", "b", "c", "d"], 0..20);
        let mut place = ForecastPlace::default();
        assert_eq!(parts(&engine, &mut place, 1), (vec!["a".to_owned()], true));
        assert_eq!(parts(&engine, &mut place, 1), (vec!["b".to_owned()], true));
        // The first is forgotten; the others move up.
        process(&mut engine, &["b", "c", "d"], 20..60);
        let rest = parts(&engine, &mut place, u64::MAX).0;
        assert!(
            rest.ends_with(&["c".to_owned(), "d".to_owned()]),
            "{rest:?}"
        );
        assert!(!rest.contains(&"a".to_owned()));
    }
}
