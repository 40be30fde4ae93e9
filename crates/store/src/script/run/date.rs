//! Methods of times.

use chrono::{
    DateTime, Datelike, Days, FixedOffset, Months, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
    Weekday,
};

use super::super::error::Fault;
use super::super::names::{Method, Style, Unit};
use super::super::number::Number;
use super::super::value::{Value, day_name};
use super::{Plain, Run};
use crate::dates::Zone;

type Zoned = DateTime<FixedOffset>;

fn out_of_range() -> Fault {
    Fault::new("date_time_exception", "the time is out of range")
}

fn unparsable(text: &str) -> Fault {
    Fault::new(
        "date_time_parse_exception",
        format!("Text '{text}' could not be parsed at index 0"),
    )
}

/// A time as ISO 8601 has it, with its zone.
pub(super) fn parse(text: &str) -> Plain<Zoned> {
    let plain = text.split_once('[').map_or(text, |(plain, _)| plain);
    let offset = plain
        .strip_suffix('Z')
        .map(|plain| format!("{plain}+00:00"));
    let plain = offset.as_deref().unwrap_or(plain);
    DateTime::parse_from_rfc3339(plain)
        .or_else(|_| DateTime::parse_from_str(plain, "%Y-%m-%dT%H:%M%:z"))
        .map_err(|_| unparsable(text))
}

/// A zone by its name or its distance from UTC.
pub(super) fn zone(name: &str) -> Plain<Zone> {
    Zone::parse(name).ok_or_else(|| {
        Fault::new(
            "zone_rules_exception",
            format!("Unknown time-zone ID: {name}"),
        )
    })
}

/// A time as the clocks of a zone show it.
pub(super) fn in_zone(time: DateTime<Utc>, zone: Zone) -> Plain<Zoned> {
    let seconds = zone.offset(time.timestamp_millis()) / 1_000;
    let offset = i32::try_from(seconds).ok().and_then(FixedOffset::east_opt);
    offset
        .map(|offset| time.with_timezone(&offset))
        .ok_or_else(out_of_range)
}

fn nanos(time: &DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}

fn unit_nanos(unit: Unit) -> Option<i128> {
    Some(match unit {
        Unit::Nanos => 1,
        Unit::Micros => 1_000,
        Unit::Millis => 1_000_000,
        Unit::Seconds => 1_000_000_000,
        Unit::Minutes => 60_000_000_000,
        Unit::Hours => 3_600_000_000_000,
        Unit::HalfDays => 43_200_000_000_000,
        Unit::Days => 86_400_000_000_000,
        Unit::Weeks => 604_800_000_000_000,
        Unit::Months | Unit::Years => return None,
    })
}

/// Whole units from one time to another.
fn between(unit: Unit, from: &Zoned, to: &Zoned) -> i64 {
    let to = to.with_timezone(from.offset());
    let count = match unit_nanos(unit) {
        Some(size) => (nanos(&to.to_utc()) - nanos(&from.to_utc())) / size,
        None => {
            let month = |time: &Zoned| i64::from(time.year()) * 12 + i64::from(time.month0());
            let within = |time: &Zoned| (time.day(), time.time());
            let mut months = month(&to) - month(from);
            if months > 0 && within(&to) < within(from) {
                months -= 1;
            } else if months < 0 && within(&to) > within(from) {
                months += 1;
            }
            i128::from(if unit == Unit::Years {
                months / 12
            } else {
                months
            })
        }
    };
    i64::try_from(count).unwrap_or(if count < 0 { i64::MIN } else { i64::MAX })
}

