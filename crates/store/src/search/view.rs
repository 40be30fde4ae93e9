//! An index as a search sees it: its mapping, and the runtime fields on top of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tantivy::{DocId, SegmentOrdinal};

use super::error::{Result, SearchError};
use super::values::Datum;
use crate::dates::DateFormat;
use crate::index::{Field as Mapped, Kind, Mapping, Reader};
use crate::query::{Field, FieldType, Schema, wildcard};

/// A field whose values are computed for each document.
pub trait Runtime: Send + Sync + fmt::Debug {
    fn field(&self) -> Field;

    /// Its values in one segment. They may read other fields of the view, but no runtime field that reads this one.
    ///
    /// # Errors
    /// For what can't be computed at all.
    fn open(&self, view: &View, segment: SegmentOrdinal) -> Result<Box<dyn Computed>>;
}

/// The values of a runtime field in the documents of a segment.
pub trait Computed: Send + Sync {
    /// Adds the values of a document: as columns have them, dates as epoch milliseconds.
    ///
    /// # Errors
    /// For a script that fails.
    fn values(&mut self, doc: DocId, out: &mut Vec<Datum>) -> Result<()>;
}

/// Runtime fields by their paths.
pub type RuntimeFields = BTreeMap<String, Arc<dyn Runtime>>;

/// The documents of an index at one moment, with all their fields.
#[derive(Clone)]
pub struct View {
    pub reader: Reader,
    /// They go before fields of the mapping.
    pub runtime: Arc<RuntimeFields>,
    /// Why a document could not be looked at: those who look at it can only say yes or no.
    failure: Arc<Mutex<Option<SearchError>>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("index", &self.name()).finish()
    }
}

impl View {
    pub fn new(reader: Reader, runtime: RuntimeFields) -> Self {
        Self {
            reader,
            runtime: Arc::new(runtime),
            failure: Arc::default(),
        }
    }

    pub(super) fn fail(&self, error: SearchError) {
        self.failure.lock().get_or_insert(error);
    }

    /// # Errors
    /// What kept a document from being looked at.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.lock().take().map_or(Ok(()), Err)
    }

    pub fn name(&self) -> &str {
        self.reader.index.name()
    }

    pub(super) fn mapping(&self) -> &Mapping {
        &self.reader.mapping
    }
}

impl Schema for View {
    fn field(&self, path: &str) -> Option<Field> {
        match self.runtime.get(path) {
            Some(runtime) => Some(runtime.field()),
            None => self.mapping().find(path).map(|found| of(&found.field)),
        }
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        let mapped = self
            .mapping()
            .fields()
            .filter(|field| field.index && !matches!(field.kind, Kind::Binary | Kind::GeoPoint));
        let mut paths: Vec<String> = mapped.map(|field| field.path.clone()).collect();
        paths.extend(self.runtime.keys().cloned());
        paths.retain(|path| wildcard(pattern, path));
        paths.sort();
        paths.dedup();
        paths
    }

    fn in_source(&self, path: &str) -> String {
        match self.mapping().find(path) {
            Some(found) => found.field.parent.clone().unwrap_or(found.path),
            None => path.to_owned(),
        }
    }

    fn is_object(&self, path: &str) -> bool {
        self.mapping().objects().any(|object| object.path == path)
    }

    fn is_nested(&self, path: &str) -> bool {
        self.mapping().nested_of(path) == Some(path)
    }
}

fn of(field: &Mapped) -> Field {
    let of = match &field.kind {
        Kind::Text | Kind::MatchOnlyText => FieldType::Text,
        Kind::Boolean => FieldType::Bool,
        Kind::Date => FieldType::Date,
        Kind::DateNanos => FieldType::DateNanos,
        Kind::Ip => FieldType::Ip,
        Kind::GeoPoint => FieldType::Point,
        kind if kind.is_numeric() => FieldType::Number,
        _ => FieldType::Keyword,
    };
    Field {
        format: DateFormat::new(&field.format.pattern).unwrap_or_default(),
        is_indexed: field.index,
        has_column: field.doc_values
            && of != FieldType::Text
            && !matches!(field.kind, Kind::Binary),
        ..Field::new(of, field.kind.name())
    }
}
