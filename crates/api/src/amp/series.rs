//! What detectors found, as series of Prometheus.

use std::collections::HashMap;

use serde::Deserialize;
use tidewatch_jobs::{JobError, Jobs};
use tidewatch_store::ForestQuery;

use super::detector::{Detector, Found};
use super::promql::{Labels, NAME, Selector, Series};

/// Samples of one query.
const MAX_SAMPLES: i64 = 4_000_000;
/// Results that are read at a time.
const CHUNK: i64 = 20_000;
const ALIAS: &str = "alias";

/// A number of a result, and the metric that it is.
pub const METRICS: [&str; 4] = [
    "anomaly_detector:value",
    "anomaly_detector:score",
    "anomaly_detector:upper_band",
    "anomaly_detector:lower_band",
];

/// What is read of a forest's result.
#[derive(Debug, Deserialize)]
pub struct Point {
    /// Start of the bucket, epoch milliseconds.
    pub timestamp: i64,
    /// Seconds.
    bucket_span: i64,
    #[serde(default)]
    entity: Vec<Field>,
    anomaly_grade: f64,
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    imputed: Vec<bool>,
    #[serde(default)]
    upper: Vec<f64>,
    #[serde(default)]
    lower: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Field {
    value: String,
}

impl Point {
    pub fn read(document: &str) -> Option<Self> {
        serde_json::from_str(document).ok()
    }

    /// When the query was evaluated: the end of the bucket.
    pub fn time(&self) -> i64 {
        self.timestamp + self.bucket_span * 1_000
    }

    /// In the order of [`METRICS`]. What was missing has no value; before a forest can tell there is neither score nor
    /// band.
    pub fn numbers(&self) -> [Option<f64>; 4] {
        let is_there = self.imputed.first() != Some(&true);
        let first = |numbers: &[f64]| numbers.first().copied();
        let (upper, lower) = (first(&self.upper), first(&self.lower));
        let score = (upper.is_some() || self.anomaly_grade > 0.0).then_some(self.anomaly_grade);
        [
            first(&self.values).filter(|_| is_there),
            score,
            upper,
            lower,
        ]
    }

    /// All labels of its series, as the datafeed wrote them.
    pub fn series(&self) -> &str {
        self.entity.first().map_or("{}", |field| &field.value)
    }
}

impl Detector {
    /// The labels of a metric: those of the series that was asked for, and the detector's own over them.
    pub fn metric(&self, name: &str, series: &str) -> Labels {
        let mut labels: Labels = serde_json::from_str(series).unwrap_or_default();
        let own = self.wanted.labels.iter();
        labels.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        labels.insert(ALIAS.to_owned(), self.alias.clone());
        labels.insert(NAME.to_owned(), name.to_owned());
        labels
    }

