//! The wall clock. Nothing that the engine does depends on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Epoch milliseconds.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
