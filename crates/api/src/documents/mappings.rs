//! Mappings: what the fields of indices hold.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Index, Meant, Reading};
use tidewatch_store::Found;
use tidewatch_store::query::{Query, values, wildcard};

use super::indices::{IGNORED, changes, meant, told};
use super::named::{Named, own};
use super::{ALL, acknowledged, ok};
use crate::error::Result;
use crate::params::Params;
use crate::{ApiState, VERSION};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_mapping", get(all))
        .route("/{index}/_mapping", get(tell).put(put).post(put))
        .route("/_mapping/field/{fields}", get(fields_of_all))
        .route("/{index}/_mapping/field/{fields}", get(fields))
}

/// The mapping of an index, as answers have it.
pub fn of(index: &Meant) -> Value {
    match index {
        Meant::Own { index, .. } => index.mapping().to_json().into(),
        Meant::Internal(index) => json!({
            "_meta": {"version": VERSION, "managed": true, "managed_index_mappings_version": 1},
            "dynamic_templates": [
                {"strings_as_keywords": {"match": "*", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}
            ],
            "properties": index.family.properties()
        }),
    }
}

async fn all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    tell(state, Path(ALL.to_owned()), uri).await
}

async fn tell(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let reading = reading(&uri)?;
    told(
        &state,
        &expression,
        reading,
        |_, index| json!({"mappings": of(index)}),
    )
    .await
}

fn reading(uri: &Uri) -> Result<Reading> {
    let named: Named = Params::new(uri)?.ignore(&IGNORED).read()?;
    named.about_indices()
}

async fn put(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?
        .ignore(&IGNORED)
        .ignore(&["write_index_only"]);
    let reading = Named::deserialize(&mut params)?.over(Reading {
        allow_no_indices: false,
        takes_closed: true,
        ..Reading::default()
    })?;
    params.finish()?;
    let mapping = changes(body, "a mapping").await?;
    for index in own(state.jobs.meant(&expression, reading).await?, "the mapping")? {
        index.put_mapping(mapping.clone()).await?;
    }
    Ok(acknowledged())
}

async fn fields_of_all(
    state: State<ApiState>,
    Path(fields): Path<String>,
    uri: Uri,
) -> Result<Response> {
    self::fields(state, Path((ALL.to_owned(), fields)), uri).await
}

async fn fields(
    State(state): State<ApiState>,
    Path((expression, fields)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let patterns: Vec<&str> = fields.split(',').map(str::trim).collect();
    let reading = reading(&uri)?;
    let mut told = Map::new();
    for (name, index) in meant(&state, &expression, reading).await? {
        let properties = of(&index);
        let mut mapped = Map::new();
        if let Some(properties) = properties["properties"].as_object() {
            flatten(properties, "", &mut |path, of| {
                if patterns.iter().any(|pattern| wildcard(pattern, path)) {
                    mapped.insert(path.to_owned(), field(path, of.clone()));
                }
            });
        }
        if let Meant::Internal(index) = &index {
            for pattern in patterns.iter().filter(|pattern| !pattern.contains('*')) {
                if !mapped.contains_key(*pattern)
                    && let Some(of) = dynamic(&state, index, pattern).await?
                {
                    mapped.insert((*pattern).to_owned(), field(pattern, json!({"type": of})));
                }
            }
        }
        told.insert(name, json!({"mappings": mapped}));
    }
    Ok(ok(&told.into()))
}

fn field(path: &str, of: Value) -> Value {
    let leaf = path.rsplit('.').next().unwrap_or(path);
    json!({"full_name": path, "mapping": {leaf: of}})
}

/// Shows every field with its path, the parts of multi-fields too.
fn flatten(properties: &Map<String, Value>, path: &str, take: &mut dyn FnMut(&str, &Value)) {
    for (name, of) in properties {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        match of.get("properties").and_then(Value::as_object) {
            Some(inner) => flatten(inner, &path, take),
            None => take(&path, of),
        }
        if let Some(fields) = of.get("fields").and_then(Value::as_object) {
            flatten(fields, &path, take);
        }
    }
}

/// The type of a field of an internal index that only documents tell of.
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
