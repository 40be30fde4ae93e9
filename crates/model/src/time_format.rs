//! The time of a record: `data_description.time_format`, read without allocating.
//!
//! Times are epoch milliseconds, UTC where a text names no zone, and within the years 0 to 9999. The calendar is
//! the proleptic Gregorian one; a leap second is not a time.

mod pattern;

pub use pattern::Pattern;

const DAY_MS: i64 = 86_400_000;
/// 0000-01-01T00:00:00.000Z
const FIRST_MS: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z
const LAST_MS: i64 = 253_402_300_799_999;

/// How the times of a source are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds, with or without a fraction.
    Epoch,
    EpochMs,
    /// As Elasticsearch's `strict_date_optional_time`; a space in the place of the T is taken too.
    Iso8601,
    /// A pattern of Java's `DateTimeFormatter`.
    Pattern(Box<Pattern>),
}

/// A time format that no time can be read by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid Time format string '{0}'")]
pub struct InvalidTimeFormat(pub String);

impl TimeFormat {
    /// `epoch`, `epoch_ms`, `iso8601`, or else a Java pattern.
    pub fn new(format: &str) -> Result<Self, InvalidTimeFormat> {
        match format {
            "epoch" => Ok(Self::Epoch),
            "epoch_ms" => Ok(Self::EpochMs),
            "iso8601" => Ok(Self::Iso8601),
            _ => match Pattern::new(format) {
                Some(pattern) => Ok(Self::Pattern(Box::new(pattern))),
                None => Err(InvalidTimeFormat(format.to_owned())),
            },
        }
    }

    /// The time that a text says; blanks around it don't matter. None when it says none.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let text = text.trim_ascii();
        match self {
            Self::Epoch | Self::EpochMs => self.from_number(text.parse().ok()?),
            Self::Iso8601 => iso8601(text),
            Self::Pattern(pattern) => pattern.parse(text),
        }
    }

    /// The time that a number says, to the nearest millisecond. A pattern reads the digits of a whole number
    /// (`yyyyMMdd` takes 20240131); for ISO 8601 a number is no time.
    pub fn from_number(&self, number: f64) -> Option<i64> {
        match self {
            Self::Epoch => in_range(number * 1000.0),
            Self::EpochMs => in_range(number),
            Self::Iso8601 => None,
            Self::Pattern(pattern) => pattern.parse(decimal(number, &mut [0; 17])?),
        }
    }
}

fn in_range(ms: f64) -> Option<i64> {
    let ms = ms.round();
    // NaN is in no range, and what is in this one fits.
    (ms >= FIRST_MS as f64 && ms <= LAST_MS as f64).then_some(ms as i64)
}

/// The digits of a whole number that a double holds exactly.
fn decimal(number: f64, digits: &mut [u8; 17]) -> Option<&str> {
    if !(0.0..9_007_199_254_740_992.0).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    let mut left = number as u64;
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            return std::str::from_utf8(&digits[first..]).ok();
        }
    }
}

/// `YYYY[-MM[-DD]][T[hh[:mm[:ss[.fraction]]][zone]]]`, the zone Z, +hh, +hhmm or +hh:mm.
fn iso8601(text: &str) -> Option<i64> {
    let mut at = Cursor::new(text);
    let mut moment = Moment {
        year: at.digits(4, 4)?,
        ..Moment::default()
    };
    if at.eat("-") {
        moment.month = at.digits(2, 2)?;
        if at.eat("-") {
            moment.day = at.digits(2, 2)?;
        }
    }
    if (at.eat("T") || at.eat(" ")) && !at.done() {
        moment.hour = at.digits(2, 2)?;
        if at.eat(":") {
            moment.minute = at.digits(2, 2)?;
            if at.eat(":") {
                moment.second = at.digits(2, 2)?;
                if at.eat(".") || at.eat(",") {
                    moment.milli = at.fraction(1, usize::MAX)?;
                }
            }
        }
        if !at.done() {
            moment.offset = at.offset()?;
        }
    }
    if !at.done() || moment.day > days_in_month(moment.year, moment.month) {
        return None;
    }
    moment.epoch_ms()
}

