//! `human`: beside numbers of times and sizes what people read.

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use tidewatch_model::units::{Memory, TimeSpan};

/// Times, epoch milliseconds, that Elasticsearch tells as text too.
const TIMES: [&str; 15] = [
    "create_time",
    "finished_time",
    "earliest_record_timestamp",
    "latest_record_timestamp",
    "last_data_time",
    "latest_empty_bucket_timestamp",
    "latest_sparse_bucket_timestamp",
    "log_time",
    "timestamp",
    "latest_record_time_stamp",
    "latest_result_time_stamp",
    "latest_timestamp",
    "last_finalized_bucket_end",
    "start_time",
    "end_time",
];
/// What clients put there is theirs.
const THEIRS: &str = "custom_settings";

/// Adds the text of each number that has one, before the number.
pub fn add(answer: &mut Value) {
    match answer {
        Value::Object(fields) => {
            let known = std::mem::take(fields);
            for (name, mut value) in known {
                if let Some((readable, text)) = readable(&name, &value) {
                    fields.insert(readable, text.into());
                } else if name != THEIRS {
                    add(&mut value);
                }
                fields.insert(name, value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(add),
        _ => {}
    }
}

fn readable(name: &str, value: &Value) -> Option<(String, String)> {
    let number = value.as_i64()?;
    if TIMES.contains(&name) {
        return Some((format!("{name}_string"), time(number)?));
    }
    if let Some(of) = name.strip_suffix("_in_bytes") {
        let bytes = u64::try_from(number).ok()?;
        return Some((of.to_owned(), Memory { bytes }.human()));
    }
    if name == "start_time_in_millis" {
        return Some(("start_time".to_owned(), time(number)?));
    }
    let of = name.strip_suffix("_in_nanos")?;
    Some((of.to_owned(), TimeSpan::nanoseconds(number).human()))
}

fn time(millis: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(millis)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_told_as_text_too() {
        let mut answer = json!({
            "create_time": 1_403_481_600_000_i64,
            "custom_settings": {"timestamp": 1},
            "nodes": [{"mem": {"total_in_bytes": 1_610_612_736, "ml": {"max_in_bytes": 0}}, "timestamp": "x"}],
            "running_time_in_nanos": 1_500_000,
        });
        add(&mut answer);
        assert_eq!(
            answer.to_string(),
            concat!(
                r#"{"create_time_string":"2014-06-23T00:00:00.000Z","create_time":1403481600000,"#,
                r#""custom_settings":{"timestamp":1},"nodes":[{"mem":{"total":"1.5gb","total_in_bytes":1610612736,"#,
                r#""ml":{"max":"0b","max_in_bytes":0}},"timestamp":"x"}],"running_time":"1.5ms","running_time_in_nanos":1500000}"#
            )
        );
    }
}
