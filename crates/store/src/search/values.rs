//! The values of a field in the documents of a segment: of a column, computed, or read from the source.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;
use tantivy::columnar::{ColumnValues, StrColumn};
use tantivy::{DocAddress, DocId, SegmentOrdinal};

use super::error::Result;
use super::view::{Computed, View};
use crate::index::{Column, Kind, Values, address_of};
use crate::query::{self, FieldType, Schema};

/// A value of a field, as columns have it: dates are epoch milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'v> {
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    Str(&'v str),
    /// Latitude and longitude.
    Point(f64, f64),
}

/// A value that stands for itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    Str(String),
    Point(f64, f64),
}

impl Datum {
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::I64(value) => Scalar::I64(*value),
            Self::U64(value) => Scalar::U64(*value),
            Self::F64(value) => Scalar::F64(*value),
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Str(value) => Scalar::Str(value),
            Self::Point(lat, lon) => Scalar::Point(*lat, *lon),
        }
    }

    /// Of a JSON value that isn't null and has nothing within.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::String(text) => Self::Str(text.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::I64(whole),
                (_, Some(whole)) => Self::U64(whole),
                _ => Self::F64(number.as_f64()?),
            },
            Value::Object(point) => {
                Self::Point(point.get("lat")?.as_f64()?, point.get("lon")?.as_f64()?)
            }
            _ => return None,
        })
    }
}

impl Scalar<'_> {
    pub fn owned(self) -> Datum {
        match self {
            Self::I64(value) => Datum::I64(value),
            Self::U64(value) => Datum::U64(value),
            Self::F64(value) => Datum::F64(value),
            Self::Bool(value) => Datum::Bool(value),
            Self::Str(value) => Datum::Str(value.to_owned()),
            Self::Point(lat, lon) => Datum::Point(lat, lon),
        }
    }

    pub fn json(self) -> Value {
        match self {
            Self::I64(value) => value.into(),
            Self::U64(value) => value.into(),
            Self::F64(value) => value.into(),
            Self::Bool(value) => value.into(),
            Self::Str(value) => value.into(),
            Self::Point(lat, lon) => serde_json::json!({"lat": lat, "lon": lon}),
        }
    }

    /// As a number: of a truth, 1 or 0.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::I64(value) => Some(value as f64),
            Self::U64(value) => Some(value as f64),
            Self::F64(value) => Some(value),
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Str(_) | Self::Point(..) => None,
        }
    }
}

/// Words of a dictionary that are read one by one before it is read as a whole.
const FEW: usize = 128;
/// Words up to which a dictionary is read as a whole, and words that are kept otherwise.
const MANY: usize = 1 << 18;

/// The words of a column.
pub struct Words {
    /// The numbers of a document's words are in the order of the words.
    pub(super) column: StrColumn,
    pub(super) known: Known,
}

/// Words by their numbers, kept once they are read.
pub(super) struct Known {
    /// Addresses are told as such.
    are_addresses: bool,
    one_by_one: FxHashMap<u64, String>,
    /// All words one after the other, and where each begins.
    all: Option<(String, Vec<u32>)>,
}

impl Words {
    fn new(column: StrColumn, are_addresses: bool) -> Self {
        let known = Known {
            are_addresses,
            one_by_one: FxHashMap::default(),
            all: None,
        };
        Self { column, known }
    }

    /// How many different words there are.
    pub fn count(&self) -> usize {
        self.column.num_terms()
    }
}

impl Known {
    pub fn word(&mut self, column: &StrColumn, number: u64) -> Result<&str> {
        let is_small = column.num_terms() <= MANY;
        if self.all.is_none() && self.one_by_one.len() >= FEW && is_small {
            self.read_all(column)?;
        }
        if let Some((text, starts)) = &self.all {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let range = starts.get(at).zip(starts.get(at.saturating_add(1)));
            return Ok(range.map_or("", |(start, end)| &text[*start as usize..*end as usize]));
        }
        if self.one_by_one.len() >= MANY {
            self.one_by_one.clear();
        }
        Ok(match self.one_by_one.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut word = String::new();
                column.ord_to_str(number, &mut word)?;
                place.insert(match self.are_addresses {
                    true => address(&word),
                    false => word,
                })
            }
        })
    }

    fn read_all(&mut self, column: &StrColumn) -> Result<()> {
        let mut text = String::new();
        let mut starts = vec![0];
        let mut words = column.dictionary().stream()?;
        while words.advance() {
            let word = str::from_utf8(words.key()).unwrap_or_default();
            match self.are_addresses {
                true => text.push_str(&address(word)),
                false => text.push_str(word),
            }
            starts.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        // What is too long for that stays to be read one by one.
        if text.len() < u32::MAX as usize {
            self.all = Some((text, starts));
            self.one_by_one = FxHashMap::default();
        }
        Ok(())
    }
}

