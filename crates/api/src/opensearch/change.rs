//! Detectors come, change and go: their jobs do.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidewatch_datafeed::config::{DatafeedUpdate, NewDatafeed};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::NewJob;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_store::Annotations;

use super::detector::Detector;
use super::dialect::{Dialect, status};
use super::issue::{Issue, Wrong};
use super::job::{self, Wanted};
use super::read::Sent;
use super::stored::{self, Kept, SETTING, Stored};
use super::{check, data, former, history, id, real_time};
use crate::ApiState;
use crate::error::Result;
use crate::jobs::lasting;

/// The document of which a client believes that it is the last one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    pub seq_no: Option<i64>,
    pub primary_term: Option<i64>,
}

impl Expected {
    fn is(self, stored: &Stored) -> bool {
        let is = |expected: Option<i64>, is: u64| {
            expected.is_none_or(|expected| u64::try_from(expected) == Ok(is))
        };
        is(self.seq_no, stored.seq_no) && is(self.primary_term, 1)
    }
}

/// Looks at all that would keep a detector from being made. `but`: the one that it is to replace.
pub async fn check(
    state: &ApiState,
    detector: &Detector,
    dialect: Dialect,
    but: Option<&str>,
) -> std::result::Result<(), Wrong> {
    check::check_name(&detector.name, dialect)?;
    let all = stored::all(state)?;
    let counts = || check_room(state, detector, &all, dialect, but);
    data::check(state, detector, dialect, counts).await?;
    check_free_name(detector, &all, dialect, but)
}

/// Looks again at what others may have taken meanwhile: the number of the next write. For as long as nobody else may be
/// named.
fn check_others(
    state: &ApiState,
    detector: &Detector,
    dialect: Dialect,
    but: Option<&str>,
) -> Result<u64> {
    let all = stored::all(state)?;
    check_room(state, detector, &all, dialect, but)
        .and_then(|()| check_free_name(detector, &all, dialect, but))
        .map_err(|wrong| wrong.into_error(dialect))?;
    Ok(stored::next_seq_no(&all))
}

fn check_room(
    state: &ApiState,
    detector: &Detector,
    all: &[Kept],
    dialect: Dialect,
    but: Option<&str>,
) -> std::result::Result<(), Wrong> {
    if but.is_some() {
        return Ok(());
    }
    let by_category = !detector.categories().is_empty();
    let alike = |kept: &&Kept| !kept.stored.detector.categories().is_empty();
    let cluster = state.jobs.cluster();
    let (there, most, what) = match by_category {
        true => (
            all.iter().filter(alike).count(),
            cluster.max_category_detectors(),
            dialect.says("HC", "multi-entity"),
        ),
        false => (
            all.len(),
            cluster.max_detectors(),
            dialect.says("single-stream", "single-entity"),
        ),
    };
    match there < most {
        true => Ok(()),
        false => {
            let message = format!("Can't create more than {most} {what} anomaly detectors.");
            Err(Issue::with_status("general_settings", 400, message).into())
        }
    }
}

fn check_free_name(
    detector: &Detector,
    all: &[Kept],
    dialect: Dialect,
    but: Option<&str>,
) -> std::result::Result<(), Wrong> {
    let name = &detector.name;
    let others: Vec<&str> = all
        .iter()
        .filter(|kept| kept.stored.detector.name == *name)
        .map(|kept| kept.stored.id.as_str())
        .filter(|id| Some(*id) != but)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let by = match dialect.is_legacy() {
        true => format!("detector [{}]", others.join(", ")),
        false => "another detector".to_owned(),
    };
    let code = match dialect {
        Dialect::OpenDistro => 400,
        _ => 409,
    };
    let message =
        format!("Cannot create anomaly detector with name [{name}] as it's already used by {by}");
    Err(Issue::with_status("name", code, message).into())
}

/// Creates a detector.
pub async fn create(state: &ApiState, sent: Sent, dialect: Dialect) -> Result<Stored> {
    let checked = check(state, &sent.detector, dialect, None).await;
    checked.map_err(|wrong| wrong.into_error(dialect))?;
    let mut detector = sent.detector;
    let _naming = state.opensearch.naming().await;
    let seq_no = check_others(state, &detector, dialect, None)?;
    detector.last_update_time = Some(state.jobs.now());
    let stored = Stored {
        id: id(),
        version: 1,
        seq_no,
        dialect,
        detector,
        real_time: None,
        since: None,
        query_to_give: None,
    };
    let new = new_job(state, &stored, &sent.query)?;
    create_job(state, &stored.id, new).await?;
    Ok(stored)
}

