//! Results that are written as documents: a few statements for thousands of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::names;
use super::write::Written;
use crate::ResultKind;
use crate::error::Result;

/// A result that was written as a document.
#[derive(Debug, Clone, PartialEq)]
pub struct AdoptedResult {
    pub job_id: String,
    pub kind: ResultKind,
    /// Milliseconds, or the id of a category.
    pub timestamp: i64,
    pub score: f64,
    pub is_interim: bool,
    /// JSON.
    pub doc: String,
    /// Whether the engine would give it the id that it has: then it takes the place of the engine's.
    pub has_own_name: bool,
}

/// Where a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    kind: ResultKind,
    timestamp: i64,
    seq: i32,
}

/// Job and `_id`.
type Name = (String, String);
/// Results of one job and kind.
type Group = (String, ResultKind);

/// Writes results and says of each what became of it.
pub(super) async fn write(
    conn: &mut SqliteConnection,
    waiting: Vec<(usize, String, bool, AdoptedResult)>,
    written: &mut [Written],
) -> Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let mut known = adopted(conn, &waiting).await?;
    known.extend(of_engine(conn, &waiting).await?);
    let mut lowest = lowest(conn, &waiting).await?;
    let mut stale = Vec::new();
    // The last of an id counts.
    let mut rows: BTreeMap<usize, (i32, String, AdoptedResult)> = BTreeMap::new();
    let mut at_of: HashMap<Name, usize> = HashMap::new();
    for (at, id, only_new, row) in waiting {
        let name = (row.job_id.clone(), id.clone());
        let before = known.get(&name).copied();
        if before.is_some() && only_new {
            written[at] = Written::Exists;
            continue;
        }
        written[at] = match before {
            Some(_) => Written::Updated,
            None => Written::Created,
        };
        let stays = before.filter(|key| key.kind == row.kind && key.timestamp == row.timestamp);
        let seq = match stays {
            Some(key) => key.seq,
            None => {
                let place = (row.job_id.clone(), row.kind as i64, row.timestamp);
                let lowest = lowest.entry(place).or_insert(0);
                *lowest -= 1;
                *lowest
            }
        };
        if let Some(key) = before
            && stays.is_none()
        {
            stale.push((row.job_id.clone(), key));
        }
        let key = Key {
            kind: row.kind,
            timestamp: row.timestamp,
            seq,
        };
        known.insert(name.clone(), key);
        if let Some(earlier) = at_of.insert(name, at) {
            rows.remove(&earlier);
        }
        rows.insert(at, (seq, id, row));
    }
    for (job_id, key) in stale {
        sqlx::query(
            "DELETE FROM results WHERE job_id = ? AND kind = ? AND timestamp = ? AND seq = ?",
        )
        .bind(job_id)
        .bind(key.kind as i64)
        .bind(key.timestamp)
        .bind(key.seq)
        .execute(&mut *conn)
        .await?;
    }
    insert(conn, rows.into_values()).await
}

/// Those that were written before, of the ids that come.
async fn adopted(
    conn: &mut SqliteConnection,
    waiting: &[(usize, String, bool, AdoptedResult)],
) -> Result<HashMap<Name, Key>> {
    let ids: Value = waiting.iter().map(|(_, id, ..)| id.as_str()).collect();
    let found: Vec<(String, i64, i64, i32, String)> = sqlx::query_as(
        "SELECT job_id, kind, timestamp, seq, id FROM results
         WHERE id IN (SELECT value FROM json_each(?))",
    )
    .bind(ids.to_string())
    .fetch_all(conn)
    .await?;
    let keys = found
        .into_iter()
        .filter_map(|(job_id, kind, timestamp, seq, id)| {
            let kind = ResultKind::from_number(kind)?;
            let key = Key {
                kind,
                timestamp,
                seq,
            };
            Some(((job_id, id), key))
        });
    Ok(keys.collect())
}

