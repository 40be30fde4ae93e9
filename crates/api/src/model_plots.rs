//! The model plot of a job. Elasticsearch has it in an index alone; this way to it is tidewatch's own.

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use tidewatch_store::{ResultKind, ResultQuery, Sort};

use crate::ApiState;
use crate::dates;
use crate::error::Result;
use crate::jobs::Text;
use crate::params::Params;
use crate::results::{Page, page_of, page_window};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    start: Option<Text>,
    end: Option<Text>,
    page: Option<Page>,
}

/// The expected values and their bounds, by time.
pub async fn get(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?.read()?;
    let (from, size) = page_window(&asked.page.unwrap_or_default())?;
    let (start, end) = dates::bounds(asked.start, asked.end)?;
    let query = ResultQuery {
        job_id,
        kind: ResultKind::ModelPlot,
        start,
        end,
        min_score: 0.0,
        exclude_interim: false,
        sort: Sort::Timestamp,
        descending: false,
        from,
        size,
    };
    let page = state.jobs.results(&query).await?;
    Ok(page_of(page.count, "model_plots", &page.docs))
}
