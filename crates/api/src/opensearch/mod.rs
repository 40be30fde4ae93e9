//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: a detector is a job with a datafeed, and what
//! a job can't say of it stands in the job's `custom_settings.opensearch`.

mod call;
mod change;
mod check;
mod count;
mod data;
mod detector;
mod detectors;
mod dialect;
mod entities;
mod fields;
mod filter_query;
mod flat;
mod former;
mod history;
mod indices;
mod issue;
mod job;
mod leftovers;
mod once;
mod preview;
mod profile;
mod progress;
mod read;
mod real_time;
mod removal;
mod result;
mod results;
mod run;
mod sample;
mod search;
mod shared;
mod stats;
mod stored;
mod suggest;
mod top;
mod validate;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, post};

pub use dialect::Dialect;
pub use indices::targets;
pub use leftovers::go_on;
pub use read::Sent;
pub use shared::OpenSearch;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::jobs::lasting;

/// The last moment that a client may name: in the year 9999. Epoch milliseconds.
const LATEST: i64 = 253_402_300_799_999;

pub fn routes(state: &ApiState) -> Router<ApiState> {
    let each = Dialect::ALL.into_iter().map(|dialect| {
        of_dialect(dialect)
            .route_layer(middleware::from_fn_with_state(state.clone(), guard))
            .layer(Extension(dialect))
    });
    each.fold(Router::new(), Router::merge)
}

/// Nothing is answered where the settings turn it off.
async fn guard(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    request: Request,
    next: Next,
) -> Result<Response> {
    if state.jobs.cluster().has_detectors() {
        return Ok(next.run(request).await);
    }
    let what = dialect.says("AD functionality", "AD plugin");
    Err(ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "illegal_state_exception",
        format!("{what} is disabled. To enable update plugins.anomaly_detection.enabled to true"),
    ))
}

fn of_dialect(dialect: Dialect) -> Router<ApiState> {
    let root = dialect.root();
    let at = |rest: &str| format!("{root}/detectors{rest}");
    let mut routes = Router::new();
    if !dialect.is_legacy() {
        routes = routes.route(&at("/_suggest/{types}"), post(suggest::suggest));
    }
    routes
        .route(&at(""), post(detectors::create))
        .route(
            &at("/{detector_id}"),
            get(detectors::get)
                .put(detectors::update)
                .delete(detectors::delete),
        )
        .route(
            &at("/_search"),
            get(search::detectors).post(search::detectors),
        )
        .route(
            &at("/tasks/_search"),
            get(search::tasks).post(search::tasks),
        )
        .route(&at("/_validate"), post(validate::detector))
        .route(&at("/_validate/{types}"), post(validate::validate))
        .route(
            &at("/results/_search"),
            get(results::search).post(results::search),
        )
        .route(&at("/results"), delete(removal::delete))
        // As the first versions had it.
        .route(
            &format!("{root}/results/_search"),
            get(results::search).post(results::search),
        )
        .route(
            &at("/results/_search/{names}"),
            get(results::search_own).post(results::search_own),
        )
        .route(
            &at("/{detector_id}/results/_topAnomalies"),
            get(top::top).post(top::top),
        )
        .route(&at("/_preview"), post(preview::preview))
        .route(&at("/{detector_id}/_preview"), post(preview::preview_by_id))
        .route(
            &at("/{detector_id}/_profile"),
            get(profile::profile).post(profile::profile),
        )
        .route(
            &at("/{detector_id}/_profile/"),
            get(profile::profile).post(profile::profile),
        )
        .route(
            &at("/{detector_id}/_profile/{types}"),
            get(profile::typed).post(profile::typed),
        )
        .route(&format!("{root}/stats"), get(stats::all))
        .route(&format!("{root}/stats/"), get(stats::all))
        .route(&format!("{root}/stats/{{stat}}"), get(stats::some))
        .route(&format!("{root}/{{node}}/stats"), get(stats::of_node))
        .route(&format!("{root}/{{node}}/stats/"), get(stats::of_node))
        .route(
            &format!("{root}/{{node}}/stats/{{stat}}"),
            get(stats::some_of_node),
        )
        .route(&at("/{detector_id}/_run"), post(once::run))
        .route(&at("/{detector_id}/_start"), post(run::start))
        .route(&at("/{detector_id}/_stop"), post(run::stop))
        .route(&at("/count"), get(count::count))
        .route(&at("/match"), get(count::matching))
}

/// A fresh id: of 20 letters and digits, as OpenSearch's are, but in lower case, so that it can be a job's.
fn id() -> String {
    digits(uuid::Uuid::new_v4().as_u128())
}

/// The last 20 digits of a number whose base is 36.
fn digits(number: u128) -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut left = number;
    let mut id = String::with_capacity(20);
    for _ in 0..20 {
        let digit = usize::try_from(left % 36).unwrap_or_default();
        id.push(char::from(DIGITS[digit]));
        left /= 36;
    }
    id
}

/// Waits for a change to be made, which goes on to its end when the client has gone.
async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    lasting(async move { change.await.map_err(|error| error.0) }).await
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_those_of_jobs() {
        let (a, b) = (super::id(), super::id());
        assert_ne!(a, b);
        assert_eq!(a.len(), 20);
        assert!(tidewatch_jobs::config::is_valid_id(&a), "{a}");
    }
}
