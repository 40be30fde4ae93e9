//! Parts by several keys at once, page by page.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use tantivy::DocId;

use super::keys::{Key, Lexicon, Tag};
use super::node::Info;
use super::{Composite, Source, SourceKind};
use crate::dates::Zone;
use crate::query::FieldType;
use crate::search::error::Result;
use crate::search::sort::place;
use crate::search::values::FieldValues;

/// Parts after which it is looked anew which can't be on the page.
const OFTEN: usize = 1_024;

/// The parts of a page, and at times some that come after it.
#[derive(Default)]
pub(super) struct CompositeState {
    numbers: FxHashMap<Box<[Key]>, u32>,
    list: Vec<(Box<[Key]>, u64)>,
    /// The key that the last page ended with.
    after: Option<Vec<Key>>,
    /// Keys after this one are not on the page.
    limit: Option<Box<[Key]>>,
    next_look: usize,
    /// The keys of the document at hand, of each source.
    each: Vec<Vec<Key>>,
    combined: Vec<Key>,
    /// Which of its keys is combined, of each source.
    at: Vec<usize>,
    /// The parts that it belongs to.
    pub parts: Vec<u32>,
}

fn order(composite: &Composite, lexicons: &[Lexicon], a: &[Key], b: &[Key]) -> Ordering {
    let each = composite.sources.iter().zip(lexicons).zip(a.iter().zip(b));
    let orders = each.map(|((source, lexicon), (a, b))| {
        let missing = |first: bool| {
            if first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        };
        match (a.tag == Tag::Missing, b.tag == Tag::Missing) {
            (true, true) => Ordering::Equal,
            (true, false) => missing(source.missing_first),
            (false, true) => missing(source.missing_first).reverse(),
            _ if source.descending => b.order(*a, lexicon),
            _ => a.order(*b, lexicon),
        }
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

impl CompositeState {
    /// Reads the key that the last page ended with, once the fields are known.
    pub fn bind(
        &mut self,
        composite: &Composite,
        infos: &[Option<Info>],
        lexicons: &mut [Lexicon],
    ) {
        let Some(after) = &composite.after else {
            return;
        };
        let each = composite.sources.iter().zip(after).zip(infos).zip(lexicons);
        let keys = each.map(|(((_, value), info), lexicon)| match value {
            Value::Null => Key::MISSING,
            Value::Bool(value) => Key::truth(*value),
            value => {
                let of = info.as_ref().map_or(FieldType::Keyword, |info| info.of);
                // Nanoseconds are milliseconds here.
                let of = if of.is_date() { FieldType::Date } else { of };
                let format = info
                    .as_ref()
                    .map(|info| info.format.clone())
                    .unwrap_or_default();
                match place(value, of, &format) {
                    Some(value) => lexicon.key(value.scalar()),
                    None => Key::MISSING,
                }
            }
        });
        self.after = Some(keys.collect());
    }

    /// Counts a document in each of its parts, which stand in `parts` then.
    pub fn take(
        &mut self,
        composite: &Composite,
        values: &mut [FieldValues],
        lexicons: &mut [Lexicon],
        doc: DocId,
    ) -> Result<()> {
        self.parts.clear();
        self.each.resize(composite.sources.len(), Vec::new());
        for (at, source) in composite.sources.iter().enumerate() {
            let keys = &mut self.each[at];
            keys.clear();
            read(source, &mut values[at], &mut lexicons[at], doc, keys)?;
            if keys.is_empty() {
                match source.missing_bucket {
                    true => keys.push(Key::MISSING),
                    false => return Ok(()),
                }
            }
        }
        // Every combination of them.
        self.at.clear();
        self.at.resize(self.each.len(), 0);
        loop {
            self.combined.clear();
            let keys = self.at.iter().zip(&self.each);
            self.combined.extend(keys.map(|(at, keys)| keys[*at]));
            self.count(composite, lexicons);
            let mut source = self.at.len();
            loop {
                let Some(before) = source.checked_sub(1) else {
                    return Ok(());
                };
                source = before;
                self.at[source] += 1;
                if self.at[source] < self.each[source].len() {
                    break;
                }
                self.at[source] = 0;
            }
        }
    }

    fn count(&mut self, composite: &Composite, lexicons: &[Lexicon]) {
        let key = &self.combined[..];
        if let Some(number) = self.numbers.get(key) {
            self.list[*number as usize].1 += 1;
            self.parts.push(*number);
            return;
        }
        let is_before = self
            .after
            .as_ref()
            .is_some_and(|after| order(composite, lexicons, key, after) != Ordering::Greater);
        let is_beyond = self
            .limit
            .as_ref()
            .is_some_and(|limit| order(composite, lexicons, key, limit) == Ordering::Greater);
        if is_before || is_beyond {
            return;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let key: Box<[Key]> = key.into();
        self.numbers.insert(key.clone(), number);
        self.list.push((key, 1));
        self.parts.push(number);
        if self.list.len() >= self.next_look.max(composite.size.saturating_mul(2)) {
            self.next_look = self.list.len() + composite.size.max(OFTEN);
            let mut keys: Vec<&Box<[Key]>> = self.list.iter().map(|(key, _)| key).collect();
            let last = composite.size - 1;
            let (_, limit, _) =
                keys.select_nth_unstable_by(last, |a, b| order(composite, lexicons, a, b));
            self.limit = Some((*limit).clone());
        }
    }

    /// The parts of the page in their order: keys, numbers and counts.
    pub fn page(&self, composite: &Composite, lexicons: &[Lexicon]) -> Vec<(Vec<Key>, u32, u64)> {
        let mut page: Vec<(Vec<Key>, u32, u64)> = (0..)
            .zip(&self.list)
            .map(|(number, (key, count))| (key.to_vec(), number, *count))
            .collect();
        page.sort_by(|a, b| order(composite, lexicons, &a.0, &b.0));
        page.truncate(composite.size);
        page
    }
}

fn read(
    source: &Source,
    values: &mut FieldValues,
    lexicon: &mut Lexicon,
    doc: DocId,
    keys: &mut Vec<Key>,
) -> Result<()> {
    match &source.of {
        SourceKind::Terms => lexicon.keys(values, doc, keys)?,
        SourceKind::DateHistogram(rounding) => {
            values.wholes(doc, |time| keys.push(Key::whole(rounding.start(time))));
        }
        SourceKind::Histogram(steps) => {
            values.numbers(doc, |number| keys.push(Key::fraction(steps.start(number))));
        }
    }
    super::keys::once(keys);
    Ok(())
}

/// A key as it is told.
pub(super) fn told(
    composite: &Composite,
    infos: &[Option<Info>],
    lexicons: &[Lexicon],
    key: &[Key],
) -> Map<String, Value> {
    let each = composite.sources.iter().zip(infos).zip(lexicons).zip(key);
    let told = each.map(|(((source, info), lexicon), key)| {
        let is_date = info.as_ref().is_some_and(|info| info.of.is_date());
        let value = match (&source.values.format, key.tag) {
            (Some(format), Tag::Whole) if is_date => {
                let zone = match source.of {
                    SourceKind::DateHistogram(rounding) => rounding.zone,
                    _ => Zone::Utc,
                };
                format.format(key.as_whole(), zone).into()
            }
            (_, Tag::Truth) => (key.json(lexicon) == 1).into(),
            _ => key.json(lexicon),
        };
        (source.name.clone(), value)
    });
    told.collect()
}
