//! Model snapshots as clients see them.

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidewatch_store::{AnnotationRow, SnapshotRow};

use crate::config::SNAPSHOT_MIN_VERSION;
use crate::error::{JobError, Result};
use crate::live::{self, Live};
use crate::stats::ModelSizeDoc;

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
            model_size_stats: ModelSizeDoc::new(job_id, &live.size, live.basis.of, live.log_time),
            latest_record_time_stamp: live.counts.latest_record_timestamp,
            latest_result_time_stamp: live.size.timestamp,
            retain: false,
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

/// The annotation that tells of a stored snapshot.
pub fn stored_annotation(snapshot: &ModelSnapshot) -> AnnotationRow {
    let (job_id, time) = (&snapshot.job_id, snapshot.timestamp);
    AnnotationRow {
        job_id: job_id.clone(),
        annotation_id: format!("model_snapshot_stored_{}", snapshot.snapshot_id),
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
