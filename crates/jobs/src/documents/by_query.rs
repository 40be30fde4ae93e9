//! Deleting what a query finds.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tidewatch_store::index::{self, Op, Write};
use tidewatch_store::query::{Context, Dsl, Loose};
use tidewatch_store::search::{Counted, Key, Search, SearchError, Shown};

use super::indices::Index;
use super::own::Destination;
use super::resolve::Meant;
use super::type_of;
use crate::error::Result;
use crate::manager::Jobs;

/// Documents that are looked for, and deleted, at a time.
const TOGETHER: usize = 5_000;

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct Deletion {
    pub query: Dsl,
    /// At most so many.
    pub most: usize,
    /// Whether it goes on where a document has changed meanwhile.
    pub proceeds: bool,
    /// Whether what is left is found at once.
    pub refreshes: bool,
    /// Documents of a batch, as the answer counts them.
    pub batch: usize,
}

/// What became of it.
#[derive(Debug, Clone, Default)]
struct Tally {
    total: usize,
    deleted: usize,
    noops: usize,
    conflicts: usize,
    failures: Vec<Value>,
}

impl Tally {
    fn ends(&self, deletion: &Deletion) -> bool {
        self.total >= deletion.most || (!self.failures.is_empty() && !deletion.proceeds)
    }
}

impl Jobs {
    /// Deletes documents that a query finds now. Its answer is the second; the first says whether it was carried out.
    pub async fn delete_by_query(
        &self,
        meant: &[Meant],
        deletion: &Deletion,
    ) -> Result<(bool, Value)> {
        let started = Instant::now();
        let mut tally = Tally::default();
        for meant in meant {
            match meant {
                Meant::Internal(index) => {
                    self.delete_results(index, deletion, &mut tally).await?;
                }
                Meant::Own { index, .. } => {
                    self.delete_own(index, meant, deletion, &mut tally).await?;
                    if deletion.refreshes {
                        index.refresh().await?;
                    }
                }
            }
        }
        let is_done = deletion.proceeds || tally.failures.is_empty();
        let failures = if deletion.proceeds {
            Vec::new()
        } else {
            tally.failures
        };
        let answer = json!({
            "took": started.elapsed().as_millis() as u64, "timed_out": false, "total": tally.total,
            "deleted": tally.deleted, "batches": tally.total.div_ceil(deletion.batch.max(1)),
            "version_conflicts": tally.conflicts, "noops": tally.noops,
            "retries": {"bulk": 0, "search": 0}, "throttled_millis": 0, "requests_per_second": -1.0,
            "throttled_until_millis": 0, "failures": failures
        });
        Ok((is_done, answer))
    }

    async fn delete_results(
        &self,
        index: &Index,
        deletion: &Deletion,
        tally: &mut Tally,
    ) -> Result<()> {
        let schema = Loose(type_of);
        let query = deletion
            .query
            .read(&Context::new(&schema))
            .map_err(SearchError::from)?;
        let left = deletion.most.saturating_sub(tally.total);
        let mut ids = Vec::new();
        let mut take = |_: &str, document: tidewatch_store::Found| {
            if ids.len() < left {
                ids.push(document.id);
            }
            ids.len() < left
        };
        if left > 0 {
            self.search(std::slice::from_ref(index), &query, &mut take)
                .await?;
        }
        for ids in ids.chunks(TOGETHER) {
            tally.total += ids.len();
            let gone = self.delete_documents(index, ids.to_vec()).await?;
            let deleted = gone.into_iter().filter(|gone| *gone).count();
            tally.deleted += deleted;
            tally.noops += ids.len() - deleted;
        }
        Ok(())
    }

    async fn delete_own(
        &self,
        index: &Arc<index::Index>,
        meant: &Meant,
        deletion: &Deletion,
        tally: &mut Tally,
    ) -> Result<()> {
        let targets = self.targets(std::slice::from_ref(meant))?;
        let mut search = Search {
            query: deletion.query.clone(),
            sort: vec![Key::shard_doc()],
            counted: Counted::Not,
            source: Shown {
                hidden: true,
                ..Shown::default()
            },
            seq_no_primary_term: true,
            ..Search::default()
        };
        let to = Destination::Own(index.clone());
        while !tally.ends(deletion) {
            let most = TOGETHER.min(deletion.most.saturating_sub(tally.total));
            search.size = i64::try_from(most).unwrap_or(i64::MAX);
            let seen = self.seen_by(&targets, &search)?;
            let found = self
                .store()
                .search(&seen, &search)
                .await
                .map_err(crate::JobError::from)?;
            let Some(last) = found.hits.last() else {
                break;
            };
            search.search_after = Some(last.sort.clone());
            tally.total += found.hits.len();
            let writes = found
                .hits
                .into_iter()
                .map(|hit| Write {
                    op: Op::Delete,
                    id: Some(hit.id),
                    if_seq_no: hit.seq_no,
                    if_primary_term: hit.seq_no.map(|_| 1),
                    ..Write::default()
                })
                .collect();
            for outcome in self.write(&to, writes).await? {
                match outcome.result {
                    Ok(done) if done.effect == index::Effect::Deleted => tally.deleted += 1,
                    Ok(_) => tally.noops += 1,
                    Err(error) => {
                        tally.conflicts += usize::from(error.status == 409);
                        tally.failures.push(json!({
                            "index": index.name(), "id": outcome.id, "status": error.status,
                            "cause": {"type": error.kind, "reason": error.reason}
                        }));
                    }
                }
            }
        }
        Ok(())
    }
}
