//! What Elasticsearch has and this server hasn't: asked for, there is nothing; given, it is refused by name.

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{any, get};
use serde_json::{Value, json};

use crate::ApiState;
use crate::error::{ApiError, Result, json_response};

/// Things that are made by name and that there are none of: where they are, what their list is called in an answer
/// (none: the answer is the list), and their name in words.
const NONE_OF: [(&str, Option<&str>, &str); 5] = [
    (
        "/_index_template",
        Some("index_templates"),
        "index template",
    ),
    (
        "/_component_template",
        Some("component_templates"),
        "component template",
    ),
    ("/_data_stream", Some("data_streams"), "data stream"),
    ("/_template", None, "template"),
    ("/_ingest/pipeline", None, "pipeline"),
];

/// What is refused whichever way it is asked for.
const REFUSED: [(&str, &str); 23] = [
    ("/_reindex", "reindex"),
    ("/_scripts/{id}", "stored scripts"),
    ("/_render/template", "search templates"),
    ("/_search/template", "search templates"),
    ("/_msearch/template", "search templates"),
    ("/{index}/_search/template", "search templates"),
    ("/_async_search", "asynchronous searches"),
    ("/{index}/_async_search", "asynchronous searches"),
    ("/_sql", "SQL"),
    ("/_query", "ES|QL"),
    ("/{index}/_eql/search", "EQL"),
    ("/_ingest/pipeline/_simulate", "ingest pipelines"),
    ("/{index}/_update_by_query", "update by query"),
    ("/{index}/_explain/{id}", "explanations of scores"),
    ("/{index}/_termvectors/{id}", "term vectors"),
    ("/{index}/_rank_eval", "ranking evaluation"),
    ("/{index}/_rollover", "rollover"),
    ("/{index}/_shrink/{target}", "shrinking an index"),
    ("/{index}/_split/{target}", "splitting an index"),
    ("/{index}/_clone/{target}", "cloning an index"),
    ("/{index}/_block/{block}", "index blocks"),
    ("/_snapshot/{repository}", "snapshots of indices"),
    ("/_ilm/policy/{policy}", "index lifecycle management"),
];

pub fn routes() -> Router<ApiState> {
    let mut routes = Router::new();
    for (path, list, name) in NONE_OF {
        let all = move |method: Method| async move { none(&method, list, name, None) };
        let one = move |method: Method, uri: Uri| async move {
            let path = uri.path();
            let asked = path.rsplit_once('/').map_or(path, |(_, name)| name);
            none(&method, list, name, Some(asked))
        };
        routes = routes
            .route(path, get(all))
            .route(&format!("{path}/{{name}}"), any(one));
    }
    for (path, what) in REFUSED {
        let refuse = move || async move { Err::<Response, _>(unsupported(what)) };
        routes = routes.route(path, any(refuse));
    }
    routes
}

fn unsupported(what: &str) -> ApiError {
    ApiError::illegal_argument(format!("[{what}] is not supported by this server"))
}

fn none(method: &Method, list: Option<&str>, name: &str, asked: Option<&str>) -> Result<Response> {
    if ![Method::GET, Method::HEAD, Method::DELETE].contains(method) {
        return Err(unsupported(&format!("{name}s")));
    }
    match asked {
        // The whole list, or what of it fits a pattern.
        _ if *method != Method::DELETE && asked.is_none_or(|asked| asked.contains('*')) => {
            let told = match list {
                Some(list) => json!({list: []}),
                None => json!({}),
            };
            Ok(json_response(StatusCode::OK, told.to_string()))
        }
        asked if list.is_some() || *method == Method::DELETE => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "resource_not_found_exception",
            format!("{name} matching [{}] not found", asked.unwrap_or_default()),
        )),
        _ => Ok(json_response(
            StatusCode::NOT_FOUND,
            Value::Object(Default::default()).to_string(),
        )),
    }
}
