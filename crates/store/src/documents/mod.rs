//! The documents of Elasticsearch's internal indices: written as such, each to where its like is kept.

pub mod names;
mod results;
mod write;

pub use results::AdoptedResult;
pub use write::{DocumentRow, NewDocument, Written};
