//! Numbers as Elasticsearch takes them: out of texts too, with a fraction cut off, within the range of their type

use super::super::error::Refusal;
use super::super::json::Token;
use super::super::mapping::Kind;
use super::super::reader::turned;
use super::Leaf;

type Result<T> = std::result::Result<T, Refusal>;

/// The number of a field of one of the numeric kinds.
pub fn number(kind: &Kind, token: &Token<'_>, coerce: bool) -> Result<Leaf> {
    Ok(match kind {
        Kind::Long => Leaf::Integer(long(token, coerce)?),
        Kind::Integer => integer(
            token,
            coerce,
            (i32::MIN.into(), i32::MAX.into()),
            "an integer",
            "Integer",
            "int",
        )?,
        Kind::Short => integer(
            token,
            coerce,
            (i16::MIN.into(), i16::MAX.into()),
            "a short",
            "Short",
            "short",
        )?,
        Kind::Byte => integer(
            token,
            coerce,
            (i8::MIN.into(), i8::MAX.into()),
            "a byte",
            "Byte",
            "byte",
        )?,
        Kind::UnsignedLong => Leaf::Integer(turned(unsigned(token, coerce)?)),
        Kind::Float => {
            // As wide as it is stored in Elasticsearch.
            #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
            let value = float(token, coerce, "Float")? as f32;
            finite(value.into(), "float", token)?
        }
        Kind::HalfFloat => {
            let value = half(float(token, coerce, "Float")?);
            finite(value, "half_float", token)?
        }
        Kind::ScaledFloat { scaling_factor } => {
            let value = float(token, coerce, "Double")?;
            finite(
                (value * scaling_factor).round() / scaling_factor,
                "scaled_float",
                token,
            )?
        }
        _ => finite(float(token, coerce, "Double")?, "double", token)?,
    })
}

fn finite(value: f64, kind: &str, token: &Token<'_>) -> Result<Leaf> {
    if value.is_finite() {
        return Ok(Leaf::Float(value));
    }
    let shown = match token {
        Token::Text(text) => text.text.as_ref(),
        Token::Number(number) => number,
        _ => "",
    };
    Err(Refusal::illegal_argument(format!(
        "[{kind}] supports only finite values, but got [{shown}]"
    )))
}

fn as_string(coerce: bool, class: &str) -> Result<()> {
    if coerce {
        return Ok(());
    }
    Err(Refusal::illegal_argument(format!(
        "{class} value passed as String"
    )))
}

fn not_a_number(text: &str) -> String {
    if text.is_empty() {
        "empty String".to_owned()
    } else {
        format!("For input string: \"{text}\"")
    }
}

fn not_numeric(token: &Token<'_>) -> Refusal {
    let name = match token {
        Token::Bool(true) => "VALUE_TRUE",
        Token::Bool(false) => "VALUE_FALSE",
        Token::Null => "VALUE_NULL",
        Token::Object | Token::Array => {
            return Refusal::illegal_argument("Cannot parse object as number");
        }
        _ => "VALUE_STRING",
    };
    Refusal::new(
        "input_coercion_exception",
        format!("Current token ({name}) not numeric, can not use numeric value accessors"),
    )
}

/// A long, which a text may have more of than a double can hold.
fn long(token: &Token<'_>, coerce: bool) -> Result<i64> {
    let text = match token {
        Token::Number(number) => number,
        Token::Text(text) => {
            as_string(coerce, "Long")?;
            text.text.as_ref()
        }
        other => return Err(not_numeric(other)),
    };
    if let Ok(value) = text.parse::<i64>() {
        return Ok(value);
    }
    let (number, fraction) =
        whole(text, (i64::MIN.into(), i64::MAX.into())).map_err(|wrong| match wrong {
            Wrong::NotANumber => Refusal::illegal_argument(format!("For input string: \"{text}\"")),
            Wrong::OutOfRange => {
                Refusal::illegal_argument(format!("Value [{text}] is out of range for a long"))
            }
        })?;
    if fraction && !coerce {
        return Err(Refusal::illegal_argument(format!(
            "Value [{text}] has a decimal part"
        )));
    }
    i64::try_from(number).map_err(|_| {
        Refusal::illegal_argument(format!("Value [{text}] is out of range for a long"))
    })
}

fn unsigned(token: &Token<'_>, coerce: bool) -> Result<u64> {
    let text = match token {
        Token::Number(number) => number,
        Token::Text(text) => text.text.as_ref(),
        other => return Err(not_numeric(other)),
    };
    if let Ok(value) = text.parse::<u64>() {
        return Ok(value);
    }
    let out =
        || Refusal::illegal_argument(format!("Value [{text}] is out of range for unsigned long"));
    let (number, fraction) = whole(text, (0, u64::MAX.into())).map_err(|wrong| match wrong {
        Wrong::NotANumber => Refusal::new("number_format_exception", not_a_number(text)),
        Wrong::OutOfRange => out(),
    })?;
    if fraction && !coerce {
        return Err(Refusal::illegal_argument(format!(
            "Value \"{text}\" has a decimal part"
        )));
    }
    u64::try_from(number).map_err(|_| out())
}

