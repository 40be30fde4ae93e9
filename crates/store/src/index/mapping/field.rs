//! One field of a mapping

use serde_json::{Map, Value};

use super::dates::DateFormats;

/// What a field holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Keyword,
    /// One value for every document of the index; none until a document brings it.
    ConstantKeyword {
        value: Option<String>,
    },
    Wildcard,
    Text,
    MatchOnlyText,
    Long,
    Integer,
    Short,
    Byte,
    UnsignedLong,
    Double,
    Float,
    HalfFloat,
    ScaledFloat {
        scaling_factor: f64,
    },
    Boolean,
    Date,
    DateNanos,
    Ip,
    Binary,
    /// An object whose leaves are keywords of one field.
    Flattened {
        depth_limit: usize,
    },
    GeoPoint,
    /// Another name for the field at `path`.
    Alias {
        path: String,
    },
}

/// Where the values of a field are in the physical schema: see [`super::super::Physical`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Keywords, addresses: terms and a column of strings.
    Words,
    /// Booleans: terms and a column, in `words`.
    Booleans,
    /// A column of `i64`. An unsigned long is there with its highest bit turned, which keeps the order.
    Integers,
    /// A column of `f64`.
    Floats,
    /// Tokens; no column.
    Text,
    /// Two columns of `f64`, at `<path>.lat` and `<path>.lon`.
    Points,
    /// Nowhere but in the source.
    Source,
}

impl Kind {
    /// Elasticsearch's name of the type.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::ConstantKeyword { .. } => "constant_keyword",
            Self::Wildcard => "wildcard",
            Self::Text => "text",
            Self::MatchOnlyText => "match_only_text",
            Self::Long => "long",
            Self::Integer => "integer",
            Self::Short => "short",
            Self::Byte => "byte",
            Self::UnsignedLong => "unsigned_long",
            Self::Double => "double",
            Self::Float => "float",
            Self::HalfFloat => "half_float",
            Self::ScaledFloat { .. } => "scaled_float",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateNanos => "date_nanos",
            Self::Ip => "ip",
            Self::Binary => "binary",
            Self::Flattened { .. } => "flattened",
            Self::GeoPoint => "geo_point",
            Self::Alias { .. } => "alias",
        }
    }

    /// Where its values are.
    pub fn place(&self) -> Place {
        match self {
            Self::Keyword
            | Self::ConstantKeyword { .. }
            | Self::Wildcard
            | Self::Ip
            | Self::Flattened { .. } => Place::Words,
            Self::Text | Self::MatchOnlyText => Place::Text,
            Self::Long
            | Self::Integer
            | Self::Short
            | Self::Byte
            | Self::UnsignedLong
            | Self::Date
            | Self::DateNanos => Place::Integers,
            Self::Double | Self::Float | Self::HalfFloat | Self::ScaledFloat { .. } => {
                Place::Floats
            }
            Self::Boolean => Place::Booleans,
            Self::GeoPoint => Place::Points,
            Self::Binary | Self::Alias { .. } => Place::Source,
        }
    }

    /// A number, of whichever size; not a date.
    pub fn is_numeric(&self) -> bool {
        !self.is_date() && matches!(self.place(), Place::Integers | Place::Floats)
    }

    pub fn is_date(&self) -> bool {
        matches!(self, Self::Date | Self::DateNanos)
    }

    /// The type that `_field_caps` puts it under.
    pub fn family(&self) -> &'static str {
        match self {
            Self::ConstantKeyword { .. } | Self::Wildcard => "keyword",
            Self::MatchOnlyText => "text",
            _ => self.name(),
        }
    }
}

/// A field of a mapping, with what was asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The whole path, also of a multi-field: `host.name.keyword`.
    pub path: String,
    pub kind: Kind,
    /// Whether it can be searched.
    pub index: bool,
    /// Whether it has a column. A `text` never has.
    pub doc_values: bool,
    /// Words longer than this, in characters, are left out.
    pub ignore_above: usize,
    /// A value that can't be read is left out, and its document taken.
    pub ignore_malformed: bool,
    /// Whether a string may be a number, and a fraction be cut for an integer.
    pub coerce: bool,
    /// What an explicit null counts as, as JSON.
    pub null_value: Option<Value>,
    /// How dates are written.
    pub format: DateFormats,
    /// Paths that get its values too.
    pub copy_to: Vec<String>,
    /// Whether a `text` may be aggregated.
    pub fielddata: bool,
    /// The path of the field that it is a multi-field of.
    pub parent: Option<String>,
    /// What was given, as the mapping prints it; without the multi-fields.
    pub(super) given: Map<String, Value>,
}

impl Field {
    /// Where its values are; [`Place::Source`] where it has neither terms nor a column.
    pub fn place(&self) -> Place {
        match self.kind.place() {
            Place::Text if self.index => Place::Text,
            Place::Text => Place::Source,
            place if self.index || self.doc_values => place,
            _ => Place::Source,
        }
    }

    /// `meta` of the field, as `_field_caps` tells it.
    pub fn meta(&self) -> Option<&Map<String, Value>> {
        self.given.get("meta")?.as_object()
    }
}
