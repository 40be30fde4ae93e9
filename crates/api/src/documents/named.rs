//! How index names are read, as parameters say it; and when what is written can be found.

use std::sync::Arc;

use serde::Deserialize;
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::{Meant, Reading};
use tidewatch_store::index::Index;

use crate::ApiState;
use crate::error::{ApiError, Result};

/// Parameters about names, which most endpoints take.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub struct Named {
    pub ignore_unavailable: Option<bool>,
    pub allow_no_indices: Option<bool>,
    pub expand_wildcards: Option<String>,
}

impl Named {
    /// What they say over what an endpoint does by itself.
    pub fn over(self, default: Reading) -> Result<Reading> {
        let mut reading = default;
        if let Some(ignore) = self.ignore_unavailable {
            reading.ignore_unavailable = ignore;
        }
        if let Some(allow) = self.allow_no_indices {
            reading.allow_no_indices = allow;
        }
        if let Some(states) = self.expand_wildcards {
            (reading.open, reading.closed, reading.hidden) = (false, false, false);
            for state in states.split(',').map(str::trim) {
                match state {
                    "open" => reading.open = true,
                    "closed" => reading.closed = true,
                    "hidden" => reading.hidden = true,
                    "all" => {
                        (reading.open, reading.closed, reading.hidden) = (true, true, true);
                    }
                    "none" => {
                        (reading.open, reading.closed, reading.hidden) = (false, false, false)
                    }
                    other => {
                        return Err(ApiError::illegal_argument(format!(
                            "No valid expand wildcard value [{other}]"
                        )));
                    }
                }
            }
        }
        Ok(reading)
    }

    /// For what reads documents.
    pub fn reading(self) -> Result<Reading> {
        self.over(Reading::default())
    }

    /// For what tells or changes something of indices themselves, closed ones among them.
    pub fn about_indices(self) -> Result<Reading> {
        self.over(Reading {
            takes_closed: true,
            ..Reading::default()
        })
    }
}

/// The indices of users among those that are meant; what is asked for doesn't go for internal ones.
///
/// # Errors
/// `what` is refused for an internal index.
pub fn own(meant: Vec<Meant>, what: &str) -> Result<Vec<Arc<Index>>> {
    let one = |meant| match meant {
        Meant::Own { index, .. } => Ok(index),
        Meant::Internal(index) => Err(ApiError::illegal_argument(format!(
            "{what} of the internal index [{}] can't be changed",
            index.name
        ))),
    };
    meant.into_iter().map(one).collect()
}

/// The only index that a name means.
pub async fn single(state: &ApiState, name: &str) -> Result<Meant> {
    let mut meant = state.jobs.meant(name, Reading::one()).await?;
    match (meant.pop(), meant.is_empty()) {
        (Some(one), true) => Ok(one),
        (last, _) => {
            let names: Vec<&str> = meant.iter().chain(&last).map(Meant::name).collect();
            Err(JobError::illegal_argument(format!(
                "alias [{name}] has more than one index associated with it [{}], can't execute a single index op",
                names.join(", ")
            ))
            .into())
        }
    }
}

/// When what is written can be found: `refresh` of a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Refresh {
    /// After the next refresh by the clock.
    #[default]
    Later,
    Now,
    /// After the next refresh by the clock, for which the answer waits.
    Wait,
}

impl Refresh {
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None | Some("false") => Ok(Self::Later),
            Some("" | "true") => Ok(Self::Now),
            Some("wait_for") => Ok(Self::Wait),
            Some(other) => Err(ApiError::illegal_argument(format!(
                "Unknown value for refresh: [{other}]."
            ))),
        }
    }

    pub async fn of(self, index: &Arc<Index>) -> Result<()> {
        match self {
            Self::Later => Ok(()),
            Self::Now => index.refresh().await.map_err(ApiError::from),
            Self::Wait => index.refreshed().await.map_err(ApiError::from),
        }
    }
}
