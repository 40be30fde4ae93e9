//! The one writer: a task that owns the write connection and commits whatever waits as one group
//!
//! An fsync costs far more than the rows it makes durable, so operations that arrive while a commit runs share
//! the next one. Each runs under its own savepoint: a failing one is undone alone and only its caller hears of
//! it. Every other caller is answered after the commit, so an answered write is durable.

use std::fs::File;
use std::pin::Pin;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteQueryResult;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Result, StoreError};

/// The most operations in one commit.
const GROUP: usize = 256;
/// How many operations may wait before their callers do.
pub(crate) const QUEUE: usize = 256;
/// A commit slower than this is worth a line in the log: the disk is the bottleneck.
const SLOW: Duration = Duration::from_secs(2);

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the writer takes from its queue.
pub(crate) enum Command {
    Run(Box<dyn Operation>),
    /// Finish what waits, then stop.
    Close,
}

/// A write that waits for its turn, with the caller that waits for its answer.
pub(crate) trait Operation: Send {
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> BoxFuture<'a, Result<()>>;
    /// Tells the caller: `Ok` once its group is committed.
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Pending<T, F> {
    write: Option<F>,
    value: Option<T>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T, F> Operation for Pending<T, F>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send,
    T: Send,
{
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if let Some(write) = self.write.take() {
                self.value = Some(write(conn).await?);
            }
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Self { value, caller, .. } = *self;
        // A caller that went away doesn't want the answer; its write stands all the same.
        let _ = caller.send(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
    }
}

/// Queues `write` and waits until it is committed. A caller that stops waiting doesn't stop the write.
pub(crate) async fn submit<T, F>(queue: &mpsc::Sender<Command>, write: F) -> Result<T>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    let operation = Box::new(Pending {
        write: Some(write),
        value: None,
        caller,
    });
    queue
        .send(Command::Run(operation))
        .await
        .map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

/// A write that nobody waits for; a failure goes to the log.
struct Posted<F>(Option<F>);

impl<F> Operation for Posted<F>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send,
{
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.0.take() {
                Some(write) => write(conn).await,
                None => Ok(()),
            }
        })
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "a write that nobody waited for failed");
        }
    }
}

/// Queues `write`, which is committed with what is queued next to it, and goes on.
pub(crate) async fn post<F>(queue: &mpsc::Sender<Command>, write: F) -> Result<()>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send + 'static,
{
    let operation = Box::new(Posted(Some(write)));
    let sent = queue.send(Command::Run(operation)).await;
    sent.map_err(|_| StoreError::Closed)
}

/// The writer's task. It ends when it is told to close or when the last `Store` is gone.
pub(crate) struct Writer {
    pub(crate) conn: SqliteConnection,
    pub(crate) queue: mpsc::Receiver<Command>,
    /// Closed before the last checkpoint, which readers would otherwise hold up.
    pub(crate) readers: SqlitePool,
    /// Held until the database is closed.
    pub(crate) lock: File,
}

impl Writer {
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(GROUP);
        while self.queue.recv_many(&mut commands, GROUP).await > 0 {
            let mut group = Vec::with_capacity(commands.len());
            for command in commands.drain(..) {
                match command {
                    Command::Run(operation) => group.push(operation),
                    Command::Close => self.queue.close(),
                }
            }
            if !group.is_empty() {
                self.commit_and_answer(group).await;
            }
        }
        self.readers.close().await;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut self.conn)
            .await
        {
            tracing::warn!(%error, "the last checkpoint failed; the next start will catch up");
        }
        if let Err(error) = self.conn.close().await {
            tracing::warn!(%error, "closing the database failed");
        }
        drop(self.lock);
    }

    async fn commit_and_answer(&mut self, mut group: Vec<Box<dyn Operation>>) {
        let started = Instant::now();
        let mut outcomes = Vec::with_capacity(group.len());
        if let Err(error) = self.commit(&mut group, &mut outcomes).await {
            // Nothing of the group is in the database: no caller may believe that its write is. SQLite may have
            // rolled back already, in which case this fails and all is well.
            let _ = execute(&mut self.conn, "ROLLBACK").await;
            for outcome in &mut outcomes {
                if outcome.is_ok() {
                    *outcome = Err(error.clone());
                }
            }
            outcomes.resize(group.len(), Err(error));
        }
        let elapsed = started.elapsed();
        if elapsed > SLOW {
            tracing::warn!(?elapsed, operations = group.len(), "a slow commit");
        }
        for (operation, outcome) in group.into_iter().zip(outcomes) {
            operation.answer(outcome);
        }
    }

    /// Runs the group in one transaction, with one outcome an operation. `Err`: the whole group is lost.
    async fn commit(
        &mut self,
        group: &mut [Box<dyn Operation>],
        outcomes: &mut Vec<Result<()>>,
    ) -> Result<()> {
        let conn = &mut self.conn;
        execute(conn, "BEGIN IMMEDIATE").await?;
        if let [operation] = group {
            // Alone in its transaction, it needs no savepoint.
            operation.run(conn).await?;
            outcomes.push(Ok(()));
            return execute(conn, "COMMIT").await;
        }
        for operation in group {
            execute(conn, "SAVEPOINT operation").await?;
            let outcome = operation.run(conn).await;
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed {
                // Some errors (a full disk) make SQLite roll the whole transaction back. Then the savepoint is
                // gone, this fails, and with it the group.
                execute(conn, "ROLLBACK TO operation").await?;
            }
            execute(conn, "RELEASE operation").await?;
        }
        execute(conn, "COMMIT").await
    }
}

