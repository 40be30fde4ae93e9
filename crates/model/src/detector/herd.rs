//! A long list in pieces: it grows without being copied, and pieces can be worked on side by side.

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Items of a piece.
pub const PIECE: usize = 256;

#[derive(Debug, Clone, PartialEq)]
pub struct Herd<T> {
    pieces: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Herd<T> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Herd<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, item: T) {
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => {
                // A first piece may stay small; it never takes more than it can hold.
                if piece.len() == piece.capacity() {
                    piece.reserve_exact(piece.len().min(PIECE - piece.len()));
                }
                piece.push(item);
            }
            last => {
                let first = last.is_none();
                let mut piece = Vec::with_capacity(if first { 1 } else { PIECE });
                piece.push(item);
                self.pieces.push(piece);
            }
        }
        self.len += 1;
    }

    /// Bytes that the list grows by with the next item.
    pub fn next_bytes(&self) -> u64 {
        let places = match self.pieces.as_slice() {
            [] => 1,
            [only] if only.len() < PIECE && only.len() == only.capacity() => {
                only.len().min(PIECE - only.len())
            }
            [.., last] if last.len() == PIECE => PIECE,
            _ => 0,
        };
        (places * size_of::<T>() + size_of::<Vec<T>>()) as u64
    }

    pub fn get(&self, at: usize) -> &T {
        &self.pieces[at / PIECE][at % PIECE]
    }

    pub fn get_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at / PIECE][at % PIECE]
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flatten()
    }

    /// The pieces, each but the last with [`PIECE`] items.
    pub fn pieces_mut(&mut self) -> &mut [Vec<T>] {
        &mut self.pieces
    }

    /// Keeps the items whose place is kept.
    pub fn retain(&mut self, keep: &[bool]) {
        let old = std::mem::take(self);
        let items = old.pieces.into_iter().flatten();
        for (item, _) in items.zip(keep).filter(|(_, stays)| **stays) {
            self.push(item);
        }
    }

    /// Bytes of the list itself.
    pub fn bytes(&self) -> u64 {
        let places: usize = match self.pieces.as_slice() {
            [] => 0,
            [only] => only.capacity(),
            pieces => pieces.len() * PIECE,
        };
        (places * size_of::<T>() + self.pieces.len() * size_of::<Vec<T>>()) as u64
    }
}

impl<T: Serialize> Serialize for Herd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.len))?;
        self.iter()
            .try_for_each(|item| items.serialize_element(item))?;
        items.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Herd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(Herd<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Herd<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Herd<T>, A::Error> {
                while let Some(item) = items.next_element()? {
                    self.0.push(item);
                }
                Ok(self.0)
            }
        }
        deserializer.deserialize_seq(Items(Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_places() {
        let mut herd = Herd::default();
        (0..3 * PIECE + 7).for_each(|i| herd.push(i));
        assert!((0..herd.len()).all(|i| *herd.get(i) == i));
        let keep: Vec<bool> = (0..herd.len()).map(|i| i % 3 == 0).collect();
        let bytes = postcard::to_stdvec(&herd).expect("writes");
        assert_eq!(postcard::from_bytes(&bytes), Ok(herd.clone()));
        herd.retain(&keep);
        assert!((0..herd.len()).all(|i| *herd.get(i) == 3 * i));
    }
}
