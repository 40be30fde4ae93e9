use serde_json::{Value, json};

use super::*;

fn parse(config: Value) -> Result<AnalysisConfig, String> {
    serde_json::from_value(config).map_err(|error| {
        ConfigError::from_display(&error.to_string()).map_or(error.to_string(), |e| e.reason)
    })
}

#[test]
fn defaults_are_filled_in() {
    let config = parse(
        json!({"detectors": [{"function": "mean", "field_name": "a-b", "by_field_name": "x"}]}),
    );
    assert_eq!(
        serde_json::to_value(config.expect("valid")).expect("serialises"),
        json!({
            "bucket_span": "5m",
            "detectors": [{
                "detector_description": "mean(\"a-b\") by x", "function": "mean", "field_name": "a-b",
                "by_field_name": "x", "detector_index": 0
            }],
            "influencers": [],
            "model_prune_window": "30d"
        })
    );
}

#[test]
fn a_population_is_described() {
    let config = parse(json!({"detectors": [{
        "function": "sum", "field_name": "a", "by_field_name": "b", "over_field_name": "c",
        "partition_field_name": "d", "exclude_frequent": "ALL"
    }]}));
    let detector = &config.expect("valid").detectors[0];
    assert_eq!(
        detector.detector_description,
        "sum(a) by b over c partitionfield=d excludefrequent=all"
    );
    let written = serde_json::to_value(detector).expect("serialises");
    assert_eq!(written["exclude_frequent"], "all");
    assert_eq!(written["over_field_name"], "c");
}

#[test]
fn prune_windows_follow_the_bucket_span() {
    let window = |span: &str| {
        let config = parse(json!({"bucket_span": span, "detectors": [{"function": "count"}]}))
            .expect("valid");
        config.model_prune_window.to_string()
    };
    let expected = [
        ("15m", "30d"),
        ("40h", "800h"),
        ("17m", "43214m"),
        ("14d", "280d"),
        ("1s", "30d"),
    ];
    for (span, expected) in expected {
        assert_eq!(window(span), expected, "{span}");
    }
}

#[test]
fn what_cannot_be_analysed_is_refused_with_the_known_words() {
    let cases = [
        (
            json!({"bucket_span": "5001d", "detectors": [{"function": "count"}]}),
            "bucket_span cannot be more than 5000 days. Value = 5001d",
        ),
        (json!({"detectors": []}), "No detectors configured"),
        (
            json!({"detectors": [{"function": "mean"}]}),
            "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name must \
             be set",
        ),
        (
            json!({"detectors": [{"function": "mean", "by_field_name": "x"}]}),
            "field_name must be set when the 'mean' function is used",
        ),
        (
            json!({"detectors": [{"function": "rare", "over_field_name": "x"}]}),
            "by_field_name must be set when the 'rare' function is used",
        ),
        (
            json!({"detectors": [{"function": "rare", "by_field_name": "x", "field_name": "y"}]}),
            "field_name cannot be used with function 'rare'",
        ),
        (
            json!({"detectors": [{"function": "freq_rare", "by_field_name": "x"}]}),
            "over_field_name must be set when the 'freq_rare' function is used",
        ),
        (
            json!({"detectors": [{"function": "low_nzc", "over_field_name": "x"}]}),
            "over_field_name cannot be used with function 'low_non_zero_count'",
        ),
        (
            json!({"detectors": [{"function": "time_of_day", "field_name": "x"}]}),
            "field_name cannot be used with function 'time_of_day'",
        ),
        (
            json!({"detectors": [{"function": "lat_long", "over_field_name": "x"}]}),
            "field_name must be set when the 'lat_long' function is used",
        ),
        (
            json!({"detectors": [{"function": "count", "by_field_name": "x", "over_field_name": "x"}]}),
            "by_field_name and over_field_name cannot be the same: 'x'",
        ),
        (
            json!({"detectors": [{"function": "count", "over_field_name": "x", "exclude_frequent": "some"}]}),
            "No enum constant org.elasticsearch.xpack.core.ml.job.config.Detector.ExcludeFrequent.SOME",
        ),
        (
            json!({"detectors": [{"function": "count", "field_name": "x"}]}),
            "field_name cannot be used with function 'count'",
        ),
        (
            json!({"detectors": [{"function": "count", "by_field_name": "x", "partition_field_name": "x"}]}),
            "partition_field_name and by_field_name cannot be the same: 'x'",
        ),
        (
            json!({"summary_count_field_name": "n", "detectors": [{"function": "metric", "field_name": "x"}]}),
            "The 'metric' function cannot be used in jobs that will take pre-summarized input",
        ),
        (
            json!({"detectors": [{"function": "wild"}]}),
            "Unknown function 'wild'",
        ),
        (
            json!({"bucket_span": "15m", "model_prune_window": "29m", "detectors": [{"function": "count"}]}),
            "model_prune_window [29m] must be a multiple of bucket_span [15m]",
        ),
        (
            json!({"detectors": [{"function": "count", "by_field_name": "a"}], "influencers": ["a.b"]}),
            "Fields [a] and [a.b] cannot both be used in the same analysis_config",
        ),
    ];
    for (config, reason) in cases {
        assert_eq!(parse(config), Err(reason.to_owned()));
    }
}