/// An address as people write it, from its digits.
fn address(digits: &str) -> String {
    address_of(digits).map_or_else(|| digits.to_owned(), |address| address.to_string())
}

/// The values of one field in the documents of a segment.
pub enum FieldValues {
    /// Nothing has a value.
    None,
    I64(Values<i64>),
    U64(Values<u64>),
    F64(Values<f64>),
    Bool(Values<bool>),
    Words(Words),
    Points {
        lat: Values<f64>,
        lon: Values<f64>,
    },
    /// The values of the document at hand. [`FieldValues::hold`] brings them.
    Held {
        from: From,
        values: Vec<Datum>,
    },
}

/// Nanoseconds as milliseconds.
struct Millis(Arc<dyn ColumnValues<i64>>);

impl ColumnValues<i64> for Millis {
    fn get_val(&self, row: u32) -> i64 {
        self.0.get_val(row).div_euclid(1_000_000)
    }

    fn min_value(&self) -> i64 {
        self.0.min_value().div_euclid(1_000_000)
    }

    fn max_value(&self) -> i64 {
        self.0.max_value().div_euclid(1_000_000)
    }

    fn num_vals(&self) -> u32 {
        self.0.num_vals()
    }
}

/// Where values come from that no column has.
pub enum From {
    Computed(Box<dyn Computed>),
    Source {
        view: View,
        segment: SegmentOrdinal,
        /// The field that has them in the source.
        path: String,
        field: query::Field,
    },
    /// They are there.
    Fixed,
}

