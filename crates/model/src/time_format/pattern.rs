//! Java's `DateTimeFormatter` patterns, as far as times of records need them.
//!
//! They read as in Elasticsearch: leniently (a number may have fewer digits than its letters where no other number
//! adjoins), and by Java's SMART resolution (30 February is the last of February, 24:00 is the next midnight).
//! English names, in any case. What Elasticsearch takes from the clock, a missing year, is not taken here: such
//! a pattern is refused, as the same records must always give the same times.

use super::{Cursor, Moment, days_from_civil, days_in_month, is_leap};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MAX_NESTING: usize = 16;
/// Digits that a number without fixed width takes at most.
const LENIENT_DIGITS: usize = 9;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(String),
    Number(Number),
    MonthName,
    Weekday,
    AmPm,
    Offset,
    Zone,
    /// The items up to `end` may be left out.
    Optional {
        end: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    part: Part,
    min: usize,
    max: usize,
    /// Digits that belong to the numbers which follow without anything between.
    reserved: usize,
    /// Neither more nor fewer digits than `min` to `max`.
    strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    /// Two digits mean 2000 to 2099.
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalf,
    Minute,
    Second,
    Fraction,
    Nano,
}

/// What has been read so far.
#[derive(Clone, Copy, Default)]
struct Parts {
    moment: Moment,
    year: Option<i64>,
    day_of_year: Option<i64>,
    weekday: Option<i64>,
    hour: Option<i64>,
    hour_of_half: Option<i64>,
    afternoon: Option<bool>,
}

impl Pattern {
    /// None where Java would refuse the pattern, where it has a letter that isn't known here, or no year.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let mut items = Vec::new();
        let mut open = Vec::new();
        // The number that reserves digits for those which adjoin it.
        let mut leader = None;
        let mut chars = pattern.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '[' if open.len() < MAX_NESTING => {
                    open.push(items.len());
                    items.push(Item::Optional { end: 0 });
                    leader = None;
                }
                ']' => {
                    close(&mut items, open.pop()?);
                    leader = None;
                }
                '\'' => {
                    literal(&mut items, &quoted(&mut chars)?);
                    leader = None;
                }
                'a'..='z' | 'A'..='Z' => {
                    let mut count = 1;
                    while chars.next_if_eq(&char).is_some() {
                        count += 1;
                    }
                    let mut item = letters(char, count)?;
                    leader = adjoin(&mut items, leader, &mut item);
                    items.push(item);
                }
                '[' | '{' | '}' | '#' => return None,
                _ => {
                    literal(&mut items, char.encode_utf8(&mut [0; 4]));
                    leader = None;
                }
            }
        }
        // Java closes what the pattern leaves open.
        while let Some(start) = open.pop() {
            close(&mut items, start);
        }
        let pattern = Self { items };
        pattern.gives_a_time().then_some(pattern)
    }

    /// It has a year, and an hour that is whole: of a day, or of a half day with its half.
    fn gives_a_time(&self) -> bool {
        let has = |wanted: &[Part]| {
            self.items
                .iter()
                .any(|item| matches!(item, Item::Number(number) if wanted.contains(&number.part)))
        };
        has(&[Part::Year, Part::YearOfCentury])
            && (!has(&[Part::HourOfHalf]) || has(&[Part::Hour]) || self.items.contains(&Item::AmPm))
    }

    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        let mut at = Cursor::new(text);
        let mut parts = Parts::default();
        self.read(0, self.items.len(), &mut at, &mut parts)?;
        if at.done() { parts.resolve() } else { None }
    }

    fn read(&self, mut item: usize, end: usize, at: &mut Cursor, parts: &mut Parts) -> Option<()> {
        while item < end {
            match &self.items[item] {
                Item::Optional { end } => {
                    let before = (*at, *parts);
                    if self.read(item + 1, *end, at, parts).is_none() {
                        (*at, *parts) = before;
                    }
                    item = *end;
                    continue;
                }
                Item::Literal(text) => at.eat(text).then_some(())?,
                Item::Number(number) => number.read(at, parts)?,
                Item::MonthName => parts.moment.month = 1 + name(at, &MONTHS)?,
                Item::Weekday => parts.weekday = Some(name(at, &WEEKDAYS)?),
                Item::AmPm => {
                    parts.afternoon = Some(!at.eat_name("AM") && at.eat_name("PM").then_some(true)?)
                }
                Item::Offset => parts.moment.offset = at.offset()?,
                Item::Zone => ["UTC", "GMT", "Z"]
                    .iter()
                    .any(|zone| at.eat_name(zone))
                    .then_some(())?,
            }
            item += 1;
        }
        Some(())
    }
}

