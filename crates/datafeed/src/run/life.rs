//! A run from its beginning to its end: the past, then cycle after cycle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidewatch_jobs::tasks::{Held, Kind, NewTask};
use tidewatch_jobs::{FlushRequest, JobError, Jobs, Standing, State, iso};
use tokio::sync::watch;

use super::delayed::Delayed;
use super::problems::{Problems, Told};
use super::reader::Reader;
use super::reading::Reading;
use super::sender::Sender;
use super::undisturbed::Undisturbed;
use super::{Asked, DatafeedState, Ending, Plan, Shown};
use crate::source::{Source, SourceError, Window};

const AWAITING_JOB: &str = "datafeed awaiting job assignment.";
pub(super) const UPGRADING: &str =
    "persistent task cannot be assigned while upgrade mode is enabled.";
const EXTRACTION: &str = "Datafeed is encountering errors extracting data";
const ANALYSIS: &str = "Datafeed is encountering errors submitting data for analysis";

pub(super) struct Life {
    pub jobs: Jobs,
    pub source: Arc<dyn Source>,
    pub plan: Plan,
    pub shown: Arc<Shown>,
    pub undisturbed: Undisturbed,
    asked: watch::Receiver<Asked>,
    problems: Problems,
    /// Since when the job has all that the source has; none before that is known.
    pub reading: Option<Reading>,
    pub delayed: Delayed,
    /// A model snapshot of the beginning is still to be stored, to which the job can be taken back.
    wants_way_back: bool,
    /// Whether the job ever saw a record.
    has_seen_any: bool,
    /// Records of the look-back, over all of its tries.
    looked_back_on: u64,
    was_start_told: bool,
    /// Searches of the timing stats that are stored.
    searches_kept: AtomicU64,
    /// While it has its job.
    task: Option<Held>,
}

/// Why a run ends.
pub(super) enum Halt {
    Stop,
    Leave,
    /// Nothing is left to do.
    Done,
    /// The job is no longer open.
    JobGone,
    /// It can't go on, or has no reason to.
    Because {
        reason: String,
        close_job: bool,
    },
}

