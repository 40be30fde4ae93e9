//! What is wrong with a detector, as `_validate` tells it and as a refusal.

use serde_json::{Value, json};

use super::dialect::{Dialect, status};
use crate::error::ApiError;

/// What of a detector is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// Whether it can be created.
    Detector,
    /// Whether it will learn.
    Model,
}

impl Aspect {
    pub fn name(self) -> &'static str {
        match self {
            Self::Detector => "detector",
            Self::Model => "model",
        }
    }
}

/// Why a detector is not taken.
#[derive(Debug)]
pub enum Wrong {
    /// It has to be another: `_validate` tells it.
    Issue(Issue),
    /// It could not be looked at.
    Error(ApiError),
}

impl From<Issue> for Wrong {
    fn from(issue: Issue) -> Self {
        Self::Issue(issue)
    }
}

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl Wrong {
    /// As a request is refused.
    pub fn into_error(self, dialect: Dialect) -> ApiError {
        match self {
            Self::Issue(issue) => issue.into_error(dialect),
            Self::Error(error) => error,
        }
    }
}

/// How a request is refused that brings a detector with an issue.
#[derive(Debug)]
enum Refusal {
    /// As one that is wrong in itself.
    Read,
    /// As one that the data or the other detectors show to be wrong. None: in the words of the issue.
    Found(Option<String>),
    /// With a status, in the words of the issue.
    Status(u16),
}

/// What is wrong with a detector.
#[derive(Debug)]
pub struct Issue {
    pub aspect: Aspect,
    /// The field that it is about, in the words of `_validate`.
    field: &'static str,
    message: String,
    /// Names of features, and what is wrong with each.
    sub_issues: Vec<(String, String)>,
    suggested: Option<Box<Value>>,
    refusal: Refusal,
}

impl Issue {
    /// Of a definition that is wrong in itself.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            aspect: Aspect::Detector,
            field,
            message: message.into(),
            sub_issues: Vec::new(),
            suggested: None,
            refusal: Refusal::Read,
        }
    }

    /// Of a definition that doesn't go with what there is.
    pub fn found(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            refusal: Refusal::Found(None),
            ..Self::new(field, message)
        }
    }

    pub fn of_model(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            aspect: Aspect::Model,
            ..Self::new(field, message)
        }
    }

    /// One whose refusal has a status of its own.
    pub fn with_status(field: &'static str, code: u16, message: impl Into<String>) -> Self {
        Self {
            refusal: Refusal::Status(code),
            ..Self::new(field, message)
        }
    }

    /// What is wrong with features: their names, and what it is. `detector`: the name of theirs.
    pub fn of_features(aspect: Aspect, detector: &str, features: &[(&str, &str)]) -> Self {
        let each = features
            .iter()
            .map(|(name, told)| format!("{told}: {name}"));
        let message = each.collect::<Vec<_>>().join(", ");
        let refused = format!(
            "Validation failed for feature(s) of detector {detector} Exceptions: [{message}]"
        );
        let owned = |(name, told): &(&str, &str)| ((*name).to_owned(), (*told).to_owned());
        Self {
            aspect,
            sub_issues: features.iter().map(owned).collect(),
            refusal: Refusal::Found(Some(refused)),
            ..Self::new("feature_attributes", message)
        }
    }

    /// What would be better: a time as detectors have it.
    pub fn suggesting(mut self, suggested: Value) -> Self {
        self.suggested = Some(Box::new(suggested));
        self
    }

    fn into_error(self, dialect: Dialect) -> ApiError {
        match self.refusal {
            Refusal::Read => dialect.invalid(&self.message),
            Refusal::Found(told) => dialect.found_invalid(told.unwrap_or(self.message)),
            Refusal::Status(code) => status(code, self.message),
        }
    }

    /// As `_validate` tells it.
    pub fn told(&self) -> Value {
        let mut told = json!({"message": self.message});
        if !self.sub_issues.is_empty() {
            let each = self.sub_issues.iter().cloned();
            told["sub_issues"] = each.map(|(name, told)| (name, Value::from(told))).collect();
        }
        if let Some(suggested) = &self.suggested {
            told["suggested_value"] = Value::clone(suggested);
        }
        json!({self.aspect.name(): {self.field: told}})
    }
}
