//! Indices as such: what they are called, what their fields hold, and that there is nothing to refresh.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Alias, Index, Reading};
use tidewatch_store::Found;
use tidewatch_store::query::{Query, values, wildcard};

use super::{Named, bad_request, index_to_write};
use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, VERSION, body};

const IGNORED: [&str; 8] = [
    "local",
    "master_timeout",
    "timeout",
    "flat_settings",
    "include_defaults",
    "features",
    "wait_for_active_shards",
    "force",
];

fn ok(value: &Value) -> Response {
    json_response(StatusCode::OK, value.to_string())
}

/// The indices that are meant, each with the name that it answers under.
async fn meant(state: &ApiState, expression: &str, uri: &Uri) -> Result<Vec<(String, Index)>> {
    let named: Named = Params::new(uri)?.ignore(&IGNORED).read()?;
    let reading = Reading {
        closed: true,
        ..named.into()
    };
    let indices = state.jobs.indices_to_read(expression, reading).await?;
    let mut meant: Vec<(String, Index)> = Vec::new();
    for index in indices {
        // By the name that indices had before there were numbers, one answers under it.
        let former = index
            .name
            .strip_suffix("-000001")
            .filter(|former| *former == expression);
        let name = former.unwrap_or(&index.name).to_owned();
        if !meant.iter().any(|(known, _)| *known == name) {
            meant.push((name, index));
        }
    }
    Ok(meant)
}

