//! Which indices a request means: names, aliases and patterns, of the internal indices and of those of users.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewatch_store::index;

use super::closed::index_closed;
use super::datemath;
use super::indices::{self, Family, Index};
use super::own::no_such_index;
use crate::error::{JobError, Result};
use crate::expression::matches;
use crate::manager::Jobs;

/// An index that is meant, or the part of it that aliases show.
#[derive(Clone)]
pub enum Meant {
    Internal(Index),
    Own {
        index: Arc<index::Index>,
        /// Only documents that one of these queries finds. Without any: all.
        only: Vec<Value>,
    },
}

/// How an expression of index names is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Leave out what isn't there.
    pub ignore_unavailable: bool,
    pub allow_no_indices: bool,
    /// Which indices a pattern means: those that are open, closed, hidden. None of them: it is a name like others.
    pub open: bool,
    pub closed: bool,
    pub hidden: bool,
    /// Whether a closed index is taken that is called by its name.
    pub takes_closed: bool,
    /// Whether aliases are names.
    pub aliases: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            ignore_unavailable: false,
            allow_no_indices: true,
            open: true,
            closed: false,
            hidden: false,
            takes_closed: false,
            aliases: true,
        }
    }
}

impl Reading {
    /// Names alone, of one index that is there.
    pub fn one() -> Self {
        Self {
            open: false,
            ..Self::default()
        }
    }

    fn wildcards(&self) -> bool {
        self.open || self.closed
    }
}

/// Another name of an index, or of a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    pub name: String,
    pub settings: index::Alias,
    /// Of an internal index: the job whose documents it shows.
    only: Option<String>,
}

impl Alias {
    /// One of the two that a job has.
    fn of_job(job_id: &str, writes: bool) -> Self {
        if writes {
            return Self::internal(&format!(".ml-anomalies-.write-{job_id}"), true);
        }
        let mut alias = Self::internal(&format!(".ml-anomalies-{job_id}"), false);
        alias.settings.filter = Some(json!({"term": {"job_id": {"value": job_id}}}));
        alias.only = Some(job_id.to_owned());
        alias
    }

    fn internal(name: &str, writes: bool) -> Self {
        Self {
            name: name.to_owned(),
            settings: index::Alias {
                is_hidden: Some(true),
                is_write_index: writes.then_some(true),
                ..index::Alias::default()
            },
            only: None,
        }
    }

    fn is_hidden(&self) -> bool {
        self.settings.is_hidden == Some(true)
    }
}

impl Meant {
    pub fn name(&self) -> &str {
        match self {
            Self::Internal(index) => &index.name,
            Self::Own { index, .. } => index.name(),
        }
    }

    /// Whether patterns leave it out that don't ask for what is hidden.
    pub fn is_hidden(&self) -> bool {
        match self {
            Self::Internal(_) => true,
            Self::Own { index, .. } => index.is_hidden(),
        }
    }

    fn is_found_by(&self, pattern: &str, reading: Reading) -> bool {
        is_shown(self.name(), self.is_hidden(), pattern, reading) && matches(pattern, self.name())
    }
}

/// What is hidden is meant by a pattern that asks for it, or that begins with a dot as its name does.
fn is_shown(name: &str, is_hidden: bool, pattern: &str, reading: Reading) -> bool {
    !is_hidden || reading.hidden || (name.starts_with('.') && pattern.starts_with('.'))
}

/// Of an index: that it is meant as a whole, or which parts of it.
struct Parts {
    whole: Meant,
    /// None: as a whole.
    parts: Option<Vec<Part>>,
}

enum Part {
    OfJob(String),
    Filter(Value),
}

/// What is meant so far.
#[derive(Default)]
struct Selection(BTreeMap<String, Parts>);

impl Selection {
    fn add(&mut self, meant: &Meant, part: Option<Part>) {
        let parts = self
            .0
            .entry(meant.name().to_owned())
            .or_insert_with(|| Parts {
                whole: meant.clone(),
                parts: Some(Vec::new()),
            });
        match (part, &mut parts.parts) {
            (None, parts) => *parts = None,
            (Some(part), Some(parts)) => parts.push(part),
            (Some(_), None) => {}
        }
    }

