//! Documents and their indices: users' own, and Elasticsearch's internal ones, which old clusters' results are written
//! to and dashboards read.

mod aliases;
mod analyze;
mod bulk;
mod by_query;
mod count;
mod field_caps;
mod get;
mod indices;
mod mappings;
mod mget;
mod msearch;
mod named;
mod one;
mod refresh;
mod refused;
mod resolve;
mod scroll;
mod search;
mod settings;
mod stats;
mod update;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde_json::Value;

use crate::error::{ApiError, json_response};
use crate::{ApiState, VERSION};

pub use named::Named;
pub use search::{Asked, found_in, object, run};
pub use stats::counts;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_bulk", post(bulk::everywhere).put(bulk::everywhere))
        .route("/{index}/_bulk", post(bulk::into).put(bulk::into))
        .route("/{index}/_doc", post(one::add))
        .route(
            "/{index}/_doc/{id}",
            put(one::put)
                .post(one::put)
                .get(get::document)
                .delete(one::delete),
        )
        .route("/{index}/_create/{id}", put(one::create).post(one::create))
        .route("/{index}/_update/{id}", post(update::update))
        .route("/{index}/_source/{id}", get(get::source))
        .route("/_mget", get(mget::everywhere).post(mget::everywhere))
        .route("/{index}/_mget", get(mget::within).post(mget::within))
        .route("/_search", get(search::everywhere).post(search::everywhere))
        .route(
            "/_msearch",
            get(msearch::everywhere).post(msearch::everywhere),
        )
        .route(
            "/{index}/_msearch",
            get(msearch::within).post(msearch::within),
        )
        .route("/{index}/_search", get(search::search).post(search::search))
        .route("/_analyze", get(analyze::anywhere).post(analyze::anywhere))
        .route(
            "/{index}/_analyze",
            get(analyze::within).post(analyze::within),
        )
        .merge(aliases::routes())
        .merge(by_query::routes())
        .merge(count::routes())
        .merge(field_caps::routes())
        .merge(indices::routes())
        .merge(mappings::routes())
        .merge(refresh::routes())
        .merge(refused::routes())
        .merge(resolve::routes())
        .merge(scroll::routes())
        .merge(settings::routes())
        .merge(stats::routes())
}

/// Every index that is open and not hidden.
const ALL: &str = "_all";

fn ok(value: &Value) -> Response {
    json_response(StatusCode::OK, value.to_string())
}

fn acknowledged() -> Response {
    ok(&serde_json::json!({"acknowledged": true}))
}

/// What is told of an index as one shard: `_shards` of an answer.
fn shards(count: usize) -> Value {
    serde_json::json!({"total": count, "successful": count, "failed": 0})
}

fn bad_request(kind: &'static str, reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, kind, reason)
}

/// Says of a new index whose name begins with a dot that such names are not for users.
fn warn_of_dot(name: &str, response: &mut Response) {
    if !name.starts_with('.') {
        return;
    }
    let told = format!(
        "299 Elasticsearch-{VERSION} \"index name [{name}] starts with a dot '.', in the next major version, index names \
         starting with a dot are reserved for hidden indices and system indices\""
    );
    if let Ok(told) = HeaderValue::from_str(&told) {
        response.headers_mut().append(header::WARNING, told);
    }
}
