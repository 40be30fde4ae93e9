//! What can go wrong in the store

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::MigrateError;

/// The result of every call of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the store. It can be cloned, since one failed commit answers every caller that shared it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another `Store` of this one, holds the directory.
    #[error("the directory [{}] is in use by another tidewatch server", dir.display())]
    InUse { dir: PathBuf },
    /// The database has had a migration that this build doesn't know.
    #[error(
        "the database was written by a newer version of tidewatch (its schema is version {found}, this \
         version knows up to {known}); start the newer version, or restore a backup"
    )]
    Newer { found: i64, known: i64 },
    /// The row that a write belongs to isn't there: the job was never created, or has been deleted.
    #[error("there is no job [{job_id}] in the store")]
    NoSuchJob { job_id: String },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The directory or its lock file can't be made or opened.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: Arc<io::Error>,
    },
    /// A migration failed, or an applied one is not the one that this build knows.
    #[error("cannot migrate the database: {0}")]
    Migrate(Arc<MigrateError>),
    /// SQLite refused a statement or a commit: a full or failing disk, a damaged file.
    #[error("database error: {0}")]
    Database(Arc<sqlx::Error>),
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        StoreError::Io {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// Every foreign key of a row that is written for a job leads to `jobs`, so a broken one says that the job is gone.
    pub(crate) fn for_job(self, job_id: &str) -> Self {
        match &self {
            StoreError::Database(error)
                if error
                    .as_database_error()
                    .is_some_and(|e| e.is_foreign_key_violation()) =>
            {
                StoreError::NoSuchJob {
                    job_id: job_id.to_owned(),
                }
            }
            _ => self,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => StoreError::Closed,
            error => StoreError::Database(Arc::new(error)),
        }
    }
}
