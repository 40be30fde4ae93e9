//! `_estimate_model_memory`.

use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::with_engine;
use tidewatch_model::config::{AnalysisConfig, ConfigError, new_analysis};
use tidewatch_model::estimate::{Cardinality, estimate};

use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};
use crate::params::Params;

pub fn routes() -> Router<ApiState> {
    Router::new().route(
        "/_ml/anomaly_detectors/_estimate_model_memory",
        post(answer),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default, deserialize_with = "new_analysis")]
    analysis_config: Option<AnalysisConfig>,
    #[serde(default, deserialize_with = "overall")]
    overall_cardinality: Cardinality,
    #[serde(default, deserialize_with = "max_bucket")]
    max_bucket_cardinality: Cardinality,
    /// Those that the job is to have, which may name an engine. Elasticsearch has none here.
    #[serde(default)]
    custom_settings: Option<Map<String, Value>>,
}

async fn answer(uri: Uri, body: Body) -> Result<Response> {
    const PARSER: &str = "cluster:admin/xpack/ml/job/estimate_model_memory";
    let asked: Asked = Params::new(&uri)?.body(body, PARSER).await?;
    let Some(analysis) = asked.analysis_config else {
        let missing = JobError::invalid_request(&["[analysis_config] was not specified"]);
        return Err(missing.into());
    };
    let analysis = with_engine(analysis, asked.custom_settings.as_ref())?;
    let estimate = estimate(
        &analysis,
        &asked.overall_cardinality,
        &asked.max_bucket_cardinality,
    );
    let estimate = estimate.map_err(|error| ApiError(error.into()))?;
    Ok(ok(&json!({"model_memory_estimate": estimate.to_string()})))
}

fn overall<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Cardinality, D::Error> {
    cardinality(deserializer, "overall_cardinality")
}

fn max_bucket<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Cardinality, D::Error> {
    cardinality(deserializer, "max_bucket_cardinality")
}

fn cardinality<'de, D: Deserializer<'de>>(
    deserializer: D,
    field: &str,
) -> std::result::Result<Cardinality, D::Error> {
    let figures = Cardinality::deserialize(deserializer)?;
    match figures.values().find(|figure| **figure < 0) {
        None => Ok(figures),
        Some(figure) => Err(de::Error::custom(ConfigError::bad_request(format!(
            "[{field}] contained negative cardinality [{figure}]"
        )))),
    }
}
