//! `_resolve/index`: what names mean.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use tidewatch_jobs::documents::Reading;
use tidewatch_store::query::wildcard;

use super::named::Named;
use super::ok;
use crate::ApiState;
use crate::error::Result;
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new().route("/_resolve/index/{name}", get(resolve))
}

async fn resolve(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let named: Named = Params::new(&uri)?.ignore(&["mode"]).read()?;
    let reading = named.over(Reading {
        takes_closed: true,
        ..Reading::default()
    })?;
    let closed = state.jobs.closed_names().await?;
    let parts: Vec<&str> = expression.split(',').map(str::trim).collect();
    let is_named = |name: &str| {
        parts
            .iter()
            .any(|part| matches!(*part, "_all" | "") || wildcard(part, name))
    };
    let mut indices = Vec::new();
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for index in state.jobs.meant(&expression, reading).await? {
        let of_index = state.jobs.aliases(&index);
        let name = index.name();
        for alias in &of_index {
            if is_named(&alias.name)
                && (reading.hidden
                    || alias.settings.is_hidden != Some(true)
                    || alias.name.starts_with('.'))
            {
                aliases
                    .entry(alias.name.clone())
                    .or_default()
                    .push(name.to_owned());
            }
        }
        if !is_named(name) {
            continue;
        }
        let is_closed = closed.iter().any(|closed| closed == name);
        let mut attributes = vec![if is_closed { "closed" } else { "open" }];
        if index.is_hidden() {
            attributes.insert(0, "hidden");
        }
        let mut told = json!({"name": name});
        if !of_index.is_empty() {
            let names = of_index.iter().map(|alias| alias.name.as_str());
            told["aliases"] = names.collect::<Value>();
        }
        told["attributes"] = attributes.into();
        indices.push(told);
    }
    let aliases: Vec<Value> = aliases
        .into_iter()
        .map(|(name, indices)| json!({"name": name, "indices": indices}))
        .collect();
    Ok(ok(
        &json!({"indices": indices, "aliases": aliases, "data_streams": []}),
    ))
}
