//! Patterns of dates, in the letters of Java's `DateTimeFormatter`.

use chrono::{Datelike, NaiveDate, Timelike};

use super::zone::{Zone, naive, seconds};

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Literal(String),
    Year(usize),
    Month(usize),
    Day(usize),
    DayOfYear(usize),
    Weekday(usize),
    /// Of 24, or of 12.
    Hour(usize, bool),
    Minute(usize),
    Second(usize),
    Fraction(usize),
    AmPm,
    /// An offset, by its letter: `X` writes `Z` for none.
    Offset(char, usize),
    /// A zone by its name, or an offset.
    Zone,
    /// What follows may be missing, up to its end.
    Optional(Vec<Item>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern(Vec<Item>);

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
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Pattern {
    /// None: it has letters that aren't known.
    pub fn new(text: &str) -> Option<Self> {
        let mut chars = text.chars().peekable();
        let mut open: Vec<Vec<Item>> = vec![Vec::new()];
        while let Some(c) = chars.next() {
            let item = match c {
                '[' => {
                    open.push(Vec::new());
                    continue;
                }
                ']' => {
                    let inner = open.pop()?;
                    Item::Optional(inner)
                }
                '\'' => {
                    let mut literal = String::new();
                    if chars.peek() == Some(&'\'') {
                        chars.next();
                        literal.push('\'');
                    } else {
                        loop {
                            match chars.next()? {
                                '\'' if chars.peek() == Some(&'\'') => {
                                    chars.next();
                                    literal.push('\'');
                                }
                                '\'' => break,
                                other => literal.push(other),
                            }
                        }
                    }
                    Item::Literal(literal)
                }
                letter if letter.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.peek() == Some(&letter) {
                        chars.next();
                        count += 1;
                    }
                    match letter {
                        'y' | 'u' => Item::Year(count),
                        'M' | 'L' => Item::Month(count),
                        'd' => Item::Day(count),
                        'D' => Item::DayOfYear(count),
                        'E' => Item::Weekday(count),
                        'H' => Item::Hour(count, true),
                        'h' => Item::Hour(count, false),
                        'm' => Item::Minute(count),
                        's' => Item::Second(count),
                        'S' | 'n' => Item::Fraction(count),
                        'a' => Item::AmPm,
                        'X' | 'x' | 'Z' => Item::Offset(letter, count),
                        'z' | 'V' | 'O' => Item::Zone,
                        _ => return None,
                    }
                }
                other => Item::Literal(other.to_string()),
            };
            open.last_mut()?.push(item);
        }
        match open.len() {
            1 => open.pop().map(Self),
            _ => None,
        }
    }

    /// A time that a text says, in a zone where it names none; the end of what it doesn't say, where it is rounded up.
    pub fn parse(&self, text: &str, zone: Zone, up: bool) -> Option<i64> {
        self.read(text)?.time(zone, up)
    }

    pub fn read(&self, text: &str) -> Option<Read> {
        let mut read = Read::default();
        let rest = parse(&self.0, text, &mut read)?;
        rest.is_empty().then_some(read)
    }

    /// A time, and nanoseconds of its millisecond.
    pub fn format(&self, time: i64, nanos: i64, zone: Zone) -> String {
        let mut told = String::new();
        format(&self.0, time, nanos, zone, &mut told);
        told
    }
}

/// What a text said of a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    pub year: Option<i64>,
    pub month: Option<i64>,
    pub day: Option<i64>,
    pub day_of_year: Option<i64>,
    pub hour: Option<i64>,
    pub afternoon: Option<bool>,
    pub minute: Option<i64>,
    pub second: Option<i64>,
    /// Nanoseconds.
    pub fraction: Option<i64>,
    pub zone: Option<Zone>,
}

