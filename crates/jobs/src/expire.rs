//! What is past its retention goes: results and annotations, forecasts, model snapshots. Each step is on its own, a
//! job's failure is no other's, and no step holds the store's writer for long.

use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat};
use tidewatch_store::Retained;

use crate::config::Job;
use crate::error::Result;
use crate::manager::Jobs;
use crate::retention::{self, DAY, Terms};
use crate::snapshots::annotation_id;

/// Rows that are deleted in one transaction.
const STEP: i64 = 1_000;
/// Forecasts that are deleted in one run, as in Elasticsearch.
const FORECASTS_A_RUN: usize = 10_000;
/// The pace that -1 asks for, Elasticsearch's for one node.
const USUAL_PACE: f64 = 200.0;

#[derive(Debug, Clone)]
pub struct ExpiredRequest {
    /// The jobs whose results, annotations and snapshots are meant; forecasts are always those of all jobs.
    pub jobs: String,
    /// What is not deleted by then stays.
    pub timeout: Duration,
    /// Deletions a second: no limit where there is none; -1 for the usual one.
    pub requests_per_second: Option<f64>,
}

impl ExpiredRequest {
    /// Elasticsearch's defaults: eight hours, at full speed.
    pub fn of(jobs: &str) -> Self {
        Self {
            jobs: jobs.to_owned(),
            timeout: Duration::from_secs(8 * 3_600),
            requests_per_second: None,
        }
    }
}

/// How a step ended.
#[derive(PartialEq)]
enum Step {
    Done,
    TimeUp,
}

/// What goes by the time of the latest bucket.
#[derive(Clone, Copy)]
enum Aged {
    Results,
    Annotations,
}

impl Aged {
    fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Annotations => "annotations",
        }
    }
}

/// One run.
struct Run<'a> {
    jobs: &'a Jobs,
    /// By the jobs' clock, epoch milliseconds.
    deadline: i64,
    pace: Option<f64>,
    complete: bool,
}

impl Jobs {
    /// Deletes what is past its retention. False when there was no time for all of it, or something failed.
    pub async fn delete_expired(&self, request: &ExpiredRequest) -> Result<bool> {
        let jobs = self.find(&request.jobs, true)?;
        let timeout = i64::try_from(request.timeout.as_millis()).unwrap_or(i64::MAX);
        let mut run = Run {
            jobs: self,
            deadline: self.now().saturating_add(timeout),
            pace: match request.requests_per_second {
                Some(pace) if pace < 0.0 => Some(USUAL_PACE),
                pace => pace,
            },
            complete: true,
        };
        for job in &jobs {
            let step = run.aged(job, Aged::Results).await;
            run.end(&job.job_id, step);
        }
        let step = run.forecasts().await;
        run.end("", step);
        for job in &jobs {
            let step = run.snapshots(job).await;
            run.end(&job.job_id, step);
        }
        for job in &jobs {
            let step = run.aged(job, Aged::Annotations).await;
            run.end(&job.job_id, step);
        }
        Ok(run.complete)
    }

    /// Before this, results and annotations of a job are past their retention: so many days before its latest bucket.
    /// Where another has taken its place, that one's days count, and its buckets too.
    pub(crate) async fn results_cutoff(&self, job: &Job) -> Result<Option<i64>> {
        let newer = job.replaced_by().and_then(|other| self.get(other).ok());
        let Some(days) = newer.as_ref().unwrap_or(job).results_retention_days else {
            return Ok(None);
        };
        let mut latest = self.store().newest_bucket(&job.job_id).await?;
        if let Some(newer) = &newer {
            latest = latest.max(self.store().newest_bucket(&newer.job_id).await?);
        }
        Ok(latest.map(|latest| latest.saturating_sub(days.saturating_mul(DAY))))
    }
}

