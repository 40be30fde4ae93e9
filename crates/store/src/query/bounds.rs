//! What a query says of columns: documents that it leaves out need not be read.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Limit, Query};
use crate::documents::names::{self, Place};

/// What every match of a query has. It leaves out only what doesn't match; what it lets through may still not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bounds {
    pub jobs: Option<BTreeSet<String>>,
    /// Of documents that say theirs.
    pub result_types: Option<BTreeSet<String>>,
    /// The first timestamp, in milliseconds, inclusive.
    pub start: Option<i64>,
    /// The last one, inclusive.
    pub end: Option<i64>,
    pub is_interim: Option<bool>,
    /// The least score, of the result type that has it.
    pub min_score: Option<f64>,
    pub ids: Option<BTreeSet<String>>,
}

/// The scores that have a column, and whose they are.
const SCORES: [(&str, &str); 3] = [
    ("anomaly_score", "bucket"),
    ("record_score", "record"),
    ("influencer_score", "influencer"),
];

fn narrow<T: Ord + Clone>(kept: &mut Option<BTreeSet<T>>, to: BTreeSet<T>) {
    *kept = Some(match kept.take() {
        Some(before) => before.intersection(&to).cloned().collect(),
        None => to,
    });
}

impl Bounds {
    pub fn of(query: &Query) -> Self {
        let mut bounds = Self::default();
        bounds.take(query);
        bounds
    }

    fn take(&mut self, query: &Query) {
        match query {
            Query::None => self.jobs = Some(BTreeSet::new()),
            Query::Terms {
                field,
                values,
                ignore_case: false,
            } => self.take_terms(field, values),
            Query::Range { field, from, to } => self.take_range(field, from.as_ref(), to.as_ref()),
            Query::Ids(ids) => narrow(&mut self.ids, ids.iter().cloned().collect()),
            Query::Constant { query, .. } | Query::Boosted { query, .. } => self.take(query),
            Query::Bool {
                must,
                filter,
                should,
                at_least,
                ..
            } => {
                must.iter().chain(filter).for_each(|query| self.take(query));
                if let [only] = &should[..]
                    && *at_least > 0
                {
                    self.take(only);
                }
            }
            _ => {}
        }
    }

    fn take_terms(&mut self, field: &str, values: &[Value]) {
        // A term that is no text is left to the match itself.
        let texts: Option<BTreeSet<String>> = values
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect();
        match (field, texts, values) {
            ("job_id", Some(jobs), _) => narrow(&mut self.jobs, jobs),
            ("result_type", Some(types), _) => narrow(&mut self.result_types, types),
            ("_id", Some(ids), _) => narrow(&mut self.ids, ids),
            ("is_interim", _, [Value::Bool(is_interim)]) => self.is_interim = Some(*is_interim),
            _ => {}
        }
    }

    fn take_range(&mut self, field: &str, from: Option<&Limit>, to: Option<&Limit>) {
        if field == "timestamp" {
            let whole = |limit: Option<&Limit>| limit.and_then(|limit| limit.value.as_i64());
            // What is exclusive here lets one too many through.
            self.start = self.start.max(whole(from));
            self.end = match (self.end, whole(to)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        if let Some((_, of)) = SCORES.iter().find(|(name, _)| *name == field)
            && let Some(least) = from.and_then(|from| from.value.as_f64())
        {
            narrow(&mut self.result_types, BTreeSet::from([(*of).to_owned()]));
            self.min_score = Some(self.min_score.map_or(least, |before| before.max(least)));
        }
    }

    /// Whether documents of a job may match.
    pub fn allows_job(&self, job_id: &str) -> bool {
        self.jobs.as_ref().is_none_or(|jobs| jobs.contains(job_id))
    }

    /// Whether documents of a type may match. `None`: of those that don't say.
    pub fn allows_type(&self, result_type: Option<&str>) -> bool {
        match (&self.result_types, result_type) {
            (None, _) => true,
            (Some(types), Some(result_type)) => types.contains(result_type),
            (Some(_), None) => false,
        }
    }

    /// Where the documents of the ids may be, when ids are asked for.
    pub fn places(&self) -> Option<Vec<(String, Place)>> {
        let ids = self.ids.as_ref()?;
        Some(ids.iter().flat_map(|id| names::places(id)).collect())
    }

    /// Whether only documents with a time are meant.
    pub fn is_timed(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }
}
