//! What queries must know of the fields of an index.

use crate::dates::DateFormat;

/// What a field holds, as far as queries differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Keyword,
    /// Looked at by its words, in any case.
    Text,
    Number,
    /// Epoch milliseconds.
    Date,
    /// Epoch nanoseconds.
    DateNanos,
    Bool,
    Ip,
    /// A place; it can only be there or not.
    Point,
}

impl FieldType {
    pub fn is_date(self) -> bool {
        matches!(self, Self::Date | Self::DateNanos)
    }
}

/// A field of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub of: FieldType,
    /// Elasticsearch's name of the type.
    pub type_name: &'static str,
    /// How its dates are written.
    pub format: DateFormat,
    /// Whether queries may ask for its values; without, only where it has a column.
    pub is_indexed: bool,
    /// Whether there is a column of its values.
    pub has_column: bool,
}

impl Field {
    pub fn new(of: FieldType, type_name: &'static str) -> Self {
        Self {
            of,
            type_name,
            format: DateFormat::default(),
            is_indexed: true,
            has_column: of != FieldType::Text,
        }
    }
}

/// The fields of an index.
pub trait Schema: Send + Sync {
    /// None: there is no such field.
    fn field(&self, path: &str) -> Option<Field>;

    /// The fields whose paths are as a pattern says, in their order.
    fn matching(&self, pattern: &str) -> Vec<String>;

    /// Where the values of a field stand in a document: of a multi-field, where its parent's do.
    fn in_source(&self, path: &str) -> String {
        path.to_owned()
    }

    /// Whether a path leads to an object with fields below it.
    fn is_object(&self, _path: &str) -> bool {
        false
    }

    /// Whether it is an object whose fields belong together.
    fn is_nested(&self, _path: &str) -> bool {
        true
    }

    /// Whether what names no field means any text that a document has, not the fields that are known.
    fn has_loose_texts(&self) -> bool {
        false
    }
}

/// A schema that takes every field for what a function says.
#[derive(Debug, Clone, Copy)]
pub struct Loose(pub fn(&str) -> FieldType);

impl Schema for Loose {
    fn field(&self, path: &str) -> Option<Field> {
        let of = (self.0)(path);
        let type_name = match of {
            FieldType::Keyword => "keyword",
            FieldType::Text => "text",
            FieldType::Number => "double",
            FieldType::Date => "date",
            FieldType::DateNanos => "date_nanos",
            FieldType::Bool => "boolean",
            FieldType::Ip => "ip",
            FieldType::Point => "geo_point",
        };
        Some(Field {
            has_column: true,
            ..Field::new(of, type_name)
        })
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn has_loose_texts(&self) -> bool {
        true
    }
}

/// An index without fields.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Schema for Nothing {
    fn field(&self, _: &str) -> Option<Field> {
        None
    }

    fn matching(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}
