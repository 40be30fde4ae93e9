//! Whether a PromQL query is wrapped in an aggregation: each of its series is then one that was asked for. What else
//! may be wrong in it the source says.

/// Those over which a forest may be grown.
const SUPPORTED: [&str; 9] = [
    "avg", "count", "group", "max", "min", "quantile", "stddev", "stdvar", "sum",
];

/// # Errors
/// What a query that isn't wrapped, or isn't whole, is told.
pub fn check(query: &str) -> Result<(), String> {
    let tokens = tokens(query)?;
    let mut inner = &tokens[..];
    while let Some(within) = within_parentheses(inner) {
        inner = within;
    }
    match is_aggregation(inner) {
        true => Ok(()),
        false => Err(format!(
            "The query must be wrapped in one of the aggregation operators {}",
            SUPPORTED.join(", ")
        )),
    }
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// Of parentheses; braces and brackets are other.
    Open,
    Close,
    Other,
}

/// Words and parentheses; what stands in quotes or comments is no part of them.
fn tokens(query: &str) -> Result<Vec<Token<'_>>, String> {
    let bytes = query.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'#' => at += until(&bytes[at..], |b| b == b'\n'),
            b'"' | b'\'' | b'`' => {
                at = quoted(bytes, start).ok_or("unterminated quoted string")?;
                tokens.push(Token::Other);
            }
            b'(' => {
                depth += 1;
                tokens.push(Token::Open);
            }
            b')' => {
                depth = depth
                    .checked_sub(1)
                    .ok_or("unexpected right parenthesis ')'")?;
                tokens.push(Token::Close);
            }
            byte if is_word(byte) => {
                at += until(&bytes[at..], |b| !is_word(b));
                tokens.push(Token::Word(&query[start..at]));
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
    }
    match depth {
        0 => Ok(tokens),
        _ => Err("unclosed left parenthesis".to_owned()),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.')
}

fn until(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> usize {
    let end = bytes.iter().position(|byte| is_end(*byte));
    end.unwrap_or(bytes.len())
}

/// Where a text in quotes that begins at `start` is over.
fn quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The parentheses that begin here, and what stands after them.
fn parentheses<'a, 'b>(tokens: &'b [Token<'a>]) -> Option<(&'b [Token<'a>], &'b [Token<'a>])> {
    if tokens.first() != Some(&Token::Open) {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some((&tokens[1..at], &tokens[at + 1..]));
        }
    }
    None
}

/// What the parentheses around all of it hold.
fn within_parentheses<'a, 'b>(tokens: &'b [Token<'a>]) -> Option<&'b [Token<'a>]> {
    let (within, rest) = parentheses(tokens)?;
    rest.is_empty().then_some(within)
}

/// `sum(..)`, `sum by (a) (..)` or `sum(..) without (a)`, and nothing after it.
fn is_aggregation(tokens: &[Token]) -> bool {
    let [Token::Word(operator), rest @ ..] = tokens else {
        return false;
    };
    let operator = operator.to_ascii_lowercase();
    if !SUPPORTED.contains(&operator.as_str()) {
        return false;
    }
    let before = grouping(rest);
    let Some((operand, rest)) = parentheses(before.unwrap_or(rest)) else {
        return false;
    };
    let rest = match before {
        None => grouping(rest).unwrap_or(rest),
        Some(_) => rest,
    };
    !operand.is_empty() && rest.is_empty()
}

/// What stands after `by (..)` or `without (..)`.
fn grouping<'a, 'b>(tokens: &'b [Token<'a>]) -> Option<&'b [Token<'a>]> {
    let [Token::Word(word), rest @ ..] = tokens else {
        return None;
    };
    let is_grouping = ["by", "without"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known));
    parentheses(rest)
        .filter(|_| is_grouping)
        .map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_wrapped_in_an_aggregation() {
        for query in [
            "avg(up)",
            "((SUM by (job, instance) (rate(x{a=\")\"}[5m]))))",
            "sum(x) without (pod) # all",
            "quantile(0.9, x offset 5m)",
            "avg(vector(time()))",
            "count by() (up == 0)",
            "# first\nmax(`a\\`)",
        ] {
            assert_eq!(check(query), Ok(()), "{query}");
        }
        for query in [
            "up",
            "rate(x[5m])",
            "sum(a) / sum(b)",
            "topk(3, x)",
            "sum",
            "sum()",
            "sum by (a)",
            "sum(a) by (b) c",
            "(sum(a)) + 1",
            "",
        ] {
            let told = check(query).expect_err(query);
            assert!(told.contains("must be wrapped"), "{query}: {told}");
        }
        for query in ["sum(a", "sum(a))", "sum(a{b=\"c})"] {
            let told = check(query).expect_err(query);
            assert!(!told.contains("must be wrapped"), "{query}: {told}");
        }
    }
}
