//! `_profile`: how a detector is, or one of its entities.

use axum::extract::Path;
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_jobs::State as JobState;

use super::call::{Call, Object, Query};
use super::detector::Detector;
use super::dialect::Dialect;
use super::progress::Progress;
use super::result::{EntityField, entity_json, model_id};
use super::stored::{self, Kept};
use super::{entities, filter_query, history, real_time, results};
use crate::ApiState;
use crate::cluster::ok;
use crate::error::{ApiError, Result};

const TYPES: [&str; 9] = [
    "state",
    "error",
    "coordinating_node",
    "total_size_in_bytes",
    "models",
    "init_progress",
    "total_entities",
    "active_entities",
    "ad_task",
];
const NO_ENTITY: &str = "Cannot find entity";
const ENTITY_TYPES: [&str; 4] = ["init_progress", "entity_info", "state", "models"];

/// What is asked for.
struct Asked {
    types: Vec<String>,
    all: bool,
    entity: Option<Vec<EntityField>>,
}

impl Asked {
    fn read(query: &Query, types: &str, body: &Map<String, Value>) -> Result<Self> {
        let types = types.split(',').map(str::trim);
        let types = types.filter(|name| !name.is_empty()).map(str::to_owned);
        let entity = match (
            body.get("entity"),
            query.text("category_field"),
            query.text("entity"),
        ) {
            (Some(entity), ..) => Some(of_json(entity)?),
            (None, Some(name), Some(value)) => Some(vec![EntityField {
                name: name.to_owned(),
                value: value.to_owned(),
            }]),
            _ => None,
        };
        Ok(Self {
            types: types.collect(),
            all: query.flag("_all")?,
            entity,
        })
    }

    /// Those of `known` that are asked for; `usual` where nothing is said.
    fn of<'t>(&self, known: &[&'t str], usual: &[&'t str]) -> Result<Vec<&'t str>> {
        if self.all {
            return Ok(known.to_vec());
        }
        if self.types.is_empty() {
            return Ok(usual.to_vec());
        }
        let asked = |name: &&&str| self.types.iter().any(|asked| asked == **name);
        let types: Vec<&str> = known.iter().filter(asked).copied().collect();
        match types.is_empty() {
            true => Err(ApiError::illegal_argument(
                "profiles to collect are missing or invalid",
            )),
            false => Ok(types),
        }
    }
}

/// An entity: a list of names and values, or an object of them.
fn of_json(entity: &Value) -> Result<Vec<EntityField>> {
    let field = |name: &str, value: &Value| EntityField {
        name: name.to_owned(),
        value: value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned),
    };
    let fields: Vec<EntityField> = match entity {
        Value::Array(all) => all
            .iter()
            .filter_map(|one| Some(field(one["name"].as_str()?, one.get("value")?)))
            .collect(),
        Value::Object(all) => all.iter().map(|(name, value)| field(name, value)).collect(),
        _ => Vec::new(),
    };
    match fields.is_empty() {
        true => Err(ApiError::illegal_argument("Empty entity attributes")),
        false => Ok(fields),
    }
}

pub async fn profile(call: Call, Path(id): Path<String>, body: Object) -> Result<Response> {
    typed(call, Path((id, String::new())), body).await
}

pub async fn typed(
    call: Call,
    Path((id, types)): Path<(String, String)>,
    Object(body): Object,
) -> Result<Response> {
    let asked = Asked::read(&call.query, &types, &body)?;
    let (state, dialect) = (&call.state, call.dialect);
    let kept = stored::find(state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let profile = Profile {
        state,
        kept: &kept,
        dialect,
        to_dashboards: call.to_dashboards,
    };
    let told = match &asked.entity {
        Some(entity) => {
            let types = asked.of(&ENTITY_TYPES, &["state"])?;
            profile.of_entity(entity, &types).await?
        }
        None => {
            let types = asked.of(&TYPES, &["state", "error"])?;
            profile.of_detector(&types).await?
        }
    };
    Ok(ok(&told))
}

struct Profile<'a> {
    state: &'a ApiState,
    kept: &'a Kept,
    dialect: Dialect,
    to_dashboards: bool,
}

