//! Indices as such: they are made, told of, closed and deleted.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Meant, Reading};
use tidewatch_store::index::Creation;

use super::named::Named;
use super::{acknowledged, aliases, bad_request, mappings, ok, settings, warn_of_dot};
use crate::error::{ApiError, Result};
use crate::params::Params;
use crate::{ApiState, body, metrics};

/// Parameters that mean nothing where there is one node.
pub const IGNORED: [&str; 6] = [
    "local",
    "master_timeout",
    "timeout",
    "include_defaults",
    "wait_for_active_shards",
    "force",
];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/{index}", get(tell).put(create).delete(delete))
        .route("/{index}/_close", post(close))
        .route("/{index}/_open", post(open))
}

/// The indices that are meant, each with the name that it answers under.
pub async fn meant(
    state: &ApiState,
    expression: &str,
    reading: Reading,
) -> Result<Vec<(String, Meant)>> {
    let mut meant: Vec<(String, Meant)> = Vec::new();
    for index in state.jobs.meant(expression, reading).await? {
        // By the name that indices had before there were numbers, one answers under it.
        let former = match &index {
            Meant::Internal(index) => index.name.strip_suffix("-000001"),
            Meant::Own { .. } => None,
        };
        let name = former
            .filter(|former| *former == expression)
            .unwrap_or(index.name())
            .to_owned();
        if !meant.iter().any(|(known, _)| *known == name) {
            meant.push((name, index));
        }
    }
    Ok(meant)
}

/// `{"index": of it, ..}` of all that are meant.
pub async fn told(
    state: &ApiState,
    expression: &str,
    reading: Reading,
    of: impl Fn(&str, &Meant) -> Value,
) -> Result<Response> {
    let meant = meant(state, expression, reading).await?;
    let told: Map<String, Value> = meant
        .iter()
        .map(|(name, index)| (name.clone(), of(name, index)))
        .collect();
    Ok(ok(&told.into()))
}

#[derive(Deserialize)]
struct Asked {
    /// Which parts are told.
    features: Option<String>,
    #[serde(default)]
    flat_settings: bool,
}

/// What there is to an index. `GET /metrics` is what Prometheus reads, also where an index has that name; a wildcard or
/// its mappings, settings and aliases tell of that one.
async fn tell(
    state: State<ApiState>,
    method: Method,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    if expression == "metrics" && method == Method::GET {
        return Ok(metrics::metrics(state).await?.into_response());
    }
    let State(state) = state;
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.about_indices()?;
    let Asked {
        features,
        flat_settings,
    } = params.read()?;
    let features = features.unwrap_or_else(|| "aliases,mappings,settings".to_owned());
    let mut wanted = Vec::new();
    for feature in features.split(',').map(str::trim) {
        match feature.trim_start_matches('_') {
            "alias" | "aliases" => wanted.push("aliases"),
            "mapping" | "mappings" => wanted.push("mappings"),
            "settings" => wanted.push("settings"),
            _ => {
                return Err(ApiError::illegal_argument(format!(
                    "Invalid features specified [{feature}]"
                )));
            }
        }
    }
    told(&state, &expression, reading, |name, index| {
        let mut about = Map::new();
        for feature in &wanted {
            let told = match *feature {
                "aliases" => aliases::of(&state, index),
                "mappings" => mappings::of(index),
                _ => settings::of(name, index, flat_settings),
            };
            about.insert((*feature).to_owned(), told);
        }
        about.into()
    })
    .await
}

async fn create(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    Params::new(&uri)?.ignore(&IGNORED).finish()?;
    let creation = creation(&body::read(body).await?)?;
    let name = state.jobs.create_index(&name, creation).await?;
    let mut response =
        ok(&json!({"acknowledged": true, "shards_acknowledged": true, "index": name}));
    if !name.starts_with(".ml-") {
        warn_of_dot(&name, &mut response);
    }
    Ok(response)
}

/// The body of a creation; there may be none.
fn creation(bytes: &[u8]) -> Result<Creation> {
    let mut creation = Creation::default();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(creation);
    }
    for (key, value) in body::object(bytes)? {
        match (key.as_str(), value.is_object()) {
            ("mappings", true) => creation.mappings = value,
            ("settings", true) => creation.settings = value,
            ("aliases", true) => creation.aliases = value,
            ("mappings" | "settings" | "aliases", false) => {
                return Err(ApiError::parse(format!("key [{key}] must be an object")));
            }
            _ => {
                return Err(ApiError::parse(format!(
                    "unknown key [{key}] for create index"
                )));
            }
        }
    }
    Ok(creation)
}

async fn delete(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.over(Reading {
        closed: true,
        takes_closed: true,
        aliases: false,
        ..Reading::default()
    })?;
    params.finish()?;
    let names_all = |part: &str| matches!(part, "" | "_all") || part.contains('*');
    if expression.split(',').map(str::trim).any(names_all)
        && state.jobs.cluster().destructive_requires_name()
    {
        return Err(ApiError::illegal_argument(
            "Wildcard expressions or all indices are not allowed",
        ));
    }
    for (_, index) in meant(&state, &expression, reading).await? {
        state.jobs.delete_index(&index).await?;
    }
    Ok(acknowledged())
}

async fn close(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.about_indices()?;
    params.finish()?;
    let mut closed = Map::new();
    for (name, index) in meant(&state, &expression, reading).await? {
        state.jobs.close_index(&index, &name).await?;
        closed.insert(name, json!({"closed": true}));
    }
    Ok(ok(
        &json!({"acknowledged": true, "shards_acknowledged": true, "indices": closed}),
    ))
}

async fn open(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.over(Reading {
        closed: true,
        takes_closed: true,
        ..Reading::default()
    })?;
    params.finish()?;
    for (_, index) in meant(&state, &expression, reading).await? {
        state.jobs.open_index(&index).await?;
    }
    Ok(ok(
        &json!({"acknowledged": true, "shards_acknowledged": true}),
    ))
}

/// The body of a change of an index: an object that must be there.
pub async fn changes(body: Body, what: &str) -> Result<Value> {
    let bytes = body::read(body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(bad_request(
            "parse_exception",
            format!("request body is required: {what}"),
        ));
    }
    Ok(body::object(&bytes)?.into())
}
