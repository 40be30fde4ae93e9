//! An open job taken back to before some of its buckets, for records that came too late: whoever feeds it sends it
//! again what has been since.

use crate::entry::{Entry, State};
use crate::error::{JobError, Result};
use crate::manager::Jobs;
use crate::revert::{Point, Undone};
use crate::runner::not_open;
use crate::snapshots::{EMPTY, ModelSnapshot};

/// Where to go back to. Times are epoch milliseconds.
#[derive(Debug, Clone)]
pub struct Rewind {
    /// Starts of buckets, ascending: before the first of them, or before the first of the rest that can be reached.
    pub before: Vec<i64>,
    /// Not further than this: what was before can't be sent again.
    pub since: i64,
    /// The job had seen nothing then.
    pub from_empty: bool,
}

/// Where a job was taken back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// The model snapshot; none for a job that is empty now.
    pub snapshot_id: Option<String>,
    /// The start of the first bucket that it was taken back for.
    pub before: i64,
}

impl Jobs {
    /// Takes an open job back to the newest model snapshot that knows nothing of a bucket, with all results since, and
    /// goes on from there. It stays open. `None`: there is none, and nothing has changed.
    ///
    /// In the store it is one transaction: a crash leaves the job as it was, or taken back. It runs to its end even if
    /// the caller goes away.
    pub async fn rewind(&self, job_id: &str, to: Rewind) -> Result<Option<Rewound>> {
        let (jobs, job_id) = (self.clone(), job_id.to_owned());
        let rewinding = tokio::spawn(async move { jobs.rewind_now(&job_id, to).await });
        rewinding
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
    }

    async fn rewind_now(&self, job_id: &str, to: Rewind) -> Result<Option<Rewound>> {
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        self.still_there(job_id, &entry)?;
        let runner = entry.runner.read().clone();
        let is_open = entry.status.read().state == State::Opened && entry.blocked().is_none();
        let runner = runner.filter(|_| is_open).ok_or_else(|| not_open(job_id))?;
        let snapshots = self.snapshots(job_id).await?;
        let Some((before, point)) = self.point_before(&entry, &snapshots, to).await? else {
            return Ok(None);
        };
        let is_empty = point.snapshot.snapshot_id == EMPTY;
        // Later ones know the same times without what came late.
        let stale = snapshots
            .iter()
            .filter(|later| is_empty || later.timestamp > point.snapshot.timestamp);
        let undone = Undone {
            results: true,
            snapshots: stale.map(|later| later.snapshot_id.clone()).collect(),
        };
        // Nothing of it is written any more when that has returned.
        let finished = runner.finish().await;
        *entry.runner.write() = None;
        finished?;
        {
            let _configuration = entry.configuration.lock().await;
            let job = entry.job.read().clone();
            if let Err(error) = self.put_back(&entry, job, point, undone).await {
                // It is what it was.
                tracing::warn!(job_id, %error, "the job could not be taken back");
                self.run(&entry).await?;
                return Err(error);
            }
        }
        self.run(&entry).await?;
        let snapshot_id = (entry.job.read().model_snapshot_id.clone()).filter(|_| !is_empty);
        Ok(Some(Rewound {
            snapshot_id,
            before,
        }))
    }

    async fn point_before(
        &self,
        entry: &Entry,
        snapshots: &[ModelSnapshot],
        to: Rewind,
    ) -> Result<Option<(i64, Point)>> {
        let job = entry.job.read().clone();
        // One that is retained may be of a past that was taken back.
        let usable = snapshots.iter().rev().filter(|snapshot| {
            !snapshot.retain || Some(&snapshot.snapshot_id) == job.model_snapshot_id.as_ref()
        });
        let usable: Vec<&ModelSnapshot> = usable.collect();
        for &bucket in &to.before {
            for snapshot in &usable {
                // What is said of it is looked at first: its state is large.
                if snapshot
                    .latest_record_time_stamp
                    .is_some_and(|latest| latest >= bucket)
                {
                    continue;
                }
                let point = match self.point(&job, &snapshot.snapshot_id).await {
                    Ok(point) => point,
                    // It is no way back, but another may be.
                    Err(error) => {
                        tracing::warn!(job_id = job.job_id, %error, "a model snapshot is of no use");
                        continue;
                    }
                };
                let next = point
                    .learnt
                    .as_ref()
                    .and_then(|known| known.position.next());
                if next.is_some_and(|next| (to.since..=bucket).contains(&next)) {
                    return Ok(Some((bucket, point)));
                }
            }
            if to.from_empty && bucket >= to.since {
                return Ok(Some((bucket, self.point(&job, EMPTY).await?)));
            }
        }
        Ok(None)
    }
}
