//! Refusals, in the terms of Elasticsearch's error envelope: clients match on type, reason and status.

use tidewatch_model::config::{ConfigError, ErrorKind};
use tidewatch_store::StoreError;
use tidewatch_store::script::Place;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct JobError {
    pub status: u16,
    /// Elasticsearch's name of the exception.
    pub kind: &'static str,
    pub reason: String,
    pub cause: Option<Box<JobError>>,
    /// What it is about, where that is told.
    pub about: Option<Box<About>>,
}

/// What an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    Index {
        name: String,
        /// `_na_` where there is no such index.
        uuid: String,
    },
    Script(Place),
}

/// Between kind and reason, as in [`ConfigError`]'s display, and before a cause.
const PARTS: char = '\u{1f}';
const CAUSE: char = '\u{1e}';

/// Kinds of refusals that come while a body is read.
const CARRIED: [&str; 7] = [
    "status_exception",
    "parse_exception",
    "parsing_exception",
    "illegal_argument_exception",
    "number_format_exception",
    "query_shard_exception",
    "exception",
];

/// The exception of files that can't be read or written.
const OF_STORE: &str = "i_o_exception";

pub type Result<T> = std::result::Result<T, JobError>;

impl JobError {
    pub fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            reason: reason.into(),
            cause: None,
            about: None,
        }
    }

    pub fn no_such_job(job_id: &str) -> Self {
        Self::new(
            404,
            "resource_not_found_exception",
            format!("No known job with id '{job_id}'"),
        )
    }

    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(404, "resource_not_found_exception", reason)
    }

    pub fn already_exists(reason: impl Into<String>) -> Self {
        Self::new(400, "resource_already_exists_exception", reason)
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(400, "status_exception", reason)
    }

    pub fn parse(reason: impl Into<String>) -> Self {
        Self::new(400, "parse_exception", reason)
    }

    /// A request that is wrong as a whole, whatever else there is.
    pub fn invalid_request(reasons: &[&str]) -> Self {
        let numbered = (1..)
            .zip(reasons)
            .map(|(n, reason)| format!("{n}: {reason};"));
        let reasons: String = numbered.collect();
        let reason = format!("Validation Failed: {reasons}");
        Self::new(400, "action_request_validation_exception", reason)
    }

    /// The job is in a state that doesn't allow it.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(409, "status_exception", reason)
    }

    /// There is no room now.
    pub fn no_room(reason: impl Into<String>) -> Self {
        Self::new(429, "status_exception", reason)
    }

    pub fn illegal_state(reason: impl Into<String>) -> Self {
        Self::new(500, "illegal_state_exception", reason)
    }

    pub fn timed_out(reason: impl Into<String>) -> Self {
        Self::new(408, "status_exception", reason)
    }

    pub fn internal(reason: impl Into<String>) -> Self {
        Self::new(500, "exception", reason)
    }

    pub fn about(mut self, name: &str, uuid: &str) -> Self {
        self.about = Some(Box::new(About::Index {
            name: name.to_owned(),
            uuid: uuid.to_owned(),
        }));
        self
    }

    /// The error and its causes as one text: serde carries errors as text alone, and the wire needs their parts again
    /// on the other side.
    pub fn carried(&self) -> String {
        let mut text = format!("{}{PARTS}{}", self.kind, self.reason);
        if let Some(cause) = &self.cause {
            text.push(CAUSE);
            text.push_str(&cause.carried());
        }
        text
    }

    /// Finds an error again in the text that [`carried`](Self::carried), or a [`ConfigError`], made of it.
    pub fn from_carried(text: &str) -> Option<Self> {
        let (error, cause) = match text.split_once(CAUSE) {
            Some((error, cause)) => (error, Some(Self::from_carried(cause)?)),
            None => (text, None),
        };
        let (kind, reason) = error.split_once(PARTS)?;
        let kind = CARRIED.into_iter().find(|known| *known == kind);
        let error = Self::new(400, kind.unwrap_or("illegal_argument_exception"), reason);
        Some(match cause {
            Some(cause) => error.because(cause),
            None => error,
        })
    }

    /// Whether it is the store that failed, as with a full disk: what was asked for may succeed another time.
    pub fn is_of_store(&self) -> bool {
        self.kind == OF_STORE
    }

    pub fn because(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }
}

impl From<ConfigError> for JobError {
    fn from(error: ConfigError) -> Self {
        match error.kind {
            ErrorKind::BadRequest => Self::bad_request(error.reason),
            ErrorKind::IllegalArgument => Self::illegal_argument(error.reason),
            ErrorKind::Parse => Self::parse(error.reason),
        }
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::new(500, OF_STORE, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_carried_through_text() {
        let error = JobError::bad_request("a").because(
            JobError::new(400, "parsing_exception", "b").because(JobError::illegal_argument("c")),
        );
        assert_eq!(JobError::from_carried(&error.carried()), Some(error));
        let config = ConfigError::bad_request("a");
        assert_eq!(
            JobError::from_carried(&config.to_string()),
            Some(config.into())
        );
        assert_eq!(JobError::from_carried("what serde says"), None);
    }
}