fn new_job(state: &ApiState, stored: &Stored, query: &Value) -> Result<NewJob<NewDatafeed>> {
    let wanted = Wanted {
        detector: &stored.detector,
        dialect: stored.dialect,
        query,
        entities: None,
    };
    wanted.job(state, (SETTING, json!(stored)))
}

/// Creates a job with its datafeed.
pub async fn create_job(state: &ApiState, job_id: &str, new: NewJob<NewDatafeed>) -> Result<()> {
    let (feeds, job_id) = (state.feeds.clone(), job_id.to_owned());
    lasting(async move { feeds.create_job(&job_id, new).await }).await?;
    Ok(())
}

/// Changes a detector that doesn't run.
pub async fn update(
    state: &ApiState,
    id: &str,
    mut sent: Sent,
    expected: Expected,
    dialect: Dialect,
) -> Result<Stored> {
    let _changing = state.opensearch.changing(id).await;
    let old = stored::find(state, id)?.ok_or_else(|| dialect.not_found(id))?;
    if real_time::is_running(state, &old) {
        return Err(dialect.is_running(id));
    }
    if dialect == Dialect::SearchGuard && sent.detector.result_index.is_none() {
        // Its document leaves it out of updates.
        sent.detector = sent.detector.with_index_of(&old.stored.detector);
    }
    check_kept(&old.stored.detector, &sent.detector, dialect)?;
    if history::is_running(state, id)? {
        return Err(dialect.analyses_history());
    }
    let checked = check(state, &sent.detector, dialect, Some(id)).await;
    checked.map_err(|wrong| wrong.into_error(dialect))?;
    if !expected.is(&old.stored) {
        let what = dialect.says("config", "detector");
        let reason = format!("There was a problem updating the {what}:[{id}]");
        return Err(status(400, reason));
    }
    let mut detector = sent.detector;
    detector.last_update_time = Some(state.jobs.now());
    if detector.ui_metadata.is_none() {
        detector
            .ui_metadata
            .clone_from(&old.stored.detector.ui_metadata);
    }
    let naming = state.opensearch.naming().await;
    let seq_no = check_others(state, &detector, dialect, Some(id))?;
    let mut new = Stored {
        version: old.stored.version.saturating_add(1),
        seq_no,
        detector,
        ..old.stored.clone()
    };
    if job::learns_the_same(&old.stored.detector, &new.detector, new.dialect) {
        change_job(state, &old, &new, &sent.query).await?;
        return Ok(new);
    }
    let by = replace_job(state, &old, &mut new, &sent.query).await?;
    drop(naming);
    if let Err(error) = former::retire(state, id, &by).await {
        // The detector is changed. What is left to do is done at the next change, or the next start.
        tracing::warn!(detector = id, error = %error.0, "former jobs of a detector could not be put away");
    }
    Ok(new)
}

/// Refuses what no update changes.
fn check_kept(was: &Detector, is: &Detector, dialect: Dialect) -> Result<()> {
    let sorted = |detector: &Detector| {
        let mut categories = detector.categories().to_vec();
        categories.sort();
        categories
    };
    let what = if sorted(was) != sorted(is) {
        dialect.says("category field", "detector category field")
    } else if was.result_index != is.result_index {
        dialect.says("custom result index", "detector result index")
    } else {
        return Ok(());
    };
    Err(status(400, format!("Can't change {what}")))
}

/// Changes the job of a detector that goes on with what it has learnt. What is cut short goes on at the next start.
async fn change_job(state: &ApiState, old: &Kept, new: &Stored, query: &Value) -> Result<()> {
    let unfinished = Stored {
        query_to_give: Some(query.clone()),
        ..new.clone()
    };
    let job_id = &old.job.job_id;
    let change = |was: &Stored, is: &Stored| -> Result<JobUpdate> {
        let changes = job::changes(&is.detector, is.dialect, old.settings(is));
        let mut update: JobUpdate = from_json(changes)?;
        let (was, days) = (was.detector.result_index_ttl, is.detector.result_index_ttl);
        update.results_retention_days = (was != days).then_some(days);
        Ok(update)
    };
    update_job(state, job_id, change(&old.stored, &unfinished)?).await?;
    if let Err(error) = give(state, job_id, &new.detector, query).await {
        update_job(state, job_id, change(&unfinished, &old.stored)?).await?;
        return Err(error);
    }
    update_job(state, job_id, change(&unfinished, new)?).await
}

