//! Times in requests.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use tidewatch_jobs::JobError;
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

/// How Elasticsearch names the format of its dates.
const FORMAT: &str = "strict_date_optional_time||epoch_millis";

/// A time of a flush or upload, since 1970: up to ten digits are epoch seconds, more are milliseconds; else ISO 8601, or
/// `now`.
pub fn seconds_or_millis(name: &str, text: &str) -> Result<i64> {
    let millis = match text.parse::<i64>() {
        Ok(number) if text.len() <= 10 => Some(number * 1_000),
        Ok(number) => Some(number),
        Err(_) if text == "now" => Some(Utc::now().timestamp_millis()),
        Err(_) => iso(text),
    };
    millis
        .filter(|millis| *millis >= 0 && SENSIBLE.contains(millis))
        .ok_or_else(|| unreadable(name, text))
}

/// The range of a flush or upload. A start alone, or an end in its second, means one second.
pub fn range(start: Option<Text>, end: Option<Text>) -> Result<(Option<i64>, Option<i64>)> {
    let given = |text: Option<Text>| text.map(Text::into_string).filter(|text| !text.is_empty());
    let (from, to) = (given(start), given(end));
    let time = |name: &str, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| seconds_or_millis(name, text)).transpose()
    };
    let (start, end) = (time("start", &from)?, time("end", &to)?);
    let second = |time: i64| time / 1_000;
    match (start, end) {
        (Some(start), Some(end)) if second(end) < second(start) => {
            Err(ApiError::illegal_argument(format!(
                "Invalid time range: end time '{}' is earlier than start time '{}'.",
                to.unwrap_or_default(),
                from.unwrap_or_default()
            )))
        }
        (Some(start), Some(end)) if second(end) > second(start) => Ok((Some(start), Some(end))),
        (Some(start), _) => Ok((Some(start), Some(start + 1_000))),
        bounds => Ok(bounds),
    }
}

/// A bound of a range of results: epoch milliseconds, ISO 8601, or date math on either (`now-1d/d`, `2020-01-01||+1M`).
/// Four digits are a year.
pub fn bound(name: &str, text: &str) -> Result<i64> {
    math(text)
        .and_then(|time| {
            Some(time.timestamp_millis())
                .filter(|millis| SENSIBLE.contains(millis))
                .ok_or_else(|| no_date(text))
        })
        .map_err(|cause| ApiError(unreadable(name, text).0.because(cause)))
}

/// The bounds of a range of results.
pub fn bounds(start: Option<Text>, end: Option<Text>) -> Result<(Option<i64>, Option<i64>)> {
    let of = |name: &str, text: Option<Text>| {
        text.map(|text| bound(name, &text.into_string()))
            .transpose()
    };
    Ok((of("start", start)?, of("end", end)?))
}

fn no_date(text: &str) -> JobError {
    let told = format!("failed to parse date field [{text}] with format [{FORMAT}]");
    let cause = JobError::illegal_argument(told.clone());
    JobError::parse(format!("{told}: [{told}]")).because(cause)
}

fn iso(text: &str) -> Option<i64> {
    // What a record may have about it and within has no place here.
    let strict = !text.contains(|char: char| char.is_whitespace());
    strict.then(|| TimeFormat::Iso8601.parse(text)).flatten()
}

/// Epoch milliseconds, perhaps with a fraction.
fn epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(fraction);
    plain.then(|| whole.parse().ok()).flatten()
}

