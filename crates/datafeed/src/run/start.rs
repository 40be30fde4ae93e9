//! Datafeeds that run: their start, their stop, and what becomes of them when the server stops and starts.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tidewatch_jobs::config::Job;
use tidewatch_jobs::{JobError, Result, State, json};
use tokio::time::{Instant, timeout};

use super::life::UPGRADING;
use super::{Chunks, DatafeedState, Ending, Plan, Run, Status, TimingStats};
use crate::config::{ChunkingMode, DatafeedConfig};
use crate::feeds::Feeds;
use crate::source::{Source, SourceError};

/// How long runs are waited for when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// What `_start` asks for. Times are epoch milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct StartRequest {
    pub start: i64,
    /// After `start`; none to go on in real time.
    pub end: Option<i64>,
    pub timeout: Duration,
}

/// What `_stop` asks for.
#[derive(Debug, Clone, Copy)]
pub struct StopRequest {
    pub allow_no_match: bool,
    /// Cuts the datafeed off, and waits for nothing.
    pub force: bool,
    pub timeout: Duration,
    /// Closes the jobs as well.
    pub close_job: bool,
}

/// What the store keeps of a datafeed that is started.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Started {
    start: i64,
    end: Option<i64>,
    /// When it was started.
    at: i64,
}

impl Feeds {
    /// Starts a datafeed. `false`: it waits for its job.
    ///
    /// # Errors
    /// 404 without the datafeed or what it reads; 409 where the job is not open or the datafeed runs; what the source
    /// refuses; 503 where the source has not answered in time, and nothing is begun; 500 where it has not begun in
    /// time, and goes on to begin.
    pub async fn start_feed(&self, datafeed_id: &str, request: StartRequest) -> Result<bool> {
        let jobs = &self.0.jobs;
        if jobs.cluster().upgrade_mode() {
            return Err(JobError::no_room(
                "Cannot perform cluster:admin/xpack/ml/datafeed/start action while upgrade mode is enabled",
            ));
        }
        let config = self.get(datafeed_id)?;
        let job = jobs.get(&config.job_id)?;
        config.fits(&job)?;
        self.check_job(&config)?;
        let source = self.source(&config, &job)?;
        let asked_at = Instant::now();
        let timed_out = || {
            let patience = human(request.timeout);
            format!("Starting datafeed [{datafeed_id}] timed out after [{patience}]")
        };
        // Nobody else waits for a source that takes its time.
        let checked = timeout(request.timeout, source.check()).await;
        let silent = |_| SourceError::Unavailable(timed_out() + ": its source has not answered");
        checked.map_err(silent).flatten().map_err(refused)?;
        let run = {
            let _changing = self.0.changing.lock().await;
            if !Arc::ptr_eq(&config, &self.get(datafeed_id)?) {
                return Err(JobError::conflict(format!(
                    "cannot start datafeed [{datafeed_id}] because it has just been changed"
                )));
            }
            self.check_job(&config)?;
            if self.run_of(datafeed_id).is_some() {
                return Err(JobError::conflict(format!(
                    "cannot start datafeed [{datafeed_id}] because it has already been started"
                )));
            }
            if !jobs.cluster().may_assign() {
                return Err(JobError::no_room(
                    "Could not start datafeed, allocation explanation [no persistent task assignments are allowed due \
                     to cluster settings]",
                ));
            }
            let started = Started {
                start: request.start,
                end: request.end,
                at: jobs.now(),
            };
            let kept = json(&started);
            jobs.store()
                .set_datafeed_started(datafeed_id, Some(&kept))
                .await?;
            self.begin(&config, &job, source, started)
        };
        let left = request.timeout.saturating_sub(asked_at.elapsed());
        let begun = timeout(left, run.begun()).await;
        let status = begun.map_err(|_| JobError::internal(timed_out()))?;
        // One that has ended already had begun.
        Ok(status.is_assigned || status.state != DatafeedState::Starting)
    }

    fn check_job(&self, config: &DatafeedConfig) -> Result<()> {
        let state = self.0.jobs.standing(&config.job_id)?.state;
        match state {
            State::Opening | State::Opened => Ok(()),
            state => Err(JobError::conflict(format!(
                "cannot start datafeed [{}] because job [{}] is {}",
                config.datafeed_id,
                config.job_id,
                state.name()
            ))),
        }
    }

    /// What a datafeed reads from. Nothing is asked of it yet.
    pub fn source(&self, config: &DatafeedConfig, job: &Job) -> Result<Arc<dyn Source>> {
        let source = self.0.opener.open(config.wanted(job));
        source.map(Arc::from).map_err(refused)
    }

