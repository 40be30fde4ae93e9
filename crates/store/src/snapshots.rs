//! Model snapshots: the ones that users see, keep and go back to

use sqlx::{FromRow, SqliteConnection};

use crate::Store;
use crate::blob;
use crate::error::Result;
use crate::jobs::set_config;
use crate::notes::{AnnotationRow, save_annotation};

/// A model snapshot without its state.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SnapshotRow {
    pub job_id: String,
    pub snapshot_id: String,
    /// When it was taken, in milliseconds.
    pub timestamp: i64,
    /// Whether retention must leave it alone.
    pub retain: bool,
    /// What the API shows of it, JSON.
    pub doc: String,
}

impl Store {
    /// Saves a snapshot and its state, over one of the same id.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn save_snapshot(&self, snapshot: &SnapshotRow, state: Vec<u8>) -> Result<()> {
        let row = snapshot.clone();
        self.write_for(&snapshot.job_id, move |conn, _| {
            Box::pin(async move { insert(conn, row, &state).await })
        })
        .await
    }

    /// Saves a snapshot as [`save_snapshot`](Self::save_snapshot) does, with the annotation that tells of it and the
    /// job's configuration, which names it. One transaction: after a crash all of it is there, or nothing.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn take_snapshot(
        &self,
        snapshot: &SnapshotRow,
        state: Vec<u8>,
        annotation: AnnotationRow,
        config: String,
    ) -> Result<()> {
        let row = snapshot.clone();
        self.write_for(&snapshot.job_id, move |conn, job_id| {
            Box::pin(async move {
                set_config(conn, &job_id, &config).await?;
                insert(conn, row, &state).await?;
                save_annotation(conn, annotation).await
            })
        })
        .await
    }

    /// Changes what is said of a snapshot and leaves its state. `false`: there is no such snapshot.
    pub async fn update_snapshot(&self, snapshot: &SnapshotRow) -> Result<bool> {
        let row = snapshot.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE snapshots SET timestamp = ?3, retain = ?4, doc = ?5
                     WHERE job_id = ?1 AND snapshot_id = ?2",
                )
                .bind(row.job_id)
                .bind(row.snapshot_id)
                .bind(row.timestamp)
                .bind(row.retain)
                .bind(row.doc)
                .execute(conn)
                .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// The snapshots of a job, oldest first.
    pub async fn snapshots(&self, job_id: &str) -> Result<Vec<SnapshotRow>> {
        let rows = sqlx::query_as(
            "SELECT job_id, snapshot_id, timestamp, retain, doc FROM snapshots
             WHERE job_id = ? ORDER BY timestamp, snapshot_id",
        )
        .bind(job_id)
        .fetch_all(self.readers())
        .await?;
        Ok(rows)
    }

    /// When the newest snapshot of a job was taken, in milliseconds.
    pub async fn newest_snapshot(&self, job_id: &str) -> Result<Option<i64>> {
        let timestamp = sqlx::query_scalar("SELECT MAX(timestamp) FROM snapshots WHERE job_id = ?")
            .bind(job_id)
            .fetch_one(self.readers())
            .await?;
        Ok(timestamp)
    }

    /// The state of a snapshot.
    pub async fn load_snapshot_state(
        &self,
        job_id: &str,
        snapshot_id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let rows = sqlx::query(
            "SELECT 0, s.size, k.bytes
             FROM snapshots s
             LEFT JOIN snapshot_chunks k ON k.job_id = s.job_id AND k.snapshot_id = s.snapshot_id
             WHERE s.job_id = ? AND s.snapshot_id = ? ORDER BY k.part",
        )
        .bind(job_id)
        .bind(snapshot_id)
        .fetch(self.readers());
        Ok(blob::collect(rows).await?.map(|(_, state)| state))
    }

    /// Replaces the state of a snapshot and what is said of it. `false`: there is no such snapshot any more.
    pub async fn replace_snapshot(&self, snapshot: &SnapshotRow, state: Vec<u8>) -> Result<bool> {
        let row = snapshot.clone();
        self.write_for(&snapshot.job_id, move |conn, job_id| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE snapshots SET size = ?3, doc = ?4 WHERE job_id = ?1 AND snapshot_id = ?2",
                )
                .bind(&job_id)
                .bind(&row.snapshot_id)
                .bind(i64::try_from(state.len()).unwrap_or(i64::MAX))
                .bind(row.doc)
                .execute(&mut *conn)
                .await?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
                sqlx::query("DELETE FROM snapshot_chunks WHERE job_id = ? AND snapshot_id = ?")
                    .bind(&job_id)
                    .bind(&row.snapshot_id)
                    .execute(&mut *conn)
                    .await?;
                save_state(conn, &job_id, &row.snapshot_id, &state).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Deletes a snapshot, its state and the annotation that told of it, unless it is to be retained and `retained` ones
    /// are to stay. `false`: nothing was deleted.
    pub async fn delete_snapshot(
        &self,
        job_id: &str,
        snapshot_id: &str,
        annotation_id: &str,
        retained: Retained,
    ) -> Result<bool> {
        let (snapshot_id, annotation_id) = (snapshot_id.to_owned(), annotation_id.to_owned());
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(
                async move { delete(conn, &job_id, &snapshot_id, &annotation_id, retained).await },
            )
        })
        .await
    }
}