/// What `count` times the same letter stand for.
fn letters(letter: char, count: usize) -> Option<Item> {
    let number = |part, min, max| {
        Item::Number(Number {
            part,
            min,
            max,
            reserved: 0,
            strict: false,
        })
    };
    let small = |part| match count {
        1 => Some(number(part, 1, 19)),
        2 => Some(number(part, 2, 2)),
        _ => None,
    };
    match (letter, count) {
        ('y' | 'u', 2) => Some(number(Part::YearOfCentury, 2, 2)),
        ('y' | 'u', 1..=19) => Some(number(Part::Year, count, 19)),
        ('M', 1 | 2) => small(Part::Month),
        ('M', 3 | 4) => Some(Item::MonthName),
        ('d', _) => small(Part::Day),
        ('D', 1) => Some(number(Part::DayOfYear, 1, 19)),
        ('D', 2 | 3) => Some(number(Part::DayOfYear, count, 3)),
        ('H', _) => small(Part::Hour),
        ('h', _) => small(Part::HourOfHalf),
        ('m', _) => small(Part::Minute),
        ('s', _) => small(Part::Second),
        ('S', 1..=9) => Some(number(Part::Fraction, count, count)),
        ('n', 1..=19) => Some(number(Part::Nano, count, 19)),
        ('a', 1) => Some(Item::AmPm),
        ('E', 1..=4) => Some(Item::Weekday),
        ('X' | 'x', 1..=5) | ('Z', 1..=3 | 5) => Some(Item::Offset),
        ('z', 1..=4) | ('V', 2) => Some(Item::Zone),
        _ => None,
    }
}

/// Java's rule for numbers that adjoin (`DateTimeFormatterBuilder.appendValue`): the first one may vary in width and
/// leaves those of fixed width their digits; one that varies ends the row and starts its own.
fn adjoin(items: &mut [Item], leader: Option<usize>, next: &mut Item) -> Option<usize> {
    let Item::Number(next) = next else {
        return None;
    };
    let Some(at) = leader else {
        return Some(items.len());
    };
    if let Some(Item::Number(first)) = items.get_mut(at) {
        if next.min == next.max {
            first.reserved += next.max;
            next.strict = true;
            return leader;
        }
        (first.strict, first.reserved) = (true, 0);
    }
    Some(items.len())
}

fn close(items: &mut [Item], start: usize) {
    let here = items.len();
    if let Some(Item::Optional { end }) = items.get_mut(start) {
        *end = here;
    }
}

fn literal(items: &mut Vec<Item>, text: &str) {
    items.push(Item::Literal(text.to_owned()));
}

/// The text of a quotation whose first quote has been read; two quotes are one of the text.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' if text.is_empty() => return Some("'".to_owned()),
            '\'' => return Some(text),
            char => text.push(char),
        }
    }
}

/// The position of the name that comes next, full or of three letters.
fn name(at: &mut Cursor, names: &[&str]) -> Option<i64> {
    let found = names
        .iter()
        .position(|name| at.eat_name(name))
        .or_else(|| {
            // They are ASCII: three bytes are three letters.
            names.iter().position(|name| at.eat_name(&name[..3]))
        })?;
    i64::try_from(found).ok()
}

impl Number {
    fn read(&self, at: &mut Cursor, parts: &mut Parts) -> Option<()> {
        let fixed = self.strict || (self.reserved > 0 && self.min == self.max);
        let (min, max) = if fixed {
            (self.min, self.max)
        } else {
            (1, LENIENT_DIGITS)
        };
        if self.part == Part::Fraction {
            parts.moment.milli = at.fraction(min, max)?;
            return Some(());
        }
        let digits = at.count_digits(max + self.reserved);
        let width = digits.saturating_sub(self.reserved).clamp(min, max);
        let number = at.digits(width, width)?;
        match self.part {
            Part::Year => parts.year = Some(number),
            Part::YearOfCentury => {
                parts.year = Some(if width == 2 { 2000 + number } else { number })
            }
            Part::Month => parts.moment.month = number,
            Part::Day => parts.moment.day = number,
            Part::DayOfYear => parts.day_of_year = Some(number),
            Part::Hour => parts.hour = Some(number),
            Part::HourOfHalf => parts.hour_of_half = Some(number),
            Part::Minute => parts.moment.minute = number,
            Part::Second => parts.moment.second = number,
            Part::Nano if number < 1_000_000_000 => parts.moment.milli = number / 1_000_000,
            Part::Nano | Part::Fraction => return None,
        }
        Some(())
    }
}

