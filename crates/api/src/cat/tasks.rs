//! `_cat/tasks`: what runs now.

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::DateTime;
use serde::Deserialize;
use tidewatch_jobs::NODE_NAME;
use tidewatch_jobs::tasks::Task;

use super::{Cell, Column, Served, answer};
use crate::Identity;
use crate::error::Result;
use crate::nodes::host;
use crate::params::Params;
use crate::tasks::{ListAsked, asking, parent};

type Value = fn(&Task, &Identity) -> Cell;

static FIELDS: &[(Column, Value)] = &[
    (
        Column::new("action", &["ac"], "task action").shown(),
        |task, _| task.action.into(),
    ),
    (
        Column::new("task_id", &["ti"], "unique task id").shown(),
        |task, _| task.id.as_str().into(),
    ),
    (
        Column::new("parent_task_id", &["pti"], "parent task id").shown(),
        |task, _| parent(task).as_deref().unwrap_or("-").into(),
    ),
    (
        Column::new("type", &["ty"], "task type").shown(),
        |task, _| task.kind.name().into(),
    ),
    (
        Column::new("start_time", &["start"], "start time in ms").shown(),
        |task, _| Cell::Text(task.started_at.to_string()),
    ),
    (
        Column::new(
            "timestamp",
            &["ts", "hms", "hhmmss"],
            "start time in HH:MM:SS",
        )
        .shown(),
        |task, _| {
            let began = DateTime::from_timestamp_millis(task.started_at).unwrap_or_default();
            Cell::Text(began.format("%H:%M:%S").to_string())
        },
    ),
    (
        Column::new("running_time", &["time"], "running time").shown(),
        |task, _| {
            let millis = task.running_time().as_millis();
            Cell::Millis(i64::try_from(millis).unwrap_or(i64::MAX))
        },
    ),
    (
        Column::new("node_id", &["ni"], "unique node id"),
        |_, node| node.node_id.as_str().into(),
    ),
    (
        Column::new("ip", &["i"], "ip address").shown(),
        |_, node| host(node).into(),
    ),
    (Column::new("node", &["n"], "node name").shown(), |_, _| {
        NODE_NAME.into()
    }),
    (DESCRIPTION, |task, _| task.description.as_str().into()),
    (DESCRIPTION.shown(), |task, _| {
        task.description.as_str().into()
    }),
];

const DESCRIPTION: Column = Column::new("description", &["desc"], "task action");

pub async fn list(state: Served, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut params = Params::new(&uri)?;
    let asked = ListAsked::deserialize(&mut params)?;
    let _asking = asking(&state);
    // The last two are one column, which shows when it is told in detail.
    let (plain, detailed) = (FIELDS.len() - 2, FIELDS.len() - 1);
    let hidden = if asked.detailed { plain } else { detailed };
    let fields = || FIELDS.iter().enumerate().filter(|(at, _)| *at != hidden);
    let columns = fields().map(|(_, (column, _))| column).collect();
    let rows = async {
        let tasks = asked.tasks(&state);
        let row = |task: &Task| {
            let cells = fields().map(|(_, (_, value))| value(task, &state.identity));
            cells.collect()
        };
        Ok(tasks.iter().map(|task| row(task)).collect())
    };
    answer(&uri, &headers, params, columns, rows).await
}
