//! Persistence: one embedded SQLite file, and the document index beside it (`index`)
//!
//! Tables and queries, no rules: what a document says is the callers' business. All SQL of tidewatch is here.
//! Reads go through a few read-only connections; writes through one writer that commits in groups (`writer`),
//! and return when they are durable. Times are milliseconds since the epoch, documents are JSON text and come
//! back byte for byte as they were given.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blob;
mod calendars;
mod datafeeds;
pub mod dates;
mod documents;
mod error;
mod filters;
mod forecasts;
pub mod index;
mod jobs;
mod journal;
mod notes;
pub mod query;
mod rescore;
mod results;
mod retention;
mod reversion;
pub mod script;
pub mod search;
mod snapshots;
mod writer;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

pub use calendars::{CalendarRow, EventRow};
pub use datafeeds::DatafeedRow;
pub use documents::{
    AdoptedResult, DocumentRow, Found, Holds, NewDocument, Source, Written, names,
};
pub use error::{Result, StoreError};
pub use filters::FilterRow;
pub use forecasts::{ForecastPage, ForecastPoint, ForecastRow, ForecastSeriesRow};
pub use jobs::{Annotations, JobRow};
pub use notes::{AnnotationRow, NotificationRow};
pub use rescore::{Rescore, Rescoring};
pub use results::{
    CategoryQuery, ForestEntity, ForestQuery, Place, ResultKind, ResultPage, ResultQuery,
    ResultRow, ResultWrite, Sort, Stretch,
};
pub use reversion::{Intervening, Reversion};
pub use snapshots::{Retained, SnapshotRow};

use writer::{BoxFuture, Command, Writer};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

const READERS: u32 = 4;
/// For someone else's write lock, such as a backup tool's.
const BUSY: Duration = Duration::from_secs(10);

/// The store of one data directory. Clones share it; it closes with [`close`](Self::close), or on its own some
/// time after the last clone is gone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    readers: SqlitePool,
    queue: mpsc::Sender<Command>,
    writer: Mutex<Option<JoinHandle<()>>>,
    indices: index::Indices,
}

impl Store {
    /// Opens `dir`/tidewatch.db, creating both as needed, and brings its schema up to date. `dir`/tidewatch.lock
    /// stays locked while the store is open.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another store has the directory, [`StoreError::Newer`] for a database of a
    /// newer version (which is left as it is), [`StoreError::Io`], [`StoreError::Migrate`] and
    /// [`StoreError::Database`] when the files can't be used.
    pub async fn open(dir: &Path) -> Result<Store> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io(dir, e))?;
        let lock = lock(dir)?;

        let options = SqliteConnectOptions::new()
            .filename(dir.join("tidewatch.db"))
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("mmap_size", "268435456")
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let mut conn = options
            .clone()
            .create_if_missing(true)
            // A row of a WITHOUT ROWID table keeps a quarter of a page in the tree: with 8 KiB, nearly every
            // result does without overflow pages.
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-16384")
            .pragma("journal_size_limit", "67108864")
            .connect()
            .await?;
        migrate(&mut conn).await?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true));
        let (queue, commands) = mpsc::channel(writer::QUEUE);
        let writer = Writer {
            conn,
            queue: commands,
            readers: readers.clone(),
            lock,
        };
        let writer = tokio::spawn(writer.run());
        let indices = index::Indices::open(dir, &queue, &readers).await?;
        Ok(Store(Arc::new(Inner {
            readers,
            queue,
            writer: Mutex::new(Some(writer)),
            indices,
        })))
    }

    /// Commits the writes that wait, of the indices too, folds the write-ahead log into the database and lets the directory go.
    /// Later calls of any clone fail with [`StoreError::Closed`]; closing twice does nothing.
    pub async fn close(&self) {
        self.0.indices.close().await;
        // Fails only when the writer has ended.
        let _ = self.0.queue.send(Command::Close).await;
        let mut writer = self.0.writer.lock().await;
        if let Some(task) = writer.as_mut() {
            if let Err(error) = task.await {
                tracing::error!(%error, "the store's writer ended badly");
            }
            *writer = None;
        }
    }

    /// The embedded document index.
    pub fn indices(&self) -> &index::Indices {
        &self.0.indices
    }

    /// The value of a key about the installation as a whole, such as its cluster id.
    pub async fn meta(&self, key: &str) -> Result<Option<String>> {
        let value = sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
            .bind(key)
            .fetch_optional(self.readers())
            .await?;
        Ok(value)
    }

    /// Sets the value of a key, over the one it had.
    pub async fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO meta (key, value) VALUES (?, ?)
                     ON CONFLICT DO UPDATE SET value = excluded.value",
                )
                .bind(key)
                .bind(value)
                .execute(conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }

    /// Runs `write` in the writer's next group and returns once it is committed.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        writer::submit(&self.0.queue, write).await
    }

    /// As [`write`](Self::write), without waiting for it.
    pub(crate) async fn post<F>(&self, write: F) -> Result<()>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send + 'static,
    {
        writer::post(&self.0.queue, write).await
    }

    /// As [`write`](Self::write), for rows of one job: [`StoreError::NoSuchJob`] when it isn't there.
    pub(crate) async fn write_for<T, F>(&self, job_id: &str, write: F) -> Result<T>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection, String) -> BoxFuture<'c, Result<T>>
            + Send
            + 'static,
        T: Send + 'static,
    {
        let id = job_id.to_owned();
        self.write(move |conn| write(conn, id))
            .await
            .map_err(|error| error.for_job(job_id))
    }
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("tidewatch.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| StoreError::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(StoreError::io(&path, e)),
    }
}

async fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    MIGRATIONS.run(conn).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > known => StoreError::Newer { found, known },
        error => StoreError::Migrate(Arc::new(error)),
    })
}

#[cfg(test)]
mod testing {
    use super::*;

    pub(crate) fn tempdir() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    pub(crate) fn job(job_id: &str) -> JobRow {
        JobRow {
            job_id: job_id.to_owned(),
            config: format!(r#"{{"job_id":"{job_id}"}}"#),
            state: "closed".to_owned(),
            reason: None,
            opened_order: None,
        }
    }

    pub(crate) async fn open_with_job(dir: &Path, job_id: &str) -> Store {
        let store = Store::open(dir).await.unwrap();
        assert!(store.insert_job(&job(job_id)).await.unwrap());
        store
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{open_with_job, tempdir};
    use super::*;

    #[tokio::test]
    async fn reopening_keeps_everything() {
        let dir = tempdir();
        let store = open_with_job(&dir.path().join("deep/down"), "j").await;
        store.set_meta("cluster", "a").await.unwrap();
        store.set_meta("cluster", "b").await.unwrap();
        store.append_journal("j", 1, b"one".to_vec()).await.unwrap();
        store.close().await;

        let store = Store::open(&dir.path().join("deep/down")).await.unwrap();
        assert_eq!(store.meta("cluster").await.unwrap().as_deref(), Some("b"));
        assert_eq!(store.meta("other").await.unwrap(), None);
        assert_eq!(store.jobs().await.unwrap(), [testing::job("j")]);
        assert_eq!(
            store.read_journal("j", 0, 9).await.unwrap(),
            [(1, b"one".to_vec())]
        );
    }

    #[tokio::test]
    async fn a_directory_has_one_store() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        let error = Store::open(dir.path()).await.err().unwrap();
        assert!(matches!(error, StoreError::InUse { .. }));
        assert!(
            error
                .to_string()
                .contains("in use by another tidewatch server")
        );
        store.close().await;

        let store = Store::open(dir.path()).await.unwrap();
        store.set_meta("k", "v").await.unwrap();
        drop(store);
        // The writer lets go in its own time.
        let reopen = async {
            loop {
                match Store::open(dir.path()).await {
                    Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
                    other => return other,
                }
            }
        };
        let store = tokio::time::timeout(Duration::from_secs(20), reopen)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(store.meta("k").await.unwrap().as_deref(), Some("v"));
    }

    #[tokio::test]
    async fn a_newer_database_is_refused() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        store
            .write(|conn| {
                Box::pin(async move {
                    sqlx::query(
                        "INSERT INTO _sqlx_migrations
                         (version, description, success, checksum, execution_time)
                         VALUES (9000, 'from the future', 1, x'00', 0)",
                    )
                    .execute(conn)
                    .await?;
                    Ok(())
                })
            })
            .await
            .unwrap();
        store.close().await;
        let error = Store::open(dir.path()).await.err().unwrap();
        assert!(
            matches!(error, StoreError::Newer { found: 9000, .. }),
            "{error}"
        );
        // The refusal lets the directory go again.
        assert!(matches!(
            Store::open(dir.path()).await,
            Err(StoreError::Newer { .. })
        ));
    }

    #[tokio::test]
    async fn commits_are_flushed_and_readers_cannot_write() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        let (journal, synchronous): (String, i64) = store
            .write(|conn| {
                Box::pin(async move {
                    Ok((
                        sqlx::query_scalar("PRAGMA journal_mode")
                            .fetch_one(&mut *conn)
                            .await?,
                        sqlx::query_scalar("PRAGMA synchronous")
                            .fetch_one(&mut *conn)
                            .await?,
                    ))
                })
            })
            .await
            .unwrap();
        assert_eq!((journal.as_str(), synchronous), ("wal", 2));
        sqlx::query("DELETE FROM meta")
            .execute(store.readers())
            .await
            .unwrap_err();
    }
}
