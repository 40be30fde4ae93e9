//! Whose a value is: labels that are shared, and whether the name still counts.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Labels, NAME};

/// The labels of a value. What is computed of a value has no name: its labels need no copy for that.
#[derive(Debug, Clone)]
pub struct Metric {
    labels: Arc<Labels>,
    is_named: bool,
}

impl Metric {
    pub fn new(labels: Labels) -> Self {
        Self {
            labels: Arc::new(labels),
            is_named: true,
        }
    }

    pub fn nameless(self) -> Self {
        Self {
            is_named: false,
            ..self
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        let is_shown = |name: &str| self.is_named || name != NAME;
        self.labels.iter().filter(move |(name, _)| is_shown(name))
    }

    /// Only the labels that are wanted.
    pub fn only(&self, is_wanted: impl Fn(&str) -> bool) -> Labels {
        let wanted = self.iter().filter(|(name, _)| is_wanted(name));
        wanted
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    pub fn labels(&self) -> Labels {
        self.only(|_| true)
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Metric {}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Metric {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.labels, &other.labels) && self.is_named == other.is_named {
            return Ordering::Equal;
        }
        self.iter().cmp(other.iter())
    }
}
