//! The way to an open job: what is asked of it is journalled, and handed to its actor in that order.
//!
//! Whatever changes the engine is a [`Command`]. It is written to the job's journal first, which makes it accepted,
//! and applied after that; the state is saved from time to time, and what the saved state holds is cut from the
//! journal. So the engine after a crash is the one that was, and it says the same again.

use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tidewatch_model::categorize::CategorizationOptions;
use tidewatch_model::counts::DataCounts;
use tidewatch_model::engine::{Engine, Flush, Options, PlotOptions};
use tidewatch_model::forest::ForestConfig;
use tidewatch_model::record::RecordBatch;
use tidewatch_model::rules::RuleSet;
use tidewatch_store::Store;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::actor::Actor;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::error::{JobError, Result};
use crate::live::Live;
use crate::pool::Pool;
use crate::recorder::Recorder;
use crate::tasks::Held;

/// Commands that may wait for the engine before senders do.
const QUEUE: usize = 8;
/// Bytes of the largest command: a little less than a row of SQLite's may have.
const LARGEST: u64 = 990_000_000;

/// What changes an engine. Journals hold these: a variant's place and fields never change.
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    Records(RecordBatch),
    Flush(Flush),
    /// The settings of a run, as its first command.
    Configure(Options),
    Plot(PlotOptions),
    Rules(RuleSet),
    /// A setting of a run as well: seconds of the past that scores are set against; none for the usual, 0 for none.
    Renormalise(Option<i64>),
    /// The settings of the categories, after those of the run or when they change.
    Categorize(CategorizationOptions),
    /// Whether changes of the models are annotated: a setting of a run, too.
    Annotate(bool),
    /// Buckets that are going to be sent again: their starts, epoch milliseconds, the end exclusive.
    Forget {
        start: i64,
        end: i64,
    },
    /// The settings of forests, at the start of a run or when they change.
    Forest(ForestConfig),
}

/// What applying a command gave.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What the command added to the counts.
    pub counts: DataCounts,
    /// Epoch milliseconds.
    pub last_finalized_bucket_end: Option<i64>,
}

/// A saved engine, and what belongs to it.
pub struct Saved {
    pub state: Vec<u8>,
    pub live: Live,
}

pub(crate) enum Request {
    Apply {
        seq: i64,
        bytes: u64,
        command: Command,
        reply: oneshot::Sender<Result<Applied>>,
    },
    Interim {
        start: Option<i64>,
        end: Option<i64>,
        reply: oneshot::Sender<Result<Applied>>,
    },
    /// Shows the engine to someone.
    Look {
        look: Box<dyn FnOnce(&Engine) + Send>,
    },
    /// Saves the state, and cuts the journal by it.
    Checkpoint {
        reply: oneshot::Sender<Result<Saved>>,
    },
}

/// The way to an open job.
pub struct Runner {
    job_id: Arc<str>,
    store: Store,
    queue: Mutex<Queue>,
    /// It is listed as a task as long as it is there.
    _task: Held,
}

struct Queue {
    next: i64,
    /// Gone once the job is closing.
    requests: Option<mpsc::Sender<Request>>,
}

pub struct Start {
    pub job_id: Arc<str>,
    pub engine: Engine,
    /// The number of the last command that the engine holds.
    pub applied: i64,
    pub live: Arc<RwLock<Live>>,
    pub clock: Clock,
    pub checkpoint_bytes: u64,
    pub cluster: Arc<Cluster>,
    pub task: Held,
    /// Called once, when the engine is lost.
    pub on_failure: Box<dyn FnOnce(String) + Send>,
}

impl Runner {
    /// Applies what the journal still holds, then takes requests.
    pub async fn start(store: Store, pool: Pool, start: Start) -> Result<Arc<Self>> {
        let Start {
            job_id,
            engine,
            applied,
            live,
            clock,
            checkpoint_bytes,
            cluster,
            task,
            on_failure,
        } = start;
        let mut actor = Actor {
            recorder: Recorder {
                job_id: job_id.clone(),
                store: store.clone(),
                cluster,
                clock,
            },
            pool,
            engine: Some(Box::new(engine)),
            applied,
            journal_bytes: 0,
            checkpoint_bytes,
            live,
            writing: None,
            has_interim: true,
            replays: false,
        };
        actor.replay().await?;
        let (requests, inbox) = mpsc::channel(QUEUE);
        let queue = Mutex::new(Queue {
            next: actor.applied + 1,
            requests: Some(requests),
        });
        tokio::spawn(actor.run(inbox, on_failure));
        Ok(Arc::new(Self {
            job_id,
            store,
            queue,
            _task: task,
        }))
    }

