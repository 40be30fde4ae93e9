//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: a detector is a job with a datafeed, and what
//! a job can't say of it stands in the job's `custom_settings.opensearch`.

mod change;
mod count;
mod data;
mod detector;
mod detectors;
mod dialect;
mod filter_query;
mod issue;
mod job;
mod read;
mod search;
mod stored;

use axum::Router;
use axum::extract::Extension;
use axum::http::Uri;
use axum::routing::{get, post};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::{ApiState, body, escape};
use dialect::Dialect;

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
        .route(&at("/count"), get(count::count))
        .route(&at("/match"), get(count::matching))
        .layer(Extension(dialect))
}

/// A fresh id: of 20 letters and digits, as OpenSearch's are, but in lower case, so that it can be a job's.
fn id() -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut left = uuid::Uuid::new_v4().as_u128();
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
