//! Numbers as Java has them: promotion, overflow that wraps, and their texts.

use super::error::Fault;
use super::syntax::Binary;

/// A number of one of Java's types.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
}

impl Number {
    pub fn double(self) -> f64 {
        match self {
            Self::Int(number) => f64::from(number),
            Self::Long(number) => number as f64,
            Self::Float(number) => f64::from(number),
            Self::Double(number) => number,
        }
    }

    fn float(self) -> f32 {
        match self {
            Self::Int(number) => number as f32,
            Self::Long(number) => number as f32,
            Self::Float(number) => number,
            Self::Double(number) => number as f32,
        }
    }

    /// What has a fraction is cut towards 0, and to what a long can hold.
    pub fn long(self) -> i64 {
        match self {
            Self::Int(number) => i64::from(number),
            Self::Long(number) => number,
            Self::Float(number) => number as i64,
            Self::Double(number) => number as i64,
        }
    }

    pub fn int(self) -> i32 {
        match self {
            Self::Int(number) => number,
            Self::Long(number) => number as i32,
            Self::Float(number) => number as i32,
            Self::Double(number) => number as i32,
        }
    }

    pub fn to_float(self) -> Self {
        Self::Float(self.float())
    }

    /// As Java writes it.
    pub fn text(self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Long(number) => number.to_string(),
            Self::Float(number) => fraction(f64::from(number), format!("{number:e}")),
            Self::Double(number) => fraction(number, format!("{number:e}")),
        }
    }

    pub fn class(self) -> &'static str {
        match self {
            Self::Int(_) => "java.lang.Integer",
            Self::Long(_) => "java.lang.Long",
            Self::Float(_) => "java.lang.Float",
            Self::Double(_) => "java.lang.Double",
        }
    }
}

/// `scientific` has the fewest digits that mean the number: `1.5e-7`.
fn fraction(number: f64, scientific: String) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if number != 0.0 && !(-3..7).contains(&exponent) {
        let rest = if digits.len() > 1 { &digits[1..] } else { "0" };
        return format!("{sign}{}.{rest}E{exponent}", &digits[..1]);
    }
    if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    let padded = format!("{digits:0<whole$}");
    let (before, after) = padded.split_at(whole);
    format!(
        "{sign}{before}.{}",
        if after.is_empty() { "0" } else { after }
    )
}

/// Two numbers of the same type.
enum Pair {
    Int(i32, i32),
    Long(i64, i64),
    Float(f32, f32),
    Double(f64, f64),
}

fn promote(left: Number, right: Number) -> Pair {
    use Number as N;
    match (left, right) {
        (N::Double(_), _) | (_, N::Double(_)) => Pair::Double(left.double(), right.double()),
        (N::Float(_), _) | (_, N::Float(_)) => Pair::Float(left.float(), right.float()),
        (N::Long(_), _) | (_, N::Long(_)) => Pair::Long(left.long(), right.long()),
        (N::Int(left), N::Int(right)) => Pair::Int(left, right),
    }
}

fn by_zero() -> Fault {
    Fault::new("arithmetic_exception", "/ by zero")
}

/// Whether a comparison holds.
pub(super) fn compare(operation: Binary, left: Number, right: Number) -> bool {
    fn holds<T: PartialOrd>(operation: Binary, left: T, right: T) -> bool {
        match operation {
            Binary::Eq => left == right,
            Binary::Ne => left != right,
            Binary::Lt => left < right,
            Binary::Le => left <= right,
            Binary::Gt => left > right,
            _ => left >= right,
        }
    }
    match promote(left, right) {
        Pair::Int(left, right) => holds(operation, left, right),
        Pair::Long(left, right) => holds(operation, left, right),
        Pair::Float(left, right) => holds(operation, left, right),
        Pair::Double(left, right) => holds(operation, left, right),
    }
}

