//! The apps that jobs name.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{PlayError, Result};
use super::request::{Params, token};
use crate::ApiState;

pub const SHAPE: &str = "apps(name,packageName,displayName),nextPageToken";

const USUAL: usize = 50;
const MOST: usize = 1_000;

fn all(state: &ApiState) -> Result<BTreeSet<String>> {
    let jobs = state.jobs.shown_to_play()?.into_iter();
    Ok(jobs.map(|(_, play)| play.app).collect())
}

/// Refuses an app that no job names.
pub fn check(state: &ApiState, app: &str) -> Result<()> {
    match all(state)?.contains(app) {
        true => Ok(()),
        false => Err(PlayError::not_found(format!(
            "App not found: no job has [{app}] as the app of its custom_settings.play"
        ))),
    }
}

/// `apps:search`. Of an app nothing but its package name is known.
pub fn search(state: &ApiState, mut params: Params) -> Result<Value> {
    let most = params.page_size(USUAL, MOST)?;
    let request = json!(["apps", most]);
    let after: Option<String> = params.page(&request)?;
    params.finish()?;
    let found = all(state)?.into_iter();
    let mut found = found.filter(|app| after.as_ref().is_none_or(|after| app > after));
    let page: Vec<String> = found.by_ref().take(most).collect();
    let mut answer = json!({});
    if !page.is_empty() {
        let app = |app: &String| json!({"name": format!("apps/{app}"), "packageName": app});
        answer["apps"] = page.iter().map(app).collect();
    }
    if found.next().is_some()
        && let Some(token) = page.last().and_then(|last| token(&request, last))
    {
        answer["nextPageToken"] = token.into();
    }
    Ok(answer)
}
