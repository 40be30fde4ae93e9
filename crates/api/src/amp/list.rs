//! The detectors of a workspace, page by page.

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::json;

use super::check::Check;
use super::detector::of_workspace;
use super::detectors::{check_workspace, parameters};
use super::error::{AmpError, Result};
use super::standing::explain;
use crate::ApiState;
use crate::error::json_response;

const DEFAULT_PAGE: usize = 100;
const LONGEST_TOKEN: usize = 1_000;

/// What a list is asked for.
#[derive(Debug)]
pub struct Page {
    pub alias: Option<String>,
    pub size: usize,
    /// The id that the page before ended with.
    pub after: Option<String>,
}

impl Page {
    pub fn read(uri: &Uri, check: &mut Check) -> Result<Self> {
        let mut page = Self {
            alias: None,
            size: DEFAULT_PAGE,
            after: None,
        };
        for (name, value) in parameters(uri)? {
            match name.as_str() {
                "alias" => page.alias = Some(value),
                "maxResults" => match value.parse::<i64>() {
                    Ok(size @ 1..=1_000) => page.size = size as usize,
                    Ok(_) => check.wrong(&name, "Member must have value between 1 and 1000"),
                    Err(_) => {
                        let told = format!("Value at '{name}' must be an integer");
                        return Err(AmpError::unparsable(told));
                    }
                },
                "nextToken" if value.len() > LONGEST_TOKEN => {
                    let told =
                        format!("Member must have length less than or equal to {LONGEST_TOKEN}");
                    check.wrong(&name, told);
                }
                "nextToken" if !value.is_empty() => page.after = Some(value),
                _ => {}
            }
        }
        Ok(page)
    }

    /// Those of some things, in the order of their ids, that are on the page; and the token of the next one. A page goes
    /// on where the one before ended, whatever came or went between.
    pub fn of<T>(&self, mut all: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        all.sort_by(|one, other| id(one).cmp(id(other)));
        if let Some(after) = &self.after {
            all.retain(|one| id(one) > after.as_str());
        }
        let is_more = all.len() > self.size;
        all.truncate(self.size);
        let last = all.last().filter(|_| is_more);
        let next = last.map(|last| id(last).to_owned());
        (all, next)
    }
}

pub async fn list(
    State(state): State<ApiState>,
    Path(workspace_id): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut check = Check::default();
    check.workspace_id(&workspace_id);
    let page = Page::read(&uri, &mut check)?;
    if let Some(alias) = &page.alias {
        check.alias(alias);
    }
    check.finish()?;
    check_workspace(&state, &workspace_id)?;
    if let Some(after) = &page.after
        && !after.starts_with("ad-")
    {
        return Err(AmpError::field("nextToken", "It was never given"));
    }
    let mut found = of_workspace(&state.jobs, &workspace_id);
    if let Some(alias) = &page.alias {
        found.retain(|found| found.detector.alias == *alias);
    }
    let (mut found, next) = page.of(found, |found| &found.detector.anomaly_detector_id);
    let shown = found.iter_mut().map(|found| {
        explain(&state, found);
        found.detector.summary()
    });
    let mut told = json!({"anomalyDetectors": shown.collect::<Vec<_>>()});
    if let Some(next) = next {
        told["nextToken"] = json!(next);
    }
    Ok(json_response(StatusCode::OK, told.to_string()))
}
