//! The life of jobs: opening with or without room, closing, failing, and the stop of the server. Deletion is in
//! `removal`.

use std::sync::Arc;

use tidewatch_model::engine::Engine;

use crate::config::Job;
use crate::entry::{Entry, State};
use crate::error::{JobError, Result};
use crate::live::json;
use crate::manager::Jobs;
use crate::runner::{Command, Runner, Start};
use crate::tasks::{Kind, NewTask};

/// How an opening went: there was room, or the job waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Opened,
    Waiting,
}

impl Jobs {
    /// Opens a job, or lets it wait where it may and there is no room.
    pub async fn open(&self, job_id: &str) -> Result<Opening> {
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        self.still_there(job_id, &entry)?;
        if let Some(reason) = entry.blocked() {
            return Err(JobError::conflict(format!(
                "Cannot open job [{job_id}] because it is executing [{}]",
                reason.name()
            )));
        }
        if entry.status.read().state != State::Closed {
            return Err(JobError::conflict(format!(
                "Cannot open job [{job_id}] because it has already been opened"
            )));
        }
        self.may_assign()?;
        self.check_results_open(std::iter::once(job_id)).await?;
        let job = entry.job.read().clone();
        self.filter_items(&job).await?;
        self.let_in(&entry).await
    }

    /// Refuses to open a job where none may be opened.
    fn may_assign(&self) -> Result<()> {
        if self.0.cluster.upgrade_mode() {
            return Err(JobError::no_room(
                "Cannot perform cluster:admin/xpack/ml/job/open action while upgrade mode is enabled",
            ));
        }
        if !self.0.cluster.may_assign() {
            return Err(JobError::no_room(
                "Cannot open jobs because persistent task assignment is disabled by the \
                 [cluster.persistent_tasks.allocation.enable] setting",
            ));
        }
        Ok(())
    }

    /// Finds room for a job and runs it. Its life is locked. One that waits goes on waiting where there is none.
    pub(crate) async fn let_in(&self, entry: &Arc<Entry>) -> Result<Opening> {
        {
            let _room = self.0.room.lock().await;
            let (waits, order) = {
                let status = entry.status.read();
                (status.state == State::Opening, status.order)
            };
            let order = order.unwrap_or_else(|| self.next_order());
            let cluster = &self.0.cluster;
            match self.may_assign() {
                // Its deletion may have begun since it waits.
                Ok(()) if waits && entry.blocked().is_some() => return Ok(Opening::Waiting),
                Ok(()) => {}
                Err(_) if waits => return Ok(Opening::Waiting),
                Err(refused) => return Err(refused),
            }
            if let Some(explanation) = self.lack_of_room(entry) {
                if !(waits || cluster.is_lazy() || entry.job.read().allow_lazy_open) {
                    let why = JobError::illegal_state(format!(
                        "Could not open job because no suitable nodes were found, allocation explanation [{explanation}]"
                    ));
                    return Err(JobError::no_room(
                        "Could not open job because no ML nodes with sufficient capacity were found",
                    )
                    .because(why));
                }
                self.set_status(entry, State::Opening, None, Some(order))
                    .await?;
                return Ok(Opening::Waiting);
            }
            // From here on the room is taken.
            self.set_status(entry, State::Opening, None, Some(order))
                .await?;
            entry.status.write().opened_at = Some(self.now());
        }
        if let Err(error) = self.run_afresh(entry).await {
            if entry.status.read().state != State::Failed {
                self.fail(entry, &error.reason).await;
            }
            return Err(error);
        }
        Ok(Opening::Opened)
    }

