//! What is kept of workspaces: in the store, under one name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::detector::all;
use super::error::{AmpError, Result, WORKSPACE};
use super::shapes::Texts;
use super::tokens::Changes;
use crate::ApiState;

const KEPT: &str = "amp_workspaces";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Seconds.
    pub created_at: f64,
    #[serde(default)]
    pub tags: Texts,
    /// The request that made it.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub made_by: Changes,
}

impl Kept {
    pub fn new(created_at: f64) -> Self {
        Self {
            alias: None,
            created_at,
            tags: Texts::new(),
            made_by: Changes::default(),
        }
    }
}

/// All workspaces, by their ids.
pub struct Workspaces {
    pub all: BTreeMap<String, Kept>,
    /// Whether there are some that are not kept yet.
    is_new: bool,
}

impl Workspaces {
    /// For one who keeps all others from changing anything. Those of the settings, and those that detectors name, are
    /// among them.
    pub async fn load(state: &ApiState) -> Result<Self> {
        let kept = state.jobs.store().meta(KEPT).await?;
        let kept = kept.and_then(|kept| serde_json::from_str(&kept).ok());
        let mut known = Self {
            all: kept.unwrap_or_default(),
            is_new: false,
        };
        // What was a source of the settings once, and has no source now, is none.
        known.all.retain(|id, _| state.amp.source(id).is_some());
        // One that is going is none for whose sake a workspace that was deleted would come back.
        for found in all(&state.jobs).iter().filter(|found| !found.is_going()) {
            if state.amp.source(&found.detector.workspace_id).is_some() {
                known.add(&found.detector.workspace_id, found.detector.created_at);
            }
        }
        let now = state.jobs.now() as f64 / 1_000.0;
        for id in state.amp.configured() {
            known.add(id, now);
        }
        Ok(known)
    }

    fn add(&mut self, id: &str, created_at: f64) {
        if !self.all.contains_key(id) {
            self.all.insert(id.to_owned(), Kept::new(created_at));
            self.is_new = true;
        }
    }

    /// For one who only reads.
    pub async fn read(state: &ApiState) -> Result<Self> {
        let _changing = state.amp.changing().await;
        let known = Self::load(state).await?;
        if known.is_new {
            // When they were first seen is when they were made.
            known.keep(state).await?;
        }
        Ok(known)
    }

    pub async fn keep(&self, state: &ApiState) -> Result<()> {
        let text = json!(self.all).to_string();
        Ok(state.jobs.store().set_meta(KEPT, &text).await?)
    }

    pub fn get(&self, id: &str) -> Result<&Kept> {
        self.all
            .get(id)
            .ok_or_else(|| AmpError::not_found(WORKSPACE, id))
    }

    pub fn get_mut(&mut self, id: &str) -> Result<&mut Kept> {
        self.all
            .get_mut(id)
            .ok_or_else(|| AmpError::not_found(WORKSPACE, id))
    }
}
