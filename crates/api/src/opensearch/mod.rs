//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: a detector is a job with a datafeed, and what
//! a job can't say of it stands in the job's `custom_settings.opensearch`.

mod change;
mod check;
mod count;
mod data;
mod detector;
mod detectors;
mod dialect;
mod fields;
mod filter_query;
mod history;
mod indices;
mod issue;
mod job;
mod preview;
mod profile;
mod read;
mod real_time;
mod removal;
mod result;
mod results;
mod run;
mod search;
mod stats;
mod stored;
mod validate;

use axum::Router;
use axum::extract::Extension;
use axum::http::Uri;
use axum::routing::{delete, get, post};
use serde_json::{Map, Value};

pub use dialect::Dialect;
pub use indices::targets;
pub use read::Sent;

use crate::error::Result;
use crate::jobs::lasting;
use crate::{ApiState, body, escape};

/// The last moment that a client may name: in the year 9999. Epoch milliseconds.
const LATEST: i64 = 253_402_300_799_999;

pub fn routes() -> Router<ApiState> {
    let each = Dialect::ALL.into_iter().map(of_dialect);
    each.fold(Router::new(), Router::merge)
}

fn of_dialect(dialect: Dialect) -> Router<ApiState> {
    let root = dialect.root();
    let at = |rest: &str| format!("{root}/detectors{rest}");
    Router::new()
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
            get(results::top).post(results::top),
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
        .route(&at("/{detector_id}/_start"), post(run::start))
        .route(&at("/{detector_id}/_stop"), post(run::stop))
        .route(&at("/count"), get(count::count))
        .route(&at("/match"), get(count::matching))
        .layer(Extension(dialect))
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

/// The parameters of a request; those that nobody knows are left alone.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(uri: &Uri) -> Result<Self> {
        Ok(Self(escape::pairs(uri.query().unwrap_or_default())?))
    }

    fn text(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().rfind(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(crate::error::ApiError::no_bool(other)),
        }
    }

    fn whole(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let read = text.parse().map(Some);
        read.map_err(|_| {
            crate::error::ApiError::illegal_argument(format!(
                "Failed to parse int parameter [{name}] with value [{text}]"
            ))
        })
    }
}

/// Waits for a change to be made, which goes on to its end when the client has gone.
async fn whole<T: Send + 'static>(
    change: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    lasting(async move { change.await.map_err(|error| error.0) }).await
}

/// The body of a request, an object; an empty one where there is none.
async fn object(body: axum::body::Body) -> Result<Map<String, Value>> {
    let bytes = body::read(body).await?;
    match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Ok(Map::new()),
        false => body::object(&bytes),
    }
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
