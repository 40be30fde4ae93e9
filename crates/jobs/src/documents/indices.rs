//! The names of Elasticsearch's internal indices: concrete ones, and aliases of them.

use crate::manager::Jobs;

const RESULTS: &str = ".ml-anomalies-";
const WRITE: &str = ".ml-anomalies-.write-";
const SHARED: &str = "shared";
/// What the first index of a series ends with.
const FIRST: &str = "-000001";

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Results,
    Annotations,
    Notifications,
    State,
}

/// An index, or the part of it that an alias shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    /// Its own name.
    pub name: String,
    pub family: Family,
    /// An alias of one job shows only that job's documents.
    pub only: Option<String>,
}

impl Family {
    /// Of an internal index, by its name; none for others.
    pub fn of(name: &str) -> Option<Self> {
        let families = [
            (RESULTS, Self::Results),
            (".ml-annotations", Self::Annotations),
            (".ml-notifications", Self::Notifications),
            (".ml-state", Self::State),
        ];
        let family = families.iter().find(|(prefix, _)| name.starts_with(prefix));
        family.map(|(_, family)| *family)
    }

    /// The index that its documents are in, where there is but one.
    pub(super) fn single(self) -> Option<&'static str> {
        match self {
            Self::Results => None,
            Self::Annotations => Some(".ml-annotations-000001"),
            Self::Notifications => Some(".ml-notifications-000002"),
            Self::State => Some(".ml-state-000001"),
        }
    }
}

/// The index that the results of a job are in. `name`: the job's `results_index_name`.
pub fn of_results(name: &str) -> String {
    format!("{RESULTS}{name}{FIRST}")
}

impl Jobs {
    /// The index that a name to write to means. `None`: it is not an internal one.
    pub fn index_to_write(&self, name: &str) -> Option<Index> {
        let family = Family::of(name)?;
        let whole = |name: String| Index {
            name,
            family,
            only: None,
        };
        if let Some(single) = family.single() {
            return Some(whole(single.to_owned()));
        }
        let job_id = name.strip_prefix(WRITE).or(name.strip_prefix(RESULTS))?;
        if let Some(name) = self.results_index(job_id) {
            return Some(whole(name));
        }
        let series = name.strip_suffix(FIRST).unwrap_or(name);
        let series = series.strip_prefix(RESULTS)?;
        if series == SHARED || self.results_indices().iter().any(|known| known == series) {
            return Some(whole(of_results(series)));
        }
        Some(whole(name.to_owned()))
    }

    /// The index that the results of a job are in.
    pub(super) fn results_index(&self, job_id: &str) -> Option<String> {
        let entry = self.entry(job_id).ok()?;
        let name = of_results(&entry.job.read().results_index_name);
        Some(name)
    }

    /// The `results_index_name`s of all jobs, each once, and that of the shared index.
    pub(super) fn results_indices(&self) -> Vec<String> {
        let mut names = vec![SHARED.to_owned()];
        let jobs = self.0.jobs.read();
        for entry in jobs.values() {
            let name = entry.job.read().results_index_name.clone();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
