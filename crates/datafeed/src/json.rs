//! One JSON object, projected to a row as it is parsed: no tree is built, and what isn't wanted is only counted.

use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::projection::Projection;
use crate::row::{Row, Scalar, Target};
use crate::scanner::MAX_DEPTH;

/// Projects records, one after the other, and keeps the memory that they need.
#[derive(Debug)]
pub(crate) struct Projector {
    pub row: Row,
    /// The name of the field that is being read.
    path: String,
    /// A record whose numbers have been replaced.
    tamed: Vec<u8>,
}

impl Projector {
    pub fn new(projection: &Projection) -> Self {
        Self {
            row: Row::new(projection),
            path: String::new(),
            tamed: Vec::new(),
        }
    }

    /// Reads the object that the bytes begin with, and gives its length. None when there is none, or it isn't
    /// complete, or has a number that is too big.
    pub fn read_start(&mut self, projection: &Projection, bytes: &[u8]) -> Option<usize> {
        read(&mut self.row, &mut self.path, projection, bytes)
    }

    /// Adds the fields of an object to the record that is being read.
    pub fn add(&mut self, projection: &Projection, bytes: &[u8]) -> bool {
        add(&mut self.row, &mut self.path, projection, bytes) == Some(bytes.len())
    }

    /// Reads the object that the bytes are, with numbers that are too big as null.
    pub fn read_whole(&mut self, projection: &Projection, bytes: &[u8]) -> bool {
        let Self { row, path, tamed } = self;
        if read(row, path, projection, bytes) == Some(bytes.len()) {
            return true;
        }
        let again = tame(bytes, tamed) && read(row, path, projection, tamed) == Some(tamed.len());
        *tamed = Vec::new();
        again
    }
}

fn read(row: &mut Row, path: &mut String, projection: &Projection, bytes: &[u8]) -> Option<usize> {
    row.clear();
    add(row, path, projection, bytes)
}

fn add(row: &mut Row, path: &mut String, projection: &Projection, bytes: &[u8]) -> Option<usize> {
    path.clear();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let root = Value {
        walk: &mut Walk {
            projection,
            row,
            path,
        },
        target: Target::default(),
        place: Place::Used,
        depth: 0,
    };
    root.deserialize(&mut json).ok()?;
    // The stream of what follows knows where the object ended; nothing more is read from it.
    Some(json.into_iter::<IgnoredAny>().byte_offset())
}

/// Copies a record with null for the numbers that no double holds, such as 1e999, which the parser refuses. Whether
/// there were any.
fn tame(bytes: &[u8], tamed: &mut Vec<u8>) -> bool {
    let mut found = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let len = match byte {
            b'"' => string_len(rest),
            b'-' | b'0'..=b'9' => rest
                .iter()
                .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                .count(),
            _ => 1,
        };
        let token = &rest[..len];
        let number = if matches!(byte, b'-' | b'0'..=b'9') {
            std::str::from_utf8(token).ok()
        } else {
            None
        };
        if number
            .and_then(|number| number.parse().ok())
            .is_some_and(f64::is_infinite)
        {
            found = true;
            tamed.extend_from_slice(b"null");
        } else {
            tamed.extend_from_slice(token);
        }
        at += len;
    }
    found
}

/// The length of a string with its quotes.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

struct Walk<'a> {
    projection: &'a Projection,
    row: &'a mut Row,
    path: &'a mut String,
}

/// What becomes of a value.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// A field, or an object in which wanted fields may be.
    Used,
    /// In an object in which none is wanted: its fields are counted.
    Counted,
    /// An element of an array.
    Element,
    /// Within an element: the array has been counted.
    Ignored,
}

struct Value<'w, 'a> {
    walk: &'w mut Walk<'a>,
    target: Target,
    place: Place,
    /// Objects and arrays that this value is in.
    depth: u32,
}

impl Value<'_, '_> {
    fn scalar(self, value: Scalar) {
        let Walk {
            projection, row, ..
        } = self.walk;
        match self.place {
            Place::Used | Place::Counted if self.target.is_wanted() => {
                row.put(projection, self.target, value)
            }
            Place::Used | Place::Counted => row.skip(),
            Place::Element if self.target.is_wanted() => {
                row.add_to_list(projection, self.target, value)
            }
            Place::Element | Place::Ignored => {}
        }
    }

    fn deeper<E: Error>(&self) -> Result<u32, E> {
        if self.depth < MAX_DEPTH {
            Ok(self.depth + 1)
        } else {
            Err(E::custom("too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(Scalar::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(Scalar::Unsigned(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Signed(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(Scalar::Float(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let Value {
            walk,
            target,
            place,
            ..
        } = self;
        let inner = match place {
            Place::Used | Place::Counted => {
                walk.row.open_list();
                Place::Element
            }
            Place::Element => {
                walk.row.spoil_list();
                Place::Ignored
            }
            Place::Ignored => Place::Ignored,
        };
        while elements
            .next_element_seed(Value {
                walk,
                target,
                place: inner,
                depth,
            })?
            .is_some()
        {}
        match place {
            Place::Used | Place::Counted if target.is_wanted() => walk.row.put_list(target),
            Place::Used | Place::Counted => walk.row.skip(),
            Place::Element | Place::Ignored => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let Value { walk, place, .. } = self;
        let place = match place {
            Place::Used if depth == 1 || walk.projection.is_parent(walk.path) => Place::Used,
            Place::Used | Place::Counted => Place::Counted,
            Place::Element => {
                walk.row.spoil_list();
                Place::Ignored
            }
            Place::Ignored => Place::Ignored,
        };
        let outside = walk.path.len();
        while let Some(target) = fields.next_key_seed(Key {
            walk,
            used: place == Place::Used,
            top: depth == 1,
        })? {
            fields.next_value_seed(Value {
                walk,
                target,
                place,
                depth,
            })?;
            walk.path.truncate(outside);
        }
        Ok(())
    }
}

/// The name of a field, looked up in the projection.
struct Key<'w, 'a> {
    walk: &'w mut Walk<'a>,
    used: bool,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = Target;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Target, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = Target;

    fn expecting(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Target, E> {
        let Walk {
            projection, path, ..
        } = self.walk;
        if !self.used {
            return Ok(Target::default());
        }
        if self.top && !projection.nested() {
            return Ok(projection.target(name));
        }
        if !self.top {
            path.push('.');
        }
        path.push_str(name);
        Ok(projection.target(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_tamed_outside_of_strings() {
        let mut tamed = Vec::new();
        assert!(tame(
            br#"{"1e999\"":"\\1e999","a":[1e999,-1E+999,1e9],"b":1e-999}"#,
            &mut tamed
        ));
        assert_eq!(
            std::str::from_utf8(&tamed).unwrap(),
            r#"{"1e999\"":"\\1e999","a":[null,null,1e9],"b":1e-999}"#
        );
        for text in ["", "\"", "\"\\", "-", "{\"a\":1}", "\u{e9}"] {
            tamed.clear();
            assert!(!tame(text.as_bytes(), &mut tamed));
            assert_eq!(tamed, text.as_bytes());
        }
    }
}
