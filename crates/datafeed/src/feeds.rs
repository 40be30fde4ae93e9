//! All datafeeds of a server: creating, finding, changing and deleting them. Their running is in `run`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_jobs::{Attached, BlockReason, JobError, Jobs, Result, pick};
use tidewatch_store::DatafeedRow;
use tokio::sync::Mutex;

use crate::config::{DatafeedConfig, DatafeedUpdate, NewDatafeed};
use crate::run::{Ending, Run, TimingStats};
use crate::source::Open;

/// All datafeeds of a server. Clones share them.
#[derive(Clone)]
pub struct Feeds(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub jobs: Jobs,
    pub feeds: RwLock<Catalogue>,
    /// Held while a datafeed comes, goes, changes or begins to run.
    pub changing: Mutex<()>,
    pub opener: Arc<dyn Open>,
    /// Those that run, by id.
    pub runs: RwLock<BTreeMap<String, Arc<Run>>>,
    /// Of those that ran, by id.
    pub timing: RwLock<BTreeMap<String, TimingStats>>,
    /// Whether late documents are counted in, where a job doesn't say.
    pub reprocess_late_data: bool,
}

#[derive(Default)]
pub(crate) struct Catalogue {
    by_id: BTreeMap<String, Arc<DatafeedConfig>>,
    /// The ids by those of their jobs.
    of_jobs: HashMap<String, String>,
}

impl Catalogue {
    fn keep(&mut self, config: Arc<DatafeedConfig>) {
        let id = &config.datafeed_id;
        self.of_jobs.insert(config.job_id.clone(), id.clone());
        self.by_id.insert(id.clone(), config);
    }

    fn remove(&mut self, datafeed_id: &str) {
        if let Some(config) = self.by_id.remove(datafeed_id) {
            self.of_jobs.remove(&config.job_id);
        }
    }
}

impl Feeds {
    /// Takes up the datafeeds of a store. Those that were started go on. `reprocess_late_data`: whether late documents
    /// are counted in where a job doesn't say.
    pub async fn start(
        jobs: Jobs,
        opener: Arc<dyn Open>,
        reprocess_late_data: bool,
    ) -> Result<Self> {
        let mut feeds = Catalogue::default();
        for row in jobs.store().datafeeds().await? {
            // The others are not to wait for one that is damaged.
            let config: DatafeedConfig = match serde_json::from_str(&row.config) {
                Ok(config) => config,
                Err(error) => {
                    let message = format!(
                        "The datafeed [{}] can't be read and is left alone: {error}",
                        row.datafeed_id
                    );
                    jobs.notify(&row.job_id, "error", &message).await;
                    continue;
                }
            };
            // A deletion that was cut short goes on, and takes the datafeed along.
            let is_going = |job: Job| {
                let blocked = job.blocked.map(|blocked| blocked.reason);
                blocked == Some(BlockReason::Delete)
            };
            if jobs.get(&row.job_id).is_ok_and(|job| !is_going(job)) {
                feeds.keep(Arc::new(config));
            }
        }
        let feeds = Self(Arc::new(Inner {
            jobs,
            feeds: RwLock::new(feeds),
            changing: Mutex::default(),
            opener,
            runs: RwLock::default(),
            timing: RwLock::default(),
            reprocess_late_data,
        }));
        feeds
            .0
            .jobs
            .attach(Arc::new(Hook(Arc::downgrade(&feeds.0))));
        feeds.go_on().await?;
        Ok(feeds)
    }

    /// Creates a datafeed.
    ///
    /// # Errors
    /// 404 without its job, 409 where the job has a datafeed, 400 where the id is taken or the configuration is refused.
    pub async fn create(
        &self,
        datafeed_id: &str,
        mut new: NewDatafeed,
    ) -> Result<Arc<DatafeedConfig>> {
        new.datafeed_id = Some(datafeed_id.to_owned());
        let config = new.build()?;
        let _changing = self.0.changing.lock().await;
        self.check_free_job(&config.job_id)?;
        config.fits(&self.0.jobs.get(&config.job_id)?)?;
        self.check_free_id(datafeed_id)?;
        if !self.0.jobs.store().insert_datafeed(&row(&config)).await? {
            return Err(taken(datafeed_id));
        }
        Ok(self.keep(config))
    }

    /// Creates a job and, where there is one for it, its datafeed: both or neither. The datafeed's ids are the job's
    /// where it names none. The warnings are deprecations that the client should hear of.
    pub async fn create_job(
        &self,
        job_id: &str,
        mut body: NewJob<NewDatafeed>,
    ) -> Result<(Job, Option<Arc<DatafeedConfig>>, Vec<String>)> {
        let Some(new) = body.datafeed_config.take() else {
            let (job, warnings) = self.0.jobs.create(job_id, body).await?;
            return Ok((job, None, warnings));
        };
        let _changing = self.0.changing.lock().await;
        let mut config = None;
        let created = self.0.jobs.create_with(job_id, body, |job| {
            let datafeed = new.for_job(job_id)?;
            datafeed.fits(job)?;
            self.check_free_id(&datafeed.datafeed_id)?;
            let row = row(&datafeed);
            config = Some(datafeed);
            Ok(Some(row))
        });
        let (job, warnings) = created.await?;
        Ok((job, config.map(|config| self.keep(config)), warnings))
    }

    /// Datafeeds by ids and wildcards, sorted by id.
    ///
    /// # Errors
    /// 404 for an id that isn't there, and for a wildcard that fits nothing unless that is allowed.
    pub fn find(&self, expression: &str, allow_no_match: bool) -> Result<Vec<Arc<DatafeedConfig>>> {
        let feeds = self.0.feeds.read();
        let picked = pick(
            feeds.by_id.keys().map(String::as_str),
            expression,
            allow_no_match,
            no_datafeed,
        )?;
        let picked = picked
            .into_iter()
            .filter_map(|id| feeds.by_id.get(id).cloned());
        Ok(picked.collect())
    }