/// The engine's results that have the names of some that come.
async fn of_engine(
    conn: &mut SqliteConnection,
    waiting: &[(usize, String, bool, AdoptedResult)],
) -> Result<HashMap<Name, Key>> {
    let named = waiting.iter().filter(|(.., row)| row.has_own_name);
    let mut keys = HashMap::new();
    for ((job_id, kind), times) in groups(named.map(|(.., row)| row)) {
        let found: Vec<(i64, i32, String)> = sqlx::query_as(
            "SELECT timestamp, seq, doc FROM results WHERE job_id = ? AND kind = ? AND seq >= 0
             AND timestamp IN (SELECT value FROM json_each(?))",
        )
        .bind(&job_id)
        .bind(kind as i64)
        .bind(times)
        .fetch_all(&mut *conn)
        .await?;
        for (timestamp, seq, doc) in found {
            let doc: Value = serde_json::from_str(&doc).unwrap_or_default();
            let id = names::of_result(&job_id, kind, timestamp, &doc);
            let key = Key {
                kind,
                timestamp,
                seq,
            };
            keys.insert((job_id.clone(), id), key);
        }
    }
    Ok(keys)
}

/// The lowest numbers at the times of those that come, where they are below 0.
async fn lowest(
    conn: &mut SqliteConnection,
    waiting: &[(usize, String, bool, AdoptedResult)],
) -> Result<HashMap<(String, i64, i64), i32>> {
    let mut lowest = HashMap::new();
    for ((job_id, kind), times) in groups(waiting.iter().map(|(.., row)| row)) {
        let found: Vec<(i64, i32)> = sqlx::query_as(
            "SELECT timestamp, MIN(seq) FROM results WHERE job_id = ? AND kind = ? AND seq < 0
             AND timestamp IN (SELECT value FROM json_each(?)) GROUP BY timestamp",
        )
        .bind(&job_id)
        .bind(kind as i64)
        .bind(times)
        .fetch_all(&mut *conn)
        .await?;
        for (timestamp, seq) in found {
            lowest.insert((job_id.clone(), kind as i64, timestamp), seq);
        }
    }
    Ok(lowest)
}

/// The times of results, a JSON array a job and kind.
fn groups<'r>(rows: impl Iterator<Item = &'r AdoptedResult>) -> Vec<(Group, String)> {
    let mut groups: HashMap<Group, BTreeSet<i64>> = HashMap::new();
    for row in rows {
        let group = (row.job_id.clone(), row.kind);
        groups.entry(group).or_default().insert(row.timestamp);
    }
    let json = |times: BTreeSet<i64>| times.into_iter().collect::<Value>().to_string();
    groups
        .into_iter()
        .map(|(group, times)| (group, json(times)))
        .collect()
}

/// Rows of one statement, largest first, as for the engine's results.
static INSERTS: LazyLock<[(usize, Arc<str>); 2]> =
    LazyLock::new(|| [64, 1].map(|rows| (rows, insert_sql(rows).into())));

fn insert_sql(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT OR REPLACE INTO results (job_id, kind, timestamp, seq, score, is_interim, id, doc) VALUES {values}"
    )
}

async fn insert(
    conn: &mut SqliteConnection,
    mut rows: impl ExactSizeIterator<Item = (i32, String, AdoptedResult)>,
) -> Result<()> {
    for (size, sql) in INSERTS.iter() {
        while rows.len() >= *size {
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            for (seq, id, row) in rows.by_ref().take(*size) {
                query = query
                    .bind(row.job_id)
                    .bind(row.kind as i64)
                    .bind(row.timestamp)
                    .bind(seq)
                    .bind(row.score)
                    .bind(row.is_interim)
                    // One in the place of the engine's is named as the engine's are.
                    .bind((seq < 0).then_some(id))
                    .bind(row.doc);
            }
            query.execute(&mut *conn).await?;
        }
    }
    Ok(())
}
