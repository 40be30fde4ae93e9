//! A document's JSON, walked once from its first byte to its last
//!
//! No tree is built: texts are parts of the document unless they have escapes. What is wrong is said as Jackson says it,
//! with its line and column.

use std::borrow::Cow;

/// The start of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// Followed by its keys: [`Json::key`].
    Object,
    /// Followed by its elements: [`Json::element`].
    Array,
    Text(Text<'a>),
    /// As it is written; its form is checked.
    Number(&'a str),
    Bool(bool),
    Null,
}

/// A string of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    /// Where its first character is.
    pub start: usize,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Malformed {
    pub at: usize,
    pub reason: String,
}

pub type Result<T> = std::result::Result<T, Malformed>;

/// Arrays and objects within each other; more would cost the stack.
const DEPTH: usize = 500;

pub struct Json<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token began.
    token: usize,
    depth: usize,
}

/// What ends a run of plain characters: quotes, a backslash, and what may not stand in a string.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

impl<'a> Json<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            token: 0,
            depth: 0,
        }
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where the last token began.
    pub fn token_start(&self) -> usize {
        self.token
    }

    pub fn position(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads the start of a value.
    pub fn value(&mut self) -> Result<Token<'a>> {
        self.skip_blanks();
        self.token = self.at;
        match self.peek() {
            Some(b'"') => Ok(Token::Text(self.string()?)),
            Some(b'{') => {
                self.open()?;
                Ok(Token::Object)
            }
            Some(b'[') => {
                self.open()?;
                Ok(Token::Array)
            }
            Some(b'-' | b'0'..=b'9') => Ok(Token::Number(self.number()?)),
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            Some(b'n') => self.word("null", Token::Null),
            _ => Err(self.unexpected(
                "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            )),
        }
    }

    fn open(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.fail(format!(
                "Document nesting depth ({}) exceeds the maximum allowed ({DEPTH})",
                self.depth
            )));
        }
        Ok(())
    }

    /// The next key of an object, its value to be read next; None at the object's end. `first` is true before the first
    /// and false from then on.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Text<'a>>> {
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(None);
        }
        if !*first {
            if self.peek() != Some(b',') {
                return Err(self.unexpected("was expecting comma to separate Object entries"));
            }
            self.at += 1;
            self.skip_blanks();
        }
        *first = false;
        self.token = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("was expecting double-quote to start field name"));
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("was expecting a colon to separate field name and value"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether an array has one more element, to be read next.
    pub fn element(&mut self, first: &mut bool) -> Result<bool> {
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if !*first {
            if self.peek() != Some(b',') {
                return Err(self.unexpected("was expecting comma to separate Array entries"));
            }
            self.at += 1;
        }
        *first = false;
        Ok(true)
    }

    /// Reads what is left of a value that has begun.
    pub fn skip(&mut self, begun: &Token<'a>) -> Result<()> {
        // A loop, not a recursion, since nobody needs what is inside.
        let mut open = Vec::new();
        let mut token = begun.clone();
        loop {
            match token {
                Token::Object => open.push((true, true)),
                Token::Array => open.push((false, true)),
                _ => {}
            }
            loop {
                let Some((object, first)) = open.last_mut() else {
                    return Ok(());
                };
                let more = if *object {
                    self.key(first)?.is_some()
                } else {
                    self.element(first)?
                };
                if more {
                    break;
                }
                open.pop();
            }
            token = self.value()?;
        }
    }

    /// Whether nothing but blanks follows.
    pub fn at_end(&mut self) -> bool {
        self.skip_blanks();
        self.at == self.text.len()
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>> {
        let rest = &self.text.as_bytes()[self.at..];
        let end = rest
            .iter()
            .position(|b| !b.is_ascii_alphanumeric() && *b != b'_' && *b < 0x80)
            .unwrap_or(rest.len());
        if &rest[..end] == word.as_bytes() {
            self.at += end;
            return Ok(token);
        }
        let found = String::from_utf8_lossy(&rest[..end]).into_owned();
        Err(self.fail(format!(
            "Unrecognized token '{found}': was expecting (JSON String, Number, Array, Object or token 'null', \
             'true' or 'false')"
        )))
    }

    fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => {
                self.at += 1;
                if matches!(self.peek(), Some(b'0'..=b'9')) {
                    return Err(
                        self.fail("Invalid numeric value: Leading zeroes not allowed".to_owned())
                    );
                }
            }
            Some(b'1'..=b'9') => self.digits(),
            _ => {
                return Err(self.unexpected(
                    "expected digit (0-9) to follow minus sign, for valid numeric value",
                ));
            }
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("Decimal point not followed by a digit"));
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.unexpected("Exponent indicator not followed by a digit"));
            }
            self.digits();
        }
        match self.peek() {
            None | Some(b' ' | b'\n' | b'\t' | b'\r' | b',' | b']' | b'}') => {
                Ok(&self.text[start..self.at])
            }
            _ => Err(self.unexpected("Expected space separating root-level values")),
        }
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    /// A string; its opening quotes are next.
    fn string(&mut self) -> Result<Text<'a>> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        while at < bytes.len() && !ENDS[bytes[at] as usize] {
            at += 1;
        }
        if bytes.get(at) == Some(&b'"') {
            self.at = at + 1;
            return Ok(Text {
                text: Cow::Borrowed(&self.text[start..at]),
                start,
            });
        }
        let mut text = self.text[start..at].to_owned();
        self.at = at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text {
                        text: Cow::Owned(text),
                        start,
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(control) if control < 0x20 => {
                    return Err(self.fail(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {control})): has to be escaped using \
                         backslash to be included in string value"
                    )));
                }
                Some(_) => {
                    let from = self.at;
                    while self.at < bytes.len() && !ENDS[bytes[self.at] as usize] {
                        self.at += 1;
                    }
                    text.push_str(&self.text[from..self.at]);
                }
                None => {
                    return Err(self.fail(
                        "Unexpected end-of-input: was expecting closing quote for a string value"
                            .to_owned(),
                    ));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let escaped = match self.peek() {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(plain @ (b'"' | b'\\' | b'/')) => plain as char,
            Some(b'u') => {
                self.at += 1;
                let unit = self.unit()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    // A lone half of a pair is no character; Java writes a question mark for it.
                    return Ok(char::from_u32(unit).unwrap_or('?'));
                }
                if !self.text[self.at..].starts_with("\\u") {
                    return Ok('?');
                }
                let before = self.at;
                self.at += 2;
                let low = self.unit()?;
                if !(0xdc00..0xe000).contains(&low) {
                    self.at = before;
                    return Ok('?');
                }
                let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or('?'));
            }
            _ => return Err(self.unexpected("Unrecognized character escape")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unit(&mut self) -> Result<u32> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at..self.at + 4)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(self.unexpected("expected a hex-digit for character escape sequence"));
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |unit, digit| {
            unit * 16 + (*digit as char).to_digit(16).unwrap_or(0)
        }))
    }

    fn fail(&self, reason: String) -> Malformed {
        Malformed {
            at: self.at,
            reason,
        }
    }

    fn unexpected(&self, expected: &str) -> Malformed {
        match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            None => self.fail(format!("Unexpected end-of-input: {expected}")),
            Some(c) => self.fail(format!(
                "Unexpected character ('{c}' (code {})): {expected}",
                u32::from(c)
            )),
        }
    }
}