impl Read {
    /// Missing parts of the date are its first; of the time of day, the last where it is rounded up.
    pub fn time(&self, zone: Zone, up: bool) -> Option<i64> {
        let year = i32::try_from(self.year.unwrap_or(1970)).ok()?;
        let small = |value: i64| u32::try_from(value).ok();
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, small(day)?)?,
            None => NaiveDate::from_ymd_opt(
                year,
                small(self.month.unwrap_or(1))?,
                small(self.day.unwrap_or(1))?,
            )?,
        };
        let hour = match (self.hour, self.afternoon) {
            (Some(hour), Some(afternoon)) => Some(hour % 12 + if afternoon { 12 } else { 0 }),
            (hour, _) => hour,
        };
        let or = |value: Option<i64>, last: i64| value.unwrap_or(if up { last } else { 0 });
        let (hour, minute, second) = (or(hour, 23), or(self.minute, 59), or(self.second, 59));
        let fraction = or(self.fraction, 999_999_999);
        let is_next_day = hour == 24 && minute == 0 && second == 0 && fraction == 0;
        if (hour > 23 && !is_next_day) || minute > 59 || second > 59 {
            return None;
        }
        let day = super::interval::midnight(date);
        let local = day + ((hour * 60 + minute) * 60 + second) * 1_000 + fraction / 1_000_000;
        Some(self.zone.unwrap_or(zone).utc(local))
    }
}

/// Takes digits: at least and at most so many.
pub(super) fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    match count >= least.max(1) {
        true => Some((text[..count].parse().ok()?, &text[count..])),
        false => None,
    }
}

/// Nanoseconds from the digits of a fraction.
pub(super) fn fraction(text: &str, most: usize) -> Option<(i64, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count == 0 {
        return None;
    }
    let known = &text[..count.min(9)];
    let power = 10_i64.pow(u32::try_from(9 - known.len()).ok()?);
    Some((known.parse::<i64>().ok()? * power, &text[count..]))
}

fn named<'t>(text: &'t str, names: &[&str], count: usize) -> Option<(i64, &'t str)> {
    names.iter().zip(1..).find_map(|(name, number)| {
        let name = if count > 3 { name } else { &name[..3] };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name)
            .then(|| (number, &text[name.len()..]))
    })
}

fn parse<'t>(items: &[Item], text: &'t str, read: &mut Read) -> Option<&'t str> {
    let mut rest = text;
    for item in items {
        let number = |count: usize| match count {
            1 => digits(rest, 1, 2),
            count => digits(rest, count, count),
        };
        rest = match item {
            Item::Literal(literal) => rest.strip_prefix(literal.as_str())?,
            Item::Year(2) => {
                let (year, rest) = digits(rest, 2, 2)?;
                read.year = Some(2000 + year);
                rest
            }
            Item::Year(count) => {
                let (sign, plain) = match rest.strip_prefix('-') {
                    Some(plain) => (-1, plain),
                    None => (1, rest),
                };
                let (year, rest) = digits(plain, (*count).min(4), (*count).max(4))?;
                read.year = Some(sign * year);
                rest
            }
            Item::Month(count) => {
                let (month, rest) = match count {
                    1 | 2 => number(*count)?,
                    count => named(rest, &MONTHS, *count)?,
                };
                read.month = Some(month);
                rest
            }
            Item::Day(count) => {
                let (day, rest) = number(*count)?;
                read.day = Some(day);
                rest
            }
            Item::DayOfYear(count) => {
                let (day, rest) = digits(rest, *count, 3)?;
                read.day_of_year = Some(day);
                rest
            }
            Item::Weekday(count) => named(rest, &DAYS, *count)?.1,
            Item::Hour(count, is_24) => {
                let (hour, rest) = number(*count)?;
                if !is_24 && !(1..=12).contains(&hour) {
                    return None;
                }
                read.hour = Some(hour);
                rest
            }
            Item::Minute(count) => {
                let (minute, rest) = number(*count)?;
                read.minute = Some(minute);
                rest
            }
            Item::Second(count) => {
                let (second, rest) = number(*count)?;
                read.second = Some(second);
                rest
            }
            Item::Fraction(count) => {
                let (nanos, after) = fraction(rest, *count)?;
                if rest.len() - after.len() != *count {
                    return None;
                }
                read.fraction = Some(nanos);
                after
            }
            Item::AmPm => {
                let head = rest.get(..2)?;
                read.afternoon = Some(match head.to_ascii_uppercase().as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                &rest[2..]
            }
            Item::Offset(..) => {
                let (zone, rest) = offset(rest)?;
                read.zone = Some(zone);
                rest
            }
            Item::Zone => {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || "/_+-:".contains(c)))
                    .unwrap_or(rest.len());
                read.zone = Some(Zone::parse(&rest[..end])?);
                &rest[end..]
            }
            Item::Optional(inner) => {
                let mut tried = read.clone();
                match parse(inner, rest, &mut tried) {
                    Some(after) => {
                        *read = tried;
                        after
                    }
                    None => rest,
                }
            }
        };
    }
    Some(rest)
}

