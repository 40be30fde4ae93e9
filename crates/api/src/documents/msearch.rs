//! `_msearch`: many searches in one request, two lines each: where, and what.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_jobs::JobError;

use super::bad_request;
use super::bulk::LONGEST;
use super::named::Named;
use super::search;
use crate::ApiState;
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;

/// Searches of one request.
const MOST: usize = 1_000;

/// Parameters that change nothing of what is found here.
const IGNORED: [&str; 5] = [
    "ccs_minimize_roundtrips",
    "max_concurrent_searches",
    "max_concurrent_shard_requests",
    "pre_filter_shard_size",
    "search_type",
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    rest_total_hits_as_int: bool,
    typed_keys: bool,
}

pub async fn everywhere(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    answer(state.0, None, &uri, body).await
}

pub async fn within(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    answer(state, Some(index), &uri, body).await
}

async fn answer(state: ApiState, index: Option<String>, uri: &Uri, body: Body) -> Result<Response> {
    let started = Instant::now();
    let mut params = Params::new(uri)?.ignore(&IGNORED);
    // How names are read where a search doesn't say.
    let named = Named::deserialize(&mut params)?;
    let asked: Asked = params.read()?;
    let searches = searches(&crate::body::read_up_to(body, LONGEST).await?)?;
    let mut responses = String::new();
    for (header, body) in searches {
        if !responses.is_empty() {
            responses.push(',');
        }
        match one(
            &state,
            index.as_deref(),
            named.clone(),
            &asked,
            header,
            body,
        )
        .await
        {
            Ok(answer) => {
                // An answer is an object: its status goes to its end.
                responses.push_str(answer.strip_suffix('}').unwrap_or(&answer));
                responses.push_str(",\"status\":200}");
            }
            Err(error) => responses.push_str(&error.envelope().to_string()),
        }
    }
    let took = started.elapsed().as_millis();
    let answer = format!("{{\"took\":{took},\"responses\":[{responses}]}}");
    Ok(json_response(StatusCode::OK, answer))
}

type Object = Map<String, Value>;

/// The searches of a body. A header may be an empty line.
fn searches(bytes: &[u8]) -> Result<Vec<(Object, Object)>> {
    let Some(bytes) = bytes.strip_suffix(b"\n") else {
        return Err(match bytes {
            [] => JobError::invalid_request(&["no requests added"]).into(),
            _ => ApiError::illegal_argument(
                "The msearch request must be terminated by a newline [\\n]",
            ),
        });
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut searches = Vec::new();
    while let Some((number, header)) = lines.next() {
        let header = object(number, header)?;
        let Some((number, body)) = lines.next() else {
            return Err(bad_request(
                "parsing_exception",
                format!("the search of line [{}] has no body", number + 1),
            ));
        };
        searches.push((header, object(number, body)?));
        if searches.len() > MOST {
            return Err(ApiError::illegal_argument(format!(
                "at most [{MOST}] searches are taken in one request"
            )));
        }
    }
    Ok(searches)
}

fn object(number: usize, line: &[u8]) -> Result<Object> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    serde_json::from_slice(line).map_err(|error| {
        bad_request(
            "parsing_exception",
            format!("line [{}] is no JSON object: {error}", number + 1),
        )
    })
}

async fn one(
    state: &ApiState,
    index: Option<&str>,
    mut named: Named,
    asked: &Asked,
    header: Object,
    body: Object,
) -> Result<String> {
    let mut index = index.map(str::to_owned);
    for (name, value) in header {
        match name.as_str() {
            "index" | "indices" => index = Some(list(&value)),
            "ignore_unavailable" => named.ignore_unavailable = Some(is_true(&value)),
            "allow_no_indices" => named.allow_no_indices = Some(is_true(&value)),
            "expand_wildcards" => named.expand_wildcards = Some(list(&value)),
            known if IGNORED.contains(&known) => {}
            "preference"
            | "routing"
            | "request_cache"
            | "allow_partial_search_results"
            | "ignore_throttled" => {}
            other => {
                return Err(ApiError::illegal_argument(format!(
                    "key [{other}] is not supported in the metadata section"
                )));
            }
        }
    }
    let asked = search::Asked::named(named, asked.rest_total_hits_as_int, asked.typed_keys);
    search::found(state, index.as_deref(), asked, body).await
}

/// One text, or many: a comma list.
fn list(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(list).collect::<Vec<_>>().join(","),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true) || value == "true"
}
