//! Forecasts: made beside a job, in parts that are written as they come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidewatch_model::engine::{Engine, ForecastPlace, ForecastPlan, Forecaster, NoForecast};
use tidewatch_model::units::{Memory, TimeSpan};
use tidewatch_store::{ForecastPoint, ForecastRow, ForecastSeriesRow};
use tokio::sync::Mutex;

use crate::config::Job;
use crate::entry::Entry;
use crate::error::{JobError, Result};
use crate::expression::matches;
use crate::live::json;
use crate::manager::Jobs;
use crate::runner::{Runner, not_open};

/// Forecasts of a job that may wait or run, as in Elasticsearch.
const AT_ONCE: usize = 3;
/// Points that are made and written at a time: the writer serves others between.
const POINTS_A_WRITE: u64 = 20_000;
const LONGEST: i64 = 3_650 * 86_400;
const LEAST_MEMORY: Memory = Memory::mebibytes(1);
const MOST_MEMORY: Memory = Memory::mebibytes(500);

/// A forecast as clients ask for it.
#[derive(Debug, Clone)]
pub struct ForecastRequest {
    pub duration: Option<TimeSpan>,
    /// 0 for never.
    pub expires_in: Option<TimeSpan>,
    /// What the copies of models that are at work may take. A larger job is forecast in parts, each by the models as
    /// they are when its turn comes.
    pub max_model_memory: Option<Memory>,
}

/// Keeps the forecasts of a job in order: one is made at a time.
#[derive(Default)]
pub struct Forecasts {
    turn: Arc<Mutex<()>>,
    asked: Arc<AtomicUsize>,
}

/// A place among the forecasts of a job, free again when dropped.
struct Place(Arc<AtomicUsize>);

impl Forecasts {
    fn place(&self) -> Option<Place> {
        let place = Place(self.asked.clone());
        (self.asked.fetch_add(1, Ordering::SeqCst) < AT_ONCE).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Scheduled,
    Started,
    Finished,
    Failed,
}

/// `model_forecast_request_stats`: a forecast and what became of it. Times are epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct RequestStats {
    job_id: String,
    result_type: String,
    forecast_id: String,
    processed_record_count: u64,
    forecast_messages: Vec<String>,
    timestamp: i64,
    forecast_start_timestamp: i64,
    forecast_end_timestamp: i64,
    forecast_create_timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forecast_expiry_timestamp: Option<i64>,
    /// 0 to 1.
    forecast_progress: f64,
    processing_time_ms: u64,
    /// The most that copies of models took at once.
    forecast_memory_bytes: u64,
    forecast_status: Status,
}

impl RequestStats {
    fn running(&self) -> bool {
        self.forecast_status < Status::Finished
    }

    fn row(&self) -> ForecastRow {
        ForecastRow {
            job_id: self.job_id.clone(),
            forecast_id: self.forecast_id.clone(),
            created: self.forecast_create_timestamp,
            expires: self.forecast_expiry_timestamp,
            running: self.running(),
            doc: json(self),
        }
    }

    fn of(row: &ForecastRow) -> Result<Self> {
        serde_json::from_str(&row.doc).map_err(|error| {
            JobError::internal(format!("a stored forecast can't be read: {error}"))
        })
    }
}

/// `forecasts_stats` of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ForecastStats {
    pub total: u64,
    pub forecasted_jobs: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub figures: Option<ForecastFigures>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ForecastFigures {
    pub memory_bytes: Figures,
    pub records: Figures,
    pub processing_time_ms: Figures,
    pub status: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    pub total: f64,
    pub min: f64,
    pub avg: f64,
    pub max: f64,
}

impl Figures {
    pub(crate) fn of(values: impl Iterator<Item = u64> + Clone) -> Self {
        let total = values.clone().sum::<u64>() as f64;
        Self {
            total,
            min: values.clone().min().unwrap_or(0) as f64,
            avg: total / values.clone().count().max(1) as f64,
            max: values.max().unwrap_or(0) as f64,
        }
    }
}