fn mappings_of(index: &Index) -> Value {
    json!({
        "_meta": {"version": VERSION, "managed": true, "managed_index_mappings_version": 1},
        "dynamic_templates": [
            {"strings_as_keywords": {"match": "*", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}
        ],
        "properties": index.family.properties()
    })
}

fn aliases_of(aliases: Vec<Alias>) -> Value {
    let mut told = Map::new();
    for alias in aliases {
        let mut about = json!({"is_hidden": true});
        if let Some(job_id) = alias.only {
            about["filter"] = json!({"term": {"job_id": {"value": job_id}}});
        }
        if alias.writes {
            about["is_write_index"] = true.into();
        }
        told.insert(alias.name, about);
    }
    told.into()
}

pub async fn get(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut told = Map::new();
    for (name, index) in meant(&state, &expression, &uri).await? {
        let about = json!({
            "aliases": aliases_of(state.jobs.aliases(&index)), "mappings": mappings_of(&index),
            "settings": {"index": {
                "hidden": "true", "number_of_shards": "1", "number_of_replicas": "0", "provided_name": name
            }}
        });
        told.insert(name, about);
    }
    Ok(ok(&told.into()))
}

pub async fn create(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    Params::new(&uri)?.ignore(&IGNORED).finish()?;
    // What an index of these is made like is settled.
    body::read(body).await?;
    let index = index_to_write(&state, &name)?;
    if !state
        .jobs
        .store()
        .create_index(&index.name)
        .await
        .map_err(tidewatch_jobs::JobError::from)?
    {
        return Err(bad_request(
            "resource_already_exists_exception",
            format!("index [{name}] already exists"),
        ));
    }
    Ok(ok(
        &json!({"acknowledged": true, "shards_acknowledged": true, "index": name}),
    ))
}

pub async fn delete(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    for (_, index) in meant(&state, &expression, &uri).await? {
        // As in Elasticsearch, it is deleted by a name of its own.
        if index.only.is_some() {
            return Err(ApiError::illegal_argument(format!(
                "The provided expression [{expression}] matches an alias, specify the corresponding concrete indices \
                 instead."
            )));
        }
        state.jobs.delete_index(&index).await?;
    }
    Ok(ok(&json!({"acknowledged": true})))
}

pub async fn close(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut closed = Map::new();
    for (name, index) in meant(&state, &expression, &uri).await? {
        state.jobs.close_index(&index, &name).await?;
        closed.insert(name, json!({"closed": true}));
    }
    Ok(ok(
        &json!({"acknowledged": true, "shards_acknowledged": true, "indices": closed}),
    ))
}

pub async fn open(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    for (_, index) in meant(&state, &expression, &uri).await? {
        state.jobs.open_index(&index).await?;
    }
    Ok(ok(
        &json!({"acknowledged": true, "shards_acknowledged": true}),
    ))
}

pub async fn mapping(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let meant = meant(&state, &expression, &uri).await?;
    let told: Map<String, Value> = meant
        .into_iter()
        .map(|(name, index)| (name, json!({"mappings": mappings_of(&index)})))
        .collect();
    Ok(ok(&told.into()))
}

pub async fn field_mapping(
    State(state): State<ApiState>,
    Path((expression, fields)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let patterns: Vec<&str> = fields.split(',').collect();
    let mut told = Map::new();
    for (name, index) in meant(&state, &expression, &uri).await? {
        let mut mapped = Map::new();
        flatten(&index.family.properties(), "", &mut |path, of| {
            if patterns.iter().any(|pattern| wildcard(pattern, path)) {
                let leaf = path.rsplit('.').next().unwrap_or(path);
                mapped.insert(
                    path.to_owned(),
                    json!({"full_name": path, "mapping": {leaf: of}}),
                );
            }
        });
        for pattern in patterns.iter().filter(|pattern| !pattern.contains('*')) {
            if !mapped.contains_key(*pattern)
                && let Some(of) = dynamic(&state, &index, pattern).await?
            {
                let leaf = pattern.rsplit('.').next().unwrap_or(pattern);
                let about = json!({"full_name": pattern, "mapping": {leaf: {"type": of}}});
                mapped.insert((*pattern).to_owned(), about);
            }
        }
        told.insert(name, json!({"mappings": mapped}));
    }
    Ok(ok(&told.into()))
}

fn flatten(properties: &Map<String, Value>, path: &str, take: &mut dyn FnMut(&str, &Value)) {
    for (name, of) in properties {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match of.get("properties").and_then(Value::as_object) {
            Some(inner) => flatten(inner, &path, take),
            None => take(&path, of),
        }
    }
}

/// The type of a field that only documents tell of.
async fn dynamic(state: &ApiState, index: &Index, field: &str) -> Result<Option<&'static str>> {
    let mut of = None;
    let mut take = |_: &str, found: Found| {
        values(&found.source, field, &mut |value| {
            of = match value {
                Value::String(_) => Some("keyword"),
                Value::Bool(_) => Some("boolean"),
                Value::Number(number) if number.is_f64() => Some("double"),
                Value::Number(_) => Some("long"),
                _ => None,
            };
            of.is_some()
        });
        of.is_none()
    };
    let query = Query::Exists(field.to_owned());
    state
        .jobs
        .search(std::slice::from_ref(index), &query, &mut take)
        .await?;
    Ok(of)
}

pub async fn aliases(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut told = Map::new();
    for (name, index) in meant(&state, &expression, &uri).await? {
        told.insert(
            name,
            json!({"aliases": aliases_of(state.jobs.aliases(&index))}),
        );
    }
    Ok(ok(&told.into()))
}

pub async fn alias_of(
    State(state): State<ApiState>,
    Path((expression, name)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let indices = meant(&state, &expression, &uri).await?;
    named(&state, &name, indices.into_iter().map(|(_, index)| index))
}

pub async fn alias(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let _: Named = Params::new(&uri)?.ignore(&IGNORED).read()?;
    let all = state.jobs.indices().await?;
    named(&state, &name, all.into_iter())
}

/// The indices that have aliases of a name.
fn named(state: &ApiState, name: &str, indices: impl Iterator<Item = Index>) -> Result<Response> {
    let mut told = Map::new();
    for index in indices {
        let mut aliases = state.jobs.aliases(&index);
        aliases.retain(|alias| {
            name.split(',')
                .any(|pattern| wildcard(pattern, &alias.name))
        });
        if !aliases.is_empty() {
            told.insert(index.name, json!({"aliases": aliases_of(aliases)}));
        }
    }
    if told.is_empty() && !name.contains('*') {
        let told = json!({"error": format!("alias [{name}] missing"), "status": 404});
        return Ok(json_response(StatusCode::NOT_FOUND, told.to_string()));
    }
    Ok(ok(&told.into()))
}

pub async fn refresh_all(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let _: Named = Params::new(&uri)?.read()?;
    let count = state.jobs.indices().await?.len();
    Ok(refreshed(count))
}

/// What is written can be read at once: there is nothing to do.
pub async fn refresh(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let named: Named = Params::new(&uri)?.read()?;
    let reading: Reading = named.into();
    let count = state
        .jobs
        .indices_to_read(&expression, reading)
        .await?
        .len();
    Ok(refreshed(count))
}

fn refreshed(count: usize) -> Response {
    ok(&json!({"_shards": {"total": count, "successful": count, "failed": 0}}))
}
