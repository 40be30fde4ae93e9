//! The keys of parts.

use std::cmp::Ordering;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;
use tantivy::DocId;
use tantivy::columnar::StrColumn;

use crate::search::error::Result;
use crate::search::values::{FieldValues, Known, Scalar, Words};

/// Words of a segment whose numbers are kept in a list.
const MOST_LISTED: usize = 1 << 22;
const UNKNOWN: u32 = u32::MAX;

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tag {
    Whole,
    Fraction,
    Truth,
    Word,
    /// Of documents without a value.
    Missing,
}

/// A key: words by their numbers in a [`Lexicon`], numbers by bits that have their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub tag: Tag,
    bits: u64,
}

impl Key {
    pub const MISSING: Self = Self {
        tag: Tag::Missing,
        bits: 0,
    };

    pub fn whole(value: i64) -> Self {
        Self {
            tag: Tag::Whole,
            bits: value.cast_unsigned() ^ (1 << 63),
        }
    }

    pub fn fraction(value: f64) -> Self {
        // Both zeros are one.
        let bits = (value + 0.0).to_bits();
        let bits = match bits >> 63 {
            1 => !bits,
            _ => bits | 1 << 63,
        };
        Self {
            tag: Tag::Fraction,
            bits,
        }
    }

    pub fn truth(value: bool) -> Self {
        Self {
            tag: Tag::Truth,
            bits: u64::from(value),
        }
    }

    pub fn word(number: u32) -> Self {
        Self {
            tag: Tag::Word,
            bits: u64::from(number),
        }
    }

    pub fn as_whole(self) -> i64 {
        (self.bits ^ (1 << 63)).cast_signed()
    }

    pub fn as_fraction(self) -> f64 {
        f64::from_bits(match self.bits >> 63 {
            1 => self.bits & !(1 << 63),
            _ => !self.bits,
        })
    }

    fn as_number(self) -> f64 {
        match self.tag {
            Tag::Whole => self.as_whole() as f64,
            Tag::Fraction => self.as_fraction(),
            Tag::Truth => self.bits as f64,
            Tag::Word | Tag::Missing => 0.0,
        }
    }

    pub fn json(self, lexicon: &Lexicon) -> Value {
        match self.tag {
            Tag::Whole => self.as_whole().into(),
            Tag::Fraction => self.as_fraction().into(),
            Tag::Truth => self.bits.into(),
            Tag::Word => lexicon.word(self.word_number()).into(),
            Tag::Missing => Value::Null,
        }
    }

    pub fn word_number(self) -> u32 {
        u32::try_from(self.bits).unwrap_or(UNKNOWN)
    }

    pub fn order(self, other: Self, lexicon: &Lexicon) -> Ordering {
        match (self.tag, other.tag) {
            (Tag::Word, Tag::Word) => {
                let word = |key: Self| lexicon.word(key.word_number());
                word(self).cmp(word(other))
            }
            (a, b) if a == b => self.bits.cmp(&other.bits),
            (Tag::Whole | Tag::Fraction | Tag::Truth, Tag::Whole | Tag::Fraction | Tag::Truth) => {
                self.as_number().total_cmp(&other.as_number())
            }
            (a, b) => a.cmp(&b),
        }
    }
}

/// Words that are keys, by numbers that hold for all segments.
#[derive(Default)]
pub(super) struct Lexicon {
    numbers: FxHashMap<Arc<str>, u32>,
    words: Vec<Arc<str>>,
    /// The numbers of the words of the segment at hand, as far as they were needed.
    of_segment: Vec<u32>,
}

impl Lexicon {
    pub fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", |word| word)
    }

    pub fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(UNKNOWN);
        let word: Arc<str> = word.into();
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }

    /// Begins a segment.
    pub fn open(&mut self, values: &FieldValues) {
        self.of_segment.clear();
        if let FieldValues::Words(words) = values
            && words.count() <= MOST_LISTED
        {
            self.of_segment.resize(words.count(), UNKNOWN);
        }
    }

    #[inline]
    fn of_segment(&mut self, column: &StrColumn, known: &mut Known, at: u64) -> Result<u32> {
        let index = usize::try_from(at).unwrap_or(usize::MAX);
        match self.of_segment.get(index) {
            Some(&number) if number != UNKNOWN => Ok(number),
            _ => {
                let number = self.number(known.word(column, at)?);
                if let Some(place) = self.of_segment.get_mut(index) {
                    *place = number;
                }
                Ok(number)
            }
        }
    }

    /// The key of a value.
    pub fn key(&mut self, value: Scalar<'_>) -> Key {
        match value {
            Scalar::I64(value) => Key::whole(value),
            Scalar::U64(value) => match i64::try_from(value) {
                Ok(value) => Key::whole(value),
                Err(_) => Key::fraction(value as f64),
            },
            Scalar::F64(value) => Key::fraction(value),
            Scalar::Bool(value) => Key::truth(value),
            Scalar::Str(word) => Key::word(self.number(word)),
            Scalar::Point(lat, lon) => Key::word(self.number(&format!("{lat},{lon}"))),
        }
    }

    /// Adds the keys of a document's values, each once.
    #[inline]
    pub fn keys(
        &mut self,
        values: &mut FieldValues,
        doc: DocId,
        keys: &mut Vec<Key>,
    ) -> Result<()> {
        match values {
            FieldValues::Words(Words { column, known }) => {
                for at in column.ords().values_for_doc(doc) {
                    keys.push(Key::word(self.of_segment(column, known, at)?));
                }
            }
            FieldValues::I64(column) => keys.extend(column.values_for_doc(doc).map(Key::whole)),
            FieldValues::F64(column) => keys.extend(column.values_for_doc(doc).map(Key::fraction)),
            FieldValues::Bool(column) => keys.extend(column.values_for_doc(doc).map(Key::truth)),
            FieldValues::None => {}
            other => other.each(doc, &mut |value| keys.push(self.key(value)))?,
        }
        once(keys);
        Ok(())
    }
}

/// Leaves out what is there twice.
#[inline]
pub(super) fn once(keys: &mut Vec<Key>) {
    if keys.len() > 1 {
        keys.sort_unstable_by_key(|key| (key.tag, key.bits));
        keys.dedup();
    }
}