impl Figures {
    /// Figures of several things, each with how many it is of, as those of all.
    fn together(all: &[(u64, Self)]) -> Self {
        let each = || all.iter().map(|(_, figures)| figures);
        let total = each().map(|figures| figures.total).sum();
        let count: u64 = all.iter().map(|(count, _)| count).sum();
        Self {
            total,
            min: each()
                .map(|figures| figures.min)
                .fold(f64::INFINITY, f64::min),
            avg: total / count.max(1) as f64,
            max: each().map(|figures| figures.max).fold(0.0, f64::max),
        }
    }
}

impl ForecastStats {
    /// Those of several jobs as one.
    pub(crate) fn together<'a>(jobs: impl Iterator<Item = &'a Self>) -> Self {
        let forecasted: Vec<(u64, &ForecastFigures)> = jobs
            .filter_map(|job| Some((job.total, job.figures.as_ref()?)))
            .collect();
        if forecasted.is_empty() {
            return Self::default();
        }
        let of = |part: fn(&ForecastFigures) -> Figures| {
            let parts: Vec<(u64, Figures)> = forecasted
                .iter()
                .map(|(count, figures)| (*count, part(figures)))
                .collect();
            Figures::together(&parts)
        };
        let mut status = BTreeMap::new();
        for (name, count) in forecasted.iter().flat_map(|(_, figures)| &figures.status) {
            *status.entry(name.clone()).or_default() += count;
        }
        Self {
            total: forecasted.iter().map(|(count, _)| count).sum(),
            forecasted_jobs: forecasted.len() as u64,
            figures: Some(ForecastFigures {
                memory_bytes: of(|figures| figures.memory_bytes),
                records: of(|figures| figures.records),
                processing_time_ms: of(|figures| figures.processing_time_ms),
                status,
            }),
        }
    }

    fn of(all: &[RequestStats]) -> Self {
        if all.is_empty() {
            return Self::default();
        }
        let mut status = BTreeMap::new();
        for one in all {
            let name = serde_json::to_value(one.forecast_status).unwrap_or_default();
            *status
                .entry(name.as_str().unwrap_or_default().to_owned())
                .or_default() += 1;
        }
        Self {
            total: all.len() as u64,
            forecasted_jobs: 1,
            figures: Some(ForecastFigures {
                memory_bytes: Figures::of(all.iter().map(|one| one.forecast_memory_bytes)),
                records: Figures::of(all.iter().map(|one| one.processed_record_count)),
                processing_time_ms: Figures::of(all.iter().map(|one| one.processing_time_ms)),
                status,
            }),
        }
    }
}

/// `model_forecast`: one value of one series to come.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelForecast {
    pub job_id: String,
    pub result_type: &'static str,
    pub forecast_id: String,
    /// Start of the bucket, epoch milliseconds.
    pub timestamp: i64,
    /// What the points of one series have in common.
    #[serde(flatten)]
    pub of: Map<String, Value>,
    pub forecast_lower: f64,
    pub forecast_upper: f64,
    pub forecast_prediction: f64,
}

/// A request within its limits.
struct Accepted {
    /// Seconds.
    duration: i64,
    /// Milliseconds.
    expires_in: i64,
    memory: Memory,
}

impl ForecastRequest {
    fn check(self, job: &Job) -> Result<Accepted> {
        let duration = self.duration.unwrap_or(TimeSpan::days(1));
        let refuse = |reason: String| Err(JobError::illegal_argument(reason));
        if duration.as_duration().is_zero() {
            return refuse(format!("[duration] must be positive: [{duration}]"));
        }
        if duration.as_duration() > TimeSpan::seconds(LONGEST).as_duration() {
            return refuse(format!(
                "[duration] must be {} or less: [{duration}]",
                TimeSpan::in_largest_unit(LONGEST)
            ));
        }
        let expires_in = self.expires_in.unwrap_or(TimeSpan::days(14));
        if expires_in.is_negative() {
            return refuse(format!("[expires_in] must be non-negative: [{expires_in}]"));
        }
        let memory = self.max_model_memory.unwrap_or(Memory::mebibytes(20));
        if memory < LEAST_MEMORY {
            return refuse(format!(
                "[max_model_memory] must be at least {LEAST_MEMORY}."
            ));
        }
        if memory >= MOST_MEMORY {
            return refuse(format!(
                "[max_model_memory] must be less than {MOST_MEMORY}"
            ));
        }
        let span = job.analysis_config.bucket_span;
        if duration.as_duration() < span.as_duration() {
            return Err(JobError::bad_request(format!(
                "[duration] must be greater or equal to the bucket span: [{duration}/{span}]"
            )));
        }
        Ok(Accepted {
            duration: duration.as_secs(),
            expires_in: i64::try_from(expires_in.as_duration().as_millis()).unwrap_or(i64::MAX),
            memory,
        })
    }
}

