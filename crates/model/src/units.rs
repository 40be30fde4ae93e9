//! Elasticsearch's time and byte units, kept as they were written.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::ConfigError;

/// Stands in a refusal where the name of the field belongs, which only the reader of the whole knows.
pub const UNNAMED: &str = "[]";

/// A span of time such as `15m`. It prints in the unit in which it was given, as Elasticsearch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    amount: i64,
    unit: TimeUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeUnit {
    Nanos,
    Micros,
    Millis,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl TimeUnit {
    const ALL: [(&'static str, Self, i128); 7] = [
        // Longest suffix first where one ends in another.
        ("nanos", Self::Nanos, 1),
        ("micros", Self::Micros, 1_000),
        ("ms", Self::Millis, 1_000_000),
        ("s", Self::Seconds, 1_000_000_000),
        ("m", Self::Minutes, 60_000_000_000),
        ("h", Self::Hours, 3_600_000_000_000),
        ("d", Self::Days, 86_400_000_000_000),
    ];

    fn suffix(self) -> (&'static str, i128) {
        Self::ALL
            .iter()
            .find(|(_, unit, _)| *unit == self)
            .map_or(("s", 1_000_000_000), |(s, _, n)| (s, *n))
    }
}

/// Why a time span can't be read, in Elasticsearch's words for the given text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimeSpan {
    #[error(
        "failed to parse setting {UNNAMED} with value [{0}] as a time value: unit is missing or unrecognized"
    )]
    Unit(String),
    #[error(
        "failed to parse setting {UNNAMED} with value [{0}] as a time value: negative durations are not supported"
    )]
    Negative(String),
    #[error("failed to parse [{0}], fractional time values are not supported")]
    Fraction(String),
    #[error("failed to parse [{0}]")]
    Number(String),
}

impl TimeSpan {
    pub const fn millis(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Millis,
        }
    }

    pub const fn seconds(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Seconds,
        }
    }

    pub const fn nanoseconds(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Nanos,
        }
    }

    pub const fn minutes(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Minutes,
        }
    }

    pub const fn days(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Days,
        }
    }

    /// In the largest of days, hours, minutes and seconds that divides it.
    pub fn in_largest_unit(seconds: i64) -> Self {
        let units = [
            (86_400, TimeUnit::Days),
            (3_600, TimeUnit::Hours),
            (60, TimeUnit::Minutes),
        ];
        units
            .into_iter()
            .find(|(length, _)| seconds % length == 0)
            .map_or(Self::seconds(seconds), |(length, unit)| Self {
                amount: seconds / length,
                unit,
            })
    }

    pub fn parse(text: &str) -> Result<Self, InvalidTimeSpan> {
        let given = || text.to_owned();
        let lower = text.trim().to_lowercase();
        // An M would mean months.
        let found = TimeUnit::ALL.into_iter().find_map(|(suffix, unit, _)| {
            let number = lower.strip_suffix(suffix)?;
            (suffix != "m" || text.trim_end().ends_with('m')).then_some((number.trim(), unit))
        });
        let Some((number, unit)) = found else {
            let is = |digits: &str, last: char| {
                digits.ends_with(last) && digits.trim_end_matches(last).chars().all(|c| c == '0')
            };
            let amount = match lower.strip_prefix('-') {
                Some(digits) if digits.matches('1').count() == 1 && is(digits, '1') => -1,
                None if is(&lower, '0') => 0,
                _ => return Err(InvalidTimeSpan::Unit(given())),
            };
            return Ok(Self {
                amount,
                unit: TimeUnit::Millis,
            });
        };
        let amount = number.parse().map_err(|_| match number.parse::<f64>() {
            Ok(_) => InvalidTimeSpan::Fraction(given()),
            Err(_) => InvalidTimeSpan::Number(given()),
        })?;
        if amount < -1 {
            return Err(InvalidTimeSpan::Negative(given()));
        }
        let span = Self { amount, unit };
        // What can't be told in nanoseconds of 64 bits is too long; so no arithmetic here overflows.
        i64::try_from(span.nanos()).map_err(|_| InvalidTimeSpan::Number(given()))?;
        Ok(span)
    }

    fn nanos(self) -> i128 {
        i128::from(self.amount) * self.unit.suffix().1
    }

    /// Whole seconds; `None` for a part of one.
    pub fn whole_seconds(self) -> Option<i64> {
        let nanos = self.nanos();
        (nanos % 1_000_000_000 == 0).then_some((nanos / 1_000_000_000) as i64)
    }

    /// Seconds, rounded down.
    pub fn as_secs(self) -> i64 {
        self.nanos().div_euclid(1_000_000_000) as i64
    }

    pub fn is_negative(self) -> bool {
        self.amount < 0
    }

    /// A negative span is none.
    pub fn as_duration(self) -> Duration {
        Duration::from_nanos(self.nanos().max(0) as u64)
    }

    /// As Elasticsearch's messages put it: in the largest unit that is at least one, with one decimal: `1.5d`.
    pub fn human(self) -> String {
        let nanos = self.nanos();
        if nanos <= 0 {
            return match nanos {
                0 => "0s".to_owned(),
                _ => self.amount.to_string(),
            };
        }
        let (suffix, _, length) = TimeUnit::ALL
            .into_iter()
            .rev()
            .find(|(_, _, length)| nanos >= *length)
            .unwrap_or(TimeUnit::ALL[0]);
        one_decimal(nanos, length, suffix)
    }
}