/// Line and column of a byte of a text, both from 1.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    /// The tree that a walk sees.
    fn tree(json: &mut Json<'_>) -> Result<Value> {
        let token = json.value()?;
        Ok(match token {
            Token::Object => {
                let (mut object, mut first) = (Map::new(), true);
                while let Some(key) = json.key(&mut first)? {
                    object.insert(key.text.into_owned(), tree(json)?);
                }
                Value::Object(object)
            }
            Token::Array => {
                let (mut array, mut first) = (Vec::new(), true);
                while json.element(&mut first)? {
                    array.push(tree(json)?);
                }
                Value::Array(array)
            }
            Token::Text(text) => Value::String(text.text.into_owned()),
            Token::Number(number) => serde_json::from_str(number).unwrap(),
            Token::Bool(is) => Value::Bool(is),
            Token::Null => Value::Null,
        })
    }

    fn read(text: &str) -> Result<Value> {
        let mut json = Json::new(text);
        let value = tree(&mut json)?;
        if json.at_end() {
            Ok(value)
        } else {
            Err(json.unexpected("the end"))
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Without more digits than serde reads exactly.
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            "\\PC{0,12}|[\"\\\\\n\u{1}a]{0,6}|[\u{10000}-\u{10fff}]{1,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,5}|[a-c\"\\\\]{1,3}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_and_skipped(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(read(&text).unwrap(), value);
            let mut json = Json::new(&text);
            let token = json.value().unwrap();
            json.skip(&token).unwrap();
            prop_assert!(json.at_end());
        }

        #[test]
        fn what_serde_refuses_is_refused(text in "[\\[\\]{},:\"a\\\\u0-9ed.tfnrlse+ \u{1}-]{0,14}") {
            let expected = serde_json::from_str::<Value>(&text);
            let found = read(&text);
            // Half pairs, and numbers beyond doubles, are Java's to take.
            let odd = text.contains("\\u") || text.contains(['e', 'E']);
            prop_assert!(expected.is_ok() == found.is_ok() || odd, "{expected:?} {found:?}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(
            read(r#""a\u00e9\ud83d\ude00\n\/\ud83dx""#).unwrap(),
            Value::from("aé😀\n/?x")
        );
        assert_eq!(
            read("{\"a\":\n  tru}").unwrap_err().reason,
            "Unrecognized token 'tru': was expecting (JSON String, Number, Array, Object or token 'null', 'true' \
             or 'false')"
        );
        assert_eq!(place("{\"a\":\n  tru}", 8), (2, 3));
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
