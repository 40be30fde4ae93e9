use serde_json::json;

use tidewatch_model::units::Memory;

use super::*;
use crate::error::Result;

fn build(more: Value) -> Result<Job> {
    let mut body = json!({
        "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}]},
        "data_description": {}
    });
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    serde_json::from_value::<NewJob>(body)
        .expect("readable")
        .build("job-1", 7, Some(Memory::mebibytes(1536)))
}

#[test]
fn defaults_are_those_of_elasticsearch() {
    let job =
        serde_json::to_value(build(json!({"results_index_name": "test-job1"})).expect("valid"))
            .expect("json");
    assert_eq!(
        job,
        json!({
            "job_id": "job-1", "job_type": "anomaly_detector", "job_version": JOB_VERSION, "create_time": 7,
            "analysis_config": {
                "bucket_span": "15m",
                "detectors": [{"detector_description": "count", "function": "count", "detector_index": 0}],
                "influencers": [], "model_prune_window": "30d"
            },
            "analysis_limits": {"model_memory_limit": "1024mb", "categorization_examples_limit": 4},
            "data_description": {"time_field": "time", "time_format": "epoch_ms"},
            "model_snapshot_retention_days": 10, "daily_model_snapshot_retention_after_days": 1,
            "results_index_name": "custom-test-job1", "allow_lazy_open": false
        })
    );
    let stored: Job = serde_json::from_value(job.clone()).expect("readable");
    assert_eq!(serde_json::to_value(stored).expect("json"), job);
}

#[test]
fn rules_between_fields_have_their_words() {
    let cases = [
        (
            json!({"model_snapshot_retention_days": 3, "daily_model_snapshot_retention_after_days": 4}),
            "The value of daily_model_snapshot_retention_after_days [4] cannot be greater than \
             model_snapshot_retention_days [3]",
        ),
        (
            json!({"daily_model_snapshot_retention_after_days": -1}),
            "daily_model_snapshot_retention_after_days cannot be less than 0. Value = -1",
        ),
        (
            json!({"background_persist_interval": "10s"}),
            "background_persist_interval cannot be less than 3,600. Value = 10",
        ),
        (
            json!({"job_id": "other"}),
            "Inconsistent job_id; 'other' specified in the body differs from 'job-1' specified as a URL argument",
        ),
        (
            json!({"groups": ["job-1"]}),
            "job and group names must be unique but job [job-1] and group [job-1] have the same name",
        ),
    ];
    for (more, reason) in cases {
        assert_eq!(build(more).expect_err("refused").reason, reason);
    }
    assert_eq!(
        build(json!({"model_snapshot_retention_days": 1}))
            .expect("valid")
            .daily_model_snapshot_retention_after_days,
        None
    );
}

#[test]
fn odd_bucket_spans_are_warned_of() {
    let warning = |span: &str| {
        let config = json!({"bucket_span": span, "detectors": [{"function": "count"}]});
        build(json!({"analysis_config": config}))
            .expect("valid")
            .warnings()
    };
    assert_eq!(
        warning("36h"),
        [
            "bucket_span 1.5d [129600s] is not an integral multiple of the number of seconds in 1d [86400s]. This is \
          now deprecated."
        ]
    );
    assert!(warning("19m")[0].starts_with("bucket_span 19m [1140s] is not an integral divisor"));
    assert!(warning("15m").is_empty() && warning("2d").is_empty());
}

#[test]
fn ids() {
    for good in ["a", "job-1", "a.b_c", "0"] {
        assert!(is_valid_id(good), "{good}");
    }
    for bad in ["", "_all", "A", "a-", ".a", "ä", "a b"] {
        assert!(!is_valid_id(bad), "{bad}");
    }
}

#[test]
fn of_two_things_that_are_wrong_the_first_is_told() {
    let reason = |more: Value| build(more).expect_err("refused").reason;
    let everything = json!({
        "data_description": {"time_field": "x"},
        "analysis_config": {"detectors": [{"function": "mean", "field_name": "x"}, {"function": "mean", "field_name": "x"}]},
        "background_persist_interval": "3600500ms", "renormalization_window_days": -1, "results_retention_days": -2,
        "model_snapshot_retention_days": -3, "groups": ["-", "job-1"], "results_index_name": "_x",
        "analysis_limits": {"model_memory_limit": "2000mb"}
    });
    let mut body = everything;
    for (field, reason_of_it) in [
        (
            "data_description",
            "data_description.time_field may not be used in the analysis_config",
        ),
        (
            "background_persist_interval",
            "background_persist_interval has to be a multiple of 1s; actual was '1h'",
        ),
        (
            "renormalization_window_days",
            "renormalization_window_days cannot be less than 0. Value = -1",
        ),
        (
            "results_retention_days",
            "results_retention_days cannot be less than 0. Value = -2",
        ),
        (
            "model_snapshot_retention_days",
            "model_snapshot_retention_days cannot be less than 0. Value = -3",
        ),
        (
            "groups",
            "Invalid group id '-'; must be non-empty string and may contain lowercase alphanumeric (a-z and 0-9), \
             hyphens or underscores; must start and end with alphanumeric",
        ),
        (
            "results_index_name",
            "Invalid results_index_name; '_x' can contain lowercase alphanumeric (a-z and 0-9), hyphens or \
             underscores; must start and end with alphanumeric",
        ),
        (
            "analysis_config",
            "Duplicate detectors are not allowed: [mean(x)]",
        ),
        (
            "analysis_limits",
            "model_memory_limit [1.9gb] must be less than the value of the xpack.ml.max_model_memory_limit setting [1.5gb]",
        ),
    ] {
        let fields = body.as_object_mut().expect("an object");
        assert_eq!(reason(Value::Object(fields.clone())), reason_of_it);
        fields.remove(field);
    }
    assert!(build(body).is_ok());
    assert_eq!(
        reason(json!({"job_id": "job-1", "groups": ["a", "job-1", "-"]})),
        "job and group names must be unique but job [job-1] and group [job-1] have the same name"
    );
}

#[test]
fn limits_are_whole_mebibytes() {
    let limits = |limits: Value| {
        serde_json::from_value::<NewLimits>(limits).map_err(|error| error.to_string())
    };
    for (given, expected) in [
        (json!("3000g"), "3072000mb"),
        (json!(2048), "2048mb"),
        (json!("11MB"), "11mb"),
        (json!("1.5gb"), "1536mb"),
        (json!("2097152b"), "2mb"),
    ] {
        let limit = limits(json!({"model_memory_limit": given}))
            .expect("fine")
            .fill(None);
        assert_eq!(
            limit.expect("fine").model_memory_limit.to_string(),
            expected
        );
    }
    for (given, part) in [
        (
            json!({"model_memory_limit": 0}),
            "model_memory_limit must be at least 1 MiB. Value = 0",
        ),
        (
            json!({"model_memory_limit": "1000kb"}),
            "model_memory_limit must be at least 1 MiB. Value = 0",
        ),
        (
            json!({"model_memory_limit": -4_000}),
            "model_memory_limit must be at least 1 MiB. Value = -4,000",
        ),
        (
            json!({"model_memory_limit": "2048"}),
            "with value [2048] as a size in bytes: unit is missing or unrecognized",
        ),
        (
            json!({"categorization_examples_limit": -1}),
            "categorization_examples_limit cannot be less than 0. Value = -1",
        ),
    ] {
        let reason = limits(given).expect_err("refused");
        assert!(reason.contains(part), "{reason}");
    }
    let small = NewLimits::default().fill(Some(Memory::mebibytes(12)));
    assert_eq!(small.expect("fine").model_memory_limit.to_string(), "12mb");
}
