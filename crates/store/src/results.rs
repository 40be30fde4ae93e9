//! Results: writing a bucket as a whole, and reading pages of what was found

mod categories;
mod forest;
mod in_time;
mod page;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, SqliteConnection};

use crate::Store;
use crate::error::Result;
use crate::notes::{AnnotationRow, save_annotation};
use crate::rescore::{Rescoring, rescore};

pub use categories::CategoryQuery;
pub use forest::{ForestEntity, ForestQuery};
pub use in_time::{Place, Stretch};

/// What a result is about. The numbers are stored: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum ResultKind {
    Bucket = 0,
    Record = 1,
    Influencer = 2,
    ModelPlot = 3,
    /// The id of a category stands in the place of the timestamp.
    Category = 8,
    /// What a random cut forest says of an entity; its score is 100 times the grade.
    Forest = 9,
}

impl ResultKind {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        let all = [
            Self::Bucket,
            Self::Record,
            Self::Influencer,
            Self::ModelPlot,
            Self::Category,
            Self::Forest,
        ];
        all.into_iter().find(|kind| *kind as i64 == number)
    }
}

/// One result. (job, kind, timestamp, seq) names it: writing the same name again replaces it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    pub kind: ResultKind,
    /// The start of its bucket, in milliseconds.
    pub timestamp: i64,
    /// Its number among the results of its kind and timestamp.
    pub seq: i32,
    /// What pages are sorted and filtered by: 0..100. A NaN is refused.
    pub score: f64,
    pub is_interim: bool,
    /// The result, a JSON object.
    pub doc: String,
}

/// What one step of a job leaves behind, written in one transaction.
#[derive(Debug, Clone, Default)]
pub struct ResultWrite {
    /// First delete the interim rows of the job before this time, epoch milliseconds.
    pub delete_interim: Option<i64>,
    /// A bucket among them replaces all that was there of its timestamp: older records, influencers, model
    /// plots and forests of it go, and what was written as documents. The order of the rows doesn't matter.
    pub rows: Vec<ResultRow>,
    /// Then give results other scores, the rows just written among them.
    pub rescoring: Option<Rescoring>,
    /// Documents about the job, (kind, JSON), each over the one of its kind.
    pub stats: Vec<(String, String)>,
    /// Annotations, each over the one of its id.
    pub annotations: Vec<AnnotationRow>,
}

/// Which results of a job to read, and in which order.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultQuery {
    pub job_id: String,
    pub kind: ResultKind,
    /// The first timestamp, inclusive, in milliseconds.
    pub start: Option<i64>,
    /// The end, exclusive, in milliseconds.
    pub end: Option<i64>,
    /// Results below this score are left out; 0 or less takes all.
    pub min_score: f64,
    pub exclude_interim: bool,
    pub sort: Sort,
    /// The direction of `sort`, and of what decides among equals: of records, their scores and fields; then of all the
    /// timestamps. Within a timestamp `seq` always ascends.
    pub descending: bool,
    /// How many matches to pass over.
    pub from: i64,
    /// The most documents to return; 0 only counts.
    pub size: i64,
}

/// The key of a page's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sort {
    Timestamp,
    Score,
    /// A top-level field of the document by its name, an array by its first element. Documents without it come
    /// last in either direction.
    Field(String),
}

/// A page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPage {
    /// How many results match, on this page or not.
    pub count: i64,
    /// The documents of the page, JSON, as they were written.
    pub docs: Vec<String>,
}

