//! How long the parts of a date histogram are.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime};

use super::zone::{Zone, naive};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 86_400_000;

/// Milliseconds, or parts of a calendar, which differ in length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    Millis(i64),
    /// Seconds, minutes and hours are as long everywhere, but begin with those of the zone.
    Clock(i64),
    Day,
    Week,
    Months(u32),
}

impl Interval {
    /// `1d`, `day` and the like: one unit of a calendar.
    pub fn calendar(text: &str) -> Option<Self> {
        Some(match text {
            "second" | "1s" => Self::Clock(1_000),
            "minute" | "1m" => Self::Clock(MINUTE),
            "hour" | "1h" => Self::Clock(HOUR),
            "day" | "1d" => Self::Day,
            "week" | "1w" => Self::Week,
            "month" | "1M" => Self::Months(1),
            "quarter" | "1q" => Self::Months(3),
            "year" | "1y" => Self::Months(12),
            _ => return None,
        })
    }

    /// A length of always as many milliseconds, such as `90s` or `1d`.
    pub fn fixed(text: &str) -> Option<Self> {
        millis(text).filter(|millis| *millis > 0).map(Self::Millis)
    }

    /// The older form, that takes either.
    pub fn either(text: &str) -> Option<Self> {
        Self::calendar(text).or_else(|| Self::fixed(text))
    }

    /// The milliseconds of a part that is always as long.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::Millis(millis) | Self::Clock(millis) => Some(millis),
            _ => None,
        }
    }

    /// The start of the part that a time is in.
    pub fn start(self, time: i64, zone: Zone) -> i64 {
        let local = zone.local(time);
        match self {
            Self::Millis(millis) | Self::Clock(millis) => {
                let start = local.div_euclid(millis).saturating_mul(millis);
                self.back(time, local, start, zone)
            }
            Self::Day => zone.utc(local.div_euclid(DAY).saturating_mul(DAY)),
            Self::Week => {
                // The epoch began on a Thursday.
                const MONDAY: i64 = 4 * DAY;
                let weeks = local.saturating_sub(MONDAY).div_euclid(7 * DAY);
                zone.utc(weeks.saturating_mul(7 * DAY).saturating_add(MONDAY))
            }
            Self::Months(months) => {
                let date = naive(local).date();
                let month = date.month0() / months * months + 1;
                let start = NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap_or_default();
                zone.utc(midnight(start))
            }
        }
    }

    /// From a start on the wall clock to the time. Within the hour that comes twice, it is the same turn's; where the
    /// clock was put forward since, as if it had not been.
    fn back(self, time: i64, local: i64, start: i64, zone: Zone) -> i64 {
        let Zone::Named(_) = zone else {
            return start.saturating_sub(local.saturating_sub(time));
        };
        let near = time.saturating_sub(local.saturating_sub(start));
        match zone.offset(near) == zone.offset(time) {
            true => near,
            false => zone.utc(start).min(time),
        }
    }

    /// The start of the part after one that starts here.
    pub fn next(self, start: i64, zone: Zone) -> i64 {
        match self {
            Self::Millis(millis) | Self::Clock(millis) => {
                let next = start.saturating_add(millis);
                match zone {
                    Zone::Named(_) => self.start(next, zone).max(start.saturating_add(1)),
                    _ => next,
                }
            }
            Self::Day => self.shift(start, zone, |at| at.checked_add_days(Days::new(1))),
            Self::Week => self.shift(start, zone, |at| at.checked_add_days(Days::new(7))),
            Self::Months(months) => {
                self.shift(start, zone, |at| at.checked_add_months(Months::new(months)))
            }
        }
    }

    fn shift(
        self,
        start: i64,
        zone: Zone,
        by: impl Fn(NaiveDateTime) -> Option<NaiveDateTime>,
    ) -> i64 {
        let local = naive(zone.local(start));
        by(local).map_or(i64::MAX, |next| zone.utc(next.and_utc().timestamp_millis()))
    }
}

pub(super) fn midnight(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN)
        .and_utc()
        .timestamp_millis()
}

/// A length of time as settings have it: `100ms`, `90s`, `-1d`.
pub fn millis(text: &str) -> Option<i64> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "" if text == "0" => 1,
        _ => return None,
    };
    text[..digits]
        .parse::<i64>()
        .ok()?
        .checked_mul(unit)?
        .checked_mul(sign)
}