/// Why a search came to nothing.
pub(super) enum Trouble {
    Source(SourceError),
    Job(JobError),
    Halt(Halt),
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<JobError> for Trouble {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl Life {
    pub fn new(
        jobs: Jobs,
        source: Arc<dyn Source>,
        plan: Plan,
        shown: Arc<Shown>,
        undisturbed: Undisturbed,
        asked: watch::Receiver<Asked>,
    ) -> Self {
        Self {
            problems: Problems::new(plan.searches_a_day()),
            delayed: Delayed::default(),
            wants_way_back: false,
            reading: None,
            has_seen_any: false,
            looked_back_on: 0,
            was_start_told: false,
            searches_kept: AtomicU64::new(0),
            task: None,
            jobs,
            source,
            plan,
            shown,
            undisturbed,
            asked,
        }
    }

    pub async fn run(mut self) -> Ending {
        let halt = match self.live().await {
            Err(halt) => halt,
            Ok(never) => match never {},
        };
        self.keep_timing(true).await;
        let is_look_back_only = self.plan.end.is_some();
        let (reason, close_job) = match halt {
            Halt::Leave => return Ending::Left,
            Halt::Stop | Halt::JobGone => (None, is_look_back_only),
            Halt::Done => (None, true),
            Halt::Because { reason, close_job } => (Some(reason), close_job || is_look_back_only),
        };
        Ending::Stopped { reason, close_job }
    }

    async fn live(&mut self) -> Result<std::convert::Infallible, Halt> {
        loop {
            let outcome = self.look_back().await;
            match self.settle(outcome).await? {
                Some(()) => break,
                None => self.pause_after_failure().await?,
            }
        }
        self.shown.status.send_modify(|status| {
            if let Some(running) = &mut status.running_state {
                running.real_time_running = true;
            }
        });
        let mut next = self.plan.next_search(self.jobs.now());
        loop {
            self.pause_until(next).await?;
            let outcome = self.cycle().await;
            next = match self.settle(outcome).await? {
                Some(()) => self.plan.next_search(self.jobs.now()),
                // Sooner, if that is after a failure.
                None => self.retry_at().min(self.plan.next_search(self.jobs.now())),
            };
        }
    }

    /// Tells what became of a try; `None`: it is to be tried again.
    async fn settle<T>(&mut self, outcome: Result<T, Trouble>) -> Result<Option<T>, Halt> {
        self.keep_timing(false).await;
        let (told, fatal) = match outcome {
            Ok(value) => {
                let told = self.problems.succeeded();
                self.tell(told).await;
                return Ok(Some(value));
            }
            Err(Trouble::Halt(halt)) => return Err(halt),
            Err(Trouble::Source(error)) => {
                let is_refused = matches!(error, SourceError::Refused { .. });
                let reason = error.to_string();
                let told = self.problems.failed(EXTRACTION, &reason);
                (told, is_refused.then_some(reason))
            }
            Err(Trouble::Job(error)) => {
                let is_closed = error.status == 409 && !self.jobs.cluster().upgrade_mode();
                let told = self.problems.failed(ANALYSIS, &error.reason);
                if is_closed {
                    self.tell(told).await;
                    return Err(Halt::JobGone);
                }
                if error.status == 400 {
                    // No other time will do better.
                    self.tell(told).await;
                    let (reason, close_job) = (error.reason, false);
                    return Err(Halt::Because { reason, close_job });
                }
                // Upgrade mode is no problem: it is waited for.
                (told.filter(|_| error.status != 409), None)
            }
        };
        self.shown.failed();
        self.tell(told).await;
        match fatal {
            Some(reason) if self.plan.end.is_some() => Err(Halt::Because {
                reason,
                close_job: true,
            }),
            _ => Ok(None),
        }
    }

    /// The past, up to the end, or to what is young enough that documents of it may still come.
    async fn look_back(&mut self) -> Result<(), Trouble> {
        self.ready().await?;
        let start = self.from().await?;
        let end = self.plan.end_of_look_back(self.jobs.now());
        let is_all = self.plan.end.is_some();
        if end <= start {
            if is_all {
                return Err(Halt::Done.into());
            }
            self.tell_start("Datafeed started in real-time".to_owned())
                .await;
            return Ok(());
        }
        let until = match is_all {
            true => iso(end),
            false => "real-time".to_owned(),
        };
        let (from, frequency) = (iso(start), self.plan.frequency);
        self.tell_start(format!(
            "Datafeed started (from: {from} to: {until}) with frequency [{frequency}ms]"
        ))
        .await;
        self.looked_back_on += self.read(Window { start, end }).await?;
        let interim = FlushRequest {
            calc_interim: true,
            ..FlushRequest::default()
        };
        self.flush(interim).await?;
        if self.looked_back_on == 0 {
            if is_all {
                self.tell(("warning", "Datafeed lookback retrieved no data"))
                    .await;
                return Err(Halt::Done.into());
            }
            let told = self.problems.found_nothing();
            self.tell(told).await;
            return Ok(());
        }
        if !is_all {
            // Where it can't be stored now, it is later.
            if let Err(error) = self.jobs.persist(&self.plan.job_id).await {
                tracing::warn!(job_id = self.plan.job_id, %error, "no model snapshot after the look-back");
            }
        }
        self.tell(("info", "Datafeed lookback completed")).await;
        if is_all {
            return Err(Halt::Done.into());
        }
        self.tell(("info", "Datafeed continued in real-time")).await;
        Ok(())
    }

    /// One search in real time, and what follows from it.
    async fn cycle(&mut self) -> Result<(), Trouble> {
        self.ready().await?;
        self.read_on().await?;
        while self.check_for_late_documents().await? {
            // Late ones are to be counted in: the job is where it was before them.
            self.read_on().await?;
        }
        Ok(())
    }

    /// From where the job is to the end of what is old enough.
    async fn read_on(&mut self) -> Result<(), Trouble> {
        let start = self.from().await?;
        let end = self.plan.end_in_real_time(self.jobs.now());
        if end <= start {
            return Ok(());
        }
        let records = self.read(Window { start, end }).await?;
        let flush = FlushRequest {
            calc_interim: true,
            advance_time: Some(end),
            ..FlushRequest::default()
        };
        self.flush(flush).await?;
        if records > 0 {
            let told = self.problems.found_some();
            self.tell(told).await;
            return Ok(());
        }
        let told = self.problems.found_nothing();
        self.tell(told).await;
        let (empty, job_id) = (self.problems.empty_searches(), &self.plan.job_id);
        match self.plan.max_empty_searches {
            Some(most) if !self.has_seen_any && empty >= u64::from(most) => Err(Halt::Because {
                reason: format!(
                    "Datafeed for [{job_id}] has seen no data in [{empty}] attempts, and never seen any data \
                     previously, so stopping..."
                ),
                close_job: true,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Reads a window to its end and has it analysed. Gives the number of records that the job took.
    async fn read(&mut self, window: Window) -> Result<u64, Trouble> {
        let mut reader = Reader::new(&self.source, &self.plan, &self.shown, window);
        let mut sender = Sender::new(
            &self.jobs,
            &self.plan.job_id,
            &self.shown,
            &self.undisturbed,
        );
        let mut outcome: Result<(), Trouble> = Ok(());
        let mut next = reader.next().await?;
        while let Some(page) = next.take() {
            // What is asked meanwhile waits for this page; a search that runs is not broken off.
            if heed(&self.asked).is_err() {
                outcome = sender.send(page).await.map_err(Trouble::from);
                break;
            }
            let (read, sent) = tokio::join!(reader.next(), sender.send(page));
            self.keep_timing(false).await;
            match sent.map_err(Trouble::from).and(read.map_err(Trouble::from)) {
                Ok(page) => next = page,
                Err(trouble) => {
                    outcome = Err(trouble);
                    break;
                }
            }
        }
        let drained = sender.drain().await;
        let records = sender.records;
        self.has_seen_any |= records > 0;
        heed(&self.asked)?;
        outcome?;
        drained?;
        self.shown.read_until(window.end);
        Ok(records)
    }

    async fn flush(&self, flush: FlushRequest) -> Result<Option<i64>, JobError> {
        let (jobs, job_id) = (self.jobs.clone(), self.plan.job_id.clone());
        let flush = async move { jobs.flush(&job_id, flush).await };
        self.undisturbed.run(flush).await
    }

    /// Where to go on: where the job is. A gap before the start is jumped over.
    async fn from(&mut self) -> Result<i64, Trouble> {
        let position = self.jobs.position(&self.plan.job_id).await?;
        self.has_seen_any |= position.latest_record.is_some();
        let (reading, is_new) = match self.reading {
            Some(reading) => (reading, false),
            None => self.decide(position.next()).await?,
        };
        self.reading = Some(reading);
        let from = match position.next() {
            None => reading.since,
            Some(next) if next >= reading.since => next,
            Some(_) => {
                let skip = FlushRequest {
                    skip_time: Some(reading.since),
                    ..FlushRequest::default()
                };
                let end = self.flush(skip).await?;
                end.unwrap_or(reading.since).max(reading.since)
            }
        };
        self.wants_way_back |= is_new && self.plan.reprocess_late_data && !reading.from_empty;
        if self.wants_way_back {
            self.jobs.persist(&self.plan.job_id).await?;
            self.wants_way_back = false;
        }
        Ok(self.plan.ceil(from))
    }

    /// Waits until the job takes records.
    async fn ready(&mut self) -> Result<(), Halt> {
        let mut steps = self.jobs.steps();
        loop {
            steps.mark_unchanged();
            heed(&self.asked)?;
            let Ok(standing) = self.jobs.standing(&self.plan.job_id) else {
                return Err(Halt::JobGone);
            };
            self.show(standing);
            if standing.is_running {
                return Ok(());
            }
            if !matches!(standing.state, State::Opening | State::Opened) {
                let reason = tidewatch_jobs::not_open(&self.plan.job_id).reason;
                let told = self.problems.failed(ANALYSIS, &reason);
                self.tell(told).await;
                return Err(Halt::JobGone);
            }
            tokio::select! {
                _ = steps.changed() => {}
                _ = self.asked.changed() => {}
            }
        }
    }

    /// Shows whether the job is there for it, and is listed as a task while it is.
    fn show(&mut self, standing: Standing) {
        let explanation = match standing.is_waiting {
            false => "",
            true if self.jobs.cluster().upgrade_mode() => UPGRADING,
            true => AWAITING_JOB,
        };
        if standing.is_waiting {
            self.task = None;
        } else {
            self.task.get_or_insert_with(|| {
                self.jobs.tasks().hold(NewTask {
                    kind: Kind::Persistent,
                    action: "xpack/ml/datafeed[c]",
                    description: format!("datafeed-{}", self.plan.datafeed_id),
                    is_cancellable: true,
                })
            });
        }
        self.shown.status.send_modify(|status| {
            if status.state == DatafeedState::Starting && !standing.is_waiting {
                status.state = DatafeedState::Started;
            }
            status.is_assigned = !standing.is_waiting;
            status.assignment_explanation = Some(explanation.to_owned());
        });
    }

    fn retry_at(&mut self) -> i64 {
        let pause = i64::try_from(self.problems.pause().as_millis()).unwrap_or(i64::MAX);
        self.jobs.now().saturating_add(pause)
    }

    async fn pause_after_failure(&mut self) -> Result<(), Halt> {
        let until = self.retry_at();
        self.pause_until(until).await
    }

    /// Sleeps by the jobs' clock, unless it is asked to end, or its job has ended.
    async fn pause_until(&mut self, until: i64) -> Result<(), Halt> {
        let clock = self.jobs.settings().clock.clone();
        let sleep = clock.sleep_until(until);
        tokio::pin!(sleep);
        let mut steps = self.jobs.steps();
        loop {
            heed(&self.asked)?;
            match self.jobs.standing(&self.plan.job_id) {
                Ok(job) if matches!(job.state, State::Opening | State::Opened) => self.show(job),
                // It says why.
                _ => return self.ready().await,
            }
            tokio::select! {
                () = &mut sleep => return Ok(()),
                _ = steps.changed() => {}
                _ = self.asked.changed() => {}
            }
        }
    }

    /// Keeps how long searches took, once that has become more by a tenth; `all` in any case.
    async fn keep_timing(&self, all: bool) {
        let (timing, stored) = {
            let status = self.shown.status.borrow();
            let stored = self.searches_kept.load(Relaxed);
            let searches = status.timing_stats.search_count;
            if searches == stored || !(all || searches * 10 > stored * 11) {
                return;
            }
            (status.timing_stats.clone(), searches)
        };
        let kept = tidewatch_jobs::json(&timing);
        let kept = self
            .jobs
            .store()
            .save_datafeed_timing(&self.plan.datafeed_id, &kept);
        match kept.await {
            Ok(_) => self.searches_kept.store(stored, Relaxed),
            Err(error) => tracing::warn!(%error, "the timing stats could not be stored"),
        }
    }

    async fn tell_start(&mut self, message: String) {
        if !std::mem::replace(&mut self.was_start_told, true) {
            self.tell(("info", message.as_str())).await;
        }
    }

    pub async fn tell(&self, told: impl Into<ToTell>) {
        let ToTell(told) = told.into();
        if let Some((level, message)) = told {
            self.jobs.notify(&self.plan.job_id, level, &message).await;
        }
    }
}

/// What may be there to be told.
pub(super) struct ToTell(Option<Told>);

impl From<Option<Told>> for ToTell {
    fn from(told: Option<Told>) -> Self {
        Self(told)
    }
}

impl From<(&'static str, &str)> for ToTell {
    fn from((level, message): (&'static str, &str)) -> Self {
        Self(Some((level, message.to_owned())))
    }
}

/// Refuses to go on where the end is asked for.
fn heed(asked: &watch::Receiver<Asked>) -> Result<(), Halt> {
    match *asked.borrow() {
        Asked::GoOn => Ok(()),
        Asked::Stop => Err(Halt::Stop),
        Asked::Leave => Err(Halt::Leave),
    }
}
