//! All jobs of a server: their life from creation to deletion, and the room that they share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tidewatch_model::counts::DataCounts;
use tidewatch_model::engine::{Engine, Flush};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::units::Memory;
use tidewatch_store::{JobRow, ResultPage, ResultQuery, SnapshotRow, Store};
use tokio::sync::Mutex;

use crate::clock;
use crate::config::{Job, NewJob, same_name};
use crate::error::{JobError, Result};
use crate::expression::Expression;
use crate::pool::Pool;
use crate::runner::{Applied, Command, Live, Runner, Saved, Start, json, not_open};
use crate::settings::Settings;
use crate::snapshots::{self, ModelSnapshot};
use crate::stats::{DataCountsDoc, ModelSizeDoc, TimingStats};
use crate::update::{JobUpdate, Standing};

/// Memory that a job takes beside its models.
const JOB_OVERHEAD: u64 = 10 << 20;

/// What is said of a job that waits for room.
pub const AWAITING: &str = "persistent task is awaiting node assignment.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Closed,
    /// Waiting for room, or taking up its state.
    Opening,
    Opened,
    Closing,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Opening => "opening",
            Self::Opened => "opened",
            Self::Closing => "closing",
            Self::Failed => "failed",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "opening" => Self::Opening,
            "opened" => Self::Opened,
            "closing" => Self::Closing,
            "failed" => Self::Failed,
            _ => Self::Closed,
        }
    }
}

#[derive(Debug, Clone)]
struct Status {
    state: State,
    reason: Option<String>,
    /// The order in which jobs asked to be opened; only while they wait or run.
    order: Option<i64>,
    /// Epoch milliseconds.
    opened_at: Option<i64>,
}

/// One job.
struct Entry {
    job: RwLock<Job>,
    status: RwLock<Status>,
    runner: RwLock<Option<Arc<Runner>>>,
    live: Arc<RwLock<Live>>,
    /// One step of its life at a time: open, close, update, delete.
    life: Mutex<()>,
    /// Guards reading, changing and storing the configuration.
    configuration: Mutex<()>,
}

struct Inner {
    store: Store,
    settings: Settings,
    pool: Pool,
    jobs: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Held while room is looked for and taken.
    room: Mutex<()>,
}

/// All jobs of a server.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

/// A job's statistics.
#[derive(Debug, Clone)]
pub struct JobStats {
    pub job_id: String,
    pub state: State,
    pub data_counts: DataCountsDoc,
    pub model_size_stats: ModelSizeDoc,
    pub timing_stats: TimingStats,
    /// Of a job that waits or has failed.
    pub assignment_explanation: Option<String>,
    /// How long it has been open.
    pub open_for: Option<Duration>,
}

/// A flush as clients ask for it. Times are epoch milliseconds.
#[derive(Debug, Clone, Default)]
pub struct FlushRequest {
    pub calc_interim: bool,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub advance_time: Option<i64>,
    pub skip_time: Option<i64>,
}

/// A model of an open job that has room, or one that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Opened,
    Waiting,
}

impl Jobs {
    /// Takes up the jobs of a store: those that were open are open again, with nothing lost.
    pub async fn start(store: Store, settings: Settings) -> Result<Self> {
        let pool = Pool::new(settings.threads).map_err(|error| {
            JobError::internal(format!("the analysis threads can't start: {error}"))
        })?;
        let inner = Inner {
            store,
            settings,
            pool,
            jobs: RwLock::default(),
            room: Mutex::default(),
        };
        let jobs = Self(Arc::new(inner));
        let mut active = Vec::new();
        for row in jobs.0.store.jobs().await? {
            let entry = jobs.take_up(&row).await?;
            if let Some(order) = row.opened_order {
                active.push((order, row.job_id.clone(), State::parse(&row.state)));
            }
            jobs.0.jobs.write().insert(row.job_id, Arc::new(entry));
        }
        active.sort();
        for (_, job_id, state) in active {
            let entry = jobs.entry(&job_id)?;
            let _life = entry.life.lock().await;
            match state {
                // It ran: it has its room, whatever the settings say now.
                State::Opened | State::Closing => jobs.run(&entry).await,
                _ => jobs.let_in(&entry).await.map(|_| ()),
            }
            .unwrap_or_else(
                |error| tracing::error!(job_id, %error, "the job could not be taken up"),
            );
            if state == State::Closing {
                jobs.close_entry(&entry, false).await?;
            }
        }
        Ok(jobs)
    }

