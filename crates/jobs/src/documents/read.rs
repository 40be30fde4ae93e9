//! Finding documents again.

use tidewatch_store::query::{Bounds, Document, Query};
use tidewatch_store::{Found, Holds, Source};

use super::closed::index_closed;
use super::indices::{self, Family, Index};
use crate::error::{JobError, Result};
use crate::expression::matches;
use crate::live::Live;
use crate::manager::Jobs;

/// How an expression of index names is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Leave out what isn't there.
    pub ignore_unavailable: bool,
    pub allow_no_indices: bool,
    /// Whether `*` means hidden indices too, which all of these are.
    pub hidden: bool,
    /// Whether patterns mean anything.
    pub wildcards: bool,
    /// Whether closed indices are meant too.
    pub closed: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            ignore_unavailable: false,
            allow_no_indices: true,
            hidden: false,
            wildcards: true,
            closed: false,
        }
    }
}

/// What there is no index of.
pub fn no_such_index(name: &str) -> JobError {
    let reason = format!("no such index [{name}]");
    JobError::new(404, "index_not_found_exception", reason).about(name, "_na_")
}

impl Jobs {
    /// All indices, by name.
    pub async fn indices(&self) -> Result<Vec<Index>> {
        let mut all: Vec<Index> = Vec::new();
        let mut add = |name: String, family: Family| {
            if !all.iter().any(|known| known.name == name) {
                all.push(Index {
                    name,
                    family,
                    only: None,
                });
            }
        };
        for name in self.results_indices() {
            add(indices::of_results(&name), Family::Results);
        }
        for family in [Family::Annotations, Family::Notifications, Family::State] {
            family
                .single()
                .into_iter()
                .for_each(|name| add(name.to_owned(), family));
        }
        for name in self.store().internal_indices().await? {
            if let Some(family) = Family::of(&name) {
                add(name, family);
            }
        }
        all.sort();
        Ok(all)
    }

    /// The aliases of an index, by name: each with the job whose documents alone it shows, and whether it is written to.
    pub fn aliases(&self, index: &Index) -> Vec<Alias> {
        let mut aliases: Vec<Alias> = Vec::new();
        let jobs = self.0.jobs.read();
        if index.family == Family::Results {
            for (job_id, entry) in jobs.iter() {
                if indices::of_results(&entry.job.read().results_index_name) == index.name {
                    aliases.push(Alias::of_job(job_id, false));
                    aliases.push(Alias::of_job(job_id, true));
                }
            }
        }
        let fixed: &[(&str, bool)] = match index.family {
            family if family.single() != Some(index.name.as_str()) => &[],
            Family::Annotations => &[
                (".ml-annotations-read", false),
                (".ml-annotations-write", true),
            ],
            Family::Notifications => &[(".ml-notifications-write", true)],
            Family::State => &[(".ml-state-write", true)],
            Family::Results => &[],
        };
        aliases.extend(fixed.iter().map(|(name, writes)| Alias {
            name: (*name).to_owned(),
            only: None,
            writes: *writes,
        }));
        aliases.sort_by(|a, b| a.name.cmp(&b.name));
        aliases
    }

    /// The indices that an expression means: names, aliases and patterns between commas.
    ///
    /// # Errors
    /// `index_not_found_exception`, `index_closed_exception`
    pub async fn indices_to_read(&self, expression: &str, reading: Reading) -> Result<Vec<Index>> {
        let mut all = self.indices().await?;
        let mut closed = Vec::new();
        if !reading.closed {
            let names = self.closed_names().await?;
            (closed, all) = all
                .into_iter()
                .partition(|index| names.contains(&index.name));
        }
        let mut found: Vec<Index> = Vec::new();
        for part in expression.split(',').map(str::trim) {
            let pattern = if matches!(part, "_all" | "") {
                "*"
            } else {
                part
            };
            if let Some(excluded) = pattern.strip_prefix('-').filter(|_| !found.is_empty()) {
                found.retain(|index| !matches(excluded, &index.name));
            } else if pattern.contains('*') && reading.wildcards {
                let before = found.len();
                if pattern.starts_with('.') || reading.hidden {
                    self.expand(&all, pattern, &mut found);
                }
                if found.len() == before && !reading.allow_no_indices {
                    return Err(no_such_index(part));
                }
            } else {
                match self.named(&all, pattern) {
                    Some(index) => found.push(index),
                    None if reading.ignore_unavailable => {}
                    None if self.named(&closed, pattern).is_some() => {
                        return Err(index_closed());
                    }
                    None => return Err(no_such_index(part)),
                }
            }
        }
        if found.is_empty() && !reading.allow_no_indices {
            return Err(no_such_index(expression));
        }
        // What is meant as a whole is not meant in parts besides.
        found.sort();
        found.dedup();
        let whole: Vec<String> = found
            .iter()
            .filter(|index| index.only.is_none())
            .map(|index| index.name.clone())
            .collect();
        found.retain(|index| index.only.is_none() || !whole.contains(&index.name));
        Ok(found)
    }

    fn expand(&self, all: &[Index], pattern: &str, found: &mut Vec<Index>) {
        for index in all {
            if matches(pattern, &index.name) {
                found.push(index.clone());
                continue;
            }
            for alias in self.aliases(index) {
                if matches(pattern, &alias.name) {
                    found.push(Index {
                        only: alias.only,
                        ..index.clone()
                    });
                }
            }
        }
    }

    fn named(&self, all: &[Index], name: &str) -> Option<Index> {
        if let Some(index) = all.iter().find(|index| index.name == name) {
            return Some(index.clone());
        }
        for index in all {
            if let Some(alias) = self
                .aliases(index)
                .into_iter()
                .find(|alias| alias.name == name)
            {
                return Some(Index {
                    only: alias.only,
                    ..index.clone()
                });
            }
        }
        // Names of other versions: without a number, or with another.
        let meant = self.index_to_write(name)?;
        all.iter().find(|index| index.name == meant.name).cloned()
    }

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
    pub async fn delete_index(&self, index: &Index) -> Result<()> {
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
    fn source(&self, index: &Index) -> Source {
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

/// Another name of an index, or of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    pub name: String,
    /// The job whose documents it shows.
    pub only: Option<String>,
    /// Whether it is the one to write to.
    pub writes: bool,
}

impl Alias {
    fn of_job(job_id: &str, writes: bool) -> Self {
        let (name, only) = match writes {
            true => (format!(".ml-anomalies-.write-{job_id}"), None),
            false => (format!(".ml-anomalies-{job_id}"), Some(job_id.to_owned())),
        };
        Self { name, only, writes }
    }
}
