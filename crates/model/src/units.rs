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

/// Why a time span can't be read. The text is Elasticsearch's, less the setting's name before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimeSpan {
    #[error("unit is missing or unrecognized")]
    Unit,
    #[error("fractional time values are not supported")]
    Fraction,
    #[error("not a number, or too large")]
    Number,
}

impl TimeSpan {
    pub const fn seconds(amount: i64) -> Self {
        Self {
            amount,
            unit: TimeUnit::Seconds,
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
        let lower = text.trim().to_ascii_lowercase();
        if lower == "0" || lower == "-1" {
            return Ok(Self {
                amount: if lower == "0" { 0 } else { -1 },
                unit: TimeUnit::Millis,
            });
        }
        let (suffix, unit, _) = TimeUnit::ALL
            .into_iter()
            .find(|(suffix, ..)| lower.ends_with(suffix))
            .ok_or(InvalidTimeSpan::Unit)?;
        let number = lower[..lower.len() - suffix.len()].trim();
        if number.contains('.') && number.parse::<f64>().is_ok() {
            return Err(InvalidTimeSpan::Fraction);
        }
        let span = Self {
            amount: number.parse().map_err(|_| InvalidTimeSpan::Number)?,
            unit,
        };
        // What can't be told in nanoseconds of 64 bits Elasticsearch refuses; so no arithmetic here overflows.
        i64::try_from(span.nanos()).map_err(|_| InvalidTimeSpan::Number)?;
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
        let tenths = nanos * 10 / length;
        match tenths % 10 {
            0 => format!("{}{suffix}", tenths / 10),
            rest => format!("{}.{rest}{suffix}", tenths / 10),
        }
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            // As Elasticsearch prints it, whose only negative span is -1.
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
        Self::parse(&text).map_err(|error| {
            de::Error::custom(ConfigError::illegal_argument(format!(
                "failed to parse setting {UNNAMED} with value [{text}] as a time value: {error}"
            )))
        })
    }
}

/// An amount of memory. A bare number means mebibytes, as in `model_memory_limit`; it prints as `<n>mb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    pub bytes: u64,
}

impl Memory {
    pub const fn mebibytes(amount: u64) -> Self {
        Self {
            bytes: amount << 20,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u32); 11] = [
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
        let lower = text.trim().to_ascii_lowercase();
        let (number, shift) = UNITS
            .iter()
            .find_map(|(suffix, shift)| Some((lower.strip_suffix(suffix)?, *shift)))
            .unwrap_or((lower.as_str(), 20));
        let number = number.trim();
        if let Ok(whole) = number.parse::<u64>() {
            return Some(Self {
                bytes: whole.checked_mul(1 << shift)?,
            });
        }
        let fraction: f64 = number.parse().ok()?;
        let bytes = fraction * f64::from(shift).exp2();
        (fraction.is_finite() && fraction >= 0.0 && bytes < 9e18).then_some(Self {
            bytes: bytes as u64,
        })
    }

    /// Mebibytes, rounded down.
    pub fn as_mebibytes(self) -> u64 {
        self.bytes >> 20
    }

    /// In the largest unit of which there is at least one, with a decimal where it isn't zero: `10gb`, `1.5kb`, `0b`.
    pub fn human(self) -> String {
        const UNITS: [(&str, u32); 5] =
            [("pb", 50), ("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)];
        let unit = UNITS.iter().find(|(_, shift)| self.bytes >> shift > 0);
        let (suffix, shift) = unit.copied().unwrap_or(("b", 0));
        let tenths = (u128::from(self.bytes) * 10) >> shift;
        match tenths % 10 {
            0 => format!("{}{suffix}", tenths / 10),
            rest => format!("{}.{rest}{suffix}", tenths / 10),
        }
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
        // Only a number goes without a unit.
        let (text, unit) = match Wire::deserialize(deserializer)? {
            Wire::Number(n) => (n.to_string(), true),
            Wire::Text(text) => {
                let unit =
                    text.trim() == "0" || !text.trim().ends_with(|c: char| c.is_ascii_digit());
                (text, unit)
            }
        };
        Self::parse(&text).filter(|_| unit).ok_or_else(|| {
            de::Error::custom(ConfigError::parse(format!(
                "failed to parse setting {UNNAMED} with value [{text}] as a size in bytes: unit is missing or unrecognized"
            )))
        })
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
        assert_eq!(TimeSpan::parse("8w"), Err(InvalidTimeSpan::Unit));
        assert_eq!(TimeSpan::parse("1.5h"), Err(InvalidTimeSpan::Fraction));
        assert_eq!(TimeSpan::parse("h"), Err(InvalidTimeSpan::Number));
        assert_eq!(
            TimeSpan::parse("99999999999999d"),
            Err(InvalidTimeSpan::Number)
        );
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
        assert_eq!(
            Memory::parse("3000g").map(|m| m.to_string()),
            Some("3072000mb".into())
        );
        assert_eq!(
            Memory::parse("2048").map(|m| m.to_string()),
            Some("2048mb".into())
        );
        assert_eq!(
            Memory::parse("11MB").map(|m| m.to_string()),
            Some("11mb".into())
        );
        assert_eq!(Memory::parse("x"), None);
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