    async fn take_up(&self, row: &JobRow) -> Result<Entry> {
        let damaged = |error: serde_json::Error| {
            JobError::internal(format!("job [{}] can't be read: {error}", row.job_id))
        };
        let job: Job = serde_json::from_str(&row.config).map_err(damaged)?;
        let mut live = Live {
            timing: TimingStats::new(&row.job_id),
            ..Live::default()
        };
        for (kind, document) in self.0.store.stats(&row.job_id).await? {
            match kind.as_str() {
                "data_counts" => {
                    let counts: DataCountsDoc = serde_json::from_str(&document).map_err(damaged)?;
                    live.last_data_time = counts.last_data_time;
                    live.log_time = counts.log_time.unwrap_or_default();
                    live.counts = counts.into();
                }
                "model_size_stats" => {
                    live.size = serde_json::from_str::<ModelSizeDoc>(&document)
                        .map_err(damaged)?
                        .into();
                }
                "timing_stats" => live.timing = serde_json::from_str(&document).map_err(damaged)?,
                _ => {}
            }
        }
        let status = Status {
            state: State::parse(&row.state),
            reason: row.reason.clone(),
            order: row.opened_order,
            opened_at: None,
        };
        Ok(Entry::new(job, status, live))
    }

    /// Creates a job. The warnings are deprecations that the client should hear of.
    pub async fn create(&self, job_id: &str, body: NewJob) -> Result<(Job, Vec<String>)> {
        let job = body.build(job_id, clock::now(), self.0.settings.max_model_memory_limit)?;
        let taken = || {
            JobError::already_exists(format!(
                "The job cannot be created with the Id '{job_id}'. The Id is already used."
            ))
        };
        if self.0.jobs.read().contains_key(job_id) {
            return Err(taken());
        }
        self.check_names(&job)?;
        let row = JobRow {
            job_id: job_id.to_owned(),
            config: json(&job),
            state: State::Closed.name().to_owned(),
            reason: None,
            opened_order: None,
        };
        if !self.0.store.insert_job(&row).await? {
            return Err(taken());
        }
        let status = Status {
            state: State::Closed,
            reason: None,
            order: None,
            opened_at: None,
        };
        let live = Live {
            timing: TimingStats::new(job_id),
            ..Live::default()
        };
        self.0.jobs.write().insert(
            job_id.to_owned(),
            Arc::new(Entry::new(job.clone(), status, live)),
        );
        self.notify(job_id, "info", "Job created").await;
        let warnings = job.warnings();
        Ok((job, warnings))
    }

    /// No group has the name of a job.
    fn check_names(&self, job: &Job) -> Result<()> {
        for (id, entry) in self
            .0
            .jobs
            .read()
            .iter()
            .filter(|(id, _)| **id != job.job_id)
        {
            if job.groups.contains(id) {
                return Err(same_name(id, id));
            }
            if entry.job.read().groups.contains(&job.job_id) {
                return Err(same_name(&job.job_id, &job.job_id));
            }
        }
        Ok(())
    }

    /// Jobs by ids, groups and wildcards, sorted by id.
    pub fn find(&self, expression: &str, allow_no_match: bool) -> Result<Vec<Job>> {
        Ok(self
            .select(expression, allow_no_match)?
            .iter()
            .map(|entry| entry.job.read().clone())
            .collect())
    }

    pub fn get(&self, job_id: &str) -> Result<Job> {
        Ok(self.entry(job_id)?.job.read().clone())
    }

    pub async fn update(&self, job_id: &str, update: JobUpdate) -> Result<Job> {
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        let standing = Standing {
            is_open: !matches!(entry.status.read().state, State::Closed),
            model_bytes: entry.live.read().size.model_bytes,
            max_memory_limit: self.0.settings.max_model_memory_limit,
        };
        let (old, new, changed) = {
            let _configuration = entry.configuration.lock().await;
            let old = entry.job.read().clone();
            let (new, changed) = update.apply(&old, &standing)?;
            self.check_names(&new)?;
            self.0.store.save_config(job_id, &json(&new)).await?;
            *entry.job.write() = new.clone();
            (old, new, changed)
        };
        let runner = entry.runner.read().clone();
        if let Some(runner) = runner
            && new.engine_options() != old.engine_options()
        {
            runner
                .submit(Command::Configure(new.engine_options()))
                .await?;
        }
        self.notify(
            job_id,
            "info",
            &format!("Job updated: [{}]", changed.join(", ")),
        )
        .await;
        Ok(new)
    }

    /// Opens a job, or lets it wait where it may and there is no room.
    pub async fn open(&self, job_id: &str) -> Result<Opening> {
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        self.still_there(job_id, &entry)?;
        if entry.status.read().state != State::Closed {
            return Err(JobError::conflict(format!(
                "Cannot open job [{job_id}] because it has already been opened"
            )));
        }
        self.let_in(&entry).await
    }

