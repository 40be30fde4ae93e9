//! Searches of detectors and of tasks, which are documents for as long as the search takes.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tidewatch_store::query::{Bounds, Query};
use tidewatch_store::search::{Hit, Made, Target};
use tidewatch_store::{Found, Holds, Source};

use super::call::Call;
use super::dialect::Dialect;
use super::fields::{Fields, OF_CHECKPOINTS, OF_DETECTORS, OF_JOBS, OF_TASKS};
use super::result::{entity_json, model_id};
use super::{former, history, real_time, results, stored};
use crate::ApiState;
use crate::documents::{Asked, found_in, object};
use crate::error::{Result, json_response};

/// Documents as they are.
struct AsTheyAre;

impl Made for AsTheyAre {
    fn bounds(&self, query: &Query) -> Bounds {
        Bounds::of(query)
    }

    fn document(&self, found: Found) -> Option<Found> {
        Some(found)
    }
}

/// Documents with their versions and the numbers of their writes.
pub struct Given {
    index: &'static str,
    fields: Fields,
    documents: Vec<(Found, u64, u64)>,
}

impl Given {
    /// All detectors.
    pub fn detectors(state: &ApiState, dialect: Dialect, to_dashboards: bool) -> Result<Self> {
        let of = |kept: stored::Kept| {
            let stored = kept.stored;
            let found = Found {
                source: stored.detector.told(dialect, to_dashboards),
                id: stored.id,
            };
            (found, stored.version, stored.seq_no)
        };
        Ok(Self {
            index: dialect.detectors_index(),
            fields: OF_DETECTORS,
            documents: stored::all(state)?.into_iter().map(of).collect(),
        })
    }

    /// The last run of each detector in real time, and all runs over the past.
    pub fn tasks(state: &ApiState, dialect: Dialect, to_dashboards: bool) -> Result<Self> {
        let mut documents = Vec::new();
        for kept in stored::all(state)? {
            documents.extend(real_time::task(state, &kept, dialect, to_dashboards));
        }
        for task in history::all(state)? {
            documents.push(history::told(state, &task, dialect, to_dashboards));
        }
        let of = |(number, source): (usize, Value)| {
            let id = source["task_id"].as_str().unwrap_or_default().to_owned();
            let seq_no = u64::try_from(number).unwrap_or_default();
            (Found { id, source }, 1, seq_no)
        };
        Ok(Self {
            index: dialect.state_index(),
            fields: OF_TASKS,
            documents: documents.into_iter().enumerate().map(of).collect(),
        })
    }

    /// The jobs of all detectors that were started once.
    pub fn jobs(state: &ApiState, dialect: Dialect) -> Result<Self> {
        let of = |kept: stored::Kept| {
            let source = real_time::job(state, &kept, dialect)?;
            let version = kept.stored.real_time.map_or(1, |run| run.version);
            let id = kept.stored.id;
            Some((Found { id, source }, version, version.saturating_sub(1)))
        };
        Ok(Self {
            index: dialect.jobs_index(),
            fields: OF_JOBS,
            documents: stored::all(state)?.into_iter().filter_map(of).collect(),
        })
    }

    /// The models of all detectors that have learnt something: whose they are, and until when. What they have learnt
    /// is the job's.
    pub async fn checkpoints(state: &ApiState, dialect: Dialect) -> Result<Self> {
        let mut documents = Vec::new();
        for kept in stored::all(state)? {
            let job_id = &kept.job.job_id;
            let Some(until) = former::told_until(state, job_id).await? else {
                continue;
            };
            for entity in results::active(state, job_id).await? {
                let id = model_id(&kept.stored.id, &entity);
                let mut source =
                    json!({"detectorId": kept.stored.id, "timestamp": until, "schema_version": 0});
                if !entity.is_empty() {
                    source["entity"] = entity_json(&entity);
                }
                documents.push((Found { id, source }, 1, 0));
            }
        }
        Ok(Self {
            index: dialect.checkpoints_index(),
            fields: OF_CHECKPOINTS,
            documents,
        })
    }

    /// What is searched, and the place of each document.
    pub fn target(self) -> (Target, Vec<(String, u64, u64)>) {
        let (documents, places): (Vec<Found>, Vec<(String, u64, u64)>) = self
            .documents
            .into_iter()
            .map(|(found, version, seq_no)| {
                let place = (found.id.clone(), version, seq_no);
                (found, place)
            })
            .unzip();
        let target = Target::Made {
            source: Source {
                index: self.index.to_owned(),
                holds: Holds::Given(Arc::new(documents)),
                only: None,
            },
            schema: Arc::new(self.fields),
            made: Arc::new(AsTheyAre),
        };
        (target, places)
    }
}

pub async fn detectors(call: Call, body: Body) -> Result<Response> {
    let given = Given::detectors(&call.state, call.dialect, call.to_dashboards)?;
    answer(&call, given, body).await
}

pub async fn tasks(call: Call, body: Body) -> Result<Response> {
    let given = Given::tasks(&call.state, call.dialect, call.to_dashboards)?;
    answer(&call, given, body).await
}

async fn answer(call: &Call, given: Given, body: Body) -> Result<Response> {
    let asked = Asked::read(&call.uri)?;
    let body = object(body).await?;
    let (target, places) = given.target();
    // Places are told always, as OpenSearch does.
    let each = |hit: &mut Hit| {
        if let Some((_, version, seq_no)) = places.iter().find(|(id, _, _)| *id == hit.id) {
            hit.version = Some(*version);
            hit.seq_no = Some(*seq_no);
        }
    };
    let told = found_in(&call.state, &[target], asked, body, |_| {}, each).await?;
    Ok(json_response(
        StatusCode::OK,
        with_types(told, call.dialect),
    ))
}

/// Open Distro tells the type of documents too, as Elasticsearch did then.
pub fn with_types(told: String, dialect: Dialect) -> String {
    let told_all = match dialect {
        Dialect::OpenDistro => serde_json::from_str::<Value>(&told).ok(),
        _ => None,
    };
    let Some(mut all) = told_all else {
        return told;
    };
    for hit in all["hits"]["hits"].as_array_mut().into_iter().flatten() {
        hit["_type"] = "_doc".into();
    }
    all.to_string()
}