/// `Z`, or an offset.
pub(super) fn offset(text: &str) -> Option<(Zone, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Zone::Utc, rest));
    }
    let end = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_digit() && *c != ':')
        .map_or(text.len(), |(at, _)| at);
    let zone = match seconds(&text[..end])? {
        0 => Zone::Utc,
        seconds => Zone::Offset(seconds * 1_000),
    };
    Some((zone, &text[end..]))
}

fn format(items: &[Item], time: i64, nanos: i64, zone: Zone, told: &mut String) {
    let local = naive(zone.local(time));
    let padded = |value: i64, width: usize| format!("{value:0width$}");
    for item in items {
        match item {
            Item::Literal(literal) => told.push_str(literal),
            Item::Year(2) => told.push_str(&padded(i64::from(local.year().rem_euclid(100)), 2)),
            Item::Year(count) => told.push_str(&padded(i64::from(local.year()), *count)),
            Item::Month(count @ (1 | 2)) => {
                told.push_str(&padded(i64::from(local.month()), *count));
            }
            Item::Month(count) => {
                let name = MONTHS[local.month0() as usize];
                told.push_str(if *count == 3 { &name[..3] } else { name });
            }
            Item::Day(count) => told.push_str(&padded(i64::from(local.day()), *count)),
            Item::DayOfYear(count) => told.push_str(&padded(i64::from(local.ordinal()), *count)),
            Item::Weekday(count) => {
                let name = DAYS[local.weekday().num_days_from_monday() as usize];
                told.push_str(if *count <= 3 { &name[..3] } else { name });
            }
            Item::Hour(count, true) => told.push_str(&padded(i64::from(local.hour()), *count)),
            Item::Hour(count, false) => {
                told.push_str(&padded(i64::from(local.hour12().1), *count));
            }
            Item::Minute(count) => told.push_str(&padded(i64::from(local.minute()), *count)),
            Item::Second(count) => told.push_str(&padded(i64::from(local.second()), *count)),
            Item::Fraction(count) => {
                let nanos = padded(i64::from(local.nanosecond()) + nanos, 9);
                told.push_str(&nanos[..(*count).min(9)]);
            }
            Item::AmPm => told.push_str(if local.hour12().0 { "PM" } else { "AM" }),
            Item::Offset(letter, count) => {
                let suffix = zone.suffix(time);
                let suffix = match (letter, suffix.as_str()) {
                    ('X', "Z") => "Z",
                    (_, "Z") => "+00:00",
                    (_, other) => other,
                };
                match (letter, count) {
                    ('Z', 1..=3) | ('X' | 'x', 2) => {
                        told.extend(suffix.chars().filter(|c| *c != ':'));
                    }
                    ('X' | 'x', 1) if suffix.ends_with(":00") => told.push_str(&suffix[..3]),
                    _ => told.push_str(suffix),
                }
            }
            Item::Zone => match zone {
                Zone::Named(zone) => told.push_str(zone.name()),
                zone => told.push_str(&zone.suffix(time)),
            },
            Item::Optional(inner) => format(inner, time, nanos, zone, told),
        }
    }
}