    /// Finds room for a job and runs it. Its life is locked.
    async fn let_in(&self, entry: &Arc<Entry>) -> Result<Opening> {
        let job_id = entry.job.read().job_id.clone();
        let order = {
            let _room = self.0.room.lock().await;
            let order = entry
                .status
                .read()
                .order
                .unwrap_or_else(|| self.next_order());
            if let Some(explanation) = self.lack_of_room(entry) {
                if !entry.job.read().allow_lazy_open {
                    let why = JobError::bad_request(format!(
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
            entry.status.write().opened_at = Some(clock::now());
            order
        };
        let begin = async {
            // What a former life left beside its snapshot is not continued.
            self.0.store.drop_checkpoint(&job_id).await?;
            self.set_status(entry, State::Opened, None, Some(order))
                .await?;
            self.run(entry).await
        };
        begin.await?;
        Ok(Opening::Opened)
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

    /// Why a job has no room now, if it hasn't.
    fn lack_of_room(&self, entry: &Arc<Entry>) -> Option<String> {
        let settings = &self.0.settings;
        let need = |job: &Job| job.analysis_limits.model_memory_limit.bytes + JOB_OVERHEAD;
        let jobs = self.0.jobs.read();
        let running: Vec<&Arc<Entry>> = jobs
            .values()
            .filter(|other| {
                !Arc::ptr_eq(other, entry)
                    && (other.runner.read().is_some() || other.status.read().opened_at.is_some())
            })
            .collect();
        let job = entry.job.read();
        let not_opening = format!(
            "Not opening job [{}] on node [{}]. Reason: ",
            job.job_id,
            crate::NODE_NAME
        );
        if running.len() >= settings.max_open_jobs {
            return Some(format!(
                "{not_opening}This node is full. Number of opened jobs and allocated native inference processes [{}], \
                 xpack.ml.max_open_jobs [{}].",
                running.len(),
                settings.max_open_jobs
            ));
        }
        let used: u64 = running.iter().map(|other| need(&other.job.read())).sum();
        if used + need(&job) > settings.node_memory.bytes {
            return Some(format!(
                "{not_opening}This node has insufficient available memory. Available memory for ML [{} ({})], memory \
                 required by existing jobs [{used} ({})], estimated memory required for this job [{} ({})].",
                settings.node_memory.bytes,
                settings.node_memory,
                Memory { bytes: used },
                need(&job),
                Memory { bytes: need(&job) },
            ));
        }
        None
    }

    /// Takes up the state of a job and starts its actor.
    async fn run(&self, entry: &Arc<Entry>) -> Result<()> {
        let job = entry.job.read().clone();
        let outcome = self.start_runner(entry, &job).await;
        match outcome {
            Ok(runner) => {
                *entry.runner.write() = Some(runner);
                let order = entry.status.read().order;
                self.set_status(entry, State::Opened, None, order).await?;
                entry.status.write().opened_at.get_or_insert(clock::now());
                self.finished_time(entry, None).await
            }
            Err(error) => {
                self.fail(entry, &error.reason).await;
                Err(error)
            }
        }
    }

    async fn start_runner(&self, entry: &Arc<Entry>, job: &Job) -> Result<Arc<Runner>> {
        let store = &self.0.store;
        let (applied, state) = match store.load_checkpoint(&job.job_id).await? {
            Some((applied, state)) => (applied, Some(state)),
            None => match &job.model_snapshot_id {
                Some(id) => (0, store.load_snapshot_state(&job.job_id, id).await?),
                None => (0, None),
            },
        };
        let (analysis, options) = (job.analysis_config.clone(), job.engine_options());
        let engine = self.0.pool.run(move || match state {
            Some(state) => Engine::restore(analysis, options, &state),
            None => Ok(Engine::new(analysis, options)),
        });
        let engine = engine
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
            .map_err(|error| {
                JobError::internal(format!(
                    "the state of job [{}] can't be restored: {error}",
                    job.job_id
                ))
            })?;
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
            checkpoint_bytes: self.0.settings.checkpoint_journal_bytes,
            on_failure: Box::new(on_failure),
        };
        Runner::start(store.clone(), self.0.pool.clone(), start).await
    }

    async fn fail(&self, entry: &Arc<Entry>, reason: &str) {
        let job_id = entry.job.read().job_id.clone();
        *entry.runner.write() = None;
        entry.status.write().opened_at = None;
        if let Err(error) = self
            .set_status(entry, State::Failed, Some(reason.to_owned()), None)
            .await
        {
            tracing::error!(job_id, %error, "the failure of the job could not be stored");
        }
        self.notify(&job_id, "error", &format!("job failed: {reason}"))
            .await;
    }

    /// Closes jobs. Closing a closed one is no error.
    pub async fn close(&self, expression: &str, allow_no_match: bool, force: bool) -> Result<()> {
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
        for entry in entries {
            let _life = entry.life.lock().await;
            self.close_entry(&entry, force).await?;
        }
        self.let_in_waiting();
        Ok(())
    }

    /// Closes one job, whose life is locked.
    async fn close_entry(&self, entry: &Arc<Entry>, force: bool) -> Result<()> {
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
        if let Some(runner) = runner {
            let order = entry.status.read().order;
            self.set_status(entry, State::Closing, None, order).await?;
            match runner.finish().await {
                Ok(saved) => self.keep_snapshot(entry, saved, "job close").await?,
                // The engine is lost: what it knew stays in the last snapshot.
                Err(error) if force => tracing::warn!(job_id, %error, "closed without a snapshot"),
                Err(error) => return Err(error),
            }
            *entry.runner.write() = None;
        }
        entry.status.write().opened_at = None;
        self.finished_time(entry, Some(clock::now())).await?;
        self.set_status(entry, State::Closed, None, None).await?;
        Ok(self.0.store.drop_checkpoint(&job_id).await?)
    }

    /// Stores a model snapshot and makes it the active one, if data were seen since the last.
    async fn keep_snapshot(&self, entry: &Arc<Entry>, saved: Saved, cause: &str) -> Result<()> {
        let _configuration = entry.configuration.lock().await;
        let mut job = entry.job.read().clone();
        let former = self.snapshots(&job.job_id).await?;
        let active = former
            .iter()
            .find(|snapshot| Some(&snapshot.snapshot_id) == job.model_snapshot_id.as_ref());
        let latest = saved.live.counts.latest_record_timestamp;
        if latest.is_none() || active.is_some_and(|active| active.covers(&saved.live)) {
            return Ok(());
        }
        let snapshot = ModelSnapshot::new(&job.job_id, &former, cause, &saved.live, clock::now());
        let state_row = snapshot.row();
        self.0.store.save_snapshot(&state_row, saved.state).await?;
        self.0
            .store
            .annotate(&snapshots::stored_annotation(&snapshot))
            .await?;
        job.model_snapshot_id = Some(snapshot.snapshot_id.clone());
        job.model_snapshot_min_version = Some(snapshot.min_version.clone());
        self.0.store.save_config(&job.job_id, &json(&job)).await?;
        let message = format!(
            "Job model snapshot with id [{}] stored",
            snapshot.snapshot_id
        );
        self.notify(&job.job_id, "info", &message).await;
        *entry.job.write() = job;
        Ok(())
    }

    /// Stores a snapshot of an open job that goes on.
    pub async fn persist(&self, job_id: &str) -> Result<()> {
        let entry = self.entry(job_id)?;
        let runner = entry
            .runner
            .read()
            .clone()
            .ok_or_else(|| not_open(job_id))?;
        let saved = runner.checkpoint().await?;
        self.keep_snapshot(&entry, saved, "background").await
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
    fn let_in_waiting(&self) {
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

    /// Deletes a job with all that it left. An open one only by force.
    pub async fn delete(&self, job_id: &str, force: bool) -> Result<()> {
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        self.still_there(job_id, &entry)?;
        let state = entry.status.read().state;
        if state != State::Closed && !force {
            return Err(JobError::conflict(format!(
                "Cannot delete job [{job_id}] because the job is {}",
                state.name()
            )));
        }
        let runner = entry.runner.write().take();
        if let Some(runner) = runner {
            // Waits for what is at work, so that nothing is written after the deletion.
            if let Err(error) = runner.finish().await {
                tracing::debug!(job_id, %error, "deleted without its last state");
            }
        }
        self.0.store.delete_job(job_id).await?;
        self.0.jobs.write().remove(job_id);
        self.notify(job_id, "info", "Job deleted").await;
        self.let_in_waiting();
        Ok(())
    }

    /// Hands records to an open job: durable when this returns; the receiver tells when they have been analysed.
    pub async fn append(
        &self,
        job_id: &str,
        batch: RecordBatch,
    ) -> Result<tokio::sync::oneshot::Receiver<Result<Applied>>> {
        self.runner(job_id)?.submit(Command::Records(batch)).await
    }

    /// An open job, for one that is going to send it records.
    pub fn open_job(&self, job_id: &str) -> Result<Job> {
        self.runner(job_id)?;
        self.get(job_id)
    }

    /// Counts of an upload that had no records.
    pub fn counts(&self, job_id: &str) -> Result<DataCounts> {
        let entry = self.entry(job_id)?;
        let counts = entry.live.read().counts.clone();
        Ok(counts.since(&counts))
    }

    pub async fn flush(&self, job_id: &str, request: FlushRequest) -> Result<Option<i64>> {
        let runner = self.runner(job_id)?;
        let flush = Flush {
            advance_time: request.advance_time,
            skip_time: request.skip_time,
        };
        let mut applied = runner.apply(Command::Flush(flush)).await?;
        if request.calc_interim {
            applied = runner.interim(request.start, request.end).await?;
        }
        Ok(applied.last_finalized_bucket_end)
    }

    pub fn stats(&self, expression: &str, allow_no_match: bool) -> Result<Vec<JobStats>> {
        let stats = |entry: &Arc<Entry>| {
            let (job, status, live) = (entry.job.read(), entry.status.read(), entry.live.read());
            let log_time = live.log_time;
            JobStats {
                job_id: job.job_id.clone(),
                state: status.state,
                data_counts: DataCountsDoc::new(
                    &job.job_id,
                    &live.counts,
                    live.last_data_time,
                    log_time,
                ),
                model_size_stats: ModelSizeDoc::new(&job.job_id, &live.size, log_time),
                timing_stats: live.timing.clone(),
                assignment_explanation: match status.state {
                    State::Opening if status.opened_at.is_none() => Some(AWAITING.to_owned()),
                    State::Closed => None,
                    _ => Some(status.reason.clone().unwrap_or_default()),
                },
                open_for: status.opened_at.map(|since| {
                    Duration::from_millis(clock::now().saturating_sub(since).max(0) as u64)
                }),
            }
        };
        Ok(self
            .select(expression, allow_no_match)?
            .iter()
            .map(stats)
            .collect())
    }

    pub async fn results(&self, query: &ResultQuery) -> Result<ResultPage> {
        self.entry(&query.job_id)?;
        Ok(self.0.store.results(query).await?)
    }

    /// The model snapshots of a job, oldest first.
    pub async fn snapshots(&self, job_id: &str) -> Result<Vec<ModelSnapshot>> {
        let rows: Vec<SnapshotRow> = self.0.store.snapshots(job_id).await?;
        rows.iter().map(ModelSnapshot::from_row).collect()
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
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

    /// Ids of the jobs that run now.
    pub fn running(&self) -> Vec<String> {
        let jobs = self.0.jobs.read();
        jobs.iter()
            .filter(|(_, entry)| entry.runner.read().is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn runner(&self, job_id: &str) -> Result<Arc<Runner>> {
        self.entry(job_id)?
            .runner
            .read()
            .clone()
            .ok_or_else(|| not_open(job_id))
    }

    fn entry(&self, job_id: &str) -> Result<Arc<Entry>> {
        self.0
            .jobs
            .read()
            .get(job_id)
            .cloned()
            .ok_or_else(|| JobError::no_such_job(job_id))
    }

    /// Refuses a job that was deleted while its life was waited for.
    fn still_there(&self, job_id: &str, entry: &Arc<Entry>) -> Result<()> {
        match self.entry(job_id) {
            Ok(now) if Arc::ptr_eq(&now, entry) => Ok(()),
            _ => Err(JobError::no_such_job(job_id)),
        }
    }

    fn select(&self, expression: &str, allow_no_match: bool) -> Result<Vec<Arc<Entry>>> {
        let jobs = self.0.jobs.read();
        let ids = Expression::parse(expression).select(
            jobs.iter()
                .map(|(id, entry)| (id.clone(), entry.job.read().groups.clone())),
            allow_no_match,
        )?;
        Ok(ids.iter().filter_map(|id| jobs.get(id).cloned()).collect())
    }

    async fn set_status(
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
        let mut status = entry.status.write();
        (status.state, status.reason, status.order) = (state, reason, order);
        Ok(())
    }

    /// Leaves a note about a job. That it can't be left is no reason to fail.
    pub async fn notify(&self, job_id: &str, level: &str, message: &str) {
        tracing::info!(job_id, message);
        if let Err(error) = self
            .0
            .store
            .notify(Some(job_id), level, message, clock::now())
            .await
        {
            tracing::warn!(job_id, %error, "a notification could not be stored");
        }
    }
}

impl Entry {
    fn new(job: Job, status: Status, live: Live) -> Self {
        Self {
            job: RwLock::new(job),
            status: RwLock::new(status),
            runner: RwLock::new(None),
            live: Arc::new(RwLock::new(live)),
            life: Mutex::default(),
            configuration: Mutex::default(),
        }
    }
}
