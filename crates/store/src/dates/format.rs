//! Formats of dates: those that have a name, and patterns; several of them between `||`.

use super::pattern::{Pattern, Read, digits, fraction, offset};
use super::zone::{Zone, naive};
use chrono::Datelike;

/// Nanoseconds of a millisecond.
const NANOS: i64 = 1_000_000;

/// How dates of a field are read and written.
#[derive(Debug, Clone, PartialEq)]
pub struct DateFormat {
    text: String,
    each: Vec<One>,
}

#[derive(Debug, Clone, PartialEq)]
enum One {
    Millis,
    Seconds,
    /// ISO 8601, down to where it ends.
    Iso,
    IsoNanos,
    Pattern(Pattern),
}

/// Names, and the patterns that they stand for. `strict_` before them changes little.
const NAMED: [(&str, &str); 37] = [
    ("basic_date", "yyyyMMdd"),
    ("basic_date_time", "yyyyMMdd'T'HHmmss.SSSXX"),
    ("basic_date_time_no_millis", "yyyyMMdd'T'HHmmssXX"),
    ("basic_ordinal_date", "yyyyDDD"),
    ("basic_ordinal_date_time", "yyyyDDD'T'HHmmss.SSSXX"),
    ("basic_ordinal_date_time_no_millis", "yyyyDDD'T'HHmmssXX"),
    ("basic_time", "HHmmss.SSSXX"),
    ("basic_time_no_millis", "HHmmssXX"),
    ("basic_t_time", "'T'HHmmss.SSSXX"),
    ("basic_t_time_no_millis", "'T'HHmmssXX"),
    ("date", "yyyy-MM-dd"),
    ("date_hour", "yyyy-MM-dd'T'HH"),
    ("date_hour_minute", "yyyy-MM-dd'T'HH:mm"),
    ("date_hour_minute_second", "yyyy-MM-dd'T'HH:mm:ss"),
    (
        "date_hour_minute_second_fraction",
        "yyyy-MM-dd'T'HH:mm:ss.SSS",
    ),
    (
        "date_hour_minute_second_millis",
        "yyyy-MM-dd'T'HH:mm:ss.SSS",
    ),
    ("date_time", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
    ("date_time_no_millis", "yyyy-MM-dd'T'HH:mm:ssXXX"),
    ("hour", "HH"),
    ("hour_minute", "HH:mm"),
    ("hour_minute_second", "HH:mm:ss"),
    ("hour_minute_second_fraction", "HH:mm:ss.SSS"),
    ("hour_minute_second_millis", "HH:mm:ss.SSS"),
    ("ordinal_date", "yyyy-DDD"),
    ("ordinal_date_time", "yyyy-DDD'T'HH:mm:ss.SSSXXX"),
    ("ordinal_date_time_no_millis", "yyyy-DDD'T'HH:mm:ssXXX"),
    ("time", "HH:mm:ss.SSSXXX"),
    ("time_no_millis", "HH:mm:ssXXX"),
    ("t_time", "'T'HH:mm:ss.SSSXXX"),
    ("t_time_no_millis", "'T'HH:mm:ssXXX"),
    ("year", "yyyy"),
    ("year_month", "yyyy-MM"),
    ("year_month_day", "yyyy-MM-dd"),
    ("weekyear", "yyyy"),
    ("rfc1123", "EEE, dd MMM yyyy HH:mm:ss Z"),
    ("month_day", "MM-dd"),
    ("ordinal_day", "DDD"),
];

/// What a field of dates has that says nothing of its format.
pub const DEFAULT: &str = "strict_date_optional_time||epoch_millis";

impl Default for DateFormat {
    fn default() -> Self {
        Self {
            text: DEFAULT.to_owned(),
            each: vec![One::Iso, One::Millis],
        }
    }
}

impl DateFormat {
    /// None: it has a format that isn't known.
    pub fn new(text: &str) -> Option<Self> {
        let each: Option<Vec<One>> = text.split("||").map(|one| One::new(one.trim())).collect();
        Some(Self {
            text: text.to_owned(),
            each: each.filter(|each| !each.is_empty())?,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether numbers are times by it: `epoch_millis` or `epoch_second` is one of its formats.
    pub fn takes_numbers(&self) -> bool {
        self.each
            .iter()
            .any(|one| matches!(one, One::Millis | One::Seconds))
    }

    /// The time that a text says: in `zone` where it names none, and the end of what it leaves out where it is rounded
    /// up.
    pub fn parse(&self, text: &str, zone: Zone, up: bool) -> Option<i64> {
        self.each.iter().find_map(|one| one.parse(text, zone, up))
    }

    /// The nanoseconds of a millisecond that a text says, where it says a fraction of a second.
    pub fn nanos(&self, text: &str) -> Option<i64> {
        let read = self.each.iter().find_map(|one| one.read(text))?;
        Some(read.fraction? % NANOS)
    }

    /// As the first of the formats writes it.
    pub fn format(&self, time: i64, zone: Zone) -> String {
        self.told(time, 0, zone)
    }

    /// As [`format`](Self::format), of nanoseconds since the epoch.
    pub fn format_nanos(&self, time: i64, zone: Zone) -> String {
        self.told(time.div_euclid(NANOS), time.rem_euclid(NANOS), zone)
    }

    fn told(&self, time: i64, nanos: i64, zone: Zone) -> String {
        match self.each.first() {
            // Whole, also of nanoseconds: who reads such a number would round it, into a millisecond that isn't its own.
            Some(One::Millis) => time.to_string(),
            Some(One::Seconds) => {
                let (seconds, rest) = (time.div_euclid(1_000), time.rem_euclid(1_000));
                match rest * NANOS + nanos {
                    0 => seconds.to_string(),
                    rest => format!("{seconds}.{rest:09}")
                        .trim_end_matches('0')
                        .to_owned(),
                }
            }
            Some(One::Pattern(pattern)) => pattern.format(time, nanos, zone),
            Some(One::Iso | One::IsoNanos) | None => iso(time, nanos, zone),
        }
    }
}

/// As Elasticsearch writes a time where no format says otherwise: digits below a millisecond where there are any.
fn iso(time: i64, nanos: i64, zone: Zone) -> String {
    let local = naive(zone.local(time));
    let year = match local.year() {
        year @ 0..=9999 => format!("{year:04}"),
        year => year.to_string(),
    };
    let below = match nanos {
        0 => String::new(),
        nanos => format!("{nanos:06}").trim_end_matches('0').to_owned(),
    };
    format!(
        "{year}{}{below}{}",
        local.format("-%m-%dT%H:%M:%S%.3f"),
        zone.suffix(time)
    )
}

impl One {
    fn new(text: &str) -> Option<Self> {
        let plain = text.strip_prefix("strict_").unwrap_or(text);
        match plain {
            "" => None,
            "epoch_millis" => Some(Self::Millis),
            "epoch_second" => Some(Self::Seconds),
            "date_optional_time" | "dateOptionalTime" | "iso8601" => Some(Self::Iso),
            "date_optional_time_nanos" => Some(Self::IsoNanos),
            plain => {
                let named = NAMED.iter().find(|(name, _)| *name == plain);
                let pattern = named.map_or(text, |(_, pattern)| pattern);
                Pattern::new(pattern).map(Self::Pattern)
            }
        }
    }

    fn parse(&self, text: &str, zone: Zone, up: bool) -> Option<i64> {
        match self {
            Self::Millis => epoch(text, 1),
            Self::Seconds => epoch(text, 1_000),
            Self::Iso | Self::IsoNanos => read_iso(text)?.time(zone, up),
            Self::Pattern(pattern) => pattern.parse(text, zone, up),
        }
    }

    /// The parts of a text; None for a number too.
    fn read(&self, text: &str) -> Option<Read> {
        match self {
            Self::Millis | Self::Seconds => None,
            Self::Iso | Self::IsoNanos => read_iso(text),
            Self::Pattern(pattern) => pattern.read(text),
        }
    }
}

/// A number since the epoch, perhaps with a fraction.
fn epoch(text: &str, unit: i64) -> Option<i64> {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(plain) => (-1, plain),
        None => (1, text),
    };
    let (whole, part) = plain.split_once('.').unwrap_or((plain, "0"));
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain(whole) || !is_plain(part) {
        return None;
    }
    let (nanos, _) = fraction(part, part.len())?;
    let part = match unit {
        1 => 0,
        unit => nanos / (1_000_000_000 / unit),
    };
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    whole.checked_add(part)?.checked_mul(sign)
}

/// `2016`, `2016-06`, ... `2016-06-01T12:30:15.123456789+02:00`.
fn read_iso(text: &str) -> Option<Read> {
    let mut read = Read::default();
    let (sign, plain) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (year, mut rest) = digits(plain, 4, if plain.len() < text.len() { 9 } else { 4 })?;
    read.year = Some(sign * year);
    for part in [&mut read.month, &mut read.day] {
        let Some(after) = rest.strip_prefix('-') else {
            break;
        };
        let (value, after) = digits(after, 2, 2)?;
        *part = Some(value);
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('T') {
        rest = after;
        if let Some((hour, after)) = digits(rest, 2, 2) {
            read.hour = Some(hour);
            rest = after;
            for part in [&mut read.minute, &mut read.second] {
                let Some(after) = rest.strip_prefix(':') else {
                    break;
                };
                let (value, after) = digits(after, 2, 2)?;
                *part = Some(value);
                rest = after;
            }
            if read.second.is_some()
                && let Some(after) = rest.strip_prefix(['.', ','])
            {
                let (nanos, after) = fraction(after, 9)?;
                read.fraction = Some(nanos);
                rest = after;
            }
            if !rest.is_empty() {
                let (zone, after) = offset(rest)?;
                read.zone = Some(zone);
                rest = after;
            }
        }
    }
    rest.is_empty().then_some(read)
}
