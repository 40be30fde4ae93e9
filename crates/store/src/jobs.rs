//! Jobs: their configuration and state, and the documents about them

use sqlx::{FromRow, SqliteConnection};

use crate::Store;
use crate::datafeeds::{self, DatafeedRow};
use crate::error::{Result, StoreError};

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct JobRow {
    pub job_id: String,
    /// The configuration, JSON.
    pub config: String,
    /// One of Elasticsearch's states: closed, opening, opened, closing, failed.
    pub state: String,
    /// Why the job is in this state, where there is something to say.
    pub reason: Option<String>,
    /// The place of the job among those that were opened; `None` for a job that isn't.
    pub opened_order: Option<i64>,
}

/// Which annotations go with all else that a job has: people's too, or only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotations {
    All,
    Own,
}

impl Store {
    /// Adds a job. `false`: there is one of this id, and nothing has changed.
    pub async fn insert_job(&self, job: &JobRow) -> Result<bool> {
        let job = job.clone();
        self.write(move |conn| Box::pin(insert(conn, job))).await
    }

    /// Adds a job and its datafeed, both or neither. `false`: one of the ids is taken, and nothing has changed.
    pub async fn insert_job_with(&self, job: &JobRow, datafeed: &DatafeedRow) -> Result<bool> {
        let (job, datafeed) = (job.clone(), datafeed.clone());
        self.write(move |conn| {
            Box::pin(async move {
                let job_id = job.job_id.clone();
                if !insert(&mut *conn, job).await? {
                    return Ok(false);
                }
                if datafeeds::insert(&mut *conn, datafeed).await? {
                    return Ok(true);
                }
                sqlx::query("DELETE FROM jobs WHERE job_id = ?")
                    .bind(job_id)
                    .execute(conn)
                    .await?;
                Ok(false)
            })
        })
        .await
    }

    /// Replaces the configuration of a job.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]
    pub async fn save_config(&self, job_id: &str, config: &str) -> Result<()> {
        let config = config.to_owned();
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move { set_config(conn, &job_id, &config).await })
        })
        .await
    }

    /// Sets all three fields of a job's state; `None` clears a field.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]
    pub async fn set_state(
        &self,
        job_id: &str,
        state: &str,
        reason: Option<&str>,
        opened_order: Option<i64>,
    ) -> Result<()> {
        let (state, reason) = (state.to_owned(), reason.map(str::to_owned));
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE jobs SET state = ?2, reason = ?3, opened_order = ?4 WHERE job_id = ?1",
                )
                .bind(&job_id)
                .bind(state)
                .bind(reason)
                .bind(opened_order)
                .execute(conn)
                .await?;
                must_exist(done.rows_affected(), job_id)
            })
        })
        .await
    }

    /// Deletes a job and every row about it except notifications, its name in calendars too, in one transaction. What
    /// users have annotated goes only by `annotations`. No job, no error.
    pub async fn delete_job(&self, job_id: &str, annotations: Annotations) -> Result<()> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                clear(conn, &job_id, annotations).await?;
                sqlx::query("DELETE FROM calendar_jobs WHERE job_id = ?")
                    .bind(&job_id)
                    .execute(&mut *conn)
                    .await?;
                sqlx::query("DELETE FROM jobs WHERE job_id = ?")
                    .bind(job_id)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Takes a job back to its first day: results, journal, checkpoint, snapshots, statistics, annotations and forecasts go,
    /// the job and its state stay, and its configuration is replaced. What users have annotated goes only by
    /// `user_annotations`. One transaction.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]
    pub async fn clear_job(
        &self,
        job_id: &str,
        config: &str,
        annotations: Annotations,
    ) -> Result<()> {
        let config = config.to_owned();
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                clear(&mut *conn, &job_id, annotations).await?;
                set_config(conn, &job_id, &config).await
            })
        })
        .await
    }

    /// Deletes at most `rows` rows of what [`clear_job`](Self::clear_job) deletes, and tells how many. When it tells 0,
    /// what is left is little.
    pub async fn clear_some(
        &self,
        job_id: &str,
        rows: u32,
        annotations: Annotations,
    ) -> Result<u64> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                let mut deleted = 0;
                for (sql, share) in some(annotations) {
                    let done = sqlx::query(sql)
                        .bind(&job_id)
                        .bind((i64::from(rows) - deleted) / share)
                        .execute(&mut *conn)
                        .await?;
                    deleted += done.rows_affected() as i64 * share;
                    if deleted >= i64::from(rows) {
                        break;
                    }
                }
                Ok(deleted as u64)
            })
        })
        .await
    }

    /// Every job, by id.
    pub async fn jobs(&self) -> Result<Vec<JobRow>> {
        let jobs = sqlx::query_as(
            "SELECT job_id, config, state, reason, opened_order FROM jobs ORDER BY job_id",
        )
        .fetch_all(self.readers())
        .await?;
        Ok(jobs)
    }

    /// The documents about a job, (kind, JSON), by kind. [`write_results`](Self::write_results) writes them.
    pub async fn stats(&self, job_id: &str) -> Result<Vec<(String, String)>> {
        let stats =
            sqlx::query_as("SELECT kind, doc FROM job_stats WHERE job_id = ? ORDER BY kind")
                .bind(job_id)
                .fetch_all(self.readers())
                .await?;
        Ok(stats)
    }
}

