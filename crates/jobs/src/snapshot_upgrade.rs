//! Model snapshots whose state is of an older format, written anew in the present one.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tidewatch_model::engine::{Engine, is_current};
use tokio::sync::oneshot;

use crate::config::{Job, SNAPSHOT_MIN_VERSION};
use crate::entry::State;
use crate::error::{JobError, Result};
use crate::expression::Expression;
use crate::manager::Jobs;
use crate::revert::no_state;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeState {
    LoadingOldState,
    SavingNewState,
    Failed,
}

impl UpgradeState {
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadingOldState => "loading_old_state",
            Self::SavingNewState => "saving_new_state",
            Self::Failed => "failed",
        }
    }
}

/// An upgrade that runs, or that has failed and was not begun again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeStats {
    pub job_id: String,
    pub snapshot_id: String,
    pub state: UpgradeState,
}

/// By job and snapshot.
type States = BTreeMap<(String, String), UpgradeState>;

#[derive(Default)]
pub(crate) struct Upgrades(Mutex<States>);

fn runs(upgrades: &States, job_id: &str) -> bool {
    let mut of_job = upgrades.iter().filter(|((job, _), _)| job == job_id);
    of_job.any(|(_, state)| *state != UpgradeState::Failed)
}

impl Upgrades {
    fn runs(&self, job_id: &str) -> bool {
        runs(&self.0.lock(), job_id)
    }

    /// False when another one of the job runs.
    fn begin(&self, job_id: &str, snapshot_id: &str) -> bool {
        let mut upgrades = self.0.lock();
        let free = !runs(&upgrades, job_id);
        if free {
            let key = (job_id.to_owned(), snapshot_id.to_owned());
            upgrades.insert(key, UpgradeState::LoadingOldState);
        }
        free
    }

    fn set(&self, job_id: &str, snapshot_id: &str, state: Option<UpgradeState>) {
        let key = (job_id.to_owned(), snapshot_id.to_owned());
        match state {
            Some(state) => self.0.lock().insert(key, state),
            None => self.0.lock().remove(&key),
        };
    }
}

impl Jobs {
    pub(crate) fn is_upgraded(&self, job_id: &str, snapshot_id: &str) -> bool {
        let key = (job_id.to_owned(), snapshot_id.to_owned());
        let state = self.0.upgrades.0.lock().get(&key).copied();
        state.is_some_and(|state| state != UpgradeState::Failed)
    }

    /// Begins the upgrade of a snapshot; the receiver tells how it ended. It goes on when nobody listens.
    pub async fn upgrade_snapshot(
        &self,
        job_id: &str,
        snapshot_id: &str,
    ) -> Result<oneshot::Receiver<Result<()>>> {
        let refused = |why: &str| {
            JobError::conflict(format!(
                "Cannot upgrade job [{job_id}] snapshot [{snapshot_id}] as {why}"
            ))
        };
        let runs = "there is currently a snapshot for this job being upgraded";
        if self.0.upgrades.runs(job_id) {
            return Err(refused(runs));
        }
        let entry = self.entry(job_id)?;
        let job = entry.job.read().clone();
        let state = entry.status.read().state;
        if job.model_snapshot_id.as_deref() == Some(snapshot_id) && state != State::Closed {
            return Err(JobError::conflict(format!(
                "Cannot upgrade snapshot [{snapshot_id}] for job [{job_id}] as it is the current primary job snapshot \
                 and the job's state is [{}]. Please close the job before upgrading the snapshot.",
                state.name()
            )));
        }
        self.snapshot(job_id, snapshot_id).await?;
        let bytes = self
            .store()
            .load_snapshot_state(job_id, snapshot_id)
            .await?
            .unwrap_or_default();
        if is_current(&bytes) {
            return Err(refused(&format!(
                "it is already compatible with current version {SNAPSHOT_MIN_VERSION}"
            )));
        }
        // Looked at again: another may have come first.
        if !self.0.upgrades.begin(job_id, snapshot_id) {
            return Err(refused(runs));
        }
        let (tell, told) = oneshot::channel();
        let (jobs, snapshot_id) = (self.clone(), snapshot_id.to_owned());
        tokio::spawn(async move {
            let outcome = jobs.upgrade(&job, &snapshot_id, bytes).await;
            if let Err(error) = &outcome {
                tracing::warn!(job_id = job.job_id, snapshot_id, %error, "the snapshot was not upgraded");
            }
            let left = outcome.is_err() && jobs.entry(&job.job_id).is_ok();
            let state = left.then_some(UpgradeState::Failed);
            jobs.0.upgrades.set(&job.job_id, &snapshot_id, state);
            // Nobody may be listening.
            let _ = tell.send(outcome);
        });
        Ok(told)
    }

    async fn upgrade(&self, job: &Job, snapshot_id: &str, bytes: Vec<u8>) -> Result<()> {
        let job_id = &job.job_id;
        let analysis = job.analysis();
        let saved = self
            .0
            .pool
            .run(move || Engine::restore(analysis, &bytes).map(|engine| engine.save()));
        let saved = saved
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
            .map_err(|error| no_state(job_id, snapshot_id, &error))?;
        let saving = Some(UpgradeState::SavingNewState);
        self.0.upgrades.set(job_id, snapshot_id, saving);
        let entry = self.entry(job_id)?;
        // What is said of it may change only before or after.
        let _configuration = entry.configuration.lock().await;
        let mut snapshot = self.snapshot(job_id, snapshot_id).await?;
        snapshot.min_version = SNAPSHOT_MIN_VERSION.to_owned();
        self.store()
            .replace_snapshot(&snapshot.row(), saved)
            .await?;
        Ok(())
    }

    /// The upgrades of jobs' snapshots, by job and snapshot. A snapshot that is named by its id and is not being upgraded
    /// is refused; a wildcard may fit nothing if `allow_no_match` says so.
    pub fn upgrade_stats(
        &self,
        jobs: &str,
        snapshots: &str,
        allow_no_match: bool,
    ) -> Result<Vec<UpgradeStats>> {
        let jobs = self.find(jobs, allow_no_match)?;
        let of_jobs: Vec<UpgradeStats> = (self.0.upgrades.0.lock().iter())
            .filter(|((job_id, _), _)| jobs.iter().any(|job| job.job_id == *job_id))
            .map(|((job_id, snapshot_id), state)| UpgradeStats {
                job_id: job_id.clone(),
                snapshot_id: snapshot_id.clone(),
                state: *state,
            })
            .collect();
        let ids = of_jobs
            .iter()
            .map(|one| (one.snapshot_id.clone(), Vec::new()));
        let chosen = Expression::parse(snapshots).select(ids, allow_no_match);
        let chosen = chosen.map_err(|_| {
            JobError::not_found(format!(
                "no snapshot upgrade is running for snapshot_id [{snapshots}]"
            ))
        })?;
        let mut stats = of_jobs;
        stats.retain(|one| chosen.contains(&one.snapshot_id));
        Ok(stats)
    }
}
