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
use crate::dates;
use crate::error::{ApiError, Result};
use crate::jobs::{Text, optional, time_span};
use crate::params::Params;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    #[serde(rename = "job_id")]
    _job_id: Option<String>,
    top_n: Option<i64>,
    bucket_span: Option<TimeSpan>,
    overall_score: Option<f64>,
    exclude_interim: Option<bool>,
    start: Option<Text>,
    end: Option<Text>,
    allow_no_match: Option<bool>,
}

pub async fn buckets(
    State(state): State<ApiState>,
    Path(expression): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let asked = match optional::<Asked>(body, "ml/get_overall_buckets").await? {
        Some(asked) => asked,
        None => Asked {
            _job_id: None,
            top_n: params.take_number("top_n", "int")?,
            bucket_span: params
                .take("bucket_span")
                .map(|text| time_span("bucket_span", &text))
                .transpose()?,
            overall_score: params.take_number("overall_score", "double")?,
            exclude_interim: params.take_bool("exclude_interim")?,
            start: params.take("start").map(Text::Text),
            end: params.take("end").map(Text::Text),
            allow_no_match: params.take_bool("allow_no_match")?,
        },
    };
    params.finish()?;
    let bound = |name: &str, text: Option<Text>| {
        text.map(|text| dates::bound(name, &text.into_string()))
            .transpose()
    };
    let top_n = asked.top_n.unwrap_or(1);
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
        overall_score: asked.overall_score.unwrap_or(0.0),
        exclude_interim: asked.exclude_interim.unwrap_or(false),
        start: bound("start", asked.start)?,
        end: bound("end", asked.end)?,
    };
    let allow_no_match = asked.allow_no_match.unwrap_or(true);
    let buckets = state
        .jobs
        .overall_buckets(&expression, allow_no_match, &request)
        .await?;
    Ok(ok(
        &json!({"count": buckets.len(), "overall_buckets": buckets}),
    ))
}
