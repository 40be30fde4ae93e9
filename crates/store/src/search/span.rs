//! Values of a column between two limits.

use std::ops::Bound;

use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::Cardinality;

use super::error::Result;
use super::values::FieldValues;
use crate::index::Values;
use crate::query::Limit;

/// Both ends belong to it.
pub(super) enum Span {
    /// All documents of the segment have such a value, or none has.
    Const(bool),
    I64(Values<i64>, i64, i64),
    U64(Values<u64>, u64, u64),
    F64(Values<f64>, f64, f64),
}

/// A limit as a whole number: the first that is within.
fn whole(limit: &Limit, is_low: bool) -> Option<i128> {
    let step = if is_low { 1 } else { -1 };
    let moved = |whole: i128, is_on: bool| match is_on && !limit.inclusive {
        true => whole + step,
        false => whole,
    };
    match &limit.value {
        Value::Number(number) => Some(match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => moved(whole.into(), true),
            (_, Some(whole)) => moved(whole.into(), true),
            _ => {
                let number = number.as_f64()?;
                let rounded = if is_low {
                    number.ceil()
                } else {
                    number.floor()
                };
                moved(rounded as i128, rounded == number)
            }
        }),
        _ => None,
    }
}

fn fraction(limit: &Limit, is_low: bool) -> Option<f64> {
    let number = limit.value.as_f64()?;
    Some(match (limit.inclusive, is_low) {
        (true, _) => number,
        (false, true) => number.next_up(),
        (false, false) => number.next_down(),
    })
}

impl Span {
    /// None of the ends: any value.
    pub fn new(values: FieldValues, from: Option<&Limit>, to: Option<&Limit>) -> Result<Self> {
        Ok(match values {
            FieldValues::I64(column) => {
                let (low, high) = wholes(from, to, i64::MIN.into(), i64::MAX.into());
                match (i64::try_from(low), i64::try_from(high)) {
                    (Ok(low), Ok(high)) => of(column, low, high, Self::I64),
                    _ => Self::Const(false),
                }
            }
            FieldValues::U64(column) => {
                let (low, high) = wholes(from, to, 0, u64::MAX.into());
                match (u64::try_from(low), u64::try_from(high)) {
                    (Ok(low), Ok(high)) => of(column, low, high, Self::U64),
                    _ => Self::Const(false),
                }
            }
            FieldValues::F64(column) => {
                let low = from.map_or(Some(f64::NEG_INFINITY), |limit| fraction(limit, true));
                let high = to.map_or(Some(f64::INFINITY), |limit| fraction(limit, false));
                match (low, high) {
                    (Some(low), Some(high)) => of(column, low, high, Self::F64),
                    _ => Self::Const(false),
                }
            }
            FieldValues::Words(words) => {
                let bound = |limit: Option<&Limit>| match limit {
                    None => Bound::Unbounded,
                    Some(limit) => {
                        let word = limit.value.as_str().unwrap_or_default().as_bytes().to_vec();
                        match limit.inclusive {
                            true => Bound::Included(word),
                            false => Bound::Excluded(word),
                        }
                    }
                };
                let dictionary = words.column.dictionary();
                let (low, high) = dictionary.term_bounds_to_ord(bound(from), bound(to))?;
                let low = match low {
                    Bound::Unbounded => Some(0),
                    Bound::Included(low) => Some(low),
                    Bound::Excluded(low) => low.checked_add(1),
                };
                let high = match high {
                    Bound::Unbounded => Some(u64::MAX),
                    Bound::Included(high) => Some(high),
                    Bound::Excluded(high) => high.checked_sub(1),
                };
                match (low, high) {
                    (Some(low), Some(high)) => {
                        of(words.column.ords().clone(), low, high, Self::U64)
                    }
                    _ => Self::Const(false),
                }
            }
            _ => Self::Const(false),
        })
    }

    #[inline]
    pub fn has(&self, doc: DocId) -> bool {
        match self {
            Self::Const(is) => *is,
            Self::I64(column, low, high) => is_in(column, doc, *low, *high),
            Self::U64(column, low, high) => is_in(column, doc, *low, *high),
            Self::F64(column, low, high) => is_in(column, doc, *low, *high),
        }
    }
}

/// Within what there can be; past it where nothing is.
fn wholes(from: Option<&Limit>, to: Option<&Limit>, least: i128, most: i128) -> (i128, i128) {
    let low = from.map_or(Some(least), |limit| whole(limit, true));
    let high = to.map_or(Some(most), |limit| whole(limit, false));
    match (low, high) {
        (Some(low), Some(high)) => (low.max(least), high.min(most)),
        _ => (most + 1, least - 1),
    }
}

fn of<T>(column: Values<T>, low: T, high: T, span: impl FnOnce(Values<T>, T, T) -> Span) -> Span
where
    T: PartialOrd + Copy + std::fmt::Debug + Send + Sync + 'static,
{
    let (least, most) = (column.min_value(), column.max_value());
    let is_full = column.get_cardinality() == Cardinality::Full;
    match () {
        () if low > high || most < low || least > high => Span::Const(false),
        () if is_full && low <= least && most <= high => Span::Const(true),
        () => span(column, low, high),
    }
}

#[inline]
fn is_in<T>(column: &Values<T>, doc: DocId, low: T, high: T) -> bool
where
    T: PartialOrd + Copy + std::fmt::Debug + Send + Sync + 'static,
{
    let mut values = column.values_for_doc(doc);
    values.any(|value| low <= value && value <= high)
}