/// A number of units with at most one decimal, rounded down.
fn one_decimal(number: i128, unit: i128, suffix: &str) -> String {
    let tenths = number * 10 / unit;
    match tenths % 10 {
        0 => format!("{}{suffix}", tenths / 10),
        rest => format!("{}.{rest}{suffix}", tenths / 10),
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            amount if amount < 0 => write!(f, "{amount}"),
            amount => write!(f, "{amount}{}", self.unit.suffix().0),
        }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text)
            .map_err(|error| de::Error::custom(ConfigError::illegal_argument(error.to_string())))
    }
}

/// An amount of memory. A bare number means mebibytes, as in `model_memory_limit`; it prints as `<n>mb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    pub bytes: u64,
}

/// Why an amount of memory can't be read, in Elasticsearch's words for the given text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMemory {
    #[error(
        "failed to parse setting {UNNAMED} with value [{0}] as a size in bytes: unit is missing or unrecognized"
    )]
    Unit(String),
    #[error("failed to parse setting {UNNAMED} with value [{0}]")]
    Number(String),
    #[error("failed to parse setting {UNNAMED} with value [{0}] as a size in bytes")]
    Negative(String),
    #[error("failed to parse setting {UNNAMED} with more than two decimals in value [{0}]")]
    Decimals(String),
    #[error("failed to parse setting {UNNAMED} with value beyond 9223372036854775807: [{0}]")]
    Beyond(String),
}