pub(crate) async fn delete(
    conn: &mut SqliteConnection,
    job_id: &str,
    snapshot_id: &str,
    annotation_id: &str,
    retained: Retained,
) -> Result<bool> {
    let done =
        sqlx::query("DELETE FROM snapshots WHERE job_id = ? AND snapshot_id = ? AND retain <= ?")
            .bind(job_id)
            .bind(snapshot_id)
            .bind(retained == Retained::Go)
            .execute(&mut *conn)
            .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("DELETE FROM annotations WHERE job_id = ? AND annotation_id = ?")
        .bind(job_id)
        .bind(annotation_id)
        .execute(conn)
        .await?;
    Ok(true)
}

/// What a deletion makes of snapshots that are to be retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    Stay,
    Go,
}

/// A snapshot over one of the same id, with its state.
async fn insert(conn: &mut SqliteConnection, row: SnapshotRow, state: &[u8]) -> Result<()> {
    sqlx::query("DELETE FROM snapshots WHERE job_id = ? AND snapshot_id = ?")
        .bind(&row.job_id)
        .bind(&row.snapshot_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO snapshots (job_id, snapshot_id, timestamp, retain, size, doc)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.job_id)
    .bind(&row.snapshot_id)
    .bind(row.timestamp)
    .bind(row.retain)
    .bind(i64::try_from(state.len()).unwrap_or(i64::MAX))
    .bind(row.doc)
    .execute(&mut *conn)
    .await?;
    save_state(conn, &row.job_id, &row.snapshot_id, state).await
}

async fn save_state(
    conn: &mut SqliteConnection,
    job_id: &str,
    snapshot_id: &str,
    state: &[u8],
) -> Result<()> {
    for (part, bytes) in blob::chunks(state) {
        sqlx::query(
            "INSERT INTO snapshot_chunks (job_id, snapshot_id, part, bytes) VALUES (?, ?, ?, ?)",
        )
        .bind(job_id)
        .bind(snapshot_id)
        .bind(part)
        .bind(bytes)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{open_with_job, tempdir};

    fn snapshot(snapshot_id: &str, timestamp: i64) -> SnapshotRow {
        SnapshotRow {
            job_id: "j".into(),
            snapshot_id: snapshot_id.into(),
            timestamp,
            retain: false,
            doc: format!(r#"{{"snapshot_id":"{snapshot_id}"}}"#),
        }
    }

    #[tokio::test]
    async fn snapshots_come_back_oldest_first_with_their_states() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        let large: Vec<u8> = (0..7 << 19)
            .map(|i: u32| (i.wrapping_mul(17) >> 2) as u8)
            .collect();
        store
            .save_snapshot(&snapshot("a", 20), vec![1, 2])
            .await
            .unwrap();
        store
            .save_snapshot(&snapshot("b", 10), large.clone())
            .await
            .unwrap();
        assert_eq!(
            store.snapshots("j").await.unwrap(),
            [snapshot("b", 10), snapshot("a", 20)]
        );
        assert_eq!(
            store.load_snapshot_state("j", "b").await.unwrap(),
            Some(large)
        );
        assert_eq!(
            store.load_snapshot_state("j", "a").await.unwrap(),
            Some(vec![1, 2])
        );
        assert_eq!(store.load_snapshot_state("j", "c").await.unwrap(), None);
        assert_eq!(store.newest_snapshot("j").await.unwrap(), Some(20));
        assert_eq!(store.newest_snapshot("none").await.unwrap(), None);

        // A shorter state leaves nothing of the longer one.
        store
            .save_snapshot(&snapshot("b", 30), vec![3])
            .await
            .unwrap();
        assert_eq!(
            store.load_snapshot_state("j", "b").await.unwrap(),
            Some(vec![3])
        );

        let kept = SnapshotRow {
            retain: true,
            doc: "{}".into(),
            ..snapshot("b", 30)
        };
        assert!(store.update_snapshot(&kept).await.unwrap());
        assert!(!store.update_snapshot(&snapshot("c", 1)).await.unwrap());
        assert_eq!(
            store.snapshots("j").await.unwrap(),
            [snapshot("a", 20), kept]
        );
        assert_eq!(
            store.load_snapshot_state("j", "b").await.unwrap(),
            Some(vec![3])
        );

        let told = snapshot("a", 25);
        assert!(store.replace_snapshot(&told, vec![4; 3]).await.unwrap());
        assert!(
            !store
                .replace_snapshot(&snapshot("c", 1), vec![])
                .await
                .unwrap()
        );
        assert_eq!(
            store.load_snapshot_state("j", "a").await.unwrap(),
            Some(vec![4; 3])
        );

        let annotation = AnnotationRow {
            job_id: "j".into(),
            annotation_id: "b stored".into(),
            timestamp: 30,
            doc: "{}".into(),
        };
        store.annotate(&annotation).await.unwrap();
        let delete = async |retained| {
            store
                .delete_snapshot("j", "b", "b stored", retained)
                .await
                .unwrap()
        };
        assert!(!delete(Retained::Stay).await);
        assert_eq!(store.annotations("j").await.unwrap().len(), 1);
        assert!(delete(Retained::Go).await);
        assert!(!delete(Retained::Go).await);
        assert!(store.annotations("j").await.unwrap().is_empty());
        assert_eq!(store.snapshots("j").await.unwrap(), [snapshot("a", 20)]);
        let chunks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM snapshot_chunks")
            .fetch_one(store.readers())
            .await
            .unwrap();
        assert_eq!(chunks, 1);
    }
}