    /// Runs a job that was closed. One that had failed goes on from what its journal still holds; where that can't be
    /// applied, it starts again from its last model snapshot, as in Elasticsearch. Where only the store fails, all stays
    /// for the next time.
    async fn run_afresh(&self, entry: &Arc<Entry>) -> Result<()> {
        let job = entry.job.read().clone();
        let mut started = self.start_runner(entry, &job).await;
        if let Err(error) = &started
            && !error.is_of_store()
            && self.0.store.has_checkpoint(&job.job_id).await?
        {
            let message = format!(
                "What the job had taken since its last model snapshot can't be applied and is dropped: {error}"
            );
            self.notify(&job.job_id, "error", &message).await;
            self.0.store.drop_checkpoint(&job.job_id).await?;
            started = self.start_runner(entry, &job).await;
        }
        self.run_with(entry, started).await
    }

    /// The first commands of a run: a replay begins with the settings that this run begins with.
    async fn configure(&self, entry: &Arc<Entry>, runner: &Arc<Runner>) -> Result<()> {
        let job = entry.job.read().clone();
        runner
            .apply(Command::Configure(job.engine_options()))
            .await?;
        if let Some(options) = job.categorization_options() {
            runner.apply(Command::Categorize(options)).await?;
        }
        self.send_rules(entry).await?;
        runner
            .apply(Command::Renormalise(job.renormalisation_window()))
            .await?;
        runner.apply(Command::Annotate(job.annotates())).await?;
        if let Some(forest) = job.forest() {
            runner.apply(Command::Forest(forest)).await?;
        }
        Ok(())
    }

    fn next_order(&self) -> i64 {
        self.0
            .jobs
            .read()
            .values()
            .filter_map(|entry| entry.status.read().order)
            .max()
            .unwrap_or(0)
            + 1
    }

    /// Takes up the state of a job, starts its actor, and gives it the settings of now.
    pub(crate) async fn run(&self, entry: &Arc<Entry>) -> Result<()> {
        let job = entry.job.read().clone();
        let started = self.start_runner(entry, &job).await;
        self.run_with(entry, started).await
    }

    async fn run_with(&self, entry: &Arc<Entry>, started: Result<Arc<Runner>>) -> Result<()> {
        let configured = async {
            let runner = started?;
            *entry.runner.write() = Some(runner.clone());
            self.configure(entry, &runner).await
        };
        if let Err(error) = configured.await {
            self.fail(entry, &error.reason).await;
            return Err(error);
        }
        let order = entry.status.read().order;
        self.set_status(entry, State::Opened, None, order).await?;
        entry.status.write().opened_at.get_or_insert(self.now());
        self.finished_time(entry, None).await
    }

    async fn start_runner(&self, entry: &Arc<Entry>, job: &Job) -> Result<Arc<Runner>> {
        let store = &self.0.store;
        let (applied, state) = match store.load_checkpoint(&job.job_id).await? {
            Some((applied, state)) => (applied, Some(state)),
            None => match &job.model_snapshot_id {
                Some(id) => {
                    let state = store.load_snapshot_state(&job.job_id, id).await?;
                    // Another engine's snapshot has no state here.
                    (0, state.filter(|state| !state.is_empty()))
                }
                None => (0, None),
            },
        };
        let (analysis, options) = (job.analysis(), job.engine_options());
        let engine = self.0.pool.run(move || match state {
            Some(state) => Engine::restore(analysis, &state),
            None => Ok(Engine::new(analysis, options)),
        });
        let mut engine = engine
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
            .map_err(|error| {
                JobError::internal(format!(
                    "the state of job [{}] can't be restored: {error}",
                    job.job_id
                ))
            })?;
        engine.employ(Arc::new(self.0.pool.clone()));
        {
            let mut live = entry.live.write();
            live.counts = engine.counts().clone();
            live.size = engine.size();
        }
        let (jobs, failed) = (self.clone(), Arc::downgrade(entry));
        let on_failure = move |reason: String| {
            tokio::spawn(async move {
                if let Some(entry) = failed.upgrade() {
                    jobs.fail(&entry, &reason).await;
                }
            });
        };
        let start = Start {
            job_id: job.job_id.as_str().into(),
            engine,
            applied,
            live: entry.live.clone(),
            clock: self.0.settings.clock.clone(),
            checkpoint_bytes: self.0.settings.checkpoint_journal_bytes,
            cluster: self.0.cluster.clone(),
            task: self.0.tasks.hold(NewTask {
                kind: Kind::Persistent,
                action: "xpack/ml/job[c]",
                description: format!("job-{}", job.job_id),
                is_cancellable: true,
            }),
            on_failure: Box::new(on_failure),
        };
        Runner::start(store.clone(), self.0.pool.clone(), start).await
    }

