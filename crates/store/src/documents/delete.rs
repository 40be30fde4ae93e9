//! Deleting documents by their ids.

use serde_json::Value;
use sqlx::SqliteConnection;

use super::names::{self, Place};
use super::scan::{Holds, Source};
use crate::error::Result;
use crate::{ResultKind, Store};

impl Store {
    /// Deletes documents of an index in one transaction. Says of each whether it was there.
    pub async fn delete_documents(&self, source: &Source, ids: Vec<String>) -> Result<Vec<bool>> {
        let source = source.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let mut outcomes = Vec::with_capacity(ids.len());
                for id in ids {
                    outcomes.push(delete(conn, &source, &id).await?);
                }
                Ok(outcomes)
            })
        })
        .await
    }
}

async fn delete(conn: &mut SqliteConnection, source: &Source, id: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM documents WHERE index_name = ? AND id = ?")
        .bind(&source.index)
        .bind(id)
        .execute(&mut *conn)
        .await?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    let sql = match &source.holds {
        Holds::Results(jobs) => return of_job(conn, jobs, id).await,
        Holds::Annotations => "DELETE FROM annotations WHERE annotation_id = ?1",
        Holds::Notifications => {
            "DELETE FROM notifications WHERE document_id = ?1
             OR (document_id IS NULL AND 'notification_' || id = ?1)"
        }
        // A state goes with its snapshot.
        Holds::State | Holds::Given(_) | Holds::Nothing => return Ok(false),
    };
    let done = sqlx::query(sql).bind(id).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

async fn of_job(conn: &mut SqliteConnection, jobs: &[String], id: &str) -> Result<bool> {
    let all: Value = jobs.iter().map(String::as_str).collect();
    let done = sqlx::query(
        "DELETE FROM results WHERE id = ? AND job_id IN (SELECT value FROM json_each(?))",
    )
    .bind(id)
    .bind(all.to_string())
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    for (job_id, place) in names::places(id) {
        if !jobs.contains(&job_id) {
            continue;
        }
        let done = match &place {
            Place::Result(kind, time) => of_engine(conn, &job_id, *kind, *time, id).await?,
            Place::Snapshot(snapshot_id) => {
                sqlx::query("DELETE FROM snapshots WHERE job_id = ? AND snapshot_id = ?")
                    .bind(&job_id)
                    .bind(snapshot_id)
                    .execute(&mut *conn)
                    .await?
                    .rows_affected()
            }
            Place::Forecast(forecast_id) => sqlx::query(
                "DELETE FROM forecasts WHERE job_id = ? AND forecast_id = ? AND running = 0",
            )
            .bind(&job_id)
            .bind(forecast_id)
            .execute(&mut *conn)
            .await?
            .rows_affected(),
            Place::ForecastPoint(forecast_id, time) => {
                point(conn, &job_id, forecast_id, *time, id).await?
            }
            // What is known of a job is its own as long as it is there.
            Place::Stats(_) => 0,
        };
        if done > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes the engine's result of a name.
async fn of_engine(
    conn: &mut SqliteConnection,
    job_id: &str,
    kind: ResultKind,
    timestamp: i64,
    id: &str,
) -> Result<u64> {
    let rows: Vec<(i32, String)> = sqlx::query_as(
        "SELECT seq, doc FROM results WHERE job_id = ? AND kind = ? AND timestamp = ? AND id IS NULL",
    )
    .bind(job_id)
    .bind(kind as i64)
    .bind(timestamp)
    .fetch_all(&mut *conn)
    .await?;
    let is_it = |doc: &str| {
        let doc = serde_json::from_str(doc).unwrap_or_default();
        names::of_result(job_id, kind, timestamp, &doc) == id
    };
    let Some((seq, _)) = rows.iter().find(|(_, doc)| is_it(doc)) else {
        return Ok(0);
    };
    let done = sqlx::query(
        "DELETE FROM results WHERE job_id = ? AND kind = ? AND timestamp = ? AND seq = ?",
    )
    .bind(job_id)
    .bind(kind as i64)
    .bind(timestamp)
    .bind(seq)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

async fn point(
    conn: &mut SqliteConnection,
    job_id: &str,
    forecast_id: &str,
    timestamp: i64,
    id: &str,
) -> Result<u64> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT p.forecast, p.series, s.doc FROM forecasts f JOIN forecast_points p ON p.forecast = f.number
         JOIN forecast_series s ON s.forecast = p.forecast AND s.series = p.series
         WHERE f.job_id = ? AND f.forecast_id = ? AND p.timestamp = ?",
    )
    .bind(job_id)
    .bind(forecast_id)
    .bind(timestamp)
    .fetch_all(&mut *conn)
    .await?;
    let is_it = |doc: &str| {
        let doc = serde_json::from_str(doc).unwrap_or_default();
        names::of_point(job_id, forecast_id, timestamp, &doc) == id
    };
    let Some((forecast, series, _)) = rows.iter().find(|(.., doc)| is_it(doc)) else {
        return Ok(0);
    };
    let done = sqlx::query(
        "DELETE FROM forecast_points WHERE forecast = ? AND timestamp = ? AND series = ?",
    )
    .bind(forecast)
    .bind(timestamp)
    .bind(series)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Rows that go at a time: the writer serves others between.
const PIECE: i64 = 20_000;

impl Store {
    /// Deletes what an index holds of jobs, and what else was written to it. States and annotations are elsewhere.
    pub async fn delete_index(&self, source: &Source) -> Result<()> {
        let jobs = match &source.holds {
            Holds::Results(jobs) => jobs.clone(),
            _ => Vec::new(),
        };
        for job_id in jobs {
            while self.delete_some(&job_id).await? > 0 {}
            for forecast in self.forecasts(Some(&job_id)).await? {
                self.delete_forecast(&job_id, &forecast.forecast_id).await?;
            }
        }
        let name = source.index.clone();
        self.write(move |conn| {
            Box::pin(async move {
                for sql in [
                    "DELETE FROM documents WHERE index_name = ?",
                    "DELETE FROM indices WHERE index_name = ?",
                ] {
                    sqlx::query(sql).bind(&name).execute(&mut *conn).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Deletes some of a job's results, or with the last of them what else is told of it there.
    async fn delete_some(&self, job_id: &str) -> Result<u64> {
        let job_id = job_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(
                    "DELETE FROM results WHERE (job_id, kind, timestamp, seq) IN
                     (SELECT job_id, kind, timestamp, seq FROM results WHERE job_id = ? LIMIT ?)",
                )
                .bind(&job_id)
                .bind(PIECE)
                .execute(&mut *conn)
                .await?;
                if done.rows_affected() == 0 {
                    for sql in [
                        "DELETE FROM job_stats WHERE job_id = ?",
                        "DELETE FROM snapshots WHERE job_id = ?",
                    ] {
                        sqlx::query(sql).bind(&job_id).execute(&mut *conn).await?;
                    }
                }
                Ok(done.rows_affected())
            })
        })
        .await
    }
}
