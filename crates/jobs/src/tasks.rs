//! Work that may outlast the request that asked for it: what runs now, and how what ended lately went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::error::{JobError, Result};

/// How many ended tasks are remembered.
const REMEMBERED: usize = 1_000;

/// One task.
#[derive(Debug)]
pub struct Task {
    /// `<node_id>:<number>`
    pub id: String,
    pub number: u64,
    pub kind: Kind,
    /// Elasticsearch's name of what is done.
    pub action: &'static str,
    pub description: String,
    /// Epoch milliseconds.
    pub started_at: i64,
    pub is_cancellable: bool,
    begun: Instant,
    is_cancelled: AtomicBool,
    /// The answer to the request, JSON, and how long it took; none while it runs.
    end: watch::Sender<Option<End>>,
}

/// How a task ended.
#[derive(Debug, Clone)]
pub struct End {
    pub answer: Result<Value>,
    pub took: Duration,
}

impl Task {
    pub fn end(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// How long it has run, or ran.
    pub fn running_time(&self) -> Duration {
        self.end()
            .map_or_else(|| self.begun.elapsed(), |end| end.took)
    }

    /// Waits for its end.
    pub async fn ended(&self) -> Result<Value> {
        let mut watched = self.end.subscribe();
        // The sender is the task's own: it is there as long as the task.
        let end = watched.wait_for(Option::is_some).await;
        let end = end.ok().and_then(|end| end.clone());
        end.map_or_else(
            || Err(JobError::internal("the task was lost")),
            |end| end.answer,
        )
    }

    /// Asks it to end early. It ends when it sees that.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }
}

/// Whose task it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request's.
    Transport,
    /// The cluster's: it goes on until it is ended.
    Persistent,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Persistent => "persistent",
        }
    }
}

/// What a task is, for one that is to begin.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub kind: Kind,
    pub action: &'static str,
    pub description: String,
    pub is_cancellable: bool,
}

/// A task that has no end of its own.
#[derive(Debug)]
pub struct Held {
    tasks: Arc<Tasks>,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tasks.known.lock().tasks.remove(&self.number);
    }
}

/// All tasks of a server.
#[derive(Debug)]
pub struct Tasks {
    node_id: String,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    /// By number, running and ended.
    tasks: BTreeMap<u64, Arc<Task>>,
}

impl Tasks {
    pub fn new(node_id: String, clock: Clock) -> Self {
        Self {
            node_id,
            clock,
            known: Mutex::default(),
        }
    }

    /// Runs a piece of work as a task. It goes on whatever becomes of its caller; `work` gets the task to look whether
    /// it was cancelled.
    pub fn run<F>(self: &Arc<Self>, new: NewTask, work: impl FnOnce(Arc<Task>) -> F) -> Arc<Task>
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let task = self.begin(new);
        let work = tokio::spawn(work(task.clone()));
        let (tasks, running) = (self.clone(), task.clone());
        tokio::spawn(async move {
            let answer = work
                .await
                .unwrap_or_else(|error| Err(JobError::internal(error.to_string())));
            let took = running.begun.elapsed();
            running.end.send_replace(Some(End { answer, took }));
            tasks.forget();
        });
        task
    }

    /// Lists a task until what holds it is gone.
    pub fn hold(self: &Arc<Self>, new: NewTask) -> Held {
        Held {
            number: self.begin(new).number,
            tasks: self.clone(),
        }
    }

    fn begin(&self, new: NewTask) -> Arc<Task> {
        let mut known = self.known.lock();
        known.last += 1;
        let number = known.last;
        let task = Arc::new(Task {
            id: format!("{}:{number}", self.node_id),
            number,
            kind: new.kind,
            action: new.action,
            description: new.description,
            started_at: self.clock.now(),
            is_cancellable: new.is_cancellable,
            begun: Instant::now(),
            is_cancelled: AtomicBool::new(false),
            end: watch::Sender::new(None),
        });
        known.tasks.insert(number, task.clone());
        task
    }

    /// Forgets the oldest that ended.
    fn forget(&self) {
        let mut known = self.known.lock();
        let is_ended = |task: &Arc<Task>| task.end.borrow().is_some();
        let ended = known.tasks.values().filter(|task| is_ended(task)).count();
        let too_many = ended.saturating_sub(REMEMBERED);
        let oldest = known.tasks.iter().filter(|(_, task)| is_ended(task));
        let oldest: Vec<u64> = oldest.map(|(number, _)| *number).take(too_many).collect();
        for number in oldest {
            known.tasks.remove(&number);
        }
    }

    /// The task of an id, if it runs or ended lately.
    pub fn get(&self, id: &str) -> Option<Arc<Task>> {
        let (node, number) = id.rsplit_once(':')?;
        let number = number.parse().ok().filter(|_| node == self.node_id)?;
        self.known.lock().tasks.get(&number).cloned()
    }

    /// What runs now, by number.
    pub fn running(&self) -> Vec<Arc<Task>> {
        let known = self.known.lock();
        let running = known
            .tasks
            .values()
            .filter(|task| task.end.borrow().is_none());
        running.cloned().collect()
    }

    pub fn node_id(&self) -> &str {
        &self.node_id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn new(description: &str) -> NewTask {
        NewTask {
            kind: Kind::Transport,
            action: "test",
            description: description.to_owned(),
            is_cancellable: true,
        }
    }

    #[tokio::test]
    async fn a_task_is_known_while_it_runs_and_after() {
        let tasks = Arc::new(Tasks::new("node".into(), Clock::default()));
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let task = tasks.run(new("one"), |task| async move {
            wait.await.map_err(|_| JobError::internal("dropped"))?;
            Ok(json!({"cancelled": task.is_cancelled()}))
        });
        assert_eq!((task.id.as_str(), tasks.running().len()), ("node:1", 1));
        let found = tasks.get("node:1").expect("runs");
        assert!(found.end().is_none());
        found.cancel();
        go.send(()).expect("waits");
        assert_eq!(found.ended().await, Ok(json!({"cancelled": true})));
        assert!(tasks.running().is_empty());
        assert!(tasks.get("node:1").is_some_and(|task| task.end().is_some()));
        for unknown in ["node:2", "other:1", "node:", "x"] {
            assert!(tasks.get(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_task_that_is_held_is_listed_as_long() {
        let tasks = Arc::new(Tasks::new("node".into(), Clock::default()));
        let held = tasks.hold(new("held"));
        assert_eq!(tasks.running()[0].description, "held");
        drop(held);
        assert!(tasks.running().is_empty() && tasks.get("node:1").is_none());
    }

    #[tokio::test]
    async fn a_panic_ends_a_task_too_and_old_ones_are_forgotten() {
        let tasks = Arc::new(Tasks::new("node".into(), Clock::default()));
        let lost = tasks.run(new("lost"), |_| async { panic!("on purpose") });
        assert_eq!(lost.ended().await.expect_err("panicked").status, 500);
        for n in 0..REMEMBERED {
            let task = tasks.run(new("more"), move |_| async move { Ok(json!(n)) });
            task.ended().await.expect("ends");
        }
        // The last word of a task comes just before the old ones are forgotten.
        while tasks.get("node:1").is_some() {
            tokio::task::yield_now().await;
        }
        assert!(tasks.get("node:2").is_some());
    }
}
