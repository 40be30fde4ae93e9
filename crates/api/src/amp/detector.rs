//! A detector: what its job's `custom_settings.prometheus` holds, and how it is shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidewatch_jobs::config::Job;
use tidewatch_jobs::{BlockReason, Jobs};

use super::shapes::{Texts, Wanted};
use super::tokens::Changes;

/// Where it stands in a job's `custom_settings`.
pub const SETTINGS: &str = "prometheus";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detector {
    pub workspace_id: String,
    pub anomaly_detector_id: String,
    pub arn: String,
    pub alias: String,
    pub status: Status,
    /// Seconds.
    pub created_at: f64,
    /// Seconds.
    pub modified_at: f64,
    #[serde(flatten)]
    pub wanted: Wanted,
    #[serde(default)]
    pub tags: Texts,
    /// What came with the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_token: Option<String>,
    /// The last requests that changed it.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub puts: Changes,
    /// As it was made: what a request with the same token must ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_as: Option<Made>,
}

/// What a detector was first asked to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    pub wanted: Wanted,
    pub tags: Texts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub status_code: StatusCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StatusCode {
    Creating,
    Active,
    Updating,
    Deleting,
    CreationFailed,
    UpdateFailed,
    DeletionFailed,
}

impl StatusCode {
    pub fn is_training(self) -> bool {
        matches!(self, Self::Creating | Self::Updating)
    }

    /// What it becomes where training fails.
    pub fn failed(self) -> Self {
        match self {
            Self::Updating => Self::UpdateFailed,
            _ => Self::CreationFailed,
        }
    }
}

impl From<StatusCode> for Status {
    fn from(status_code: StatusCode) -> Self {
        Self {
            status_code,
            status_reason: None,
        }
    }
}

/// A detector and the job that it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub job: Job,
    pub detector: Detector,
}

impl Found {
    /// None of a job that is no detector.
    pub fn of(job: Job) -> Option<Self> {
        let settings = job.custom_settings.as_ref()?.get(SETTINGS)?;
        let mut detector: Detector = serde_json::from_value(settings.clone()).ok()?;
        let blocked = job.blocked.as_ref().map(|blocked| blocked.reason);
        if blocked == Some(BlockReason::Delete) {
            detector.status = StatusCode::Deleting.into();
        }
        Some(Self { job, detector })
    }

    pub fn is_going(&self) -> bool {
        self.detector.status.status_code == StatusCode::Deleting
    }
}

/// The jobs of all detectors: of one that is just being made anew there are two.
pub fn jobs_of_all(jobs: &Jobs) -> Vec<Found> {
    let jobs = jobs.find("_all", true).unwrap_or_default();
    jobs.into_iter().filter_map(Found::of).collect()
}

/// All detectors, the oldest first. Where one is just being made anew it is the new job that counts.
pub fn all(jobs: &Jobs) -> Vec<Found> {
    let mut found = jobs_of_all(jobs);
    let newest_first = |one: &Found, other: &Found| {
        let of = |found: &Found| {
            let age = -found.detector.modified_at;
            (found.is_going(), age)
        };
        let id = |found: &Found| {
            let detector = &found.detector;
            (
                detector.workspace_id.clone(),
                detector.anomaly_detector_id.clone(),
            )
        };
        let ((going, age), (other_going, other_age)) = (of(one), of(other));
        (id(one).cmp(&id(other)))
            .then(going.cmp(&other_going))
            .then(age.total_cmp(&other_age))
    };
    found.sort_by(newest_first);
    found.dedup_by(|one, other| {
        one.detector.anomaly_detector_id == other.detector.anomaly_detector_id
            && one.detector.workspace_id == other.detector.workspace_id
    });
    found.sort_by(|one, other| {
        let (one, other) = (&one.detector, &other.detector);
        (one.created_at.total_cmp(&other.created_at))
            .then_with(|| one.anomaly_detector_id.cmp(&other.anomaly_detector_id))
    });
    found
}

/// Those of a workspace.
pub fn of_workspace(jobs: &Jobs, workspace_id: &str) -> Vec<Found> {
    let mut found = all(jobs);
    found.retain(|found| found.detector.workspace_id == workspace_id);
    found
}

pub fn find(jobs: &Jobs, workspace_id: &str, detector_id: &str) -> Option<Found> {
    of_workspace(jobs, workspace_id)
        .into_iter()
        .find(|found| found.detector.anomaly_detector_id == detector_id)
}

impl Detector {
    /// As requests that change it are answered.
    pub fn answered(&self) -> Value {
        json!({
            "anomalyDetectorId": self.anomaly_detector_id,
            "arn": self.arn,
            "status": self.status,
            "tags": self.tags,
        })
    }

    pub fn described(&self) -> Value {
        let mut shown = self.summary();
        if let (Value::Object(shown), Value::Object(wanted)) = (&mut shown, json!(self.wanted)) {
            shown.extend(wanted);
        }
        shown
    }

    pub fn summary(&self) -> Value {
        json!({
            "arn": self.arn,
            "anomalyDetectorId": self.anomaly_detector_id,
            "alias": self.alias,
            "status": self.status,
            "createdAt": self.created_at,
            "modifiedAt": self.modified_at,
            "tags": self.tags,
        })
    }
}