    fn add_by(&mut self, meant: &Meant, alias: &Alias) {
        let part = match (&alias.only, &alias.settings.filter) {
            (Some(job_id), _) => Some(Part::OfJob(job_id.clone())),
            (None, Some(filter)) => Some(Part::Filter(filter.clone())),
            (None, None) => None,
        };
        self.add(meant, part);
    }

    fn finish(self) -> Vec<Meant> {
        let mut all = Vec::new();
        for Parts { whole, parts } in self.0.into_values() {
            match (whole, parts) {
                (whole, None) => all.push(whole),
                (Meant::Own { index, .. }, Some(parts)) => {
                    let filter = |part| match part {
                        Part::Filter(filter) => Some(filter),
                        Part::OfJob(_) => None,
                    };
                    let only = parts.into_iter().filter_map(filter).collect();
                    all.push(Meant::Own { index, only });
                }
                (Meant::Internal(index), Some(parts)) => {
                    let mut jobs: Vec<String> = Vec::new();
                    for part in parts {
                        match part {
                            Part::OfJob(job_id) if !jobs.contains(&job_id) => jobs.push(job_id),
                            _ => {}
                        }
                    }
                    all.extend(jobs.into_iter().map(|job_id| {
                        Meant::Internal(Index {
                            only: Some(job_id),
                            ..index.clone()
                        })
                    }));
                }
            }
        }
        all
    }
}

