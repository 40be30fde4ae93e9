//! The tokens of JSON text, one after the other, each with its place.

use std::fmt;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::body;
use crate::content::Failure;

/// Deeper nesting would use up the stack.
const DEEPEST: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    StartObject,
    EndObject,
    StartArray,
    EndArray,
    /// A field's name, too.
    String,
    Number,
    True,
    False,
    Null,
    End,
}

impl Kind {
    /// As Elasticsearch calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartObject => "START_OBJECT",
            Self::EndObject => "END_OBJECT",
            Self::StartArray => "START_ARRAY",
            Self::EndArray => "END_ARRAY",
            Self::String => "VALUE_STRING",
            Self::Number => "VALUE_NUMBER",
            Self::True | Self::False => "VALUE_BOOLEAN",
            Self::Null => "VALUE_NULL",
            Self::End => "null",
        }
    }
}

/// Line and column, from one; a column is a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.line, self.column)
    }
}

/// What may come next.
#[derive(Clone, Copy)]
enum Next {
    Value,
    /// Behind an opening bracket: a first one, or the closing bracket.
    First,
    /// Behind a field's name.
    ValueOf,
    /// Behind a value: another one, or a closing bracket.
    More,
}

pub struct Tokens<'b> {
    bytes: &'b [u8],
    at: usize,
    line: usize,
    line_start: usize,
    next: Next,
    /// For each open bracket whether it is an object's.
    open: Vec<bool>,
    /// Of the current token.
    pub kind: Kind,
    start: usize,
    place: Place,
}

type Result<T> = std::result::Result<T, Failure>;

impl<'b> Tokens<'b> {
    /// At the first token.
    pub fn new(bytes: &'b [u8]) -> Result<Self> {
        let mut tokens = Self {
            bytes,
            at: 0,
            line: 1,
            line_start: 0,
            next: Next::Value,
            open: Vec::new(),
            kind: Kind::End,
            start: 0,
            place: Place { line: 1, column: 1 },
        };
        tokens.advance()?;
        Ok(tokens)
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// The text of the current token as it stands there.
    pub fn raw(&self) -> &'b str {
        std::str::from_utf8(&self.bytes[self.start..self.at]).unwrap_or_default()
    }

    /// The text that the current token, a string, stands for.
    pub fn string(&self) -> Result<String> {
        serde_json::from_slice(&self.bytes[self.start..self.at])
            .map_err(|error| self.malformed(text_of(&error.to_string())))
    }

    /// The value that begins at the current token; then its last token is the current one.
    pub fn whole(&mut self) -> Result<Value> {
        let (start, depth) = (self.start, self.open.len());
        if matches!(self.kind, Kind::StartObject | Kind::StartArray) {
            while self.open.len() >= depth {
                self.advance()?;
            }
        }
        serde_json::from_slice(&self.bytes[start..self.at])
            .map_err(|error| self.malformed(text_of(&error.to_string())))
    }

