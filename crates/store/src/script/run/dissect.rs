//! `dissect('%{ip} - %{user->} [%{}]').extract(text)`: the parts of a text between fixed ones.

use std::sync::Arc;

use super::super::error::Fault;
use super::super::names::Method;
use super::super::value::Value;
use super::{Plain, Run};

/// Parts of one pattern.
const KEYS: usize = 100;

struct Key<'p> {
    name: &'p str,
    /// `%{?name}` and `%{}`: read, and not kept.
    skipped: bool,
    /// `%{+name}`: added to what has the name already.
    appended: bool,
    /// `%{name->}`: the text after it may be there many times.
    padded: bool,
    /// The text after it.
    until: &'p str,
}

/// The text before all keys, and the keys.
fn parse(pattern: &str) -> Plain<(&str, Vec<Key<'_>>)> {
    let wrong = || Fault::argument(format!("Unable to parse pattern: {pattern}"));
    let (before, mut rest) = pattern.split_once("%{").ok_or_else(wrong)?;
    let mut keys = Vec::new();
    loop {
        let (name, after) = rest.split_once('}').ok_or_else(wrong)?;
        let (until, next) = match after.split_once("%{") {
            Some((until, next)) => (until, Some(next)),
            None => (after, None),
        };
        let (name, padded) = match name.strip_suffix("->") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (name, skipped, appended) = match name.split_at_checked(1) {
            Some(("?", name)) => (name, true, false),
            Some(("+", name)) => (name, false, true),
            Some(("*" | "&", _)) => return Err(wrong()),
            _ => (name, name.is_empty(), false),
        };
        let between = until.is_empty() && next.is_some();
        if between || name.contains('/') || keys.len() >= KEYS {
            return Err(wrong());
        }
        keys.push(Key {
            name,
            skipped,
            appended,
            padded,
            until,
        });
        match next {
            Some(next) => rest = next,
            None => return Ok((before, keys)),
        }
    }
}

/// What the keys stand for; none where the text isn't of the pattern.
fn extract<'p>(pattern: &'p str, text: &str) -> Plain<Option<Vec<(&'p str, String)>>> {
    let (before, keys) = parse(pattern)?;
    let Some(mut rest) = text.strip_prefix(before) else {
        return Ok(None);
    };
    let mut found: Vec<(&str, String)> = Vec::new();
    for key in keys {
        let value = if key.until.is_empty() {
            std::mem::take(&mut rest)
        } else {
            let Some((value, after)) = rest.split_once(key.until) else {
                return Ok(None);
            };
            rest = after;
            while key.padded
                && let Some(after) = rest.strip_prefix(key.until)
            {
                rest = after;
            }
            value
        };
        if key.skipped {
            continue;
        }
        match found
            .iter_mut()
            .find(|(name, _)| key.appended && *name == key.name)
        {
            Some((_, text)) => text.push_str(value),
            None => found.push((key.name, value.to_owned())),
        }
    }
    Ok(Some(found))
}

impl<'a> Run<'a> {
    pub(super) fn dissect_method(
        &mut self,
        pattern: &Arc<str>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        match (method, arguments) {
            (Method::Extract, [Value::Text(text)]) => Some(self.extract(pattern, text)),
            (Method::Extract, [Value::Null]) => Some(Err(super::expression::null("extract"))),
            _ => None,
        }
    }

    fn extract(&mut self, pattern: &str, text: &str) -> Plain<Value<'a>> {
        self.work((pattern.len() + text.len()) / 4)?;
        let Some(found) = extract(pattern, text)? else {
            return Ok(Value::Null);
        };
        let mut pairs = Vec::new();
        for (name, value) in found {
            pairs.push((self.new_text(name)?, self.new_text(value)?));
        }
        self.new_map(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::extract;

    #[test]
    fn texts_are_cut_at_what_is_between() {
        let found = |pattern, text| {
            let found = extract(pattern, text).unwrap();
            found.map(|found| {
                let parts = found.iter().map(|(name, value)| format!("{name}={value}"));
                parts.collect::<Vec<_>>().join(";")
            })
        };
        assert_eq!(
            found("%{ip} %{?ident} [%{at}] %{rest}", "::1 - [10:00] GET / 200").as_deref(),
            Some("ip=::1;at=10:00;rest=GET / 200")
        );
        assert_eq!(found("%{a->} %{b}", "1    2").as_deref(), Some("a=1;b=2"));
        assert_eq!(found("%{a} %{+a} %{}", "1 2 3").as_deref(), Some("a=12"));
        assert_eq!(found("[%{a}]", "1]"), None);
        assert_eq!(found("%{a}:%{b}", "1"), None);
        for wrong in ["a", "%{a", "%{a}%{b}", "%{*a} %{&a}"] {
            assert!(extract(wrong, "x").is_err(), "{wrong}");
        }
    }
}
