//! Times in requests.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use tidewatch_model::time_format::TimeFormat;

use crate::error::{ApiError, Result};
use crate::jobs::Text;

fn unreadable(name: &str, text: &str) -> ApiError {
    ApiError::parse(format!(
        "Query param [{name}] with value [{text}] cannot be parsed as a date or converted to a number (epoch)."
    ))
}

/// Times that can be meant, epoch milliseconds: the years 0 to 9999. What is beyond would run out of numbers.
const SENSIBLE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// A time of a flush or upload: up to ten digits are epoch seconds, more are milliseconds; else ISO 8601, or `now`.
pub fn seconds_or_millis(name: &str, text: &str) -> Result<i64> {
    let millis = match text.parse::<i64>() {
        Ok(number) if text.len() <= 10 => Some(number * 1_000),
        Ok(number) => Some(number),
        Err(_) => math(text),
    };
    sensible(name, text, millis)
}

/// What is said of a range that ends before it begins; in epoch milliseconds.
pub fn backwards(start: i64, end: i64) -> ApiError {
    ApiError::illegal_argument(format!(
        "Invalid time range: end time '{}' is earlier than start time '{}'.",
        end / 1_000,
        start / 1_000
    ))
}

fn sensible(name: &str, text: &str, millis: Option<i64>) -> Result<i64> {
    millis
        .filter(|millis| SENSIBLE.contains(millis))
        .ok_or_else(|| unreadable(name, text))
}

/// A bound of a range of results: epoch milliseconds, ISO 8601, or date math on either (`now-1d/d`, `2020-01-01||+1M`).
pub fn bound(name: &str, text: &str) -> Result<i64> {
    sensible(name, text, math(text))
}

/// The bounds of a range of results.
pub fn bounds(start: Option<Text>, end: Option<Text>) -> Result<(Option<i64>, Option<i64>)> {
    let of = |name: &str, text: Option<Text>| {
        text.map(|text| bound(name, &text.into_string()))
            .transpose()
    };
    Ok((of("start", start)?, of("end", end)?))
}

fn math(text: &str) -> Option<i64> {
    let (anchor, steps) = match text.strip_prefix("now") {
        Some(steps) => (Utc::now(), steps),
        None => {
            let (anchor, steps) = text.split_once("||").unwrap_or((text, ""));
            let millis = anchor
                .parse()
                .ok()
                .or_else(|| TimeFormat::Iso8601.parse(anchor))?;
            (DateTime::from_timestamp_millis(millis)?, steps)
        }
    };
    let mut time = anchor;
    let mut rest = steps;
    while let Some(sign) = rest.chars().next() {
        rest = &rest[sign.len_utf8()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let amount: u32 = if digits == 0 {
            1
        } else {
            rest[..digits].parse().ok()?
        };
        let unit = rest[digits..].chars().next()?;
        rest = &rest[digits + unit.len_utf8()..];
        time = match sign {
            '+' | '-' => step(time, sign == '+', amount, unit)?,
            '/' if digits == 0 => floor(time, unit)?,
            _ => return None,
        };
    }
    Some(time.timestamp_millis())
}

fn step(time: DateTime<Utc>, forward: bool, amount: u32, unit: char) -> Option<DateTime<Utc>> {
    let months = match unit {
        'y' => Some(amount.checked_mul(12)?),
        'M' => Some(amount),
        _ => None,
    };
    if let Some(months) = months.map(Months::new) {
        return if forward {
            time.checked_add_months(months)
        } else {
            time.checked_sub_months(months)
        };
    }
    let days = match unit {
        'w' => Some(u64::from(amount) * 7),
        'd' => Some(u64::from(amount)),
        _ => None,
    };
    if let Some(days) = days.map(Days::new) {
        return if forward {
            time.checked_add_days(days)
        } else {
            time.checked_sub_days(days)
        };
    }
    let seconds = match unit {
        'h' | 'H' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let delta = TimeDelta::try_seconds(seconds * i64::from(amount))?;
    time.checked_add_signed(if forward { delta } else { -delta })
}

fn floor(time: DateTime<Utc>, unit: char) -> Option<DateTime<Utc>> {
    let date = time.date_naive();
    let start = match unit {
        'y' => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
        'M' => date.with_day(1)?,
        'w' => {
            date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday())))?
        }
        'd' => date,
        'h' | 'H' | 'm' | 's' => {
            let length = match unit {
                'm' => 60,
                's' => 1,
                _ => 3_600,
            };
            return DateTime::from_timestamp(time.timestamp().div_euclid(length) * length, 0);
        }
        _ => return None,
    };
    Some(start.and_hms_opt(0, 0, 0)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsers_of_elasticsearch() {
        assert_eq!(
            seconds_or_millis("start", "1403481600").ok(),
            Some(1_403_481_600_000)
        );
        assert_eq!(
            seconds_or_millis("start", "1403481600000").ok(),
            Some(1_403_481_600_000)
        );
        assert_eq!(bound("start", "1403481600").ok(), Some(1_403_481_600));
        assert_eq!(
            bound("start", "2014-06-23T00:00:00Z").ok(),
            Some(1_403_481_600_000)
        );
        assert_eq!(
            bound("start", "2014-06-23||+1M/M").ok(),
            Some(1_404_172_800_000)
        );
        assert!(bound("start", "now-1d/d").is_ok());
        for bad in [
            "9223372036854775807",
            "-9223372036854775808",
            "invalid",
            "now-",
            "now+1q",
            "2014-06-23||x",
            "",
            "now/3d",
        ] {
            let error = bound("start", bad).expect_err(bad).0;
            assert_eq!(
                (error.status, error.kind),
                (400, "parse_exception"),
                "{bad}"
            );
        }
    }
}
