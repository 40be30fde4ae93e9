//! `_cat`: tables for people, in text or in JSON. What is in a table is told by the file of its resource.

mod cluster;
mod datafeeds;
mod indices;
mod jobs;
mod table;
mod tasks;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::ApiState;
use crate::error::{Result, json_response};
use crate::media;
use crate::params::Params;

pub use table::{Cell, Column, Table};

/// What `/_cat` lists.
const LISTED: [&str; 13] = [
    "/_cat/ml/anomaly_detectors",
    "/_cat/ml/anomaly_detectors/{job_id}",
    "/_cat/ml/datafeeds",
    "/_cat/ml/datafeeds/{datafeed_id}",
    "/_cat/indices",
    "/_cat/indices/{index}",
    "/_cat/aliases",
    "/_cat/aliases/{alias}",
    "/_cat/count",
    "/_cat/count/{index}",
    "/_cat/health",
    "/_cat/nodes",
    "/_cat/tasks",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_cat", get(list))
        .route("/_cat/ml/anomaly_detectors", get(jobs::all))
        .route("/_cat/ml/anomaly_detectors/{job_id}", get(jobs::some))
        .route("/_cat/indices", get(indices::all))
        .route("/_cat/indices/{index}", get(indices::some))
        .route("/_cat/aliases", get(indices::aliases))
        .route("/_cat/aliases/{name}", get(indices::some_aliases))
        .route("/_cat/count", get(indices::count))
        .route("/_cat/count/{index}", get(indices::count_of))
        .route("/_cat/ml/datafeeds", get(datafeeds::all))
        .route("/_cat/ml/datafeeds/{datafeed_id}", get(datafeeds::some))
        .route("/_cat/health", get(cluster::health))
        .route("/_cat/nodes", get(cluster::nodes))
        .route("/_cat/tasks", get(tasks::list))
}

async fn list(uri: Uri) -> Result<Response> {
    Params::new(&uri)?.ignore(&["help"]).finish()?;
    let lines = LISTED.map(|path| format!("{path}\n"));
    Ok(text(format!("=^.^=\n{}", lines.concat())))
}

/// How a table is to be shown: the parameters that all tables take.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Display {
    /// With a line of headings.
    pub v: bool,
    /// The columns instead of the table.
    pub help: bool,
    /// The columns to show, by names, aliases and patterns.
    pub h: Option<String>,
    /// The columns to sort by.
    pub s: Option<String>,
    /// The unit of amounts of memory.
    pub bytes: Option<String>,
    /// The unit of spans of time.
    pub time: Option<String>,
}

/// The display that a request asks for, and whether in JSON. All parameters of the request are its own but those of
/// its endpoint, which has taken them.
fn display(uri: &Uri, headers: &HeaderMap, mut params: Params) -> Result<(Display, bool)> {
    let display = Display::deserialize(&mut params)?;
    params
        .ignore(&["local", "master_timeout", "timeout", "ts", "size"])
        .finish()?;
    Ok((display, wants_json(uri, headers)))
}

/// `format` says it, or else the first media type of `Accept` that means anything.
fn wants_json(uri: &Uri, headers: &HeaderMap) -> bool {
    let query = uri.query().unwrap_or_default().split('&');
    let mut formats = query.filter_map(|pair| pair.strip_prefix("format="));
    if let Some(format) = formats.next_back() {
        return format.eq_ignore_ascii_case("json");
    }
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let mut kinds = accept.unwrap_or_default().split(',').map(str::trim);
    let meant = kinds.find(|kind| {
        kind.starts_with("text/plain") || kind.starts_with("*/*") || media::is_json(kind)
    });
    meant.is_some_and(media::is_json)
}

/// A table as it was asked for; the rows are made when they are to be shown.
async fn answer(
    uri: &Uri,
    headers: &HeaderMap,
    params: Params,
    columns: Vec<&'static Column>,
    rows: impl Future<Output = Result<Vec<Vec<Cell>>>>,
) -> Result<Response> {
    let (display, json) = display(uri, headers, params)?;
    let mut table = Table {
        columns,
        rows: Vec::new(),
    };
    if display.help {
        return Ok(text(table.help()));
    }
    table.rows = rows.await?;
    table.sort(display.s.as_deref())?;
    Ok(match json {
        true => json_response(StatusCode::OK, table.json(&display).to_string()),
        false => text(table.text(&display)),
    })
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], body).into_response()
}

/// The state of handlers here.
type Served = State<ApiState>;