fn truncated(time: &Zoned, unit: Unit) -> Plain<Zoned> {
    let day = 86_400_000_000_000_i128;
    let size = unit_nanos(unit)
        .filter(|size| *size <= day)
        .ok_or_else(|| {
            Fault::new(
                "unsupported_temporal_type_exception",
                "Unit is too large to be used for truncation",
            )
        })?;
    let local = time.time();
    let passed = i128::from(local.num_seconds_from_midnight()) * 1_000_000_000
        + i128::from(local.nanosecond() % 1_000_000_000);
    let kept = passed - passed % size;
    let seconds = u32::try_from(kept / 1_000_000_000).unwrap_or(0);
    let rest = u32::try_from(kept % 1_000_000_000).unwrap_or(0);
    let local = NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest);
    let date = local.map(|local| time.date_naive().and_time(local));
    date.and_then(|date| time.offset().from_local_datetime(&date).single())
        .ok_or_else(out_of_range)
}

fn moved(time: &Zoned, method: Method, by: i64) -> Plain<Zoned> {
    use Method as M;
    let months = |count: Option<i64>| {
        let count = count?;
        let size = u32::try_from(count.unsigned_abs()).ok()?;
        match count < 0 {
            true => time.checked_sub_months(Months::new(size)),
            false => time.checked_add_months(Months::new(size)),
        }
    };
    let days = |count: Option<i64>| {
        let count = count?;
        let size = Days::new(count.unsigned_abs());
        if count < 0 {
            time.checked_sub_days(size)
        } else {
            time.checked_add_days(size)
        }
    };
    let delta = |delta: Option<TimeDelta>| time.checked_add_signed(delta?);
    let back = by.checked_neg();
    let result = match method {
        M::PlusYears => months(by.checked_mul(12)),
        M::MinusYears => months(back.and_then(|by| by.checked_mul(12))),
        M::PlusMonths => months(Some(by)),
        M::MinusMonths => months(back),
        M::PlusWeeks => days(by.checked_mul(7)),
        M::MinusWeeks => days(back.and_then(|by| by.checked_mul(7))),
        M::PlusDays => days(Some(by)),
        M::MinusDays => days(back),
        M::PlusHours => delta(TimeDelta::try_hours(by)),
        M::MinusHours => delta(back.and_then(TimeDelta::try_hours)),
        M::PlusMinutes => delta(TimeDelta::try_minutes(by)),
        M::MinusMinutes => delta(back.and_then(TimeDelta::try_minutes)),
        M::PlusSeconds => delta(TimeDelta::try_seconds(by)),
        M::MinusSeconds => delta(back.and_then(TimeDelta::try_seconds)),
        M::PlusMillis => delta(TimeDelta::try_milliseconds(by)),
        M::MinusMillis => delta(back.and_then(TimeDelta::try_milliseconds)),
        M::PlusNanos => delta(Some(TimeDelta::nanoseconds(by))),
        _ => delta(back.map(TimeDelta::nanoseconds)),
    };
    result.ok_or_else(out_of_range)
}

fn day_of_week(day: Weekday) -> i32 {
    day.number_from_monday() as i32
}

/// A time by a pattern of Java's `DateTimeFormatter`: its common letters.
fn formatted(pattern: &str, time: &Zoned) -> Plain<String> {
    let mut text = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\'' {
            if chars.next_if_eq(&'\'').is_some() {
                text.push('\'');
                continue;
            }
            loop {
                match chars.next() {
                    Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                    Some('\'') => break,
                    Some(char) => text.push(char),
                    None => {
                        let reason =
                            format!("Pattern ends with an incomplete string literal: {pattern}");
                        return Err(Fault::argument(reason));
                    }
                }
            }
            continue;
        }
        if !char.is_ascii_alphabetic() {
            text.push(char);
            continue;
        }
        let mut count = 1;
        while chars.next_if_eq(&char).is_some() {
            count += 1;
        }
        let padded = |number: u32| format!("{number:0count$}");
        text += &match (char, count) {
            ('y' | 'u', 2) => format!("{:02}", time.year().rem_euclid(100)),
            ('y' | 'u', 1..=9) => format!("{:0count$}", time.year()),
            ('M' | 'L', 1..=2) => padded(time.month()),
            ('M' | 'L', 3) => time.format("%b").to_string(),
            ('M' | 'L', 4) => time.format("%B").to_string(),
            ('d', 1..=2) => padded(time.day()),
            ('D', 1..=3) => padded(time.ordinal()),
            ('H', 1..=2) => padded(time.hour()),
            ('h', 1..=2) => padded(time.hour12().1),
            ('m', 1..=2) => padded(time.minute()),
            ('s', 1..=2) => padded(time.second()),
            ('S', 1..=9) => format!("{:09}", time.nanosecond() % 1_000_000_000)[..count].to_owned(),
            ('a', 1) => if time.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            ('E', 1..=3) => day_name(time.weekday())[..3].to_owned(),
            ('E', 4) => day_name(time.weekday()).to_owned(),
            ('e', 1) => day_of_week(time.weekday()).to_string(),
            ('X', 1..=3) if time.offset().local_minus_utc() == 0 => "Z".to_owned(),
            ('X' | 'x', 3) => time.format("%:z").to_string(),
            ('X' | 'x' | 'Z', 2) | ('Z', 1 | 3) => time.format("%z").to_string(),
            _ => {
                let reason = format!("Unknown pattern letter or count: {char} ({count})");
                return Err(Fault::argument(reason));
            }
        };
    }
    Ok(text)
}

