//! What the next deletion of expired data would take, and why the rest is kept. Nothing changes.

use serde::Serialize;

use crate::config::Job;
use crate::error::Result;
use crate::maintenance::next_run;
use crate::manager::Jobs;
use crate::retention::{self, Terms, Verdict};
use crate::snapshots::{ModelSnapshot, annotation_id};
use crate::update::JobUpdate;

/// What would be deleted of all that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Foreseen {
    pub jobs: Vec<ForeseenOfJob>,
    /// Expired forecasts, those of all jobs.
    pub forecasts: i64,
    /// When the nightly maintenance runs next, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<i64>,
}

/// What would be deleted of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForeseenOfJob {
    pub job_id: String,
    /// Oldest first, each with its reason.
    pub model_snapshots: Vec<Verdict>,
    pub results: i64,
    /// Those that no person wrote, and those that tell of the snapshots.
    pub annotations: i64,
    /// Older results and annotations go, epoch milliseconds; none: all are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results_before: Option<i64>,
}

/// Why a job keeps what it keeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retention {
    pub job_id: String,
    pub settings: InForce,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_snapshot_id: Option<String>,
    /// Days are counted back from here, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_snapshot_at: Option<i64>,
    /// All of them, oldest first.
    pub model_snapshots: Vec<Verdict>,
    pub results: ResultsRetention,
    /// When the nightly maintenance runs next, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<i64>,
}

/// The settings of a job, null where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InForce {
    #[serde(flatten)]
    pub snapshots: Terms,
    pub results_retention_days: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResultsRetention {
    /// Days are counted back from here, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_bucket: Option<i64>,
    /// Older results and annotations go, epoch milliseconds; none: all are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<i64>,
    /// How many are older now.
    pub expired: i64,
}

impl Jobs {
    /// What [`delete_expired`](Self::delete_expired) would delete of these jobs.
    pub async fn foresee(&self, expression: &str) -> Result<Foreseen> {
        let mut jobs = Vec::new();
        for job in self.find(expression, true)? {
            jobs.push(self.foresee_of(&job).await?);
        }
        Ok(Foreseen {
            jobs,
            forecasts: self.store().count_expired_forecasts(self.now()).await?,
            next_run: self.next_maintenance(),
        })
    }

    /// The job that an update would make, and what would be deleted of it then. It is refused as the update would be.
    pub async fn foresee_update(
        &self,
        job_id: &str,
        update: JobUpdate,
    ) -> Result<(Job, ForeseenOfJob)> {
        let job = self.preview(job_id, update).await?;
        let foreseen = self.foresee_of(&job).await?;
        Ok((job, foreseen))
    }

    /// When the nightly maintenance runs next, epoch milliseconds.
    pub fn next_maintenance(&self) -> Option<i64> {
        next_run(self.settings()).map(|next| next.timestamp_millis())
    }

    /// Why a job keeps its snapshots, and since when its results.
    pub async fn retention(&self, job_id: &str) -> Result<Retention> {
        let job = self.get(job_id)?;
        let snapshots = self.snapshots(job_id).await?;
        let before = self.results_cutoff(&job).await?;
        Ok(Retention {
            job_id: job_id.to_owned(),
            settings: InForce {
                snapshots: Terms::of(&job),
                results_retention_days: job.results_retention_days,
            },
            model_snapshots: verdicts(&job, &snapshots),
            newest_snapshot_at: snapshots.last().map(|newest| newest.timestamp),
            results: ResultsRetention {
                latest_bucket: self.store().newest_bucket(job_id).await?,
                kept_from: before,
                expired: self.expired_results(job_id, before).await?,
            },
            next_run: self.next_maintenance(),
            active_snapshot_id: job.model_snapshot_id,
        })
    }

    async fn foresee_of(&self, job: &Job) -> Result<ForeseenOfJob> {
        let mut going = verdicts(job, &self.snapshots(&job.job_id).await?);
        going.retain(|verdict| !verdict.kept);
        let before = self.results_cutoff(job).await?;
        Ok(ForeseenOfJob {
            results: self.expired_results(&job.job_id, before).await?,
            annotations: self.expired_annotations(job, before, &going).await?,
            job_id: job.job_id.clone(),
            model_snapshots: going,
            results_before: before,
        })
    }

    async fn expired_results(&self, job_id: &str, before: Option<i64>) -> Result<i64> {
        Ok(match before {
            Some(before) => self.store().count_results_before(job_id, before).await?,
            None => 0,
        })
    }

    /// Those past their time, and of the others those that tell of a snapshot that goes.
    async fn expired_annotations(
        &self,
        job: &Job,
        before: Option<i64>,
        going: &[Verdict],
    ) -> Result<i64> {
        let store = self.store();
        let mut count = match before {
            Some(before) => store.count_annotations_before(&job.job_id, before).await?,
            None => 0,
        };
        if !going.is_empty() {
            let ids: Vec<String> = going
                .iter()
                .map(|v| annotation_id(&v.snapshot_id))
                .collect();
            let all = store.annotations(&job.job_id).await?;
            let more = all.iter().filter(|row| {
                before.is_none_or(|before| row.timestamp >= before)
                    && ids.contains(&row.annotation_id)
            });
            count += more.count() as i64;
        }
        Ok(count)
    }
}

fn verdicts(job: &Job, snapshots: &[ModelSnapshot]) -> Vec<Verdict> {
    retention::judge(snapshots, job.model_snapshot_id.as_deref(), Terms::of(job))
}
