//! The points of a job's timeline, as Google's API tells them: whole hours of UTC, or days of Los Angeles.

use chrono::{NaiveDateTime, TimeZone, Utc};
use chrono_tz::America::Los_Angeles;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The years that a date of Google's can have, 1 to 9999, as epoch milliseconds.
const FIRST: i64 = -62_135_596_800_000;
const END: i64 = 253_402_300_800_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hourly,
    Daily,
}

/// How the buckets of a job fall into points.
///
/// A bucket of days begins at midnight UTC, and most of it is the same date's day in Los Angeles; so the date names
/// it there too, which is also what data gives that Google has stamped with the midnights of Los Angeles. Times of
/// such a timeline are told as if its dates were UTC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    pub period: Period,
    /// Milliseconds from a point to the next: at least an hour.
    pub width: i64,
}

impl Timeline {
    /// Of buckets of so many seconds: daily for whole days, else hourly.
    pub fn new(bucket_span: i64) -> Self {
        let span = bucket_span.saturating_mul(1_000).max(1);
        Self {
            period: match span % DAY {
                0 => Period::Daily,
                _ => Period::Hourly,
            },
            // Several buckets of an hour are one point.
            width: if HOUR % span == 0 { HOUR } else { span },
        }
    }

    /// What a bucket, or several of an hour, are a row of: an hour or a day. None where they are neither.
    pub fn rows(&self) -> Option<Period> {
        match (self.period, self.width) {
            (Period::Hourly, HOUR) | (Period::Daily, DAY) => Some(self.period),
            _ => None,
        }
    }

    /// The beginning of the point that a time is part of.
    pub fn point(&self, time: i64) -> i64 {
        time.clamp(FIRST, END).div_euclid(self.width) * self.width
    }

    /// All times that can be told.
    pub fn all(&self) -> (i64, i64) {
        (self.point(FIRST) + self.width, self.point(END))
    }

    /// A span of points as it is shown, in whole hours or days.
    pub fn shown(&self, start: i64, end: i64) -> (i64, i64) {
        match self.period {
            Period::Daily => (start, end),
            Period::Hourly => (
                start.div_euclid(HOUR) * HOUR,
                end.saturating_add(HOUR - 1).div_euclid(HOUR) * HOUR,
            ),
        }
    }

    /// A moment on this timeline, from epoch milliseconds.
    pub fn moment(&self, time: i64) -> i64 {
        let time = time.clamp(FIRST, END);
        match (self.period, Los_Angeles.timestamp_millis_opt(time).single()) {
            (Period::Daily, Some(there)) => there.naive_local().and_utc().timestamp_millis(),
            _ => time,
        }
    }

    /// The date, and the time of day, of a moment of the timeline. None outside of the years 1 to 9999.
    pub fn date(moment: i64) -> Option<NaiveDateTime> {
        let date = Utc.timestamp_millis_opt(moment).single()?;
        (FIRST..END).contains(&moment).then(|| date.naive_utc())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
        time.timestamp_millis()
    }

    #[test]
    fn buckets_fall_into_hours_and_days() {
        for (span, period, width) in [
            (60, Period::Hourly, HOUR),
            (3_600, Period::Hourly, HOUR),
            (1_500, Period::Hourly, 1_500_000),
            (6 * 3_600, Period::Hourly, 6 * HOUR),
            (86_400, Period::Daily, DAY),
            (7 * 86_400, Period::Daily, 7 * DAY),
        ] {
            let timeline = Timeline::new(span);
            assert_eq!(timeline, Timeline { period, width }, "{span}");
            let is_row = [HOUR, DAY].contains(&width);
            assert_eq!(timeline.rows(), is_row.then_some(period), "{span}");
        }
        let odd = Timeline::new(1_500);
        let start = odd.point(at("2021-04-21T10:55:00Z"));
        assert_eq!(
            odd.shown(start, start + odd.width),
            (at("2021-04-21T10:00:00Z"), at("2021-04-21T12:00:00Z"))
        );
    }

    #[test]
    fn a_day_begins_at_midnight_in_los_angeles() {
        let days = Timeline::new(86_400);
        for (moment, date) in [
            ("2021-04-21T06:59:59Z", "2021-04-20T23:59:59Z"),
            ("2021-04-21T07:00:00Z", "2021-04-21T00:00:00Z"),
            ("2021-12-21T07:59:59Z", "2021-12-20T23:59:59Z"),
            ("2021-12-21T08:00:00Z", "2021-12-21T00:00:00Z"),
        ] {
            assert_eq!(days.moment(at(moment)), at(date), "{moment}");
        }
        let hours = Timeline::new(3_600);
        assert_eq!(hours.moment(1_234), 1_234);
        for time in [i64::MIN, i64::MAX] {
            let point = days.point(days.moment(time));
            assert!(days.shown(point, point + days.width).0 <= point);
        }
        assert_eq!(Timeline::date(END), None);
        assert!(Timeline::date(FIRST).is_some());
    }
}
