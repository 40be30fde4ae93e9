//! Scripts: the part of Painless that datafeeds, queries and aggregations use, as a small safe expression language.
//!
//! A script is parsed once to a tree, and evaluated without I/O over one [`Document`]. Source, nesting, steps, strings
//! and regular expressions are bounded. What isn't supported is refused by name when it is compiled.

mod context;
mod document;
mod error;

pub use context::{Context, Kind};
pub use document::{Document, Field, FieldValue, NoField, Nothing};
pub use error::{Fault, Place, ScriptError};
