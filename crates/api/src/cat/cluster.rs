//! `_cat/health` and `_cat/nodes`: one line each.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use tidewatch_jobs::NODE_NAME;

use super::{Cell, Column, Served, answer};
use crate::error::Result;
use crate::nodes::{ROLES, host, port};
use crate::params::Params;
use crate::{Identity, VERSION};

/// What a column shows; the columns of a table of one row.
type Value = fn(&Identity) -> Cell;

static HEALTH: &[(Column, Value)] = &[
    (
        Column::new("epoch", &["t", "time"], "seconds since 1970-01-01 00:00:00").shown(),
        |_| Cell::Count(Utc::now().timestamp().max(0) as u64),
    ),
    (
        Column::new("timestamp", &["ts", "hms", "hhmmss"], "time in HH:MM:SS").shown(),
        |_| Cell::Text(Utc::now().format("%H:%M:%S").to_string()),
    ),
    (
        Column::new("cluster", &["cl"], "cluster name").shown(),
        |_| NODE_NAME.into(),
    ),
    (
        Column::new("status", &["st"], "health status").shown(),
        |_| "green".into(),
    ),
    (
        Column::new("node.total", &["nt", "nodeTotal"], "total number of nodes")
            .shown()
            .right(),
        |_| Cell::Count(1),
    ),
    (
        Column::new(
            "node.data",
            &["nd", "nodeData"],
            "number of nodes that can store data",
        )
        .shown()
        .right(),
        |_| Cell::Count(1),
    ),
];

static NODES: &[(Column, Value)] = &[
    (
        Column::new("id", &["id", "nodeId"], "unique node id"),
        |node| node.node_id.as_str().into(),
    ),
    (Column::new("ip", &["i"], "ip address").shown(), |node| {
        host(node).into()
    }),
    (
        Column::new("port", &["po"], "bound transport port"),
        |node| port(node).into(),
    ),
    (
        Column::new("http_address", &["http"], "bound http address"),
        |node| node.address.as_str().into(),
    ),
    (Column::new("version", &["v"], "es version"), |_| {
        VERSION.into()
    }),
    (
        Column::new(
            "node.role",
            &["r", "role", "nodeRole"],
            "the roles of the node, a letter each",
        )
        .shown(),
        |_| {
            Cell::Text(
                ROLES
                    .iter()
                    .filter_map(|role| role.chars().next())
                    .collect(),
            )
        },
    ),
    (
        Column::new("master", &["m"], "*:current master").shown(),
        |_| "*".into(),
    ),
    (Column::new("name", &["n"], "node name").shown(), |_| {
        NODE_NAME.into()
    }),
];

pub async fn health(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    one(HEALTH, &state.identity, &uri, &headers, Params::new(&uri)?).await
}

#[derive(Deserialize)]
struct NodesAsked {
    #[serde(default)]
    full_id: bool,
}

pub async fn nodes(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let asked = NodesAsked::deserialize(&mut params)?;
    let params = params.ignore(&["include_unloaded_segments"]);
    let mut identity = Identity::clone(&state.identity);
    if !asked.full_id {
        identity.node_id.truncate(4);
    }
    one(NODES, &identity, &uri, &headers, params).await
}

async fn one(
    fields: &'static [(Column, Value)],
    identity: &Identity,
    uri: &Uri,
    headers: &HeaderMap,
    params: Params,
) -> Result<Response> {
    let columns = fields.iter().map(|(column, _)| column).collect();
    let row = fields.iter().map(|(_, value)| value(identity)).collect();
    answer(uri, headers, params, columns, async { Ok(vec![row]) }).await
}
