//! Finding documents again.

use tidewatch_store::query::{Bounds, Document, Query};
use tidewatch_store::{Found, Holds, Source};

use super::indices::{self, Family, Index};
use crate::error::{JobError, Result};
use crate::live::Live;
use crate::manager::Jobs;

impl Jobs {
    /// Shows the documents of indices that match, each with its index, until `visit` says `false`.
    pub async fn search(
        &self,
        indices: &[Index],
        query: &Query,
        visit: &mut (dyn FnMut(&str, Found) -> bool + Send),
    ) -> Result<()> {
        let bounds = Bounds::of(query);
        let mut goes = true;
        for index in indices {
            let name = index.name.as_str();
            let mut take = |found: Found| {
                let document = Document {
                    index: name,
                    id: &found.id,
                    source: &found.source,
                    schema: None,
                };
                goes = !query.matches(document) || visit(name, found);
                goes
            };
            let source = self.source(index);
            self.store()
                .scan_documents(&source, &bounds, &mut take)
                .await?;
            if !goes {
                break;
            }
        }
        Ok(())
    }

    /// Deletes documents of an index, and says of each whether it was there.
    pub async fn delete_documents(&self, index: &Index, ids: Vec<String>) -> Result<Vec<bool>> {
        Ok(self
            .store()
            .delete_documents(&self.source(index), ids)
            .await?)
    }

    /// Deletes a results index with all that it tells of its jobs, none of which may be open.
    pub(super) async fn delete_internal_index(&self, index: &Index) -> Result<()> {
        let source = self.source(index);
        let jobs = match &source.holds {
            Holds::Results(jobs) => jobs.clone(),
            Holds::Nothing => Vec::new(),
            _ => {
                return Err(JobError::illegal_argument(format!(
                    "index [{}] is always there",
                    index.name
                )));
            }
        };
        let entries: Vec<_> = jobs
            .iter()
            .filter_map(|job_id| self.entry(job_id).ok())
            .collect();
        let mut lives = Vec::new();
        for entry in &entries {
            lives.push(entry.life.lock().await);
            if entry.runner.read().is_some() {
                let job_id = &entry.job.read().job_id;
                return Err(JobError::conflict(format!(
                    "Cannot delete index [{}] because job [{job_id}] is open",
                    index.name
                )));
            }
        }
        self.store().delete_index(&source).await?;
        for entry in &entries {
            let job_id = entry.job.read().job_id.clone();
            *entry.live.write() = Live::new(&job_id);
        }
        drop(lives);
        Ok(())
    }

    /// Where the documents of an index are.
    pub(super) fn source(&self, index: &Index) -> Source {
        let is_single = index.family.single() == Some(index.name.as_str());
        let holds = match index.family {
            Family::Results => {
                let jobs = self.0.jobs.read();
                let of = jobs.iter().filter(|(_, entry)| {
                    indices::of_results(&entry.job.read().results_index_name) == index.name
                });
                Holds::Results(of.map(|(job_id, _)| job_id.clone()).collect())
            }
            _ if !is_single => Holds::Nothing,
            Family::Annotations => Holds::Annotations,
            Family::Notifications => Holds::Notifications,
            Family::State => Holds::State,
        };
        Source {
            index: index.name.clone(),
            holds,
            only: index.only.clone(),
        }
    }
}
