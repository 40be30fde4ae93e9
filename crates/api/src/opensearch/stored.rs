//! Detectors as they are kept: in the settings of their jobs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidewatch_jobs::JobError;
use tidewatch_jobs::config::Job;

use super::detector::Detector;
use super::dialect::Dialect;
use crate::ApiState;
use crate::error::Result;

/// Where it stands in a job's `custom_settings`.
pub const SETTING: &str = "opensearch";

/// What is kept of a detector beside its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The id that clients know. The first job has it too; a change of what is analysed takes another.
    pub id: String,
    pub version: u64,
    pub seq_no: u64,
    /// In which it was created.
    #[serde(default)]
    pub dialect: Dialect,
    pub detector: Detector,
    /// Of one that was started once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_time: Option<RealTime>,
    /// Where the results of the job before this one end: what is before is told by that one. Epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The query that its datafeed has still to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_to_give: Option<Value>,
}

/// The last run of a detector in real time. Epoch milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealTime {
    pub task_id: String,
    /// How often it was started or stopped.
    pub version: u64,
    pub enabled_time: i64,
    pub last_update_time: i64,
    /// When it was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_time: Option<i64>,
}

/// A detector and its job.
#[derive(Debug, Clone)]
pub struct Kept {
    pub stored: Stored,
    pub job: Job,
}

impl Kept {
    fn of(job: Job) -> Option<Self> {
        if job.deleting {
            return None;
        }
        let kept = job.custom_settings.as_ref()?.get(SETTING)?;
        let stored = Stored::deserialize(kept).ok()?;
        Some(Self { stored, job })
    }

    /// The job's settings with this detector in them.
    pub fn settings(&self, stored: &Stored) -> Map<String, Value> {
        let mut settings = self.job.custom_settings.clone().unwrap_or_default();
        settings.insert(SETTING.to_owned(), json!(stored));
        settings
    }
}

/// All jobs of detectors.
#[derive(Debug, Default)]
pub struct Detectors {
    /// One a detector, by the order in which they were made or changed last.
    pub current: Vec<Kept>,
    /// Those that others have taken the place of, the latest first: what they found is still told.
    pub former: Vec<Kept>,
    /// Former ones of detectors that aren't there any more.
    pub lost: Vec<Kept>,
}

pub fn read(state: &ApiState) -> Result<Detectors> {
    let jobs = state.jobs.find("_all", true)?;
    let all: Vec<Kept> = jobs.into_iter().filter_map(Kept::of).collect();
    // Where a change was cut short, the new job is the detector's.
    let mut newest: HashMap<String, u64> = HashMap::new();
    let in_place = all.iter().filter(|kept| kept.job.replaced_by().is_none());
    for Kept { stored, .. } in in_place {
        let version = newest.entry(stored.id.clone()).or_default();
        *version = stored.version.max(*version);
    }
    let mut read = Detectors::default();
    for kept in all {
        let newest = newest.get(&kept.stored.id).copied();
        let is_newest = kept.job.replaced_by().is_none() && newest == Some(kept.stored.version);
        match newest {
            _ if is_newest => read.current.push(kept),
            Some(_) => read.former.push(kept),
            None => read.lost.push(kept),
        }
    }
    read.current.sort_by_key(|kept| kept.stored.seq_no);
    read.former
        .sort_by_key(|kept| std::cmp::Reverse(kept.stored.version));
    Ok(read)
}

/// All detectors, by the order in which they were made or changed last.
pub fn all(state: &ApiState) -> Result<Vec<Kept>> {
    Ok(read(state)?.current)
}

pub fn find(state: &ApiState, id: &str) -> Result<Option<Kept>> {
    Ok(all(state)?.into_iter().find(|kept| kept.stored.id == id))
}

/// The jobs that others have taken the place of, of one detector, the latest first.
pub fn former(state: &ApiState, id: &str) -> Result<Vec<Kept>> {
    let mut former = read(state)?.former;
    former.retain(|kept| kept.stored.id == id);
    Ok(former)
}

/// What the data of a detector is asked, as it was given.
pub fn query(state: &ApiState, kept: &Kept) -> Value {
    let feed = state.feeds.of_job(&kept.job.job_id);
    feed.map_or_else(
        || kept.stored.detector.filter_query.clone(),
        |feed| feed.query.clone().into(),
    )
}

/// All jobs of a detector, its former ones too.
pub fn jobs_of(state: &ApiState, id: &str) -> std::result::Result<Vec<Job>, JobError> {
    let mut jobs = state.jobs.find("_all", true)?;
    jobs.retain(|job| {
        let settings = job.custom_settings.as_ref();
        settings.is_some_and(|settings| settings.get(SETTING).is_some_and(|kept| kept["id"] == id))
    });
    Ok(jobs)
}

/// The number of the next write.
pub fn next_seq_no(all: &[Kept]) -> u64 {
    let last = all.iter().map(|kept| kept.stored.seq_no).max();
    last.map_or(0, |last| last.saturating_add(1))
}
