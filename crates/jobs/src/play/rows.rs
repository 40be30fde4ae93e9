//! The rows of a metric set: the values of what jobs watch, as their results have them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidewatch_model::config::{Detector, Metric};

use super::condition::Condition;
use super::marks::{Series, Told};
use super::read::Results;
use super::settings::Play;
use super::timeline::{Period, Timeline};
use crate::config::Job;
use crate::error::{JobError, Result};
use crate::manager::Jobs;

/// Points that are looked at together at first, and at most.
const FEW: i64 = 1;
const MANY: i64 = 64;

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub struct RowsAsked {
    pub app: String,
    pub metric_set: String,
    /// All that there are, where none is named.
    pub metrics: Vec<String>,
    pub dimensions: Vec<String>,
    pub period: Period,
    /// The first moment of the timeline, and the end, which is not part of it.
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub condition: Condition,
    /// Those behind this one.
    pub after: Option<RowSpot>,
    /// At least 1.
    pub most: usize,
}

/// The place of a row: its point, and the values of its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowSpot {
    pub point: i64,
    pub values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The place of each dimension's value is that of the dimension.
    pub spot: RowSpot,
    /// By name.
    pub metrics: BTreeMap<String, f64>,
}

/// A page of them, by time and by their dimensions' values.
#[derive(Debug)]
pub struct Rows {
    pub rows: Vec<Row>,
    pub is_more: bool,
}

impl Jobs {
    /// A page of the rows of a metric set.
    ///
    /// # Errors
    /// 404 where no job shows it, 400 where none has a metric by these dimensions.
    pub async fn play_rows(&self, asked: &RowsAsked) -> Result<Rows> {
        let jobs = self.shown_to_play()?;
        let shown: Vec<&(Job, Play)> = jobs
            .iter()
            .filter(|(_, play)| play.app == asked.app && play.metric_set == asked.metric_set)
            .collect();
        if shown.is_empty() {
            return Err(JobError::not_found(format!(
                "no job shows [apps/{}/{}]",
                asked.app, asked.metric_set
            )));
        }
        let mut sources: Vec<Source<'_>> = shown
            .iter()
            .filter_map(|(job, play)| Source::of(self, job, play, asked))
            .collect();
        let has = |metric: &str| sources.iter().any(|s| s.results.play.metric == *metric);
        let missing = asked.metrics.iter().find(|metric| !has(metric));
        if missing.is_some() || sources.is_empty() {
            return Err(unavailable(missing, asked, &shown));
        }
        for source in &mut sources {
            source.until = self.play_end(source.job).await?.unwrap_or(i64::MIN);
        }
        read(&sources, asked).await
    }
}

/// Why there are no such rows, and which there are.
fn unavailable(metric: Option<&String>, asked: &RowsAsked, shown: &[&(Job, Play)]) -> JobError {
    let mut there = BTreeSet::new();
    for (job, play) in shown {
        let period = Timeline::new(job.analysis_config.bucket_span.as_secs()).rows();
        let state = match (period, has_values(job)) {
            (None, _) => "buckets that are no part of an hour, and no day",
            (_, false) => "no model plot",
            (Some(Period::Daily), _) => "DAILY",
            (Some(Period::Hourly), _) => "HOURLY",
        };
        for detector in play.detectors(&job.analysis_config).unwrap_or_default() {
            let names = job.analysis_config.detectors.get(detector).map(split);
            let names = names.unwrap_or_default().join(", ");
            there.insert(format!("{} by [{names}] ({state})", play.metric));
        }
    }
    let told = match metric {
        Some(metric) => format!("{metric} is not available"),
        None => "nothing is available".to_owned(),
    };
    let there: Vec<String> = there.into_iter().collect();
    JobError::illegal_argument(format!(
        "{told} by [{}] for this period and filter. Jobs have: {}",
        asked.dimensions.join(", "),
        there.join("; ")
    ))
}

/// Whether a job keeps values that are usual, too.
fn has_values(job: &Job) -> bool {
    job.plot_options().enabled || job.forest().is_some()
}

/// The fields that a detector is split by.
fn split(detector: &Detector) -> Vec<&str> {
    let fields = [
        &detector.partition_field_name,
        &detector.by_field_name,
        &detector.over_field_name,
    ];
    fields.into_iter().filter_map(|f| f.as_deref()).collect()
}

/// A job whose values make rows.
struct Source<'a> {
    job: &'a Job,
    results: Results<'a>,
    /// The end of the last point that is final, on its timeline.
    until: i64,
}

