//! Words, numbers, durations and signs of a query.

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Word(String),
    Number(f64),
    /// Milliseconds.
    Duration(i64),
    Text(String),
    /// `{`, `=~`, `>=` ..
    Sign(&'static str),
}

/// A token and the byte at which it begins.
pub type Placed = (usize, Token);

/// The longer ones first.
const SIGNS: [&str; 24] = [
    "=~", "!~", "!=", "==", ">=", "<=", "=", ">", "<", "{", "}", "(", ")", "[", "]", ",", "+", "-",
    "*", "/", "%", "^", ":", "@",
];

/// # Errors
/// The byte at which something stands that is no token, and what is said of it.
pub fn tokens(query: &str) -> Result<Vec<Placed>, (usize, String)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = query[at..].chars().next() {
        let rest = &query[at..];
        let start = at;
        let is_number = first.is_ascii_digit()
            || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first == '#' {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if is_number {
            let length = number_length(rest);
            tokens.push((
                start,
                number(&rest[..length]).ok_or_else(|| {
                    let told = format!("bad number or duration syntax: \"{}\"", &rest[..length]);
                    (start, told)
                })?,
            ));
            at += length;
        } else if matches!(first, '"' | '\'' | '`') {
            let (text, length) =
                quoted(rest, first).ok_or((start, "unterminated quoted string".to_owned()))?;
            tokens.push((start, Token::Text(text)));
            at += length;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
            let length = rest.find(is_end).unwrap_or(rest.len());
            tokens.push((start, Token::Word(rest[..length].to_owned())));
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push((start, Token::Sign(sign)));
            at += sign.len();
        } else {
            return Err((start, format!("unexpected character: '{first}'")));
        }
    }
    Ok(tokens)
}

/// Digits, letters and points; and the sign of an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let is_exponent = at > 0
            && matches!(byte, b'+' | b'-')
            && matches!(bytes[at - 1], b'e' | b'E')
            && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || *byte == b'.' || is_exponent) {
            break;
        }
        at += 1;
    }
    at
}

fn number(text: &str) -> Option<Token> {
    if let Some(hexadecimal) = text.strip_prefix("0x") {
        let number = i64::from_str_radix(hexadecimal, 16).ok()?;
        return Some(Token::Number(number as f64));
    }
    match text.parse() {
        Ok(number) => Some(Token::Number(number)),
        Err(_) => duration(text).map(Token::Duration),
    }
}

/// `1h30m` in milliseconds; each unit once, the larger before the smaller.
pub fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut rest = text;
    let mut sum = 0_i64;
    let mut from = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = &rest[..rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len())];
        let place = UNITS.iter().position(|(name, _)| *name == unit)?;
        if place < from {
            return None;
        }
        from = place + 1;
        sum = sum.checked_add(number.checked_mul(UNITS[place].1)?)?;
        rest = &rest[unit.len()..];
    }
    (sum > 0).then_some(sum)
}

/// A text in quotes, and how many bytes it takes.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + c.len_utf8())),
            '\\' if quote != '`' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other @ ('\\' | '"' | '\'') => other,
                // As a regular expression has them they must be doubled.
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}
