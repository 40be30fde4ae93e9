//! What a search is to look at.

use std::sync::Arc;

use serde_json::json;
use tidewatch_store::query::{Dsl, Loose};
use tidewatch_store::script::ScriptError;
use tidewatch_store::search::{RuntimeFields, Search, SearchError, Target, View, runtime_fields};

use super::resolve::Meant;
use super::type_of;
use crate::error::{About, JobError, Result};
use crate::manager::Jobs;

/// How deep a page may reach where an index doesn't say.
const WINDOW: i64 = tidewatch_store::search::WINDOW;

impl From<SearchError> for JobError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Refused(refused) => JobError::new(400, refused.kind, refused.reason),
            SearchError::Script(error) => error.into(),
            SearchError::Store(error) => error.into(),
            SearchError::Index(error) => error.into(),
        }
    }
}

impl From<ScriptError> for JobError {
    fn from(error: ScriptError) -> Self {
        let mut refusal = JobError::new(400, error.kind, error.reason);
        if let Some(place) = error.place {
            let cause = JobError::new(400, place.cause.kind, place.cause.reason.clone());
            refusal = refusal.because(cause);
            refusal.about = Some(Box::new(About::Script(*place)));
        }
        refusal
    }
}

impl Jobs {
    /// The documents of indices as they are now, or were refreshed last.
    pub fn targets(&self, meant: &[Meant]) -> Result<Vec<Target>> {
        meant.iter().map(|meant| self.target(meant)).collect()
    }

    fn target(&self, meant: &Meant) -> Result<Target> {
        match meant {
            Meant::Internal(index) => Ok(Target::Results {
                source: self.source(index),
                schema: Arc::new(Loose(type_of)),
            }),
            Meant::Own { index, only } => {
                let filter = match &only[..] {
                    [] => None,
                    only => Some(json!({"bool": {"should": only, "minimum_should_match": 1}})),
                };
                let filter = filter
                    .map(Dsl::new)
                    .transpose()
                    .map_err(SearchError::from)?;
                Ok(Target::Documents {
                    view: View::new(index.reader()?, RuntimeFields::new()),
                    filter,
                })
            }
        }
    }

    /// Targets as a search sees them, which may bring fields of its own.
    pub fn seen_by(&self, targets: &[Target], search: &Search) -> Result<Vec<Target>> {
        targets
            .iter()
            .map(|target| match target {
                Target::Documents { view, filter } => {
                    let mut runtime = view.reader.mapping.runtime().clone();
                    runtime.extend(search.runtime.clone());
                    Ok(Target::Documents {
                        view: View::new(view.reader.clone(), runtime_fields(&runtime)?),
                        filter: filter.clone(),
                    })
                }
                results => Ok(results.clone()),
            })
            .collect()
    }
}

/// How deep a page of these indices may reach.
pub fn window(meant: &[Meant]) -> i64 {
    let of = |meant: &Meant| match meant {
        Meant::Internal(_) => None,
        Meant::Own { index, .. } => {
            let settings = index.settings();
            settings.get("index.max_result_window")?.parse().ok()
        }
    };
    meant.iter().filter_map(of).min().unwrap_or(WINDOW)
}