    async fn fail(&self, entry: &Arc<Entry>, reason: &str) {
        let job_id = entry.job.read().job_id.clone();
        *entry.runner.write() = None;
        entry.status.write().opened_at = None;
        let stored = self
            .0
            .store
            .set_state(&job_id, State::Failed.name(), Some(reason), None);
        if let Err(error) = stored.await {
            tracing::error!(job_id, %error, "the failure of the job could not be stored");
        }
        // It has failed, whether the store knows or not.
        self.show_status(entry, State::Failed, Some(reason.to_owned()), None);
        self.notify(&job_id, "error", &format!("job failed: {reason}"))
            .await;
        // It takes no room any more.
        self.let_in_waiting();
    }

    /// Closes jobs. Closing a closed one is no error.
    pub async fn close(&self, expression: &str, allow_no_match: bool, force: bool) -> Result<()> {
        for entry in self.closable(expression, allow_no_match, force)? {
            let _life = entry.life.lock().await;
            self.close_entry(&entry, force).await?;
        }
        self.let_in_waiting();
        Ok(())
    }

    /// Ids of the jobs that [`close`](Self::close) would close, refused as it would be.
    pub fn to_close(
        &self,
        expression: &str,
        allow_no_match: bool,
        force: bool,
    ) -> Result<Vec<String>> {
        let entries = self.closable(expression, allow_no_match, force)?;
        let ids = entries.iter().map(|entry| entry.job.read().job_id.clone());
        Ok(ids.collect())
    }

    fn closable(
        &self,
        expression: &str,
        allow_no_match: bool,
        force: bool,
    ) -> Result<Vec<Arc<Entry>>> {
        let entries = self.select(expression, allow_no_match)?;
        if !force {
            let failed: Vec<String> = entries
                .iter()
                .filter(|entry| entry.status.read().state == State::Failed)
                .map(|entry| entry.job.read().job_id.clone())
                .collect();
            match failed.as_slice() {
                [] => {}
                [one] if entries.len() == 1 => {
                    return Err(JobError::conflict(format!(
                        "cannot close job [{one}] because it failed, use force close"
                    )));
                }
                _ => {
                    return Err(JobError::conflict(
                        "one or more jobs have state failed, use force close",
                    ));
                }
            }
        }
        Ok(entries)
    }

    /// Closes the open jobs that have had no data for as long as the cluster's settings allow.
    pub async fn close_idle(&self) {
        let Some(patience) = self.0.cluster.idle_close() else {
            return;
        };
        let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        for entry in self.entries() {
            let _life = entry.life.lock().await;
            let opened_at = entry.status.read().opened_at;
            let (true, Some(opened_at)) = (entry.runner.read().is_some(), opened_at) else {
                continue;
            };
            let last = entry
                .live
                .read()
                .last_data_time
                .unwrap_or_default()
                .max(opened_at);
            let job_id = entry.job.read().job_id.clone();
            if self.now().saturating_sub(last) < patience || self.is_fed(&job_id) {
                continue;
            }
            if let Err(error) = self.close_entry(&entry, false).await {
                tracing::warn!(job_id, %error, "an idle job could not be closed");
            }
        }
        self.let_in_waiting();
    }

