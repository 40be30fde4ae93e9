//! Documents in another form than they are kept in.

use crate::Found;
use crate::query::{Bounds, Query};

/// How documents of a source look to those who search them.
pub trait Made: Send + Sync {
    /// Which documents of the source a query may mean.
    fn bounds(&self, query: &Query) -> Bounds;

    /// What is made of a document of the source. None: it isn't shown.
    fn document(&self, found: Found) -> Option<Found>;
}
