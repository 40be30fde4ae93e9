//! Filters: named lists of texts that the rules of jobs look values up in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidewatch_store::FilterRow;

use crate::config::{Job, is_valid_id};
use crate::error::{JobError, Result};
use crate::expression::pick;
use crate::live::json;
use crate::manager::Jobs;

const MAX_ITEMS: usize = 10_000;

/// A filter, stored and served in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub filter_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub items: BTreeSet<String>,
}

/// The body of a request to create a filter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewFilter {
    pub filter_id: Option<String>,
    pub description: Option<String>,
    pub items: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterUpdate {
    pub filter_id: Option<String>,
    pub description: Option<String>,
    pub add_items: BTreeSet<String>,
    pub remove_items: BTreeSet<String>,
}

impl Filter {
    fn from_row(row: &FilterRow) -> Result<Self> {
        serde_json::from_str(&row.doc).map_err(|error| {
            JobError::internal(format!("filter [{}] can't be read: {error}", row.filter_id))
        })
    }

    fn row(&self) -> FilterRow {
        FilterRow {
            filter_id: self.filter_id.clone(),
            doc: json(self),
        }
    }

    fn check(&self) -> Result<()> {
        let id = &self.filter_id;
        if !is_valid_id(id) {
            return Err(JobError::bad_request(format!(
                "Invalid filter_id; '{id}' can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; \
                 must start and end with alphanumeric"
            )));
        }
        if self.items.len() > MAX_ITEMS {
            return Err(JobError::bad_request(format!(
                "Filter [{id}] contains too many items; up to [{MAX_ITEMS}] items are allowed"
            )));
        }
        Ok(())
    }
}

/// The id in a body, where it has one, is the one of the request.
pub(crate) fn check_same_id(name: &str, body: Option<&str>, id: &str) -> Result<()> {
    match body.filter(|body| *body != id) {
        Some(other) => Err(JobError::illegal_argument(format!(
            "Inconsistent {name}; '{other}' specified in the body differs from '{id}' specified as a URL argument"
        ))),
        None => Ok(()),
    }
}

/// Ids of the filters that the rules of a job name.
pub(crate) fn filters_of(job: &Job) -> BTreeSet<&str> {
    let detectors = job.analysis_config.detectors.iter();
    let rules = detectors.flat_map(|detector| &detector.custom_rules);
    rules
        .flat_map(|rule| rule.scope.values())
        .map(|filter| filter.filter_id.as_str())
        .collect()
}

impl Jobs {
    pub async fn create_filter(&self, filter_id: &str, body: NewFilter) -> Result<Filter> {
        check_same_id("filter_id", body.filter_id.as_deref(), filter_id)?;
        let filter = Filter {
            filter_id: filter_id.to_owned(),
            description: body.description,
            items: body.items,
        };
        filter.check()?;
        match self.0.store.insert_filter(&filter.row()).await? {
            true => Ok(filter),
            false => Err(JobError::already_exists(format!(
                "A filter with id [{filter_id}] already exists"
            ))),
        }
    }

    /// Filters by ids and wildcards, sorted by id.
    pub async fn filters(&self, expression: &str) -> Result<Vec<Filter>> {
        let rows = self.0.store.filters().await?;
        let ids = rows.iter().map(|row| row.filter_id.as_str());
        let picked = pick(ids, expression, true, unable_to_find)?;
        let picked = rows
            .iter()
            .filter(|row| picked.contains(row.filter_id.as_str()));
        picked.map(Filter::from_row).collect()
    }