fn whole(value: &Value) -> Plain<i64> {
    match value.number() {
        Some(number @ (Number::Int(_) | Number::Long(_))) => Ok(number.long()),
        _ => Err(Fault::cast(format!(
            "cannot implicitly cast def [{}] to long",
            value.plain_class()
        ))),
    }
}

/// A time of either kind.
fn time(value: &Value) -> Plain<Zoned> {
    match value {
        Value::Zoned(time) => Ok(*time),
        Value::Instant(time) => Ok(time.fixed_offset()),
        other => Err(Fault::cast(format!(
            "class {} cannot be cast to class java.time.ZonedDateTime",
            other.class()
        ))),
    }
}

impl<'a> Run<'a> {
    pub(super) fn date_method(
        &mut self,
        target: &Value<'a>,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        match target {
            Value::Zoned(time) => zoned_method(time, method, arguments)
                .or_else(|| self.format_method(time, method, arguments)),
            Value::Instant(time) => instant_method(time, method, arguments),
            Value::Day(day) => self.day_method(*day, method, arguments),
            Value::Unit(unit) => match (method, arguments) {
                (Method::Between, [from, to]) => Some(
                    time(from).and_then(|from| Ok(Value::long(between(*unit, &from, &time(to)?)))),
                ),
                _ => None,
            },
            _ => None,
        }
    }

    fn format_method(
        &mut self,
        time: &Zoned,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        let (Method::Format, [Value::Format(pattern)]) = (method, arguments) else {
            return None;
        };
        let text = self
            .work(pattern.len())
            .and_then(|()| formatted(pattern, time));
        Some(text.and_then(|text| self.new_text(text)))
    }

    fn day_method(
        &mut self,
        day: Weekday,
        method: Method,
        arguments: &[Value<'a>],
    ) -> Option<Plain<Value<'a>>> {
        use Method as M;
        let name = day_name(day);
        match (method, arguments) {
            (M::GetValue, []) => Some(Ok(Value::int(day_of_week(day)))),
            (M::Ordinal, []) => Some(Ok(Value::int(day_of_week(day) - 1))),
            (M::Name, []) => Some(self.new_text(name.to_ascii_uppercase())),
            (M::GetDisplayName, [Value::Style(style), Value::Locale]) => {
                let shown = match style {
                    Style::Full => name,
                    Style::Short => &name[..3],
                    Style::Narrow => &name[..1],
                };
                Some(self.new_text(shown))
            }
            _ => None,
        }
    }
}

