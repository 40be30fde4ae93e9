//! Model snapshots as clients see them.

use std::sync::Arc;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidewatch_store::{AnnotationRow, Retained, SnapshotRow};

use crate::config::SNAPSHOT_MIN_VERSION;
use crate::entry::Entry;
use crate::error::{JobError, Result};
use crate::live::{self, Live};
use crate::manager::Jobs;
use crate::runner::{Saved, not_open};
use crate::stats::ModelSizeDoc;

/// The id of the snapshot of a job that has learnt nothing.
pub const EMPTY: &str = "empty";

/// `model_snapshot` of the wire. Times are epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSnapshot {
    pub job_id: String,
    pub min_version: String,
    pub timestamp: i64,
    /// Of one that an old cluster had, perhaps nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Seconds of the epoch at its creation.
    pub snapshot_id: String,
    pub snapshot_doc_count: u32,
    #[serde(default, skip_serializing_if = "ModelSizeDoc::says_nothing")]
    pub model_size_stats: ModelSizeDoc,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_record_time_stamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_result_time_stamp: Option<i64>,
    pub retain: bool,
}

impl ModelSnapshot {
    /// A snapshot taken now; its id differs from those of `former`.
    pub fn new(job_id: &str, former: &[Self], cause: &str, live: &Live, now: i64) -> Self {
        let mut id = now / 1_000;
        while former
            .iter()
            .any(|snapshot| snapshot.snapshot_id == id.to_string())
        {
            id += 1;
        }
        let when = DateTime::from_timestamp_millis(now)
            .unwrap_or_default()
            .format("%Y-%m-%dT%H:%M:%S%z");
        Self {
            job_id: job_id.to_owned(),
            min_version: SNAPSHOT_MIN_VERSION.to_owned(),
            timestamp: now,
            description: match cause {
                "background" => format!("Periodic background persist at {when}"),
                cause => format!("State persisted due to {cause} at {when}"),
            },
            snapshot_id: id.to_string(),
            snapshot_doc_count: 1,
            model_size_stats: ModelSizeDoc::new(
                job_id,
                &live.size,
                live.basis.of,
                live.size_log_time,
            ),
            latest_record_time_stamp: live.counts.latest_record_timestamp,
            latest_result_time_stamp: live.size.timestamp,
            retain: false,
        }
    }

    /// The snapshot of a job that has learnt nothing, to which every job can go back.
    pub fn empty(job_id: &str, now: i64) -> Self {
        Self {
            description: "empty snapshot".to_owned(),
            snapshot_id: EMPTY.to_owned(),
            snapshot_doc_count: 0,
            ..Self::new(job_id, &[], "", &Live::default(), now)
        }
    }

    /// Whether the job has learnt nothing since.
    pub fn covers(&self, live: &Live) -> bool {
        live.log_time <= self.timestamp
    }

    pub fn row(&self) -> SnapshotRow {
        SnapshotRow {
            job_id: self.job_id.clone(),
            snapshot_id: self.snapshot_id.clone(),
            timestamp: self.timestamp,
            retain: self.retain,
            doc: live::json(self),
        }
    }

    pub fn from_row(row: &SnapshotRow) -> Result<Self> {
        serde_json::from_str(&row.doc).map_err(|error| {
            JobError::internal(format!(
                "snapshot [{}] can't be read: {error}",
                row.snapshot_id
            ))
        })
    }
}

impl Jobs {
    /// The model snapshots of a job, oldest first.
    pub async fn snapshots(&self, job_id: &str) -> Result<Vec<ModelSnapshot>> {
        let rows = self.store().snapshots(job_id).await?;
        rows.iter().map(ModelSnapshot::from_row).collect()
    }

    pub(crate) async fn snapshot(&self, job_id: &str, snapshot_id: &str) -> Result<ModelSnapshot> {
        let snapshots = self.snapshots(job_id).await?;
        let found = snapshots
            .into_iter()
            .find(|snapshot| snapshot.snapshot_id == snapshot_id);
        found.ok_or_else(|| no_snapshot(job_id, snapshot_id))
    }