/// Tells the datafeed of a detector what it asks from now on.
async fn give(state: &ApiState, job_id: &str, detector: &Detector, query: &Value) -> Result<()> {
    let Some(feed) = state.feeds.of_job(job_id) else {
        return Ok(());
    };
    let update: DatafeedUpdate = from_json(job::datafeed(detector, query))?;
    let feeds = state.feeds.clone();
    lasting(async move { feeds.update(&feed.datafeed_id, update).await }).await?;
    Ok(())
}

/// Ends a change of a job that was cut short.
pub async fn finish_change(state: &ApiState, kept: &Kept) -> Result<()> {
    let mut stored = kept.stored.clone();
    if let Some(query) = stored.query_to_give.take() {
        give(state, &kept.job.job_id, &stored.detector, &query).await?;
        keep(state, kept, &stored).await?;
    }
    Ok(())
}

/// What a job analyses can't be changed: another takes its place, whose id this is, and what was found before stays with
/// the former.
async fn replace_job(
    state: &ApiState,
    old: &Kept,
    new: &mut Stored,
    query: &Value,
) -> Result<String> {
    let told = former::told_until(state, &old.job.job_id).await?;
    new.since = told.max(old.stored.since);
    let mut job = new_job(state, new, query)?;
    job::inherit(&mut job, &old.job);
    let days = new.detector.result_index_ttl;
    if days != old.stored.detector.result_index_ttl {
        job.results_retention_days = days;
    }
    let job_id = format!("{}.{}", new.id, new.version);
    create_job(state, &job_id, job).await?;
    Ok(job_id)
}

/// Keeps what is said of a detector, as it is.
pub async fn keep(state: &ApiState, kept: &Kept, stored: &Stored) -> Result<()> {
    let settings = kept.settings(stored);
    update_job(state, &kept.job.job_id, of_settings(settings)).await
}

/// Puts something into the settings of a job.
pub async fn set(state: &ApiState, job_id: &str, name: &str, value: Value) -> Result<()> {
    let mut settings: Map<String, Value> =
        state.jobs.get(job_id)?.custom_settings.unwrap_or_default();
    settings.insert(name.to_owned(), value);
    update_job(state, job_id, of_settings(settings)).await
}

fn of_settings(settings: Map<String, Value>) -> JobUpdate {
    let mut update = JobUpdate::default();
    update.custom_settings = Some(settings);
    update
}

async fn update_job(state: &ApiState, job_id: &str, update: JobUpdate) -> Result<()> {
    let (jobs, job_id) = (state.jobs.clone(), job_id.to_owned());
    lasting(async move { jobs.update(&job_id, update).await }).await?;
    Ok(())
}

fn from_json<T: serde::de::DeserializeOwned>(json: Value) -> Result<T> {
    let read = serde_json::from_value(json);
    Ok(read.map_err(|error| crate::body::cause(&error.to_string()))?)
}

/// Deletes a detector that doesn't run, with all that was found by it: what it was. None: it isn't there.
pub async fn delete(state: &ApiState, id: &str, dialect: Dialect) -> Result<Option<Stored>> {
    let _changing = state.opensearch.changing(id).await;
    let Some(kept) = stored::find(state, id)? else {
        return Ok(None);
    };
    if real_time::is_running(state, &kept) {
        return Err(dialect.is_running(id));
    }
    if history::is_running(state, id)? {
        return Err(dialect.analyses_history());
    }
    // With its own job it is gone, and what is cut short goes on at the next start.
    delete_job(state, &kept.job.job_id).await?;
    for job in stored::jobs_of(state, id)? {
        delete_job(state, &job.job_id).await?;
    }
    for task in history::of(state, id)? {
        delete_job(state, &task.job.job_id).await?;
    }
    Ok(Some(kept.stored))
}

/// Deletes a job, its datafeed and its results.
pub async fn delete_job(state: &ApiState, job_id: &str) -> Result<()> {
    let task: Arc<_> = state.jobs.delete(job_id, true, Annotations::Own);
    match task.ended().await {
        Ok(_) => Ok(()),
        // Someone else was faster.
        Err(JobError { status: 404, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
