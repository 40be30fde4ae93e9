//! How the dates of a field are written

use std::fmt::Write as _;

use tidewatch_model::time_format::TimeFormat;

/// `format` of a date field: one or more formats, the first that reads a text wins.
#[derive(Debug, Clone, PartialEq)]
pub struct DateFormats {
    /// As given: `strict_date_optional_time||epoch_millis`.
    pub pattern: String,
    formats: Vec<Format>,
}

#[derive(Debug, Clone, PartialEq)]
enum Format {
    /// `yyyy[-MM[-dd]][T[HH[:mm[:ss[.fraction]]]][zone]]`; if it isn't strict, numbers may have one digit.
    Iso {
        strict: bool,
    },
    EpochMillis,
    EpochSecond,
    Pattern(TimeFormat),
}

/// A moment in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Since the epoch.
    pub millis: i64,
    /// Within the millisecond.
    pub nanos: u32,
}

impl Instant {
    /// Nanoseconds since the epoch, where they fit: from 1970 to 2262, as `date_nanos` takes them.
    pub fn epoch_nanos(self) -> Option<i64> {
        if self.millis < 0 {
            return None;
        }
        self.millis
            .checked_mul(1_000_000)?
            .checked_add(i64::from(self.nanos))
    }
}

pub const DEFAULT: &str = "strict_date_optional_time||epoch_millis";

impl Default for DateFormats {
    fn default() -> Self {
        Self {
            pattern: DEFAULT.to_owned(),
            formats: vec![Format::Iso { strict: true }, Format::EpochMillis],
        }
    }
}

impl DateFormats {
    /// # Errors
    /// The format among them that is none.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let formats = pattern
            .split("||")
            .map(|format| Format::new(format).ok_or_else(|| format.to_owned()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pattern: pattern.to_owned(),
            formats,
        })
    }

    /// The moment that a text, or the digits of a number, says.
    pub fn parse(&self, text: &str) -> Option<Instant> {
        self.formats.iter().find_map(|format| format.parse(text))
    }

    /// Whether a number is epoch seconds, and not milliseconds: what comes first in the formats.
    pub fn numbers_are_seconds(&self) -> bool {
        self.formats
            .iter()
            .find(|format| matches!(format, Format::EpochMillis | Format::EpochSecond))
            == Some(&Format::EpochSecond)
    }
}

impl Format {
    fn new(name: &str) -> Option<Self> {
        let (strict, plain) = match name.strip_prefix("strict_") {
            Some(plain) => (true, plain),
            None => (false, name),
        };
        let pattern = match plain {
            "date_optional_time" | "date_optional_time_nanos" | "dateOptionalTime" => {
                return Some(Self::Iso { strict });
            }
            "iso8601" => return Some(Self::Iso { strict: true }),
            "epoch_millis" => return Some(Self::EpochMillis),
            "epoch_second" => return Some(Self::EpochSecond),
            "basic_date" => "yyyyMMdd",
            "basic_date_time" => "yyyyMMdd'T'HHmmss.SSSXX",
            "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssXX",
            "basic_ordinal_date" => "yyyyDDD",
            "date" | "year_month_day" => "yyyy-MM-dd",
            "date_hour" => "yyyy-MM-dd'T'HH",
            "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
            "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
            "date_hour_minute_second_millis" | "date_hour_minute_second_fraction" => {
                "yyyy-MM-dd'T'HH:mm:ss.SSS"
            }
            "date_time" => "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
            "ordinal_date" => "yyyy-DDD",
            "year" => "yyyy",
            "year_month" => "yyyy-MM",
            // What `TimeFormat` knows by names of its own is no pattern here.
            "" | "epoch" | "epoch_ms" => return None,
            _ => name,
        };
        TimeFormat::new(pattern).ok().map(Self::Pattern)
    }

    fn parse(&self, text: &str) -> Option<Instant> {
        match self {
            Self::Iso { strict } => iso(text.as_bytes(), *strict),
            Self::EpochMillis => epoch(text, 1),
            Self::EpochSecond => epoch(text, 1000),
            Self::Pattern(format) => format
                .parse(text)
                .map(|millis| Instant { millis, nanos: 0 }),
        }
    }
}

/// A whole number of `unit` milliseconds, perhaps with a fraction.
fn epoch(text: &str, unit: i64) -> Option<Instant> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || fraction.len() > 9 {
        return None;
    }
    let mut nanos = fraction.parse::<i64>().ok()?;
    for _ in fraction.len()..9 {
        nanos *= 10;
    }
    // `nanos` are billionths of the unit.
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let of_milli = nanos * unit;
    let (millis, rest) = (of_milli / 1_000_000_000, of_milli % 1_000_000_000 / 1000);
    let millis = whole.checked_add(millis)?;
    if text.len() == digits.len() {
        Some(Instant {
            millis,
            nanos: u32::try_from(rest).ok()?,
        })
    } else if rest == 0 {
        Some(Instant {
            millis: -millis,
            nanos: 0,
        })
    } else {
        Some(Instant {
            millis: -millis - 1,
            nanos: u32::try_from(1_000_000 - rest).ok()?,
        })
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    strict: bool,
}

impl Cursor<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn done(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// A number of `width` digits; of fewer, if it need not be strict.
    fn number(&mut self, width: usize) -> Option<i64> {
        let mut value = 0;
        let start = self.at;
        while self.at - start < width
            && let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at)
        {
            value = value * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        let read = self.at - start;
        (read == width || (!self.strict && read > 0)).then_some(value)
    }
}

