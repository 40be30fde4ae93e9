//! `_settings` of indices.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::{Meant, Reading};
use tidewatch_store::query::wildcard;

use super::indices::{IGNORED, changes, told};
use super::named::{Named, own};
use super::{ALL, acknowledged};
use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_settings", get(all).put(put_all))
        .route("/_settings/{names}", get(some_of_all))
        .route("/{index}/_settings", get(tell).put(put))
        .route("/{index}/_settings/{names}", get(some))
}

/// The settings of an index by their whole names.
fn flat(name: &str, index: &Meant) -> Map<String, Value> {
    let internal = || {
        [
            ("index.hidden", "true"),
            ("index.number_of_shards", "1"),
            ("index.number_of_replicas", "0"),
            ("index.provided_name", name),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
    };
    match index {
        Meant::Own { index, .. } => index.flat_settings(),
        Meant::Internal(_) => internal(),
    }
}

/// The settings of an index, as answers have them: as a tree, or flat.
pub fn of(name: &str, index: &Meant, is_flat: bool) -> Value {
    let settings = flat(name, index);
    match is_flat {
        true => settings.into(),
        false => tree(settings),
    }
}

fn tree(settings: Map<String, Value>) -> Value {
    let mut tree = json!({});
    for (name, value) in settings {
        let mut at = &mut tree;
        for part in name.split('.') {
            // A setting may be a part of another's name.
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[part];
        }
        *at = value;
    }
    tree
}

async fn all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    some(state, Path((ALL.to_owned(), ALL.to_owned())), uri).await
}

async fn some_of_all(
    state: State<ApiState>,
    Path(names): Path<String>,
    uri: Uri,
) -> Result<Response> {
    some(state, Path((ALL.to_owned(), names)), uri).await
}

async fn tell(state: State<ApiState>, Path(index): Path<String>, uri: Uri) -> Result<Response> {
    some(state, Path((index, ALL.to_owned())), uri).await
}

async fn some(
    State(state): State<ApiState>,
    Path((expression, names)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default)]
        flat_settings: bool,
    }
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let reading = Named::deserialize(&mut params)?.over(Reading {
        closed: true,
        takes_closed: true,
        ..Reading::default()
    })?;
    let asked: Asked = params.read()?;
    told(&state, &expression, reading, |name, index| {
        let mut settings = flat(name, index);
        let is_asked = |name: &str| {
            names
                .split(',')
                .any(|one| one == ALL || wildcard(one, name))
        };
        settings.retain(|name, _| is_asked(name));
        let settings = match asked.flat_settings {
            true => settings.into(),
            false => tree(settings),
        };
        json!({"settings": settings})
    })
    .await
}

async fn put_all(state: State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    put(state, Path(ALL.to_owned()), uri, body).await
}

async fn put(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?
        .ignore(&IGNORED)
        .ignore(&["flat_settings"]);
    for name in ["preserve_existing", "reopen"] {
        if params.flag(name)? {
            return Err(ApiError::illegal_argument(format!(
                "[{name}] is not supported by this server"
            )));
        }
    }
    let reading = Named::deserialize(&mut params)?.about_indices()?;
    params.finish()?;
    let mut settings = changes(body, "settings").await?;
    // Either form is taken.
    if let Some(inner) = settings
        .get_mut("settings")
        .filter(|inner| inner.is_object())
    {
        settings = inner.take();
    }
    for index in own(
        state.jobs.meant(&expression, reading).await?,
        "the settings",
    )? {
        index.put_settings(settings.clone()).await?;
    }
    Ok(acknowledged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_as_a_tree() {
        let flat = json!({"index.number_of_shards": "1", "index.mapping.total_fields.limit": "9"});
        let Value::Object(flat) = flat else {
            unreachable!()
        };
        assert_eq!(
            tree(flat),
            json!({"index": {"number_of_shards": "1", "mapping": {"total_fields": {"limit": "9"}}}})
        );
        assert_eq!(tree(Map::new()), json!({}));
    }
}
