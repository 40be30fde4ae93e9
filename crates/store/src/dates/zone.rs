//! Time zones: their offsets, and what a wall clock there means.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// `UTC`, an offset such as `+02:00`, or a name such as `Europe/Paris`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Zone {
    Utc,
    /// Milliseconds east of Greenwich.
    Offset(i64),
    Named(Tz),
}

impl Zone {
    /// None: there is no such zone.
    pub fn parse(text: &str) -> Option<Self> {
        if matches!(text, "Z" | "z" | "UTC" | "GMT" | "Etc/UTC") {
            return Some(Self::Utc);
        }
        let offset = text
            .strip_prefix("UTC")
            .or(text.strip_prefix("GMT"))
            .unwrap_or(text);
        if let Some(seconds) = seconds(offset) {
            return Some(match seconds {
                0 => Self::Utc,
                seconds => Self::Offset(seconds * 1_000),
            });
        }
        text.parse().ok().map(Self::Named)
    }

    /// How far its wall clock is ahead of UTC at a time, in milliseconds.
    pub fn offset(self, time: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Offset(offset) => offset,
            Self::Named(zone) => {
                let utc = DateTime::from_timestamp_millis(time)
                    .unwrap_or_default()
                    .naive_utc();
                let offset = zone.offset_from_utc_datetime(&utc).fix();
                i64::from(offset.local_minus_utc()) * 1_000
            }
        }
    }

    /// What a wall clock there shows, in milliseconds as if it were UTC.
    pub fn local(self, time: i64) -> i64 {
        time.saturating_add(self.offset(time))
    }

    /// The time at which a wall clock shows this: the first one where it does so twice, and the end of the gap where it
    /// never does.
    pub fn utc(self, local: i64) -> i64 {
        let Self::Named(zone) = self else {
            return local.saturating_sub(self.offset(local));
        };
        let naive = naive(local);
        match zone.from_local_datetime(&naive) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp_millis(),
            LocalResult::None => {
                // By the clock from before the gap, it is as long after the gap's start as it is into the gap.
                let before = self.offset(local.saturating_sub(86_400_000));
                let after = local.saturating_sub(before);
                self.change_before(after)
            }
        }
    }

    /// The last time up to `time` at which the offset changed, looked for within a day.
    fn change_before(self, time: i64) -> i64 {
        let (mut low, mut high) = (time.saturating_sub(86_400_000), time);
        let after = self.offset(high);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.offset(middle) == after {
                true => high = middle,
                false => low = middle,
            }
        }
        high
    }

    /// As it is named at the end of a date: `Z`, or the offset of that time.
    pub fn suffix(self, time: i64) -> String {
        match self.offset(time) / 1_000 {
            0 => "Z".to_owned(),
            seconds => FixedOffset::east_opt(i32::try_from(seconds).unwrap_or_default())
                .map_or_else(|| "Z".to_owned(), |offset| offset.to_string()),
        }
    }
}

pub(super) fn naive(millis: i64) -> NaiveDateTime {
    DateTime::<Utc>::from_timestamp_millis(millis)
        .unwrap_or_default()
        .naive_utc()
}

/// `+02`, `+0200`, `+02:00` or `-02:30:15`, as seconds.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let part = |at: usize| match digits.get(at..at + 2) {
        Some(two) => two.parse::<i64>().ok(),
        None => (at >= digits.len()).then_some(0),
    };
    let digits = match digits.len() {
        1 => format!("0{digits}"),
        2 | 4 | 6 => digits.clone(),
        _ => return None,
    };
    let (hours, minutes, seconds) = match digits.len() {
        _ if !is_plain => return None,
        2 => (digits.parse().ok()?, 0, 0),
        _ => (part(0)?, part(2)?, part(4)?),
    };
    (hours <= 18 && minutes < 60 && seconds < 60)
        .then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}