async fn insert(conn: &mut SqliteConnection, job: JobRow) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO jobs (job_id, config, state, reason, opened_order)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(job.job_id)
    .bind(job.config)
    .bind(job.state)
    .bind(job.reason)
    .bind(job.opened_order)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn must_exist(rows: u64, job_id: String) -> Result<()> {
    match rows {
        0 => Err(StoreError::NoSuchJob { job_id }),
        _ => Ok(()),
    }
}

/// Fails with [`StoreError::NoSuchJob`].
pub(crate) async fn must_be_there(conn: &mut SqliteConnection, job_id: &str) -> Result<()> {
    let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM jobs WHERE job_id = ?")
        .bind(job_id)
        .fetch_optional(conn)
        .await?;
    must_exist(there.map_or(0, |_| 1), job_id.to_owned())
}

/// Fails with [`StoreError::NoSuchJob`].
pub(crate) async fn set_config(
    conn: &mut SqliteConnection,
    job_id: &str,
    config: &str,
) -> Result<()> {
    let done = sqlx::query("UPDATE jobs SET config = ?2 WHERE job_id = ?1")
        .bind(job_id)
        .bind(config)
        .execute(conn)
        .await?;
    must_exist(done.rows_affected(), job_id.to_owned())
}

/// Deletes everything that hangs on a job. The chunks of checkpoints and snapshots go with their owners.
async fn clear(conn: &mut SqliteConnection, job_id: &str, annotations: Annotations) -> Result<()> {
    let annotations = match annotations {
        Annotations::All => "DELETE FROM annotations WHERE job_id = ?",
        Annotations::Own => {
            "DELETE FROM annotations WHERE job_id = ? AND json_extract(doc, '$.create_username') = '_xpack'"
        }
    };
    for sql in [
        "DELETE FROM results WHERE job_id = ?",
        "DELETE FROM journal WHERE job_id = ?",
        "DELETE FROM checkpoints WHERE job_id = ?",
        "DELETE FROM snapshots WHERE job_id = ?",
        "DELETE FROM job_stats WHERE job_id = ?",
        annotations,
        "DELETE FROM forecasts WHERE job_id = ?",
        "DELETE FROM documents WHERE job_id = ?",
    ] {
        sqlx::query(sql).bind(job_id).execute(&mut *conn).await?;
    }
    Ok(())
}

