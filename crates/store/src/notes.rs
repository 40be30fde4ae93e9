//! Notes for people: notifications (audit messages) and annotations

use sqlx::{FromRow, SqliteConnection};

use crate::Store;
use crate::error::Result;
use crate::jobs::must_be_there;

/// An audit message about a job, or about the system as a whole.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct NotificationRow {
    pub job_id: Option<String>,
    /// info, warning or error.
    pub level: String,
    pub message: String,
    pub timestamp: i64,
}

/// A remark on a stretch of a job's time.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AnnotationRow {
    pub job_id: String,
    /// Unique within the job. What the engine writes must derive it from the data, so that a replay writes the
    /// same annotation again and not a second one.
    pub annotation_id: String,
    /// Where it begins, in milliseconds.
    pub timestamp: i64,
    /// The annotation, JSON.
    pub doc: String,
}

impl Store {
    /// Writes an audit message; the job need not exist. It is on its way when this returns, in its place among the
    /// writes: nobody's answer waits for it.
    pub async fn notify(
        &self,
        job_id: Option<&str>,
        level: &str,
        message: &str,
        timestamp: i64,
    ) -> Result<()> {
        let job_id = job_id.map(str::to_owned);
        let (level, message) = (level.to_owned(), message.to_owned());
        self.post(move |conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO notifications (job_id, level, message, timestamp)
                     VALUES (?, ?, ?, ?)",
                )
                .bind(job_id)
                .bind(level)
                .bind(message)
                .bind(timestamp)
                .execute(conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// The audit messages of one job, or with `None` all there are; oldest first.
    pub async fn notifications(&self, job_id: Option<&str>) -> Result<Vec<NotificationRow>> {
        let query = match job_id {
            Some(job_id) => sqlx::query_as(
                "SELECT job_id, level, message, timestamp FROM notifications
                 WHERE job_id = ? ORDER BY timestamp, id",
            )
            .bind(job_id),
            None => sqlx::query_as(
                "SELECT job_id, level, message, timestamp FROM notifications
                 ORDER BY timestamp, id",
            ),
        };
        Ok(query.fetch_all(self.readers()).await?)
    }

    /// Writes an annotation, over one of the same id.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn annotate(&self, annotation: &AnnotationRow) -> Result<()> {
        let row = annotation.clone();
        self.write_for(&annotation.job_id, move |conn, job_id| {
            Box::pin(async move {
                must_be_there(conn, &job_id).await?;
                save_annotation(conn, row).await
            })
        })
        .await
    }

    /// The annotations of a job, by time.
    pub async fn annotations(&self, job_id: &str) -> Result<Vec<AnnotationRow>> {
        let rows = sqlx::query_as(
            "SELECT job_id, annotation_id, timestamp, doc FROM annotations
             WHERE job_id = ? ORDER BY timestamp, annotation_id",
        )
        .bind(job_id)
        .fetch_all(self.readers())
        .await?;
        Ok(rows)
    }
}

pub(crate) async fn save_annotation(conn: &mut SqliteConnection, row: AnnotationRow) -> Result<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO annotations (job_id, annotation_id, timestamp, doc)
         VALUES (?, ?, ?, ?)",
    )
    .bind(row.job_id)
    .bind(row.annotation_id)
    .bind(row.timestamp)
    .bind(row.doc)
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{open_with_job, tempdir};

    #[tokio::test]
    async fn notifications_outlive_their_job() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        store.notify(Some("j"), "info", "second", 2).await.unwrap();
        store.notify(None, "warning", "first", 1).await.unwrap();
        // Committed after them.
        store
            .delete_job("j", crate::Annotations::All)
            .await
            .unwrap();
        let all = store.notifications(None).await.unwrap();
        let messages: Vec<_> = all.iter().map(|n| n.message.as_str()).collect();
        assert_eq!(messages, ["first", "second"]);
        assert_eq!(store.notifications(Some("j")).await.unwrap(), all[1..]);
    }

    #[tokio::test]
    async fn an_annotation_is_written_once_an_id() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let note = |id: &str, timestamp, doc: &str| AnnotationRow {
            job_id: "j".into(),
            annotation_id: id.into(),
            timestamp,
            doc: doc.into(),
        };
        store.annotate(&note("a", 2, "{}")).await.unwrap();
        store.annotate(&note("b", 1, "{}")).await.unwrap();
        store.annotate(&note("a", 2, "{\"n\":2}")).await.unwrap();
        assert_eq!(
            store.annotations("j").await.unwrap(),
            [note("b", 1, "{}"), note("a", 2, "{\"n\":2}")]
        );
    }
}
