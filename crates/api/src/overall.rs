//! Overall buckets of several jobs.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::OverallRequest;
use tidewatch_model::units::TimeSpan;

use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};
use crate::jobs::Text;
use crate::params::Params;
use crate::{body, dates};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    #[serde(default = "one")]
    top_n: i32,
    bucket_span: Option<TimeSpan>,
    #[serde(default)]
    overall_score: f64,
    #[serde(default)]
    exclude_interim: bool,
    start: Option<Text>,
    end: Option<Text>,
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

const fn one() -> i32 {
    1
}

pub async fn buckets(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let asked: Asked = Params::new(&uri)?
        .body_or(
            body,
            "cluster:monitor/xpack/ml/job/results/overall_buckets/get",
        )
        .await?;
    let (start, end) = dates::bounds(asked.start, asked.end)?;
    let top_n = asked.top_n;
    let request = OverallRequest {
        top_n: usize::try_from(top_n)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| {
                ApiError::illegal_argument(format!(
                    "[topN] parameter must be positive, found [{top_n}]"
                ))
            })?,
        bucket_span: asked.bucket_span,
        overall_score: asked.overall_score,
        exclude_interim: asked.exclude_interim,
        start,
        end,
    };
    let buckets = state
        .jobs
        .overall_buckets(&expression, asked.allow_no_match, &request)
        .await?;
    Ok(ok(
        &json!({"count": buckets.len(), "overall_buckets": buckets}),
    ))
}
