//! `filter` of anomalies: AIP-160 with one function, `activeBetween(start, end)`.

use chrono::DateTime;

use super::error::{PlayError, Result};

const LONGEST: usize = 1_000;
const ACTIVE_BETWEEN: &str = "activeBetween";
const UNBOUNDED: &str = "UNBOUNDED";

/// When anomalies were active: from the first moment, up to before the last. Epoch milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    pub start: Option<i64>,
    pub end: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// What stands between quotes.
    Quoted(&'a str),
    Sign(char),
    End,
}

impl Token<'_> {
    fn told(self) -> String {
        match self {
            Self::Word(text) => format!("'{text}'"),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Sign(c) => format!("'{c}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

impl Active {
    /// A blank filter is none.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(wrong(format!("longer than {LONGEST} bytes")));
        }
        let mut reader = Reader { text, at: 0 };
        if reader.peek()?.1 == Token::End {
            return Ok(Self::default());
        }
        let mut open = 0;
        while reader.peek()?.1 == Token::Sign('(') {
            reader.next()?;
            open += 1;
        }
        let active = reader.function()?;
        for _ in 0..open {
            reader.sign(')')?;
        }
        match reader.next()? {
            (_, Token::End) => Ok(active),
            (at, other) => Err(wrong(format!(
                "expected the end at position {at}, found {}: one {ACTIVE_BETWEEN}(start, end) is all that is supported",
                other.told()
            ))),
        }
    }
}

fn wrong(told: String) -> PlayError {
    PlayError::bad("filter", told)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next token, where it begins, and where it ends.
    fn look(&self) -> Result<(usize, Token<'a>, usize)> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let token = rest.trim_start();
        let at = self.at + rest.len() - token.len();
        let is_part = |c: char| c.is_alphanumeric() || "_.-:+".contains(c);
        let end_of = |length: usize| at + length;
        Ok(match token.chars().next() {
            None => (at, Token::End, at),
            Some('"') => match token[1..].find('"') {
                Some(length) => (at, Token::Quoted(&token[1..=length]), end_of(length + 2)),
                None => return Err(wrong(format!("the quote at position {at} isn't closed"))),
            },
            Some(c) if is_part(c) => {
                let length = token.find(|c| !is_part(c)).unwrap_or(token.len());
                (at, Token::Word(&token[..length]), end_of(length))
            }
            Some(c) => (at, Token::Sign(c), end_of(c.len_utf8())),
        })
    }

    fn peek(&self) -> Result<(usize, Token<'a>)> {
        self.look().map(|(at, token, _)| (at, token))
    }

    fn next(&mut self) -> Result<(usize, Token<'a>)> {
        let (at, token, end) = self.look()?;
        self.at = end;
        Ok((at, token))
    }

    fn sign(&mut self, sign: char) -> Result<()> {
        match self.next()? {
            (_, Token::Sign(c)) if c == sign => Ok(()),
            (at, other) => Err(wrong(format!(
                "expected '{sign}' at position {at}, found {}",
                other.told()
            ))),
        }
    }

    fn function(&mut self) -> Result<Active> {
        match self.next()? {
            (_, Token::Word(ACTIVE_BETWEEN)) => {}
            (at, other) => {
                return Err(wrong(format!(
                    "expected {ACTIVE_BETWEEN}(start, end) at position {at}, found {}",
                    other.told()
                )));
            }
        }
        self.sign('(')?;
        let start = self.time()?;
        self.sign(',')?;
        let end = self.time()?;
        self.sign(')')?;
        match (start, end) {
            (Some(start), Some(end)) if start >= end => {
                Err(wrong("the start must be before the end".to_owned()))
            }
            _ => Ok(Active { start, end }),
        }
    }

    /// A time, or none if it is unbounded.
    fn time(&mut self) -> Result<Option<i64>> {
        let expected = format!("expected a time in double quotes, as in RFC 3339, or {UNBOUNDED}");
        match self.next()? {
            (_, Token::Word(UNBOUNDED)) => Ok(None),
            (at, Token::Quoted(text)) => match DateTime::parse_from_rfc3339(text) {
                Ok(time) => Ok(Some(time.timestamp_millis())),
                Err(_) => Err(wrong(format!(
                    "{expected}, at position {at}, found \"{text}\""
                ))),
            },
            (at, other) => Err(wrong(format!(
                "{expected}, at position {at}, found {}",
                other.told()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<i64> {
        let time = DateTime::parse_from_rfc3339(text).expect("a time");
        Some(time.timestamp_millis())
    }

    #[test]
    fn the_documented_filters_are_read() {
        let (early, late) = (at("2021-04-21T11:30:00Z"), at("2021-07-21T00:00:00Z"));
        for (filter, start, end) in [
            ("", None, None),
            (" ", None, None),
            (
                r#"activeBetween("2021-04-21T11:30:00Z", "2021-07-21T00:00:00Z")"#,
                early,
                late,
            ),
            (
                r#"activeBetween(UNBOUNDED, "2021-11-21T00:00:00-04:00")"#,
                None,
                at("2021-11-21T04:00:00Z"),
            ),
            (
                r#"activeBetween("2021-07-21T00:00:00-04:00", UNBOUNDED)"#,
                at("2021-07-21T04:00:00Z"),
                None,
            ),
            ("( activeBetween (UNBOUNDED,UNBOUNDED) )", None, None),
        ] {
            assert_eq!(Active::parse(filter), Ok(Active { start, end }), "{filter}");
        }
    }

    #[test]
    fn other_filters_are_refused_with_the_place_and_the_reason() {
        for (filter, told) in [
            (
                "activeBetween",
                "expected '(' at position 13, found the end",
            ),
            (
                "activebetween(UNBOUNDED, UNBOUNDED)",
                "expected activeBetween(start, end) at position 0, found 'activebetween'",
            ),
            (
                r#"apiLevel = "30""#,
                "expected activeBetween(start, end) at position 0, found 'apiLevel'",
            ),
            (
                "activeBetween(UNBOUNDED)",
                "expected ',' at position 23, found ')'",
            ),
            (
                "activeBetween(UNBOUNDED, UNBOUNDED",
                "expected ')' at position 34, found the end",
            ),
            (
                "(activeBetween(UNBOUNDED, UNBOUNDED)",
                "expected ')' at position 36, found the end",
            ),
            (
                "activeBetween(UNBOUNDED, UNBOUNDED) AND x",
                "expected the end at position 36, found 'AND': one activeBetween(start, end) is all that is supported",
            ),
            (
                "activeBetween(2021-04-21T11:30:00Z, UNBOUNDED)",
                "expected a time in double quotes, as in RFC 3339, or UNBOUNDED, at position 14, found '2021-04-21T11:30:00Z'",
            ),
            (
                r#"activeBetween("2021-04-21", UNBOUNDED)"#,
                "expected a time in double quotes, as in RFC 3339, or UNBOUNDED, at position 14, found \"2021-04-21\"",
            ),
            (
                r#"activeBetween("é", UNBOUNDED)"#,
                "expected a time in double quotes, as in RFC 3339, or UNBOUNDED, at position 14, found \"é\"",
            ),
            (
                r#"activeBetween("2021"#,
                "the quote at position 14 isn't closed",
            ),
            (
                r#"activeBetween("2021-04-21T00:00:00Z", "2021-04-21T00:00:00Z")"#,
                "the start must be before the end",
            ),
        ] {
            let error = Active::parse(filter).expect_err(filter);
            assert_eq!(
                error.message,
                format!("Invalid value for filter: {told}"),
                "{filter}"
            );
        }
        assert!(Active::parse(&"(".repeat(LONGEST + 1)).is_err());
    }
}
