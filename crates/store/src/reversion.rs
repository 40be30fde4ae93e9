//! A job taken back to a model snapshot

use crate::Store;
use crate::error::Result;
use crate::jobs::set_config;
use crate::results::{ResultRow, insert};
use crate::snapshots::{self, Retained};

/// What a job is after it has been taken back.
#[derive(Debug, Clone, Default)]
pub struct Reversion {
    /// Its configuration, JSON.
    pub config: String,
    /// Documents about the job, (kind, JSON), each over the one of its kind.
    pub stats: Vec<(String, String)>,
    /// All categories that it knows.
    pub categories: Vec<ResultRow>,
    /// Whether what was found since goes.
    pub intervening: Option<Intervening>,
    /// Model snapshots that go with their annotations, unless they are retained: (id, the annotation's id).
    pub snapshots: Vec<(String, String)>,
}

/// What goes with the results of the time that is taken back.
#[derive(Debug, Clone)]
pub struct Intervening {
    /// Results and annotations after this go, in milliseconds.
    pub after: i64,
    /// Only annotations of these events go.
    pub events: Vec<String>,
}

impl Store {
    /// Makes a job what it was: journal and checkpoint go, so that the next run starts from the snapshot that the
    /// configuration names; categories are those given, and no others. One transaction: a crash leaves the job as it was
    /// or as it is to be.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn revert_job(&self, job_id: &str, to: Reversion) -> Result<()> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                set_config(conn, &job_id, &to.config).await?;
                for sql in [
                    "DELETE FROM checkpoints WHERE job_id = ?",
                    "DELETE FROM journal WHERE job_id = ?",
                    "DELETE FROM results WHERE job_id = ? AND kind = 8",
                ] {
                    sqlx::query(sql).bind(&job_id).execute(&mut *conn).await?;
                }
                insert(conn, &job_id, to.categories).await?;
                for (kind, doc) in to.stats {
                    sqlx::query(
                        "INSERT OR REPLACE INTO job_stats (job_id, kind, doc) VALUES (?, ?, ?)",
                    )
                    .bind(&job_id)
                    .bind(kind)
                    .bind(doc)
                    .execute(&mut *conn)
                    .await?;
                }
                for (snapshot_id, annotation_id) in to.snapshots {
                    snapshots::delete(conn, &job_id, &snapshot_id, &annotation_id, Retained::Stay)
                        .await?;
                }
                let Some(Intervening { after, events }) = to.intervening else {
                    return Ok(());
                };
                sqlx::query(
                    "DELETE FROM results WHERE job_id = ? AND kind IN (0, 1, 2, 3, 9) AND timestamp > ?",
                )
                .bind(&job_id)
                .bind(after)
                .execute(&mut *conn)
                .await?;
                for event in events {
                    sqlx::query(
                        "DELETE FROM annotations WHERE job_id = ? AND timestamp > ?
                         AND json_extract(doc, '$.create_username') = '_xpack'
                         AND json_extract(doc, '$.event') = ?",
                    )
                    .bind(&job_id)
                    .bind(after)
                    .bind(event)
                    .execute(&mut *conn)
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreError;
    use crate::notes::AnnotationRow;
    use crate::results::{CategoryQuery, ResultKind, ResultWrite};
    use crate::testing::{open_with_job, tempdir};

    fn row(kind: ResultKind, timestamp: i64) -> ResultRow {
        ResultRow {
            kind,
            timestamp,
            seq: 0,
            score: 0.0,
            is_interim: false,
            doc: timestamp.to_string(),
        }
    }

    fn annotation(timestamp: i64, event: &str, by: &str) -> AnnotationRow {
        AnnotationRow {
            job_id: "j".into(),
            annotation_id: format!("{event}{timestamp}"),
            timestamp,
            doc: format!(r#"{{"event":"{event}","create_username":"{by}"}}"#),
        }
    }

    #[tokio::test]
    async fn a_reversion_takes_back_what_it_names_and_no_more() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let mut rows: Vec<ResultRow> = (0..6).map(|time| row(ResultKind::Bucket, time)).collect();
        rows.extend((1..4).map(|id| row(ResultKind::Category, id)));
        let write = ResultWrite {
            rows,
            stats: vec![("data_counts".into(), "late".into())],
            annotations: vec![
                annotation(1, "model_change", "_xpack"),
                annotation(4, "model_change", "_xpack"),
                annotation(4, "other", "_xpack"),
                annotation(5, "model_change", "someone"),
            ],
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        store.append_journal("j", 1, vec![1]).await.unwrap();
        store.save_checkpoint("j", 0, vec![2]).await.unwrap();

        let to = Reversion {
            config: "{}".into(),
            stats: vec![("data_counts".into(), "early".into())],
            categories: vec![row(ResultKind::Category, 1)],
            ..Reversion::default()
        };
        store.revert_job("j", to.clone()).await.unwrap();
        assert_eq!(store.jobs().await.unwrap()[0].config, "{}");
        assert_eq!(store.load_checkpoint("j").await.unwrap(), None);
        assert!(store.read_journal("j", 0, 9).await.unwrap().is_empty());
        assert_eq!(store.stats("j").await.unwrap()[0].1, "early");
        let query = CategoryQuery {
            job_id: "j".into(),
            size: 9,
            ..CategoryQuery::default()
        };
        assert_eq!(store.categories(&query).await.unwrap().docs, ["1"]);
        assert_eq!(store.count_results_before("j", 99).await.unwrap(), 6);
        assert_eq!(store.annotations("j").await.unwrap().len(), 4);

        let intervening = Intervening {
            after: 3,
            events: vec!["model_change".into()],
        };
        let to = Reversion {
            intervening: Some(intervening),
            ..to
        };
        store.revert_job("j", to.clone()).await.unwrap();
        assert_eq!(store.newest_bucket("j").await.unwrap(), Some(3));
        let left = store.annotations("j").await.unwrap();
        let left: Vec<&str> = left.iter().map(|row| row.annotation_id.as_str()).collect();
        assert_eq!(left, ["model_change1", "other4", "model_change5"]);

        let none = store.revert_job("none", to).await;
        assert!(matches!(none, Err(StoreError::NoSuchJob { .. })));
    }
}
