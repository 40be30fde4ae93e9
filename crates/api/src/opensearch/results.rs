//! Results as searches find them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::DateTime;
use tidewatch_jobs::matches;
use tidewatch_store::query::Schema;
use tidewatch_store::search::{Hit, Target};
use tidewatch_store::{ForestQuery, Holds, Source};

use super::call::Call;
use super::dialect::Dialect;
use super::fields::OF_RESULTS;
use super::flat::FlatFields;
use super::result::{self, EntityField, Results, Told, Whose};
use super::search::with_types;
use crate::ApiState;
use crate::documents::{Asked, found_in, object};
use crate::error::{ApiError, Result, json_response};

/// A parameter of searches in indices of detectors' own.
const ONLY_OWN: &str = "only_query_custom_result_index";
/// Results that are read at once.
pub const PAGE: i64 = 10_000;

/// The name of the index that the results of detectors are in which name none.
pub fn index_of_today(state: &ApiState, dialect: Dialect) -> String {
    let start = dialect.results_index();
    let today = DateTime::from_timestamp_millis(state.jobs.now()).unwrap_or_default();
    format!("{start}-history-{}-1", today.format("%Y.%m.%d"))
}

/// The results that are said to be in each index. `wanted`: whether an index of a detector's own is meant (None: the one
/// of all others).
pub fn targets(
    state: &ApiState,
    dialect: Dialect,
    wanted: impl Fn(Option<&str>) -> bool,
) -> Result<Vec<Target>> {
    let jobs = result::jobs(state)?;
    let mut targets = Vec::new();
    for is_flat in [false, true] {
        let mut by_index: BTreeMap<Option<String>, BTreeMap<String, Whose>> = BTreeMap::new();
        if !is_flat && wanted(None) {
            by_index.insert(None, BTreeMap::new());
        }
        for (job_id, whose) in &jobs {
            let index = match is_flat {
                false => whose.detector.result_index.clone(),
                true => whose.detector.flat_index(),
            };
            let is_there = index.is_some() || !is_flat;
            if is_there && wanted(index.as_deref()) {
                let there = by_index.entry(index).or_default();
                there.insert(job_id.clone(), whose.clone());
            }
        }
        targets.extend(by_index.into_iter().map(|(index, jobs)| {
            let index = index.unwrap_or_else(|| index_of_today(state, dialect));
            target(index, jobs, dialect, is_flat)
        }));
    }
    Ok(targets)
}

fn target(index: String, jobs: BTreeMap<String, Whose>, dialect: Dialect, is_flat: bool) -> Target {
    let schema: Arc<dyn Schema> = match is_flat {
        false => Arc::new(OF_RESULTS),
        true => Arc::new(FlatFields::of(jobs.values().map(|whose| &whose.detector))),
    };
    Target::Made {
        source: Source {
            index,
            holds: Holds::Results(jobs.keys().cloned().collect()),
            only: None,
        },
        schema,
        made: Arc::new(Results {
            jobs,
            dialect,
            is_flat,
        }),
    }
}

pub async fn search(call: Call, body: Body) -> Result<Response> {
    if call.query.flag(ONLY_OWN)? {
        return Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "illegal_state_exception",
            "No custom result index set.",
        ));
    }
    let targets = targets(&call.state, call.dialect, |index| index.is_none())?;
    answer(&call, &targets, body).await
}

/// Names that are of no detector's index are passed over: dashboards ask for those that there may be.
pub async fn search_own(call: Call, Path(names): Path<String>, body: Body) -> Result<Response> {
    let only_own = call.query.flag(ONLY_OWN)?;
    let prefix = call.dialect.result_index_prefix().unwrap_or_default();
    let wanted = |index: Option<&str>| match index {
        None => !only_own,
        Some(index) => {
            let mut names = names.split(',').map(str::trim);
            index.starts_with(prefix) && names.any(|name| matches(name, index))
        }
    };
    let targets = targets(&call.state, call.dialect, wanted)?;
    if targets.is_empty() {
        return Err(ApiError::illegal_argument("No custom result indices found"));
    }
    answer(&call, &targets, body).await
}

async fn answer(call: &Call, targets: &[Target], body: Body) -> Result<Response> {
    let asked = Asked::read_but(&call.uri, &[ONLY_OWN])?;
    let body = object(body).await?;
    // Their places are told always, as OpenSearch does.
    let tell = |search: &mut tidewatch_store::search::Search| {
        search.version = true;
        search.seq_no_primary_term = true;
    };
    let told = found_in(&call.state, targets, asked, body, tell, |_: &mut Hit| {}).await?;
    Ok(json_response(
        StatusCode::OK,
        with_types(told, call.dialect),
    ))
}

/// Shows what forests said, page by page.
pub async fn each_result(
    state: &ApiState,
    mut query: ForestQuery,
    mut take: impl FnMut(Told),
) -> Result<()> {
    loop {
        let page = state.jobs.forest_results(&query).await?;
        let read = i64::try_from(page.docs.len()).unwrap_or(i64::MAX);
        page.docs
            .iter()
            .filter_map(|doc| Told::read(doc))
            .for_each(&mut take);
        if read < query.size {
            return Ok(());
        }
        query.from += read;
    }
}

/// The last result of a job: of one entity, or of any.
pub async fn last(
    state: &ApiState,
    job_id: &str,
    entity: Option<&[EntityField]>,
    exclude_interim: bool,
) -> Result<Option<Told>> {
    let pair = |field: &EntityField| (field.name.clone(), field.value.clone());
    let query = ForestQuery {
        job_id: job_id.to_owned(),
        entity: entity.map(|entity| entity.iter().map(pair).collect()),
        descending: true,
        exclude_interim,
        size: 1,
        ..ForestQuery::default()
    };
    let page = state.jobs.forest_results(&query).await?;
    Ok(page.docs.first().and_then(|doc| Told::read(doc)))
}

/// The entities that were seen in the last interval of a job.
pub async fn active(state: &ApiState, job_id: &str) -> Result<BTreeSet<Vec<EntityField>>> {
    let mut entities = BTreeSet::new();
    if let Some(last) = last(state, job_id, None, false).await? {
        let query = ForestQuery {
            job_id: job_id.to_owned(),
            start: Some(last.timestamp),
            size: PAGE,
            ..ForestQuery::default()
        };
        each_result(state, query, |told| {
            entities.insert(told.entity);
        })
        .await?;
    }
    Ok(entities)
}