/// A limited number of rows of each table that may have many of a job, and for how many rows one of them counts: a
/// chunk of a state has a megabyte.
fn some(annotations: Annotations) -> [(&'static str, i64); 8] {
    let annotations = match annotations {
        Annotations::All => {
            "DELETE FROM annotations WHERE (job_id, annotation_id) IN
             (SELECT job_id, annotation_id FROM annotations WHERE job_id = ? LIMIT ?)"
        }
        Annotations::Own => {
            "DELETE FROM annotations WHERE (job_id, annotation_id) IN
             (SELECT job_id, annotation_id FROM annotations
              WHERE job_id = ? AND json_extract(doc, '$.create_username') = '_xpack' LIMIT ?)"
        }
    };
    [
        (
            "DELETE FROM results WHERE (job_id, kind, timestamp, seq) IN
         (SELECT job_id, kind, timestamp, seq FROM results WHERE job_id = ? LIMIT ?)",
            1,
        ),
        (
            "DELETE FROM journal WHERE rowid IN (SELECT rowid FROM journal WHERE job_id = ? LIMIT ?)",
            100,
        ),
        (
            "DELETE FROM checkpoint_chunks WHERE rowid IN
         (SELECT rowid FROM checkpoint_chunks WHERE job_id = ? LIMIT ?)",
            100,
        ),
        (
            "DELETE FROM snapshot_chunks WHERE rowid IN
         (SELECT rowid FROM snapshot_chunks WHERE job_id = ? LIMIT ?)",
            100,
        ),
        (
            "DELETE FROM snapshots WHERE (job_id, snapshot_id) IN
         (SELECT job_id, snapshot_id FROM snapshots WHERE job_id = ? LIMIT ?)",
            1,
        ),
        (annotations, 1),
        (
            "DELETE FROM forecast_points WHERE (forecast, timestamp, series) IN
         (SELECT forecast, timestamp, series FROM forecast_points
          WHERE forecast IN (SELECT number FROM forecasts WHERE job_id = ?) LIMIT ?)",
            1,
        ),
        (
            "DELETE FROM documents WHERE (index_name, id) IN
         (SELECT index_name, id FROM documents WHERE job_id = ? LIMIT ?)",
            1,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::testing::{job, open_with_job, tempdir};
    use crate::{
        AnnotationRow, CalendarRow, DocumentRow, ForecastRow, NewDocument, ResultKind, ResultRow,
        ResultWrite, SnapshotRow,
    };

    #[tokio::test]
    async fn jobs_are_kept_and_changed() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "b").await;
        assert!(!store.insert_job(&job("b")).await.unwrap());
        assert!(store.insert_job(&job("a")).await.unwrap());
        store.save_config("b", "{}").await.unwrap();
        store
            .set_state("b", "failed", Some("no room"), Some(7))
            .await
            .unwrap();
        let jobs = store.jobs().await.unwrap();
        assert_eq!(jobs[0], job("a"));
        assert_eq!(
            jobs[1],
            JobRow {
                job_id: "b".into(),
                config: "{}".into(),
                state: "failed".into(),
                reason: Some("no room".into()),
                opened_order: Some(7),
            }
        );
        store.set_state("b", "closed", None, None).await.unwrap();
        assert_eq!(store.jobs().await.unwrap()[1].opened_order, None);
    }

    #[tokio::test]
    async fn writes_for_a_job_that_is_gone_are_refused() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let is_gone =
            |r: Result<()>| matches!(r, Err(StoreError::NoSuchJob { job_id }) if job_id == "gone");
        assert!(is_gone(store.save_config("gone", "{}").await));
        assert!(is_gone(store.set_state("gone", "closed", None, None).await));
        assert!(is_gone(store.append_journal("gone", 1, vec![1]).await));
        assert!(is_gone(store.save_checkpoint("gone", 1, vec![1]).await));
        let write = ResultWrite {
            stats: vec![("data_counts".into(), "{}".into())],
            ..ResultWrite::default()
        };
        assert!(is_gone(store.write_results("gone", write).await));
        store.delete_job("gone", Annotations::All).await.unwrap();
    }

    /// Puts a row of the job into every table there is.
    async fn fill(store: &Store, job_id: &str) {
        let row = |kind, is_interim| ResultRow {
            kind,
            timestamp: 1000,
            seq: 0,
            score: 5.0,
            is_interim,
            doc: "{}".into(),
        };
        let annotation = |id: &str| AnnotationRow {
            job_id: job_id.into(),
            annotation_id: id.into(),
            timestamp: 1,
            doc: "{}".into(),
        };
        let document = DocumentRow::Other {
            index: ".ml-state-000001".into(),
            job_id: Some(job_id.into()),
            doc: "{}".into(),
        };
        let document = NewDocument {
            id: format!("{job_id}_quantiles"),
            only_new: false,
            row: document,
        };
        store.write_documents(vec![document]).await.unwrap();
        store.append_journal(job_id, 1, vec![1]).await.unwrap();
        store.save_checkpoint(job_id, 1, vec![1]).await.unwrap();
        store.append_journal(job_id, 2, vec![2]).await.unwrap();
        let snapshot = SnapshotRow {
            job_id: job_id.into(),
            snapshot_id: "1".into(),
            timestamp: 1,
            retain: true,
            doc: "{}".into(),
        };
        store.save_snapshot(&snapshot, vec![1]).await.unwrap();
        let write = ResultWrite {
            delete_interim: None,
            rows: vec![
                row(ResultKind::Bucket, true),
                row(ResultKind::Record, false),
            ],
            rescoring: None,
            stats: vec![("data_counts".into(), "{}".into())],
            annotations: vec![annotation("a")],
        };
        store.write_results(job_id, write).await.unwrap();
        store.annotate(&annotation("b")).await.unwrap();
        let forecast = ForecastRow {
            job_id: job_id.into(),
            forecast_id: "1".into(),
            created: 1,
            expires: None,
            running: true,
            doc: "{}".into(),
        };
        store.insert_forecast(&forecast).await.unwrap();
        store
            .notify(Some(job_id), "info", "hello", 1)
            .await
            .unwrap();
        let calendar = CalendarRow {
            calendar_id: format!("of-{job_id}"),
            description: None,
            job_ids: vec![job_id.into()],
        };
        store.insert_calendar(&calendar).await.unwrap();
        let datafeed = crate::DatafeedRow {
            datafeed_id: format!("of-{job_id}"),
            job_id: job_id.into(),
            config: "{}".into(),
            started: None,
            timing_stats: None,
        };
        // It stays when its job is cleared.
        store.insert_datafeed(&datafeed).await.unwrap();
    }

    /// How many rows of the job each table with jobs in it has.
    async fn census(store: &Store, job_id: &str) -> BTreeMap<String, i64> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND c.name = 'job_id'",
        )
        .fetch_all(store.readers())
        .await
        .unwrap();
        let mut census = BTreeMap::new();
        for table in tables {
            let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table} WHERE job_id = ?"));
            let rows = sqlx::query_scalar(sql)
                .bind(job_id)
                .fetch_one(store.readers())
                .await
                .unwrap();
            census.insert(table, rows);
        }
        census
    }

    #[tokio::test]
    async fn deleting_a_job_leaves_nothing_behind() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        store.insert_job(&job("other")).await.unwrap();
        fill(&store, "j").await;
        fill(&store, "other").await;
        let full = census(&store, "j").await;
        assert!(
            full.len() >= 9 && full.values().all(|rows| *rows > 0),
            "{full:?}"
        );

        store.delete_job("j", Annotations::All).await.unwrap();
        for (table, rows) in census(&store, "j").await {
            assert_eq!(rows, i64::from(table == "notifications"), "{table}");
        }
        assert_eq!(census(&store, "other").await, full);
    }

    #[tokio::test]
    async fn clearing_a_job_leaves_the_job() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        fill(&store, "j").await;
        // First in steps as small as can be.
        for _ in 0..1_000 {
            let deleted = store.clear_some("j", 100, Annotations::All).await.unwrap();
            assert!(deleted <= 100, "{deleted}");
            if deleted == 0 {
                break;
            }
        }
        let left = census(&store, "j").await;
        assert_eq!(
            (
                left["results"],
                left["journal"],
                left["snapshots"],
                left["documents"]
            ),
            (0, 0, 0, 0)
        );
        store
            .clear_job("j", &job("j").config, Annotations::All)
            .await
            .unwrap();
        for (table, rows) in census(&store, "j").await {
            let stays =
                ["jobs", "notifications", "calendar_jobs", "datafeeds"].contains(&table.as_str());
            assert_eq!(rows, i64::from(stays), "{table}");
        }
        assert_eq!(store.jobs().await.unwrap(), [job("j")]);
        fill(&store, "j").await;
    }

    #[tokio::test]
    async fn peoples_annotations_may_stay() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let note = |id: &str, by: &str| AnnotationRow {
            job_id: "j".into(),
            annotation_id: id.into(),
            timestamp: 1,
            doc: format!(r#"{{"create_username":"{by}"}}"#),
        };
        let left = async || {
            let left = store.annotations("j").await.unwrap();
            left.into_iter()
                .map(|row| row.annotation_id)
                .collect::<Vec<_>>()
        };
        let own = Annotations::Own;
        for by_steps in [true, false] {
            for (id, by) in [("a", "_xpack"), ("b", "ann"), ("c", "_xpack")] {
                store.annotate(&note(id, by)).await.unwrap();
            }
            match by_steps {
                true => while store.clear_some("j", 1, own).await.unwrap() > 0 {},
                false => store.clear_job("j", "{}", own).await.unwrap(),
            }
            assert_eq!(left().await, ["b"]);
        }
        store.delete_job("j", own).await.unwrap();
        assert_eq!(left().await, ["b"]);
        store.annotate(&note("d", "_xpack")).await.unwrap_err();
        store.delete_job("j", Annotations::All).await.unwrap();
        assert!(left().await.is_empty());
    }
}