    pub async fn update_filter(&self, filter_id: &str, update: FilterUpdate) -> Result<Filter> {
        check_same_id("filter_id", update.filter_id.as_deref(), filter_id)?;
        let resources = self.0.resources.lock().await;
        let row = self.0.store.filter(filter_id).await?;
        let old = Filter::from_row(&row.ok_or_else(|| no_filter(filter_id))?)?;
        let mut new = old.clone();
        new.description = update.description.or(new.description);
        new.items.extend(update.add_items);
        for item in &update.remove_items {
            if !new.items.remove(item) {
                return Err(JobError::bad_request(format!(
                    "Cannot remove item [{item}] as it is not present in filter [{filter_id}]"
                )));
            }
        }
        new.check()?;
        if !self.0.store.update_filter(&new.row()).await? {
            return Err(no_filter(filter_id));
        }
        drop(resources);
        if let Some(change) = Change::between(&old.items, &new.items) {
            let message = format!("Filter [{filter_id}] has been modified; {}", change.told());
            for job_id in self.users_of_filter(filter_id) {
                self.notify(&job_id, "info", &message).await;
            }
            let told = format!("Updated filter [{filter_id}] in running process");
            self.spread_rules(|job| filters_of(job).contains(filter_id), &told)
                .await;
        }
        Ok(new)
    }

    pub async fn delete_filter(&self, filter_id: &str) -> Result<()> {
        let _resources = self.0.resources.lock().await;
        let users = self.users_of_filter(filter_id);
        if !users.is_empty() {
            return Err(JobError::conflict(format!(
                "Cannot delete filter [{filter_id}] currently used by jobs [{}]",
                users.join(", ")
            )));
        }
        match self.0.store.delete_filter(filter_id).await? {
            true => Ok(()),
            false => Err(no_filter(filter_id)),
        }
    }

    /// Ids of the jobs whose rules name a filter, sorted.
    fn users_of_filter(&self, filter_id: &str) -> Vec<String> {
        let jobs = self.0.jobs.read();
        let users = jobs
            .iter()
            .filter(|(_, entry)| filters_of(&entry.job.read()).contains(filter_id));
        users.map(|(id, _)| id.clone()).collect()
    }

    /// The items of the filters that a job's rules name.
    ///
    /// # Errors
    /// 404 when one of them isn't there.
    pub(crate) async fn filter_items(&self, job: &Job) -> Result<BTreeMap<String, Vec<String>>> {
        let mut items = BTreeMap::new();
        for id in filters_of(job) {
            let row = self.0.store.filter(id).await?;
            let filter = Filter::from_row(&row.ok_or_else(|| unable_to_find(id))?)?;
            items.insert(id.to_owned(), filter.items.into_iter().collect());
        }
        Ok(items)
    }
}

/// What came into a filter, and what left it.
struct Change<'a> {
    added: Vec<&'a str>,
    removed: Vec<&'a str>,
}

impl<'a> Change<'a> {
    fn between(old: &'a BTreeSet<String>, new: &'a BTreeSet<String>) -> Option<Self> {
        let texts = |items: &mut dyn Iterator<Item = &'a String>| -> Vec<&'a str> {
            items.map(String::as_str).collect()
        };
        let change = Self {
            added: texts(&mut new.difference(old)),
            removed: texts(&mut old.difference(new)),
        };
        (!change.added.is_empty() || !change.removed.is_empty()).then_some(change)
    }

    fn told(&self) -> String {
        let lists = [
            ("added items", &self.added),
            ("removed items", &self.removed),
        ];
        let lists = lists.iter().filter(|(_, items)| !items.is_empty());
        let lists: Vec<String> = lists
            .map(|(name, items)| format!("{name}: ['{}']", items.join("', '")))
            .collect();
        lists.join(", ")
    }
}

fn unable_to_find(filter_id: &str) -> JobError {
    JobError::not_found(format!("Unable to find filter [{filter_id}]"))
}

fn no_filter(filter_id: &str) -> JobError {
    JobError::not_found(format!("No filter with id [{filter_id}] exists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_as_they_are() {
        let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let told = |old: &[&str], new: &[&str]| {
            let (old, new): (BTreeSet<String>, BTreeSet<String>) = (set(old), set(new));
            Change::between(&old, &new).map(|change| change.told())
        };
        assert_eq!(told(&["a"], &["a"]), None);
        assert_eq!(
            told(&["c"], &["a", "b"]).as_deref(),
            Some("added items: ['a', 'b'], removed items: ['c']")
        );
        assert_eq!(
            told(&["a", "c"], &["a"]).as_deref(),
            Some("removed items: ['c']")
        );
    }
}
