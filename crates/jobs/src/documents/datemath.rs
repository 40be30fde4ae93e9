//! Index names with a date in them: `<logs-{now/d}>`, `<logs-{now/M{uuuu.MM|+02:00}}>`.

use std::borrow::Cow;

use tidewatch_store::dates::{DateFormat, Zone, math};

use crate::error::{JobError, Result};

/// How a date is written where nothing is said.
const FORMAT: &str = "uuuu.MM.dd";

/// A name, with the dates that it means at a time (epoch milliseconds).
///
/// # Errors
/// A date that can't be read.
pub fn resolve(name: &str, now: i64) -> Result<Cow<'_, str>> {
    let Some(inner) = name
        .strip_prefix('<')
        .and_then(|name| name.strip_suffix('>'))
    else {
        return Ok(Cow::Borrowed(name));
    };
    let mut resolved = String::new();
    let mut rest = inner;
    while let Some(start) = rest.find('{') {
        resolved.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        let end =
            closing(after).ok_or_else(|| invalid(inner, "date math placeholder is open ended"))?;
        resolved.push_str(&date(inner, &after[..end], now)?);
        rest = &after[end + 1..];
    }
    if rest.contains('}') {
        return Err(invalid(
            inner,
            "invalid character at position: `{` and `}` are reserved characters and should be escaped when used as part \
             of the index name using `\\`",
        ));
    }
    resolved.push_str(rest);
    Ok(Cow::Owned(resolved))
}

fn invalid(name: &str, why: &str) -> JobError {
    JobError::parse(format!("invalid dynamic name expression [{name}]. {why}"))
}

/// Where the bracket is that closes what is open.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn date(name: &str, text: &str, now: i64) -> Result<String> {
    let (steps, format) = match text.split_once('{') {
        Some((steps, format)) => {
            let format = format.strip_suffix('}');
            let open = || invalid(name, "missing closing `}` for date math format");
            (steps, format.ok_or_else(open)?)
        }
        None => (text, FORMAT),
    };
    let (format, zone) = match format.split_once('|') {
        Some((format, zone)) => {
            let zone = Zone::parse(zone);
            (
                format,
                zone.ok_or_else(|| invalid(name, "unknown time zone"))?,
            )
        }
        None => (format, Zone::Utc),
    };
    let format =
        DateFormat::new(format).ok_or_else(|| invalid(name, "the date format can't be read"))?;
    let at = math(steps, &DateFormat::default(), zone, now, false)
        .map_err(|error| JobError::parse(error.0))?;
    Ok(format.format(at, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_dates() {
        // 2024-03-22T23:30:00Z
        let now = 1_711_150_200_000;
        for (name, expected) in [
            ("logs", "logs"),
            ("<logs-{now/d}>", "logs-2024.03.22"),
            ("<logs-{now/M}>", "logs-2024.03.01"),
            ("<logs-{now/M{uuuu.MM}}>", "logs-2024.03"),
            ("<logs-{now/M-1M{yyyy.MM}}-x>", "logs-2024.02-x"),
            ("<logs-{now/d{uuuu.MM.dd|+12:00}}>", "logs-2024.03.23"),
        ] {
            assert_eq!(resolve(name, now).expect(name), expected);
        }
        for name in [
            "<logs-{now>",
            "<logs-{soon}>",
            "<logs-now}>",
            "<logs-{now/d{uuuu|mars}}>",
        ] {
            assert!(resolve(name, now).is_err(), "{name}");
        }
    }
}
