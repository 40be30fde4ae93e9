//! What is wrong with a detector, as `_validate` tells it and as a refusal.

use serde_json::{Map, Value, json};

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

/// How a request is refused that brings such a detector.
#[derive(Debug)]
enum Refusal {
    /// Wrong in itself.
    Invalid,
    Other(ApiError),
}

/// What is wrong with a detector.
#[derive(Debug)]
pub struct Issue {
    pub aspect: Aspect,
    /// The field that it is about, in the words of `_validate`.
    field: &'static str,
    message: String,
    sub_issues: Map<String, Value>,
    suggested: Option<Value>,
    refusal: Refusal,
}

impl Issue {
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            aspect: Aspect::Detector,
            field,
            message: message.into(),
            sub_issues: Map::new(),
            suggested: None,
            refusal: Refusal::Invalid,
        }
    }

    pub fn of_model(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            aspect: Aspect::Model,
            ..Self::new(field, message)
        }
    }

    /// One whose refusal is a status of its own, in the same words.
    pub fn with_status(field: &'static str, code: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            refusal: Refusal::Other(status(code, message.clone())),
            ..Self::new(field, message)
        }
    }

    /// One whose refusal is another error, and has its words.
    pub fn refused(field: &'static str, error: ApiError) -> Self {
        Self {
            message: error.0.reason.clone(),
            refusal: Refusal::Other(error),
            ..Self::new(field, "")
        }
    }

    /// `told` in front of the message of each of `names`, and of each alone.
    pub fn of_each(mut self, names: &[&str], told: &str) -> Self {
        for name in names {
            self.sub_issues.insert((*name).to_owned(), told.into());
        }
        self
    }

    /// What would be better: a time as detectors have it.
    pub fn suggesting(mut self, suggested: Value) -> Self {
        self.suggested = Some(suggested);
        self
    }

    pub fn into_error(self, dialect: Dialect) -> ApiError {
        match self.refusal {
            Refusal::Invalid => dialect.invalid(&self.message),
            Refusal::Other(error) => error,
        }
    }

    /// As `_validate` tells it.
    pub fn told(&self) -> Value {
        let mut told = json!({"message": self.message});
        if !self.sub_issues.is_empty() {
            told["sub_issues"] = self.sub_issues.clone().into();
        }
        if let Some(suggested) = &self.suggested {
            told["suggested_value"] = suggested.clone();
        }
        json!({self.aspect.name(): {self.field: told}})
    }
}