impl Store {
    /// Writes the results of one step of a job.
    ///
    /// # Errors
    /// [`NoSuchJob`](crate::StoreError::NoSuchJob)
    pub async fn write_results(&self, job_id: &str, write: ResultWrite) -> Result<()> {
        self.write_for(job_id, move |conn, job_id| {
            Box::pin(async move {
                if let Some(before) = write.delete_interim {
                    sqlx::query(DELETE_INTERIM)
                        .bind(&job_id)
                        .bind(before)
                        .execute(&mut *conn)
                        .await?;
                }
                clear_buckets(conn, &job_id, &write.rows).await?;
                insert(conn, &job_id, write.rows).await?;
                if let Some(rescoring) = &write.rescoring {
                    rescore(conn, &job_id, rescoring).await?;
                }
                for (kind, doc) in write.stats {
                    sqlx::query(
                        "INSERT OR REPLACE INTO job_stats (job_id, kind, doc) VALUES (?, ?, ?)",
                    )
                    .bind(&job_id)
                    .bind(kind)
                    .bind(doc)
                    .execute(&mut *conn)
                    .await?;
                }
                for annotation in write.annotations {
                    save_annotation(conn, annotation).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// A page of a job's results, and how many match in all; both of the same moment.
    pub async fn results(&self, q: &ResultQuery) -> Result<ResultPage> {
        let order = |page: &mut QueryBuilder<Sqlite>| order(page, q);
        self.page(|what| select(what, q), order, q.from, q.size)
            .await
    }

    /// Start, score and whether it is interim, of each bucket from `start` on and before `end`, in the order of time.
    pub async fn bucket_scores(
        &self,
        job_id: &str,
        start: Option<i64>,
        end: Option<i64>,
        exclude_interim: bool,
    ) -> Result<Vec<(i64, f64, bool)>> {
        let scores = sqlx::query_as(
            "SELECT timestamp, score, is_interim FROM results
             WHERE job_id = ? AND kind = ? AND timestamp >= ? AND timestamp < ? AND is_interim <= ?
             ORDER BY timestamp",
        )
        .bind(job_id)
        .bind(ResultKind::Bucket as i64)
        .bind(start.unwrap_or(i64::MIN))
        .bind(end.unwrap_or(i64::MAX))
        .bind(!exclude_interim)
        .fetch_all(self.readers())
        .await?;
        Ok(scores)
    }
}

/// Left to itself, SQLite walks all of the job's rows for this.
const DELETE_INTERIM: &str = "DELETE FROM results INDEXED BY results_interim WHERE job_id = ? AND is_interim = 1 AND timestamp < ?";

/// Deletes what hangs on the buckets among `rows`, so that nothing of an earlier writing stays, and documents that
/// have the names of its buckets and categories.
async fn clear_buckets(
    conn: &mut SqliteConnection,
    job_id: &str,
    rows: &[ResultRow],
) -> Result<()> {
    if let Some(times) = times_of(rows, ResultKind::Bucket) {
        sqlx::query(
            "DELETE FROM results WHERE job_id = ? AND kind IN (0, 1, 2, 3, 9)
             AND timestamp IN (SELECT value FROM json_each(?))",
        )
        .bind(job_id)
        .bind(times)
        .execute(&mut *conn)
        .await?;
    }
    if let Some(ids) = times_of(rows, ResultKind::Category) {
        sqlx::query(
            "DELETE FROM results WHERE job_id = ? AND kind = 8 AND seq < 0
             AND timestamp IN (SELECT value FROM json_each(?))",
        )
        .bind(job_id)
        .bind(ids)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// The timestamps of the rows of a kind, a JSON array, if there are any.
fn times_of(rows: &[ResultRow], kind: ResultKind) -> Option<String> {
    let mut times = String::new();
    for row in rows.iter().filter(|row| row.kind == kind) {
        let separator = if times.is_empty() { '[' } else { ',' };
        // Writing to a string can't fail.
        let _ = write!(times, "{separator}{}", row.timestamp);
    }
    (!times.is_empty()).then(|| times + "]")
}

/// Rows of one statement, largest first. Fixed sizes keep the statements few, and so prepared.
static INSERTS: LazyLock<[(usize, Arc<str>); 3]> =
    LazyLock::new(|| [64, 8, 1].map(|rows| (rows, insert_sql(rows).into())));

/// An insert of so many rows. The parameters have no numbers: the name of one that has is looked for among all of them
/// each time it is bound.
fn insert_sql(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; rows];
    format!(
        "INSERT OR REPLACE INTO results (job_id, kind, timestamp, seq, score, is_interim, doc) VALUES {}",
        values.join(", ")
    )
}

pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    job_id: &str,
    rows: Vec<ResultRow>,
) -> Result<()> {
    let job_id: Arc<str> = job_id.into();
    let mut rows = rows.into_iter();
    for (size, sql) in INSERTS.iter() {
        while rows.len() >= *size {
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            for row in rows.by_ref().take(*size) {
                query = query
                    .bind(Arc::clone(&job_id))
                    .bind(row.kind as i64)
                    .bind(row.timestamp)
                    .bind(row.seq)
                    .bind(row.score)
                    .bind(row.is_interim)
                    .bind(row.doc);
            }
            query.execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// `what` of the rows that match. Only filters in use are said, so that SQLite chooses the index by them.
fn select(what: &str, q: &ResultQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(format!("SELECT {what} FROM results WHERE job_id = "));
    sql.push_bind(q.job_id.clone());
    sql.push(" AND kind = ").push_bind(q.kind as i64);
    if let Some(start) = q.start {
        sql.push(" AND timestamp >= ").push_bind(start);
    }
    if let Some(end) = q.end {
        sql.push(" AND timestamp < ").push_bind(end);
    }
    if q.min_score > 0.0 {
        sql.push(" AND score >= ").push_bind(q.min_score);
    }
    if q.exclude_interim {
        sql.push(" AND is_interim = 0");
    }
    sql
}

/// The JSON path of a top-level field. Its name is data: what a path would read as its own is escaped.
fn path(field: &str) -> String {
    let mut path = String::from("$.\"");
    for c in field.chars() {
        match c {
            '"' | '\\' => path.extend(['\\', c]),
            '\0' => path.push_str("\\u0000"),
            c => path.push(c),
        }
    }
    path.push('"');
    path
}

/// What records are in the order of that are equal else, as in Elasticsearch.
const AMONG_RECORDS: [&str; 5] = [
    "over_field_value",
    "partition_field_value",
    "by_field_value",
    "field_name",
    "function",
];

fn order(sql: &mut QueryBuilder<Sqlite>, q: &ResultQuery) {
    let direction = if q.descending { "DESC" } else { "ASC" };
    sql.push(" ORDER BY ");
    match &q.sort {
        Sort::Timestamp if q.kind == ResultKind::Record => {
            sql.push(format_args!("timestamp {direction}, "));
        }
        Sort::Timestamp => {}
        Sort::Score if q.kind == ResultKind::Record => {}
        Sort::Score => {
            sql.push(format_args!("score {direction}, "));
        }
        Sort::Field(name) => {
            let path = path(name);
            let first = format!("{path}[0]");
            sql.push("CASE json_type(doc, ").push_bind(path.clone());
            sql.push(") WHEN 'array' THEN json_extract(doc, ")
                .push_bind(first);
            sql.push(") ELSE json_extract(doc, ").push_bind(path);
            sql.push(format_args!(") END {direction} NULLS LAST, "));
        }
    }
    if q.kind == ResultKind::Record {
        sql.push(format_args!("score {direction}, "));
        for field in AMONG_RECORDS {
            sql.push(format_args!(
                "json_extract(doc, '$.{field}') {direction} NULLS LAST, "
            ));
        }
    }
    sql.push(format_args!("timestamp {direction}, seq"));
}

#[cfg(test)]
mod tests;