    /// Goes to the next token.
    pub fn advance(&mut self) -> Result<()> {
        self.skip_space();
        match (self.next, self.open.last()) {
            (Next::More, None) => {
                self.begin();
                self.kind = Kind::End;
                match self.peek() {
                    None => Ok(()),
                    Some(_) => Err(self.malformed("Unexpected content after the end of the value")),
                }
            }
            (Next::First | Next::More, Some(in_object)) => {
                let in_object = *in_object;
                let close = if in_object { b'}' } else { b']' };
                if self.peek() == Some(close) {
                    self.begin();
                    self.at += 1;
                    self.open.pop();
                    self.kind = if in_object {
                        Kind::EndObject
                    } else {
                        Kind::EndArray
                    };
                    self.next = Next::More;
                    return Ok(());
                }
                if matches!(self.next, Next::More) {
                    self.expect(b',', "was expecting comma to separate entries")?;
                }
                if in_object { self.name() } else { self.value() }
            }
            (Next::ValueOf, _) => {
                self.expect(
                    b':',
                    "was expecting a colon to separate field name and value",
                )?;
                self.value()
            }
            (Next::Value | Next::First, _) => self.value(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    /// The current token begins here.
    fn begin(&mut self) {
        self.start = self.at;
        self.place = Place {
            line: self.line,
            column: self.at - self.line_start + 1,
        };
    }

    fn expect(&mut self, wanted: u8, told: &str) -> Result<()> {
        if self.peek() != Some(wanted) {
            self.begin();
            return Err(self.unexpected(told));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn name(&mut self) -> Result<()> {
        self.begin();
        match self.peek() {
            Some(b'"') => self.quoted()?,
            _ => return Err(self.unexpected("was expecting double-quote to start field name")),
        }
        self.next = Next::ValueOf;
        Ok(())
    }

    fn value(&mut self) -> Result<()> {
        self.begin();
        self.next = Next::More;
        match self.peek() {
            Some(bracket @ (b'{' | b'[')) => {
                let is_object = bracket == b'{';
                self.at += 1;
                self.open.push(is_object);
                if self.open.len() > DEEPEST {
                    let told = format!(
                        "Document nesting depth ({}) exceeds the maximum allowed ({DEEPEST})",
                        self.open.len()
                    );
                    return Err(self.malformed(&told));
                }
                self.kind = if is_object {
                    Kind::StartObject
                } else {
                    Kind::StartArray
                };
                self.next = Next::First;
                Ok(())
            }
            Some(b'"') => self.quoted(),
            Some(b'-' | b'0'..=b'9') => {
                while matches!(
                    self.peek(),
                    Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
                ) {
                    self.at += 1;
                }
                self.kind = Kind::Number;
                serde_json::from_str::<IgnoredAny>(self.raw())
                    .map(|_| ())
                    .map_err(|error| self.malformed(text_of(&error.to_string())))
            }
            _ => {
                for (word, kind) in [
                    ("true", Kind::True),
                    ("false", Kind::False),
                    ("null", Kind::Null),
                ] {
                    if self.bytes[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        self.kind = kind;
                        return Ok(());
                    }
                }
                Err(self.unexpected("expected a valid value"))
            }
        }
    }

    fn quoted(&mut self) -> Result<()> {
        self.kind = Kind::String;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.malformed("Unexpected end-of-input in VALUE_STRING")),
                Some(b'"') => break,
                Some(b'\\') => self.at = self.bytes.len().min(self.at + 2),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn unexpected(&self, told: &str) -> Failure {
        match self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.utf8_chunks().next())
        {
            None => self.malformed("Unexpected end-of-input"),
            Some(chunk) => {
                let char = chunk
                    .valid()
                    .chars()
                    .next()
                    .unwrap_or(char::REPLACEMENT_CHARACTER);
                let code = u32::from(char);
                self.malformed(&format!(
                    "Unexpected character ('{char}' (code {code})): {told}"
                ))
            }
        }
    }

    /// The refusal of text that is no JSON, at the current token.
    pub fn malformed(&self, told: &str) -> Failure {
        Failure::told(body::malformed(self.place, told))
    }
}

/// What serde_json tells, less its place: there is but one token.
fn text_of(told: &str) -> &str {
    told.rsplit_once(" at line ").map_or(told, |(told, _)| told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>> {
        let mut tokens = Tokens::new(text.as_bytes())?;
        let mut read = Vec::new();
        while tokens.kind != Kind::End {
            if tokens.kind == Kind::String {
                tokens.string()?;
            }
            read.push(format!("{}{}", tokens.place(), tokens.raw()));
            tokens.advance()?;
        }
        Ok(read)
    }

    #[test]
    fn tokens_have_their_places() {
        let text = "{\"a\" : [1.5e3,\n  true, \"é\\\"\", {}],\"b\":null }";
        assert_eq!(
            read(text).expect("fine"),
            [
                "[1:1]{",
                "[1:2]\"a\"",
                "[1:8][",
                "[1:9]1.5e3",
                "[2:3]true",
                "[2:9]\"é\\\"\"",
                "[2:17]{",
                "[2:18]}",
                "[2:19]]",
                "[2:21]\"b\"",
                "[2:25]null",
                "[2:30]}"
            ]
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(200_000);
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\" 1}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "[1}",
            "{]",
            "01",
            "1.",
            "-",
            "tru",
            "\"a",
            "\"\\",
            "\"\\ud800\"",
            "\"\n\"",
            "{} {}",
            "\u{7f}",
            &deep,
        ] {
            assert!(matches!(read(text), Err(Failure::Told(_))), "{text:.20}");
        }
    }
}