/// Models, and whether more are left.
type Part = (Vec<Forecaster>, bool);

/// A forecast on its way.
struct Work {
    entry: Arc<Entry>,
    runner: Arc<Runner>,
    stats: RequestStats,
    plan: ForecastPlan,
    at: ForecastPlace,
    part: Part,
    memory: Memory,
    /// Time spent on making points.
    worked: Duration,
    _place: Place,
}

impl Jobs {
    /// Begins a forecast of an open job from its last final bucket on. It goes on after this returns its id.
    pub async fn forecast(&self, job_id: &str, request: ForecastRequest) -> Result<String> {
        let entry = self.entry(job_id)?;
        let job = entry.job.read().clone();
        let asked = request.check(&job)?;
        let runner = entry
            .runner
            .read()
            .clone()
            .ok_or_else(|| not_open(job_id))?;
        let refused =
            |reason: String| JobError::bad_request(format!("Cannot run forecast: {reason}"));
        let place = entry.forecasts.place().ok_or_else(|| {
            refused(format!(
                "[{AT_ONCE}] forecasts of the job are still at work or wait"
            ))
        })?;
        let memory = self.forecast_memory(&job, asked.memory).await;
        let first = move |engine: &Engine| {
            let plan = engine.forecast_plan()?;
            let mut at = ForecastPlace::default();
            let part = engine.forecast_part(&mut at, memory.bytes);
            Ok((plan, at, part))
        };
        let first = runner.look(first).await?;
        let (plan, at, part) = first.map_err(|why: NoForecast| refused(why.to_string()))?;
        let now = self.now();
        let end = plan.start.saturating_add(asked.duration);
        let stats = RequestStats {
            job_id: job_id.to_owned(),
            result_type: "model_forecast_request_stats".to_owned(),
            forecast_id: uuid::Uuid::new_v4().simple().to_string(),
            processed_record_count: 0,
            forecast_messages: plan.messages.clone(),
            timestamp: plan.start.saturating_mul(1_000),
            forecast_start_timestamp: plan.start.saturating_mul(1_000),
            forecast_end_timestamp: end.saturating_mul(1_000),
            forecast_create_timestamp: now,
            forecast_expiry_timestamp: (asked.expires_in > 0)
                .then(|| now.saturating_add(asked.expires_in)),
            forecast_progress: 0.0,
            processing_time_ms: 0,
            forecast_memory_bytes: 0,
            forecast_status: Status::Scheduled,
        };
        self.0.store.insert_forecast(&stats.row()).await?;
        let id = stats.forecast_id.clone();
        let work = Work {
            entry,
            runner,
            stats,
            plan,
            at,
            part,
            memory,
            worked: Duration::ZERO,
            _place: place,
        };
        tokio::spawn(self.clone().make_forecast(work));
        Ok(id)
    }

    /// As in Elasticsearch, less than 40 % of the memory that the job may take.
    async fn forecast_memory(&self, job: &Job, asked: Memory) -> Memory {
        let limit = job.analysis_limits.model_memory_limit;
        let most = Memory {
            bytes: (limit.bytes / 5 * 2).saturating_sub(1),
        };
        if limit.bytes == 0 || asked <= most {
            return asked;
        }
        let message = format!(
            "max_model_memory of a forecast is reduced from [{}b] to [{}b]: it must be below 40% of the job's \
             model_memory_limit",
            asked.bytes, most.bytes
        );
        self.notify(&job.job_id, "warning", &message).await;
        most
    }

