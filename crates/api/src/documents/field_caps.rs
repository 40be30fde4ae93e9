//! `_field_caps`: what fields hold, and what can be done with them, across indices.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Meant;
use tidewatch_store::query::wildcard;

use super::named::Named;
use super::{ALL, mappings, ok};
use crate::error::{ApiError, Result};
use crate::params::Params;
use crate::{ApiState, body};

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_field_caps", get(everywhere).post(everywhere))
        .route("/{index}/_field_caps", get(within).post(within))
}

/// What every index has beside what its documents say: whether it can be searched, and aggregated.
const METADATA: [(&str, bool, bool); 5] = [
    ("_id", true, false),
    ("_index", true, true),
    ("_seq_no", true, true),
    ("_source", false, false),
    ("_version", false, true),
];

/// What one index has of a field.
#[derive(Debug, Clone, PartialEq)]
struct Capability {
    of: String,
    is_metadata: bool,
    is_searchable: bool,
    is_aggregatable: bool,
    meta: Map<String, Value>,
}

impl Capability {
    fn new(of: &str, is_searchable: bool, is_aggregatable: bool) -> Self {
        Self {
            of: of.to_owned(),
            is_metadata: false,
            is_searchable,
            is_aggregatable,
            meta: Map::new(),
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    fields: Option<String>,
    #[serde(default)]
    include_unmapped: bool,
    filters: Option<String>,
    types: Option<String>,
}

async fn everywhere(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    within(state, Path(ALL.to_owned()), uri, body).await
}

async fn within(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&["include_empty_fields"]);
    let reading = Named::deserialize(&mut params)?.reading()?;
    let asked: Asked = params.read()?;
    let mut patterns: Vec<String> = asked
        .fields
        .iter()
        .flat_map(|fields| fields.split(','))
        .map(|field| field.trim().to_owned())
        .collect();
    let mut runtime = Map::new();
    let bytes = body::read(body).await?;
    if !bytes.iter().all(u8::is_ascii_whitespace) {
        for (name, value) in body::object(&bytes)? {
            match (name.as_str(), value) {
                ("fields", Value::Array(fields)) => {
                    let texts = fields.iter().filter_map(Value::as_str);
                    patterns.extend(texts.map(str::to_owned));
                }
                ("fields", Value::String(field)) => patterns.push(field),
                ("runtime_mappings", Value::Object(fields)) => runtime = fields,
                (name, _) => {
                    return Err(ApiError(body::x_content(format!(
                        "[1:2] [field_caps_request] unknown field [{name}]"
                    ))));
                }
            }
        }
    }
    if patterns.is_empty() {
        return Err(JobError::invalid_request(&["no fields specified"]).into());
    }
    let filter = Filter::parse(asked.filters.as_deref(), asked.types.as_deref())?;
    let mut names = Vec::new();
    let mut fields: BTreeMap<String, BTreeMap<String, Capability>> = BTreeMap::new();
    for index in state.jobs.meant(&expression, reading).await? {
        if names.iter().any(|name| name == index.name()) {
            continue;
        }
        let name = index.name().to_owned();
        for (path, capability) in capabilities(&index, &runtime) {
            if patterns.iter().any(|pattern| wildcard(pattern, &path)) && filter.takes(&capability)
            {
                fields
                    .entry(path)
                    .or_default()
                    .insert(name.clone(), capability);
            }
        }
        names.push(name);
    }
    let told: Map<String, Value> = fields
        .into_iter()
        .map(|(path, of)| (path, merged(&of, &names, asked.include_unmapped)))
        .collect();
    Ok(ok(&json!({"indices": names, "fields": told})))
}

/// Which fields are told of.
#[derive(Default)]
struct Filter {
    metadata: Option<bool>,
    without_objects: bool,
    types: Option<BTreeSet<String>>,
}

impl Filter {
    fn parse(filters: Option<&str>, types: Option<&str>) -> Result<Self> {
        let mut filter = Self {
            types: types.map(|types| types.split(',').map(str::to_owned).collect()),
            ..Self::default()
        };
        for name in filters.into_iter().flat_map(|all| all.split(',')) {
            match name.trim() {
                "+metadata" | " metadata" | "metadata" => filter.metadata = Some(true),
                "-metadata" => filter.metadata = Some(false),
                "-parent" | "-nested" => filter.without_objects = true,
                other => {
                    return Err(ApiError::illegal_argument(format!(
                        "[filters] doesn't support [{other}] on this server"
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, field: &Capability) -> bool {
        self.metadata
            .is_none_or(|wanted| wanted == field.is_metadata)
            && !(self.without_objects && matches!(field.of.as_str(), "object" | "nested"))
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&field.of))
    }
}

/// All fields of an index, and the objects that they are in.
fn capabilities(index: &Meant, runtime: &Map<String, Value>) -> Vec<(String, Capability)> {
    let mut all: Vec<(String, Capability)> = Vec::new();
    for (name, is_searchable, is_aggregatable) in METADATA {
        let mut capability = Capability::new(name, is_searchable, is_aggregatable);
        capability.is_metadata = true;
        all.push((name.to_owned(), capability));
    }
    match index {
        Meant::Own { index, .. } => {
            let mapping = index.mapping();
            for object in mapping.objects() {
                let of = if object.nested { "nested" } else { "object" };
                all.push((object.path.clone(), Capability::new(of, false, false)));
            }
            for field in mapping.fields() {
                let Some(found) = mapping.find(&field.path) else {
                    continue;
                };
                let found = &found.field;
                let of = found.kind.family();
                let is_searchable = found.index || found.doc_values;
                let is_aggregatable = found.doc_values || found.fielddata;
                let mut capability = Capability::new(of, is_searchable, is_aggregatable);
                capability.meta = found.meta().cloned().unwrap_or_default();
                all.push((field.path.clone(), capability));
            }
            all.extend(runtime_fields(mapping.runtime()));
        }
        Meant::Internal(_) => {
            let mapping = mappings::of(index);
            if let Some(properties) = mapping["properties"].as_object() {
                of_properties(properties, "", &mut all);
            }
        }
    }
    for (path, capability) in runtime_fields(runtime) {
        all.retain(|(known, _)| *known != path);
        all.push((path, capability));
    }
    all
}

fn runtime_fields(fields: &Map<String, Value>) -> Vec<(String, Capability)> {
    let field = |(path, field): (&String, &Value)| {
        let of = field["type"].as_str().unwrap_or("keyword");
        (path.clone(), Capability::new(of, true, true))
    };
    fields.iter().map(field).collect()
}

fn of_properties(properties: &Map<String, Value>, path: &str, all: &mut Vec<(String, Capability)>) {
    for (name, of) in properties {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        match of["properties"].as_object() {
            Some(inner) => {
                all.push((path.clone(), Capability::new("object", false, false)));
                of_properties(inner, &path, all);
            }
            None => {
                let of = of["type"].as_str().unwrap_or("object");
                all.push((path, Capability::new(of, true, of != "text")));
            }
        }
    }
}

/// What indices have of a field, by its types. `names`: all indices that were asked.
fn merged(of: &BTreeMap<String, Capability>, names: &[String], unmapped: bool) -> Value {
    let types: BTreeSet<&str> = of.values().map(|capability| &*capability.of).collect();
    let mut told = Map::new();
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !of.contains_key(*name))
        .collect();
    let tells_unmapped = unmapped && !missing.is_empty();
    for kind in &types {
        let having: Vec<(&String, &Capability)> = of
            .iter()
            .filter(|(_, capability)| capability.of == **kind)
            .collect();
        let (_, first) = having[0];
        let mut about = json!({
            "type": kind, "metadata_field": first.is_metadata,
            "searchable": having.iter().all(|(_, one)| one.is_searchable),
            "aggregatable": having.iter().all(|(_, one)| one.is_aggregatable)
        });
        let indices = |keep: &dyn Fn(&Capability) -> bool| -> Vec<&String> {
            let kept = having.iter().filter(|(_, one)| keep(one));
            kept.map(|(name, _)| *name).collect()
        };
        if types.len() > 1 || tells_unmapped {
            about["indices"] = json!(indices(&|_| true));
        }
        for (name, without) in [
            ("non_searchable_indices", indices(&|one| !one.is_searchable)),
            (
                "non_aggregatable_indices",
                indices(&|one| !one.is_aggregatable),
            ),
        ] {
            if !without.is_empty() && without.len() < having.len() {
                about[name] = json!(without);
            }
        }
        let mut meta: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for (key, value) in having.iter().flat_map(|(_, one)| &one.meta) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            meta.entry(key).or_default().insert(text);
        }
        if !meta.is_empty() {
            about["meta"] = json!(meta);
        }
        told.insert((*kind).to_owned(), about);
    }
    if tells_unmapped {
        told.insert(
            "unmapped".to_owned(),
            json!({
                "type": "unmapped", "metadata_field": false, "searchable": false, "aggregatable": false,
                "indices": missing
            }),
        );
    }
    told.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_differ_name_their_indices() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let long = Capability::new("long", true, true);
        let text = Capability::new("text", true, false);
        let of = BTreeMap::from([("a".to_owned(), long.clone()), ("b".to_owned(), text)]);
        let told = merged(&of, &names, true);
        assert_eq!(told["long"]["indices"], json!(["a"]));
        assert_eq!(told["text"]["aggregatable"], false);
        assert_eq!(told["unmapped"]["indices"], json!(["c"]));

        let hidden = Capability::new("long", false, true);
        let of = BTreeMap::from([("a".to_owned(), long), ("b".to_owned(), hidden)]);
        assert_eq!(
            merged(&of, &names, false),
            json!({"long": {"type": "long", "metadata_field": false, "searchable": false, "aggregatable": true,
                            "non_searchable_indices": ["b"]}})
        );
    }
}