enum Wrong {
    NotANumber,
    OutOfRange,
}

/// The whole part of a decimal number, and whether there was a fraction.
fn whole(text: &str, (min, max): (i128, i128)) -> std::result::Result<(i128, bool), Wrong> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.parse::<i32>().map_err(|_| Wrong::NotANumber)?,
        ),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (left, right) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !plain(left) || !plain(right) || left.len() + right.len() == 0 {
        return Err(Wrong::NotANumber);
    }
    // Where the point is, from the left of all digits.
    let point = i64::try_from(left.len())
        .unwrap_or(i64::MAX)
        .saturating_add(exponent.into());
    let mut number: i128 = 0;
    let mut fraction = false;
    for (at, digit) in (0_i64..).zip(left.bytes().chain(right.bytes())) {
        let digit = i128::from(digit - b'0');
        if at < point {
            number = number * 10 + digit;
            if number > i128::from(u64::MAX) {
                return Err(Wrong::OutOfRange);
            }
        } else {
            fraction |= digit != 0;
        }
    }
    let digits = i64::try_from(left.len() + right.len()).unwrap_or(i64::MAX);
    if number != 0 {
        for _ in digits..point {
            number *= 10;
            if number > i128::from(u64::MAX) {
                return Err(Wrong::OutOfRange);
            }
        }
    }
    let number = if negative { -number } else { number };
    if number < min || number > max {
        return Err(Wrong::OutOfRange);
    }
    Ok((number, fraction))
}