    fn begin(
        &self,
        config: &Arc<DatafeedConfig>,
        job: &Job,
        source: Arc<dyn Source>,
        started: Started,
    ) -> Arc<Run> {
        let jobs = &self.0.jobs;
        let timing = self.timing_stats(config);
        let (feeds, of) = (Arc::downgrade(&self.0), config.clone());
        let ended = move |ending| {
            let ended: futures_util::future::BoxFuture<'static, ()> = Box::pin(async move {
                if let Some(feeds) = feeds.upgrade() {
                    Feeds(feeds).ended(&of, ending).await;
                }
            });
            ended
        };
        let plan = self.plan(config, job, started);
        let run = Run::begin(jobs.clone(), source, plan, timing, ended);
        let mut runs = self.0.runs.write();
        runs.insert(config.datafeed_id.clone(), run.clone());
        run
    }

    fn plan(&self, config: &DatafeedConfig, job: &Job, started: Started) -> Plan {
        let span = job.analysis_config.bucket_span;
        let bucket_span = job.analysis_config.span().saturating_mul(1_000);
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let chunking = &config.chunking_config;
        let check = &config.delayed_data_check_config;
        Plan {
            datafeed_id: config.datafeed_id.clone(),
            job_id: config.job_id.clone(),
            started_at: started.at,
            start: started.start,
            end: started.end,
            frequency: millis(config.frequency_for(span).as_duration()).max(1),
            query_delay: millis(config.query_delay.as_duration()),
            bucket_span,
            chunks: match (chunking.mode, chunking.time_span) {
                (ChunkingMode::Off, _) => Chunks::Off,
                (_, Some(span)) => Chunks::Manual {
                    span: millis(span.as_duration()).max(1),
                },
                _ => Chunks::Auto {
                    page: u64::from(config.scroll_size).max(1),
                },
            },
            interval: config
                .histogram()
                .map(|histogram| histogram.interval.max(1)),
            max_empty_searches: config.max_empty_searches,
            check_window: (check.enabled).then(|| check.window_for(span).saturating_mul(1_000)),
            check_interval: millis(self.0.jobs.cluster().delayed_data_check()),
            reprocess_late_data: reprocesses(job).unwrap_or(self.0.reprocess_late_data),
        }
    }

    /// A run is over.
    async fn ended(&self, config: &DatafeedConfig, ending: Ending) {
        let (jobs, job_id) = (&self.0.jobs, &config.job_id);
        let (message, close_job) = match ending {
            Ending::Left => return,
            Ending::Isolated => ("Datafeed isolated".to_owned(), false),
            Ending::Stopped { reason, close_job } => {
                let message = match reason {
                    Some(reason) => format!("Datafeed stopped with reason [{reason}]"),
                    None => "Datafeed stopped".to_owned(),
                };
                (message, close_job)
            }
        };
        jobs.notify(job_id, "info", &message).await;
        // Before it is known to have stopped: what a crash cuts short between is seen at the next start.
        let is_open = |state| state == State::Opened;
        if close_job && jobs.standing(job_id).is_ok_and(|job| is_open(job.state)) {
            // It may have been closed meanwhile, or be deleted just now.
            if let Err(error) = jobs.close(job_id, true, false).await {
                tracing::warn!(job_id, %error, "the job of a datafeed that is done could not be closed");
            }
        }
        let timing = (self.run_of(&config.datafeed_id)).map(|run| run.status().timing_stats);
        self.remember_timing(&config.datafeed_id, timing);
        let id = &config.datafeed_id;
        if let Err(error) = jobs.store().set_datafeed_started(id, None).await {
            tracing::error!(datafeed_id = id, %error, "the end of the datafeed could not be stored");
        }
        self.0.runs.write().remove(id);
    }

    /// Stops datafeeds. Stopping one that doesn't run is no error.
    ///
    /// # Errors
    /// 404 where nothing fits; 408 where one has not stopped in time: it goes on to stop.
    pub async fn stop_feeds(&self, expression: &str, request: StopRequest) -> Result<()> {
        let configs = self.find(expression, request.allow_no_match)?;
        let runs = configs
            .iter()
            .filter_map(|config| self.run_of(&config.datafeed_id));
        let runs: Vec<Arc<Run>> = runs.collect();
        for run in &runs {
            match request.force {
                true => run.cut_off(Ending::Stopped {
                    reason: None,
                    close_job: run.plan().end.is_some(),
                }),
                false => run.stop(),
            }
        }
        let stopped = join_all(runs.iter().map(|run| run.ended()));
        if timeout(request.timeout, stopped).await.is_err() {
            return Err(JobError::timed_out(format!(
                "Timed out when waiting for persistent tasks after {}",
                human(request.timeout)
            )));
        }
        if request.close_job {
            for config in configs {
                self.0
                    .jobs
                    .close(&config.job_id, true, request.force)
                    .await?;
            }
        }
        Ok(())
    }

    /// How a datafeed is.
    pub fn status(&self, config: &DatafeedConfig) -> Status {
        match self.run_of(&config.datafeed_id) {
            Some(run) => run.status(),
            None => Status {
                timing_stats: self.timing_stats(config),
                ..Status::default()
            },
        }
    }

    /// Waits until upgrade mode, which has just begun or ended, shows in all that run.
    pub async fn heed_upgrade_mode(&self, patience: Duration) {
        let is_on = self.0.jobs.cluster().upgrade_mode();
        let runs = self.runs();
        let heeded = runs.iter().map(|run| {
            run.shows(move |status| {
                let explanation = status.assignment_explanation.as_deref();
                (explanation == Some(UPGRADING)) == is_on
            })
        });
        // One that is in a long search heeds it when that has ended.
        let _ = timeout(patience, join_all(heeded)).await;
    }

    /// What runs now, by the datafeeds' ids.
    pub fn runs(&self) -> Vec<Arc<Run>> {
        self.0.runs.read().values().cloned().collect()
    }

    pub(crate) fn run_of(&self, datafeed_id: &str) -> Option<Arc<Run>> {
        self.0.runs.read().get(datafeed_id).cloned()
    }

    /// Refuses to change or delete a datafeed that runs: `what` is the verb.
    pub(crate) fn check_stopped(&self, datafeed_id: &str, what: &str) -> Result<()> {
        match self.run_of(datafeed_id) {
            None => Ok(()),
            Some(run) => Err(JobError::conflict(format!(
                "Cannot {what} datafeed [{datafeed_id}] while its status is {}",
                run.status().state.name()
            ))),
        }
    }

    /// Goes on with the datafeeds that were started when the server ended.
    pub(crate) async fn go_on(&self) -> Result<()> {
        for row in self.0.jobs.store().datafeeds().await? {
            if let Some(timing) = &row.timing_stats {
                let timing: Option<TimingStats> = serde_json::from_str(timing).ok();
                self.remember_timing(&row.datafeed_id, timing);
            }
            let (Some(started), Ok(config)) = (row.started, self.get(&row.datafeed_id)) else {
                continue;
            };
            // One of them is not to keep the others from going on.
            if let Err(error) = self.take_up(&config, &started).await {
                tracing::error!(datafeed_id = row.datafeed_id, %error, "the datafeed can't go on");
                let reason = Some(error.to_string());
                let close_job = false;
                self.ended(&config, Ending::Stopped { reason, close_job })
                    .await;
            }
        }
        Ok(())
    }

    async fn take_up(&self, config: &Arc<DatafeedConfig>, started: &str) -> Result<()> {
        let started: Started = serde_json::from_str(started)
            .map_err(|error| JobError::internal(format!("its start can't be read: {error}")))?;
        let jobs = &self.0.jobs;
        if started.end.is_some() && jobs.standing(&config.job_id)?.state == State::Closed {
            // It was done, and had closed its job.
            let (reason, close_job) = (None, false);
            self.ended(config, Ending::Stopped { reason, close_job })
                .await;
            return Ok(());
        }
        let job = jobs.get(&config.job_id)?;
        self.check_job(config)?;
        let source = self.source(config, &job)?;
        self.begin(config, &job, source, started);
        Ok(())
    }

    /// Lets all go, before the jobs are saved. They stay started.
    pub async fn shut_down(&self) {
        let runs = self.runs();
        for run in &runs {
            run.leave();
        }
        let ended = || join_all(runs.iter().map(|run| run.ended()));
        if timeout(GRACE, ended()).await.is_err() {
            for run in &runs {
                run.cut_off(Ending::Left);
            }
            ended().await;
        }
    }

    fn timing_stats(&self, config: &DatafeedConfig) -> TimingStats {
        let kept = self.0.timing.read().get(&config.datafeed_id).cloned();
        kept.unwrap_or_else(|| TimingStats::new(&config.job_id))
    }

    fn remember_timing(&self, datafeed_id: &str, timing: Option<TimingStats>) {
        if let Some(timing) = timing {
            self.0.timing.write().insert(datafeed_id.to_owned(), timing);
        }
    }
}

/// Whether a job wants late documents counted in, where it says so: an extension, in its `custom_settings`.
fn reprocesses(job: &Job) -> Option<bool> {
    let settings = job.custom_settings.as_ref()?;
    settings.get("reprocess_late_data")?.as_bool()
}

/// Why a source can't be read, as an answer has it.
pub(crate) fn refused(error: SourceError) -> JobError {
    match error {
        SourceError::Unavailable(reason) => JobError::new(503, "status_exception", reason),
        SourceError::Refused {
            status,
            kind,
            reason,
        } => JobError::new(status, kind, reason),
    }
}

/// As Elasticsearch writes a timeout.
fn human(duration: Duration) -> String {
    match (duration.as_millis(), duration.as_secs()) {
        (millis, _) if millis % 1_000 != 0 => format!("{millis}ms"),
        (_, seconds) if seconds % 60 != 0 || seconds == 0 => format!("{seconds}s"),
        (_, seconds) => format!("{}m", seconds / 60),
    }
}