    /// Whether any of its series may fit.
    fn is_meant(&self, selector: &Selector) -> bool {
        let has_name = METRICS.iter().any(|name| selector.admits(NAME, name));
        has_name && selector.admits(ALIAS, &self.alias)
    }
}

/// Why there are no series.
#[derive(Debug)]
pub enum NoSeries {
    TooMany,
    Job(JobError),
}

impl From<JobError> for NoSeries {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

/// The series of detectors that fit any of the selectors, with their samples after `from` up to and with `to`; epoch
/// milliseconds. In the order of their labels.
pub async fn load(
    jobs: &Jobs,
    detectors: &[Found],
    selectors: &[&Selector],
    from: i64,
    to: i64,
) -> Result<Vec<Series>, NoSeries> {
    let mut budget = MAX_SAMPLES;
    let mut all = Vec::new();
    for found in detectors {
        let detector = &found.detector;
        if selectors.iter().any(|selector| detector.is_meant(selector)) {
            let of_one = OfOne {
                jobs,
                found,
                selectors,
            };
            let span = detector.wanted.interval();
            let (from, to) = (from.saturating_add(1), to.saturating_add(1));
            all.extend(
                of_one
                    .load(
                        from.saturating_sub(span),
                        to.saturating_sub(span),
                        &mut budget,
                    )
                    .await?,
            );
        }
    }
    all.sort_by(|one, other| one.labels.cmp(&other.labels));
    Ok(all)
}

/// When the first evaluation after a time was, epoch milliseconds.
///
/// # Errors
/// 404 where the detector is gone.
pub async fn first_after(jobs: &Jobs, found: &Found, time: i64) -> Result<Option<i64>, JobError> {
    let span = found.detector.wanted.interval();
    let query = ForestQuery {
        job_id: found.job.job_id.clone(),
        start: Some(time.saturating_add(1).saturating_sub(span)),
        exclude_interim: true,
        size: 1,
        ..ForestQuery::default()
    };
    first(jobs, &query)
        .await
        .map(|first| first.map(|start| start + span))
}

/// Where the first bucket of a query begins.
async fn first(jobs: &Jobs, query: &ForestQuery) -> Result<Option<i64>, JobError> {
    let page = jobs.forest_results(query).await?;
    let first = page.docs.first().and_then(|document| Point::read(document));
    Ok(first.map(|point| point.timestamp))
}

/// One detector of a query.
struct OfOne<'a> {
    jobs: &'a Jobs,
    found: &'a Found,
    selectors: &'a [&'a Selector],
}

impl OfOne<'_> {
    /// Buckets that begin from `start` on and before `end`.
    async fn load(&self, start: i64, end: i64, budget: &mut i64) -> Result<Vec<Series>, NoSeries> {
        let query = |start, end, size| ForestQuery {
            job_id: self.found.job.job_id.clone(),
            start: Some(start),
            end: Some(end),
            exclude_interim: true,
            size,
            ..ForestQuery::default()
        };
        let count = match self.jobs.forest_results(&query(start, end, 0)).await {
            Ok(page) => page.count,
            // It was deleted just now.
            Err(error) if error.status == 404 => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        *budget -= count.saturating_mul(METRICS.len() as i64);
        if *budget < 0 {
            return Err(NoSeries::TooMany);
        }
        let mut series: Vec<Series> = Vec::new();
        // Which of them are an entity's, by what is written of it; None for those that don't fit.
        let mut places: HashMap<String, [Option<usize>; 4]> = HashMap::new();
        let span = self.found.detector.wanted.interval();
        // Nothing is older than the first of them: there is no use in looking for it in empty years.
        let mut from = match count {
            0 => return Ok(series),
            _ => first(self.jobs, &query(start, end, 1))
                .await?
                .unwrap_or(start),
        };
        let buckets = (end - from).div_euclid(span.max(1)).max(1);
        let step = (buckets * CHUNK / count).max(1).saturating_mul(span);
        while from < end {
            let until = from.saturating_add(step).min(end);
            let page = self.jobs.forest_results(&query(from, until, count)).await?;
            for point in page
                .docs
                .iter()
                .filter_map(|document| Point::read(document))
            {
                let places = match places.get(point.series()) {
                    Some(places) => *places,
                    None => {
                        let new = self.places(point.series(), &mut series);
                        places.insert(point.series().to_owned(), new);
                        new
                    }
                };
                for (place, number) in places.into_iter().zip(point.numbers()) {
                    if let (Some(place), Some(number)) = (place, number) {
                        series[place].samples.push((point.time(), number));
                    }
                }
            }
            from = until;
        }
        series.retain(|series| !series.samples.is_empty());
        Ok(series)
    }

    /// Makes the series of an entity that fit.
    fn places(&self, entity: &str, series: &mut Vec<Series>) -> [Option<usize>; 4] {
        METRICS.map(|name| {
            let labels = self.found.detector.metric(name, entity);
            let fits = self.selectors.iter().any(|one| one.fits(&labels));
            fits.then(|| {
                series.push(Series {
                    labels,
                    samples: Vec::new(),
                });
                series.len() - 1
            })
        })
    }
}
