//! What is past its time: counted, and deleted in bounded steps, so that no one who writes waits long

use crate::error::Result;
use crate::results::ResultKind;
use crate::{Store, writer};

/// The results that have a time, and so an age.
const AGEING: [ResultKind; 5] = [
    ResultKind::Bucket,
    ResultKind::Record,
    ResultKind::Influencer,
    ResultKind::ModelPlot,
    ResultKind::Forest,
];

impl Store {
    /// The timestamp of the newest bucket, interim or not.
    pub async fn newest_bucket(&self, job_id: &str) -> Result<Option<i64>> {
        let timestamp =
            sqlx::query_scalar("SELECT MAX(timestamp) FROM results WHERE job_id = ? AND kind = ?")
                .bind(job_id)
                .bind(ResultKind::Bucket as i64)
                .fetch_one(self.readers())
                .await?;
        Ok(timestamp)
    }

    /// How many results of a job are older than `timestamp_ms`. Categories have no age, forecasts have their own.
    pub async fn count_results_before(&self, job_id: &str, timestamp_ms: i64) -> Result<i64> {
        let count = sqlx::query_scalar(
            "SELECT COUNT(*) FROM results WHERE job_id = ? AND kind IN (0, 1, 2, 3, 9) AND timestamp < ?",
        )
        .bind(job_id)
        .bind(timestamp_ms)
        .fetch_one(self.readers())
        .await?;
        Ok(count)
    }

    /// Deletes results of a job that are older than `timestamp_ms`, the oldest of a kind first: about `most` of them and
    /// the others of the same moment. Gives how many; 0 when none is left.
    pub async fn delete_results_before(
        &self,
        job_id: &str,
        timestamp_ms: i64,
        most: i64,
    ) -> Result<i64> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                let mut deleted = 0;
                for kind in AGEING {
                    // A range of the primary key, up to the moment of the last one that goes.
                    let done = sqlx::query(
                        "DELETE FROM results WHERE job_id = ?1 AND kind = ?2 AND timestamp < ?3
                         AND timestamp <= COALESCE((
                             SELECT timestamp FROM results
                             WHERE job_id = ?1 AND kind = ?2 AND timestamp < ?3
                             ORDER BY timestamp LIMIT 1 OFFSET ?4), ?3)",
                    )
                    .bind(&job_id)
                    .bind(kind as i64)
                    .bind(timestamp_ms)
                    .bind(most - deleted)
                    .execute(&mut *conn)
                    .await?;
                    deleted += writer::rows(&done);
                    if deleted >= most {
                        break;
                    }
                }
                Ok(deleted)
            })
        })
        .await
    }

    /// How many annotations of a job that people did not write begin before `timestamp_ms`.
    pub async fn count_annotations_before(&self, job_id: &str, timestamp_ms: i64) -> Result<i64> {
        let count = sqlx::query_scalar(
            "SELECT COUNT(*) FROM annotations WHERE job_id = ? AND timestamp < ?
             AND json_extract(doc, '$.create_username') = '_xpack'",
        )
        .bind(job_id)
        .bind(timestamp_ms)
        .fetch_one(self.readers())
        .await?;
        Ok(count)
    }

    /// Deletes up to `most` of the annotations that [`count_annotations_before`](Self::count_annotations_before) counts,
    /// and gives how many.
    pub async fn delete_annotations_before(
        &self,
        job_id: &str,
        timestamp_ms: i64,
        most: i64,
    ) -> Result<i64> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                let done = sqlx::query(
                    "DELETE FROM annotations WHERE (job_id, annotation_id) IN (
                         SELECT job_id, annotation_id FROM annotations
                         WHERE job_id = ?1 AND timestamp < ?2
                         AND json_extract(doc, '$.create_username') = '_xpack' LIMIT ?3)",
                )
                .bind(job_id)
                .bind(timestamp_ms)
                .bind(most)
                .execute(conn)
                .await?;
                Ok(writer::rows(&done))
            })
        })
        .await
    }

    /// How many forecasts have ended and expired before `now`.
    pub async fn count_expired_forecasts(&self, now: i64) -> Result<i64> {
        let count =
            sqlx::query_scalar("SELECT COUNT(*) FROM forecasts WHERE expires < ? AND running = 0")
                .bind(now)
                .fetch_one(self.readers())
                .await?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes::AnnotationRow;
    use crate::results::{ResultRow, ResultWrite};
    use crate::testing::{open_with_job, tempdir};

    #[tokio::test]
    async fn old_results_and_annotations_go_in_small_steps() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let row = |kind, timestamp, seq| ResultRow {
            kind,
            timestamp,
            seq,
            score: 1.0,
            is_interim: timestamp == 9,
            doc: "{}".into(),
        };
        let buckets = (0..10).map(|time| row(ResultKind::Bucket, time, 0));
        let records =
            (0..10).flat_map(|time| (0..3).map(move |n| row(ResultKind::Record, time, n)));
        let write = ResultWrite {
            rows: buckets
                .chain(records)
                .chain([row(ResultKind::Category, 1, 0)])
                .collect(),
            annotations: (0..10)
                .map(|time| AnnotationRow {
                    job_id: "j".into(),
                    annotation_id: time.to_string(),
                    timestamp: time,
                    doc: format!(
                        r#"{{"create_username":"{}"}}"#,
                        if time == 2 { "someone" } else { "_xpack" }
                    ),
                })
                .collect(),
            ..ResultWrite::default()
        };
        store.write_results("j", write).await.unwrap();
        assert_eq!(store.newest_bucket("j").await.unwrap(), Some(9));
        assert_eq!(store.newest_bucket("none").await.unwrap(), None);
        assert_eq!(store.count_results_before("j", 6).await.unwrap(), 24);
        let mut steps = Vec::new();
        loop {
            match store.delete_results_before("j", 6, 4).await.unwrap() {
                0 => break,
                deleted => steps.push(deleted),
            }
        }
        assert_eq!(steps.iter().sum::<i64>(), 24);
        assert!(steps.iter().all(|step| *step <= 4 + 3), "{steps:?}");
        assert_eq!(store.count_results_before("j", 6).await.unwrap(), 0);
        assert_eq!(store.count_results_before("j", 99).await.unwrap(), 16);

        assert_eq!(store.count_annotations_before("j", 6).await.unwrap(), 5);
        assert_eq!(store.delete_annotations_before("j", 6, 3).await.unwrap(), 3);
        assert_eq!(store.delete_annotations_before("j", 6, 3).await.unwrap(), 2);
        let left = store.annotations("j").await.unwrap();
        let left: Vec<i64> = left.iter().map(|row| row.timestamp).collect();
        assert_eq!(left, [2, 6, 7, 8, 9]);
    }
}