/// An operation of arithmetic or of bits; none for what has no bits.
pub(super) fn arithmetic(
    operation: Binary,
    left: Number,
    right: Number,
) -> Option<Result<Number, Fault>> {
    use Binary as B;
    // A shift has the type of what is shifted.
    if matches!(operation, B::Shl | B::Shr | B::Ushr) {
        let by = match right {
            Number::Int(by) => by as u32,
            Number::Long(by) => by as u32,
            _ => return None,
        };
        return Some(Ok(match left {
            Number::Int(number) => Number::Int(match operation {
                B::Shl => number.wrapping_shl(by),
                B::Shr => number.wrapping_shr(by),
                _ => (number as u32).wrapping_shr(by) as i32,
            }),
            Number::Long(number) => Number::Long(match operation {
                B::Shl => number.wrapping_shl(by),
                B::Shr => number.wrapping_shr(by),
                _ => (number as u64).wrapping_shr(by) as i64,
            }),
            _ => return None,
        }));
    }
    let result = match promote(left, right) {
        Pair::Int(_, 0) | Pair::Long(_, 0) if matches!(operation, B::Div | B::Rem) => {
            return Some(Err(by_zero()));
        }
        Pair::Int(left, right) => Number::Int(match operation {
            B::Add => left.wrapping_add(right),
            B::Sub => left.wrapping_sub(right),
            B::Mul => left.wrapping_mul(right),
            B::Div => left.wrapping_div(right),
            B::Rem => left.wrapping_rem(right),
            B::And => left & right,
            B::Or => left | right,
            B::Xor => left ^ right,
            _ => return None,
        }),
        Pair::Long(left, right) => Number::Long(match operation {
            B::Add => left.wrapping_add(right),
            B::Sub => left.wrapping_sub(right),
            B::Mul => left.wrapping_mul(right),
            B::Div => left.wrapping_div(right),
            B::Rem => left.wrapping_rem(right),
            B::And => left & right,
            B::Or => left | right,
            B::Xor => left ^ right,
            _ => return None,
        }),
        Pair::Float(left, right) => Number::Float(match operation {
            B::Add => left + right,
            B::Sub => left - right,
            B::Mul => left * right,
            B::Div => left / right,
            B::Rem => left % right,
            _ => return None,
        }),
        Pair::Double(left, right) => Number::Double(match operation {
            B::Add => left + right,
            B::Sub => left - right,
            B::Mul => left * right,
            B::Div => left / right,
            B::Rem => left % right,
            _ => return None,
        }),
    };
    Some(Ok(result))
}

fn unreadable(text: &str) -> Fault {
    Fault::new(
        "number_format_exception",
        format!("For input string: \"{text}\""),
    )
}

/// A whole number as Java's `parseLong` reads it.
pub(super) fn parse_long(text: &str, radix: i32) -> Result<i64, Fault> {
    match u32::try_from(radix) {
        Ok(radix @ 2..=36) => i64::from_str_radix(text, radix).map_err(|_| unreadable(text)),
        _ => Err(Fault::new(
            "number_format_exception",
            format!("radix {radix} is not between 2 and 36"),
        )),
    }
}

pub(super) fn parse_int(text: &str, radix: i32) -> Result<i32, Fault> {
    i32::try_from(parse_long(text, radix)?).map_err(|_| unreadable(text))
}

/// A number as Java's `parseDouble` reads it, but for those in base 16.
pub(super) fn parse_double(text: &str) -> Result<f64, Fault> {
    let number = text.trim_matches(|char: char| char <= ' ');
    if number.is_empty() {
        return Err(Fault::new("number_format_exception", "empty String"));
    }
    match number {
        "NaN" | "+NaN" | "-NaN" => return Ok(f64::NAN),
        "Infinity" | "+Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let plain = number.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(number);
    let readable = plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let parsed = if readable { plain.parse().ok() } else { None };
    parsed.ok_or_else(|| unreadable(number))
}

/// Java's `Math.round`.
pub(super) fn round(number: f64) -> i64 {
    let floor = number.floor();
    let up = number - floor >= 0.5;
    (if up { floor + 1.0 } else { floor }) as i64
}

/// Java's `Math.max`: what isn't a number stays so, and 0 is above -0.
pub(super) fn max(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() {
        return f64::NAN;
    }
    if left == right {
        return if left.is_sign_positive() { left } else { right };
    }
    left.max(right)
}

pub(super) fn min(left: f64, right: f64) -> f64 {
    -max(-left, -right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_java() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.5, "100.5"),
            (1_234_567.0, "1234567.0"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (0.001, "0.001"),
            (0.0125, "0.0125"),
            (0.0001, "1.0E-4"),
            (-1.5e-7, "-1.5E-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Number::Double(number).text(), text);
        }
        assert_eq!(Number::Float(0.1).text(), "0.1");
        assert_eq!(Number::Float(1e10).text(), "1.0E10");
    }

    #[test]
    fn texts_are_read_as_by_java() {
        assert_eq!(parse_int("+12", 10), Ok(12));
        assert_eq!(parse_int("-7f", 16), Ok(-127));
        assert!(parse_int("2147483648", 10).is_err() && parse_int(" 1", 10).is_err());
        assert_eq!(parse_long("2147483648", 10), Ok(2_147_483_648));
        assert_eq!(parse_double(" 1.5e3d "), Ok(1500.0));
        assert_eq!(parse_double(".5"), Ok(0.5));
        for text in ["", "inf", "nan", "1,5", "1e", "0x10", "infinity", "--1"] {
            assert!(parse_double(text).is_err(), "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_up() {
        assert_eq!(
            [0.5, -0.5, 1.5, -1.5, 0.499_999_999_999_999_94].map(round),
            [1, 0, 2, -1, 0]
        );
        assert_eq!([f64::NAN, 1e300].map(round), [0, i64::MAX]);
    }
}
