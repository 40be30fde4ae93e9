//! What was refreshed, as a point in time

use std::sync::Arc;

use tantivy::columnar::{ColumnValues, DynamicColumn, StrColumn};
use tantivy::schema::Value as _;
use tantivy::{DocAddress, Searcher, SegmentOrdinal, TantivyDocument};

use super::error::Result;
use super::mapping::{Found, Kind, Mapping, Place};
use super::schema::PHYSICAL;

pub use tantivy::columnar::Column as Values;

/// The documents of an index at one moment. Its segments stay as they are while it lives.
#[derive(Clone)]
pub struct Reader {
    pub index: Arc<super::Index>,
    pub mapping: Arc<Mapping>,
    pub searcher: Searcher,
}

/// The values of a field in one segment.
#[derive(Clone)]
pub enum Column {
    /// Integers; dates as epoch milliseconds, `date_nanos` as nanoseconds.
    I64(Values<i64>),
    /// `unsigned_long`
    U64(Values<u64>),
    F64(Values<f64>),
    Bool(Values<bool>),
    /// Keywords, in the order of their bytes.
    Str(StrColumn),
    /// Addresses: strings of 32 hexadecimal digits. See [`super::address_of`].
    Ip(StrColumn),
    /// A point has a value in each, at the same place.
    Geo {
        lat: Values<f64>,
        lon: Values<f64>,
    },
}

/// A document in a segment.
#[derive(Debug, Clone)]
pub struct Hit {
    pub id: String,
    pub source: Vec<u8>,
    pub routing: Option<String>,
}

impl Reader {
    /// The column of a field in a segment; None where no document of it has a value, or the field has no column.
    pub fn column(&self, segment: SegmentOrdinal, path: &str) -> Result<Option<Column>> {
        match self.mapping.find(path) {
            Some(found) => self.column_of(segment, &found),
            None => Ok(None),
        }
    }

    /// As [`column`](Self::column), for a field that is found.
    pub fn column_of(&self, segment: SegmentOrdinal, found: &Found) -> Result<Option<Column>> {
        if !found.field.doc_values {
            return Ok(None);
        }
        let open = |root, path: &str| self.open(segment, root, path);
        Ok(match found.field.kind.place() {
            Place::Words => match open("k", &found.path)? {
                Some(DynamicColumn::Str(column)) if found.field.kind == Kind::Ip => {
                    Some(Column::Ip(column))
                }
                Some(DynamicColumn::Str(column)) => Some(Column::Str(column)),
                _ => None,
            },
            Place::Booleans => match open("k", &found.path)? {
                Some(DynamicColumn::Bool(column)) => Some(Column::Bool(column)),
                _ => None,
            },
            Place::Integers => match open("n", &found.path)? {
                Some(DynamicColumn::I64(column)) if found.field.kind == Kind::UnsignedLong => {
                    Some(Column::U64(Values {
                        index: column.index,
                        values: Arc::new(Unsigned(column.values)),
                    }))
                }
                Some(DynamicColumn::I64(column)) => Some(Column::I64(column)),
                _ => None,
            },
            Place::Floats => match open("n", &found.path)? {
                Some(DynamicColumn::F64(column)) => Some(Column::F64(column)),
                _ => None,
            },
            Place::Points => {
                let lat = open("n", &format!("{}.lat", found.path))?;
                let lon = open("n", &format!("{}.lon", found.path))?;
                match (lat, lon) {
                    (Some(DynamicColumn::F64(lat)), Some(DynamicColumn::F64(lon))) => {
                        Some(Column::Geo { lat, lon })
                    }
                    _ => None,
                }
            }
            Place::Text | Place::Source => None,
        })
    }

    fn open(
        &self,
        segment: SegmentOrdinal,
        root: &str,
        path: &str,
    ) -> Result<Option<DynamicColumn>> {
        let columns = self.searcher.segment_reader(segment).fast_fields();
        let name = format!("{root}.{}", path.replace('\\', "\\\\"));
        let Some(handle) = columns.dynamic_column_handles(&name)?.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(handle.open().map_err(tantivy::TantivyError::from)?))
    }

    /// The order of writing, of every document of a segment.
    pub fn seq_nos(&self, segment: SegmentOrdinal) -> Result<Arc<dyn ColumnValues<u64>>> {
        let columns = self.searcher.segment_reader(segment).fast_fields();
        Ok(columns.column_first_or_default("_seq_no")?)
    }

    /// The versions of the documents of a segment.
    pub fn versions(&self, segment: SegmentOrdinal) -> Result<Arc<dyn ColumnValues<u64>>> {
        let columns = self.searcher.segment_reader(segment).fast_fields();
        Ok(columns.column_first_or_default("_version")?)
    }

    /// A document's id and source: one read of a compressed block.
    pub fn document(&self, address: DocAddress) -> Result<Hit> {
        document(&self.searcher, address)
    }

    /// A document's source.
    pub fn source(&self, address: DocAddress) -> Result<Vec<u8>> {
        Ok(self.document(address)?.source)
    }
}

pub(super) fn document(searcher: &Searcher, address: DocAddress) -> Result<Hit> {
    let stored: TantivyDocument = searcher.doc(address)?;
    let text = |field| {
        stored
            .get_first(field)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let source = stored
        .get_first(PHYSICAL.source)
        .and_then(|value| value.as_bytes())
        .map(<[u8]>::to_vec);
    Ok(Hit {
        id: text(PHYSICAL.id).unwrap_or_default(),
        source: source.unwrap_or_default(),
        routing: text(PHYSICAL.routing),
    })
}

/// Integers with the highest bit turned, as the unsigned ones that they are.
struct Unsigned(Arc<dyn ColumnValues<i64>>);

/// An unsigned long as it is stored, and back: the same order.
pub fn turned(unsigned: u64) -> i64 {
    (unsigned ^ (1 << 63)).cast_signed()
}

/// See [`turned`].
pub fn unturned(stored: i64) -> u64 {
    stored.cast_unsigned() ^ (1 << 63)
}

impl ColumnValues<u64> for Unsigned {
    fn get_val(&self, row: u32) -> u64 {
        unturned(self.0.get_val(row))
    }

    fn min_value(&self) -> u64 {
        unturned(self.0.min_value())
    }

    fn max_value(&self) -> u64 {
        unturned(self.0.max_value())
    }

    fn num_vals(&self) -> u32 {
        self.0.num_vals()
    }
}
