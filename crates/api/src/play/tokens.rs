//! The tokens of a filter, as AIP-160 has them.

use super::error::{PlayError, Result};

/// Bytes of a filter.
const LONGEST: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    Word(&'a str),
    /// What stands between quotes, with its escapes.
    Quoted(&'a str),
    Sign(char),
    End,
}

impl Token<'_> {
    pub fn told(self) -> String {
        match self {
            Self::Word(text) => format!("'{text}'"),
            Self::Quoted(text) => format!("\"{text}\""),
            Self::Sign(c) => format!("'{c}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

pub fn wrong(told: String) -> PlayError {
    PlayError::bad("filter", told)
}

pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Result<Self> {
        match text.len() > LONGEST {
            true => Err(wrong(format!("longer than {LONGEST} bytes"))),
            false => Ok(Self { text, at: 0 }),
        }
    }

    /// The next token, where it begins, and where it ends.
    fn look(&self) -> Result<(usize, Token<'a>, usize)> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let token = rest.trim_start();
        let at = self.at + rest.len() - token.len();
        let is_part = |c: char| c.is_alphanumeric() || "_.-:+".contains(c);
        let end_of = |length: usize| at + length;
        Ok(match token.chars().next() {
            None => (at, Token::End, at),
            Some('"') => match closing(&token[1..]) {
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

    pub fn peek(&self) -> Result<(usize, Token<'a>)> {
        self.look().map(|(at, token, _)| (at, token))
    }

    pub fn next(&mut self) -> Result<(usize, Token<'a>)> {
        let (at, token, end) = self.look()?;
        self.at = end;
        Ok((at, token))
    }

    pub fn sign(&mut self, sign: char) -> Result<()> {
        match self.next()? {
            (_, Token::Sign(c)) if c == sign => Ok(()),
            (at, other) => Err(wrong(format!(
                "expected '{sign}' at position {at}, found {}",
                other.told()
            ))),
        }
    }
}

/// The place of the quote that ends a text.
fn closing(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}
