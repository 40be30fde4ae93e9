//! The journal of accepted commands, and the checkpoint from which it is replayed
//!
//! A job's state is its checkpoint and then every journal row, in order. Saving a checkpoint takes the place of
//! the rows it holds, in one transaction, so at no moment is a command in both or in neither.

use crate::Store;
use crate::blob;
use crate::error::Result;

impl Store {
    /// Appends the command `seq` of a job and returns once it is durable. Calls are kept in the order in which
    /// they are made.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob); [`Database`](crate::StoreError::Database) when the job has a
    /// command of this number.
    pub async fn append_journal(&self, job_id: &str, seq: i64, payload: Vec<u8>) -> Result<()> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                sqlx::query("INSERT INTO journal (job_id, seq, payload) VALUES (?, ?, ?)")
                    .bind(job_id)
                    .bind(seq)
                    .bind(payload)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// At most `limit` commands after `after`, (seq, payload), in order.
    pub async fn read_journal(
        &self,
        job_id: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Vec<u8>)>> {
        let rows = sqlx::query_as(
            "SELECT seq, payload FROM journal WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(job_id)
        .bind(after)
        .bind(limit.max(0))
        .fetch_all(self.readers())
        .await?;
        Ok(rows)
    }

    /// Replaces the checkpoint of a job by its state after the command `seq`, and deletes the commands up to it.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn save_checkpoint(&self, job_id: &str, seq: i64, state: Vec<u8>) -> Result<()> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                sqlx::query("DELETE FROM checkpoints WHERE job_id = ?")
                    .bind(&job_id)
                    .execute(&mut *conn)
                    .await?;
                sqlx::query("INSERT INTO checkpoints (job_id, seq, size) VALUES (?, ?, ?)")
                    .bind(&job_id)
                    .bind(seq)
                    .bind(i64::try_from(state.len()).unwrap_or(i64::MAX))
                    .execute(&mut *conn)
                    .await?;
                for (part, bytes) in blob::chunks(&state) {
                    sqlx::query(
                        "INSERT INTO checkpoint_chunks (job_id, part, bytes) VALUES (?, ?, ?)",
                    )
                    .bind(&job_id)
                    .bind(part)
                    .bind(bytes)
                    .execute(&mut *conn)
                    .await?;
                }
                sqlx::query("DELETE FROM journal WHERE job_id = ? AND seq <= ?")
                    .bind(&job_id)
                    .bind(seq)
                    .execute(&mut *conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// The checkpoint of a job, (seq, state).
    pub async fn load_checkpoint(&self, job_id: &str) -> Result<Option<(i64, Vec<u8>)>> {
        let rows = sqlx::query(
            "SELECT c.seq, c.size, k.bytes
             FROM checkpoints c LEFT JOIN checkpoint_chunks k ON k.job_id = c.job_id
             WHERE c.job_id = ? ORDER BY k.part",
        )
        .bind(job_id)
        .fetch(self.readers());
        blob::collect(rows).await
    }

    /// Whether a job has a checkpoint, or commands in its journal.
    pub async fn has_checkpoint(&self, job_id: &str) -> Result<bool> {
        let has = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM checkpoints WHERE job_id = ?1)
                 OR EXISTS (SELECT 1 FROM journal WHERE job_id = ?1)",
        )
        .bind(job_id)
        .fetch_one(self.readers())
        .await?;
        Ok(has)
    }

    /// Deletes the checkpoint and the journal of a job.
    pub async fn drop_checkpoint(&self, job_id: &str) -> Result<()> {
        self.write_for(job_id, |conn, job_id| {
            Box::pin(async move {
                for sql in [
                    "DELETE FROM checkpoints WHERE job_id = ?",
                    "DELETE FROM journal WHERE job_id = ?",
                ] {
                    sqlx::query(sql).bind(&job_id).execute(&mut *conn).await?;
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
    use crate::testing::{job, open_with_job, tempdir};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_appends_are_all_durable_and_in_order() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "0").await;
        for id in 1..8 {
            store.insert_job(&job(&id.to_string())).await.unwrap();
        }
        let tasks: Vec<_> = (0..8)
            .map(|id| {
                let (store, id) = (store.clone(), id.to_string());
                tokio::spawn(async move {
                    for seq in 1..=100_i64 {
                        store
                            .append_journal(&id, seq, format!("{id}:{seq}").into_bytes())
                            .await
                            .unwrap();
                        let stored = store.read_journal(&id, seq - 1, 10).await.unwrap();
                        assert_eq!(stored.len(), 1, "answered, therefore stored");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.close().await;

        let store = Store::open(dir.path()).await.unwrap();
        for id in 0..8 {
            let rows = store.read_journal(&id.to_string(), 0, 1000).await.unwrap();
            let expected: Vec<_> = (1..=100)
                .map(|seq| (seq, format!("{id}:{seq}").into_bytes()))
                .collect();
            assert_eq!(rows, expected);
        }
    }

    #[tokio::test]
    async fn the_journal_is_read_in_pages_and_has_each_number_once() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        for seq in [3, 1, 2] {
            store
                .append_journal("j", seq, vec![seq as u8])
                .await
                .unwrap();
        }
        store.append_journal("j", 2, vec![9]).await.unwrap_err();
        assert_eq!(
            store.read_journal("j", 0, 2).await.unwrap(),
            [(1, vec![1]), (2, vec![2])]
        );
        assert_eq!(store.read_journal("j", 2, 2).await.unwrap(), [(3, vec![3])]);
    }

    #[tokio::test]
    async fn a_checkpoint_takes_the_place_of_what_it_holds() {
        let dir = tempdir();
        let store = open_with_job(dir.path(), "j").await;
        assert_eq!(store.load_checkpoint("j").await.unwrap(), None);
        for seq in 1..=4 {
            store.append_journal("j", seq, vec![0]).await.unwrap();
        }
        let large: Vec<u8> = (0..7 << 19)
            .map(|i: u32| (i.wrapping_mul(31) >> 3) as u8)
            .collect();
        store.save_checkpoint("j", 2, large.clone()).await.unwrap();
        assert_eq!(store.load_checkpoint("j").await.unwrap(), Some((2, large)));
        let left = store.read_journal("j", 0, 9).await.unwrap();
        assert_eq!(left.iter().map(|r| r.0).collect::<Vec<_>>(), [3, 4]);

        store.save_checkpoint("j", 3, Vec::new()).await.unwrap();
        assert_eq!(
            store.load_checkpoint("j").await.unwrap(),
            Some((3, Vec::new()))
        );
        store.drop_checkpoint("j").await.unwrap();
        assert_eq!(store.load_checkpoint("j").await.unwrap(), None);
        assert!(store.read_journal("j", 0, 9).await.unwrap().is_empty());
    }
}
