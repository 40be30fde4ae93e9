//! Results deleted by a query.

use std::time::Instant;

use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_jobs::JobError;
use tidewatch_store::query::{Context, Document, Dsl};
use tidewatch_store::search::{Made, SearchError};
use tidewatch_store::{Found, Holds, Source};

use super::call::{Call, Object};
use super::fields::OF_RESULTS;
use super::result::{self, Results};
use crate::cluster::ok;
use crate::error::Result;

/// Results that one transaction deletes.
const TOGETHER: usize = 1_000;

/// Deletes the results that a query finds, of detectors without an index of their own.
pub async fn delete(call: Call, Object(mut body): Object) -> Result<Response> {
    let Call { state, dialect, .. } = call;
    let started = Instant::now();
    let Some(query) = body.shift_remove("query") else {
        return Err(JobError::invalid_request(&["query is missing"]).into());
    };
    let context = Context {
        schema: &OF_RESULTS,
        now: state.jobs.now(),
    };
    let query = Dsl::new(query).and_then(|query| query.read(&context));
    let query = query.map_err(SearchError::from)?;
    let mut jobs = result::jobs(&state)?;
    jobs.retain(|_, whose| whose.detector.result_index.is_none());
    let source = Source {
        index: String::new(),
        holds: Holds::Results(jobs.keys().cloned().collect()),
        only: None,
    };
    let results = Results {
        jobs,
        dialect,
        is_flat: false,
    };
    let mut ids = Vec::new();
    let mut take = |found: Found| {
        if let Some(found) = results.document(found) {
            let document = Document {
                index: &source.index,
                id: &found.id,
                source: &found.source,
                schema: Some(&OF_RESULTS),
            };
            if query.matches(document) {
                ids.push(found.id);
            }
        }
        true
    };
    let store = state.jobs.store();
    let bounds = results.bounds(&query);
    let scanned = store.scan_documents(&source, &bounds, &mut take).await;
    scanned.map_err(JobError::from)?;
    let mut deleted = 0;
    for ids in ids.chunks(TOGETHER) {
        let gone = store.delete_documents(&source, ids.to_vec()).await;
        let gone = gone.map_err(JobError::from)?;
        deleted += gone.into_iter().filter(|gone| *gone).count();
    }
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let failures: [Value; 0] = [];
    Ok(ok(&json!({
        "took": took, "timed_out": false, "total": ids.len(), "deleted": deleted,
        "batches": ids.len().div_ceil(TOGETHER), "version_conflicts": 0, "noops": ids.len() - deleted,
        "retries": {"bulk": 0, "search": 0}, "throttled_millis": 0, "requests_per_second": -1.0,
        "throttled_until_millis": 0, "failures": failures
    })))
}
