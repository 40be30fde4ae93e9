//! Tasks: what runs now, and how what was not waited for has ended.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidewatch_jobs::tasks::{Held, Kind, NewTask, Task};
use tidewatch_jobs::{JobError, NODE_NAME, matches};
use tidewatch_model::units::TimeSpan;

use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result, details};
use crate::params::Params;

/// How long a task is waited for where nobody says.
const PATIENCE: TimeSpan = TimeSpan::seconds(30);

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/_tasks", get(list))
        .route("/_tasks/_cancel", post(cancel))
        .route("/_tasks/{task_id}", get(one))
        .route("/_tasks/{task_id}/_cancel", post(cancel_one))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetAsked {
    #[serde(default)]
    wait_for_completion: bool,
    timeout: Option<TimeSpan>,
}

async fn one(State(state): State<ApiState>, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    let asked: GetAsked = Params::new(&uri)?.read()?;
    let task = find(&state, &id)?;
    if asked.wait_for_completion {
        let patience = asked.timeout.unwrap_or(PATIENCE).as_duration();
        if tokio::time::timeout(patience, task.ended()).await.is_err() {
            return Err(ApiError(JobError {
                kind: "timeout_exception",
                ..JobError::no_room(format!("Timed out waiting for completion of [{id}]"))
            }));
        }
    }
    let end = task.end();
    let mut answer = json!({"completed": end.is_some(), "task": info(&state, &task)});
    match end.map(|end| end.answer) {
        None => {}
        Some(Ok(response)) => answer["response"] = response,
        Some(Err(error)) => answer["error"] = details(&error),
    }
    Ok(ok(&answer))
}

fn find(state: &ApiState, id: &str) -> Result<Arc<Task>> {
    let number = id.rsplit_once(':').and_then(|(node, number)| {
        let is_number = number.parse::<i64>().is_ok();
        (is_number && !node.is_empty()).then_some(node)
    });
    let Some(node) = number else {
        return Err(ApiError::illegal_argument(format!(
            "malformed task id {id}"
        )));
    };
    let gone = || match node == state.identity.node_id {
        true => format!("task [{id}] isn't running and hasn't stored its results"),
        false => format!(
            "task [{id}] belongs to the node [{node}] which isn't part of the cluster and there is no record of the task"
        ),
    };
    let task = state.jobs.tasks().get(id);
    task.ok_or_else(|| JobError::not_found(gone()).into())
}

/// A task as the wire has it.
fn info(state: &ApiState, task: &Task) -> Value {
    let mut info = json!({
        "node": state.identity.node_id,
        "id": task.number,
        "type": task.kind.name(),
        "action": task.action,
        "description": task.description,
        "start_time_in_millis": task.started_at,
        "running_time_in_nanos": u64::try_from(task.running_time().as_nanos()).unwrap_or(u64::MAX),
        "cancellable": task.is_cancellable,
    });
    if task.is_cancellable {
        info["cancelled"] = task.is_cancelled().into();
    }
    if let Some(parent) = parent(task) {
        info["parent_task_id"] = parent.into();
    }
    info["headers"] = json!({});
    info
}

/// What the cluster's own tasks hang on.
pub fn parent(task: &Task) -> Option<String> {
    (task.kind == Kind::Persistent).then(|| format!("cluster:{}", task.number))
}

/// Which tasks are meant.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ListAsked {
    actions: Option<String>,
    nodes: Option<String>,
    parent_task_id: Option<String>,
    group_by: Option<String>,
    pub detailed: bool,
    wait_for_completion: bool,
    timeout: Option<TimeSpan>,
}

impl ListAsked {
    fn means(&self, state: &ApiState, task: &Task) -> bool {
        let any = |list: &Option<String>, fits: &dyn Fn(&str) -> bool| match list.as_deref() {
            None | Some("") => true,
            Some(list) => list.split(',').map(str::trim).any(fits),
        };
        let is_here = |node: &str| {
            matches!(node, "_all" | "_local" | "_master")
                || matches(node, &state.identity.node_id)
                || matches(node, NODE_NAME)
        };
        any(&self.actions, &|action| matches(action, task.action))
            && any(&self.nodes, &is_here)
            && any(&self.parent_task_id, &|id| {
                parent(task).as_deref() == Some(id)
            })
    }

