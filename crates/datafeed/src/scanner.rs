//! Where a JSON object ends, found byte by byte, however the bytes come in pieces.
//!
//! It accepts every JSON object, and more: the words and numbers, the escapes and the encoding are left to the
//! parser that reads the record afterwards. What it does see at once is what a line that was cut off leads to: a
//! value where none can be, or a string that runs over the end of its line.

use memchr::memchr3;

/// Objects and arrays within each other, the record itself included. A deeper record is bad.
pub(crate) const MAX_DEPTH: u32 = 32;
/// Depth to which the end of a record that is too deep is still found.
const MAX_STACK: u32 = u128::BITS;

#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    /// One bit a level, the innermost lowest: whether it is an object.
    stack: u128,
    depth: u32,
    expect: Expect,
    inside: Inside,
    /// Only blanks since the line began.
    line_is_blank: bool,
    too_deep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Expect {
    KeyOrEnd,
    Key,
    Colon,
    ValueOrEnd,
    Value,
    CommaOrEnd,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Inside {
    Structure,
    String,
    Escape,
    /// A number, `true`, `false` or `null`.
    Word,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scan {
    Incomplete,
    /// The object ends before this offset.
    Complete(usize),
    /// The byte at this offset can't be part of an object.
    Broken(usize),
}

impl Scanner {
    /// At the `{` of an object.
    pub fn new() -> Self {
        Self {
            stack: 0,
            depth: 0,
            expect: Expect::Value,
            inside: Inside::Structure,
            line_is_blank: false,
            too_deep: false,
        }
    }

    pub fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// Whether the byte that broke the object is the first on its line.
    pub fn broke_at_line_start(&self) -> bool {
        self.line_is_blank
    }

    /// Goes on with the bytes after those of the last call.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while at < bytes.len() {
            match self.inside {
                Inside::String => match memchr3(b'"', b'\\', b'\n', &bytes[at..]) {
                    None => return Scan::Incomplete,
                    Some(found) => {
                        at += found;
                        match bytes[at] {
                            b'"' => self.inside = Inside::Structure,
                            b'\\' => self.inside = Inside::Escape,
                            _ => return Scan::Broken(at),
                        }
                    }
                },
                Inside::Escape if bytes[at] == b'\n' => return Scan::Broken(at),
                Inside::Escape => self.inside = Inside::String,
                Inside::Word if !is_structure(bytes[at]) => {}
                Inside::Word | Inside::Structure => {
                    self.inside = Inside::Structure;
                    if !self.step(bytes[at]) {
                        return Scan::Broken(at);
                    }
                    if self.depth == 0 {
                        return Scan::Complete(at + 1);
                    }
                }
            }
            at += 1;
        }
        Scan::Incomplete
    }

    /// Takes a byte outside of strings and words. False when it can't be there.
    fn step(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => self.line_is_blank = true,
            b' ' | b'\t' | b'\r' => {}
            _ => {
                if !self.place(byte) {
                    return false;
                }
                self.line_is_blank = false;
            }
        }
        true
    }

    fn place(&mut self, byte: u8) -> bool {
        let value = matches!(self.expect, Expect::Value | Expect::ValueOrEnd);
        let in_object = self.stack & 1 == 1;
        match byte {
            b'{' | b'[' if value && self.depth < MAX_STACK => {
                self.stack = self.stack << 1 | u128::from(byte == b'{');
                self.depth += 1;
                self.too_deep |= self.depth > MAX_DEPTH;
                self.expect = if byte == b'{' {
                    Expect::KeyOrEnd
                } else {
                    Expect::ValueOrEnd
                };
            }
            b'}' if in_object && matches!(self.expect, Expect::KeyOrEnd | Expect::CommaOrEnd) => {
                self.close()
            }
            b']' if !in_object
                && matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd) =>
            {
                self.close()
            }
            b',' if self.expect == Expect::CommaOrEnd => {
                self.expect = if in_object {
                    Expect::Key
                } else {
                    Expect::Value
                };
            }
            b':' if self.expect == Expect::Colon => self.expect = Expect::Value,
            b'"' => {
                self.expect = match self.expect {
                    Expect::KeyOrEnd | Expect::Key => Expect::Colon,
                    Expect::Value | Expect::ValueOrEnd => Expect::CommaOrEnd,
                    Expect::Colon | Expect::CommaOrEnd => return false,
                };
                self.inside = Inside::String;
            }
            _ if value && !is_structure(byte) => {
                self.expect = Expect::CommaOrEnd;
                self.inside = Inside::Word;
            }
            _ => return false,
        }
        true
    }

    fn close(&mut self) {
        self.stack >>= 1;
        self.depth -= 1;
        self.expect = Expect::CommaOrEnd;
    }
}

/// What ends a word.
fn is_structure(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b' ' | b'\t' | b'\r' | b'\n'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Scan {
        let mut scanner = Scanner::new();
        let whole = scanner.scan(text.as_bytes());
        let mut scanner = Scanner::new();
        let mut pieces = Scan::Incomplete;
        for (at, byte) in text.bytes().enumerate() {
            pieces = match scanner.scan(&[byte]) {
                Scan::Incomplete => continue,
                Scan::Complete(end) => Scan::Complete(at + end),
                Scan::Broken(offset) => Scan::Broken(at + offset),
            };
            break;
        }
        assert_eq!(whole, pieces, "{text}");
        whole
    }

    #[test]
    fn ends_are_found() {
        for object in [
            "{}",
            "{ }",
            r#"{"a":1}"#,
            r#"{"a":"}\"{","b":[1,[],{"c":null}]}"#,
            "{\n\"a\":\n{\"b\":[\n{}\n]}\n}",
        ] {
            assert_eq!(scan(object), Scan::Complete(object.len()), "{object}");
            assert_eq!(
                scan(&format!("{object}{{")),
                Scan::Complete(object.len()),
                "{object}"
            );
            assert_eq!(
                scan(&object[..object.len() - 1]),
                Scan::Incomplete,
                "{object}"
            );
        }
    }

    #[test]
    fn breaks_are_found() {
        for (text, at) in [
            ("{\"a\":1\n{\"b\":2}", 7),
            ("{\"a\n", 3),
            ("{\"a\\\n", 4),
            ("{a", 1),
            ("{\"a\"}", 4),
            ("{\"a\":1,}", 7),
            ("{\"a\":[1}", 7),
            ("{]", 1),
            ("{\"a\":1 2", 7),
        ] {
            assert_eq!(scan(text), Scan::Broken(at), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        for (depth, too_deep) in [(32, false), (33, true), (128, true)] {
            let mut scanner = Scanner::new();
            assert_eq!(
                scanner.scan(nested(depth).as_bytes()),
                Scan::Complete(nested(depth).len())
            );
            assert_eq!(scanner.is_too_deep(), too_deep);
        }
        assert!(matches!(scan(&nested(129)), Scan::Broken(_)));
    }
}
