//! Date math: `now-1d/d`, `2020-01-01||+1M`.

use chrono::{Days, Months};

use super::format::DateFormat;
use super::interval::Interval;
use super::zone::{Zone, naive};

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DateMathError(pub String);

/// The time that a text means, with `now` as it is and a zone where the text names none. Rounded up, it is the end of
/// what it names: of a day, its last millisecond.
///
/// # Errors
/// [`DateMathError`] with Elasticsearch's reason.
pub fn math(
    text: &str,
    format: &DateFormat,
    zone: Zone,
    now: i64,
    up: bool,
) -> Result<i64, DateMathError> {
    let (anchor, steps) = match text.strip_prefix("now") {
        Some(steps) => (now, steps),
        None => {
            let (anchor, steps) = match text.split_once("||") {
                Some((anchor, steps)) => (anchor, steps),
                None => (text, ""),
            };
            // With steps, they say what is rounded.
            let up = up && steps.is_empty();
            let time = format.parse(anchor, zone, up);
            let time = time.ok_or_else(|| {
                DateMathError(format!(
                    "failed to parse date field [{anchor}] with format [{}]",
                    format.text()
                ))
            });
            (time?, steps)
        }
    };
    let mut time = anchor;
    let mut rest = steps;
    while let Some(sign) = rest.chars().next() {
        if !matches!(sign, '+' | '-' | '/') {
            return Err(DateMathError(format!(
                "operator not supported for date math [{steps}]"
            )));
        }
        rest = &rest[1..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let count = match &rest[..digits] {
            "" => 1,
            number => number.parse::<u32>().map_err(|_| truncated(steps))?,
        };
        rest = &rest[digits..];
        let Some(unit) = rest.chars().next() else {
            return Err(truncated(steps));
        };
        rest = &rest[unit.len_utf8()..];
        time = match sign {
            '/' if digits > 0 && count != 1 => {
                return Err(DateMathError(format!(
                    "rounding `/` can only be used on single unit types [{steps}]"
                )));
            }
            '/' => {
                let interval = rounding(unit).ok_or_else(|| unsupported(unit, steps))?;
                let start = interval.start(time, zone);
                match up {
                    true => interval.next(start, zone) - 1,
                    false => start,
                }
            }
            sign => step(time, zone, unit, count, sign == '+')
                .ok_or_else(|| unsupported(unit, steps))?,
        };
    }
    Ok(time)
}

fn truncated(steps: &str) -> DateMathError {
    DateMathError(format!("truncated date math [{steps}]"))
}

fn unsupported(unit: char, steps: &str) -> DateMathError {
    DateMathError(format!(
        "unit [{unit}] not supported for date math [{steps}]"
    ))
}

fn rounding(unit: char) -> Option<Interval> {
    Some(match unit {
        'y' => Interval::Months(12),
        'M' => Interval::Months(1),
        'w' => Interval::Week,
        'd' => Interval::Day,
        'h' | 'H' => Interval::Clock(3_600_000),
        'm' => Interval::Clock(60_000),
        's' => Interval::Clock(1_000),
        _ => return None,
    })
}

/// So many units later or earlier; days and longer by the wall clock. None: no such unit, or no such time.
fn step(time: i64, zone: Zone, unit: char, count: u32, later: bool) -> Option<i64> {
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' | 'H' => 3_600,
        'd' | 'w' | 'M' | 'y' => 0,
        _ => return None,
    };
    if seconds > 0 {
        let by = i64::from(count) * seconds * 1_000;
        return time.checked_add(if later { by } else { -by });
    }
    let local = naive(zone.local(time));
    let days = Days::new(u64::from(count) * if unit == 'w' { 7 } else { 1 });
    let months = Months::new(count.checked_mul(if unit == 'y' { 12 } else { 1 })?);
    let moved = match (unit, later) {
        ('d' | 'w', true) => local.checked_add_days(days),
        ('d' | 'w', false) => local.checked_sub_days(days),
        (_, true) => local.checked_add_months(months),
        (_, false) => local.checked_sub_months(months),
    };
    moved.map(|moved| zone.utc(moved.and_utc().timestamp_millis()))
}
