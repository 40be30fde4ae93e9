//! Clients that go away before they are answered: what they asked for is done as a whole all the same.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use futures_util::FutureExt;
use serde_json::json;
use tidewatch_datafeed::Feeds;
use tidewatch_datafeed::source::Sources;
use tidewatch_jobs::{Jobs, Settings};
use tidewatch_model::units::Memory;
use tidewatch_store::Store;

use crate::amp::{Amp, AmpSettings};
use crate::{ApiState, Identity, jobs};

pub async fn state(directory: &std::path::Path) -> ApiState {
    let store = Store::open(directory).await.expect("the store opens");
    let settings = Settings {
        max_open_jobs: 10,
        node_memory: Memory::mebibytes(100),
        max_model_memory_limit: None,
        threads: 1,
        checkpoint_journal_bytes: 1 << 20,
        background_persist_interval: Duration::from_secs(3_600),
        maintenance: cron::Schedule::from_str("0 30 0 * * *").expect("a cron expression"),
        clock: tidewatch_jobs::Clock::default(),
    };
    let jobs = Jobs::start(store, settings).await.expect("jobs start");
    let identity = Identity::load(&jobs, "localhost".to_owned()).await;
    let sources = Sources::new(&BTreeMap::new(), Some(jobs.clone())).expect("none");
    let feeds = Feeds::start(jobs.clone(), Arc::new(sources), false);
    ApiState {
        feeds: feeds.await.expect("datafeeds start"),
        jobs,
        identity: Arc::new(identity.expect("an identity")),
        amp: Amp::new(&AmpSettings::default(), &BTreeMap::new()).expect("the defaults"),
        opensearch: crate::opensearch::OpenSearch::default(),
    }
}

/// Begins with a request, and gives it up where it first waits.
fn give_up<T: std::fmt::Debug>(request: impl Future<Output = T>) {
    let answer = request.now_or_never();
    assert!(answer.is_none(), "it was answered at once: {answer:?}");
}

/// Whether the job comes to be there, or not to be there any more.
async fn becomes(state: &ApiState, there: bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if state.jobs.get("j").is_ok() == there {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn jobs_are_created_and_deleted_though_the_client_has_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = state(directory.path()).await;
    let uri = || Uri::from_static("/_ml/anomaly_detectors/j");
    let path = || Path("j".to_owned());
    let body =
        json!({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}});
    let body = Body::from(body.to_string());
    give_up(jobs::create(State(state.clone()), path(), uri(), body));
    assert!(becomes(&state, true).await, "created");
    give_up(jobs::delete(State(state.clone()), path(), uri()));
    assert!(becomes(&state, false).await, "deleted");
    state.jobs.shut_down().await;
}
