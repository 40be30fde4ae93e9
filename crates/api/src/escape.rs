//! Escapes in URIs, read as Elasticsearch reads them.

use crate::error::ApiError;

/// The names and values of a query string; a name alone has an empty value.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    query
        .split(['&', ';'])
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

/// What a text with escapes stands for; `%%` is a percent sign.
pub fn decode(text: &str, plus_is_space: bool) -> Result<String, ApiError> {
    let refused = |told: String| Err(ApiError::bad_parameter(&told));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'+' if plus_is_space => decoded.push(b' '),
            b'%' => match (bytes.next(), text.as_bytes().get(at + 2)) {
                (None, _) => {
                    return refused(format!(
                        "unterminated escape sequence at end of string: {text}"
                    ));
                }
                (Some((_, b'%')), _) => decoded.push(b'%'),
                (_, None) => {
                    return refused(format!("partial escape sequence at end of string: {text}"));
                }
                (Some((_, high)), Some(low)) => {
                    bytes.next();
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    let (Some(high), Some(low)) = (digit(high), digit(*low)) else {
                        let shown: String = text[at..].chars().take(3).collect();
                        return refused(format!(
                            "invalid escape sequence `{shown}' at index {at} of: {text}"
                        ));
                    };
                    decoded.push((high * 16 + low) as u8);
                }
            },
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded)
        .map_err(|_| ApiError::bad_parameter(&format!("the escapes are no UTF-8: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_or_refused() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs("a=1%2B1+%C3%A9;b&&c==%%").expect("fine"),
            [pair("a", "1+1 é"), pair("b", ""), pair("c", "=%")]
        );
        assert_eq!(decode("a+b%2Fc", false).expect("fine"), "a+b/c");
        for (text, told) in [
            ("a%", "unterminated escape sequence at end of string: a%"),
            ("a%2", "partial escape sequence at end of string: a%2"),
            ("a%zz", "invalid escape sequence `%zz' at index 1 of: a%zz"),
            ("%é", "invalid escape sequence `%é' at index 0 of: %é"),
            ("%C3", "the escapes are no UTF-8: %C3"),
        ] {
            let error = decode(text, true).expect_err(text).0;
            assert_eq!(
                (error.status, error.kind, error.reason.as_str()),
                (400, "bad_parameter_exception", told)
            );
        }
    }
}
