//! What the fields of an index are
//!
//! A mapping is a tree of objects with fields as leaves; a field may have multi-fields below it. It is never changed:
//! one that has grown is another one. Paths are whole, with dots.

pub(super) mod dates;
pub(super) mod dynamic;
mod field;
mod merge;
mod params;
mod parse;
mod render;
pub(super) mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::Refusal;
use dynamic::Detection;
use tree::Tree;

pub use dates::{DateFormats, Instant, iso_text};
pub use field::{Field, Kind, Place};
pub(super) use params::plain;
pub(super) use parse::{check_parts, join};

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
    /// What is in it is only kept.
    pub disabled: bool,
    /// Its documents belong together: a query on two of its fields means the same element.
    pub nested: bool,
    /// What was given beside the properties, as the mapping prints it.
    pub(super) given: Map<String, Value>,
}

/// How much a mapping may have, from the settings of its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub fields: usize,
    pub depth: usize,
    pub nested: usize,
    /// What fields do that don't say it themselves.
    pub ignore_malformed: bool,
    pub coerce: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fields: 1000,
            depth: 20,
            nested: 50,
            ignore_malformed: false,
            coerce: true,
        }
    }
}

/// What a mapping says, before anything is derived from it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Parts {
    fields: BTreeMap<String, Arc<Field>>,
    objects: BTreeMap<String, Arc<Object>>,
    runtime: Map<String, Value>,
    detection: Arc<Detection>,
    /// `_meta`, `_routing`, `_source` and the root's dynamic parts as they were given.
    root: Map<String, Value>,
}

/// The mapping of an index.
#[derive(Debug, Default)]
pub struct Mapping {
    parts: Parts,
    tree: Tree,
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

/// What a path of a query or an aggregation leads to.
#[derive(Debug, Clone)]
pub struct Found {
    pub field: Arc<Field>,
    /// The path of its values in the physical schema: the field's, or a key's below a flattened field.
    pub path: String,
}

impl Mapping {
    /// The mapping that `mappings` of a new index gives.
    pub fn parse(mappings: &Value, limits: Limits) -> Result<Self, Refusal> {
        Self::default().merge(mappings, limits)
    }

    /// This mapping and what is added to it.
    pub fn merge(&self, addition: &Value, limits: Limits) -> Result<Self, Refusal> {
        let addition = parse::parts(addition, limits).map_err(|cause| {
            Refusal::mapper_parsing(format!("Failed to parse mapping: {}", cause.reason))
                .because(cause)
        })?;
        self.with(addition, limits, 0)
    }

    /// `adding`: how many of the fields a document brings.
    fn with(&self, addition: Parts, limits: Limits, adding: usize) -> Result<Self, Refusal> {
        let parts = merge::merged(&self.parts, addition)?;
        merge::check_limits(&parts, limits, adding)?;
        let tree = Tree::new(&parts);
        Ok(Self { parts, tree })
    }

    /// As Elasticsearch prints it: `{"properties": {..}, ..}`. [`parse`](Self::parse) of it is the same mapping.
    pub fn to_json(&self) -> Map<String, Value> {
        render::mapping(&self.parts)
    }

    /// The field that a path leads to, through an alias, or into a flattened field.
    pub fn find(&self, path: &str) -> Option<Found> {
        if let Some(field) = self.parts.fields.get(path) {
            if let Kind::Alias { path } = &field.kind {
                return self.find(path);
            }
            return Some(Found {
                field: field.clone(),
                path: path.to_owned(),
            });
        }
        let flattened = path.match_indices('.').find_map(|(dot, _)| {
            self.parts
                .fields
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
        self.parts.fields.values()
    }

    /// The field of exactly this path, which may be an alias.
    pub fn field(&self, path: &str) -> Option<&Arc<Field>> {
        self.parts.fields.get(path)
    }

    /// All objects by path, ascending, without the root.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.parts
            .objects
            .values()
            .filter(|object| !object.path.is_empty())
    }

    pub fn object(&self, path: &str) -> Option<&Arc<Object>> {
        self.parts.objects.get(path)
    }

    /// The path of the innermost nested object that a path is in or is.
    pub fn nested_of(&self, path: &str) -> Option<&str> {
        let mut end = path.len();
        loop {
            if let Some(object) = self.parts.objects.get(&path[..end])
                && object.nested
            {
                return Some(&object.path);
            }
            end = path[..end].rfind('.')?;
        }
    }

    /// Runtime fields, as they were given: path to `{"type": .., "script": ..}`.
    pub fn runtime(&self) -> &Map<String, Value> {
        &self.parts.runtime
    }

    /// Whether a document must be given a routing.
    pub fn routing_required(&self) -> bool {
        self.parts
            .root
            .get("_routing")
            .and_then(|r| r.get("required"))
            == Some(&Value::Bool(true))
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn detection(&self) -> &Detection {
        &self.parts.detection
    }
}