/// The values of a document in their order, as Elasticsearch's columns have them. One value costs nothing more.
fn ordered<T>(
    mut values: impl Iterator<Item = T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> impl Iterator<Item = T> {
    let first = values.next();
    let mut more = Vec::new();
    let mut single = None;
    match (first, values.next()) {
        (Some(first), Some(second)) => {
            more.extend([first, second]);
            more.extend(values);
            more.sort_by(order);
        }
        (first, _) => single = first,
    }
    single.into_iter().chain(more)
}

impl FieldValues {
    /// Of a field of an index. `_index`, `_id` and `_seq_no` are fields too.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn open(view: &View, segment: SegmentOrdinal, path: &str) -> Result<Self> {
        let held = |from, values| Self::Held { from, values };
        if let Some(runtime) = view.runtime.get(path) {
            return Ok(held(
                From::Computed(runtime.open(view, segment)?),
                Vec::new(),
            ));
        }
        let source = |path: &str, field| {
            let from = From::Source {
                view: view.clone(),
                segment,
                path: path.to_owned(),
                field,
            };
            held(from, Vec::new())
        };
        match path {
            "_index" => {
                let name = Datum::Str(view.name().to_owned());
                return Ok(held(From::Fixed, vec![name]));
            }
            "_id" => {
                let field = query::Field::new(FieldType::Keyword, "_id");
                return Ok(source(path, field));
            }
            "_seq_no" => {
                let columns = view.reader.searcher.segment_reader(segment).fast_fields();
                return Ok(Self::U64(columns.u64("_seq_no")?));
            }
            _ => {}
        }
        let Some(found) = view.mapping().find(path) else {
            return Ok(Self::None);
        };
        if let Kind::ConstantKeyword { value: Some(value) } = &found.field.kind {
            return Ok(held(From::Fixed, vec![Datum::Str(value.clone())]));
        }
        let column = view.reader.column_of(segment, &found)?;
        Ok(match column {
            Some(Column::I64(column)) => Self::I64(column),
            Some(Column::U64(column)) => Self::U64(column),
            Some(Column::F64(column)) => Self::F64(column),
            Some(Column::Bool(column)) => Self::Bool(column),
            Some(Column::Str(column)) => Self::Words(Words::new(column, false)),
            Some(Column::Ip(column)) => Self::Words(Words::new(column, true)),
            Some(Column::Geo { lat, lon }) => Self::Points { lat, lon },
            None if found.field.doc_values
                && found.field.kind.place() != crate::index::Place::Text =>
            {
                Self::None
            }
            None => match view.field(&found.path) {
                Some(field) => source(&view.in_source(path), field),
                None => Self::None,
            },
        })
    }

    /// As [`open`](Self::open), with nanoseconds as the milliseconds that they are in.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(super) fn open_millis(view: &View, segment: SegmentOrdinal, path: &str) -> Result<Self> {
        let values = Self::open(view, segment, path)?;
        let is_nanos = view
            .field(path)
            .is_some_and(|field| field.of == FieldType::DateNanos);
        Ok(match values {
            Self::I64(column) if is_nanos => Self::I64(Values {
                index: column.index,
                values: Arc::new(Millis(column.values)),
            }),
            values => values,
        })
    }

    /// Values that someone has.
    pub(super) fn outside(values: Vec<Datum>) -> Self {
        Self::Held {
            from: From::Fixed,
            values,
        }
    }

    /// Brings the values of a document where no column has them. It must be called before a document is looked at.
    ///
    /// # Errors
    /// For a script that fails.
    pub fn hold(&mut self, doc: DocId) -> Result<()> {
        let Self::Held { from, values } = self else {
            return Ok(());
        };
        match from {
            From::Fixed => {}
            From::Computed(computed) => {
                values.clear();
                computed.values(doc, values)?;
            }
            From::Source {
                view,
                segment,
                path,
                field,
            } => {
                values.clear();
                let document = view.reader.document(DocAddress::new(*segment, doc))?;
                if path == "_id" {
                    values.push(Datum::Str(document.id));
                    return Ok(());
                }
                let source: Value = serde_json::from_slice(&document.source).unwrap_or_default();
                query::values(&source, path, &mut |value| {
                    let value = query::as_field(field, value);
                    values.extend(value.as_ref().and_then(Datum::of));
                    false
                });
            }
        }
        Ok(())
    }

    /// Whether [`hold`](Self::hold) does anything.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { from, .. } if !matches!(from, From::Fixed))
    }

    /// Shows the values of a document, ascending; a word once.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn each(&mut self, doc: DocId, take: &mut dyn FnMut(Scalar<'_>)) -> Result<()> {
        match self {
            Self::None => {}
            Self::I64(column) => {
                for value in ordered(column.values_for_doc(doc), i64::cmp) {
                    take(Scalar::I64(value));
                }
            }
            Self::U64(column) => {
                for value in ordered(column.values_for_doc(doc), u64::cmp) {
                    take(Scalar::U64(value));
                }
            }
            Self::F64(column) => {
                for value in ordered(column.values_for_doc(doc), f64::total_cmp) {
                    take(Scalar::F64(value));
                }
            }
            Self::Bool(column) => {
                for value in ordered(column.values_for_doc(doc), bool::cmp) {
                    take(Scalar::Bool(value));
                }
            }
            Self::Words(Words { column, known }) => {
                let mut before = None;
                for number in ordered(column.ords().values_for_doc(doc), u64::cmp) {
                    if before.replace(number) != Some(number) {
                        take(Scalar::Str(known.word(column, number)?));
                    }
                }
            }
            Self::Points { lat, lon } => {
                let points = lat.values_for_doc(doc).zip(lon.values_for_doc(doc));
                points.for_each(|(lat, lon)| take(Scalar::Point(lat, lon)));
            }
            Self::Held { values, .. } => values.iter().for_each(|value| take(value.scalar())),
        }
        Ok(())
    }

    /// Shows the values of a document that are numbers.
    #[inline]
    pub fn numbers(&self, doc: DocId, mut take: impl FnMut(f64)) {
        match self {
            Self::F64(column) => column.values_for_doc(doc).for_each(take),
            Self::I64(column) => column
                .values_for_doc(doc)
                .for_each(|value| take(value as f64)),
            Self::U64(column) => column
                .values_for_doc(doc)
                .for_each(|value| take(value as f64)),
            Self::Bool(column) => column
                .values_for_doc(doc)
                .for_each(|value| take(f64::from(u8::from(value)))),
            Self::Held { values, .. } => values
                .iter()
                .filter_map(|value| value.scalar().number())
                .for_each(take),
            Self::None | Self::Words(_) | Self::Points { .. } => {}
        }
    }

    /// Shows the values of a document that are whole numbers: times.
    #[inline]
    pub fn wholes(&self, doc: DocId, mut take: impl FnMut(i64)) {
        match self {
            Self::I64(column) => column.values_for_doc(doc).for_each(take),
            Self::None | Self::Words(_) | Self::Points { .. } => {}
            other => other.numbers(doc, |value| take(value as i64)),
        }
    }

    /// How many values a document has.
    #[inline]
    pub fn count(&self, doc: DocId) -> usize {
        match self {
            Self::None => 0,
            Self::I64(column) => column.values_for_doc(doc).count(),
            Self::U64(column) => column.values_for_doc(doc).count(),
            Self::F64(column) => column.values_for_doc(doc).count(),
            Self::Bool(column) => column.values_for_doc(doc).count(),
            Self::Words(words) => words.column.ords().values_for_doc(doc).count(),
            Self::Points { lat, .. } => lat.values_for_doc(doc).count(),
            Self::Held { values, .. } => values.len(),
        }
    }
}