    /// Journals a command and hands it to the engine. Returns once it is durable; the receiver tells when it has been
    /// applied. It runs to its end even if the caller goes away: the journal and the queue must agree.
    pub async fn submit(
        self: &Arc<Self>,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Applied>>> {
        let this = self.clone();
        let submission = tokio::spawn(async move {
            let payload = postcard::to_stdvec(&command)
                .map_err(|error| JobError::internal(error.to_string()))?;
            let bytes = payload.len() as u64;
            if bytes > LARGEST {
                return Err(JobError::illegal_argument(format!(
                    "records of [{bytes}] bytes at once are more than the journal of job [{}] takes: [{LARGEST}]",
                    this.job_id
                )));
            }
            let mut queue = this.queue.lock().await;
            let requests = queue
                .requests
                .clone()
                .ok_or_else(|| not_open(&this.job_id))?;
            // A place first: what is journalled is always applied.
            let place = requests
                .reserve()
                .await
                .map_err(|_| not_open(&this.job_id))?;
            let seq = queue.next;
            this.store
                .append_journal(&this.job_id, seq, payload)
                .await?;
            queue.next += 1;
            let (reply, receiver) = oneshot::channel();
            place.send(Request::Apply {
                seq,
                bytes,
                command,
                reply,
            });
            Ok(receiver)
        });
        submission
            .await
            .map_err(|error| JobError::internal(error.to_string()))?
    }

    /// Submits a command and waits until it has been applied.
    pub async fn apply(self: &Arc<Self>, command: Command) -> Result<Applied> {
        let receiver = self.submit(command).await?;
        applied(receiver, &self.job_id).await
    }

    /// Writes what the open buckets would give now; those of a range, where one is given.
    pub async fn interim(&self, start: Option<i64>, end: Option<i64>) -> Result<Applied> {
        let (reply, receiver) = oneshot::channel();
        self.send(Request::Interim { start, end, reply }).await?;
        applied(receiver, &self.job_id).await
    }

    /// What the engine shows, once all that was submitted before has been applied. It works for nobody else meanwhile.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T> {
        let (reply, receiver) = oneshot::channel();
        let look = Box::new(move |engine: &Engine| {
            let _ = reply.send(look(engine));
        });
        self.send(Request::Look { look }).await?;
        receiver.await.map_err(|_| not_open(&self.job_id))
    }

    /// Saves the state once all that was submitted before has been applied.
    pub async fn checkpoint(&self) -> Result<Saved> {
        let (reply, receiver) = oneshot::channel();
        self.send(Request::Checkpoint { reply }).await?;
        receiver.await.map_err(|_| not_open(&self.job_id))?
    }

    /// Takes no more commands, and gives the state after the last.
    pub async fn finish(&self) -> Result<Saved> {
        let (reply, receiver) = oneshot::channel();
        {
            let mut queue = self.queue.lock().await;
            let requests = queue
                .requests
                .take()
                .ok_or_else(|| not_open(&self.job_id))?;
            requests
                .send(Request::Checkpoint { reply })
                .await
                .map_err(|_| not_open(&self.job_id))?;
        }
        receiver.await.map_err(|_| not_open(&self.job_id))?
    }

    async fn send(&self, request: Request) -> Result<()> {
        let requests = self
            .queue
            .lock()
            .await
            .requests
            .clone()
            .ok_or_else(|| not_open(&self.job_id))?;
        requests
            .send(request)
            .await
            .map_err(|_| not_open(&self.job_id))
    }
}

async fn applied(receiver: oneshot::Receiver<Result<Applied>>, job_id: &str) -> Result<Applied> {
    receiver.await.map_err(|_| not_open(job_id))?
}

pub fn not_open(job_id: &str) -> JobError {
    JobError::conflict(format!(
        "Cannot perform requested action because job [{job_id}] is not open"
    ))
}
