//! What the fields of an index are
//!
//! A mapping is a tree of objects with fields as leaves; a field may have multi-fields below it. It is never changed:
//! one that has grown is another one. Paths are whole, with dots.

mod dates;
mod field;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use dates::DateFormats;
pub use field::{Field, Kind, Place};

/// What becomes of a field that a document has and the mapping has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dynamic {
    /// It is mapped.
    #[default]
    True,
    /// It stays in the source.
    False,
    /// The document is refused.
    Strict,
    /// It becomes a runtime field.
    Runtime,
}

/// An object within a mapping; the root is the one of the empty path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object {
    pub path: String,
    /// As its own says; None for its parent's.
    pub dynamic: Option<Dynamic>,
    pub enabled: bool,
    /// Its documents belong together: a query on two of its fields means the same element.
    pub nested: bool,
    pub(super) given: Map<String, Value>,
}

/// The mapping of an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mapping {
    pub(super) fields: BTreeMap<String, Arc<Field>>,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    pub(super) runtime: Map<String, Value>,
}

/// What a path of a query or an aggregation leads to.
#[derive(Debug, Clone)]
pub struct Found {
    pub field: Arc<Field>,
    /// The path of its values in the physical schema: the field's, or a key's below a flattened field.
    pub path: String,
}

impl Mapping {
    /// The field that a path leads to, through an alias, or into a flattened field.
    pub fn find(&self, path: &str) -> Option<Found> {
        if let Some(field) = self.fields.get(path) {
            if let Kind::Alias { path } = &field.kind {
                return self.find(path);
            }
            return Some(Found {
                field: field.clone(),
                path: path.to_owned(),
            });
        }
        let flattened = path.match_indices('.').find_map(|(dot, _)| {
            self.fields
                .get(&path[..dot])
                .filter(|field| matches!(field.kind, Kind::Flattened { .. }))
        })?;
        Some(Found {
            field: flattened.clone(),
            path: path.to_owned(),
        })
    }

    /// All fields by path, ascending; multi-fields and aliases are among them.
    pub fn fields(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.fields.values()
    }

    /// All objects by path, ascending, without the root.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .values()
            .filter(|object| !object.path.is_empty())
    }

    /// The path of the innermost nested object that a path is in or is.
    pub fn nested_of(&self, path: &str) -> Option<&str> {
        let mut end = path.len();
        loop {
            if let Some(object) = self.objects.get(&path[..end])
                && object.nested
            {
                return Some(&object.path);
            }
            end = path[..end].rfind('.')?;
        }
    }

    /// Runtime fields, as they were given: path to `{"type": .., "script": ..}`.
    pub fn runtime(&self) -> &Map<String, Value> {
        &self.runtime
    }
}
