//! Who does the work of a bucket: the engine has no threads, but may be lent some.

use std::fmt::Debug;

/// A part of some work.
pub type Part<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs parts of work side by side. The parts touch different things, so that who runs them, and when, changes nothing.
pub trait Workers: Debug + Send + Sync {
    /// How many parts can run at once.
    fn width(&self) -> usize;

    /// Runs all parts, and comes back when they have ended.
    fn run<'a>(&self, parts: Vec<Part<'a>>);
}

/// The caller's own thread.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Workers for Alone {
    fn width(&self) -> usize {
        1
    }

    fn run<'a>(&self, parts: Vec<Part<'a>>) {
        parts.into_iter().for_each(|part| part());
    }
}
