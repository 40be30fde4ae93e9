//! The analysis engine: pure, synchronous, deterministic