impl Profile<'_> {
    fn detector(&self) -> &Detector {
        &self.kept.stored.detector
    }

    /// How far a forest is that has seen so many points.
    fn progress(&self, updates: u64) -> Progress {
        Progress::new(updates, self.detector(), self.kept.stored.dialect)
    }

    fn job_id(&self) -> &str {
        &self.kept.job.job_id
    }

    async fn of_detector(&self, types: &[&str]) -> Result<Value> {
        let asks = |name: &str| types.contains(&name);
        let is_running = real_time::is_running(self.state, self.kept);
        let last = results::last(self.state, self.job_id(), None, true).await?;
        let progress = self.progress(last.as_ref().map_or(0, |last| last.updates));
        let mut told = Map::new();
        let mut put = |name: &str, value: Value| told.insert(name.to_owned(), value);
        if asks("state") {
            let state = match (is_running, progress.is_done()) {
                (false, _) => "DISABLED",
                (true, true) => "RUNNING",
                (true, false) => "INIT",
            };
            put("state", state.into());
        }
        if asks("error")
            && let Some(error) = self.error()
        {
            put("error", error.into());
        }
        if is_running {
            if asks("coordinating_node") {
                put(
                    "coordinating_node",
                    self.state.identity.node_id.as_str().into(),
                );
            }
            let bytes = self.model_bytes(self.job_id());
            if asks("total_size_in_bytes") {
                put("total_size_in_bytes", bytes.into());
            }
            let entities = results::active(self.state, self.job_id()).await?;
            if asks("models") && !entities.is_empty() {
                let each = bytes / u64::try_from(entities.len()).unwrap_or(1);
                let model = |entity: &Vec<EntityField>| self.model(entity, each);
                put("models", entities.iter().map(model).collect());
                put("model_count", entities.len().into());
            }
            if asks("init_progress") {
                put("init_progress", progress.told());
            }
            if !self.detector().categories().is_empty() {
                if asks("active_entities") {
                    put("active_entities", entities.len().into());
                }
                if asks("total_entities") {
                    put("total_entities", self.count_entities().await?.into());
                }
            }
        }
        if asks("ad_task")
            && let Some(task) = history::latest(self.state, &self.kept.stored.id)?
        {
            put("ad_task", self.of_task(&task).await?);
        }
        Ok(told.into())
    }

    /// Why its job doesn't work though it should.
    fn error(&self) -> Option<String> {
        let stats = self.state.jobs.stats(self.job_id(), true).ok()?.pop()?;
        if stats.state != JobState::Failed {
            return None;
        }
        let what = self.dialect.says("analysis", "detector");
        let reason = stats.assignment_explanation.unwrap_or_default();
        Some(format!("Stopped {what}: {reason}"))
    }

    fn model_bytes(&self, job_id: &str) -> u64 {
        let stats = self.state.jobs.stats(job_id, true).ok();
        let stats = stats.and_then(|mut stats| stats.pop());
        stats.map_or(0, |stats| stats.model_size_stats.size.model_bytes)
    }

    fn model(&self, entity: &[EntityField], bytes: u64) -> Value {
        let mut told = json!({
            "model_id": model_id(&self.kept.stored.id, entity),
            "model_size_in_bytes": bytes,
            "node_id": self.state.identity.node_id
        });
        if !entity.is_empty() {
            told["entity"] = entity_json(entity);
        }
        told
    }

    /// How many entities there are in the data.
    async fn count_entities(&self) -> Result<usize> {
        let all = filter_query::all();
        match entities::found(self.state, self.detector(), &all).await? {
            Some(found) => Ok(found.len()),
            None => Ok(results::active(self.state, self.job_id()).await?.len()),
        }
    }

    async fn of_task(&self, task: &history::Task) -> Result<Value> {
        let last = results::last(self.state, task.id(), None, false).await?;
        let updates = last.as_ref().map_or(0, |last| last.updates);
        let progress = Progress::new(updates, &task.run.detector, task.run.dialect);
        let mut told = json!({
            "ad_task": history::told(self.state, task, self.dialect, self.to_dashboards)
        });
        if task.run.detector.categories().is_empty() {
            told["shingle_size"] = task.run.detector.shingle_size.into();
            told["rcf_total_updates"] = updates.into();
            told["threshold_model_trained"] = progress.is_done().into();
            // Thresholds learn from the scores as they come: there is no data to train them with.
            told["threshold_model_training_data_size"] = 0.into();
        }
        told["model_size_in_bytes"] = self.model_bytes(task.id()).into();
        told["node_id"] = self.state.identity.node_id.as_str().into();
        // A run is one job, whatever its entities.
        told["detector_task_slots"] = 1.into();
        Ok(told)
    }

    async fn of_entity(&self, entity: &[EntityField], types: &[&str]) -> Result<Value> {
        let entity = self.in_order(entity)?;
        let last = results::last(self.state, self.job_id(), Some(&entity), true);
        let Some(last) = last.await? else {
            // Of one that has data and no results nothing is known.
            return match self.has_data(&entity).await {
                true => Ok(json!({})),
                false => Err(ApiError::illegal_argument(NO_ENTITY)),
            };
        };
        let is_running = real_time::is_running(self.state, self.kept);
        let active = results::active(self.state, self.job_id()).await?;
        let asks = |name: &str| types.contains(&name);
        let mut told = json!({});
        if asks("entity_info") {
            told["is_active"] = (is_running && active.contains(&entity)).into();
            told["last_active_timestamp"] = last.end().into();
            told["last_sample_timestamp"] = last.timestamp.into();
        }
        if !is_running {
            return Ok(told);
        }
        let progress = self.progress(last.updates);
        if asks("init_progress") {
            told["init_progress"] = progress.told();
        }
        if asks("models") {
            let all = u64::try_from(active.len()).unwrap_or(1).max(1);
            let mut model = self.model(&entity, self.model_bytes(self.job_id()) / all);
            if let Value::Object(model) = &mut model {
                model.shift_remove("entity");
            }
            told["model"] = model;
        }
        if asks("state") {
            told["state"] = match progress.is_done() {
                true => "RUNNING".into(),
                false => "INIT".into(),
            };
        }
        Ok(told)
    }

    /// In the order of the categories, whatever the client's is.
    fn in_order(&self, entity: &[EntityField]) -> Result<Vec<EntityField>> {
        let refuse = |reason: String| ApiError::illegal_argument(reason);
        let categories = self.detector().categories();
        if categories.is_empty() {
            return Err(refuse("This is not a high cardinality detector".to_owned()));
        }
        if entity.len() != categories.len() {
            return Err(refuse(NO_ENTITY.to_owned()));
        }
        let own = |name: &String| {
            let mut fields = entity.iter();
            let own = fields.find(|field| field.name == *name).cloned();
            own.ok_or_else(|| refuse(format!("Cannot find {name}")))
        };
        categories.iter().map(own).collect()
    }

    /// Whether there are documents of an entity, as far as it is known here.
    async fn has_data(&self, entity: &[EntityField]) -> bool {
        let mut all = vec![stored::query(self.state, self.kept)];
        all.extend(
            entity
                .iter()
                .map(|field| json!({"term": {field.name.as_str(): field.value}})),
        );
        let query = json!({"bool": {"filter": all}});
        let found = entities::found(self.state, self.detector(), &query).await;
        found.is_ok_and(|found| found.is_some_and(|found| !found.is_empty()))
    }
}
