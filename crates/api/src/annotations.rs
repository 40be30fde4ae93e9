//! Annotations of a job. Elasticsearch has them in an index alone; this way to them is tidewatch's own.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;

use crate::ApiState;
use crate::error::Result;
use crate::params::Params;
use crate::results::{Page, page_of};

/// The annotations by time.
pub async fn get(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let page: Page = Params::new(&uri)?.read()?;
    let documents = state.jobs.annotations(&job_id).await?;
    let shown = page.of(&documents)?;
    Ok(page_of(documents.len() as i64, "annotations", shown))
}
