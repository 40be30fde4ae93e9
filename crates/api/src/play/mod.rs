//! The Google Play Developer Reporting API, v1beta1, as far as jobs can answer it: anomalies, the apps, and how fresh
//! a metric set is, with its rows. Its conventions are Google's, not Elasticsearch's: errors, parameters, partial answers.

mod anomalies;
mod apps;
mod condition;
mod error;
mod fields;
mod filter;
mod message;
mod metric_sets;
mod request;
mod rows;
mod tokens;
mod values;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
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

/// Reads a text as a filter of either kind, as parts of an answer, and as a body; for fuzzing.
pub fn read(text: &str) {
    let _ = (filter::Active::parse(text), condition::parse(text));
    if let Ok(mask) = fields::Mask::parse(text) {
        let _ = mask.check(&mask);
    }
    if let Ok(mut message) = message::Message::parse(text.as_bytes()) {
        let _ = rows::timeline(message.message("timeline_spec").ok().flatten());
    }
}

async fn answer(
    State(state): State<ApiState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    unread: Body,
) -> Response {
    let body = body::read(unread).await;
    let mut look = Look::default();
    let found = async {
        let body = body?;
        // What would be too long as a URI comes as a form.
        let is_form = method == Method::POST
            && headers
                .get("x-http-method-override")
                .is_some_and(|named| named == "GET");
        let request = match is_form {
            true => Request {
                method: "GET",
                path: uri.path(),
                query: std::str::from_utf8(&body)
                    .map_err(|error| PlayError::unreadable(format!("{error}.")))?,
                body: &[],
            },
            false => Request {
                method: method.as_str(),
                path: uri.path(),
                query: uri.query().unwrap_or_default(),
                body: &body,
            },
        };
        request.found(&state, &mut look).await
    };
    match found.await {
        Ok(value) => look.response(value),
        Err(error) => error.response(!look.compact),
    }
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    body: &'a [u8],
}

impl Request<'_> {
    /// What it is answered with, and how that is to look.
    async fn found(&self, state: &ApiState, look: &mut Look) -> Result<Value> {
        let path = self.path.strip_prefix(ROOT).unwrap_or_default();
        let segments = path.split('/').map(|part| escape::decode(part, false));
        let segments = segments.collect::<std::result::Result<Vec<String>, _>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let mut params = Params::new(self.query)?;
        *look = params.look()?;
        let set = |name: &str| METRIC_SETS.iter().find(|set| set.name == name);
        match (self.method, segments.as_slice()) {
            ("GET", ["apps:search"]) => {
                look.check(apps::SHAPE)?;
                apps::search(state, params)
            }
            ("GET", ["apps", app, "anomalies"]) => {
                look.check(&anomalies::shape())?;
                anomalies::list(state, app, params).await
            }
            ("GET", ["apps", app, name]) if let Some(set) = set(name) => {
                look.check(&metric_sets::shape())?;
                params.finish()?;
                metric_sets::get(state, app, set.name).await
            }
            ("POST", ["apps", app, verb])
                if let Some(set) = verb.strip_suffix(":query").and_then(set) =>
            {
                look.check(&rows::shape())?;
                params.finish()?;
                rows::query(state, app, set, self.body).await
            }
            ("GET", ["apps", _, "errorIssues:search" | "errorReports:search"]) => Err(
                PlayError::unimplemented("searching errors: jobs have values of metrics alone"),
            ),
            ("GET", ["apps", app]) if app.ends_with(":fetchReleaseFilterOptions") => Err(
                PlayError::unimplemented("release filter options: jobs know no releases"),
            ),
            _ => Err(PlayError::not_found("Method not found.")),
        }
    }
}
