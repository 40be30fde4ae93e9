//! Categories of log messages: `results/categories`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidewatch_jobs::JobError;
use tidewatch_store::CategoryQuery;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::grok;
use crate::params::Params;
use crate::results::{Page, page_of, page_window};

/// With a body, its fields are meant; without one, the query parameters.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    category_id: Option<i64>,
    partition_field_value: Option<String>,
    page: Option<Page>,
}

pub async fn all(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    categories(&state, job_id, None, &uri, body).await
}

pub async fn one(
    State(state): State<ApiState>,
    Path((job_id, category_id)): Path<(String, String)>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let id = category_id
        .parse()
        .map_err(|_| ApiError::number_format(&category_id))?;
    categories(&state, job_id, Some(id), &uri, body).await
}

async fn categories(
    state: &ApiState,
    job_id: String,
    id: Option<i64>,
    uri: &Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(uri)?
        .body_or(body, "cluster:monitor/xpack/ml/job/results/categories/get")
        .await?;
    let category_id = id.or(asked.category_id);
    if category_id.is_some() && asked.page.is_some() {
        return Err(ApiError::illegal_argument(
            "Param [category_id] is incompatible with [from, size].",
        ));
    }
    let (from, size) = page_window(&asked.page.unwrap_or_default())?;
    let query = CategoryQuery {
        job_id,
        category_id,
        partition: asked.partition_field_value,
        from,
        size,
    };
    let mut page = state.jobs.categories(&query).await?;
    for doc in &mut page.docs {
        *doc = with_grok_pattern(doc)?;
    }
    Ok(page_of(page.count, "categories", &page.docs))
}

/// A category with a Grok pattern, which is made of what is stored and not stored itself.
fn with_grok_pattern(doc: &str) -> Result<String> {
    let category: Map<String, Value> = serde_json::from_str(doc)
        .map_err(|error| JobError::internal(format!("a stored category can't be read: {error}")))?;
    let text = |name: &str| category.get(name).and_then(Value::as_str);
    let examples = category.get("examples").and_then(Value::as_array);
    let examples: Vec<&str> = examples
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let regex = text("regex").unwrap_or_default();
    let pattern = match examples.is_empty() || regex.is_empty() {
        true => String::new(),
        false => grok::pattern(text("terms").unwrap_or_default(), regex, &examples),
    };
    // The document is an object: before its last brace is room for one more field.
    let open = doc.trim_end().strip_suffix('}').unwrap_or(doc);
    let pattern = Value::String(pattern);
    Ok(format!("{open},\"grok_pattern\":{pattern}}}"))
}
