//! The analysis engine: pure, synchronous, deterministic. It does no I/O, reads no clock and starts no thread.
//!
//! [`engine::Engine`] is the way in: [`record::RecordBatch`]es go in, [`results::BucketResults`] come out.

mod aggregate;
pub mod categorize;
pub mod circle;
#[macro_use]
pub mod config;
pub mod counts;
pub mod crowd;
mod detector;
pub mod engine;
pub mod estimate;
pub mod forest;
mod gather;
mod intern;
#[cfg(test)]
mod noise;
pub mod normalise;
pub mod place;
pub mod rare;
pub mod record;
mod report;
pub mod results;
pub mod rules;
pub mod score;
pub mod series;
pub mod time_format;
pub mod units;
pub mod workers;