impl Parts {
    fn resolve(mut self) -> Option<i64> {
        let year = self.year.filter(|year| (0..=9999).contains(year))?;
        let mut day = match self.day_of_year {
            Some(day) => {
                let last = if is_leap(year) { 366 } else { 365 };
                (1..=last)
                    .contains(&day)
                    .then(|| days_from_civil(year, 1, day))?
            }
            None => {
                let Moment { month, day, .. } = self.moment;
                let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
                fits.then(|| days_from_civil(year, month, day.min(days_in_month(year, month))))?
            }
        };
        if self
            .weekday
            .is_some_and(|weekday| weekday != (day + 3).rem_euclid(7))
        {
            return None;
        }
        self.moment.hour = match (self.hour, self.hour_of_half, self.afternoon) {
            (Some(hour), _, Some(afternoon)) if (hour >= 12) != afternoon => return None,
            (Some(24), ..)
                if (self.moment.minute, self.moment.second, self.moment.milli) == (0, 0, 0) =>
            {
                day += 1;
                0
            }
            (Some(hour), ..) => hour,
            (None, Some(hour @ 1..=12), Some(afternoon)) => {
                hour % 12 + if afternoon { 12 } else { 0 }
            }
            (None, Some(_), _) => return None,
            (None, None, _) => 0,
        };
        if self.moment.in_day() {
            self.moment.on_day(day)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 1_706_659_200_000; // Wednesday 2024-01-31

    fn parse(pattern: &str, text: &str) -> Option<i64> {
        Pattern::new(pattern)
            .unwrap_or_else(|| panic!("{pattern} is refused"))
            .parse(text)
    }

    #[test]
    fn common_patterns() {
        for (pattern, text, expected) in [
            (
                "yyyy-MM-dd HH:mm:ss",
                "2024-01-31 01:02:03",
                DAY + 3_723_000,
            ),
            (
                "yyyy-MM-dd HH:mm:ssX",
                "2024-01-31 01:02:03+01",
                DAY + 123_000,
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "2024-01-31T01:02:03.456Z",
                DAY + 3_723_456,
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]",
                "2024-01-31T01:02:03",
                DAY + 3_723_000,
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]",
                "2024-01-31T01:02:03.4-01:00",
                DAY + 7_323_400,
            ),
            ("yyyyMMddHHmmss", "20240131010203", DAY + 3_723_000),
            ("yyyyMMddHHmmssSSS", "20240131010203456", DAY + 3_723_456),
            ("MMddyyyy", "01312024", DAY),
            ("d/M/yy H:m", "31/1/24 1:2", DAY + 3_720_000),
            ("yyMMdd", "240131", DAY),
            (
                "dd/MMM/yyyy:HH:mm:ss Z",
                "31/Jan/2024:01:02:03 +0100",
                DAY + 123_000,
            ),
            (
                "EEE MMM d HH:mm:ss z yyyy",
                "Wed Jan 31 01:02:03 UTC 2024",
                DAY + 3_723_000,
            ),
            (
                "EEEE, d MMMM uuuu hh:mm a VV",
                "wednesday, 31 january 2024 12:30 am GMT",
                DAY + 1_800_000,
            ),
            ("yyyy-MM-dd h:mm a", "2024-01-31 12:30 PM", DAY + 45_000_000),
            ("yyyy-DDD", "2024-031", DAY),
            ("yyyyDDD", "2024031", DAY),
            ("yyyy", "2024", 1_704_067_200_000),
            (
                "yyyy-MM-dd HH:mm:ss n",
                "2024-01-31 00:00:00 5000000",
                DAY + 5,
            ),
            (
                "yyyy 'o''clock' ''HH''",
                "2024 o'clock '05'",
                1_704_067_200_000 + 18_000_000,
            ),
            ("yyyy-MM-dd HH:mm", "2024-01-30 24:00", DAY),
            ("yyyy-MM-dd", "2024-02-31", DAY + 29 * 86_400_000),
            ("yyyy-MM-dd", "2024-1-31", DAY),
            ("yyyy年MM月dd日", "2024年01月31日", DAY),
            ("yyyy-MM-dd[ HH:mm", "2024-01-31", DAY),
        ] {
            assert_eq!(parse(pattern, text), Some(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_no_time() {
        for (pattern, text) in [
            ("yyyy-MM-dd", "2024-01-31 "),
            ("yyyy-MM-dd", "2024-13-01"),
            ("yyyy-MM-dd", "2024-01-32"),
            ("yyyy-MM-dd", "10000-01-01"),
            ("yyyy-MM-dd HH:mm", "2024-01-31 24:01"),
            ("yyyy-MM-dd HH:mm", "2024-01-31 23:60"),
            ("yyyy-MM-dd E", "2024-01-31 Thu"),
            ("yyyy-MM-dd h a", "2024-01-31 13 AM"),
            ("yyyy-MM-dd z", "2024-01-31 CET"),
            ("yyyyMMdd", "202413"),
            ("yyyy-DDD", "2023-366"),
            ("[yyyy-]MM", "01"),
            ("yyyy", "99999999999999999999"),
        ] {
            assert_eq!(parse(pattern, text), None, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_give_no_time_are_refused() {
        for pattern in [
            "",
            "invalid",
            "HH:mm:ss",
            "MMM d HH:mm:ss",
            "yyyy-MM-dd hh:mm",
            "yyyy-MM-dd 'T",
            "yyyy]",
            "yyyy{",
            "yyyy#",
            "yyyy-ddd",
            "yyyy-MMMMM",
            "yyyy SSSSSSSSSS",
            "yyyy V",
            "yyyy ZZZZ",
            "yyyy Q",
            "yyyyyyyyyyyyyyyyyyyy",
        ] {
            assert_eq!(Pattern::new(pattern), None, "{pattern}");
        }
        assert_eq!(Pattern::new(&format!("yyyy{}", "[".repeat(1000))), None);
    }
}