impl Jobs {
    /// All internal indices, by name.
    pub(super) async fn internal_indices(&self) -> Result<Vec<Index>> {
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

    /// All indices, those of users behind the internal ones.
    async fn all_indices(&self) -> Result<Vec<Meant>> {
        let internal = self.internal_indices().await?;
        let own = self.store().indices().all();
        let own = own.into_iter().map(|index| Meant::Own {
            index,
            only: Vec::new(),
        });
        Ok(internal
            .into_iter()
            .map(Meant::Internal)
            .chain(own)
            .collect())
    }

    /// The aliases of an index, by name.
    pub fn aliases(&self, index: &Meant) -> Vec<Alias> {
        let mut aliases: Vec<Alias> = match index {
            Meant::Own { index, .. } => {
                let aliases = index.aliases();
                let alias = |(name, settings): (&String, &index::Alias)| Alias {
                    name: name.clone(),
                    settings: settings.clone(),
                    only: None,
                };
                aliases.iter().map(alias).collect()
            }
            Meant::Internal(index) => self.internal_aliases(index),
        };
        aliases.sort_by(|a, b| a.name.cmp(&b.name));
        aliases
    }

    fn internal_aliases(&self, index: &Index) -> Vec<Alias> {
        if index.family == Family::Results {
            let jobs = self.0.jobs.read();
            let of = jobs.iter().filter(|(_, entry)| {
                indices::of_results(&entry.job.read().results_index_name) == index.name
            });
            return of
                .flat_map(|(job_id, _)| [false, true].map(|writes| Alias::of_job(job_id, writes)))
                .collect();
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
        fixed
            .iter()
            .map(|(name, writes)| Alias::internal(name, *writes))
            .collect()
    }

    /// The indices that an expression means: names, aliases and patterns between commas, by name.
    ///
    /// # Errors
    /// `index_not_found_exception`, `index_closed_exception`, `invalid_index_name_exception`, and of an alias where none
    /// is taken.
    pub async fn meant(&self, expression: &str, reading: Reading) -> Result<Vec<Meant>> {
        let all = self.all_indices().await?;
        let closed_names = self.closed_names().await?;
        let is_closed = |meant: &Meant| closed_names.iter().any(|name| name == meant.name());
        let (closed, open): (Vec<_>, Vec<_>) = all.iter().partition(|meant| is_closed(meant));
        let mut wide: Vec<&Meant> = Vec::new();
        if reading.open {
            wide.extend(&open);
        }
        if reading.closed {
            wide.extend(&closed);
        }
        let mut selection = Selection::default();
        let mut seen_pattern = false;
        let now = self.settings().clock.now();
        for part in expression.split(',').map(str::trim) {
            let part = datemath::resolve(part, now)?;
            let part = &*part;
            let pattern = match part {
                "_all" | "" if !reading.wildcards() => continue,
                "_all" | "" => "*",
                part => part,
            };
            if let Some(excluded) = pattern.strip_prefix('-').filter(|_| seen_pattern) {
                let is_excluded = |meant: &Meant| {
                    matches(excluded, meant.name())
                        || self
                            .aliases(meant)
                            .iter()
                            .any(|alias| matches(excluded, &alias.name))
                };
                selection.0.retain(|_, parts| !is_excluded(&parts.whole));
            } else if pattern.contains('*') && reading.wildcards() {
                seen_pattern = true;
                let fits = self.expand(&wide, pattern, reading, &mut selection);
                if !fits && !reading.allow_no_indices {
                    return Err(no_such_index(part));
                }
            } else {
                check_name(part)?;
                match self.named(&all, part, reading) {
                    Ok(found) => {
                        for (meant, alias) in found {
                            if is_closed(meant) && !reading.takes_closed {
                                if !reading.ignore_unavailable {
                                    return Err(index_closed(meant));
                                }
                                continue;
                            }
                            match alias {
                                Some(alias) => selection.add_by(meant, &alias),
                                None => selection.add(meant, None),
                            }
                        }
                    }
                    Err(_) if reading.ignore_unavailable => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let meant = selection.finish();
        if meant.is_empty() && !reading.allow_no_indices {
            return Err(no_such_index(expression));
        }
        Ok(meant)
    }

    /// Adds what fits a pattern, and says whether anything does.
    fn expand(
        &self,
        all: &[&Meant],
        pattern: &str,
        reading: Reading,
        selection: &mut Selection,
    ) -> bool {
        let mut fits = false;
        for meant in all {
            if meant.is_found_by(pattern, reading) {
                selection.add(meant, None);
                fits = true;
                continue;
            }
            if !reading.aliases {
                continue;
            }
            for alias in self.aliases(meant) {
                if is_shown(&alias.name, alias.is_hidden(), pattern, reading)
                    && matches(pattern, &alias.name)
                {
                    selection.add_by(meant, &alias);
                    fits = true;
                }
            }
        }
        fits
    }

    /// The index of a name, or those of an alias.
    fn named<'a>(
        &self,
        all: &'a [Meant],
        name: &str,
        reading: Reading,
    ) -> Result<Vec<(&'a Meant, Option<Alias>)>> {
        if let Some(meant) = all.iter().find(|meant| meant.name() == name) {
            return Ok(vec![(meant, None)]);
        }
        let mut found = Vec::new();
        for meant in all {
            let mut aliases = self.aliases(meant).into_iter();
            if let Some(alias) = aliases.find(|alias| alias.name == name) {
                found.push((meant, Some(alias)));
            }
        }
        if !found.is_empty() && !reading.aliases {
            return Err(JobError::illegal_argument(format!(
                "The provided expression [{name}] matches an alias, specify the corresponding concrete indices instead."
            )));
        }
        // Names of other versions: without a number, or with another.
        if found.is_empty()
            && let Some(index) = self.index_to_write(name)
        {
            let internal = all.iter().find(|meant| meant.name() == index.name);
            found.extend(internal.map(|meant| (meant, None)));
        }
        match found.is_empty() {
            true => Err(no_such_index(name)),
            false => Ok(found),
        }
    }
}

/// What no index can be called.
fn check_name(name: &str) -> Result<()> {
    if name.starts_with('_') {
        let reason = format!("Invalid index name [{name}], must not start with '_'.");
        return Err(JobError::new(400, "invalid_index_name_exception", reason).about(name, "_na_"));
    }
    match name.split_once(':') {
        Some((cluster, _)) if !cluster.is_empty() => Err(JobError::new(
            404,
            "no_such_remote_cluster_exception",
            format!("no such remote cluster: [{cluster}]"),
        )),
        _ => Ok(()),
    }
}
