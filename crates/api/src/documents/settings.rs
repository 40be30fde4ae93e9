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

/// The settings of an index, as answers have them: as a tree, or flat.
pub fn of(name: &str, index: &Meant, flat: bool) -> Value {
    let settings: Value = match index {
        Meant::Own { index, .. } => index.settings().into(),
        Meant::Internal(_) => json!({"index": {
            "hidden": "true", "number_of_shards": "1", "number_of_replicas": "0", "provided_name": name
        }}),
    };
    match flat {
        true => flatten(&settings).into(),
        false => settings,
    }
}

fn flatten(settings: &Value) -> Map<String, Value> {
    fn add(path: &str, value: &Value, flat: &mut Map<String, Value>) {
        match value {
            Value::Object(inner) => {
                for (name, value) in inner {
                    match path {
                        "" => add(name, value, flat),
                        path => add(&format!("{path}.{name}"), value, flat),
                    }
                }
            }
            value => {
                flat.insert(path.to_owned(), value.clone());
            }
        }
    }
    let mut flat = Map::new();
    add("", settings, &mut flat);
    flat
}

/// Of settings, those whose names fit, as a tree.
fn only(settings: &Value, names: &str) -> Value {
    let mut tree = json!({});
    for (name, value) in flatten(settings) {
        if names
            .split(',')
            .any(|pattern| pattern == "_all" || wildcard(pattern, &name))
        {
            let mut at = &mut tree;
            for part in name.split('.') {
                at = &mut at[part];
            }
            *at = value;
        }
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
        let settings = only(&of(name, index, false), &names);
        let settings = match asked.flat_settings {
            true => flatten(&settings).into(),
            false => settings,
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
        index.put_settings(&settings).await?;
    }
    Ok(acknowledged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_flat_or_a_tree() {
        let settings = json!({"index": {"number_of_shards": "1", "mapping": {"total_fields": {"limit": "9"}}}});
        assert_eq!(
            Value::from(flatten(&settings)),
            json!({"index.number_of_shards": "1", "index.mapping.total_fields.limit": "9"})
        );
        assert_eq!(
            only(&settings, "index.mapping.*"),
            json!({"index": {"mapping": {"total_fields": {"limit": "9"}}}})
        );
        assert_eq!(only(&settings, "_all"), settings);
        assert_eq!(only(&settings, "nothing"), json!({}));
    }
}
