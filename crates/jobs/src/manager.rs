//! All jobs of a server: creating, finding, changing and reading them. Their opening and closing is in `life`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use tidewatch_model::config::{ConfigError, CustomRule};
use tidewatch_model::counts::DataCounts;
use tidewatch_model::engine::Flush;
use tidewatch_model::record::RecordBatch;
use tidewatch_model::units::Memory;
use tidewatch_store::{
    CategoryQuery, DatafeedRow, ForestEntity, ForestQuery, JobRow, ResultPage, ResultQuery, Store,
};
use tokio::sync::{Mutex, watch};

use crate::attached::Attached;
use crate::cluster::Cluster;
use crate::config::{Job, NewJob, same_name};
use crate::documents::Contexts;
use crate::entry::{Entry, State, Status};
use crate::error::{JobError, Result};
use crate::expression::Expression;
use crate::live::{Live, json};
use crate::pool::Pool;
use crate::runner::{Applied, Command, Runner, not_open};
use crate::settings::Settings;
use crate::snapshot_upgrade::Upgrades;
use crate::tasks::Tasks;
use crate::update::{JobUpdate, Standing};

pub(crate) struct Inner {
    pub store: Store,
    pub settings: Settings,
    pub cluster: Arc<Cluster>,
    pub pool: Pool,
    pub tasks: Arc<Tasks>,
    pub jobs: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// Held while room is looked for and taken.
    pub room: Mutex<()>,
    /// Held while filters and calendars change, or what rules lean on them, and while names of jobs and groups are taken.
    pub resources: Mutex<()>,
    pub upgrades: Upgrades,
    /// Told whenever a job's life takes a step.
    pub steps: watch::Sender<()>,
    /// The datafeeds, once there are any.
    pub attached: OnceLock<Arc<dyn Attached>>,
    pub contexts: Contexts,
}

/// All jobs of a server.
#[derive(Clone)]
pub struct Jobs(pub(crate) Arc<Inner>);

/// A flush as clients ask for it. Times are epoch milliseconds.
#[derive(Debug, Clone, Default)]
pub struct FlushRequest {
    pub calc_interim: bool,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub advance_time: Option<i64>,
    pub skip_time: Option<i64>,
}

impl Jobs {
    /// Takes up the jobs of a store: those that were open are open again, with nothing lost.
    pub async fn start(store: Store, settings: Settings) -> Result<Self> {
        let pool = Pool::new(settings.threads).map_err(|error| {
            JobError::internal(format!("the analysis threads can't start: {error}"))
        })?;
        let tasks = Arc::new(Tasks::new(node_id(&store).await?, settings.clock.clone()));
        let cluster = Arc::new(Cluster::load(&store, settings.clone()).await?);
        let inner = Inner {
            store,
            settings,
            cluster,
            pool,
            tasks,
            jobs: RwLock::default(),
            room: Mutex::default(),
            resources: Mutex::default(),
            upgrades: Upgrades::default(),
            steps: watch::Sender::default(),
            attached: OnceLock::new(),
            contexts: Contexts::default(),
        };
        let jobs = Self(Arc::new(inner));
        jobs.fail_forecasts().await?;
        let mut active = Vec::new();
        for row in jobs.0.store.jobs().await? {
            // The others are not to wait for one that is damaged.
            let entry = match jobs.take_up(&row).await {
                Ok(entry) => entry,
                Err(error) => {
                    let message = format!("The job can't be taken up and is left alone: {error}");
                    tracing::error!(job_id = row.job_id, message);
                    jobs.notify(&row.job_id, "error", &message).await;
                    continue;
                }
            };
            if let Some(order) = row.opened_order {
                active.push((order, row.job_id.clone(), State::parse(&row.state)));
            }
            jobs.0.jobs.write().insert(row.job_id, Arc::new(entry));
        }
        jobs.resume_removals().await;
        active.sort_by_key(|(order, ..)| *order);
        for (_, job_id, state) in active {
            let entry = jobs.entry(&job_id)?;
            let _life = entry.life.lock().await;
            if entry.blocked().is_some() {
                continue;
            }
            match state {
                // Upgrade mode outlasts a restart.
                State::Opened if jobs.cluster().upgrade_mode() => {}
                State::Opened | State::Closing => jobs.take_up_again(&entry).await,
                _ => {
                    if let Err(error) = jobs.let_in(&entry).await {
                        tracing::error!(job_id, %error, "the job could not be taken up");
                    }
                }
            }
            if state == State::Closing
                && entry.status.read().state == State::Opened
                && let Err(error) = jobs.close_entry(&entry, false).await
            {
                tracing::error!(job_id, %error, "the job could not be closed");
            }
        }
        Ok(jobs)
    }

