//! The documents of Elasticsearch's internal indices: written as such, each to where its like is kept.

mod closed;
mod delete;
pub mod names;
mod results;
mod scan;
mod write;

pub use results::AdoptedResult;
pub use scan::{Found, Holds, Source};
pub use write::{DocumentRow, NewDocument, Written};

#[cfg(test)]
mod tests;
