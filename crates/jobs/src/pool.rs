//! The CPU threads on which jobs compute, apart from those that serve requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rayon::ThreadPool;
use tidewatch_model::workers::{Part, Workers};
use tokio::sync::oneshot;

/// A fixed number of threads. They take tasks in the order in which they come; a task of many parts is helped by those
/// that have nothing else to do.
#[derive(Debug, Clone)]
pub struct Pool {
    threads: Arc<ThreadPool>,
}

/// A task panicked; its text, where it had one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the analysis panicked: {0}")]
pub struct Panicked(pub String);

impl Pool {
    /// Threads end when the last handle is gone.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|number| format!("analysis-{number}"))
            .build()?;
        Ok(Self {
            threads: Arc::new(threads),
        })
    }

    /// Runs a task and waits for what it gives. A panic ends the task alone.
    pub async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (sender, receiver) = oneshot::channel();
        self.threads.spawn_fifo(move || {
            // What the task owned is dropped with it: nobody sees it half done.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(task)));
        });
        let gone = |_| Panicked("the analysis threads are gone".to_owned());
        receiver.await.map_err(gone)?.map_err(|payload| {
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

impl Workers for Pool {
    fn width(&self) -> usize {
        self.threads.current_num_threads()
    }

    fn run<'a>(&self, parts: Vec<Part<'a>>) {
        self.threads.scope(|scope| {
            for part in parts {
                scope.spawn(|_| part());
            }
        });
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

    #[tokio::test]
    async fn a_task_can_share_its_work_and_its_parts_may_panic() {
        let pool = Pool::new(2).expect("threads");
        let lent = pool.clone();
        let squares = pool.run(move || {
            let mut squares = vec![0; 100];
            let parts = squares.iter_mut().enumerate();
            let parts = parts.map(|(i, square)| -> Part<'_> { Box::new(move || *square = i * i) });
            Workers::run(&lent, parts.collect());
            squares
        });
        let expected: Vec<usize> = (0..100).map(|i| i * i).collect();
        assert_eq!(squares.await, Ok(expected));
        let lent = pool.clone();
        let failed = pool.run(move || Workers::run(&lent, vec![Box::new(|| panic!("boom"))]));
        assert_eq!(failed.await, Err(Panicked("boom".into())));
        assert_eq!(pool.run(|| 6 * 7).await, Ok(42));
    }
}
