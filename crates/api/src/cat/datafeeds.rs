//! `_cat/ml/datafeeds`: the statistics of datafeeds.

use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;
use tidewatch_datafeed::run::{ShownTimingStats, Status};
use tidewatch_jobs::NODE_NAME;

use super::{Cell, Column, Served, answer};
use crate::error::Result;
use crate::params::Params;
use crate::{Identity, body};

#[derive(Deserialize)]
struct Asked {
    #[serde(default = "body::yes")]
    allow_no_match: bool,
}

pub async fn all(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    some(state, Path("_all".to_owned()), uri, headers).await
}

pub async fn some(
    state: Served,
    Path(expression): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let asked = Asked::deserialize(&mut params)?;
    let columns = FIELDS.iter().map(|(column, _)| column).collect();
    let rows = async {
        let datafeeds = state.feeds.find(&expression, asked.allow_no_match)?;
        let of_datafeed = |datafeed: &std::sync::Arc<_>| {
            let status = state.feeds.status(datafeed);
            let row = Row {
                datafeed_id: &datafeed.datafeed_id,
                timing: status.timing_stats.shown(),
                status: &status,
                identity: &state.identity,
            };
            FIELDS.iter().map(|(_, value)| value(&row)).collect()
        };
        Ok(datafeeds.iter().map(of_datafeed).collect())
    };
    answer(&uri, &headers, params, columns, rows).await
}

/// All that is known of a datafeed.
struct Row<'a> {
    datafeed_id: &'a str,
    status: &'a Status,
    timing: ShownTimingStats,
    identity: &'a Identity,
}

impl Row<'_> {
    /// Nothing for a datafeed that runs nowhere.
    fn node<'a>(&'a self, of: impl Fn(&'a Identity) -> &'a str) -> Cell {
        match self.status.is_assigned {
            true => of(self.identity).into(),
            false => Cell::None,
        }
    }
}

/// What a column shows of a datafeed.
type Value = fn(&Row<'_>) -> Cell;

static FIELDS: &[(Column, Value)] = &[
    (Column::new("id", &[], "the datafeed_id").shown(), |row| {
        row.datafeed_id.into()
    }),
    (
        Column::new("state", &["s"], "the datafeed state")
            .shown()
            .right(),
        |row| row.status.state.name().into(),
    ),
    (
        Column::new(
            "assignment_explanation",
            &["ae"],
            "why the datafeed is or is not assigned to a node",
        ),
        |row| row.status.assignment_explanation.as_deref().into(),
    ),
    (
        Column::new("buckets.count", &["bc", "bucketsCount"], "bucket count").shown(),
        |row| Cell::Count(row.timing.bucket_count),
    ),
    (
        Column::new(
            "search.count",
            &["sc", "searchCount"],
            "number of searches ran by the datafeed",
        )
        .shown(),
        |row| Cell::Count(row.timing.search_count),
    ),
    (
        Column::new(
            "search.time",
            &["st", "searchTime"],
            "the total search time",
        ),
        |row| Cell::Millis(row.timing.total_search_time_ms as i64),
    ),
    (
        Column::new(
            "search.bucket_avg",
            &["sba", "searchBucketAvg"],
            "the average search time per bucket (millisecond)",
        ),
        |row| {
            let average = row.timing.average_search_time_per_bucket_ms;
            Cell::Number(average.unwrap_or_default())
        },
    ),
    (
        Column::new(
            "search.exp_avg_hour",
            &["seah", "searchExpAvgHour"],
            "the exponential average search time per hour (millisecond)",
        ),
        |row| Cell::Number(row.timing.exponential_average_search_time_per_hour_ms),
    ),
    (
        Column::new("node.id", &["ni", "nodeId"], "id of the assigned node"),
        |row| row.node(|identity| &identity.node_id),
    ),
    (
        Column::new(
            "node.name",
            &["nn", "nodeName"],
            "name of the assigned node",
        ),
        |row| row.node(|_| NODE_NAME),
    ),
    (
        Column::new(
            "node.ephemeral_id",
            &["ne", "nodeEphemeralId"],
            "ephemeral id of the assigned node",
        ),
        |row| row.node(|identity| &identity.ephemeral_id),
    ),
    (
        Column::new(
            "node.address",
            &["na", "nodeAddress"],
            "network address of the assigned node",
        ),
        |row| row.node(|identity| &identity.address),
    ),
];