/// A place in a text that is being read. Nothing is taken where an answer is None or false.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.as_bytes(),
        }
    }

    fn done(&self) -> bool {
        self.rest.is_empty()
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text.as_bytes()) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// As `eat`, in any case of ASCII letters.
    fn eat_name(&mut self, name: &str) -> bool {
        match self.rest.split_at_checked(name.len()) {
            Some((head, rest)) if head.eq_ignore_ascii_case(name.as_bytes()) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// How many digits come next, counted up to `max`.
    fn count_digits(&self, max: usize) -> usize {
        self.rest
            .iter()
            .take(max)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    /// A number of `min` to `max` digits, as many as there are.
    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.count_digits(max);
        if count < min {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        let mut number = 0_i64;
        for digit in digits {
            number = number
                .checked_mul(10)?
                .checked_add(i64::from(digit - b'0'))?;
        }
        self.rest = rest;
        Some(number)
    }

    /// Digits of a fraction of a second, as milliseconds; finer ones are cut off.
    fn fraction(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.count_digits(max);
        if count < min {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let digit = |place: usize| digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        Some(digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// A zone offset in seconds: Z, +hh, +hhmm, +hh:mm, and either with seconds.
    fn offset(&mut self) -> Option<i64> {
        if self.eat("Z") {
            return Some(0);
        }
        let mut at = *self;
        let sign = if at.eat("+") {
            1
        } else if at.eat("-") {
            -1
        } else {
            return None;
        };
        let mut offset = at.digits(2, 2)? * 3600;
        for unit in [60, 1] {
            let mut next = at;
            next.eat(":");
            let Some(part) = next.digits(2, 2) else { break };
            if part > 59 {
                return None;
            }
            offset += part * unit;
            at = next;
        }
        // Java's bound of a ZoneOffset.
        if offset > 18 * 3600 {
            return None;
        }
        *self = at;
        Some(sign * offset)
    }
}

/// A date and a time of day, with the zone's offset in seconds.
#[derive(Clone, Copy)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
    offset: i64,
}

impl Default for Moment {
    fn default() -> Self {
        Self {
            year: 0,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            milli: 0,
            offset: 0,
        }
    }
}

impl Moment {
    /// None when a part is out of its range. The day may be up to 31 in each month: callers have their own rule.
    fn epoch_ms(&self) -> Option<i64> {
        let fits = (0..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.in_day();
        fits.then(|| self.on_day(days_from_civil(self.year, self.month, self.day)))
            .flatten()
    }

    fn in_day(&self) -> bool {
        (0..24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second)
    }

    /// The time of day on a day counted from 1970-01-01.
    fn on_day(&self, day: i64) -> Option<i64> {
        let seconds = self.hour * 3600 + self.minute * 60 + self.second - self.offset;
        let ms = day * DAY_MS + seconds * 1000 + self.milli;
        (FIRST_MS..=LAST_MS).contains(&ms).then_some(ms)
    }
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar: `days_from_civil` of Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", https://howardhinnant.github.io/date_algorithms.html
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(format: &str, text: &str) -> Option<i64> {
        TimeFormat::new(format).unwrap().parse(text)
    }

    #[test]
    fn the_calendar_is_right() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(days_from_civil(0, 1, 1) * DAY_MS, FIRST_MS);
        assert_eq!(days_from_civil(10_000, 1, 1) * DAY_MS - 1, LAST_MS);
        let mut expected = days_from_civil(0, 1, 1);
        for year in 0..=9999 {
            for month in 1..=12 {
                assert_eq!(days_from_civil(year, month, 1), expected, "{year}-{month}");
                expected += days_in_month(year, month);
            }
        }
    }

    #[test]
    fn epochs() {
        assert_eq!(parse("epoch", "1403481600"), Some(1_403_481_600_000));
        assert_eq!(parse("epoch", " 1403481600.1234 "), Some(1_403_481_600_123));
        assert_eq!(parse("epoch", "-1.5"), Some(-1_500));
        assert_eq!(parse("epoch_ms", "1403481600001"), Some(1_403_481_600_001));
        assert_eq!(parse("epoch_ms", "1.4e12"), Some(1_400_000_000_000));
        for bad in [
            "",
            "x",
            "nan",
            "inf",
            "-inf",
            "1e300",
            "-62167219200001",
            "253402300800000",
        ] {
            assert_eq!(parse("epoch_ms", bad), None, "{bad}");
        }
        assert_eq!(
            TimeFormat::EpochMs.from_number(FIRST_MS as f64),
            Some(FIRST_MS)
        );
        assert_eq!(TimeFormat::Epoch.from_number(f64::NAN), None);
        assert_eq!(TimeFormat::Iso8601.from_number(2024.0), None);
    }

    #[test]
    fn iso_dates() {
        let day = 1_706_659_200_000; // 2024-01-31
        for (text, expected) in [
            ("2024-01-31", day),
            ("2024-01-31T", day),
            ("2024-01-31T01:02", day + 3_720_000),
            ("2024-01-31T01:02:03.4567Z", day + 3_723_456),
            ("2024-01-31 01:02:03,4", day + 3_723_400),
            ("2024-01-31T01:02:03+01", day + 123_000),
            ("2024-01-31T01:02:03+0100", day + 123_000),
            ("2024-01-31T01:02:03-01:30", day + 3_723_000 + 5_400_000),
            ("2024", 1_704_067_200_000),
            ("2024-01", 1_704_067_200_000),
            ("0000-01-01T00:00:00Z", FIRST_MS),
            ("9999-12-31T23:59:59.999Z", LAST_MS),
        ] {
            assert_eq!(parse("iso8601", text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "24-01-31",
            "2024-1-31",
            "2024-02-30",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-01-31T24:00",
            "2024-01-31T23:60",
            "2024-01-31T23:59:60",
            "2024-01-31T01:02:03.",
            "2024-01-31Z",
            "2024-01-31T01:02:03+19:00",
            "2024-01-31T01:02:03+1",
            "2024-01-31T01:02:03 x",
            "1706659200000",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+00:01",
            "２０２４-01-31",
        ] {
            assert_eq!(parse("iso8601", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_pattern_reads_whole_numbers() {
        let format = TimeFormat::new("yyyyMMdd").unwrap();
        assert_eq!(format.from_number(20_240_131.0), Some(1_706_659_200_000));
        for bad in [20_240_131.5, -1.0, f64::NAN, f64::INFINITY, 1e17, 0.0] {
            assert_eq!(format.from_number(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn iso_is_the_inverse_of_writing_it(
            year in 0_i64..=9999, month in 1_i64..=12, day in 1_i64..=28, second in 0_i64..86_400, milli in 0_i64..1000,
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milli:03}Z",
                second / 3600, second / 60 % 60, second % 60,
            );
            let expected = days_from_civil(year, month, day) * DAY_MS + second * 1000 + milli;
            prop_assert_eq!(TimeFormat::Iso8601.parse(&text), Some(expected));
            let pattern = TimeFormat::new("yyyy-MM-dd'T'HH:mm:ss.SSSX").unwrap();
            prop_assert_eq!(pattern.parse(&text), Some(expected));
        }

        #[test]
        fn nothing_panics(format in "\\PC*", text in "\\PC*", number in any::<f64>()) {
            for format in [&format[..], "epoch", "epoch_ms", "iso8601", "[yyyy]MMM d[,] HHmmssSSS[ z]"] {
                if let Ok(format) = TimeFormat::new(format) {
                    for time in [format.parse(&text), format.from_number(number)].into_iter().flatten() {
                        prop_assert!((FIRST_MS..=LAST_MS).contains(&time));
                    }
                }
            }
        }

        #[test]
        fn nothing_like_a_date_panics(format in "[yuMdDHhamsSnEXxZzV'\\[\\]: -]{0,24}", text in "[0-9TZ:+. -]{0,32}") {
            if let Ok(format) = TimeFormat::new(&format)
                && let Some(time) = format.parse(&text)
            {
                prop_assert!((FIRST_MS..=LAST_MS).contains(&time));
            }
        }
    }
}
