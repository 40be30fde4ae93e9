//! Results: searched, the entities with most of them, and deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use chrono::DateTime;
use serde_json::{Map, Value, json};
use tidewatch_jobs::documents::no_such_index;
use tidewatch_jobs::matches;
use tidewatch_store::search::{Hit, Target};
use tidewatch_store::{ForestQuery, Holds, Source};

use super::dialect::{Dialect, status};
use super::fields::OF_RESULTS;
use super::result::{self, EntityField, Results, Told, Whose};
use super::search::with_types;
use super::{Query, history, stored};
use crate::ApiState;
use crate::cluster::ok;
use crate::documents::{Asked, found_in, object};
use crate::error::{ApiError, Result, json_response};

/// A parameter of searches in indices of detectors' own.
const ONLY_OWN: &str = "only_query_custom_result_index";
/// Results that are read at once.
const PAGE: i64 = 10_000;
const TOP: i64 = 10;
const MOST: i64 = 1_000;

/// The name of the index that the results of detectors are in which name none.
fn index_of_today(state: &ApiState, dialect: Dialect) -> String {
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
    let mut by_index: BTreeMap<Option<String>, BTreeMap<String, Whose>> = BTreeMap::new();
    if wanted(None) {
        by_index.insert(None, BTreeMap::new());
    }
    for (job_id, whose) in result::jobs(state)? {
        let index = whose.detector.result_index.clone();
        if wanted(index.as_deref()) {
            by_index.entry(index).or_default().insert(job_id, whose);
        }
    }
    let target = |(index, jobs): (Option<String>, BTreeMap<String, Whose>)| Target::Made {
        source: Source {
            index: index.unwrap_or_else(|| index_of_today(state, dialect)),
            holds: Holds::Results(jobs.keys().cloned().collect()),
            only: None,
        },
        schema: Arc::new(OF_RESULTS),
        made: Arc::new(Results { jobs, dialect }),
    };
    Ok(by_index.into_iter().map(target).collect())
}

pub async fn search(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let targets = targets(&state, dialect, |index| index.is_none())?;
    let asked = Asked::read(&uri)?;
    answer(&state, &targets, dialect, asked, body).await
}

pub async fn search_own(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(names): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let only_own = Query::of(&uri)?.flag(ONLY_OWN)?;
    let prefix = dialect.result_index_prefix().unwrap_or_default();
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    if let Some(other) = names.iter().find(|name| !name.starts_with(prefix)) {
        return Err(ApiError::illegal_argument(format!(
            "Result index must start with {prefix}: [{other}]"
        )));
    }
    let wanted = |index: Option<&str>| match index {
        None => !only_own,
        Some(index) => names.iter().any(|name| matches(name, index)),
    };
    let targets = targets(&state, dialect, wanted)?;
    for name in names.iter().filter(|name| !name.contains('*')) {
        if !targets.iter().any(|target| target.index() == *name) {
            return Err(no_such_index(name).into());
        }
    }
    let asked = Asked::read_but(&uri, &[ONLY_OWN])?;
    answer(&state, &targets, dialect, asked, body).await
}

async fn answer(
    state: &ApiState,
    targets: &[Target],
    dialect: Dialect,
    asked: Asked,
    body: Body,
) -> Result<Response> {
    let body = object(body).await?;
    // Their places are told always, as OpenSearch does.
    let tell = |search: &mut tidewatch_store::search::Search| {
        search.version = true;
        search.seq_no_primary_term = true;
    };
    let told = found_in(state, targets, asked, body, tell, |_: &mut Hit| {}).await?;
    Ok(json_response(StatusCode::OK, with_types(told, dialect)))
}

/// What is asked of `_topAnomalies`.
struct TopAsked {
    start: i64,
    end: i64,
    size: usize,
    by_grade: bool,
    task_id: Option<String>,
    categories: Vec<String>,
}

