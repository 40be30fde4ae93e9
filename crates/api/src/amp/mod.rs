//! Amazon Managed Service for Prometheus: its anomaly detectors, and what they find as series of Prometheus.
//!
//! A detector is a job with a datafeed that asks a source of kind `prometheus`; what only the service knows of it (its
//! alias, labels, tags ..) stands in the job's `custom_settings.prometheus`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aggregation;
mod auth;
mod check;
mod detector;
mod detectors;
mod error;
mod job;
mod labels;
mod preview;
pub(crate) mod promql;
mod query;
mod remote_write;
mod series;
mod settings;
mod shapes;
mod sigv4;
mod tags;
mod training;

use axum::Router;
use axum::http::HeaderValue;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post, put};

pub use settings::{Amp, AmpSettings, InvalidAmp, Key};
pub(crate) use sigv4::{Authorization, Signed};

use crate::ApiState;

/// All routes. Nothing of Elasticsearch's manners is theirs.
pub fn routes(state: &ApiState) -> Router<ApiState> {
    const DETECTORS: &str = "/workspaces/{workspace_id}/anomalydetectors";
    Router::new()
        .route(DETECTORS, post(detectors::create).get(detectors::list))
        .route(
            &format!("{DETECTORS}/preview"),
            get(preview::preview).post(preview::preview),
        )
        .route(
            &format!("{DETECTORS}/{{detector_id}}"),
            put(detectors::put)
                .get(detectors::describe)
                .delete(detectors::delete),
        )
        // Only so far: an index may have the name `tags`.
        .route(
            "/tags/arn{resource}",
            get(tags::list).post(tags::tag).delete(tags::untag),
        )
        .merge(prometheus("/workspaces/{workspace_id}"))
        .merge(prometheus(""))
        .route_layer(middleware::from_fn_with_state(state.clone(), auth::guard))
        .route_layer(middleware::map_response(identify))
}

/// What Prometheus' own clients ask, below a workspace or of all of them.
fn prometheus(at: &str) -> Router<ApiState> {
    let path = |rest: &str| format!("{at}/api/v1/{rest}");
    Router::new()
        .route(&path("query"), get(query::instant).post(query::instant))
        .route(&path("query_range"), get(query::range).post(query::range))
        .route(&path("series"), get(labels::series).post(labels::series))
        .route(&path("labels"), get(labels::labels).post(labels::labels))
        .route(&path("label/{label}/values"), get(labels::values))
}

/// What goes on by itself, until the server ends.
pub async fn run(state: ApiState) {
    training::go_on(&state);
    if let Some(to) = state.amp.remote_write() {
        remote_write::run(state.clone(), to).await;
    }
}

/// Each answer has an id of its own.
async fn identify(mut response: Response) -> Response {
    let id = uuid::Uuid::new_v4().to_string();
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