impl Memory {
    /// The units' suffixes, the longer of two first, and the binary logarithms of their sizes.
    const UNITS: [(&'static str, u32); 11] = [
        ("pb", 50),
        ("tb", 40),
        ("gb", 30),
        ("mb", 20),
        ("kb", 10),
        ("p", 50),
        ("t", 40),
        ("g", 30),
        ("m", 20),
        ("k", 10),
        ("b", 0),
    ];

    pub const fn mebibytes(amount: u64) -> Self {
        Self {
            bytes: amount << 20,
        }
    }

    /// Reads text with a unit. Parts of a byte count as one.
    pub fn parse(text: &str) -> Result<Self, InvalidMemory> {
        let given = || text.to_owned();
        let lower = text.trim().to_lowercase();
        if lower == "0" {
            return Ok(Self { bytes: 0 });
        }
        let (number, shift) = Self::UNITS
            .iter()
            .find_map(|(suffix, shift)| Some((lower.strip_suffix(suffix)?.trim(), *shift)))
            .ok_or_else(|| InvalidMemory::Unit(given()))?;
        if let Ok(whole) = number.parse::<i64>() {
            let whole = u64::try_from(whole).map_err(|_| InvalidMemory::Negative(given()))?;
            let bytes = whole
                .checked_mul(1 << shift)
                .filter(|bytes| i64::try_from(*bytes).is_ok())
                .ok_or_else(|| InvalidMemory::Beyond(given()))?;
            return Ok(Self { bytes });
        }
        let number_of = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
        let fraction = number_of(number)
            .filter(|number| *number >= 0.0 && shift > 0)
            .ok_or_else(|| InvalidMemory::Number(given()))?;
        if number.split_once('.').is_some_and(|(_, d)| d.len() > 2) {
            return Err(InvalidMemory::Decimals(given()));
        }
        let bytes = (fraction * f64::from(shift).exp2()).ceil();
        match bytes < 9.2e18 {
            true => Ok(Self {
                bytes: bytes as u64,
            }),
            false => Err(InvalidMemory::Beyond(given())),
        }
    }

    /// As Elasticsearch prints sizes for people: in the largest unit that is at least one, with one decimal: `1.5gb`.
    pub fn human(self) -> String {
        let (suffix, shift) = Self::UNITS
            .into_iter()
            .take(5)
            .find(|(_, shift)| self.bytes >> shift > 0)
            .unwrap_or(("b", 0));
        one_decimal(i128::from(self.bytes), 1 << shift, suffix)
    }

    /// Mebibytes, rounded down.
    pub fn as_mebibytes(self) -> u64 {
        self.bytes >> 20
    }
}

/// A number with commas between thousands, as Java's messages have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grouped(pub i64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.unsigned_abs().to_string();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}mb", self.as_mebibytes())
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(u64),
            Text(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(amount) => amount
                .checked_mul(1 << 20)
                .map(|bytes| Self { bytes })
                .ok_or_else(|| InvalidMemory::Beyond(amount.to_string())),
            Wire::Text(text) => Self::parse(&text),
        }
        .map_err(|error| de::Error::custom(ConfigError::parse(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_print_as_they_were_written() {
        for text in [
            "15m", "36h", "3600s", "1d", "90000ms", "5micros", "7nanos", "-1",
        ] {
            assert_eq!(
                TimeSpan::parse(text).map(|s| s.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            TimeSpan::parse("-1h").map(|s| s.to_string()),
            Ok("-1".into())
        );
        for (text, told) in [
            (
                "8w",
                "failed to parse setting [] with value [8w] as a time value: unit is missing or unrecognized",
            ),
            (
                "5M",
                "failed to parse setting [] with value [5M] as a time value: unit is missing or unrecognized",
            ),
            (
                "1",
                "failed to parse setting [] with value [1] as a time value: unit is missing or unrecognized",
            ),
            (
                "-2s",
                "failed to parse setting [] with value [-2s] as a time value: negative durations are not supported",
            ),
            (
                "1.5h",
                "failed to parse [1.5h], fractional time values are not supported",
            ),
            ("h", "failed to parse [h]"),
            ("99999999999999d", "failed to parse [99999999999999d]"),
        ] {
            assert_eq!(
                TimeSpan::parse(text).map_err(|error| error.to_string()),
                Err(told.to_owned())
            );
        }
        assert_eq!(
            TimeSpan::parse("1500ms").map(TimeSpan::whole_seconds),
            Ok(None)
        );
    }

    #[test]
    fn human_time_has_one_decimal() {
        assert_eq!(TimeSpan::seconds(129_600).human(), "1.5d");
        assert_eq!(TimeSpan::seconds(144_000).human(), "1.6d");
        assert_eq!(TimeSpan::seconds(1_140).human(), "19m");
        assert_eq!(TimeSpan::in_largest_unit(2_592_000).to_string(), "30d");
        assert_eq!(TimeSpan::in_largest_unit(43_214 * 60).to_string(), "43214m");
    }

    #[test]
    fn memory_prints_in_mebibytes() {
        for (text, printed) in [
            ("3000g", "3072000mb"),
            ("11MB", "11mb"),
            ("0", "0mb"),
            ("1.5k", "0mb"),
        ] {
            assert_eq!(
                Memory::parse(text).map(|m| m.to_string()),
                Ok(printed.to_owned())
            );
        }
        let number: Memory = serde_json::from_str("2048").expect("fine");
        assert_eq!(number, Memory::mebibytes(2048));
        for (text, told) in [
            (
                "x",
                "failed to parse setting [] with value [x] as a size in bytes: unit is missing or unrecognized",
            ),
            (
                "2048",
                "failed to parse setting [] with value [2048] as a size in bytes: unit is missing or unrecognized",
            ),
            ("xmb", "failed to parse setting [] with value [xmb]"),
            (
                "-5mb",
                "failed to parse setting [] with value [-5mb] as a size in bytes",
            ),
            (
                "1.555gb",
                "failed to parse setting [] with more than two decimals in value [1.555gb]",
            ),
            (
                "99999999pb",
                "failed to parse setting [] with value beyond 9223372036854775807: [99999999pb]",
            ),
        ] {
            assert_eq!(
                Memory::parse(text).map_err(|error| error.to_string()),
                Err(told.to_owned())
            );
        }
    }

    #[test]
    fn human_memory_has_one_decimal() {
        for (bytes, text) in [
            (0, "0b"),
            (1_023, "1023b"),
            (1_536, "1.5kb"),
            (10 << 30, "10gb"),
            ((1 << 40) - 1, "1023.9gb"),
            (5 << 20, "5mb"),
        ] {
            assert_eq!(Memory { bytes }.human(), text);
        }
    }

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in [(7, "7"), (3_600, "3,600"), (-1_234_567, "-1,234,567")] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }
}
