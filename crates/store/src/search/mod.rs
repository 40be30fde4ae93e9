//! One search for everything: users' documents by tantivy, results by SQL.

mod aggregations;
mod asked;
mod compile;
mod error;
mod hits;
mod made;
mod matches;
mod predicate;
mod request;
mod run;
mod scan;
mod scripted;
mod shown;
mod sort;
mod span;
mod steady;
mod terms;
mod values;
mod view;
mod zones;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use aggregations::Aggregation;
pub use asked::Asked;
pub use error::{Result, SearchError};
pub use hits::Hit;
pub use made::Made;
pub use request::{Counted, Search, WINDOW};
pub use run::Found;
pub use scan::{Row, Rows, Scan, Summary, scan, summary};
pub use scripted::{add_script_fields, runtime_fields, script_field_path};
pub use shown::Shown;
pub use sort::Key;
pub use values::{Datum, FieldValues, Scalar};
pub use view::{Computed, Runtime, RuntimeFields, View};

use crate::Source;
use crate::query::{Dsl, Schema};

/// What is searched.
#[derive(Clone)]
pub enum Target {
    /// An index of a user, or what an alias shows of it.
    Documents { view: View, filter: Option<Dsl> },
    /// An internal index.
    Results {
        source: Source,
        schema: Arc<dyn Schema>,
    },
    /// Documents that are made of those of a source, one of one, as they are read.
    Made {
        source: Source,
        schema: Arc<dyn Schema>,
        made: Arc<dyn Made>,
    },
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.index()).finish()
    }
}

impl Target {
    /// The name of its index.
    pub fn index(&self) -> &str {
        match self {
            Self::Documents { view, .. } => view.name(),
            Self::Results { source, .. } | Self::Made { source, .. } => &source.index,
        }
    }
}

/// Epoch milliseconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests;
