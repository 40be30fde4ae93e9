//! `filter` of rows: AIP-160 with equalities of dimensions. `OR` binds more than `AND`, which may be left out.

use tidewatch_jobs::play::Condition;

use super::error::Result;
use super::tokens::{Reader, Token, wrong};

/// How far parentheses stand within one another.
const DEEPEST: usize = 20;

/// A blank filter holds for everything.
pub fn parse(text: &str) -> Result<Condition> {
    let mut reader = Reader::new(text)?;
    if reader.peek()?.1 == Token::End {
        return Ok(Condition::default());
    }
    let condition = all(&mut reader, 0)?;
    match reader.next()? {
        (_, Token::End) => Ok(condition),
        (at, other) => Err(wrong(format!(
            "expected the end at position {at}, found {}",
            other.told()
        ))),
    }
}

fn all(reader: &mut Reader<'_>, depth: usize) -> Result<Condition> {
    let mut parts = vec![any(reader, depth)?];
    loop {
        match reader.peek()?.1 {
            Token::Word("AND") => {
                reader.next()?;
            }
            Token::Word(_) | Token::Sign('(') => {}
            _ => return Ok(Condition::All(parts)),
        }
        parts.push(any(reader, depth)?);
    }
}

fn any(reader: &mut Reader<'_>, depth: usize) -> Result<Condition> {
    let mut parts = vec![one(reader, depth)?];
    while reader.peek()?.1 == Token::Word("OR") {
        reader.next()?;
        parts.push(one(reader, depth)?);
    }
    Ok(Condition::Any(parts))
}

fn one(reader: &mut Reader<'_>, depth: usize) -> Result<Condition> {
    match reader.next()? {
        (at, Token::Sign('(')) if depth == DEEPEST => Err(wrong(format!(
            "more than {DEEPEST} parentheses within one another at position {at}"
        ))),
        (_, Token::Sign('(')) => {
            let condition = all(reader, depth + 1)?;
            reader.sign(')')?;
            Ok(condition)
        }
        (at, Token::Word(word @ ("AND" | "OR" | "NOT"))) => Err(wrong(format!(
            "expected dimension = value at position {at}, found '{word}'"
        ))),
        (_, Token::Word(dimension)) => {
            reader.sign('=')?;
            let value = match reader.next()? {
                (_, Token::Word(value)) => value.to_owned(),
                (_, Token::Quoted(value)) => unescaped(value),
                (at, other) => {
                    return Err(wrong(format!(
                        "expected a value at position {at}, found {}",
                        other.told()
                    )));
                }
            };
            Ok(Condition::Is {
                dimension: dimension.to_owned(),
                value,
            })
        }
        (at, other) => Err(wrong(format!(
            "expected dimension = value at position {at}, found {}: equality is all that is supported",
            other.told()
        ))),
    }
}

/// A backslash stands for the character behind it.
fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.extend(match c {
            '\\' => chars.next(),
            c => Some(c),
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equalities_are_read() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let us = [pair("versionCode", "102"), pair("countryCode", "US")];
        let de = [pair("versionCode", "103"), pair("countryCode", "D\"E")];
        for (filter, holds) in [
            ("", [true, true]),
            ("versionCode = 102", [true, false]),
            (r#"versionCode="102" AND countryCode = US"#, [true, false]),
            (r#"versionCode=102 countryCode="D\"E""#, [false, false]),
            (r#"countryCode = US OR countryCode = "D\"E""#, [true, true]),
            // As AIP-160 has it, OR binds more.
            (
                "versionCode = 103 AND countryCode = US OR versionCode = 103",
                [false, true],
            ),
            (
                "(versionCode = 103 AND countryCode = FR) OR versionCode = 102",
                [true, false],
            ),
        ] {
            let condition = parse(filter).expect(filter);
            assert_eq!(
                [condition.holds(&us), condition.holds(&de)],
                holds,
                "{filter}"
            );
        }
    }

    #[test]
    fn what_is_no_equality_is_refused_with_its_place() {
        let deep = "(".repeat(DEEPEST + 1);
        for (filter, told) in [
            ("versionCode", "expected '=' at position 11, found the end"),
            ("versionCode != 1", "expected '=' at position 12, found '!'"),
            ("a = ", "expected a value at position 4, found the end"),
            (
                "NOT a = 1",
                "expected dimension = value at position 0, found 'NOT'",
            ),
            (
                "a = 1 AND",
                "expected dimension = value at position 9, found the end: equality is all that is supported",
            ),
            ("a = 1)", "expected the end at position 5, found ')'"),
            ("(a = 1", "expected ')' at position 6, found the end"),
            ("a = \"1\\\"", "the quote at position 4 isn't closed"),
            (
                &deep,
                "more than 20 parentheses within one another at position 20",
            ),
        ] {
            let error = parse(filter).expect_err(filter);
            assert_eq!(
                error.message,
                format!("Invalid value for filter: {told}"),
                "{filter}"
            );
        }
    }
}
