//! Regular expressions at work. They take time in proportion to the text, whatever they are.

use std::sync::Arc;

use super::super::error::Fault;
use super::super::names::Method;
use super::super::number::Number;
use super::super::value::Value;
use super::text::unit_at;
use super::{Plain, Run};

/// A regular expression on its way through a text.
pub(super) struct Matcher {
    regex: usize,
    text: Arc<str>,
    /// Where each group was found: bytes.
    groups: Option<Vec<Option<(usize, usize)>>>,
    /// Where to look on.
    next: usize,
}

/// What looking through a text counts as.
fn cost(text: &str) -> usize {
    8 + text.len() / 4
}

fn no_match() -> Fault {
    Fault::new("illegal_state_exception", "No match found")
}

impl<'a> Run<'a> {
    /// `text =~ regex`, `text ==~ regex`
    pub(super) fn matches(
        &mut self,
        text: &Value<'a>,
        regex: &Value<'a>,
        whole: bool,
    ) -> Plain<Value<'a>> {
        let (text, regex) = match (text, regex) {
            (Value::Text(text), Value::Regex(regex)) => (text, *regex),
            (Value::Null, _) | (_, Value::Null) => {
                return Err(Fault::new(
                    "null_pointer_exception",
                    "Cannot invoke \"java.lang.CharSequence.length()\" because \"this.text\" is null",
                ));
            }
            (_, other) => {
                let class = other.class();
                return Err(Fault::cast(format!(
                    "Cannot cast from [{class}] to [java.util.regex.Pattern]."
                )));
            }
        };
        self.work(cost(text))?;
        let pattern = &self.program.regexes[regex];
        let regex = if whole { &pattern.whole } else { &pattern.part };
        Ok(Value::Bool(regex.is_match(text)))
    }

    pub(super) fn regex_method(
        &mut self,
        regex: usize,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        match (method, arguments) {
            (Method::Matcher, [Value::Text(text)]) => {
                let taken = self.take(size_of::<Matcher>());
                self.matchers.push(Matcher {
                    regex,
                    text: text.clone(),
                    groups: None,
                    next: 0,
                });
                Some(taken.map(|()| Value::Matcher(self.matchers.len() - 1)))
            }
            (Method::Matcher, [Value::Null]) => Some(Err(super::expression::null("matcher"))),
            (Method::Split, [Value::Text(text)]) => Some(self.split(regex, text)),
            _ => None,
        }
    }

    fn split(&mut self, regex: usize, text: &str) -> Plain<Value<'a>> {
        self.work(cost(text))?;
        let program = self.program;
        let mut parts = Vec::new();
        for (at, part) in program.regexes[regex].part.split(text).enumerate() {
            // A match of nothing at the start leaves nothing before it.
            if at == 0 && part.is_empty() && text.starts_with(|_: char| true) {
                let first = program.regexes[regex].part.find(text);
                if first.is_some_and(|found| found.is_empty()) {
                    continue;
                }
            }
            parts.push(self.new_text(part)?);
        }
        while parts.len() > 1 && matches!(parts.last(), Some(Value::Text(part)) if part.is_empty())
        {
            parts.pop();
        }
        self.new_list(parts)
    }

    pub(super) fn matcher_method(
        &mut self,
        matcher: usize,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        use Method as M;
        match (method, arguments) {
            (M::Find, []) => Some(self.search(matcher, false)),
            (M::Matches, []) => Some(self.search(matcher, true)),
            (M::Group | M::Start | M::End, []) => Some(self.group(matcher, method, &Value::int(0))),
            (M::Group | M::Start | M::End, [group]) => Some(self.group(matcher, method, group)),
            _ => None,
        }
    }

    fn search(&mut self, matcher: usize, whole: bool) -> Plain<Value<'a>> {
        let program = self.program;
        let Matcher {
            regex, text, next, ..
        } = &self.matchers[matcher];
        let (text, from) = (text.clone(), *next);
        let pattern = &program.regexes[*regex];
        self.work(cost(&text))?;
        let found = if whole {
            pattern.whole.captures(&text)
        } else if from > text.len() {
            None
        } else {
            pattern.part.captures_at(&text, from)
        };
        let groups = found.map(|found| {
            let places = found
                .iter()
                .map(|group| group.map(|group| (group.start(), group.end())));
            places.collect::<Vec<_>>()
        });
        self.take(groups.as_ref().map_or(0, |groups| groups.len() * 24))?;
        let state = &mut self.matchers[matcher];
        state.next = match groups
            .as_ref()
            .and_then(|groups| groups.first().copied().flatten())
        {
            // After a match of nothing, one character on.
            Some((start, end)) if start == end => {
                let char = text[end..].chars().next();
                end + char.map_or(1, char::len_utf8)
            }
            Some((_, end)) => end,
            None => text.len() + 1,
        };
        state.groups = groups;
        Ok(Value::Bool(state.groups.is_some()))
    }

    fn group(&mut self, matcher: usize, method: Method, group: &Value<'a>) -> Plain<Value<'a>> {
        let Matcher {
            regex,
            text,
            groups,
            ..
        } = &self.matchers[matcher];
        let groups = groups.as_ref().ok_or_else(no_match)?;
        let at = match group {
            Value::Text(name) => {
                let mut names = self.program.regexes[*regex].part.capture_names();
                names
                    .position(|known| known == Some(&**name))
                    .ok_or_else(|| Fault::argument(format!("No group with name <{name}>")))?
            }
            other => match other.number() {
                Some(Number::Int(at)) => usize::try_from(at)
                    .ok()
                    .filter(|at| *at < groups.len())
                    .ok_or_else(|| {
                    Fault::new("index_out_of_bounds_exception", format!("No group {at}"))
                })?,
                _ => {
                    let class = other.plain_class();
                    let reason = format!("cannot implicitly cast def [{class}] to int");
                    return Err(Fault::cast(reason));
                }
            },
        };
        let text = text.clone();
        match (method, groups[at]) {
            (Method::Group, None) => Ok(Value::Null),
            (Method::Group, Some((start, end))) => self.new_text(&text[start..end]),
            (_, None) => Ok(Value::int(-1)),
            (Method::Start, Some((start, _))) => Ok(Value::size(unit_at(&text, start))),
            (_, Some((_, end))) => Ok(Value::size(unit_at(&text, end))),
        }
    }
}