    async fn make_forecast(self, mut work: Work) {
        let turn = work.entry.forecasts.turn.clone().lock_owned().await;
        let outcome = self.make_parts(&mut work).await;
        let stats = &mut work.stats;
        match outcome {
            Ok(()) => {
                stats.forecast_progress = 1.0;
                stats.forecast_status = Status::Finished;
            }
            Err(error) => {
                tracing::warn!(job_id = stats.job_id, %error, "a forecast has failed");
                stats.forecast_status = Status::Failed;
                stats.forecast_messages.push(error.reason);
            }
        }
        if let Err(error) = self.0.store.write_forecast(&stats.row(), Vec::new()).await {
            tracing::warn!(job_id = stats.job_id, %error, "the end of a forecast could not be stored");
        }
        drop(turn);
    }

    async fn make_parts(&self, work: &mut Work) -> Result<()> {
        work.stats.forecast_status = Status::Started;
        let mut done = 0;
        loop {
            let (part, more) = std::mem::take(&mut work.part);
            let bytes = part.iter().map(Forecaster::bytes).sum();
            work.stats.forecast_memory_bytes = work.stats.forecast_memory_bytes.max(bytes);
            self.make_part(work, part, &mut done).await?;
            if !more {
                return Ok(());
            }
            let (mut at, memory) = (work.at, work.memory);
            let next = work.runner.look(move |engine| {
                let part = engine.forecast_part(&mut at, memory.bytes);
                (at, part)
            });
            (work.at, work.part) = next.await?;
        }
    }

    async fn make_part(
        &self,
        work: &mut Work,
        mut part: Vec<Forecaster>,
        done: &mut u64,
    ) -> Result<()> {
        let start = work.stats.forecast_start_timestamp / 1_000;
        let end = work.stats.forecast_end_timestamp / 1_000;
        while let Some(span) = part.last().map(|forecaster| forecaster.of.bucket_span) {
            let points = ((end - start) / span).max(1) as u64;
            // Several short series at a time, or a part of a long one.
            let many = (POINTS_A_WRITE / points).max(1) as usize;
            let some = Arc::new(part.split_off(part.len().saturating_sub(many)));
            let step = span.saturating_mul(POINTS_A_WRITE as i64);
            let mut from = start;
            while from < end {
                let to = from.saturating_add(step).min(end);
                self.make_points(work, some.clone(), from, to).await?;
                from = to;
            }
            *done += some.len() as u64;
            let all = (*done).max(work.plan.series);
            work.stats.forecast_progress = *done as f64 / all as f64;
        }
        Ok(())
    }

    async fn make_points(
        &self,
        work: &mut Work,
        some: Arc<Vec<Forecaster>>,
        from: i64,
        to: i64,
    ) -> Result<()> {
        let begun = Instant::now();
        let made = self.0.pool.run(move || {
            let series = some.iter().map(|forecaster| ForecastSeriesRow {
                doc: json(&forecaster.of),
                points: forecaster
                    .points(from, to)
                    .map(|(time, point)| ForecastPoint {
                        timestamp: time.saturating_mul(1_000),
                        lower: point.lower,
                        prediction: point.prediction,
                        upper: point.upper,
                    })
                    .collect(),
            });
            series.collect::<Vec<_>>()
        });
        let series = made
            .await
            .map_err(|error| JobError::internal(error.to_string()))?;
        let stats = &mut work.stats;
        let points: usize = series.iter().map(|one| one.points.len()).sum();
        stats.processed_record_count += points as u64;
        work.worked += begun.elapsed();
        stats.processing_time_ms = work.worked.as_millis() as u64;
        match self.0.store.write_forecast(&stats.row(), series).await? {
            true => Ok(()),
            false => Err(JobError::not_found("the forecast was deleted")),
        }
    }