    /// Closes one job, whose life is locked.
    pub(crate) async fn close_entry(&self, entry: &Arc<Entry>, force: bool) -> Result<()> {
        let (job_id, state) = (entry.job.read().job_id.clone(), entry.status.read().state);
        if state == State::Closed {
            return Ok(());
        }
        self.notify(
            &job_id,
            "info",
            if force {
                "Job is closing (forced)"
            } else {
                "Job is closing"
            },
        )
        .await;
        let runner = entry.runner.read().clone();
        // What a job that doesn't run has taken stays in its journal, for the next opening to go on from.
        let mut all_kept = state == State::Opening;
        if let Some(runner) = runner {
            let order = entry.status.read().order;
            self.set_status(entry, State::Closing, None, order).await?;
            match runner.finish().await {
                Ok(saved) => {
                    self.keep_snapshot(entry, saved, "job close").await?;
                    all_kept = true;
                }
                Err(error) if force => {
                    tracing::warn!(job_id, %error, "closed without a snapshot");
                    all_kept = false;
                }
                Err(error) => return Err(error),
            }
            *entry.runner.write() = None;
        }
        entry.status.write().opened_at = None;
        self.finished_time(entry, Some(self.now())).await?;
        self.set_status(entry, State::Closed, None, None).await?;
        if all_kept {
            self.0.store.drop_checkpoint(&job_id).await?;
        }
        Ok(())
    }

    async fn finished_time(&self, entry: &Arc<Entry>, time: Option<i64>) -> Result<()> {
        let _configuration = entry.configuration.lock().await;
        let mut job = entry.job.read().clone();
        if job.finished_time != time {
            job.finished_time = time;
            self.0.store.save_config(&job.job_id, &json(&job)).await?;
            *entry.job.write() = job;
        }
        Ok(())
    }

    /// Lets waiting jobs in, the oldest first, as far as there is room now.
    pub(crate) fn let_in_waiting(&self) {
        let jobs = self.clone();
        tokio::spawn(async move {
            let mut waiting: Vec<(Option<i64>, Arc<Entry>)> = Vec::new();
            for entry in jobs.0.jobs.read().values() {
                let status = entry.status.read().clone();
                if status.state == State::Opening && status.opened_at.is_none() {
                    waiting.push((status.order, entry.clone()));
                }
            }
            waiting.sort_by_key(|(order, _)| *order);
            for (_, entry) in waiting {
                let _life = entry.life.lock().await;
                let job_id = entry.job.read().job_id.clone();
                let waits =
                    entry.status.read().state == State::Opening && entry.runner.read().is_none();
                if waits
                    && jobs.still_there(&job_id, &entry).is_ok()
                    && let Err(error) = jobs.let_in(&entry).await
                {
                    tracing::warn!(job_id, %error, "a waiting job could not be opened");
                }
            }
        });
    }

    /// Saves what is open, so that the next start has nothing to replay. Open jobs stay open in the store.
    pub async fn shut_down(&self) {
        let entries: Vec<Arc<Entry>> = self.0.jobs.read().values().cloned().collect();
        for entry in entries {
            let runner = entry.runner.read().clone();
            if let Some(runner) = runner
                && let Err(error) = runner.finish().await
            {
                tracing::warn!(%error, "a job could not be saved; its journal is kept");
            }
        }
        self.0.store.close().await;
    }

    pub(crate) async fn set_status(
        &self,
        entry: &Entry,
        state: State,
        reason: Option<String>,
        order: Option<i64>,
    ) -> Result<()> {
        let job_id = entry.job.read().job_id.clone();
        self.0
            .store
            .set_state(&job_id, state.name(), reason.as_deref(), order)
            .await?;
        self.show_status(entry, state, reason, order);
        Ok(())
    }

    fn show_status(&self, entry: &Entry, state: State, reason: Option<String>, order: Option<i64>) {
        let mut status = entry.status.write();
        if status.state != state {
            status.since = self.now();
        }
        (status.state, status.reason, status.order) = (state, reason, order);
        drop(status);
        self.0.steps.send_replace(());
    }
}
