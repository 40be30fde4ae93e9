//! Filters: lists of texts that rules look values up in

use sqlx::FromRow;

use crate::Store;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct FilterRow {
    pub filter_id: String,
    /// The filter, JSON.
    pub doc: String,
}

impl Store {
    /// Adds a filter. `false`: there is one of this id, and nothing has changed.
    pub async fn insert_filter(&self, filter: &FilterRow) -> Result<bool> {
        self.save_filter(
            filter,
            "INSERT INTO filters (filter_id, doc) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .await
    }

    /// Replaces a filter. `false`: there is none of this id.
    pub async fn update_filter(&self, filter: &FilterRow) -> Result<bool> {
        self.save_filter(filter, "UPDATE filters SET doc = ?2 WHERE filter_id = ?1")
            .await
    }

    async fn save_filter(&self, filter: &FilterRow, sql: &'static str) -> Result<bool> {
        let filter = filter.clone();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query(sql)
                    .bind(filter.filter_id)
                    .bind(filter.doc)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// Deletes a filter. `false`: there is none of this id.
    pub async fn delete_filter(&self, filter_id: &str) -> Result<bool> {
        let filter_id = filter_id.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM filters WHERE filter_id = ?")
                    .bind(filter_id)
                    .execute(conn)
                    .await?;
                Ok(done.rows_affected() == 1)
            })
        })
        .await
    }

    /// Every filter, by id.
    pub async fn filters(&self) -> Result<Vec<FilterRow>> {
        let filters = sqlx::query_as("SELECT filter_id, doc FROM filters ORDER BY filter_id")
            .fetch_all(self.readers())
            .await?;
        Ok(filters)
    }

    pub async fn filter(&self, filter_id: &str) -> Result<Option<FilterRow>> {
        let filter = sqlx::query_as("SELECT filter_id, doc FROM filters WHERE filter_id = ?")
            .bind(filter_id)
            .fetch_optional(self.readers())
            .await?;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tempdir;

    #[tokio::test]
    async fn filters_are_kept_and_changed() {
        let dir = tempdir();
        let store = Store::open(dir.path()).await.unwrap();
        let row = |id: &str, doc: &str| FilterRow {
            filter_id: id.to_owned(),
            doc: doc.to_owned(),
        };
        assert!(store.insert_filter(&row("b", "1")).await.unwrap());
        assert!(store.insert_filter(&row("a", "2")).await.unwrap());
        assert!(!store.insert_filter(&row("a", "3")).await.unwrap());
        assert!(store.update_filter(&row("b", "4")).await.unwrap());
        assert!(!store.update_filter(&row("c", "5")).await.unwrap());
        assert_eq!(
            store.filters().await.unwrap(),
            [row("a", "2"), row("b", "4")]
        );
        assert!(store.delete_filter("a").await.unwrap());
        assert!(!store.delete_filter("a").await.unwrap());
        assert_eq!(store.filter("a").await.unwrap(), None);
        assert_eq!(store.filter("b").await.unwrap(), Some(row("b", "4")));
    }
}