#[test]
fn what_is_written_can_be_read_again() {
    for span in ["1s", "17m", "40h", "5000d"] {
        let config = parse(json!({"bucket_span": span, "detectors": [{"function": "count"}]}));
        let config = config.expect("valid");
        let written = serde_json::to_value(&config).expect("serialises");
        assert_eq!(parse(written), Ok(config), "{span}");
    }
}

#[test]
fn checks_have_their_order() {
    let detector = json!({
        "function": "count", "by_field_name": "count", "over_field_name": "count",
        "custom_rules": [{"scope": {"x": {"filter_id": "f"}}}]
    });
    let detectors = json!([detector]);
    // The rules come before the fields' names, those before what names may not be.
    assert_eq!(
        parse(json!({"detectors": detectors})).expect_err("refused"),
        "Invalid detector rule: scope field 'x' is invalid; select from [count, count]"
    );
    let reason = |config: Value| parse(config).expect_err("refused");
    assert_eq!(
        reason(
            json!({"detectors": [{"function": "count", "by_field_name": "by", "over_field_name": "by"}]})
        ),
        "by_field_name and over_field_name cannot be the same: 'by'"
    );
    assert_eq!(
        reason(
            json!({"detectors": [{"function": "count", "by_field_name": "over", "over_field_name": "count"}]})
        ),
        "'count' is not a permitted value for over_field_name"
    );
    assert_eq!(
        reason(
            json!({"bucket_span": "15m", "model_prune_window": "29m", "latency": "1500ms", "detectors": []})
        ),
        "model_prune_window [29m] must be a multiple of bucket_span [15m]"
    );
    assert_eq!(
        reason(json!({"bucket_span": "1500ms", "detectors": []})),
        "bucket_span has to be a multiple of 1s; actual was '1.5s'"
    );
    assert_eq!(
        reason(json!({"bucket_span": "0", "detectors": []})),
        "bucket_span cannot be less or equal than 0. Value = 0s"
    );
    assert_eq!(
        reason(json!({"summary_count_field_name": ".", "detectors": [{"function": "count"}]})),
        "Invalid field name '.'. Field names including over, by and partition fields cannot be '.'"
    );
    assert_eq!(
        reason(json!({"summary_count_field_name": "a\\b", "detectors": [{"function": "count"}]})),
        "Invalid field name 'a\\b'. Field names including over, by and partition fields cannot contain any of these \
         characters: \",\\"
    );
}

#[test]
fn what_is_given_is_kept_and_a_null_is_nothing_given() {
    let config = parse(json!({
        "detectors": [{"function": "dc", "field_name": "x", "use_null": true, "detector_index": 7, "detector_description": ""}],
        "influencers": ["host"], "latency": "0s", "multivariate_by_fields": false
    }));
    assert_eq!(
        serde_json::to_value(config.expect("valid")).expect("serialises"),
        json!({
            "bucket_span": "5m", "latency": "0s",
            "detectors": [{
                "detector_description": "", "function": "distinct_count", "field_name": "x", "use_null": true,
                "detector_index": 0
            }],
            "influencers": ["host"], "multivariate_by_fields": false, "model_prune_window": "30d"
        })
    );
    for null in ["bucket_span", "influencers", "detectors", "latency"] {
        let mut config = json!({"detectors": [{"function": "count"}]});
        config[null] = Value::Null;
        assert!(parse(config).is_err(), "{null}");
    }
    assert!(
        parse(json!({}))
            .expect_err("refused")
            .contains("missing field `detectors`")
    );
}
