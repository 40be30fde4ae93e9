//! What indices there are: in SQLite

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sqlx::SqlitePool;
use tokio::sync::mpsc;

use crate::error::{Result, StoreError};
use crate::writer::{self, Command};

/// One index as it is kept. The three documents are JSON.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct IndexRow {
    pub uuid: String,
    pub name: String,
    /// Epoch milliseconds.
    pub created: i64,
    pub settings: String,
    pub mappings: String,
    pub aliases: String,
}

/// The table of indices. It doesn't keep the store's writer going.
#[derive(Clone)]
pub struct Catalogue {
    queue: mpsc::WeakSender<Command>,
}

/// One of the documents of an index.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    Settings,
    Mappings,
}

impl Catalogue {
    pub fn new(queue: &mpsc::Sender<Command>) -> Self {
        Self {
            queue: queue.downgrade(),
        }
    }

    fn queue(&self) -> Result<mpsc::Sender<Command>> {
        self.queue.upgrade().ok_or(StoreError::Closed)
    }

    pub async fn all(readers: &SqlitePool) -> Result<Vec<IndexRow>> {
        let rows = sqlx::query_as(
            "SELECT uuid, name, created, settings, mappings, aliases FROM user_indices",
        )
        .fetch_all(readers)
        .await?;
        Ok(rows)
    }

    pub async fn insert(&self, row: IndexRow) -> Result<()> {
        writer::submit(&self.queue()?, move |conn| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO user_indices (uuid, name, created, settings, mappings, aliases)
                     VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(row.uuid)
                .bind(row.name)
                .bind(row.created)
                .bind(row.settings)
                .bind(row.mappings)
                .bind(row.aliases)
                .execute(conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    pub async fn set(
        &self,
        uuid: &str,
        column: Column,
        document: &Map<String, Value>,
    ) -> Result<()> {
        let (uuid, document) = (uuid.to_owned(), Value::from(document.clone()).to_string());
        let update = match column {
            Column::Settings => "UPDATE user_indices SET settings = ? WHERE uuid = ?",
            Column::Mappings => "UPDATE user_indices SET mappings = ? WHERE uuid = ?",
        };
        writer::submit(&self.queue()?, move |conn| {
            Box::pin(async move {
                sqlx::query(update)
                    .bind(document)
                    .bind(uuid)
                    .execute(conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Sets the aliases of some indices, by uuid, and removes others, all or nothing.
    pub async fn change(
        &self,
        aliases: BTreeMap<String, String>,
        removed: Vec<String>,
    ) -> Result<()> {
        writer::submit(&self.queue()?, move |conn| {
            Box::pin(async move {
                for (uuid, aliases) in aliases {
                    sqlx::query("UPDATE user_indices SET aliases = ? WHERE uuid = ?")
                        .bind(aliases)
                        .bind(uuid)
                        .execute(&mut *conn)
                        .await?;
                }
                for uuid in removed {
                    sqlx::query("DELETE FROM user_indices WHERE uuid = ?")
                        .bind(uuid)
                        .execute(&mut *conn)
                        .await?;
                }
                Ok(())
            })
        })
        .await
    }
}
