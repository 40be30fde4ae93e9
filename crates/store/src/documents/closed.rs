//! Indices that are closed: what they hold stays, and nobody reads it.

use crate::Store;
use crate::error::Result;

impl Store {
    /// The closed indices, each with the name that it was closed by.
    pub async fn closed_indices(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT index_name, closed_as FROM indices WHERE closed_as IS NOT NULL ORDER BY index_name";
        Ok(sqlx::query_as(sql).fetch_all(self.readers()).await?)
    }

    pub async fn close_index(&self, name: &str, called: &str) -> Result<()> {
        let (name, called) = (name.to_owned(), called.to_owned());
        self.write(move |conn| {
            Box::pin(async move {
                let sql = "INSERT INTO indices (index_name, closed_as) VALUES (?, ?)
                           ON CONFLICT (index_name) DO UPDATE SET closed_as = excluded.closed_as";
                sqlx::query(sql)
                    .bind(name)
                    .bind(called)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    pub async fn open_index(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(move |conn| {
            Box::pin(async move {
                let sql = "UPDATE indices SET closed_as = NULL WHERE index_name = ?";
                sqlx::query(sql).bind(name).execute(conn).await?;
                Ok(())
            })
        })
        .await
    }
}
