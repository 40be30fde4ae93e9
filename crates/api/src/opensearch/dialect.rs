//! The dialects of anomaly detection, chosen by the prefix of a path: what differs between them stands here.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Whose server a client believes to speak to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenSearch from 2.15 on.
    #[default]
    OpenSearch,
    OpenDistro,
    /// As OpenSearch was before 2.15, under names of its own.
    SearchGuard,
}

impl Dialect {
    pub const ALL: [Self; 3] = [Self::OpenSearch, Self::OpenDistro, Self::SearchGuard];

    /// Path of all but the detectors.
    pub fn root(self) -> &'static str {
        match self {
            Self::OpenSearch => "/_plugins/_anomaly_detection",
            Self::OpenDistro => "/_opendistro/_anomaly_detection",
            Self::SearchGuard => "/_anomaly_detection/api",
        }
    }

    pub fn is_legacy(self) -> bool {
        self != Self::OpenSearch
    }

    /// Points that a forest sees before it judges.
    pub fn learnt(self) -> i64 {
        match self.is_legacy() {
            true => 128,
            false => 32,
        }
    }

    /// What all indices begin with that are not a detector's own.
    pub fn indices(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-",
            _ => ".opendistro-anomaly-",
        }
    }

    /// The index that detectors are said to be in.
    pub fn detectors_index(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-anomaly-detectors",
            _ => ".opendistro-anomaly-detectors",
        }
    }

    /// The index that the jobs of detectors are said to be in.
    pub fn jobs_index(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-anomaly-detector-jobs",
            _ => ".opendistro-anomaly-detector-jobs",
        }
    }

    /// The index that models are said to be in.
    pub fn checkpoints_index(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-checkpoints",
            _ => ".opendistro-anomaly-checkpoints",
        }
    }

    /// The index that tasks are said to be in.
    pub fn state_index(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-state",
            _ => ".opendistro-anomaly-detection-state",
        }
    }

    /// What the indices begin with that results are said to be in.
    pub fn results_index(self) -> &'static str {
        match self {
            Self::SearchGuard => ".searchguard-ad-results",
            _ => ".opendistro-anomaly-results",
        }
    }

    /// What a result index of a detector's own begins with. None: there are none.
    pub fn result_index_prefix(self) -> Option<&'static str> {
        match self {
            Self::OpenSearch => Some("opensearch-ad-plugin-result-"),
            Self::OpenDistro => None,
            Self::SearchGuard => Some("searchguard-ad-result-"),
        }
    }

    /// One of two texts: as it is now, or as it was.
    pub fn says<'t>(self, now: &'t str, before: &'t str) -> &'t str {
        match self.is_legacy() {
            true => before,
            false => now,
        }
    }

    pub fn not_found(self, id: &str) -> ApiError {
        let what = self.says("config", "detector");
        status(404, format!("Can't find {what} with id: {id}"))
    }

    /// The refusal of a change to a detector in real time.
    pub fn is_running(self, id: &str) -> ApiError {
        let what = self.says("Job", "Detector job");
        status(400, format!("{what} is running: {id}"))
    }

    /// The refusal of a change to a detector whose history is analysed.
    pub fn analyses_history(self) -> ApiError {
        match self.is_legacy() {
            true => status(500, "Detector is running"),
            false => status(400, "Historical is running"),
        }
    }

    /// The refusal of a definition that is wrong in itself.
    pub fn invalid(self, reason: &str) -> ApiError {
        match self {
            Self::OpenDistro => ApiError::illegal_argument(reason),
            _ => ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "validation_exception",
                reason,
            ),
        }
    }

    /// The refusal of a definition that doesn't go with what there is.
    pub fn found_invalid(self, reason: String) -> ApiError {
        match self {
            Self::OpenDistro => status(400, reason),
            _ => status(500, reason),
        }
    }
}

/// A `status_exception`, of 200 too: there are such errors.
pub fn status(status: u16, reason: impl Into<String>) -> ApiError {
    ApiError(tidewatch_jobs::JobError::new(
        status,
        "status_exception",
        reason,
    ))
}