impl Run<'_> {
    fn end(&mut self, job_id: &str, step: Result<Step>) {
        match step {
            Ok(Step::Done) => return,
            Ok(Step::TimeUp) => {}
            // Deleted meanwhile, and its data with it.
            Err(error) if error.status == 404 => return,
            Err(error) => tracing::warn!(job_id, %error, "expired data could not be deleted"),
        }
        self.complete = false;
    }

    fn time_is_up(&self) -> bool {
        self.jobs.now() >= self.deadline
    }

    /// Waits as the pace asks for after so many deletions.
    async fn pause(&self, deleted: i64) {
        let Some(pace) = self.pace else { return };
        let left = self.deadline.saturating_sub(self.jobs.now()).max(0) as f64 / 1e3;
        let pause = (deleted as f64 / pace).min(left);
        tokio::time::sleep(Duration::try_from_secs_f64(pause).unwrap_or_default()).await;
    }

    /// Deletes, step by step, what is too old; then tells of it, if there was something.
    async fn aged(&self, job: &Job, what: Aged) -> Result<Step> {
        let job = self.jobs.get(&job.job_id)?;
        let Some(before) = self.jobs.results_cutoff(&job).await? else {
            return Ok(Step::Done);
        };
        let store = self.jobs.store();
        let left = match what {
            Aged::Results => store.count_results_before(&job.job_id, before).await?,
            Aged::Annotations => store.count_annotations_before(&job.job_id, before).await?,
        };
        if left == 0 {
            return Ok(Step::Done);
        }
        let mut any = false;
        let step = loop {
            if self.time_is_up() {
                break Step::TimeUp;
            }
            let id = &job.job_id;
            let deleted = match what {
                Aged::Results => store.delete_results_before(id, before, STEP).await?,
                Aged::Annotations => store.delete_annotations_before(id, before, STEP).await?,
            };
            if deleted == 0 {
                break Step::Done;
            }
            any = true;
            self.pause(deleted).await;
        };
        if any {
            let message = format!("Deleted {} prior to {}", what.name(), date(before));
            self.jobs.notify(&job.job_id, "info", &message).await;
        }
        Ok(step)
    }

    async fn forecasts(&self) -> Result<Step> {
        let (store, now) = (self.jobs.store(), self.jobs.now());
        for _ in 0..FORECASTS_A_RUN {
            if store.count_expired_forecasts(now).await? == 0 {
                break;
            }
            if self.time_is_up() {
                return Ok(Step::TimeUp);
            }
            let deleted = store.delete_expired_forecasts(now, 1).await?;
            self.pause(deleted as i64).await;
        }
        Ok(Step::Done)
    }

    async fn snapshots(&self, job: &Job) -> Result<Step> {
        let (jobs, job_id) = (self.jobs, &job.job_id);
        let entry = jobs.entry(job_id)?;
        let (terms, active) = {
            let job = entry.job.read();
            (Terms::of(&job), job.model_snapshot_id.clone())
        };
        let snapshots = jobs.snapshots(job_id).await?;
        let verdicts = retention::judge(&snapshots, active.as_deref(), terms);
        let mut deleted = 0;
        let mut step = Step::Done;
        for verdict in verdicts.iter().filter(|verdict| !verdict.kept) {
            if self.time_is_up() {
                step = Step::TimeUp;
                break;
            }
            // Held, so that it does not become the active one meanwhile.
            let configuration = entry.configuration.lock().await;
            let id = &verdict.snapshot_id;
            if entry.job.read().model_snapshot_id.as_ref() == Some(id) {
                continue;
            }
            let gone = jobs
                .store()
                .delete_snapshot(job_id, id, &annotation_id(id), Retained::Stay)
                .await?;
            drop(configuration);
            deleted += i64::from(gone);
            self.pause(i64::from(gone)).await;
        }
        if deleted > 0 {
            let message = format!("[{deleted}] expired model snapshots deleted");
            jobs.notify(job_id, "info", &message).await;
        }
        Ok(step)
    }
}

/// With the offset of where the machine stands, as Elasticsearch writes it.
fn date(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis)
        .unwrap_or_default()
        .with_timezone(&Local)
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
