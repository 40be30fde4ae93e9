//! From the text of a script to its tokens.

use super::error::Fault;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// A whole number with its base: the suffix says its type.
    Whole {
        digits: String,
        radix: u32,
        long: bool,
    },
    Double(f64),
    Float(f32),
    Text(String),
    /// A regular expression and its flags.
    Regex(String, String),
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub token: Token,
    /// Byte offset.
    pub at: usize,
    pub end: usize,
}

/// The longest first.
const SIGNS: &[&str] = &[
    ">>>=", "<<=", ">>=", ">>>", "===", "!==", "==~", "=~", "==", "!=", "<=", ">=", "&&", "||",
    "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "?:", "?.", "->", "::",
    "{", "}", "(", ")", "[", "]", ";", ",", ".", ":", "?", "+", "-", "*", "/", "%", "<", ">", "=",
    "!", "~", "&", "|", "^", "$",
];

/// Where a script is wrong, and how.
pub(super) type Wrong = (usize, Fault);

fn wrong<T>(at: usize, reason: impl Into<String>) -> Result<T, Wrong> {
    Err((at, Fault::argument(reason)))
}

pub(super) fn tokens(source: &str) -> Result<Vec<Placed>, Wrong> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens: Vec<Placed> = Vec::new();
    loop {
        lexer.skip()?;
        let at = lexer.at;
        let token = lexer.token(tokens.last().map(|placed| &placed.token))?;
        let done = token == Token::End;
        let end = lexer.at;
        tokens.push(Placed { token, at, end });
        if done {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let len = rest.find(|char| !wanted(char)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Blanks and comments.
    fn skip(&mut self) -> Result<(), Wrong> {
        loop {
            self.take(char::is_whitespace);
            let rest = self.rest();
            if rest.starts_with("//") {
                self.take(|char| char != '\n');
            } else if rest.starts_with("/*") {
                match rest.find("*/") {
                    Some(len) => self.at += len + 2,
                    None => return wrong(self.at, "unexpected end of script."),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self, before: Option<&Token>) -> Result<Token, Wrong> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token::End);
        };
        let second = rest[first.len_utf8()..].chars().next();
        // After a dot comes a name: `a.0` is an element of a list.
        let digits = second.is_some_and(|char| char.is_ascii_digit());
        if first.is_ascii_digit() || (first == '.' && digits && !is_operand(before)) {
            return self.number(before == Some(&Token::Sign(".")));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take(|char| char.is_ascii_alphanumeric() || char == '_');
            return Ok(Token::Name(name.to_owned()));
        }
        if first == '\'' || first == '"' {
            return self.text(first);
        }
        if first == '/' && !is_operand(before) {
            return self.regex();
        }
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => wrong(self.at, format!("unexpected character [{first}].")),
        }
    }

    fn number(&mut self, index: bool) -> Result<Token, Wrong> {
        let at = self.at;
        let rest = self.rest();
        if rest.starts_with("0x") || rest.starts_with("0X") {
            self.at += 2;
            let digits = self.take(|char| char.is_ascii_hexdigit()).to_owned();
            let long = !self.take_one(&['l', 'L']).is_empty();
            return Ok(Token::Whole {
                digits,
                radix: 16,
                long,
            });
        }
        let mut digits = self.take(|char| char.is_ascii_digit()).to_owned();
        if index {
            return Ok(Token::Whole {
                digits,
                radix: 10,
                long: false,
            });
        }
        let mut whole = true;
        let next = self.rest();
        if next.starts_with('.') && next[1..].starts_with(|char: char| char.is_ascii_digit()) {
            self.at += 1;
            digits = format!("{digits}.{}", self.take(|char| char.is_ascii_digit()));
            whole = false;
        }
        if self.rest().starts_with(['e', 'E']) {
            self.at += 1;
            let sign = self.take_one(&['+', '-']);
            let exponent = self.take(|char| char.is_ascii_digit());
            digits = format!("{digits}e{sign}{exponent}");
            whole = false;
        }
        let invalid = |kind: &str| {
            (
                at,
                Fault::argument(format!("Invalid {kind} constant [{digits}].")),
            )
        };
        match self.take_one(&['l', 'L', 'f', 'F', 'd', 'D']) {
            "l" | "L" if whole => Ok(Token::Whole {
                digits,
                radix: 10,
                long: true,
            }),
            "f" | "F" => match digits.parse::<f32>() {
                Ok(number) if number.is_finite() => Ok(Token::Float(number)),
                _ => Err(invalid("float")),
            },
            "" if whole && digits.len() > 1 && digits.starts_with('0') => {
                let octal = digits.bytes().all(|digit| digit < b'8');
                let digits = digits.clone();
                if octal {
                    Ok(Token::Whole {
                        digits,
                        radix: 8,
                        long: false,
                    })
                } else {
                    Err(invalid("int"))
                }
            }
            "" if whole => Ok(Token::Whole {
                digits,
                radix: 10,
                long: false,
            }),
            "" | "d" | "D" => match digits.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Token::Double(number)),
                _ => Err(invalid("double")),
            },
            _ => Err(invalid("long")),
        }
    }

    fn take_one(&mut self, wanted: &[char]) -> &'s str {
        let rest = self.rest();
        let len = usize::from(rest.starts_with(wanted));
        self.at += len;
        &rest[..len]
    }

    fn text(&mut self, quote: char) -> Result<Token, Wrong> {
        let at = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((len, char)) = chars.next() {
            match char {
                '\\' => match chars.next() {
                    // As in Painless, which knows these only: `\n` is for whoever sends the script.
                    Some((_, char)) if char == quote || char == '\\' => text.push(char),
                    Some((len, char)) => {
                        let reason = format!(
                            "unexpected character [\\{char}]. The only valid escape sequences in strings starting with [{quote}] are [\\\\] and [\\{quote}]."
                        );
                        return wrong(at + len - 1, reason);
                    }
                    None => break,
                },
                char if char == quote => {
                    self.at = at + len + 1;
                    return Ok(Token::Text(text));
                }
                char => text.push(char),
            }
        }
        wrong(at, "unexpected end of script.")
    }

    fn regex(&mut self) -> Result<Token, Wrong> {
        let at = self.at;
        let mut pattern = String::new();
        let mut escaped = false;
        for (len, char) in self.rest().char_indices().skip(1) {
            match char {
                '\n' => break,
                '/' if !escaped => {
                    self.at = at + len + 1;
                    if pattern.is_empty() {
                        break;
                    }
                    let flags = self.take(|char| char.is_ascii_alphabetic());
                    return Ok(Token::Regex(pattern, flags.to_owned()));
                }
                // A slash is nothing special within the expression itself.
                '/' => {
                    pattern.pop();
                    pattern.push('/');
                    escaped = false;
                }
                char => {
                    pattern.push(char);
                    escaped = char == '\\' && !escaped;
                }
            }
        }
        wrong(at, "invalid sequence of tokens near ['/'].")
    }
}

/// Whether what comes after it is an operator: a slash divides then.
fn is_operand(before: Option<&Token>) -> bool {
    match before {
        Some(Token::Sign(sign)) => matches!(*sign, ")" | "]" | "}" | "++" | "--"),
        Some(Token::Name(name)) => name != "return",
        Some(Token::End) | None => false,
        Some(_) => true,
    }
}
