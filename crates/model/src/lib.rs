//! The analysis engine: pure, synchronous, deterministic. It does no I/O, reads no clock and starts no thread.

pub mod record;
pub mod series;
