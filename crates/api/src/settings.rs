//! The cluster's settings, and upgrade mode.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::cluster::{Changes, Texts};
use tidewatch_model::units::TimeSpan;

use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};
use crate::jobs::lasting;
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_cluster/settings", get(read).put(change))
        .route("/_ml/set_upgrade_mode", post(set_upgrade_mode))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    flat_settings: bool,
    include_defaults: bool,
}

const IGNORED: [&str; 3] = ["timeout", "master_timeout", "local"];

/// What a change of settings may be asked to answer.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Flat {
    flat_settings: bool,
}

async fn read(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?.ignore(&IGNORED).read()?;
    let cluster = state.jobs.cluster();
    let shown = |texts| shown(texts, asked.flat_settings);
    let mut answer = json!({
        "persistent": shown(cluster.persistent()),
        "transient": shown(cluster.transient())
    });
    if asked.include_defaults {
        answer["defaults"] = shown(cluster.defaults());
    }
    Ok(ok(&answer))
}

async fn change(State(state): State<ApiState>, uri: Uri, body: Body) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&IGNORED);
    let flat = Flat::deserialize(&mut params)?.flat_settings;
    let body: Map<String, Value> = params.body(body, "cluster_update_settings_request").await?;
    let changes = |scope: &str| -> Result<Changes> {
        let mut changes = Changes::new();
        if let Some(Value::Object(given)) = body.get(scope) {
            for (name, value) in given {
                flatten(name, value, &mut changes)?;
            }
        }
        Ok(changes)
    };
    let (persistent, transient) = (changes("persistent")?, changes("transient")?);
    let change = async move { state.jobs.change_settings(persistent, transient).await };
    let (persistent, transient) = lasting(change).await?;
    Ok(ok(&json!({
        "acknowledged": true,
        "persistent": shown(persistent, flat),
        "transient": shown(transient, flat)
    })))
}

/// A setting is named by the path to it, with dots; its value is text, whatever it was.
fn flatten(name: &str, value: &Value, into: &mut Changes) -> Result<()> {
    let text = match value {
        Value::Object(inner) => {
            for (rest, value) in inner {
                flatten(&format!("{name}.{rest}"), value, into)?;
            }
            return Ok(());
        }
        Value::Array(_) => {
            return Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{value}] for setting [{name}]"
            )));
        }
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    into.insert(name.to_owned(), text);
    Ok(())
}

/// Settings as they are, or as objects within objects. A name that is the beginning of another stays whole.
fn shown(texts: Texts, flat: bool) -> Value {
    let mut shown = Map::new();
    for (name, text) in texts {
        match flat {
            true => drop(shown.insert(name, text.into())),
            false => put(&mut shown, &name, text),
        }
    }
    Value::Object(shown)
}

fn put(at: &mut Map<String, Value>, name: &str, text: String) {
    let Some((first, rest)) = name.split_once('.') else {
        at.insert(name.to_owned(), text.into());
        return;
    };
    match at.entry(first).or_insert_with(|| json!({})) {
        Value::Object(inner) => put(inner, rest, text),
        _ => drop(at.insert(name.to_owned(), text.into())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpgradeAsked {
    #[serde(default)]
    enabled: bool,
    #[serde(default = "half_a_minute")]
    timeout: TimeSpan,
}

const fn half_a_minute() -> TimeSpan {
    TimeSpan::seconds(30)
}

async fn set_upgrade_mode(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let asked: UpgradeAsked = Params::new(&uri)?.ignore(&["master_timeout"]).read()?;
    lasting(async move {
        state.jobs.set_upgrade_mode(asked.enabled).await?;
        let patience = asked.timeout.as_duration();
        state.feeds.heed_upgrade_mode(patience).await;
        Ok(())
    })
    .await?;
    Ok(ok(&json!({"acknowledged": true})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_and_go_nested_or_flat() {
        let mut changes = Changes::new();
        let given = json!({"ml": {"max": 5, "on": true}, "ml.gone": null});
        flatten("xpack", &given, &mut changes).expect("fine");
        let told: Vec<(&str, Option<&str>)> = changes
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("xpack.ml.gone", None),
                ("xpack.ml.max", Some("5")),
                ("xpack.ml.on", Some("true"))
            ]
        );
        let texts: Texts = [("logger.a", "INFO"), ("logger.a.b.c", "WARN"), ("x.y", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        assert_eq!(
            shown(texts.clone(), true),
            json!({"logger.a": "INFO", "logger.a.b.c": "WARN", "x.y": "1"})
        );
        assert_eq!(
            shown(texts, false),
            json!({"logger": {"a": "INFO", "a.b.c": "WARN"}, "x": {"y": "1"}})
        );
    }
}
