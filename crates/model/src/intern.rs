//! Strings to small numbers, in one arena: nothing is allocated for a string that is known.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Debug, Clone, Default)]
pub struct Interner {
    text: String,
    /// Where each string ends; it starts where the one before ends.
    ends: Vec<u32>,
    index: HashTable<u32>,
}

/// Bytes that a string takes beside its text.
const EACH: usize = 14;

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl Interner {
    pub fn get(&self, text: &str) -> Option<u32> {
        self.index
            .find(hash(text), |&id| self.name(id) == text)
            .copied()
    }

    /// The number of a string; a new one gets the next. `None` when the arena is full (4 GiB).
    pub fn intern(&mut self, text: &str) -> Option<u32> {
        if let Some(id) = self.get(text) {
            return Some(id);
        }
        let end = u32::try_from(self.text.len() + text.len()).ok()?;
        let id = self.ends.len() as u32;
        self.text.push_str(text);
        self.ends.push(end);
        let (all, ends) = (&self.text, &self.ends);
        self.index
            .insert_unique(hash(text), id, |&id| hash(name(all, ends, id)));
        Some(id)
    }

    pub fn name(&self, id: u32) -> &str {
        name(&self.text, &self.ends, id)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Forgets the strings and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.index.clear();
    }

    /// Bytes that the strings take, with the room that doubling leaves on average. It depends on the strings alone, so
    /// that a restored state counts the same.
    pub fn bytes(&self) -> usize {
        self.text.len() * 3 / 2 + self.ends.len() * EACH
    }

    /// The most that they grow by with one more.
    pub fn most_bytes(text: &str) -> usize {
        text.len() * 3 / 2 + 1 + EACH
    }
}

fn name<'a>(text: &'a str, ends: &[u32], id: u32) -> &'a str {
    let start = if id == 0 { 0 } else { ends[id as usize - 1] };
    &text[start as usize..ends[id as usize] as usize]
}

impl PartialEq for Interner {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ends == other.ends
    }
}

impl Serialize for Interner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.len() as u32).map(|id| self.name(id)))
    }
}

impl<'de> Deserialize<'de> for Interner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut interner = Self::default();
        for name in Vec::<String>::deserialize(deserializer)? {
            interner.intern(&name);
        }
        Ok(interner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_string_has_the_same_number() {
        let mut names = Interner::default();
        assert_eq!(
            (
                names.intern("a"),
                names.intern(""),
                names.intern("ab"),
                names.intern("a")
            ),
            (Some(0), Some(1), Some(2), Some(0))
        );
        assert_eq!(
            (names.name(1), names.name(2), names.get("b")),
            ("", "ab", None)
        );
        names.clear();
        assert_eq!((names.get("a"), names.intern("x")), (None, Some(0)));
    }
}