fn instant_method<'a>(
    time: &DateTime<Utc>,
    method: Method,
    arguments: &[Value<'a>],
) -> Option<Plain<Value<'a>>> {
    use Method as M;
    Some(Ok(match (method, arguments) {
        (M::ToEpochMilli, []) => Value::long(time.timestamp_millis()),
        (M::GetEpochSecond, []) => Value::long(time.timestamp()),
        (M::GetNano, []) => Value::int(time.timestamp_subsec_nanos() as i32),
        (M::IsAfter, [Value::Instant(other)]) => Value::Bool(time > other),
        (M::IsBefore, [Value::Instant(other)]) => Value::Bool(time < other),
        (M::CompareTo, [Value::Instant(other)]) => Value::int(time.cmp(other) as i32),
        (M::TruncatedTo, [Value::Unit(unit)]) => {
            let truncated = truncated(&time.fixed_offset(), *unit);
            return Some(truncated.map(|time| Value::Instant(time.to_utc())));
        }
        (
            M::PlusMillis
            | M::MinusMillis
            | M::PlusSeconds
            | M::MinusSeconds
            | M::PlusNanos
            | M::MinusNanos,
            [by],
        ) => {
            let moved = whole(by).and_then(|by| moved(&time.fixed_offset(), method, by));
            return Some(moved.map(|time| Value::Instant(time.to_utc())));
        }
        _ => return None,
    }))
}

fn zoned_method<'a>(
    time: &Zoned,
    method: Method,
    arguments: &[Value<'a>],
) -> Option<Plain<Value<'a>>> {
    use Method as M;
    let int = |number: u32| Value::int(number as i32);
    let millis = time.timestamp_subsec_millis();
    Some(Ok(match (method, arguments) {
        (M::ToInstant, []) => Value::Instant(time.to_utc()),
        (M::GetMillis, []) => Value::long(time.timestamp_millis()),
        (M::ToEpochSecond, []) => Value::long(time.timestamp()),
        (M::GetYear, []) => Value::int(time.year()),
        (M::GetMonthValue | M::GetMonthOfYear, []) => int(time.month()),
        (M::GetDayOfMonth, []) => int(time.day()),
        (M::GetDayOfYear, []) => int(time.ordinal()),
        (M::GetDayOfWeek | M::GetDayOfWeekEnum, []) => Value::Day(time.weekday()),
        (M::GetHour | M::GetHourOfDay, []) => int(time.hour()),
        (M::GetMinute | M::GetMinuteOfHour, []) => int(time.minute()),
        (M::GetSecond | M::GetSecondOfMinute, []) => int(time.second()),
        (M::GetNano, []) => int(time.timestamp_subsec_nanos()),
        (M::GetMillisOfSecond, []) => int(millis),
        (M::GetMinuteOfDay, []) => int(time.num_seconds_from_midnight() / 60),
        (M::GetSecondOfDay, []) => int(time.num_seconds_from_midnight()),
        (M::GetMillisOfDay, []) => int(time.num_seconds_from_midnight() * 1_000 + millis),
        (M::IsAfter, [Value::Zoned(other)]) => Value::Bool(time > other),
        (M::IsBefore, [Value::Zoned(other)]) => Value::Bool(time < other),
        (M::IsEqual, [Value::Zoned(other)]) => Value::Bool(time == other),
        (M::CompareTo, [Value::Zoned(other)]) => Value::int(time.cmp(other) as i32),
        (M::TruncatedTo, [Value::Unit(unit)]) => {
            return Some(truncated(time, *unit).map(Value::Zoned));
        }
        (M::WithZoneSameInstant, [Value::Zone(zone)]) => {
            return Some(in_zone(time.to_utc(), *zone).map(Value::Zoned));
        }
        (
            M::PlusYears
            | M::MinusYears
            | M::PlusMonths
            | M::MinusMonths
            | M::PlusWeeks
            | M::MinusWeeks
            | M::PlusDays
            | M::MinusDays
            | M::PlusHours
            | M::MinusHours
            | M::PlusMinutes
            | M::MinusMinutes
            | M::PlusSeconds
            | M::MinusSeconds
            | M::PlusNanos
            | M::MinusNanos,
            [by],
        ) => {
            return Some(
                whole(by)
                    .and_then(|by| moved(time, method, by))
                    .map(Value::Zoned),
            );
        }
        _ => return None,
    }))
}
