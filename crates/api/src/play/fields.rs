//! `fields`: parts of an answer. `a/b,c(d,e)` keeps `b` of `a`, and `d` and `e` of `c`; `*` is any name.

use serde_json::Value;

use super::error::{PlayError, Result};

/// Bytes of a selection, which keep what is within one another few.
const LONGEST: usize = 1_000;

/// The names that are kept, each with what is kept of it; with none, all is. A name may be there several times: then what
/// any of them keeps is kept.
#[derive(Debug, Default, PartialEq)]
pub struct Mask(Vec<(String, Mask)>);

impl Mask {
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(PlayError::bad(
                "fields",
                format!("longer than {LONGEST} bytes"),
            ));
        }
        let mut reader = Reader { text, at: 0 };
        let mask = reader.list()?;
        match reader.rest() {
            "" => Ok(mask),
            _ => Err(reader.wrong()),
        }
    }

    /// Refuses names that a shape, which has all that there can be, doesn't have.
    pub fn check(&self, shape: &Self) -> Result<()> {
        for (name, below) in &self.0 {
            if name == "*" {
                let all = shape.0.iter();
                // It keeps what of each there is.
                let fits = all.clone().any(|(_, shape)| below.check(shape).is_ok());
                if !fits {
                    return Err(PlayError::selection(name));
                }
                continue;
            }
            let known = shape.0.iter().find(|(known, _)| known == name);
            let Some((_, shape)) = known else {
                return Err(PlayError::selection(name));
            };
            below.check(shape)?;
        }
        Ok(())
    }

    pub fn apply(&self, value: Value) -> Value {
        kept(&[self], value)
    }
}

/// What any of some masks keeps of a value.
fn kept(masks: &[&Mask], value: Value) -> Value {
    match value {
        value if masks.iter().any(|mask| mask.0.is_empty()) => value,
        Value::Array(items) => items.into_iter().map(|item| kept(masks, item)).collect(),
        Value::Object(object) => {
            let all = masks.iter().flat_map(|mask| &mask.0);
            let part = |(name, value): (String, Value)| {
                let wanted = all
                    .clone()
                    .filter(|(known, _)| *known == name || known == "*");
                let below: Vec<&Mask> = wanted.map(|(_, below)| below).collect();
                (!below.is_empty()).then(|| {
                    let value = kept(&below, value);
                    (name, value)
                })
            };
            Value::Object(object.into_iter().filter_map(part).collect())
        }
        value => value,
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn takes(&mut self, c: char) -> bool {
        let taken = self.rest().starts_with(c);
        self.at += usize::from(taken);
        taken
    }

    fn wrong(&self) -> PlayError {
        PlayError::selection(self.rest())
    }

    fn list(&mut self) -> Result<Mask> {
        let mut mask = Mask::default();
        loop {
            mask.0.push(self.part()?);
            if !self.takes(',') {
                return Ok(mask);
            }
        }
    }

    /// A name, and what is kept of it.
    fn part(&mut self) -> Result<(String, Mask)> {
        let name = self.name()?.to_owned();
        let mut below = Mask::default();
        if self.takes('/') {
            below.0.push(self.part()?);
        } else if self.takes('(') {
            below = self.list()?;
            if !self.takes(')') {
                return Err(self.wrong());
            }
        }
        Ok((name, below))
    }

    fn name(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_*".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        match length {
            0 => Err(self.wrong()),
            _ => {
                self.at += length;
                Ok(&rest[..length])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_kept() {
        let value = json!({"a": [{"b": 1, "c": {"d": 2, "e": 3}}, {"b": 4}], "f": 5});
        for (fields, kept) in [
            ("f", json!({"f": 5})),
            ("a/b", json!({"a": [{"b": 1}, {"b": 4}]})),
            (
                "a(b,c/d),f",
                json!({"a": [{"b": 1, "c": {"d": 2}}, {"b": 4}], "f": 5}),
            ),
            ("a/c/e,a/c", json!({"a": [{"c": {"d": 2, "e": 3}}, {}]})),
            ("a(c/d),a/c(e)", json!({"a": [{"c": {"d": 2, "e": 3}}, {}]})),
            ("a(c/d),a(c)", json!({"a": [{"c": {"d": 2, "e": 3}}, {}]})),
            (
                "*/b,a/c/d",
                json!({"a": [{"b": 1, "c": {"d": 2}}, {"b": 4}], "f": 5}),
            ),
            ("a/c,a/c/e", json!({"a": [{"c": {"d": 2, "e": 3}}, {}]})),
            ("*/b", json!({"a": [{"b": 1}, {"b": 4}], "f": 5})),
            ("x", json!({})),
        ] {
            let mask = Mask::parse(fields).expect(fields);
            assert_eq!(mask.apply(value.clone()), kept, "{fields}");
        }
    }

    #[test]
    fn names_that_there_never_are_are_refused() {
        let shape = Mask::parse("a(b,c(d)),f").expect("a shape");
        for (fields, unknown) in [
            ("a,f", None),
            ("a(c/d)", None),
            ("*/b", None),
            ("*", None),
            ("a/*/d", None),
            ("x", Some("x")),
            ("f,a/x", Some("x")),
            ("f/a", Some("a")),
            ("*/x", Some("*")),
        ] {
            let mask = Mask::parse(fields).expect(fields);
            let told = mask.check(&shape).err().map(|error| error.message);
            let unknown = unknown.map(|name| format!("Invalid field selection {name}"));
            assert_eq!(told, unknown, "{fields}");
        }
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        let deep = "a(".repeat(LONGEST / 2);
        for (fields, told) in [
            ("a,", ""),
            ("a(b", ""),
            ("a)", ")"),
            ("a//b", "/b"),
            (&deep, ""),
        ] {
            let error = Mask::parse(fields).expect_err(fields);
            assert_eq!(error.message, format!("Invalid field selection {told}"));
        }
        assert!(Mask::parse(&"a/".repeat(LONGEST)).is_err());
    }
}
