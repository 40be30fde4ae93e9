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
    /// How a request is refused that brings such a detector. None: as one that is wrong in itself.
    refusal: Option<Box<ApiError>>,
}

impl Issue {
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            aspect: Aspect::Detector,
            field,
            message: message.into(),
            sub_issues: Vec::new(),
            suggested: None,
            refusal: None,
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
            refusal: Some(Box::new(status(code, message.clone()))),
            ..Self::new(field, message)
        }
    }

    /// One whose refusal is another error, and has its words.
    pub fn refused(field: &'static str, error: ApiError) -> Self {
        Self {
            message: error.0.reason.clone(),
            refusal: Some(Box::new(error)),
            ..Self::new(field, "")
        }
    }

    /// `told` in front of the message of each of `names`, and of each alone.
    pub fn of_each(mut self, names: &[&str], told: &str) -> Self {
        for name in names {
            self.sub_issues.push(((*name).to_owned(), told.to_owned()));
        }
        self
    }

    /// What would be better: a time as detectors have it.
    pub fn suggesting(mut self, suggested: Value) -> Self {
        self.suggested = Some(Box::new(suggested));
        self
    }

    pub fn into_error(self, dialect: Dialect) -> ApiError {
        match self.refusal {
            None => dialect.invalid(&self.message),
            Some(error) => *error,
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
