//! Datafeeds: where a job's records come from. They go with their job.

use sqlx::{FromRow, SqliteConnection};

use crate::Store;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DatafeedRow {
    pub datafeed_id: String,
    pub job_id: String,
    /// The configuration, JSON.
    pub config: String,
    /// What it was started with, JSON; none of one that is stopped.
    pub started: Option<String>,
    /// How long its searches took, JSON; none before the first.
    pub timing_stats: Option<String>,
}

/// `false`: there is one of this id, or the job has one, and nothing has changed.
pub(crate) async fn insert(conn: &mut SqliteConnection, datafeed: DatafeedRow) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO datafeeds (datafeed_id, job_id, config, started, timing_stats)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(datafeed.datafeed_id)
    .bind(datafeed.job_id)
    .bind(datafeed.config)
    .bind(datafeed.started)
    .bind(datafeed.timing_stats)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

impl Store {
    /// Adds a datafeed. `false`: there is one of this id, or its job has one, and nothing has changed.
    pub async fn insert_datafeed(&self, datafeed: &DatafeedRow) -> Result<bool> {
        let datafeed = datafeed.clone();
        self.write(move |conn| Box::pin(insert(conn, datafeed)))
            .await
    }

    /// Replaces the configuration. `false`: there is none of this id.
    pub async fn save_datafeed(&self, datafeed_id: &str, config: &str) -> Result<bool> {
        let sql = "UPDATE datafeeds SET config = ?2 WHERE datafeed_id = ?1";
        self.change_datafeed(datafeed_id, Some(config.to_owned()), sql)
            .await
    }

    /// Keeps what a datafeed was started with, or that it is stopped. `false`: there is none of this id.
    pub async fn set_datafeed_started(
        &self,
        datafeed_id: &str,
        started: Option<&str>,
    ) -> Result<bool> {
        let sql = "UPDATE datafeeds SET started = ?2 WHERE datafeed_id = ?1";
        self.change_datafeed(datafeed_id, started.map(str::to_owned), sql)
            .await
    }

    /// `false`: there is none of this id.
    pub async fn save_datafeed_timing(&self, datafeed_id: &str, timing: &str) -> Result<bool> {
        let sql = "UPDATE datafeeds SET timing_stats = ?2 WHERE datafeed_id = ?1";
        self.change_datafeed(datafeed_id, Some(timing.to_owned()), sql)
            .await
    }

    /// Keeps since when a datafeed's job has all that its source has. `false`: there is none of this id.
    pub async fn save_datafeed_reading(&self, datafeed_id: &str, reading: &str) -> Result<bool> {
        let sql = "UPDATE datafeeds SET reading = ?2 WHERE datafeed_id = ?1";
        self.change_datafeed(datafeed_id, Some(reading.to_owned()), sql)
            .await
    }

    /// What was kept last of a datafeed's reading.
    pub async fn datafeed_reading(&self, datafeed_id: &str) -> Result<Option<String>> {
        let sql = "SELECT reading FROM datafeeds WHERE datafeed_id = ?";
        let reading: Option<Option<String>> = sqlx::query_scalar(sql)
            .bind(datafeed_id)
            .fetch_optional(self.readers())
            .await?;
        Ok(reading.flatten())
    }

    async fn change_datafeed(
        &self,
        datafeed_id: &str,
        value: Option<String>,
        sql: &'static str,
    ) -> Result<bool> {
        let datafeed_id = datafeed_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(sql)
                    .bind(datafeed_id)
                    .bind(value)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// Deletes a datafeed. `false`: there is none of this id.
    pub async fn delete_datafeed(&self, datafeed_id: &str) -> Result<bool> {
        let datafeed_id = datafeed_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM datafeeds WHERE datafeed_id = ?")
                    .bind(datafeed_id)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// Every datafeed, by id.
    pub async fn datafeeds(&self) -> Result<Vec<DatafeedRow>> {
        let datafeeds = sqlx::query_as(
            "SELECT datafeed_id, job_id, config, started, timing_stats FROM datafeeds ORDER BY datafeed_id",
        )
        .fetch_all(self.readers())
        .await?;
        Ok(datafeeds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tempdir;
    use crate::{Annotations, JobRow};

    fn job(job_id: &str) -> JobRow {
        JobRow {
            job_id: job_id.to_owned(),
            config: "{}".to_owned(),
            state: "closed".to_owned(),
            reason: None,
            opened_order: None,
        }
    }

    fn datafeed(datafeed_id: &str, job_id: &str) -> DatafeedRow {
        DatafeedRow {
            datafeed_id: datafeed_id.to_owned(),
            job_id: job_id.to_owned(),
            config: "{}".to_owned(),
            started: None,
            timing_stats: None,
        }
    }

    #[tokio::test]
    async fn a_job_has_one_datafeed_at_most_and_takes_it_along() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        store.insert_job(&job("a")).await.unwrap();
        assert!(store.insert_datafeed(&datafeed("d", "a")).await.unwrap());
        assert!(!store.insert_datafeed(&datafeed("e", "a")).await.unwrap());
        // A job and its datafeed come together, or neither does.
        let taken = store.insert_job_with(&job("b"), &datafeed("d", "b")).await;
        assert!(!taken.unwrap());
        assert_eq!(store.jobs().await.unwrap().len(), 1);
        let made = store.insert_job_with(&job("b"), &datafeed("e", "b")).await;
        assert!(made.unwrap());
        assert!(store.save_datafeed("d", "1").await.unwrap());
        assert!(store.set_datafeed_started("d", Some("2")).await.unwrap());
        assert!(store.save_datafeed_timing("d", "3").await.unwrap());
        assert!(store.save_datafeed_reading("d", "4").await.unwrap());
        assert_eq!(store.datafeed_reading("d").await.unwrap(), Some("4".into()));
        assert_eq!(store.datafeed_reading("e").await.unwrap(), None);
        assert!(!store.save_datafeed("x", "1").await.unwrap());
        let changed = DatafeedRow {
            config: "1".to_owned(),
            started: Some("2".to_owned()),
            timing_stats: Some("3".to_owned()),
            ..datafeed("d", "a")
        };
        assert_eq!(
            store.datafeeds().await.unwrap(),
            [changed, datafeed("e", "b")]
        );
        store.delete_job("a", Annotations::All).await.unwrap();
        assert_eq!(store.datafeeds().await.unwrap(), [datafeed("e", "b")]);
        assert!(store.delete_datafeed("e").await.unwrap());
        assert!(!store.delete_datafeed("e").await.unwrap());
    }
}
