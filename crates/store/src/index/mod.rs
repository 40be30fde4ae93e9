//! The embedded document index: what users write and datafeeds read
//!
//! An index is a directory with tantivy's files and a journal of what tantivy has not made durable yet; the catalogue of
//! indices, with their mappings, settings and aliases, is in SQLite. A write is checked against the mapping, journalled,
//! durable, and then answered; it is found by searches after the next refresh, and by its id at once.
//!
//! Every index has the same physical fields ([`Physical`]); the mapping says where a path goes ([`Field::place`]).

mod address;
mod aliases;
mod applier;
mod catalogue;
mod document;
mod engine;
mod error;
mod gate;
mod indices;
mod json;
mod lookup;
mod mapping;
mod names;
mod reader;
mod recent;
mod schema;
mod seats;
mod settings;
mod shard;
mod tokenizer;
mod translog;
mod update;
mod write;
mod writing;

#[cfg(test)]
mod tests;

pub use address::{address_key, address_of, network_keys};
pub use aliases::{Alias, AliasAction};
pub use engine::{Index, Stats};
pub use error::{IndexError, IndexName, Refusal, Result};
pub use indices::{Creation, Indices};
pub use mapping::{
    DateFormats, Dynamic, Field, Found, Instant, Kind, Limits, Mapping, Object, Place, iso_text,
};
pub use names::{check_alias, check_id, check_index};
pub use reader::{Column, Hit, Reader, Values, turned, unturned};
pub use schema::{FIELD_NAMES, PHYSICAL, Physical};
pub use settings::Settings;
pub use tokenizer::words;
pub use write::{Done, Effect, Op, Outcome, Stored, Update, Versioned, Write};