    /// Forecasts that a stop of the server has cut short.
    pub(crate) async fn fail_forecasts(&self) -> Result<()> {
        for row in self.0.store.running_forecasts().await? {
            let mut stats = match RequestStats::of(&row) {
                Ok(stats) => stats,
                Err(error) => {
                    tracing::error!(job_id = row.job_id, %error, "a forecast was left alone");
                    continue;
                }
            };
            stats.forecast_status = Status::Failed;
            let message = "The forecast was cut short by a stop of the server";
            stats.forecast_messages.push(message.to_owned());
            self.0
                .store
                .write_forecast(&stats.row(), Vec::new())
                .await?;
        }
        Ok(())
    }

    /// The forecasts of a job, oldest first: documents in JSON.
    pub async fn forecasts(&self, job_id: &str) -> Result<Vec<String>> {
        self.entry(job_id)?;
        let rows = self.0.store.forecasts(Some(job_id)).await?;
        Ok(rows.into_iter().map(|row| row.doc).collect())
    }

    /// A page of the values of a forecast, by time, and how many there are. Bounds are epoch milliseconds.
    pub async fn forecast_points(
        &self,
        job_id: &str,
        forecast_id: &str,
        bounds: (Option<i64>, Option<i64>),
        from: i64,
        size: i64,
    ) -> Result<(i64, Vec<ModelForecast>)> {
        self.entry(job_id)?;
        let known = self.0.store.forecasts(Some(job_id)).await?;
        if !known.iter().any(|row| row.forecast_id == forecast_id) {
            return Err(no_forecast(job_id, forecast_id));
        }
        let page = self
            .0
            .store
            .forecast_points(job_id, forecast_id, bounds, from, size)
            .await?;
        let points = page.points.into_iter().map(|(doc, point)| {
            let of = serde_json::from_str(&doc).map_err(|error| {
                JobError::internal(format!("a stored forecast can't be read: {error}"))
            })?;
            Ok(ModelForecast {
                job_id: job_id.to_owned(),
                result_type: "model_forecast",
                forecast_id: forecast_id.to_owned(),
                timestamp: point.timestamp,
                of,
                forecast_lower: point.lower,
                forecast_upper: point.upper,
                forecast_prediction: point.prediction,
            })
        });
        Ok((page.count, points.collect::<Result<_>>()?))
    }

    /// Deletes forecasts by a list of ids with wildcards. The job need not exist, as in Elasticsearch.
    pub async fn delete_forecasts(
        &self,
        job_id: &str,
        ids: &str,
        allow_no_forecasts: bool,
    ) -> Result<()> {
        let all = ids == "_all" || ids == "*";
        let rows = self.0.store.forecasts(Some(job_id)).await?;
        let meant = |row: &&ForecastRow| {
            all || ids
                .split(',')
                .any(|pattern| matches(pattern.trim(), &row.forecast_id))
        };
        let meant: Vec<&ForecastRow> = rows.iter().filter(meant).collect();
        if meant.is_empty() {
            return match all && allow_no_forecasts {
                true => Ok(()),
                false => Err(no_forecast(job_id, ids)),
            };
        }
        let running: Vec<&str> = meant
            .iter()
            .filter(|row| row.running)
            .map(|row| row.forecast_id.as_str())
            .collect();
        if !running.is_empty() {
            return Err(JobError::conflict(format!(
                "Forecast(s) [{}] for job [{job_id}] needs to be either FAILED or FINISHED to be deleted",
                running.join(",")
            )));
        }
        for row in meant {
            self.0
                .store
                .delete_forecast(job_id, &row.forecast_id)
                .await?;
        }
        Ok(())
    }

    /// `forecasts_stats` of jobs that have been forecast.
    pub async fn forecast_stats(&self) -> Result<BTreeMap<String, ForecastStats>> {
        let mut of_jobs: BTreeMap<String, Vec<RequestStats>> = BTreeMap::new();
        for row in self.0.store.forecasts(None).await? {
            let stats = RequestStats::of(&row)?;
            of_jobs.entry(row.job_id).or_default().push(stats);
        }
        let each = of_jobs.into_iter();
        Ok(each
            .map(|(job_id, all)| (job_id, ForecastStats::of(&all)))
            .collect())
    }
}

fn no_forecast(job_id: &str, ids: &str) -> JobError {
    JobError::not_found(format!("No forecast(s) [{ids}] exists for job [{job_id}]"))
}
