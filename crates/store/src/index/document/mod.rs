//! A document on its way into the index
//!
//! Its JSON is walked once: every value is checked against the mapping and put down as tantivy will index it, as a part
//! of the source where it can be. No tree is built.

mod numbers;
mod points;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tantivy::schema::Field;
use tantivy::schema::document::{ReferenceValue, ReferenceValueLeaf, Value};

use super::gate::Hold;
use super::mapping::Mapping;
use super::mapping::tree::SlotId;
use super::schema::{FIELD_NAMES, PHYSICAL};

pub use walk::{Parsed, walk};

/// One value of a field, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    root: Root,
    path: Path,
    leaf: Leaf,
}

/// One of the physical fields that paths are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Words,
    Numbers,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Field(SlotId),
    Latitude(SlotId),
    Longitude(SlotId),
    /// A path of its own, below a flattened field: a part of [`Values::extra`].
    Own(Span),
    FieldNames,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaf {
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A part of the source.
    Source(Span),
    /// A part of [`Values::extra`].
    Extra(Span),
    /// The path of a field.
    PathOf(SlotId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// What a document has for the index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    entries: Vec<Entry>,
    /// Texts that aren't in the source as they are meant: with escapes, addresses, paths.
    extra: String,
}

/// A document as tantivy takes it.
#[derive(Debug)]
pub struct Document {
    pub id: Box<str>,
    pub routing: Option<Box<str>>,
    pub source: Box<str>,
    pub values: Values,
    pub seq_no: u64,
    pub version: u64,
    pub batch: Arc<Batch>,
}

/// What the documents of one call have in common.
#[derive(Debug)]
pub struct Batch {
    /// The mapping that they were read by.
    pub mapping: Arc<Mapping>,
    /// Given back when the last of them is indexed.
    pub hold: Arc<Hold>,
}

/// A value of a document: of one of the physical fields, or of a path in one.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    Leaf(ReferenceValueLeaf<'a>),
    Paths(Paths<'a>),
}

/// The paths of a document in one physical field.
#[derive(Debug, Clone)]
pub struct Paths<'a> {
    document: &'a Document,
    root: Root,
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Paths<'a> {
    type Item = (&'a str, Part<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let root = self.root;
        let entry = self.entries.find(|entry| entry.root == root)?;
        let document = self.document;
        Some((
            document.path(entry.path),
            Part::Leaf(document.leaf(entry.leaf)),
        ))
    }
}

impl Document {
    fn path(&self, path: Path) -> &str {
        let slot = |id| self.batch.mapping.tree().slot(id);
        match path {
            Path::Field(id) => &slot(id).field.path,
            Path::Latitude(id) => &slot(id).latitude,
            Path::Longitude(id) => &slot(id).longitude,
            Path::Own(span) => span.of(&self.values.extra),
            Path::FieldNames => FIELD_NAMES,
        }
    }

    fn leaf(&self, leaf: Leaf) -> ReferenceValueLeaf<'_> {
        match leaf {
            Leaf::Integer(value) => ReferenceValueLeaf::I64(value),
            Leaf::Float(value) => ReferenceValueLeaf::F64(value),
            Leaf::Bool(value) => ReferenceValueLeaf::Bool(value),
            Leaf::Source(span) => ReferenceValueLeaf::Str(span.of(&self.source)),
            Leaf::Extra(span) => ReferenceValueLeaf::Str(span.of(&self.values.extra)),
            Leaf::PathOf(id) => {
                ReferenceValueLeaf::Str(&self.batch.mapping.tree().slot(id).field.path)
            }
        }
    }

    fn paths(&self, root: Root) -> Part<'_> {
        Part::Paths(Paths {
            document: self,
            root,
            entries: self.values.entries.iter(),
        })
    }
}

impl tantivy::Document for Document {
    type Value<'a> = Part<'a>;
    type FieldsValuesIter<'a> =
        std::iter::Flatten<std::array::IntoIter<Option<(Field, Part<'a>)>, 8>>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        let physical = &*PHYSICAL;
        let leaf = |field, leaf| Some((field, Part::Leaf(leaf)));
        [
            leaf(physical.id, ReferenceValueLeaf::Str(&self.id)),
            leaf(
                physical.source,
                ReferenceValueLeaf::Bytes(self.source.as_bytes()),
            ),
            self.routing
                .as_deref()
                .and_then(|routing| leaf(physical.routing, ReferenceValueLeaf::Str(routing))),
            leaf(physical.seq_no, ReferenceValueLeaf::U64(self.seq_no)),
            leaf(physical.version, ReferenceValueLeaf::U64(self.version)),
            Some((physical.words, self.paths(Root::Words))),
            Some((physical.numbers, self.paths(Root::Numbers))),
            Some((physical.text, self.paths(Root::Text))),
        ]
        .into_iter()
        .flatten()
    }
}

impl<'a> Value<'a> for Part<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = Paths<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        match self {
            Self::Leaf(leaf) => ReferenceValue::Leaf(leaf.clone()),
            Self::Paths(paths) => ReferenceValue::Object(paths.clone()),
        }
    }
}
