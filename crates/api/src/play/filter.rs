//! `filter` of anomalies: AIP-160 with one function, `activeBetween(start, end)`.

use chrono::DateTime;

use super::error::Result;
use super::tokens::{Reader, Token, wrong};

const ACTIVE_BETWEEN: &str = "activeBetween";
const UNBOUNDED: &str = "UNBOUNDED";

/// When anomalies were active: from the first moment, up to before the last. Epoch milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    pub start: Option<i64>,
    pub end: Option<i64>,
}

impl Active {
    /// A blank filter is none.
    pub fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader::new(text)?;
        if reader.peek()?.1 == Token::End {
            return Ok(Self::default());
        }
        let mut open = 0;
        while reader.peek()?.1 == Token::Sign('(') {
            reader.next()?;
            open += 1;
        }
        let active = function(&mut reader)?;
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

fn function(reader: &mut Reader<'_>) -> Result<Active> {
    match reader.next()? {
        (_, Token::Word(ACTIVE_BETWEEN)) => {}
        (at, other) => {
            return Err(wrong(format!(
                "expected {ACTIVE_BETWEEN}(start, end) at position {at}, found {}",
                other.told()
            )));
        }
    }
    reader.sign('(')?;
    let start = time(reader)?;
    reader.sign(',')?;
    let end = time(reader)?;
    reader.sign(')')?;
    match (start, end) {
        (Some(start), Some(end)) if start >= end => {
            Err(wrong("the start must be before the end".to_owned()))
        }
        _ => Ok(Active { start, end }),
    }
}

/// A time, or none if it is unbounded.
fn time(reader: &mut Reader<'_>) -> Result<Option<i64>> {
    let expected = format!("expected a time in double quotes, as in RFC 3339, or {UNBOUNDED}");
    match reader.next()? {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::play::condition;
    use crate::play::fields::Mask;

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
        assert!(Active::parse(&"(".repeat(1_001)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in r#"[aé"(),/* \\:-]{0,20}|(activeBetween|\(|UNBOUNDED|"2021-|,| |\)|.){0,9}|(a|=|"\\"|OR|AND| |\(|\)|.){0,9}"#) {
            let _ = (Active::parse(&text), condition::parse(&text), Mask::parse(&text));
        }
    }
}
