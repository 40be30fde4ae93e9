//! `_cat/indices`, `_cat/aliases` and `_cat/count`: users' indices, and the internal ones where they are asked for.

use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use tidewatch_jobs::documents::{Alias, Meant, Reading};
use tidewatch_jobs::matches;

use super::{Cell, Column, Served, answer};
use crate::documents::{Named, counts};
use crate::error::Result;
use crate::params::Params;

/// What a table tells of an index.
struct About {
    meant: Meant,
    uuid: String,
    is_closed: bool,
    documents: u64,
    deleted: u64,
    bytes: u64,
}

impl About {
    fn setting(&self, name: &str, or: &str) -> Cell {
        let settings = match &self.meant {
            Meant::Own { index, .. } => Some(index.settings()),
            Meant::Internal(_) => None,
        };
        let value = settings.as_ref().and_then(|settings| settings.get(name));
        value.unwrap_or(or).into()
    }

    fn created(&self) -> Option<i64> {
        match &self.meant {
            Meant::Own { index, .. } => Some(index.created()),
            Meant::Internal(_) => None,
        }
    }

    fn open(&self, cell: Cell) -> Cell {
        if self.is_closed { Cell::None } else { cell }
    }
}

/// What stands in a column.
type OfIndex = fn(&About) -> Cell;
type OfAlias = fn(&str, &Alias) -> Cell;

static INDICES: &[(Column, OfIndex)] = &[
    (
        Column::new("health", &["h"], "current health status").shown(),
        |_| "green".into(),
    ),
    (
        Column::new("status", &["s"], "open/close status").shown(),
        |of| if of.is_closed { "close" } else { "open" }.into(),
    ),
    (
        Column::new("index", &["i", "idx"], "index name").shown(),
        |of| of.meant.name().into(),
    ),
    (
        Column::new("uuid", &["id", "uuid"], "index uuid").shown(),
        |of| of.uuid.as_str().into(),
    ),
    (
        Column::new(
            "pri",
            &["p", "shards.primary", "shardsPrimary"],
            "number of primary shards",
        )
        .shown()
        .right(),
        |of| of.setting("index.number_of_shards", "1"),
    ),
    (
        Column::new(
            "rep",
            &["r", "shards.replica", "shardsReplica"],
            "number of replica shards",
        )
        .shown()
        .right(),
        |of| of.setting("index.number_of_replicas", "0"),
    ),
    (
        Column::new("docs.count", &["dc", "docsCount"], "available docs")
            .shown()
            .right(),
        |of| of.open(Cell::Count(of.documents)),
    ),
    (
        Column::new("docs.deleted", &["dd", "docsDeleted"], "deleted docs")
            .shown()
            .right(),
        |of| of.open(Cell::Count(of.deleted)),
    ),
    (
        Column::new(
            "creation.date",
            &["cd"],
            "index creation date (millisecond value)",
        ),
        |of| of.created().map(|at| Cell::Text(at.to_string())).into(),
    ),
    (
        Column::new(
            "creation.date.string",
            &["cds"],
            "index creation date (as string)",
        ),
        |of| {
            let at = of.created().and_then(DateTime::from_timestamp_millis);
            at.map(|at| Cell::Text(at.to_rfc3339_opts(SecondsFormat::Millis, true)))
                .into()
        },
    ),
    (
        Column::new(
            "store.size",
            &["ss", "storeSize"],
            "store size of primaries & replicas",
        )
        .shown()
        .right(),
        |of| of.open(Cell::Bytes(of.bytes)),
    ),
    (
        Column::new("pri.store.size", &[], "store size of primaries")
            .shown()
            .right(),
        |of| of.open(Cell::Bytes(of.bytes)),
    ),
    (
        Column::new("dataset.size", &[], "total size of dataset")
            .shown()
            .right(),
        |of| of.open(Cell::Bytes(of.bytes)),
    ),
];

