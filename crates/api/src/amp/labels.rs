//! Which series there are, and the names and values of their labels.

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::asked::Asked;
use super::promql::{Labels, Selector, selector};
use super::query::{Workspace, detectors};
use super::refused::{Outcome, Refused};
use super::series::{self, NoSeries};
use super::shown::success;
use crate::ApiState;

const MATCH: &str = "match[]";
/// What is looked in where nothing is said, in milliseconds.
const WINDOW: i64 = 86_400_000;

/// The labels of the series that the parameters `match[]` select in a window of time.
async fn selected(
    state: &ApiState,
    workspace: Workspace,
    asked: &Asked,
    is_needed: bool,
) -> Outcome<BTreeSet<Labels>> {
    let mut selectors = Vec::new();
    for text in asked.all(MATCH) {
        selectors.push(selector(text).map_err(|told| Refused::parameter(MATCH, told))?);
    }
    if selectors.is_empty() {
        if is_needed {
            return Err(Refused::bad("no match[] parameter provided".to_owned()));
        }
        selectors.push(Selector::every());
    }
    let end = asked.time("end")?.unwrap_or_else(|| state.jobs.now());
    let start = asked.time("start")?.unwrap_or(end - WINDOW);
    let detectors = detectors(state, workspace)?;
    let selectors: Vec<&Selector> = selectors.iter().collect();
    let found = series::labels(&state.jobs, &detectors, &selectors, start - 1, end);
    Ok(found.await.map_err(NoSeries::from)?)
}

pub async fn series(
    State(state): State<ApiState>,
    workspace: Workspace,
    request: Request,
) -> Outcome<Response> {
    let asked = Asked::read(request).await?;
    Ok(success(&selected(&state, workspace, &asked, true).await?))
}

pub async fn labels(
    State(state): State<ApiState>,
    workspace: Workspace,
    request: Request,
) -> Outcome<Response> {
    let asked = Asked::read(request).await?;
    let found = selected(&state, workspace, &asked, false).await?;
    let names: BTreeSet<&String> = found.iter().flat_map(Labels::keys).collect();
    Ok(success(&names))
}

/// Of a label, in a workspace or in all.
pub async fn values(
    State(state): State<ApiState>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Outcome<Response> {
    let part = |name: &str| {
        let found = path.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    };
    let workspace = part("workspace_id").map(Path);
    let label = part("label").unwrap_or_default();
    let asked = Asked::read(request).await?;
    let found = selected(&state, workspace, &asked, false).await?;
    let values = found.iter().filter_map(|labels| labels.get(&label));
    let values: BTreeSet<&String> = values.collect();
    Ok(success(&values))
}
