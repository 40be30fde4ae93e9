//! The requests of the documents that this server was written by, sent as they stand, and the answers compared with the
//! documented ones, field for field. The documents are read where they are; where they aren't, the tests pass over them
//! and say so.

mod amazon;
mod book;
mod elasticsearch;
mod google;
mod json;
mod opendistro;
mod searchguard;
mod shape;
mod world;

#[path = "../support/mod.rs"]
mod support;
