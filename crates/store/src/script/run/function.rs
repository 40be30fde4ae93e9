//! Functions of classes. Their arguments have the types that they take.

use chrono::DateTime;

use super::super::error::Fault;
use super::super::names::Static;
use super::super::number::{self, Number};
use super::super::value::Value;
use super::{Plain, Run, date};

fn double(value: &Value) -> f64 {
    value.number().map_or(f64::NAN, Number::double)
}

fn int(value: &Value) -> i32 {
    value.number().map_or(0, Number::int)
}

fn long(value: &Value) -> i64 {
    value.number().map_or(0, Number::long)
}

fn char_of(value: &Value) -> char {
    let unit = u32::try_from(int(value)).ok().and_then(char::from_u32);
    unit.unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Of texts that must be there.
fn text<'v>(value: &'v Value) -> Plain<&'v str> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Null => Err(Fault::new(
            "number_format_exception",
            "Cannot parse null string: null",
        )),
        other => Err(Fault::cast(format!(
            "cannot implicitly cast def [{}] to java.lang.String",
            other.plain_class()
        ))),
    }
}

/// A function of one number.
fn of_one(function: Static, number: f64) -> Option<f64> {
    use Static as S;
    Some(match function {
        S::Abs => number.abs(),
        S::Acos => number.acos(),
        S::Asin => number.asin(),
        S::Atan => number.atan(),
        S::Cbrt => number.cbrt(),
        S::Ceil => number.ceil(),
        S::Cos => number.cos(),
        S::Cosh => number.cosh(),
        S::Exp => number.exp(),
        S::Expm1 => number.exp_m1(),
        S::Floor => number.floor(),
        S::Log => number.ln(),
        S::Log10 => number.log10(),
        S::Log1p => number.ln_1p(),
        S::Rint => number.round_ties_even(),
        // 0 and what isn't a number stay what they are.
        S::Signum if number == 0.0 || number.is_nan() => number,
        S::Signum => number.signum(),
        S::Sin => number.sin(),
        S::Sinh => number.sinh(),
        S::Sqrt => number.sqrt(),
        S::Tan => number.tan(),
        S::Tanh => number.tanh(),
        S::ToDegrees => number.to_degrees(),
        S::ToRadians => number.to_radians(),
        _ => return None,
    })
}

fn power(base: f64, exponent: f64) -> f64 {
    // Java has no certain answer where there is none.
    if exponent.is_nan() || (base.abs() == 1.0 && exponent.is_infinite()) {
        return f64::NAN;
    }
    base.powf(exponent)
}

impl<'a> Run<'a> {
    pub(super) fn function(
        &mut self,
        function: Static,
        arguments: &[Value<'a>],
    ) -> Plain<Value<'a>> {
        use Static as S;
        let none = Value::Null;
        let first = arguments.first().unwrap_or(&none);
        let second = arguments.get(1).unwrap_or(&none);
        if let Some(result) = of_one(function, double(first)) {
            return Ok(Value::double(result));
        }
        Ok(match function {
            S::Atan2 => Value::double(double(first).atan2(double(second))),
            S::Hypot => Value::double(double(first).hypot(double(second))),
            S::Max | S::DoubleMax => Value::double(number::max(double(first), double(second))),
            S::Min | S::DoubleMin => Value::double(number::min(double(first), double(second))),
            S::Pow => Value::double(power(double(first), double(second))),
            S::Round => Value::long(number::round(double(first))),
            S::IntegerCompare | S::LongCompare => Value::int(long(first).cmp(&long(second)) as i32),
            S::IntegerMax => Value::int(int(first).max(int(second))),
            S::IntegerMin => Value::int(int(first).min(int(second))),
            S::IntegerParse => Value::int(number::parse_int(text(first)?, 10)?),
            S::IntegerParseRadix => Value::int(number::parse_int(text(first)?, int(second))?),
            S::LongMax => Value::long(long(first).max(long(second))),
            S::LongMin => Value::long(long(first).min(long(second))),
            S::LongParse => Value::long(number::parse_long(text(first)?, 10)?),
            S::LongParseRadix => Value::long(number::parse_long(text(first)?, int(second))?),
            S::IntegerValue | S::LongValue | S::DoubleValue => first.clone(),
            S::IntegerText | S::LongText | S::DoubleText | S::BooleanText | S::StringValue => {
                let mut text = String::new();
                self.write(first, &mut text, 0)?;
                self.new_text(text)?
            }
            S::DoubleCompare => Value::int(double(first).total_cmp(&double(second)) as i32),
            S::DoubleIsFinite => Value::Bool(double(first).is_finite()),
            S::DoubleIsInfinite => Value::Bool(double(first).is_infinite()),
            S::DoubleIsNaN => Value::Bool(double(first).is_nan()),
            S::DoubleParse => Value::double(number::parse_double(text(first)?)?),
            S::FloatParse => {
                let number = number::parse_double(text(first)?)?;
                Value::Number(Number::Double(number).to_float())
            }
            S::BooleanParse => {
                Value::Bool(matches!(first, Value::Text(text) if text.eq_ignore_ascii_case("true")))
            }
            S::IsDigit => {
                Value::Bool(char_of(first).is_numeric() && char_of(first).is_ascii_digit())
            }
            S::IsLetter => Value::Bool(char_of(first).is_alphabetic()),
            S::IsLetterOrDigit => Value::Bool(char_of(first).is_alphanumeric()),
            S::IsWhitespace => Value::Bool(char_of(first).is_whitespace()),
            S::StringJoin => {
                let Value::Text(delimiter) = first else {
                    return Err(super::expression::null("join"));
                };
                self.join(delimiter, second)?
            }
            S::ObjectsEquals => Value::Bool(self.equal(first, second, 0)?),
            S::ZonedParse => Value::Zoned(date::parse(text(first)?)?),
            S::InstantParse => Value::Instant(date::parse(text(first)?)?.to_utc()),
            S::ZonedOfInstant => match (first, second) {
                (Value::Instant(time), Value::Zone(zone)) => {
                    Value::Zoned(date::in_zone(*time, *zone)?)
                }
                _ => {
                    let class = first.class();
                    return Err(Fault::cast(format!(
                        "Cannot cast from [{class}] to [java.time.Instant]."
                    )));
                }
            },
            S::InstantOfMilli | S::InstantOfSecond => {
                let time = match function {
                    S::InstantOfMilli => DateTime::from_timestamp_millis(long(first)),
                    _ => DateTime::from_timestamp(long(first), 0),
                };
                let time = time.ok_or_else(|| {
                    Fault::new(
                        "date_time_exception",
                        "Instant exceeds minimum or maximum instant",
                    )
                })?;
                Value::Instant(time)
            }
            S::ZoneOf | S::ZoneOffsetOf => Value::Zone(date::zone(text(first)?)?),
            S::PatternOf => Value::Format(text(first)?.into()),
            S::Dissect => Value::Dissect(text(first)?.into()),
            _ => return Err(Fault::argument("the function is not supported")),
        })
    }
}
