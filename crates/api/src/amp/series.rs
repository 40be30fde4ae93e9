//! What detectors found, as series of Prometheus.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        series_of(&self.entity)
    }
}

fn series_of(entity: &[Field]) -> &str {
    entity.first().map_or("{}", |field| &field.value)
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
    for of_one in meant(jobs, detectors, selectors) {
        match of_one.load(from, to, &mut budget).await {
            Ok(series) => all.extend(series),
            // It was deleted just now.
            Err(NoSeries::Job(error)) if error.status == 404 => {}
            Err(why) => return Err(why),
        }
    }
    all.sort_by(|one, other| one.labels.cmp(&other.labels));
    Ok(all)
}

/// The labels of the series that fit any of the selectors and have a sample after `from` up to and with `to`; epoch
/// milliseconds. However many samples there are.
pub async fn labels(
    jobs: &Jobs,
    detectors: &[Found],
    selectors: &[&Selector],
    from: i64,
    to: i64,
) -> Result<BTreeSet<Labels>, JobError> {
    let mut all = BTreeSet::new();
    for of_one in meant(jobs, detectors, selectors) {
        match of_one.labels(from, to).await {
            Ok(labels) => all.extend(labels),
            Err(error) if error.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The detectors of which any series may fit.
fn meant<'a>(
    jobs: &'a Jobs,
    detectors: &'a [Found],
    selectors: &'a [&Selector],
) -> impl Iterator<Item = OfOne<'a>> {
    let of_each = detectors.iter().map(move |found| OfOne {
        jobs,
        found,
        selectors,
    });
    of_each.filter(|of_one| {
        let mut selectors = of_one.selectors.iter();
        selectors.any(|selector| of_one.found.detector.is_meant(selector))
    })
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

/// The results of one detector in a stretch of time, in parts that have about [`CHUNK`] of them.
struct Parts {
    count: i64,
    /// Start of the next bucket, and the end of the last; epoch milliseconds.
    from: i64,
    end: i64,
    step: i64,
}

impl Iterator for Parts {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from;
        self.from = from.saturating_add(self.step).min(self.end);
        (from < self.end).then_some((from, self.from))
    }
}

impl OfOne<'_> {
    /// Those of buckets that begin from `start` on and before `end`.
    fn query(&self, start: i64, end: i64, size: i64) -> ForestQuery {
        ForestQuery {
            job_id: self.found.job.job_id.clone(),
            start: Some(start),
            end: Some(end),
            exclude_interim: true,
            size,
            ..ForestQuery::default()
        }
    }

    /// The results that were evaluated after `from`, up to and with `to`.
    async fn parts(&self, from: i64, to: i64) -> Result<Parts, JobError> {
        let span = self.found.detector.wanted.interval();
        let first_of = |time: i64| time.saturating_add(1).saturating_sub(span);
        let (start, end) = (first_of(from), first_of(to));
        let page = self.jobs.forest_results(&self.query(start, end, 0)).await?;
        let count = page.count;
        // Nothing is older than the first of them: there is no use in looking for it in empty years.
        let from = match count {
            0 => end,
            _ => first(self.jobs, &self.query(start, end, 1))
                .await?
                .unwrap_or(start),
        };
        let buckets = (end - from).div_euclid(span.max(1)).max(1);
        let step = buckets.saturating_mul(CHUNK) / count.max(1);
        Ok(Parts {
            count,
            from,
            end,
            step: step.max(1).saturating_mul(span),
        })
    }

    async fn load(&self, from: i64, to: i64, budget: &mut i64) -> Result<Vec<Series>, NoSeries> {
        let parts = self.parts(from, to).await?;
        *budget -= parts.count.saturating_mul(METRICS.len() as i64);
        if *budget < 0 {
            return Err(NoSeries::TooMany);
        }
        let count = parts.count;
        let mut series: Vec<Series> = Vec::new();
        // Which of them are an entity's, by what is written of it; None for those that don't fit.
        let mut places: HashMap<String, [Option<usize>; 4]> = HashMap::new();
        for (from, until) in parts {
            let query = self.query(from, until, count);
            let page = self.jobs.forest_results(&query).await?;
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
        }
        series.retain(|series| !series.samples.is_empty());
        Ok(series)
    }

    async fn labels(&self, from: i64, to: i64) -> Result<BTreeSet<Labels>, JobError> {
        // In the order of METRICS, by what is written of an entity.
        let mut seen: BTreeMap<String, [bool; 4]> = BTreeMap::new();
        for (from, until) in self.parts(from, to).await? {
            let query = self.query(from, until, 0);
            for of in self.jobs.forest_entities(&query).await? {
                let more = [of.has_value, of.has_score, of.has_upper, of.has_lower];
                let has = seen.entry(of.entity).or_default();
                for (has, more) in has.iter_mut().zip(more) {
                    *has |= more;
                }
            }
        }
        let mut labels = BTreeSet::new();
        for (entity, has) in seen {
            let entity: Vec<Field> = serde_json::from_str(&entity).unwrap_or_default();
            let there = METRICS.into_iter().zip(has).filter(|(_, has)| *has);
            let all = there.map(|(name, _)| self.found.detector.metric(name, series_of(&entity)));
            labels.extend(all.filter(|labels| self.is_fitting(labels)));
        }
        Ok(labels)
    }

    fn is_fitting(&self, labels: &Labels) -> bool {
        self.selectors.iter().any(|selector| selector.fits(labels))
    }

    /// Makes the series of an entity that fit.
    fn places(&self, entity: &str, series: &mut Vec<Series>) -> [Option<usize>; 4] {
        METRICS.map(|name| {
            let labels = self.found.detector.metric(name, entity);
            self.is_fitting(&labels).then(|| {
                series.push(Series {
                    labels,
                    samples: Vec::new(),
                });
                series.len() - 1
            })
        })
    }
}
