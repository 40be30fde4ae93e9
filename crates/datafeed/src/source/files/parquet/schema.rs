//! The columns of a Parquet file as fields of records.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type};

/// One column, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// With the names of the objects that it is in, and dots between.
    pub name: String,
    pub is_list: bool,
    /// Or why it can't be read.
    pub kind: Result<Kind, &'static str>,
}

/// What a column's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
    /// A point in time: so many to a second.
    Instant(i64),
    /// A point in time, in the form of old writers.
    Int96,
    /// Days since 1970.
    Date,
    /// With so many digits after the point.
    Decimal(u32),
    Text,
    Uuid,
}

pub(super) fn leaves(schema: &SchemaDescriptor) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for field in schema.root_schema().get_fields() {
        walk(field, "", &mut leaves);
    }
    for (leaf, column) in leaves.iter_mut().zip(schema.columns()) {
        leaf.kind = leaf.kind.and_then(|_| kind(column));
    }
    leaves
}

fn walk(field: &Type, outer: &str, leaves: &mut Vec<Leaf>) {
    let info = field.get_basic_info();
    let name = match outer {
        "" => field.name().to_owned(),
        outer => format!("{outer}.{}", field.name()),
    };
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    if field.is_primitive() {
        leaves.push(leaf(name, repeated, Ok(Kind::Bool)));
        return;
    }
    let logical = info.logical_type_ref();
    let converted = info.converted_type();
    let is_map = matches!(logical, Some(LogicalType::Map))
        || matches!(converted, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE);
    let is_list = matches!(logical, Some(LogicalType::List)) || converted == ConvertedType::LIST;
    if is_map {
        all(field, &name, "it is a map", leaves);
    } else if repeated {
        all(field, &name, "it is a list of objects", leaves);
    } else if is_list {
        match element(field) {
            Some(true) => leaves.push(leaf(name, true, Ok(Kind::Bool))),
            _ => all(field, &name, "it is a list of objects or of lists", leaves),
        }
    } else {
        for inner in field.get_fields() {
            walk(inner, &name, leaves);
        }
    }
}

/// Whether the elements of a list are single values: the list's own group has one that is repeated, which is the
/// element or has it.
fn element(list: &Type) -> Option<bool> {
    let [repeated] = list.get_fields() else {
        return None;
    };
    if repeated.is_primitive() {
        return Some(true);
    }
    let [element] = repeated.get_fields() else {
        return Some(false);
    };
    let info = element.get_basic_info();
    Some(element.is_primitive() && info.repetition() != Repetition::REPEATED)
}

/// All columns in a field that can't be read.
fn all(field: &Type, name: &str, why: &'static str, leaves: &mut Vec<Leaf>) {
    if field.is_primitive() {
        leaves.push(leaf(name.to_owned(), false, Err(why)));
        return;
    }
    for inner in field.get_fields() {
        all(inner, name, why, leaves);
    }
}

fn leaf(name: String, is_list: bool, kind: Result<Kind, &'static str>) -> Leaf {
    Leaf {
        name,
        is_list,
        kind,
    }
}

fn kind(column: &ColumnDescriptor) -> Result<Kind, &'static str> {
    let converted = column.converted_type();
    let logical = column.logical_type_ref();
    if let Some(LogicalType::Timestamp(stamp)) = logical {
        return Ok(Kind::Instant(match stamp.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        }));
    }
    match logical {
        Some(LogicalType::Date) => return Ok(Kind::Date),
        Some(LogicalType::Decimal(_)) => return decimal(column),
        Some(LogicalType::Uuid) => return Ok(Kind::Uuid),
        Some(LogicalType::Float16) => return Err("it is of type [FLOAT16]"),
        Some(LogicalType::Bson) => return Err("it is of type [BSON]"),
        Some(LogicalType::Unknown) => return Err("it has no type"),
        _ => {}
    }
    match converted {
        ConvertedType::TIMESTAMP_MILLIS => return Ok(Kind::Instant(1_000)),
        ConvertedType::TIMESTAMP_MICROS => return Ok(Kind::Instant(1_000_000)),
        ConvertedType::DATE => return Ok(Kind::Date),
        ConvertedType::DECIMAL => return decimal(column),
        ConvertedType::INTERVAL => return Err("it is of type [INTERVAL]"),
        ConvertedType::BSON => return Err("it is of type [BSON]"),
        _ => {}
    }
    let unsigned = matches!(
        converted,
        ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64
    );
    Ok(match column.physical_type() {
        Physical::BOOLEAN => Kind::Bool,
        Physical::INT32 | Physical::INT64 if unsigned => Kind::Unsigned,
        Physical::INT32 | Physical::INT64 => Kind::Signed,
        Physical::INT96 => Kind::Int96,
        Physical::FLOAT | Physical::DOUBLE => Kind::Float,
        Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Kind::Text,
    })
}

fn decimal(column: &ColumnDescriptor) -> Result<Kind, &'static str> {
    // Of longer ones no double tells the digits.
    let fits = (1..=38).contains(&column.type_precision());
    match u32::try_from(column.type_scale()) {
        Ok(scale) if fits && scale <= 38 => Ok(Kind::Decimal(scale)),
        _ => Err("it is a decimal of more than 38 digits"),
    }
}