impl<'a> Source<'a> {
    /// None of a job that has no such values.
    fn of(jobs: &'a Jobs, job: &'a Job, play: &'a Play, asked: &RowsAsked) -> Option<Self> {
        let mut results = Results::of(jobs.store(), job, play)?;
        let is_asked = asked.metrics.is_empty() || asked.metrics.contains(&play.metric);
        if !is_asked || !has_values(job) || results.timeline.rows() != Some(asked.period) {
            return None;
        }
        let detectors = &job.analysis_config.detectors;
        results.detectors.retain(|&number| {
            let names = detectors.get(number).map(split).unwrap_or_default();
            let is_known = |name: &str| names.contains(&name);
            asked.dimensions.iter().all(|name| is_known(name))
                && asked.condition.dimensions().into_iter().all(is_known)
                && names.iter().all(|name| {
                    asked.dimensions.iter().any(|asked| asked == name) || asked.condition.pins(name)
                })
        });
        let has_some = !results.detectors.is_empty();
        has_some.then_some(Self {
            job,
            results,
            until: i64::MIN,
        })
    }

    fn metric(&self, detector: usize) -> Option<Metric> {
        let detector = self.job.analysis_config.detectors.get(detector)?;
        Some(detector.function.metric())
    }
}

/// The values of a point's buckets as one. Those of another job, or another of its detectors, are passed over.
struct Sum<'a> {
    job_id: &'a str,
    detector: usize,
    metric: Metric,
    value: f64,
    count: f64,
}

impl Sum<'_> {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.value = match self.metric {
            Metric::Min => self.value.min(value),
            Metric::Max => self.value.max(value),
            _ => self.value + value,
        };
    }

    fn value(&self) -> f64 {
        match self.metric {
            Metric::Min | Metric::Max => self.value,
            metric if metric.adds_up() => self.value,
            _ => self.value / self.count,
        }
    }
}

/// The rows that have been found, with their metrics by name.
struct Table<'a> {
    asked: &'a RowsAsked,
    rows: BTreeMap<RowSpot, BTreeMap<&'a str, Sum<'a>>>,
}

impl<'a> Table<'a> {
    /// Takes a value of a bucket, if it is of a row that is asked for.
    fn take(&mut self, source: &'a Source<'_>, time: i64, told: &Told) {
        let Series {
            detector,
            dimensions,
        } = &told.series;
        let value = |name: &String| {
            let has = dimensions.iter().find(|(dimension, _)| dimension == name);
            has.map(|(_, value)| value.clone())
        };
        let values: Option<Vec<String>> = self.asked.dimensions.iter().map(value).collect();
        let (Some(values), Some(metric)) = (values, source.metric(*detector)) else {
            return;
        };
        let spot = RowSpot {
            point: source.results.timeline.point(time),
            values,
        };
        let is_behind = self.asked.after.as_ref().is_none_or(|after| spot > *after);
        if !is_behind || !self.asked.condition.holds(dimensions) {
            return;
        }
        let row = self.rows.entry(spot).or_default();
        let sum = row.entry(&source.results.play.metric);
        let job_id = source.job.job_id.as_str();
        sum.and_modify(|sum| {
            if (sum.job_id, sum.detector) == (job_id, *detector) {
                sum.add(told.value);
            }
        })
        .or_insert(Sum {
            job_id,
            detector: *detector,
            metric,
            value: told.value,
            count: 1.0,
        });
    }

    fn page(self) -> Rows {
        let is_more = self.rows.len() > self.asked.most;
        let rows = self.rows.into_iter().take(self.asked.most);
        let rows = rows.map(|(spot, sums)| {
            let sums = sums.into_iter();
            Row {
                spot,
                metrics: sums
                    .map(|(name, sum)| (name.to_owned(), sum.value()))
                    .collect(),
            }
        });
        Rows {
            rows: rows.collect(),
            is_more,
        }
    }
}

/// Reads on from the first point, some points at a time, until there are enough rows.
async fn read(sources: &[Source<'_>], asked: &RowsAsked) -> Result<Rows> {
    let timeline = sources[0].results.timeline;
    let (earliest, latest) = timeline.all();
    let after = asked.after.as_ref().map_or(earliest, |after| after.point);
    let mut start = timeline.point(asked.start.unwrap_or(earliest).max(after));
    let end = timeline.point(asked.end.unwrap_or(latest));
    let mut points = FEW;
    let mut table = Table {
        asked,
        rows: BTreeMap::new(),
    };
    while table.rows.len() <= asked.most {
        let mut next: Option<i64> = None;
        for source in sources {
            let first = source.results.first_value(start, end.min(source.until));
            let first = first.await?.map(|time| timeline.point(time));
            next = next.into_iter().chain(first).min();
        }
        let Some(next) = next else { break };
        start = next
            .saturating_add(points.saturating_mul(timeline.width))
            .min(end);
        for source in sources {
            let until = start.min(source.until);
            let take = |time, told: Told| table.take(source, time, &told);
            source.results.values(next, until, take).await?;
        }
        points = (2 * points).min(MANY);
    }
    Ok(table.page())
}