    async fn take_up(&self, row: &JobRow) -> Result<Entry> {
        let damaged = |error: serde_json::Error| {
            let text = error.to_string();
            let why = ConfigError::from_display(&text).map_or(text, |error| error.reason);
            JobError::internal(format!("job [{}] can't be read: {why}", row.job_id))
        };
        let job: Job = serde_json::from_str(&row.config).map_err(damaged)?;
        let mut live = Live::new(&row.job_id);
        for (kind, document) in self.0.store.stats(&row.job_id).await? {
            live.take(&kind, &document).map_err(damaged)?;
        }
        let status = Status {
            state: State::parse(&row.state),
            reason: row.reason.clone(),
            order: row.opened_order,
            opened_at: None,
            since: self.now(),
        };
        Ok(Entry::new(job, status, live))
    }

    /// Creates a job. The warnings are deprecations that the client should hear of.
    pub async fn create<D>(&self, job_id: &str, body: NewJob<D>) -> Result<(Job, Vec<String>)> {
        self.create_with(job_id, body, |_| Ok(None)).await
    }

    /// Creates a job and its datafeed, both or neither. `datafeed` makes it for the job that it is going to be for, or
    /// refuses that job.
    pub async fn create_with<D>(
        &self,
        job_id: &str,
        body: NewJob<D>,
        datafeed: impl FnOnce(&Job) -> Result<Option<DatafeedRow>>,
    ) -> Result<(Job, Vec<String>)> {
        let job = body.build(job_id, self.now(), self.max_model_memory_limit())?;
        let taken = || {
            JobError::already_exists(format!(
                "The job cannot be created with the Id '{job_id}'. The Id is already used."
            ))
        };
        let _resources = self.0.resources.lock().await;
        if self.0.jobs.read().contains_key(job_id) {
            return Err(taken());
        }
        self.check_names(&job)?;
        self.check_room_for_results(job_id).await?;
        self.check_left_over(&job).await?;
        let row = JobRow {
            job_id: job_id.to_owned(),
            config: json(&job),
            state: State::Closed.name().to_owned(),
            reason: None,
            opened_order: None,
        };
        let inserted = match datafeed(&job)? {
            Some(datafeed) => self.0.store.insert_job_with(&row, &datafeed).await?,
            None => self.0.store.insert_job(&row).await?,
        };
        if !inserted {
            return Err(taken());
        }
        let status = Status {
            state: State::Closed,
            reason: None,
            order: None,
            opened_at: None,
            since: job.create_time,
        };
        let live = Live::new(job_id);
        self.0.jobs.write().insert(
            job_id.to_owned(),
            Arc::new(Entry::new(job.clone(), status, live)),
        );
        self.notify(job_id, "info", "Job created").await;
        let warnings = job.warnings();
        Ok((job, warnings))
    }

    /// No group has the name of a new job, and none of its groups that of another.
    fn check_names(&self, job: &Job) -> Result<()> {
        let jobs = self.0.jobs.read();
        let has_group = |entry: &Arc<Entry>| entry.job.read().groups.contains(&job.job_id);
        if jobs.values().any(has_group) {
            return Err(same_name(&job.job_id, &job.job_id));
        }
        drop(jobs);
        self.check_groups(&job.groups)
    }

