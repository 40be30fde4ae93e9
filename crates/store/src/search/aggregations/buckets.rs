//! Parts by their keys, each within a part further out.

use rustc_hash::FxHashMap;

use super::keys::Key;
use super::parse::too_many;
use crate::search::error::Result;

/// Parts that are counted on the way to an answer.
const MOST_HELD: usize = 8 << 20;

/// Parts, numbered as they come.
pub(super) struct Buckets {
    numbers: FxHashMap<(u32, Key), u32>,
    list: Vec<(u32, Key)>,
    pub counts: Vec<u64>,
    /// The one that was found last: often it is the next one's too.
    last: Option<((u32, Key), u32)>,
    /// The parts within each part further out; made for the answer.
    within: FxHashMap<u32, Vec<u32>>,
}

impl Buckets {
    pub fn new() -> Self {
        Self {
            numbers: FxHashMap::default(),
            list: Vec::new(),
            counts: Vec::new(),
            last: None,
            within: FxHashMap::default(),
        }
    }

    /// Counts a document in the part of a key, and says its number.
    #[inline]
    pub fn count(&mut self, owner: u32, key: Key) -> Result<u32> {
        let number = match self.last {
            Some((last, number)) if last == (owner, key) => number,
            _ => self.find(owner, key)?,
        };
        self.counts[number as usize] += 1;
        Ok(number)
    }

    fn find(&mut self, owner: u32, key: Key) -> Result<u32> {
        let next = self.list.len();
        let number = match self.numbers.get(&(owner, key)) {
            Some(number) => *number,
            None if next >= MOST_HELD => return Err(too_many(next)),
            None => {
                let number = u32::try_from(next).unwrap_or(u32::MAX);
                self.numbers.insert((owner, key), number);
                self.list.push((owner, key));
                self.counts.push(0);
                number
            }
        };
        self.last = Some(((owner, key), number));
        Ok(number)
    }

    /// The parts within a part: keys, numbers and counts.
    pub fn within(&mut self, owner: u32) -> Vec<(Key, u32, u64)> {
        if self.within.is_empty() {
            for (number, (owner, _)) in (0..).zip(&self.list) {
                self.within.entry(*owner).or_default().push(number);
            }
        }
        let numbers = self.within.get(&owner).into_iter().flatten();
        numbers
            .map(|number| {
                let at = *number as usize;
                (self.list[at].1, *number, self.counts[at])
            })
            .collect()
    }
}