#[derive(Deserialize)]
struct Asked {
    health: Option<String>,
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
    let mut params = Params::new(&uri)?.ignore(&["pri", "include_unloaded_segments"]);
    let reading = Named::deserialize(&mut params)?.over(Reading {
        closed: true,
        takes_closed: true,
        ..Reading::default()
    })?;
    let asked = Asked::deserialize(&mut params)?;
    let is_wanted = asked.health.is_none_or(|health| health == "green");
    let rows = async {
        let closed = state.jobs.closed_names().await?;
        let mut rows = Vec::new();
        for meant in state.jobs.meant(&expression, reading).await? {
            let (uuid, [documents, deleted, bytes]) = counts(&state, &meant).await?;
            let about = About {
                is_closed: closed.iter().any(|name| name == meant.name()),
                meant,
                uuid,
                documents,
                deleted,
                bytes,
            };
            if is_wanted {
                rows.push(INDICES.iter().map(|(_, value)| value(&about)).collect());
            }
        }
        Ok(rows)
    };
    let columns = INDICES.iter().map(|(column, _)| column).collect();
    answer(&uri, &headers, params, columns, rows).await
}

static ALIASES: &[(Column, OfAlias)] = &[
    (
        Column::new("alias", &["a"], "alias name").shown(),
        |_, alias| alias.name.as_str().into(),
    ),
    (
        Column::new("index", &["i", "idx"], "index alias points to").shown(),
        |index, _| index.into(),
    ),
    (
        Column::new("filter", &["f", "fi"], "filter").shown(),
        |_, alias| match alias.settings.filter {
            Some(_) => "*".into(),
            None => "-".into(),
        },
    ),
    (
        Column::new("routing.index", &["ri", "routingIndex"], "index routing").shown(),
        |_, alias| {
            alias
                .settings
                .index_routing
                .as_deref()
                .unwrap_or("-")
                .into()
        },
    ),
    (
        Column::new("routing.search", &["rs", "routingSearch"], "search routing").shown(),
        |_, alias| {
            alias
                .settings
                .search_routing
                .as_deref()
                .unwrap_or("-")
                .into()
        },
    ),
    (
        Column::new("is_write_index", &["w", "isWriteIndex"], "write index").shown(),
        |_, alias| match alias.settings.is_write_index {
            Some(true) => "true".into(),
            Some(false) => "false".into(),
            None => "-".into(),
        },
    ),
];

pub async fn aliases(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    some_aliases(state, Path("*".to_owned()), uri, headers).await
}

pub async fn some_aliases(
    state: Served,
    Path(names): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let reading = Named::deserialize(&mut params)?.over(Reading {
        closed: true,
        hidden: true,
        takes_closed: true,
        ..Reading::default()
    })?;
    let rows = async {
        let mut rows = Vec::new();
        for meant in state.jobs.meant("_all", reading).await? {
            for alias in state.jobs.aliases(&meant) {
                if names.split(',').any(|name| matches(name, &alias.name)) {
                    let row = ALIASES.iter().map(|(_, value)| value(meant.name(), &alias));
                    rows.push(row.collect());
                }
            }
        }
        Ok(rows)
    };
    let columns = ALIASES.iter().map(|(column, _)| column).collect();
    answer(&uri, &headers, params, columns, rows).await
}

static COUNT: [Column; 3] = [
    Column::new("epoch", &["t", "time"], "seconds since 1970-01-01 00:00:00").shown(),
    Column::new("timestamp", &["ts", "hms", "hhmmss"], "time in HH:MM:SS").shown(),
    Column::new(
        "count",
        &["dc", "docs.count", "docsCount"],
        "the document count",
    )
    .shown(),
];

pub async fn count(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    count_of(state, Path("_all".to_owned()), uri, headers).await
}

pub async fn count_of(
    state: Served,
    Path(expression): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let params = Params::new(&uri)?;
    let rows = async {
        let mut count = 0;
        for meant in state.jobs.meant(&expression, Reading::default()).await? {
            count += counts(&state, &meant).await?.1[0];
        }
        let now = Utc::now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let time = Cell::Text(now.format("%H:%M:%S").to_string());
        Ok(vec![vec![Cell::Count(seconds), time, Cell::Count(count)]])
    };
    answer(&uri, &headers, params, COUNT.iter().collect(), rows).await
}