    /// Stores a model snapshot and makes it the active one, if data were seen since the last.
    pub(crate) async fn keep_snapshot(
        &self,
        entry: &Arc<Entry>,
        saved: Saved,
        cause: &str,
    ) -> Result<()> {
        let _configuration = entry.configuration.lock().await;
        let mut job = entry.job.read().clone();
        let former = self.snapshots(&job.job_id).await?;
        let active = former
            .iter()
            .find(|snapshot| Some(&snapshot.snapshot_id) == job.model_snapshot_id.as_ref());
        let latest = saved.live.counts.latest_record_timestamp;
        if latest.is_none() || active.is_some_and(|active| active.covers(&saved.live)) {
            return Ok(());
        }
        let snapshot = ModelSnapshot::new(&job.job_id, &former, cause, &saved.live, self.now());
        job.model_snapshot_id = Some(snapshot.snapshot_id.clone());
        job.model_snapshot_min_version = Some(snapshot.min_version.clone());
        self.0
            .store
            .take_snapshot(
                &snapshot.row(),
                saved.state,
                stored_annotation(&snapshot),
                live::json(&job),
            )
            .await?;
        let job_id = job.job_id.clone();
        *entry.job.write() = job;
        let message = format!(
            "Job model snapshot with id [{}] stored",
            snapshot.snapshot_id
        );
        self.notify(&job_id, "info", &message).await;
        Ok(())
    }

    /// Stores a snapshot of an open job that goes on.
    pub async fn persist(&self, job_id: &str) -> Result<()> {
        let entry = self.entry(job_id)?;
        // Not beside a closing or a reset: their word on the snapshots is the last.
        let _life = entry.life.lock().await;
        let runner = entry
            .runner
            .read()
            .clone()
            .ok_or_else(|| not_open(job_id))?;
        let saved = runner.checkpoint().await?;
        self.keep_snapshot(&entry, saved, "background").await
    }

    /// Changes the description of a snapshot, or whether it is kept whatever its age.
    pub async fn update_snapshot(
        &self,
        job_id: &str,
        snapshot_id: &str,
        description: Option<String>,
        retain: Option<bool>,
    ) -> Result<ModelSnapshot> {
        let missing = || no_snapshot(job_id, snapshot_id);
        // As in Elasticsearch, nobody asks for the job first.
        let entry = self.entry(job_id).map_err(|_| missing())?;
        let _configuration = entry.configuration.lock().await;
        let mut snapshot = self.snapshot(job_id, snapshot_id).await?;
        snapshot.description = description.unwrap_or(snapshot.description);
        snapshot.retain = retain.unwrap_or(snapshot.retain);
        match self.store().update_snapshot(&snapshot.row()).await? {
            true => Ok(snapshot),
            false => Err(missing()),
        }
    }

    /// Deletes a snapshot that is not the active one.
    pub async fn delete_snapshot(&self, job_id: &str, snapshot_id: &str) -> Result<()> {
        let missing = || no_snapshot(job_id, snapshot_id);
        let entry = self.entry(job_id).map_err(|_| missing())?;
        // Held, so that the snapshot does not become the active one meanwhile.
        let _configuration = entry.configuration.lock().await;
        let snapshot = self.snapshot(job_id, snapshot_id).await?;
        if entry.job.read().model_snapshot_id.as_deref() == Some(snapshot_id) {
            return Err(JobError::illegal_argument(format!(
                "Model snapshot '{snapshot_id}' is the active snapshot for job '{job_id}', so cannot be deleted"
            )));
        }
        let annotation = annotation_id(snapshot_id);
        self.store()
            .delete_snapshot(job_id, snapshot_id, &annotation, Retained::Go)
            .await?;
        let message = format!(
            "Model snapshot [{snapshot_id}] with description '{}' deleted",
            snapshot.description
        );
        self.notify(job_id, "info", &message).await;
        Ok(())
    }
}

/// What is said of a snapshot that isn't there.
pub fn no_snapshot(job_id: &str, snapshot_id: &str) -> JobError {
    JobError::not_found(format!(
        "No model snapshot with id [{snapshot_id}] exists for job [{job_id}]"
    ))
}

/// The id of the annotation that tells of a stored snapshot.
pub(crate) fn annotation_id(snapshot_id: &str) -> String {
    format!("model_snapshot_stored_{snapshot_id}")
}

/// The annotation that tells of a stored snapshot.
pub fn stored_annotation(snapshot: &ModelSnapshot) -> AnnotationRow {
    let (job_id, time) = (&snapshot.job_id, snapshot.timestamp);
    AnnotationRow {
        job_id: job_id.clone(),
        annotation_id: annotation_id(&snapshot.snapshot_id),
        timestamp: time,
        doc: json!({
            "annotation": format!("Job model snapshot with id [{}] stored", snapshot.snapshot_id),
            "create_time": time, "create_username": "_xpack", "timestamp": time, "end_timestamp": time,
            "job_id": job_id, "modified_time": time, "modified_username": "_xpack", "type": "annotation",
            "event": "model_snapshot_stored"
        })
        .to_string(),
    }
}