    pub fn tasks(&self, state: &ApiState) -> Vec<Arc<Task>> {
        let mut tasks = state.jobs.tasks().running();
        tasks.retain(|task| self.means(state, task));
        tasks
    }
}

/// The request that asks is a task as well.
pub fn asking(state: &ApiState) -> Held {
    state.jobs.tasks().hold(NewTask {
        kind: Kind::Transport,
        action: "cluster:monitor/tasks/lists",
        description: String::new(),
        is_cancellable: false,
    })
}

async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let asked: ListAsked = Params::new(&uri)?.ignore(&["master_timeout"]).read()?;
    let group_by = asked.group_by.as_deref().unwrap_or("nodes");
    if !matches!(group_by, "nodes" | "parents" | "none") {
        return Err(ApiError::illegal_argument(format!(
            "[group_by] must be one of [nodes], [parents] or [none] but was [{group_by}]"
        )));
    }
    if asked.wait_for_completion {
        let ends = async {
            for task in asked.tasks(&state) {
                if task.kind == Kind::Transport {
                    // How it ended is not what was asked.
                    let _ = task.ended().await;
                }
            }
        };
        let patience = asked.timeout.unwrap_or(PATIENCE).as_duration();
        let _ = tokio::time::timeout(patience, ends).await;
    }
    let _asking = asking(&state);
    Ok(ok(&grouped(
        &state,
        &asked.tasks(&state),
        group_by,
        asked.detailed,
    )))
}

fn grouped(state: &ApiState, tasks: &[Arc<Task>], group_by: &str, detailed: bool) -> Value {
    let info = |task: &Task| {
        let mut info = info(state, task);
        if !detailed && let Value::Object(fields) = &mut info {
            fields.shift_remove("description");
        }
        info
    };
    let by_id = || -> Map<String, Value> {
        let tasks = tasks.iter();
        tasks.map(|task| (task.id.clone(), info(task))).collect()
    };
    match group_by {
        "none" => json!({"tasks": tasks.iter().map(|task| info(task)).collect::<Vec<_>>()}),
        "parents" => json!({"tasks": by_id()}),
        _ if tasks.is_empty() => json!({"nodes": {}}),
        _ => {
            let (address, host) = place(state);
            json!({"nodes": {state.identity.node_id.as_str(): {
                "name": NODE_NAME,
                "transport_address": address,
                "host": host,
                "ip": address,
                "roles": crate::cluster::ROLES,
                "tasks": by_id()
            }}})
        }
    }
}

/// Address and host.
fn place(state: &ApiState) -> (&str, &str) {
    let address = state.identity.address.as_str();
    (
        address,
        address.rsplit_once(':').map_or(address, |(host, _)| host),
    )
}

async fn cancel(State(state): State<ApiState>, uri: Uri) -> Result<Response> {
    let asked: ListAsked = Params::new(&uri)?.read()?;
    let mut tasks = asked.tasks(&state);
    tasks.retain(|task| task.is_cancellable);
    for task in &tasks {
        task.cancel();
    }
    Ok(ok(&grouped(&state, &tasks, "nodes", true)))
}

async fn cancel_one(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let _: ListAsked = Params::new(&uri)?.read()?;
    let task = match find(&state, &id) {
        Err(ApiError(error)) if error.status != 404 => return Err(ApiError(error)),
        found => found.ok().filter(|task| task.end().is_none()),
    };
    let refusal = match &task {
        None => Some(JobError::not_found(format!("task [{id}] is not found"))),
        Some(task) if !task.is_cancellable => Some(JobError::illegal_argument(format!(
            "task [{id}] doesn't support this operation"
        ))),
        Some(_) => None,
    };
    let Some(refusal) = refusal else {
        let task = task.into_iter().inspect(|task| task.cancel());
        let task: Vec<Arc<Task>> = task.collect();
        return Ok(ok(&grouped(&state, &task, "nodes", true)));
    };
    let node = &state.identity.node_id;
    Ok(ok(&json!({
        "node_failures": [{
            "type": "failed_node_exception",
            "reason": format!("Failed node [{node}]"),
            "node_id": node,
            "caused_by": details(&refusal)
        }],
        "nodes": {}
    })))
}
