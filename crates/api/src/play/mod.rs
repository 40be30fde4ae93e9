//! The Google Play Developer Reporting API, v1beta1, as far as jobs can answer it: anomalies, the apps, and how fresh
//! a metric set is. Its conventions are Google's, not Elasticsearch's: errors, parameters, partial answers.

mod anomalies;
mod apps;
mod error;
mod fields;
mod filter;
mod metric_sets;
mod request;
mod values;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::Value;
use tidewatch_jobs::play::METRIC_SETS;

use crate::{ApiState, body, escape};
use error::{PlayError, Result};
use request::{Look, Params};

const ROOT: &str = "/v1beta1/";

/// The dialect's routes. They stand beside Elasticsearch's, whose checks of headers and parameters aren't Google's.
pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/v1beta1/apps:search", any(answer))
        .route("/v1beta1/apps/{*rest}", any(answer))
}

async fn answer(State(state): State<ApiState>, method: Method, uri: Uri, unread: Body) -> Response {
    // No method needs it, but a client that still sends it would find its connection closed.
    let _ = body::read(unread).await;
    let mut look = Look::default();
    match found(&state, &method, &uri, &mut look).await {
        Ok(value) => look.response(value),
        Err(error) => error.into_response(),
    }
}

/// What a request is answered with, and how that is to look.
async fn found(state: &ApiState, method: &Method, uri: &Uri, look: &mut Look) -> Result<Value> {
    let path = uri.path().strip_prefix(ROOT).unwrap_or_default();
    let segments = path.split('/').map(|part| escape::decode(part, false));
    let segments = segments.collect::<std::result::Result<Vec<String>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let mut params = Params::new(uri)?;
    *look = params.look()?;
    let is_set = |name: &str| METRIC_SETS.iter().any(|set| set.name == name);
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["apps:search"]) => apps::search(state, params),
        ("GET", ["apps", app, "anomalies"]) => anomalies::list(state, app, params).await,
        ("GET", ["apps", app, set]) if is_set(set) => {
            params.finish()?;
            metric_sets::get(state, app, set).await
        }
        ("POST", ["apps", _, verb]) if verb.strip_suffix(":query").is_some_and(is_set) => {
            Err(PlayError::unimplemented(
                "querying the rows of a metric set: jobs keep anomalies, not the data",
            ))
        }
        ("GET", ["apps", _, "errorIssues:search" | "errorReports:search"]) => Err(
            PlayError::unimplemented("searching errors: jobs keep anomalies of metrics alone"),
        ),
        ("GET", ["apps", app]) if app.ends_with(":fetchReleaseFilterOptions") => Err(
            PlayError::unimplemented("release filter options: jobs know no releases"),
        ),
        _ => Err(PlayError::not_found("Method not found.")),
    }
}
