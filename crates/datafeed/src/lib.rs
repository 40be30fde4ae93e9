//! Where records come from: uploads and files, projected to the fields that an analysis uses.
//!
//! It turns bytes into [`RecordBatch`](tidewatch_model::record::RecordBatch)es, in constant memory whatever the size
//! of the source, and counts what it read. A record that can't be read is counted and left out, and costs no other
//! record; the same bytes give the same records and counts however they are cut.
//!
//! It never builds a tree of a record, never reads a clock, never looks at what the records mean (their order, the
//! bucket they fall in), and never fails because of what a source says: only where reading itself does.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod csv;
mod feeds;
pub mod file;
mod json;
pub mod ndjson;
mod preview;
pub mod projection;
mod row;
pub mod run;
mod scanner;
pub mod source;

pub use feeds::Feeds;
pub use file::{FileKind, FileReader, FileSource};
pub use ndjson::NdjsonReader;
pub use preview::PreviewRequest;
pub use projection::{BatchLimit, MAX_RECORD_BYTES, Projection};
