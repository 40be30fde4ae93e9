//! The thread that gives an index's documents to tantivy, and commits
//!
//! It lives while there is something to do and a little longer. Writers put documents into its queue in the order of
//! writing, and are answered without waiting for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use tantivy::indexer::UserOperation;
use tantivy::{IndexWriter, TantivyError};

use super::document::Document;
use super::error::{IndexError, Result};
use super::lookup::term_of;
use super::seats::Seat;
use super::shard::Shard;
use crate::StoreError;

/// What an index without writes keeps its threads and heap for.
const IDLE: Duration = Duration::from_secs(30);
/// How soon another that waits for a turn is seen.
const GLANCE: Duration = Duration::from_millis(100);
/// More ids than these aren't kept in memory: they are committed.
const RECENT: usize = 200_000;

/// What is to be done.
pub enum Job {
    Apply(Vec<Operation>),
    /// Look at what is wanted.
    Wake,
    /// Commit and end.
    Close,
}

/// A write that was accepted.
#[derive(Debug)]
pub enum Operation {
    Put { document: Document, replaces: bool },
    Delete(Box<str>),
}

struct Applier<'a> {
    shard: &'a Arc<Shard>,
    jobs: &'a Receiver<Job>,
    writer: Option<(IndexWriter<Document>, Seat)>,
    /// Since when there is something that searches don't see.
    unseen: Option<Instant>,
    /// Whether tantivy has something that isn't committed.
    uncommitted: bool,
    /// Since when there is nothing to do.
    idle: Instant,
    closing: bool,
}

/// Runs until the index is idle or closed.
pub fn run(shard: &Arc<Shard>, jobs: &Receiver<Job>) {
    // A thread before this one may have left something behind that nobody was to see yet.
    let left = *shard.seen.borrow() < shard.order.lock().next_seq_no;
    let mut applier = Applier {
        shard,
        jobs,
        writer: None,
        unseen: left.then(Instant::now),
        uncommitted: false,
        idle: Instant::now(),
        closing: false,
    };
    // A panic must not leave those waiting who wait for a refresh.
    let outcome = catch_unwind(AssertUnwindSafe(|| applier.work()));
    let outcome = outcome
        .unwrap_or_else(|_| Err(TantivyError::ErrorInThread("it has panicked".to_owned()).into()));
    if let Err(error) = outcome {
        shard.fail(&error);
    }
    if let Err(error) = applier.close_writer() {
        tracing::error!(index = shard.name, %error, "the writer of the index ended badly");
    }
}

impl Applier<'_> {
    fn work(&mut self) -> Result<()> {
        loop {
            match self.jobs.recv_timeout(self.patience()) {
                Ok(job) => self.take(job)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.commit_if_due()?;
            if self.closing {
                self.shard.order.lock().leave();
                return Ok(());
            }
            if self.uncommitted {
                continue;
            }
            let is_idle = self.idle.elapsed() >= IDLE;
            if is_idle || self.shard.shared.seats.is_wanted() {
                self.close_writer()?;
            }
            if is_idle && (self.unseen.is_none() || self.interval().is_none()) && self.is_done()? {
                return Ok(());
            }
        }
    }

    /// How long to wait for a job.
    fn patience(&self) -> Duration {
        let due = match self.unseen {
            Some(since) => self
                .interval()
                .map(|interval| interval.saturating_sub(since.elapsed())),
            None => None,
        };
        let due = due.unwrap_or_else(|| IDLE.saturating_sub(self.idle.elapsed()));
        if self.writer.is_some() {
            due.min(GLANCE)
        } else {
            due
        }
    }

    fn interval(&self) -> Option<Duration> {
        *self.shard.refresh_interval.lock()
    }

    fn take(&mut self, job: Job) -> Result<()> {
        self.idle = Instant::now();
        match job {
            Job::Apply(operations) => self.apply(operations)?,
            Job::Wake => {}
            Job::Close => self.closing = true,
        }
        Ok(())
    }

    fn apply(&mut self, operations: Vec<Operation>) -> Result<()> {
        self.unseen.get_or_insert_with(Instant::now);
        self.uncommitted = true;
        let mut changes = Vec::with_capacity(operations.len());
        for operation in operations {
            match operation {
                Operation::Put { document, replaces } => {
                    if replaces {
                        changes.push(UserOperation::Delete(term_of(&document.id)));
                    }
                    changes.push(UserOperation::Add(document));
                }
                Operation::Delete(id) => changes.push(UserOperation::Delete(term_of(&id))),
            }
        }
        self.open_writer()?.run(changes)?;
        Ok(())
    }

    fn open_writer(&mut self) -> Result<&mut IndexWriter<Document>> {
        if self.writer.is_none() {
            let seat = self.shard.shared.seats.take();
            self.writer = Some((self.shard.writer()?, seat));
        }
        match &mut self.writer {
            Some((writer, _)) => Ok(writer),
            None => Err(StoreError::Closed.into()),
        }
    }

    fn close_writer(&mut self) -> Result<()> {
        if let Some((writer, seat)) = self.writer.take() {
            writer.wait_merging_threads()?;
            drop(seat);
        }
        Ok(())
    }

    /// Whether nothing came in the meantime: then nothing comes any more.
    fn is_done(&mut self) -> Result<bool> {
        let mut order = self.shard.order.lock();
        match self.jobs.try_recv() {
            Ok(job) => {
                drop(order);
                self.take(job)?;
                Ok(false)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                order.leave();
                Ok(true)
            }
        }
    }

    fn commit_if_due(&mut self) -> Result<()> {
        let seen = *self.shard.seen.borrow();
        let asked = self.shard.wanted.load(Ordering::Acquire) > seen;
        let timely = match (self.unseen, self.interval()) {
            (Some(since), Some(interval)) => since.elapsed() >= interval,
            _ => false,
        };
        let publish = asked || timely;
        // What only memory, another index or the end wants stays unseen.
        let silent = self.uncommitted
            && (self.closing
                || self.shard.shared.seats.is_wanted()
                || self.idle.elapsed() >= IDLE
                || self.shard.order.lock().recent.len() >= RECENT);
        if publish || silent {
            self.commit(publish)?;
        }
        Ok(())
    }

    fn commit(&mut self, publish: bool) -> Result<()> {
        // Whatever is in the queue now is before the cut, and nothing comes in while the order is held.
        let (next, jobs) = {
            let mut order = self.shard.order.lock();
            let jobs: Vec<Job> = self.jobs.try_iter().collect();
            order.recent.begin_commit();
            order.translog.roll().map_err(|error| self.io(error))?;
            (order.next_seq_no, jobs)
        };
        for job in jobs {
            self.take(job)?;
        }
        let last = next.checked_sub(1).filter(|_| self.uncommitted);
        if let (Some((writer, _)), Some(last)) = (&mut self.writer, last) {
            let mut commit = writer.prepare_commit()?;
            commit.set_payload(&last.to_string());
            commit.commit()?;
            self.uncommitted = false;
        }
        self.shard.take_up(publish)?;
        {
            let mut order = self.shard.order.lock();
            order.recent.end_commit();
            if let Some(last) = last {
                order.translog.trim(last).map_err(|error| self.io(error))?;
            }
        }
        if publish {
            self.unseen = None;
            self.shard
                .seen
                .send_modify(|seen| *seen = (*seen).max(next));
        }
        Ok(())
    }

    fn io(&self, error: std::io::Error) -> IndexError {
        StoreError::io(self.shard.dir(), error).into()
    }
}