/// How many rows a statement has changed.
pub(crate) fn rows(done: &SqliteQueryResult) -> i64 {
    i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)
}

async fn execute(conn: &mut SqliteConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{open_with_job, tempdir};
    use crate::{Store, StoreError};

    /// A write that puts a row down and then fails.
    async fn fail_after_insert(store: &Store) -> Result<(), StoreError> {
        store
            .write(|conn| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO meta VALUES ('half', 'done')")
                        .execute(&mut *conn)
                        .await?;
                    sqlx::query("INSERT INTO no_such_table VALUES (1)")
                        .execute(&mut *conn)
                        .await?;
                    Ok(())
                })
            })
            .await
    }

    // A test's runtime has one thread: the writer runs only when the callers wait, so the calls of one `join!`
    // are one group.

    #[tokio::test]
    async fn a_failing_operation_leaves_its_neighbours_alone() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let (before, bad, after) = tokio::join!(
            store.append_journal("j", 1, b"one".to_vec()),
            fail_after_insert(&store),
            store.append_journal("j", 2, b"two".to_vec()),
        );
        before.unwrap();
        assert!(matches!(bad, Err(StoreError::Database(_))));
        after.unwrap();
        assert_eq!(store.meta("half").await.unwrap(), None);
        assert_eq!(store.read_journal("j", 0, 10).await.unwrap().len(), 2);

        fail_after_insert(&store).await.unwrap_err();
        assert_eq!(store.meta("half").await.unwrap(), None);
        store.set_meta("still", "alive").await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_transaction_is_told_to_every_caller() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        // What SQLite does of itself when the disk is full.
        let lose = || {
            store.write(|conn| {
                Box::pin(async move {
                    sqlx::query("ROLLBACK").execute(&mut *conn).await?;
                    Ok(())
                })
            })
        };
        let (before, lost, after) = tokio::join!(
            store.append_journal("j", 1, b"one".to_vec()),
            lose(),
            store.append_journal("j", 2, b"two".to_vec()),
        );
        before.unwrap_err();
        lost.unwrap_err();
        after.unwrap_err();
        lose().await.unwrap_err();
        assert!(store.read_journal("j", 0, 10).await.unwrap().is_empty());

        store
            .append_journal("j", 1, b"again".to_vec())
            .await
            .unwrap();
        assert_eq!(store.read_journal("j", 0, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn close_finishes_what_waits() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let (queued, ()) =
            tokio::join!(store.append_journal("j", 1, b"one".to_vec()), store.close());
        queued.unwrap();
        assert!(matches!(
            store.append_journal("j", 2, b"two".to_vec()).await,
            Err(StoreError::Closed)
        ));
        assert!(matches!(store.jobs().await, Err(StoreError::Closed)));
        store.close().await;

        let store = Store::open(dir.path()).await.unwrap();
        assert_eq!(
            store.read_journal("j", 0, 10).await.unwrap(),
            [(1, b"one".to_vec())]
        );
    }
}
