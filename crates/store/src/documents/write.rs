//! Writing documents, many in one transaction.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::SqliteConnection;

use super::results::{self, AdoptedResult};
use crate::error::Result;
use crate::notes::save_annotation;
use crate::{AnnotationRow, ForecastPoint, ForecastRow, NotificationRow, SnapshotRow, Store};

/// A document to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDocument {
    /// Its `_id`.
    pub id: String,
    /// Leave one of this id alone.
    pub only_new: bool,
    pub row: DocumentRow,
}

/// What a document is, and so where it is kept. Results, and what is known of a job, need a job that is there.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentRow {
    Result(AdoptedResult),
    /// A document about a job: one a kind.
    Stats {
        job_id: String,
        kind: String,
        doc: String,
    },
    /// A model snapshot without a state.
    Snapshot(SnapshotRow),
    /// Its id is the document's.
    Annotation(AnnotationRow),
    Notification(NotificationRow),
    Forecast(ForecastRow),
    ForecastPoint {
        /// Put down where the forecast itself isn't known yet.
        forecast: ForecastRow,
        /// What the points of the series have in common, JSON.
        series: String,
        point: ForecastPoint,
    },
    /// Anything else.
    Other {
        index: String,
        job_id: Option<String>,
        doc: String,
    },
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Created,
    Updated,
    /// There is one of its id, and nothing was written.
    Exists,
    /// Its job is gone, and nothing was written.
    NoJob,
}

impl DocumentRow {
    fn job_id(&self) -> Option<&str> {
        match self {
            Self::Result(row) => Some(&row.job_id),
            Self::Stats { job_id, .. } => Some(job_id),
            Self::Snapshot(row) => Some(&row.job_id),
            Self::Forecast(row) | Self::ForecastPoint { forecast: row, .. } => Some(&row.job_id),
            Self::Annotation(_) | Self::Notification(_) | Self::Other { .. } => None,
        }
    }
}

impl Store {
    /// Writes documents in one transaction, each over the one of its id, in their order. Says what became of each.
    pub async fn write_documents(&self, documents: Vec<NewDocument>) -> Result<Vec<Written>> {
        self.write(move |conn| Box::pin(async move { write(conn, documents).await }))
            .await
    }
}

impl Store {
    /// How many documents are left of a former job: its results in an index, and its states.
    pub async fn left_over(&self, job_id: &str, results_index: &str) -> Result<(i64, i64)> {
        let counts = sqlx::query_as(
            "SELECT COUNT(*) FILTER (WHERE index_name = ?2),
                    COUNT(*) FILTER (WHERE substr(index_name, 1, 9) = '.ml-state'
                                     AND id IN (?1 || '_quantiles', ?1 || '_categorizer_state#1'))
             FROM documents WHERE job_id = ?1",
        )
        .bind(job_id)
        .bind(results_index)
        .fetch_one(self.readers())
        .await?;
        Ok(counts)
    }
}

async fn write(conn: &mut SqliteConnection, documents: Vec<NewDocument>) -> Result<Vec<Written>> {
    let there = jobs_there(conn, &documents).await?;
    let mut written = vec![Written::NoJob; documents.len()];
    // Results come in great numbers: those on end are written together.
    let mut waiting: Vec<(usize, String, bool, AdoptedResult)> = Vec::new();
    for (at, document) in documents.into_iter().enumerate() {
        let job_id = document.row.job_id();
        if job_id.is_some_and(|job_id| !there.contains(job_id)) {
            continue;
        }
        let NewDocument { id, only_new, row } = document;
        match row {
            DocumentRow::Result(row) => waiting.push((at, id, only_new, row)),
            row => written[at] = write_one(conn, id, only_new, row).await?,
        }
    }
    results::write(conn, waiting, &mut written).await?;
    Ok(written)
}

async fn jobs_there(
    conn: &mut SqliteConnection,
    documents: &[NewDocument],
) -> Result<HashSet<String>> {
    let asked: HashSet<&str> = documents.iter().filter_map(|d| d.row.job_id()).collect();
    let asked: Value = asked.into_iter().collect();
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT job_id FROM jobs WHERE job_id IN (SELECT value FROM json_each(?))",
    )
    .bind(asked.to_string())
    .fetch_all(conn)
    .await?;
    Ok(there.into_iter().collect())
}

