//! `_mget`: many documents by their ids.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_store::search::Shown;

use super::get::{self, ShownParams};
use super::named::single;
use crate::error::{ApiError, Result, details, json_response};
use crate::params::Params;
use crate::{ApiState, body};

/// Documents of one request.
const MOST: usize = 10_000;

/// A document that is asked for.
struct Asked {
    index: String,
    id: String,
    shown: Shown,
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
    let mut params = Params::new(uri)?.ignore(&[
        "preference",
        "realtime",
        "refresh",
        "routing",
        "stored_fields",
        "force_synthetic_source",
    ]);
    let shown = ShownParams::deserialize(&mut params)?;
    params.finish()?;
    let said = body::object(&body::read(body).await?)?;
    let all = asked(index.as_deref(), &shown.shown()?, said)?;
    let mut docs = String::new();
    for asked in all {
        if !docs.is_empty() {
            docs.push(',');
        }
        match one(&state, &asked).await {
            Ok(told) => docs.push_str(&told),
            Err(error) => {
                let mut about = details(&error.0);
                about["root_cause"] = json!([details(&error.0)]);
                let told = json!({"_index": asked.index, "_id": asked.id, "error": about});
                docs.push_str(&told.to_string());
            }
        }
    }
    Ok(json_response(
        StatusCode::OK,
        format!("{{\"docs\":[{docs}]}}"),
    ))
}

async fn one(state: &ApiState, asked: &Asked) -> Result<String> {
    let index = single(state, &asked.index).await?;
    let document = get::find(state, &index, &asked.id).await?;
    get::told(index.name(), &asked.id, document.as_ref(), &asked.shown)
}

/// The documents that a body asks for.
fn asked(index: Option<&str>, shown: &Shown, said: Map<String, Value>) -> Result<Vec<Asked>> {
    let mut all: Vec<(Option<String>, Option<String>, Shown)> = Vec::new();
    for (name, value) in said {
        let Value::Array(values) = value else {
            return Err(ApiError::parse(format!(
                "unknown key [{name}] for a VALUE, expected [docs] or [ids]"
            )));
        };
        for value in values {
            match (name.as_str(), value) {
                ("docs", Value::Object(fields)) => all.push(document(fields, shown)?),
                ("docs", _) => {
                    return Err(ApiError::illegal_argument(
                        "docs array element should include an object",
                    ));
                }
                ("ids", Value::String(id)) => all.push((None, Some(id), shown.clone())),
                ("ids", Value::Number(id)) => all.push((None, Some(id.to_string()), shown.clone())),
                ("ids", _) => {
                    return Err(ApiError::illegal_argument(
                        "ids array element should only contain ids",
                    ));
                }
                (name, _) => {
                    return Err(ApiError::parse(format!(
                        "unknown key [{name}] for a START_ARRAY, expected [docs] or [ids]"
                    )));
                }
            }
        }
    }
    if all.is_empty() {
        return Err(JobError::invalid_request(&["no documents to get"]).into());
    }
    if all.len() > MOST {
        return Err(ApiError::illegal_argument(format!(
            "at most [{MOST}] documents are asked for in one request"
        )));
    }
    let mut missing = Vec::new();
    for (at, (own, id, _)) in all.iter().enumerate() {
        if own.is_none() && index.is_none() {
            missing.push(format!("index is missing for doc {at}"));
        }
        if id.is_none() {
            missing.push(format!("id is missing for doc {at}"));
        }
    }
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        return Err(JobError::invalid_request(&missing).into());
    }
    let complete = |(own, id, shown): (Option<String>, Option<String>, Shown)| Asked {
        index: own.or(index.map(str::to_owned)).unwrap_or_default(),
        id: id.unwrap_or_default(),
        shown,
    };
    Ok(all.into_iter().map(complete).collect())
}

fn document(
    fields: Map<String, Value>,
    shown: &Shown,
) -> Result<(Option<String>, Option<String>, Shown)> {
    let (mut index, mut id, mut shown) = (None, None, shown.clone());
    for (name, value) in fields {
        let text = || match &value {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            value => Some(value.to_string()),
        };
        match name.as_str() {
            "_index" => index = text(),
            "_id" => id = text(),
            "_source" => shown = Shown::parse(&value)?,
            "routing" | "version" | "version_type" | "stored_fields" => {}
            other => {
                return Err(ApiError::parse(format!(
                    "unknown parameter [{other}] while parsing multi get request body"
                )));
            }
        }
    }
    Ok((index, id, shown))
}
