//! The CPU threads on which jobs compute, apart from those that serve requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take tasks in the order in which they come.
#[derive(Clone)]
pub struct Pool {
    tasks: mpsc::Sender<Task>,
}

/// A task panicked; its text, where it had one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the analysis panicked: {0}")]
pub struct Panicked(pub String);

impl Pool {
    /// Threads end when the last handle is gone.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            let work = move || {
                loop {
                    // The lock is held while waiting: another thread then waits for the lock instead.
                    let task = queue.lock().recv();
                    match task {
                        Ok(task) => task(),
                        Err(mpsc::RecvError) => break,
                    }
                }
            };
            std::thread::Builder::new()
                .name(format!("analysis-{number}"))
                .spawn(work)?;
        }
        Ok(Self { tasks })
    }

    /// Runs a task and waits for what it gives. A panic ends the task alone.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (sender, receiver) = oneshot::channel();
        let task = move || {
            // What the task owned is dropped with it: nobody sees it half done.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(task)));
        };
        let gone = || Panicked("the analysis threads are gone".to_owned());
        self.tasks.send(Box::new(task)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?.map_err(|payload| {
            let text = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned());
            Panicked(
                text.or_else(|| payload.downcast_ref::<String>().cloned())
                    .unwrap_or_default(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_harms_nobody_else() {
        let pool = Pool::new(1).expect("threads");
        assert_eq!(
            pool.run(|| -> i32 { panic!("boom") }).await,
            Err(Panicked("boom".into()))
        );
        assert_eq!(pool.run(|| 6 * 7).await, Ok(42));
    }
}
