//! How long the parts of a date histogram are.

use chrono::{DateTime, Datelike, Months, NaiveDate};

#[derive(Debug, Clone, Copy)]
pub enum Interval {
    Millis(i64),
    Weeks,
    Months(u32),
}

impl Interval {
    pub fn parse(text: &str) -> Option<Self> {
        const DAY: i64 = 86_400_000;
        let named = match text {
            "second" | "1s" => Self::Millis(1_000),
            "minute" | "1m" => Self::Millis(60_000),
            "hour" | "1h" => Self::Millis(3_600_000),
            "day" | "1d" => Self::Millis(DAY),
            "week" | "1w" => Self::Weeks,
            "month" | "1M" => Self::Months(1),
            "quarter" | "1q" => Self::Months(3),
            "year" | "1y" => Self::Months(12),
            _ => {
                let digits =
                    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let unit = match &text[digits..] {
                    "ms" => 1,
                    "s" => 1_000,
                    "m" => 60_000,
                    "h" => 3_600_000,
                    "d" => DAY,
                    _ => return None,
                };
                let millis = text[..digits].parse::<i64>().ok()?.checked_mul(unit)?;
                return (millis > 0).then_some(Self::Millis(millis));
            }
        };
        Some(named)
    }

    /// The start of the part that a time is in.
    pub fn start(self, time: i64) -> i64 {
        const WEEK: i64 = 7 * 86_400_000;
        // The epoch began on a Thursday.
        const MONDAY: i64 = 4 * 86_400_000;
        match self {
            Self::Millis(millis) => time.div_euclid(millis).saturating_mul(millis),
            Self::Weeks => time
                .saturating_sub(MONDAY)
                .div_euclid(WEEK)
                .saturating_mul(WEEK)
                .saturating_add(MONDAY),
            Self::Months(months) => {
                let date = DateTime::from_timestamp_millis(time)
                    .unwrap_or_default()
                    .date_naive();
                let month = date.month0() / months * months + 1;
                let start = NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap_or_default();
                start
                    .and_hms_opt(0, 0, 0)
                    .unwrap_or_default()
                    .and_utc()
                    .timestamp_millis()
            }
        }
    }

    /// The start of the next part.
    pub fn next(self, start: i64) -> i64 {
        match self {
            Self::Millis(millis) => start.saturating_add(millis),
            Self::Weeks => start.saturating_add(7 * 86_400_000),
            Self::Months(months) => DateTime::from_timestamp_millis(start)
                .and_then(|start| start.checked_add_months(Months::new(months)))
                .map_or(i64::MAX, |next| next.timestamp_millis()),
        }
    }
}