impl TopAsked {
    /// In the order of OpenSearch's refusals.
    fn read(body: &Map<String, Value>, detector_id: &str, own: &[String]) -> Result<Self> {
        let refuse = |reason: String| Err(ApiError::illegal_argument(reason));
        let time = |name: &str| {
            let time = body.get(name).and_then(Value::as_i64);
            time.filter(|time| (0..=super::LATEST).contains(time))
        };
        let (Some(start), Some(end)) = (time("start_time_ms"), time("end_time_ms")) else {
            return refuse(
                "Must set both start time and end time with epoch of milliseconds".to_owned(),
            );
        };
        if start >= end {
            return refuse("Start time should be before end time".to_owned());
        }
        if own.is_empty() {
            return refuse(format!(
                "No category fields found for detector ID {detector_id}"
            ));
        }
        let given = body.get("category_field").and_then(Value::as_array);
        let given = given.into_iter().flatten().filter_map(Value::as_str);
        let mut categories: Vec<String> = given.map(str::to_owned).collect();
        if let Some(other) = categories.iter().find(|field| !own.contains(field)) {
            return refuse(format!(
                "Category field {other} doesn't exist for detector ID {detector_id}"
            ));
        }
        if categories.is_empty() {
            categories = own.to_vec();
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let by_grade = match text("order").unwrap_or_default() {
            "" | "severity" => true,
            "occurrence" => false,
            other => return refuse(format!("Ordering by {other} is not a valid option")),
        };
        let size = body.get("size").and_then(Value::as_i64).unwrap_or(TOP);
        if size > MOST {
            return refuse(format!("Size cannot exceed {MOST}"));
        }
        let Some(size) = usize::try_from(size).ok().filter(|size| *size > 0) else {
            return refuse("Size must be a positive integer".to_owned());
        };
        Ok(Self {
            start,
            end,
            size,
            by_grade,
            task_id: text("task_id").map(str::to_owned),
            categories,
        })
    }
}

/// The entities with most or with the worst anomalies.
pub async fn top(
    State(state): State<ApiState>,
    Extension(dialect): Extension<Dialect>,
    Path(id): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    let is_historical = Query::of(&uri)?.flag("historical")?;
    let body = object(body).await?;
    let kept = stored::find(&state, &id)?.ok_or_else(|| dialect.not_found(&id))?;
    let detector = &kept.stored.detector;
    let asked = TopAsked::read(&body, &id, detector.categories())?;
    let mut until = None;
    let job_id = match is_historical {
        false => kept.job.job_id.clone(),
        true => {
            let runs = history::of(&state, &id)?;
            let Some(last) = runs.first() else {
                return Err(status(
                    404,
                    format!("No historical tasks found for detector ID {id}"),
                ));
            };
            let named = asked.task_id.as_deref().unwrap_or(last.id());
            let Some(run) = runs.iter().find(|run| run.id() == named) else {
                // No result says that it is of such a task.
                return Ok(ok(&json!({"buckets": []})));
            };
            until = Some(run.run.end_time);
            named.to_owned()
        }
    };
    // An anomaly belongs to the range that its interval ends in.
    let interval = detector.interval();
    let query = ForestQuery {
        job_id,
        start: Some(asked.start.saturating_sub(interval)),
        end: Some(asked.end.saturating_sub(interval).saturating_add(1)),
        anomalies_only: true,
        exclude_interim: until.is_none(),
        size: PAGE,
        ..ForestQuery::default()
    };
    let mut entities: BTreeMap<Vec<String>, (u64, f64)> = BTreeMap::new();
    each_result(&state, query, |told| {
        if told.is_interim && until.is_some_and(|until| told.end() > until) {
            return;
        }
        let value = |field: &String| {
            let mut own = told.entity.iter();
            let found = own.find(|own: &&EntityField| own.name == *field);
            found.map_or_else(String::new, |own| own.value.clone())
        };
        let key: Vec<String> = asked.categories.iter().map(value).collect();
        let (count, grade) = entities.entry(key).or_default();
        *count += 1;
        *grade = grade.max(told.anomaly_grade);
    })
    .await?;
    let mut sorted: Vec<_> = entities.into_iter().collect();
    sorted.sort_by(|(_, a), (_, b)| match asked.by_grade {
        true => b.1.total_cmp(&a.1),
        false => b.0.cmp(&a.0),
    });
    let bucket = |(key, (count, grade)): (Vec<String>, (u64, f64))| {
        let key: Map<String, Value> = asked
            .categories
            .iter()
            .cloned()
            .zip(key.into_iter().map(Value::from))
            .collect();
        json!({"key": key, "doc_count": count, "max_anomaly_grade": grade})
    };
    let buckets: Vec<Value> = sorted.into_iter().take(asked.size).map(bucket).collect();
    Ok(ok(&json!({"buckets": buckets})))
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

/// The entities that were seen in the last interval of a job.
pub async fn active(state: &ApiState, job_id: &str) -> Result<BTreeSet<Vec<EntityField>>> {
    let mut query = ForestQuery {
        job_id: job_id.to_owned(),
        descending: true,
        size: 1,
        ..ForestQuery::default()
    };
    let page = state.jobs.forest_results(&query).await?;
    let Some(last) = page.docs.first().and_then(|doc| Told::read(doc)) else {
        return Ok(BTreeSet::new());
    };
    query.start = Some(last.timestamp);
    query.size = PAGE;
    let mut entities = BTreeSet::new();
    each_result(state, query, |told| {
        entities.insert(told.entity);
    })
    .await?;
    Ok(entities)
}