    pub fn get(&self, datafeed_id: &str) -> Result<Arc<DatafeedConfig>> {
        let feeds = self.0.feeds.read();
        let found = feeds.by_id.get(datafeed_id).cloned();
        found.ok_or_else(|| no_datafeed(datafeed_id))
    }

    /// The datafeed of a job, if it has one.
    pub fn of_job(&self, job_id: &str) -> Option<Arc<DatafeedConfig>> {
        let feeds = self.0.feeds.read();
        feeds.by_id.get(feeds.of_jobs.get(job_id)?).cloned()
    }

    /// Changes a datafeed that is stopped.
    pub async fn update(
        &self,
        datafeed_id: &str,
        update: DatafeedUpdate,
    ) -> Result<Arc<DatafeedConfig>> {
        let _changing = self.0.changing.lock().await;
        let old = self.get(datafeed_id)?;
        self.check_stopped(datafeed_id, "update")?;
        let new = update.apply(&old)?;
        new.fits(&self.0.jobs.get(&new.job_id)?)?;
        let config = row(&new).config;
        match self
            .0
            .jobs
            .store()
            .save_datafeed(datafeed_id, &config)
            .await?
        {
            true => Ok(self.keep(new)),
            false => Err(no_datafeed(datafeed_id)),
        }
    }

    /// Deletes a datafeed; one that runs only by force, which ends it at once.
    pub async fn delete(&self, datafeed_id: &str, force: bool) -> Result<()> {
        let _changing = self.0.changing.lock().await;
        self.get(datafeed_id)?;
        match self.run_of(datafeed_id).filter(|_| force) {
            Some(run) => {
                run.cut_off(Ending::Isolated);
                run.ended().await;
            }
            None => self.check_stopped(datafeed_id, "delete")?,
        }
        self.0.jobs.store().delete_datafeed(datafeed_id).await?;
        self.0.feeds.write().remove(datafeed_id);
        self.0.timing.write().remove(datafeed_id);
        Ok(())
    }

    /// How many datafeeds there are in each state that there is one in.
    pub fn states(&self) -> BTreeMap<&'static str, u64> {
        let feeds: Vec<Arc<DatafeedConfig>> = {
            let feeds = self.0.feeds.read();
            feeds.by_id.values().cloned().collect()
        };
        let mut states = BTreeMap::new();
        for feed in feeds {
            *states.entry(self.status(&feed).state.name()).or_default() += 1;
        }
        states
    }

    /// Closes jobs, their datafeeds first: what they are just doing they end, unless by force.
    pub async fn close_jobs(
        &self,
        expression: &str,
        allow_no_match: bool,
        force: bool,
    ) -> Result<()> {
        let jobs = &self.0.jobs;
        let ids = jobs.to_close(expression, allow_no_match, force)?;
        let runs = ids.iter().filter_map(|job_id| {
            let feed = self.of_job(job_id)?;
            self.run_of(&feed.datafeed_id)
        });
        let runs: Vec<Arc<Run>> = runs.collect();
        for run in &runs {
            match force {
                true => run.cut_off(Ending::Isolated),
                false => run.stop(),
            }
        }
        for run in runs {
            run.ended().await;
        }
        jobs.close(expression, allow_no_match, force).await
    }

    fn keep(&self, config: DatafeedConfig) -> Arc<DatafeedConfig> {
        let config = Arc::new(config);
        self.0.feeds.write().keep(config.clone());
        config
    }

    fn check_free_id(&self, datafeed_id: &str) -> Result<()> {
        match self.0.feeds.read().by_id.contains_key(datafeed_id) {
            true => Err(taken(datafeed_id)),
            false => Ok(()),
        }
    }

    fn check_free_job(&self, job_id: &str) -> Result<()> {
        match self.of_job(job_id) {
            Some(other) => Err(JobError::conflict(format!(
                "A datafeed [{}] already exists for job [{job_id}]",
                other.datafeed_id
            ))),
            None => Ok(()),
        }
    }
}

/// What jobs know of datafeeds.
struct Hook(Weak<Inner>);

impl Attached for Hook {
    fn is_fed(&self, job_id: &str) -> bool {
        let feeds = self.0.upgrade().map(Feeds);
        feeds.is_some_and(|feeds| feeds.runs().iter().any(|run| run.plan().job_id == job_id))
    }

    fn let_go<'a>(&'a self, job_id: &'a str, force: bool) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let feeds = self.0.upgrade().map(Feeds);
            let Some((feeds, feed)) =
                feeds.and_then(|feeds| Some((feeds.clone(), feeds.of_job(job_id)?)))
            else {
                return Ok(());
            };
            feeds
                .delete(&feed.datafeed_id, force)
                .await
                .map_err(|error| {
                    JobError::conflict(format!(
                        "failed to delete job [{job_id}] as its datafeed [{}] could not be deleted",
                        feed.datafeed_id
                    ))
                    .because(error)
                })
        })
    }
}

fn row(config: &DatafeedConfig) -> DatafeedRow {
    DatafeedRow {
        datafeed_id: config.datafeed_id.clone(),
        job_id: config.job_id.clone(),
        config: serde_json::json!(config).to_string(),
        started: None,
        timing_stats: None,
    }
}

fn no_datafeed(datafeed_id: &str) -> JobError {
    JobError::not_found(format!("No datafeed with id [{datafeed_id}] exists"))
}

fn taken(datafeed_id: &str) -> JobError {
    JobError::already_exists(format!("A datafeed with id [{datafeed_id}] already exists"))
}
