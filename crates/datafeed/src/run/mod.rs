//! The life of a started datafeed: the past is read, then what comes, and all of it is handed to the job.
//!
//! What a job has seen is known by its engine alone, see [`Position`](tidewatch_jobs::Position). Each search begins
//! where the engine is, and a page is one command in the job's journal: so wherever a run is cut, by a stop or a
//! SIGKILL, the next goes on from exactly there.

mod delayed;
mod life;
mod plan;
mod problems;
mod reader;
mod reading;
mod sender;
mod start;
mod status;
mod timing;
mod undisturbed;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tidewatch_jobs::Jobs;
use tidewatch_model::counts::DataCounts;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use plan::{Chunks, Plan};
pub(crate) use start::refused;
pub use start::{StartRequest, StopRequest};
pub use status::{DatafeedState, RunningState, SearchInterval, Status};
pub use timing::{HourlyAverage, Shown as ShownTimingStats, TimingStats};

use crate::source::{Source, Window};
use life::Life;
use undisturbed::Undisturbed;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is over: the past is read, or it was asked to stop, or can't go on.
    Stopped {
        /// Why, where nobody asked for it.
        reason: Option<String>,
        /// Its job has nothing more to expect.
        close_job: bool,
    },
    /// It was cut off from its job, and does nothing more to it.
    Isolated,
    /// The server stops: the next one goes on with it.
    Left,
}

/// What a run is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    #[default]
    GoOn,
    Stop,
    Leave,
}

/// What is counted of a run, for those who watch the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Searches that failed.
    pub errors: u64,
    /// Records that were handed to the job.
    pub records: u64,
    /// Up to where the source has been read, epoch milliseconds.
    pub read_until: Option<i64>,
}

/// A run, as others see it.
pub struct Run {
    plan: Plan,
    shown: Arc<Shown>,
    asked: watch::Sender<Asked>,
    ended: watch::Sender<bool>,
    /// Of the task that lives it.
    life: Mutex<Option<AbortHandle>>,
    /// How it is to end, once it is cut off.
    cut_off: Mutex<Option<Ending>>,
}

/// What a run shows of itself.
struct Shown {
    status: watch::Sender<Status>,
    figures: RwLock<Figures>,
}

impl Shown {
    fn searches(&self, window: Window) {
        self.status.send_modify(|status| {
            if let Some(running) = &mut status.running_state {
                running.search_interval = Some(window.into());
            }
        });
    }

    fn searched(&self, took: Duration) {
        self.status
            .send_modify(|status| status.timing_stats.searched(took));
    }

    /// What the analysis of a page added to the counts of the job.
    fn analysed(&self, counts: &DataCounts) {
        self.status.send_modify(|status| {
            let latest = counts.latest_record_timestamp;
            status.timing_stats.analysed(counts.bucket_count, latest);
        });
        self.figures.write().records += counts.processed_record_count;
    }

    fn read_until(&self, time: i64) {
        let mut figures = self.figures.write();
        figures.read_until = figures.read_until.max(Some(time));
    }

    fn failed(&self) {
        self.figures.write().errors += 1;
    }
}

impl Run {
    /// Begins a run, which goes on by itself. `ended` is told once, whatever happens.
    pub fn begin(
        jobs: Jobs,
        source: Arc<dyn Source>,
        plan: Plan,
        timing: TimingStats,
        ended: impl FnOnce(Ending) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Arc<Self> {
        let status = Status {
            state: DatafeedState::Starting,
            is_assigned: false,
            assignment_explanation: Some(String::new()),
            running_state: Some(RunningState {
                real_time_configured: plan.end.is_none(),
                real_time_running: false,
                search_interval: None,
            }),
            timing_stats: timing,
        };
        let shown = Arc::new(Shown {
            status: watch::Sender::new(status),
            figures: RwLock::default(),
        });
        let run = Arc::new(Self {
            plan: plan.clone(),
            shown: shown.clone(),
            asked: watch::Sender::default(),
            ended: watch::Sender::new(false),
            life: Mutex::default(),
            cut_off: Mutex::default(),
        });
        let look_back_only = plan.end.is_some();
        let undisturbed = Undisturbed::default();
        let asked = run.asked.subscribe();
        let life = Life::new(jobs, source, plan, shown, undisturbed.clone(), asked);
        let life = tokio::spawn(life.run());
        *run.life.lock() = Some(life.abort_handle());
        let told = run.clone();
        tokio::spawn(async move {
            let ending = match life.await {
                Ok(ending) => ending,
                Err(error) if error.is_panic() => Ending::Stopped {
                    reason: Some(panicked(error.into_panic().as_ref())),
                    close_job: look_back_only,
                },
                Err(_) => told.cut_off.lock().take().unwrap_or(Ending::Isolated),
            };
            undisturbed.is_over().await;
            ended(ending).await;
            told.ended.send_replace(true);
        });
        run
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn status(&self) -> Status {
        self.shown.status.borrow().clone()
    }

    pub fn figures(&self) -> Figures {
        *self.shown.figures.read()
    }

    /// Asks it to stop once its running search has ended.
    pub fn stop(&self) {
        let stopping = |status: &mut Status| status.state = DatafeedState::Stopping;
        self.shown.status.send_modify(stopping);
        self.ask(Asked::Stop);
    }

    /// Asks it to let go: the server stops.
    pub fn leave(&self) {
        self.ask(Asked::Leave);
    }

    fn ask(&self, asked: Asked) {
        self.asked.send_if_modified(|now| {
            let is_first = *now == Asked::GoOn;
            if is_first {
                *now = asked;
            }
            is_first
        });
    }

    /// Cuts it off: nothing of it reaches the job any more once it has [`ended`](Self::ended), in the way that is given.
    pub fn cut_off(&self, ending: Ending) {
        *self.cut_off.lock() = Some(ending);
        if let Some(life) = self.life.lock().as_ref() {
            life.abort();
        }
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        // It can't fail: the sender is here.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Waits until it has begun, or is known to wait for its job: what it is then.
    pub async fn begun(&self) -> Status {
        self.shows(|status| {
            let waits = status.assignment_explanation.as_deref();
            status.state != DatafeedState::Starting || waits.is_some_and(|why| !why.is_empty())
        })
        .await;
        self.status()
    }

    /// Waits until it shows itself so, or has ended.
    async fn shows(&self, is_so: impl FnMut(&Status) -> bool) {
        let mut watched = self.shown.status.subscribe();
        tokio::select! {
            () = self.ended() => {}
            _ = watched.wait_for(is_so) => {}
        }
    }
}

fn panicked(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}