    /// No group has the name of a job.
    fn check_groups(&self, groups: &[String]) -> Result<()> {
        let jobs = self.0.jobs.read();
        match groups.iter().find(|group| jobs.contains_key(*group)) {
            Some(group) => Err(same_name(group, group)),
            None => Ok(()),
        }
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
        if job_id == "_all" {
            return Err(JobError::bad_request(
                "Cannot update more than 1 job at a time",
            ));
        }
        // Asked before the job is, and again when nothing else can change it.
        self.check_groups(update.groups.as_deref().unwrap_or_default())?;
        let entry = self.entry(job_id)?;
        let _life = entry.life.lock().await;
        // Filters that new rules name stay until the rules are stored.
        let resources = self.0.resources.lock().await;
        let (old, new, changed) = {
            let _configuration = entry.configuration.lock().await;
            let old = entry.job.read().clone();
            let (new, changed) = self.changed(&entry, update).await?;
            self.0.store.save_config(job_id, &json(&new)).await?;
            *entry.job.write() = new.clone();
            (old, new, changed)
        };
        drop(resources);
        if rules_of(&new).ne(rules_of(&old)) || new.groups != old.groups {
            self.send_rules(&entry).await?;
        }
        for command in changes(&old, &new) {
            let runner = entry.runner.read().clone();
            let Some(runner) = runner else { break };
            match runner.submit(command).await {
                Ok(_) => {}
                // The change is made; a job that ends just now takes it when it runs again.
                Err(error) if error.status == 409 => break,
                Err(error) => return Err(error),
            }
        }
        if new.analysis_limits != old.analysis_limits {
            // One that waits may want less now.
            self.let_in_waiting();
        }
        self.notify(
            job_id,
            "info",
            &format!("Job updated: [{}]", changed.join(", ")),
        )
        .await;
        Ok(new)
    }

    /// What an update would make of a job. It is refused as the update would be, and nothing changes.
    pub async fn preview(&self, job_id: &str, update: JobUpdate) -> Result<Job> {
        let entry = self.entry(job_id)?;
        Ok(self.changed(&entry, update).await?.0)
    }

    /// What an update makes of a job, and the names of what it changes.
    async fn changed(&self, entry: &Entry, update: JobUpdate) -> Result<(Job, Vec<&'static str>)> {
        let standing = Standing {
            is_open: matches!(entry.status.read().state, State::Opened | State::Closing),
            model_bytes: entry.live.read().size.model_bytes,
            max_memory_limit: self.max_model_memory_limit(),
        };
        let old = entry.job.read().clone();
        let (new, changed) = update.apply(&old, &standing)?;
        self.check_groups(&new.groups)?;
        if rules_of(&new).ne(rules_of(&old)) && standing.is_open {
            self.filter_items(&new).await?;
        }
        Ok((new, changed))
    }

    /// Hands records to an open job: durable when this returns; the receiver tells when they have been analysed.
    pub async fn append(
        &self,
        job_id: &str,
        batch: RecordBatch,
    ) -> Result<tokio::sync::oneshot::Receiver<Result<Applied>>> {
        self.runner(job_id)?.submit(Command::Records(batch)).await
    }

