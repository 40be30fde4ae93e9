//! Times in requests and documents: formats of dates, zones, date math and the lengths of calendars.
//!
//! Times are epoch milliseconds, UTC.

mod format;
mod interval;
mod math;
mod pattern;
mod zone;

pub use format::DateFormat;
pub use interval::{Interval, millis};
pub use math::{DateMathError, math};
pub use zone::Zone;

#[cfg(test)]
mod tests;