async fn write_one(
    conn: &mut SqliteConnection,
    id: String,
    only_new: bool,
    row: DocumentRow,
) -> Result<Written> {
    let known = is_known(conn, &id, &row).await?;
    if known && only_new {
        return Ok(Written::Exists);
    }
    match row {
        DocumentRow::Result(_) => {}
        DocumentRow::Stats { job_id, kind, doc } => {
            // Of those that an old cluster kept of all times, the newest counts.
            sqlx::query(
                "INSERT INTO job_stats (job_id, kind, doc) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE
                 SET doc = excluded.doc
                 WHERE coalesce(json_extract(excluded.doc, '$.log_time') >= json_extract(doc, '$.log_time'), 1)",
            )
            .bind(job_id)
            .bind(kind)
            .bind(doc)
            .execute(conn)
            .await?;
        }
        DocumentRow::Snapshot(row) => {
            sqlx::query(
                "INSERT INTO snapshots (job_id, snapshot_id, timestamp, retain, size, doc)
                 VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT DO UPDATE
                 SET timestamp = excluded.timestamp, retain = excluded.retain, doc = excluded.doc",
            )
            .bind(row.job_id)
            .bind(row.snapshot_id)
            .bind(row.timestamp)
            .bind(row.retain)
            .bind(row.doc)
            .execute(conn)
            .await?;
        }
        DocumentRow::Annotation(row) => save_annotation(conn, row).await?,
        DocumentRow::Notification(row) => {
            sqlx::query(
                "INSERT OR REPLACE INTO notifications (document_id, job_id, level, message, timestamp)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(row.job_id)
            .bind(row.level)
            .bind(row.message)
            .bind(row.timestamp)
            .execute(conn)
            .await?;
        }
        DocumentRow::Forecast(row) => {
            sqlx::query(
                "INSERT INTO forecasts (job_id, forecast_id, created, expires, running, doc)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
                 SET created = excluded.created, expires = excluded.expires, running = excluded.running,
                     doc = excluded.doc",
            )
            .bind(row.job_id)
            .bind(row.forecast_id)
            .bind(row.created)
            .bind(row.expires)
            .bind(row.running)
            .bind(row.doc)
            .execute(conn)
            .await?;
        }
        DocumentRow::ForecastPoint {
            forecast,
            series,
            point,
        } => crate::forecasts::adopt_point(conn, forecast, series, point).await?,
        DocumentRow::Other { index, job_id, doc } => {
            sqlx::query("INSERT OR IGNORE INTO indices (index_name) VALUES (?)")
                .bind(&index)
                .execute(&mut *conn)
                .await?;
            sqlx::query(
                "INSERT OR REPLACE INTO documents (index_name, id, job_id, doc) VALUES (?, ?, ?, ?)",
            )
            .bind(index)
            .bind(id)
            .bind(job_id)
            .bind(doc)
            .execute(conn)
            .await?;
        }
    }
    Ok(if known {
        Written::Updated
    } else {
        Written::Created
    })
}

/// Whether there is a document in the place of this one.
async fn is_known(conn: &mut SqliteConnection, id: &str, row: &DocumentRow) -> Result<bool> {
    let found = match row {
        DocumentRow::Result(_) => return Ok(false),
        DocumentRow::Stats { job_id, kind, .. } => {
            sqlx::query_scalar("SELECT 1 FROM job_stats WHERE job_id = ? AND kind = ?")
                .bind(job_id)
                .bind(kind)
        }
        DocumentRow::Snapshot(row) => {
            sqlx::query_scalar("SELECT 1 FROM snapshots WHERE job_id = ? AND snapshot_id = ?")
                .bind(&row.job_id)
                .bind(&row.snapshot_id)
        }
        DocumentRow::Annotation(row) => {
            sqlx::query_scalar("SELECT 1 FROM annotations WHERE job_id = ? AND annotation_id = ?")
                .bind(&row.job_id)
                .bind(&row.annotation_id)
        }
        DocumentRow::Notification(_) => {
            sqlx::query_scalar("SELECT 1 FROM notifications WHERE document_id = ?").bind(id)
        }
        DocumentRow::Forecast(row) => {
            sqlx::query_scalar("SELECT 1 FROM forecasts WHERE job_id = ? AND forecast_id = ?")
                .bind(&row.job_id)
                .bind(&row.forecast_id)
        }
        DocumentRow::ForecastPoint {
            forecast,
            series,
            point,
        } => sqlx::query_scalar(
            "SELECT 1 FROM forecasts f JOIN forecast_series s ON s.forecast = f.number
             JOIN forecast_points p ON p.forecast = f.number AND p.series = s.series
             WHERE f.job_id = ? AND f.forecast_id = ? AND s.doc = ? AND p.timestamp = ?",
        )
        .bind(&forecast.job_id)
        .bind(&forecast.forecast_id)
        .bind(series)
        .bind(point.timestamp),
        DocumentRow::Other { index, .. } => {
            sqlx::query_scalar("SELECT 1 FROM documents WHERE index_name = ? AND id = ?")
                .bind(index)
                .bind(id)
        }
    };
    let found: Option<i64> = found.fetch_optional(conn).await?;
    Ok(found.is_some())
}
