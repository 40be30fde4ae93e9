//! The life of a started datafeed, from a source that the test writes, by a clock that the test turns.

#![allow(clippy::unwrap_used)]

mod cut;
mod late;
mod life;
mod source;
mod support;
mod trouble;
