//! `_stats` of indices: how many documents there are, and how much room they take.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::Meant;

use super::named::Named;
use super::{ALL, ok, shards};
use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::params::Params;

/// The parts that are told of.
const METRICS: [&str; 2] = ["docs", "store"];

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_stats", get(all))
        .route("/_stats/{metric}", get(some_of_all))
        .route("/{index}/_stats", get(tell))
        .route("/{index}/_stats/{metric}", get(some))
}

async fn all(state: State<ApiState>, uri: Uri) -> Result<Response> {
    some(state, Path((ALL.to_owned(), ALL.to_owned())), uri).await
}

async fn some_of_all(
    state: State<ApiState>,
    Path(metric): Path<String>,
    uri: Uri,
) -> Result<Response> {
    some(state, Path((ALL.to_owned(), metric)), uri).await
}

async fn tell(state: State<ApiState>, Path(index): Path<String>, uri: Uri) -> Result<Response> {
    some(state, Path((index, ALL.to_owned())), uri).await
}

async fn some(
    State(state): State<ApiState>,
    Path((expression, metrics)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response> {
    let mut params = Params::new(&uri)?.ignore(&[
        "completion_fields",
        "fielddata_fields",
        "fields",
        "forbid_closed_indices",
        "groups",
        "include_segment_file_sizes",
        "include_unloaded_segments",
        "level",
    ]);
    let reading = Named::deserialize(&mut params)?.reading()?;
    params.finish()?;
    let metrics = metrics_of(&metrics)?;
    let mut indices = Map::new();
    let mut sum = [0; 3];
    for index in state.jobs.meant(&expression, reading).await? {
        let (uuid, counts) = counts(&state, &index).await?;
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
        let part = part(&metrics, counts);
        let told = json!({
            "uuid": uuid, "health": "green", "status": "open", "primaries": part, "total": part
        });
        indices.insert(index.name().to_owned(), told);
    }
    let all = part(&metrics, sum);
    Ok(ok(&json!({
        "_shards": shards(indices.len()), "_all": {"primaries": all, "total": all}, "indices": indices
    })))
}

fn metrics_of(text: &str) -> Result<Vec<&'static str>> {
    let mut metrics = Vec::new();
    for name in text.split(',').map(str::trim) {
        match name {
            "_all" => metrics.extend(METRICS),
            name => match METRICS.into_iter().find(|metric| *metric == name) {
                Some(metric) => metrics.push(metric),
                None => {
                    return Err(ApiError::illegal_argument(format!(
                        "request [/_stats/{text}] contains unrecognized metric: [{name}]"
                    )));
                }
            },
        }
    }
    Ok(metrics)
}

/// The uuid of an index; its documents, those of them that still take up room, and bytes.
pub async fn counts(state: &ApiState, index: &Meant) -> Result<(String, [u64; 3])> {
    match index {
        Meant::Own { index, .. } => {
            let stats = index.stats()?;
            let counts = [stats.documents, stats.deleted, stats.bytes];
            Ok((index.uuid().to_owned(), counts))
        }
        Meant::Internal(index) => {
            let mut documents = 0;
            let mut take = |_: &str, _: tidewatch_store::Found| {
                documents += 1;
                true
            };
            let all = tidewatch_store::query::Query::All;
            state
                .jobs
                .search(std::slice::from_ref(index), &all, &mut take)
                .await?;
            Ok(("_na_".to_owned(), [documents, 0, 0]))
        }
    }
}

fn part(metrics: &[&str], [documents, deleted, bytes]: [u64; 3]) -> Value {
    let mut part = Map::new();
    for metric in metrics {
        let told = match *metric {
            "docs" => json!({"count": documents, "deleted": deleted, "total_size_in_bytes": bytes}),
            _ => json!({
                "size_in_bytes": bytes, "total_data_set_size_in_bytes": bytes, "reserved_in_bytes": 0
            }),
        };
        part.insert((*metric).to_owned(), told);
    }
    part.into()
}