/// A number of at most 32 bits, which every double holds.
fn integer(
    token: &Token<'_>,
    coerce: bool,
    (min, max): (i64, i64),
    named: &str,
    class: &str,
    java: &str,
) -> Result<Leaf> {
    let text = match token {
        Token::Number(number) => number,
        Token::Text(text) => {
            as_string(coerce, class)?;
            text.text.as_ref()
        }
        other => return Err(not_numeric(other)),
    };
    let is_text = matches!(token, Token::Text(_));
    let value = match text.parse::<i64>() {
        Ok(value) if value >= min && value <= max => return Ok(Leaf::Integer(value)),
        #[expect(clippy::cast_precision_loss, reason = "it is out of range anyway")]
        Ok(value) => value as f64,
        Err(_) => double(text)?,
    };
    #[expect(clippy::cast_precision_loss, reason = "32 bits at most")]
    if !(value >= min as f64 && value <= max as f64) {
        return Err(if is_text {
            Refusal::illegal_argument(format!("Value [{text}] is out of range for {named}"))
        } else {
            Refusal::new(
                "input_coercion_exception",
                format!("Numeric value ({text}) out of range of {java} ({min} - {max})"),
            )
        });
    }
    if !coerce && value.fract() != 0.0 {
        return Err(Refusal::illegal_argument(format!(
            "{value:?} cannot be converted to {class} without data loss"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cut off, and within the range"
    )]
    Ok(Leaf::Integer(value as i64))
}

fn float(token: &Token<'_>, coerce: bool, class: &str) -> Result<f64> {
    match token {
        Token::Number(number) => double(number),
        Token::Text(text) => {
            as_string(coerce, class)?;
            double(&text.text)
        }
        other => Err(not_numeric(other)),
    }
}

/// A double as Java reads it: blanks around it don't matter.
fn double(text: &str) -> Result<f64> {
    let trimmed = text.trim();
    let wrong = || Refusal::new("number_format_exception", not_a_number(text));
    // Rust reads `inf` and `nan` in any case, Java its own words only.
    match trimmed {
        "NaN" => return Ok(f64::NAN),
        "Infinity" | "+Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    if trimmed
        .bytes()
        .any(|b| b.is_ascii_alphabetic() && !matches!(b, b'e' | b'E'))
    {
        return Err(wrong());
    }
    trimmed.parse().map_err(|_| wrong())
}

/// To the nearest half float, ties to even.
fn half(value: f64) -> f64 {
    const MAX: f64 = 65_504.0;
    /// Half of the step beyond the greatest.
    const BEYOND: f64 = 65_520.0;
    let size = value.abs();
    if size.is_nan() || size >= BEYOND {
        return if value.is_nan() {
            value
        } else {
            f64::INFINITY.copysign(value)
        };
    }
    // The step of ten bits of fraction below the leading one; that of the least normal number further down.
    let exponent = if size < 2f64.powi(-14) {
        -14
    } else {
        i32::try_from((size.to_bits() >> 52) & 0x7ff).unwrap_or(0) - 1023
    };
    let step = 2f64.powi(exponent - 10);
    ((size / step).round_ties_even() * step)
        .min(MAX)
        .copysign(value)
}

#[cfg(test)]
mod tests {
    use super::super::super::json::Text;
    use super::*;
    use std::borrow::Cow;

    fn read(kind: &Kind, json: &str, coerce: bool) -> std::result::Result<f64, String> {
        let token = match json.strip_prefix('"') {
            Some(text) => Token::Text(Text {
                text: Cow::Borrowed(text.strip_suffix('"').unwrap()),
                start: 1,
            }),
            None => Token::Number(json),
        };
        match number(kind, &token, coerce) {
            Ok(Leaf::Integer(value)) => Ok(value as f64),
            Ok(Leaf::Float(value)) => Ok(value),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(format!("{}: {}", refusal.kind, refusal.reason)),
        }
    }

    #[test]
    fn numbers_are_taken_or_refused_as_in_elasticsearch() {
        let half_float = Kind::HalfFloat;
        for (kind, json, coerce, expected) in [
            (&Kind::Long, "12", true, Ok(12.0)),
            (&Kind::Long, "12.9", true, Ok(12.0)),
            (&Kind::Long, "-12.9", true, Ok(-12.0)),
            (&Kind::Long, "\"12.5e1\"", true, Ok(125.0)),
            (&Kind::Long, "1e-30", true, Ok(0.0)),
            (
                &Kind::Long,
                "1e30",
                true,
                Err("illegal_argument_exception: Value [1e30] is out of range for a long"),
            ),
            (
                &Kind::Long,
                "1e999999999",
                true,
                Err("illegal_argument_exception: Value [1e999999999] is out of range for a long"),
            ),
            (
                &Kind::Long,
                "\"abc\"",
                true,
                Err("illegal_argument_exception: For input string: \"abc\""),
            ),
            (
                &Kind::Long,
                "\"12\"",
                false,
                Err("illegal_argument_exception: Long value passed as String"),
            ),
            (
                &Kind::Long,
                "1.5",
                false,
                Err("illegal_argument_exception: Value [1.5] has a decimal part"),
            ),
            (
                &Kind::Integer,
                "\"3000000000\"",
                true,
                Err(
                    "illegal_argument_exception: Value [3000000000] is out of range for an integer",
                ),
            ),
            (
                &Kind::Integer,
                "3000000000",
                true,
                Err(
                    "input_coercion_exception: Numeric value (3000000000) out of range of int (-2147483648 - 2147483647)",
                ),
            ),
            (
                &Kind::Byte,
                "\"a\"",
                true,
                Err("number_format_exception: For input string: \"a\""),
            ),
            (
                &Kind::Short,
                "1.5",
                false,
                Err(
                    "illegal_argument_exception: 1.5 cannot be converted to Short without data loss",
                ),
            ),
            (
                &Kind::Double,
                "\"\"",
                true,
                Err("number_format_exception: empty String"),
            ),
            (&Kind::Double, "\" 1.5 \"", true, Ok(1.5)),
            (
                &Kind::Double,
                "\"inf\"",
                true,
                Err("number_format_exception: For input string: \"inf\""),
            ),
            (
                &Kind::Double,
                "\"NaN\"",
                true,
                Err(
                    "illegal_argument_exception: [double] supports only finite values, but got [NaN]",
                ),
            ),
            (&Kind::Float, "0.1", true, Ok(0.1f32.into())),
            (
                &Kind::Float,
                "1e300",
                true,
                Err(
                    "illegal_argument_exception: [float] supports only finite values, but got [1e300]",
                ),
            ),
            (&half_float, "0.1", true, Ok(0.0999755859375)),
            (&half_float, "65519", true, Ok(65504.0)),
            (&half_float, "6e-8", true, Ok(2f64.powi(-24))),
            (
                &half_float,
                "65520",
                true,
                Err(
                    "illegal_argument_exception: [half_float] supports only finite values, but got [65520]",
                ),
            ),
            (
                &Kind::ScaledFloat {
                    scaling_factor: 100.0,
                },
                "1.239",
                true,
                Ok(1.24),
            ),
            (&Kind::UnsignedLong, "9223372036854775808", true, Ok(0.0)),
            (
                &Kind::UnsignedLong,
                "-1",
                true,
                Err("illegal_argument_exception: Value [-1] is out of range for unsigned long"),
            ),
        ] {
            assert_eq!(
                read(kind, json, coerce),
                expected.map_err(str::to_owned),
                "{kind:?} {json}"
            );
        }
    }
}
