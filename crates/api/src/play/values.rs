//! Values as Google's APIs write them: decimals, dates, dimensions.

use chrono::{Datelike, Timelike};
use serde_json::{Value, json};
use tidewatch_jobs::play::{Period, Timeline};

/// Dimensions whose values are whole numbers; those of all others are texts.
const WHOLE: [&str; 2] = ["versionCode", "deviceRamBucket"];

/// The time zones of hours and of days.
pub const UTC: &str = "UTC";
pub const LOS_ANGELES: &str = "America/Los_Angeles";

/// What there can be of values, as `fields` names it.
pub const DATE_TIME: &str =
    "year,month,day,hours,minutes,seconds,nanos,utcOffset,timeZone(id,version)";
pub const DIMENSION: &str = "dimension,stringValue,int64Value,valueLabel";
pub const METRIC: &str = "metric,decimalValue(value),\
                          decimalValueConfidenceInterval(lowerBound(value),upperBound(value))";

/// `google.type.Decimal`, normalised: an exponent where digits would only be zeros, upper-case and signed.
pub fn decimal(value: f64) -> Value {
    let size = value.abs();
    let text = match value {
        0.0 => "0".to_owned(),
        _ if (1e-9..1e21).contains(&size) => value.to_string(),
        _ => {
            let text = format!("{value:e}");
            match text.contains("e-") {
                true => text.replace('e', "E"),
                false => text.replace('e', "E+"),
            }
        }
    };
    json!({"value": text})
}

pub fn period(period: Period) -> &'static str {
    match period {
        Period::Hourly => "HOURLY",
        Period::Daily => "DAILY",
    }
}

/// `google.type.DateTime` of a moment of a timeline, which hours are told of in UTC, and days in Los Angeles.
pub fn date_time(moment: i64, period: Period) -> Option<Value> {
    let date = Timeline::date(moment)?;
    let mut value = json!({"year": date.year(), "month": date.month(), "day": date.day()});
    let zone = match period {
        Period::Hourly => {
            value["hours"] = date.hour().into();
            UTC
        }
        Period::Daily => LOS_ANGELES,
    };
    value["timeZone"] = json!({"id": zone});
    Some(value)
}

pub fn dimension(name: &str, value: &str) -> Value {
    let number: Option<i64> = value.parse().ok().filter(|_| WHOLE.contains(&name));
    match number {
        Some(number) => json!({"dimension": name, "int64Value": number.to_string()}),
        None => json!({"dimension": name, "stringValue": value}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_normalised() {
        for (value, text) in [
            (2.5, "2.5"),
            (-0.0, "0"),
            (-12.0, "-12"),
            (1e20, "100000000000000000000"),
            (1.5e21, "1.5E+21"),
            (-2.5e-10, "-2.5E-10"),
            (0.000_001, "0.000001"),
        ] {
            assert_eq!(decimal(value), json!({"value": text}));
        }
    }

    #[test]
    fn dates_and_dimensions_have_their_form() {
        let moment = 1_619_002_800_000;
        assert_eq!(
            date_time(moment, Period::Hourly),
            Some(
                json!({"year": 2021, "month": 4, "day": 21, "hours": 11, "timeZone": {"id": "UTC"}})
            )
        );
        assert_eq!(
            date_time(moment, Period::Daily),
            Some(
                json!({"year": 2021, "month": 4, "day": 21, "timeZone": {"id": "America/Los_Angeles"}})
            )
        );
        assert_eq!(date_time(i64::MAX, Period::Daily), None);
        assert_eq!(
            dimension("versionCode", "0101"),
            json!({"dimension": "versionCode", "int64Value": "101"})
        );
        assert_eq!(
            dimension("versionCode", "1.0"),
            json!({"dimension": "versionCode", "stringValue": "1.0"})
        );
        assert_eq!(
            dimension("apiLevel", "30"),
            json!({"dimension": "apiLevel", "stringValue": "30"})
        );
    }
}
