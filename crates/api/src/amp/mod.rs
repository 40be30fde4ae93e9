//! Amazon Managed Service for Prometheus: its anomaly detectors, and what they find as series of Prometheus.
//!
//! A detector is a job with a datafeed that asks a source of kind `prometheus`; what only the service knows of it (its
//! alias, labels, tags ..) stands in the job's `custom_settings.prometheus`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aggregation;
mod asked;
mod auth;
mod check;
mod deletion;
mod detector;
mod detectors;
mod error;
mod job;
mod kept;
mod labels;
mod list;
mod preview;
pub(crate) mod promql;
mod query;
mod refused;
mod remote_write;
mod series;
mod settings;
mod shapes;
mod shown;
mod sigv4;
mod standing;
mod tags;
mod tokens;
mod training;
mod workspaces;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use tower::ServiceExt;

pub use settings::{Amp, AmpSettings, InvalidAmp, Key};
pub(crate) use sigv4::{Authorization, Signed};

use crate::ApiState;

/// All routes. Nothing of Elasticsearch's manners is theirs: what is no request of the service, an index `workspaces`
/// and its documents, is left to `elasticsearch`.
pub fn routes(state: &ApiState, elasticsearch: Router) -> Router<ApiState> {
    const WORKSPACE: &str = "/workspaces/{workspace_id}";
    const DETECTORS: &str = "/workspaces/{workspace_id}/anomalydetectors";
    let mut routes = Router::new()
        .route(
            "/workspaces",
            get(workspaces::list).post(workspaces::create),
        )
        .route(
            WORKSPACE,
            get(workspaces::describe).delete(workspaces::delete),
        )
        .route(&format!("{WORKSPACE}/alias"), post(workspaces::rename))
        .route(DETECTORS, post(detectors::create).get(list::list))
        .route(
            &format!("{DETECTORS}/preview"),
            get(preview::preview).post(preview::preview),
        )
        .route(
            &format!("{DETECTORS}/{{detector_id}}"),
            put(detectors::put)
                .get(detectors::describe)
                .delete(deletion::delete),
        )
        // Only so far: an index may have the name `tags`.
        .route(
            "/tags/arn{resource}",
            get(tags::list).post(tags::tag).delete(tags::untag),
        );
    for other in MISSING {
        routes = routes.route(&format!("{WORKSPACE}/{other}"), any(workspaces::missing));
    }
    routes
        .merge(prometheus(WORKSPACE))
        .merge(prometheus(""))
        .route_layer(middleware::from_fn_with_state(state.clone(), auth::guard))
        .route_layer(middleware::map_response(identify))
        .route_layer(middleware::from_fn_with_state(elasticsearch, leave))
}

/// Of a workspace, what the service has and this server hasn't.
const MISSING: [&str; 7] = [
    "alertmanager/definition",
    "configuration",
    "logging",
    "logging/query",
    "policy",
    "rulegroupsnamespaces",
    "rulegroupsnamespaces/{name}",
];

/// Leaves to Elasticsearch's dialect what is asked of an index of the name `workspaces`.
async fn leave(State(elasticsearch): State<Router>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_index = match path.strip_prefix("/workspaces/") {
        Some(rest) => rest.starts_with('_'),
        None => path == "/workspaces" && !matches!(request.method().as_str(), "GET" | "POST"),
    };
    if !is_index {
        return next.run(request).await;
    }
    // As it came: what was found out about it so far belongs to another path.
    let (parts, body) = request.into_parts();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri;
    *request.headers_mut() = parts.headers;
    match elasticsearch.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
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
