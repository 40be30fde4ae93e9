//! The CPU threads on which jobs compute, apart from those that serve requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use rayon::ThreadPool;
use tidewatch_model::workers::{Part, Workers};
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads that take tasks in the order in which they come; a task of many parts is helped as far as
/// some of them have nothing to do.
#[derive(Debug, Clone)]
pub struct Pool {
    tasks: mpsc::Sender<Task>,
    threads: usize,
    /// Threads that are at a task.
    busy: Arc<AtomicUsize>,
    /// They take parts only, for threads that have no task. A task that waits for its parts must not take up another
    /// meanwhile: it would end after that, and tasks within tasks have no bound.
    helpers: Arc<ThreadPool>,
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
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let (tasks, queue) = mpsc::channel::<Task>();
        let queue = Arc::new(Mutex::new(queue));
        let busy = Arc::new(AtomicUsize::new(0));
        for number in 0..threads {
            let (queue, busy) = (queue.clone(), busy.clone());
            let work = move || {
                loop {
                    // The lock is held while waiting: another thread then waits for the lock instead.
                    let task = queue.lock().recv();
                    let Ok(task) = task else { break };
                    busy.fetch_add(1, Ordering::Relaxed);
                    task();
                    busy.fetch_sub(1, Ordering::Relaxed);
                }
            };
            std::thread::Builder::new()
                .name(format!("analysis-{number}"))
                .spawn(work)?;
        }
        let helpers = rayon::ThreadPoolBuilder::new()
            .num_threads((threads - 1).max(1))
            .thread_name(|number| format!("analysis-help-{number}"))
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self {
            tasks,
            threads,
            busy,
            helpers: Arc::new(helpers),
        })
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

impl Workers for Pool {
    fn width(&self) -> usize {
        self.threads
    }

    fn run<'a>(&self, parts: Vec<Part<'a>>) {
        let idle = self
            .threads
            .saturating_sub(self.busy.load(Ordering::Relaxed));
        let help = idle.min(parts.len().saturating_sub(1));
        let parts = Mutex::new(parts.into_iter());
        let next = || parts.lock().next();
        let work = || std::iter::from_fn(next).for_each(|part| part());
        // The caller's thread is none of the helpers: it waits for them without looking for other work.
        self.helpers.in_place_scope(|scope| {
            for _ in 0..help {
                scope.spawn(|_| work());
            }
            work();
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

    thread_local! {
        static DEPTH: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[tokio::test]
    async fn who_waits_for_parts_takes_up_no_other_task() {
        let pool = Pool::new(2).expect("threads");
        let task = async |pool: Pool| {
            let lent = pool.clone();
            let task = pool.run(move || {
                let depth = DEPTH.get();
                DEPTH.set(depth + 1);
                for _ in 0..20 {
                    // Each part takes a while: some end long after the others have all been taken.
                    let part = || -> Part<'_> {
                        Box::new(|| std::thread::sleep(std::time::Duration::from_millis(1)))
                    };
                    Workers::run(&lent, vec![part(), part(), part()]);
                }
                DEPTH.set(depth);
                depth
            });
            task.await
        };
        let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(task(pool.clone()))).collect();
        for task in tasks {
            assert_eq!(task.await.expect("ended"), Ok(0), "a task within a task");
        }
    }
}
