//! How a job is: what stands in its way, at a glance.

use serde::Serialize;
use tidewatch_model::categorize::CategorizationStatus;
use tidewatch_model::counts::{MemoryStatus, ModelSize};

use crate::entry::{State, Status};

/// `health` of `_stats`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    pub status: Colour,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<Issue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    Green,
    Yellow,
    Red,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Issue {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub issue: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    pub count: u32,
    /// Epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_occurrence: Option<i64>,
}

impl Health {
    /// A closed job is well, whatever it was.
    pub fn of(status: &Status, size: &ModelSize) -> Self {
        let mut found: Vec<(Colour, Issue)> = Vec::new();
        let mut tell = |colour, kind, issue, details, first_occurrence| {
            let count = 1;
            let issue = Issue {
                kind,
                issue,
                details,
                count,
                first_occurrence,
            };
            found.push((colour, issue));
        };
        let since = Some(status.since);
        if status.state == State::Opening && status.opened_at.is_none() {
            tell(
                Colour::Red,
                "assignment_failed",
                "The job waits for a node that it can run on",
                None,
                since,
            );
        }
        if status.state == State::Failed {
            tell(
                Colour::Red,
                "job_task_failed",
                "The job has failed",
                status.reason.clone(),
                since,
            );
        }
        if status.state != State::Closed {
            let details = || {
                Some(format!(
                    "model bytes [{}], limit [{}], exceeded by [{}]",
                    size.model_bytes, size.model_bytes_memory_limit, size.model_bytes_exceeded
                ))
            };
            match size.memory_status {
                MemoryStatus::Ok => {}
                MemoryStatus::SoftLimit => {
                    tell(
                        Colour::Yellow,
                        "model_memory_soft_limit",
                        "The models are near their memory limit",
                        details(),
                        None,
                    );
                }
                MemoryStatus::HardLimit => {
                    tell(
                        Colour::Red,
                        "model_memory_hard_limit",
                        "The models have reached their memory limit",
                        details(),
                        None,
                    );
                }
            }
            if size.categories.categorization_status == CategorizationStatus::Warn {
                tell(
                    Colour::Yellow,
                    "categorization_warning",
                    "The messages don't fall into useful categories",
                    None,
                    None,
                );
            }
        }
        let status = found
            .iter()
            .map(|(colour, _)| *colour)
            .max()
            .unwrap_or(Colour::Green);
        let issues = found.into_iter().map(|(_, issue)| issue).collect();
        Self { status, issues }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_colours_a_job() {
        let mut status = Status {
            state: State::Opened,
            reason: None,
            order: None,
            opened_at: Some(1),
            since: 7,
        };
        let mut size = ModelSize::default();
        let kinds = |status: &Status, size: &ModelSize| {
            let health = Health::of(status, size);
            let kinds: Vec<&str> = health.issues.iter().map(|issue| issue.kind).collect();
            (health.status, kinds)
        };
        assert_eq!(kinds(&status, &size), (Colour::Green, vec![]));
        size.memory_status = MemoryStatus::SoftLimit;
        size.categories.categorization_status = CategorizationStatus::Warn;
        assert_eq!(
            kinds(&status, &size),
            (
                Colour::Yellow,
                vec!["model_memory_soft_limit", "categorization_warning"]
            )
        );
        size.memory_status = MemoryStatus::HardLimit;
        assert_eq!(kinds(&status, &size).0, Colour::Red);
        status.state = State::Closed;
        assert_eq!(kinds(&status, &size), (Colour::Green, vec![]));
        (status.state, status.opened_at) = (State::Opening, None);
        let health = Health::of(&status, &ModelSize::default());
        assert_eq!(
            (
                health.status,
                health.issues[0].kind,
                health.issues[0].first_occurrence
            ),
            (Colour::Red, "assignment_failed", Some(7))
        );
    }
}