fn math(text: &str) -> std::result::Result<DateTime<Utc>, JobError> {
    let (anchor, steps) = match text.strip_prefix("now") {
        Some(steps) => (Utc::now(), steps),
        None => {
            let (anchor, steps) = text.split_once("||").unwrap_or((text, ""));
            let millis = iso(anchor).or_else(|| epoch(anchor));
            let time = millis.and_then(DateTime::from_timestamp_millis);
            (time.ok_or_else(|| no_date(anchor))?, steps)
        }
    };
    let mut time = anchor;
    let mut rest = steps;
    while let Some(sign) = rest.chars().next() {
        if !matches!(sign, '+' | '-' | '/') {
            let told = format!("operator not supported for date math [{steps}]");
            return Err(JobError::parse(told));
        }
        rest = &rest[1..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = rest[digits..]
            .chars()
            .next()
            .ok_or_else(|| JobError::parse(format!("truncated date math [{steps}]")))?;
        let amount: u32 = match &rest[..digits] {
            "" => 1,
            digits => digits.parse().map_err(|_| no_date(text))?,
        };
        rest = &rest[digits + unit.len_utf8()..];
        if sign == '/' && amount != 1 {
            let told = format!("rounding `/` can only be used on single unit types [{steps}]");
            return Err(JobError::parse(told));
        }
        if !"yMwdhHms".contains(unit) {
            let told = format!("unit [{unit}] not supported for date math [{steps}]");
            return Err(JobError::parse(told));
        }
        let moved = match sign {
            '/' => floor(time, unit),
            _ => step(time, sign == '+', amount, unit),
        };
        // Beyond what the calendar has.
        time = moved.ok_or_else(|| no_date(text))?;
    }
    Ok(time)
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

    /// 2014-06-23T00:00:00Z
    const DAY: i64 = 1_403_481_600_000;

    #[test]
    fn times_of_a_flush() {
        for (text, time) in [
            ("1403481600", DAY),
            ("1403481600000", DAY),
            ("+140348160", DAY / 10),
            ("2014-06-23T00:00:00Z", DAY),
            ("2014-06-23", DAY),
            ("2014-06-23T02:00+02:00", DAY),
        ] {
            assert_eq!(seconds_or_millis("start", text).ok(), Some(time), "{text}");
        }
        assert!(seconds_or_millis("start", "now").is_ok());
        for bad in [
            "-1",
            "1969-01-01",
            "now-1d",
            "2014-06-23||/M",
            "2014-06-23 00:00",
            "x",
            " 5",
            "9223372036854775807",
        ] {
            let error = seconds_or_millis("advance_time", bad).expect_err(bad).0;
            assert_eq!(
                (error.kind, error.reason),
                (
                    "parse_exception",
                    format!(
                        "Query param [advance_time] with value [{bad}] cannot be parsed as a date or converted to a number (epoch)."
                    )
                )
            );
        }
    }

    #[test]
    fn bounds_of_results() {
        for (text, time) in [
            ("1403481600", 1_403_481_600),
            ("1403481600000.5", DAY),
            ("-1000", -1_000),
            ("2014", 1_388_534_400_000),
            ("2014-06-23T00:00:00,000Z", DAY),
            ("2014-06-23T", DAY),
            ("2014-06-23||+1M/M", 1_404_172_800_000),
            ("2014-06-25||/w", DAY),
            ("2014-06-23||/1d-1h+1h", DAY),
            ("1403481600000||+1H", DAY + 3_600_000),
            ("2016-02-29||+1y", 1_488_240_000_000),
        ] {
            assert_eq!(bound("start", text).ok(), Some(time), "{text}");
        }
        assert!(bound("start", "now-1d/d").is_ok());
    }

    #[test]
    fn what_is_no_bound_is_told_with_its_cause() {
        let no_date = |text: &str| {
            let told = format!(
                "failed to parse date field [{text}] with format [strict_date_optional_time||epoch_millis]"
            );
            format!("{told}: [{told}]")
        };
        for (bad, cause) in [
            ("9223372036854775807", no_date("9223372036854775807")),
            ("invalid", no_date("invalid")),
            ("+5", no_date("+5")),
            ("", no_date("")),
            ("now-", "truncated date math [-]".to_owned()),
            ("now+5", "truncated date math [+5]".to_owned()),
            (
                "now+1q",
                "unit [q] not supported for date math [+1q]".to_owned(),
            ),
            (
                "2014-06-23||x",
                "operator not supported for date math [x]".to_owned(),
            ),
            (
                "nowhere",
                "operator not supported for date math [here]".to_owned(),
            ),
            (
                "now/3d",
                "rounding `/` can only be used on single unit types [/3d]".to_owned(),
            ),
            ("now+999999999y", no_date("now+999999999y")),
        ] {
            let error = bound("start", bad).expect_err(bad).0;
            assert_eq!(
                (error.status, error.kind),
                (400, "parse_exception"),
                "{bad}"
            );
            assert_eq!(error.cause.map(|cause| cause.reason), Some(cause));
        }
    }
}