    /// Forgets what an open job has gathered for buckets that still take records and begin from `start` on and before
    /// `end`, in epoch milliseconds: they are going to be sent again.
    pub async fn forget(&self, job_id: &str, start: i64, end: i64) -> Result<()> {
        let forget = Command::Forget { start, end };
        self.runner(job_id)?.submit(forget).await.map(|_| ())
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

    pub async fn results(&self, query: &ResultQuery) -> Result<ResultPage> {
        self.entry(&query.job_id)?;
        Ok(self.0.store.results(query).await?)
    }

    /// A page of what the random cut forests of a job said, and how many match in all.
    pub async fn forest_results(&self, query: &ForestQuery) -> Result<ResultPage> {
        self.entry(&query.job_id)?;
        Ok(self.0.store.forest_results(query).await?)
    }

    /// The entities that the random cut forests of a job said something of, and which numbers of theirs there are.
    pub async fn forest_entities(&self, query: &ForestQuery) -> Result<Vec<ForestEntity>> {
        self.entry(&query.job_id)?;
        Ok(self.0.store.forest_entities(query).await?)
    }

    /// The categories of a job, or of one of its partitions, by id; all of them or the one of an id.
    pub async fn categories(&self, query: &CategoryQuery) -> Result<ResultPage> {
        self.entry(&query.job_id)?;
        Ok(self.0.store.categories(query).await?)
    }

    /// The annotations of a job, JSON, by time.
    pub async fn annotations(&self, job_id: &str) -> Result<Vec<String>> {
        self.entry(job_id)?;
        let rows = self.0.store.annotations(job_id).await?;
        Ok(rows.into_iter().map(|row| row.doc).collect())
    }

    /// Whether a job could be created, under the id that it has or any other. How much memory jobs may have here is
    /// not asked.
    pub fn validate<D>(&self, body: NewJob<D>) -> Result<()> {
        let job_id = body.job_id.clone().unwrap_or_else(|| "ok".to_owned());
        body.build(&job_id, self.now(), None)?;
        Ok(())
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn tasks(&self) -> &Arc<Tasks> {
        &self.0.tasks
    }

    /// The most that a job may be limited to, as it is set now.
    pub fn max_model_memory_limit(&self) -> Option<Memory> {
        self.0.cluster.max_model_memory_limit()
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Epoch milliseconds, by the clock of the settings.
    pub fn now(&self) -> i64 {
        self.0.settings.clock.now()
    }

    /// Ids of the jobs that run now.
    pub fn running(&self) -> Vec<String> {
        let jobs = self.0.jobs.read();
        jobs.iter()
            .filter(|(_, entry)| entry.runner.read().is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn runner(&self, job_id: &str) -> Result<Arc<Runner>> {
        let entry = self.entry(job_id)?;
        let is_open = entry.status.read().state == State::Opened;
        let runner = entry.runner.read().clone().filter(|_| is_open);
        runner.ok_or_else(|| not_open(job_id))
    }

    pub(crate) fn entry(&self, job_id: &str) -> Result<Arc<Entry>> {
        self.0
            .jobs
            .read()
            .get(job_id)
            .cloned()
            .ok_or_else(|| JobError::no_such_job(job_id))
    }

    /// Refuses a job that was deleted while its life was waited for.
    pub(crate) fn still_there(&self, job_id: &str, entry: &Arc<Entry>) -> Result<()> {
        match self.entry(job_id) {
            Ok(now) if Arc::ptr_eq(&now, entry) => Ok(()),
            _ => Err(JobError::no_such_job(job_id)),
        }
    }

    pub(crate) fn select(&self, expression: &str, allow_no_match: bool) -> Result<Vec<Arc<Entry>>> {
        let jobs = self.0.jobs.read();
        let ids = Expression::parse(expression).select(
            jobs.iter()
                .map(|(id, entry)| (id.clone(), entry.job.read().groups.clone())),
            allow_no_match,
        )?;
        Ok(ids.iter().filter_map(|id| jobs.get(id).cloned()).collect())
    }

    /// Leaves a note about a job. That it can't be left is no reason to fail.
    pub async fn notify(&self, job_id: &str, level: &str, message: &str) {
        tracing::info!(job_id, message);
        if let Err(error) = self
            .0
            .store
            .notify(Some(job_id), level, message, self.now())
            .await
        {
            tracing::warn!(job_id, %error, "a notification could not be stored");
        }
    }
}

/// The id of the one node: made at the first start of a store.
async fn node_id(store: &Store) -> Result<String> {
    const KEY: &str = "node_id";
    if let Some(id) = store.meta(KEY).await? {
        return Ok(id);
    }
    let id = uuid::Uuid::new_v4().simple().to_string();
    store.set_meta(KEY, &id).await?;
    Ok(id)
}

/// What an open job must hear of a change of its configuration, beside its rules.
fn changes(old: &Job, new: &Job) -> Vec<Command> {
    let mut changes = Vec::new();
    if new.plot_options() != old.plot_options() {
        changes.push(Command::Plot(new.plot_options()));
    }
    if new.annotates() != old.annotates() {
        changes.push(Command::Annotate(new.annotates()));
    }
    if new.forest() != old.forest() {
        changes.extend(new.forest().map(Command::Forest));
    }
    let categories = new.categorization_options();
    if categories != old.categorization_options() {
        changes.extend(categories.map(Command::Categorize));
    }
    changes
}

fn rules_of(job: &Job) -> impl Iterator<Item = &Vec<CustomRule>> {
    let detectors = job.analysis_config.detectors.iter();
    detectors.map(|detector| &detector.custom_rules)
}