fn iso(text: &[u8], strict: bool) -> Option<Instant> {
    let mut at = Cursor {
        bytes: text,
        at: 0,
        strict,
    };
    let year = at.number(4)?;
    let (mut month, mut day) = (1, 1);
    if at.eat(b'-') {
        month = at.number(2)?;
        if at.eat(b'-') {
            day = at.number(2)?;
        }
    }
    let (mut seconds, mut nanos, mut offset) = (0, 0, 0);
    if at.eat(b'T') && !at.done() {
        let hour = at.number(2)?;
        let (mut minute, mut second) = (0, 0);
        if at.eat(b':') {
            minute = at.number(2)?;
            if at.eat(b':') {
                second = at.number(2)?;
                if at.eat(b'.') || at.eat(b',') {
                    nanos = fraction(&mut at)?;
                }
            }
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds = hour * 3600 + minute * 60 + second;
        if !at.done() {
            offset = zone(&mut at)?;
        }
    }
    if !at.done() || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let seconds = days_before(year, month, day) * 86_400 + seconds - offset;
    Some(Instant {
        millis: seconds * 1000 + nanos / 1_000_000,
        nanos: u32::try_from(nanos % 1_000_000).ok()?,
    })
}

/// Up to nine digits of a second, as nanoseconds.
fn fraction(at: &mut Cursor<'_>) -> Option<i64> {
    let (mut nanos, mut read) = (0, 0);
    while read < 9
        && let Some(digit @ b'0'..=b'9') = at.bytes.get(at.at)
    {
        nanos = nanos * 10 + i64::from(digit - b'0');
        at.at += 1;
        read += 1;
    }
    if read == 0 {
        return None;
    }
    Some(nanos * 10_i64.pow(9 - read))
}

/// `Z`, `+hh`, `+hhmm` or `+hh:mm`: seconds.
fn zone(at: &mut Cursor<'_>) -> Option<i64> {
    if at.eat(b'Z') {
        return Some(0);
    }
    let sign = if at.eat(b'+') {
        1
    } else if at.eat(b'-') {
        -1
    } else {
        return None;
    };
    at.strict = true;
    let hours = at.number(2)?;
    at.eat(b':');
    let minutes = if at.done() { 0 } else { at.number(2)? };
    (hours <= 18 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the epoch to a day of the Gregorian calendar.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their odd day at the end.
    let year = if month > 2 { year } else { year - 1 };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Epoch milliseconds as ISO 8601 in UTC: `2024-01-31T12:00:00.000Z`.
pub fn iso_text(millis: i64) -> String {
    let days = millis.div_euclid(86_400_000);
    let of_day = millis.rem_euclid(86_400_000);
    let from_march = days + 719_468;
    let era = from_march.div_euclid(146_097);
    let of_era = from_march.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = String::with_capacity(24);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1000 % 60,
        of_day % 1000
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(pattern: &str, text: &str) -> Option<(i64, u32)> {
        let instant = DateFormats::new(pattern).unwrap().parse(text)?;
        Some((instant.millis, instant.nanos))
    }

    proptest! {
        #[test]
        fn iso_dates_come_back(millis in -62_167_219_200_000..253_402_300_799_999i64) {
            let text = iso_text(millis);
            prop_assert_eq!(read(DEFAULT, &text), Some((millis, 0)), "{}", &text);
            // The calendar is the one that jobs have.
            prop_assert_eq!(TimeFormat::Iso8601.parse(&text), Some(millis));
        }
    }

    #[test]
    fn dates_in_many_forms() {
        for (pattern, text, expected) in [
            (DEFAULT, "2024-02-29", Some((1_709_164_800_000, 0))),
            (DEFAULT, "2023-02-29", None),
            (DEFAULT, "2024", Some((1_704_067_200_000, 0))),
            (
                DEFAULT,
                "2024-01-01T01:02:03.123456789+01:30",
                Some((1_704_065_523_123, 456_789)),
            ),
            (DEFAULT, "2024-01-01T00+0100", Some((1_704_063_600_000, 0))),
            (DEFAULT, "2024-01-01 00:00:00", None),
            (DEFAULT, "2024-1-1", None),
            (
                "date_optional_time",
                "2024-1-1",
                Some((1_704_067_200_000, 0)),
            ),
            (DEFAULT, "1704067200000", Some((1_704_067_200_000, 0))),
            (DEFAULT, "-1.5", Some((-2, 500_000))),
            (
                "epoch_second",
                "1704067200.25",
                Some((1_704_067_200_250, 0)),
            ),
            (
                "epoch_second",
                "1704067200.123456",
                Some((1_704_067_200_123, 456_000)),
            ),
            ("epoch_second", "1e9", None),
            (
                "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd",
                "2024/01/01",
                Some((1_704_067_200_000, 0)),
            ),
            ("basic_date", "20240101", Some((1_704_067_200_000, 0))),
            (
                "date_time_no_millis",
                "2024-01-01T01:00:00+01:00",
                Some((1_704_067_200_000, 0)),
            ),
            (DEFAULT, "", None),
            (DEFAULT, "abc", None),
        ] {
            assert_eq!(read(pattern, text), expected, "{pattern} {text}");
        }
        assert!(DateFormats::new("bbbb").is_err());
        assert!(
            DateFormats::new("epoch_second||strict_date_optional_time")
                .unwrap()
                .numbers_are_seconds()
        );
    }
}
