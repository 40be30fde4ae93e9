//! The configuration of jobs over HTTP: what is taken, printed and refused, from versions old and new.

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const NO_BODY: Value = Value::Null;

fn plain() -> Value {
    json!({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}})
}

fn with(field: &str, value: Value) -> Value {
    let mut job = plain();
    job[field] = value;
    job
}

fn path(job: &str) -> String {
    Client::job_path(job, "")
}

#[test]
fn the_jobs_of_other_versions_are_taken_as_they_are_printed() {
    let server = Server::start(&[]);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jobs");
    let mut read = 0;
    for file in std::fs::read_dir(fixtures).expect("fixtures") {
        let file = file.expect("a file").path();
        let text = std::fs::read_to_string(&file).expect("readable");
        let fixture: Value = serde_json::from_str(&text).expect("JSON");
        let given = &fixture["given"];
        let id = given["job_id"].as_str().expect("an id");
        server.ok("PUT", &path(id), given);
        let jobs = server.ok(
            "GET",
            &format!("{}?exclude_generated=true", path(id)),
            &NO_BODY,
        );
        let printed = fixture.get("printed").unwrap_or(given);
        assert_eq!(&jobs["jobs"][0], printed, "{}", file.display());
        // What we print, we take.
        server.delete(&path(id));
        server.ok("PUT", &path(id), &jobs["jobs"][0]);
        read += 1;
    }
    assert!(read >= 5, "{read}");
}

#[test]
fn a_job_is_printed_in_elasticsearchs_order() {
    let server = Server::start(&[]);
    let mut job = plain();
    for (field, value) in [
        ("allow_lazy_open", json!(true)),
        ("results_index_name", json!("mine")),
        ("results_retention_days", json!(9)),
        ("background_persist_interval", json!("3600s")),
        ("renormalization_window_days", json!(8)),
        ("model_plot_config", json!({"enabled": true})),
        ("description", json!("d")),
        ("groups", json!(["g"])),
        (
            "custom_settings",
            json!({"z": 1, "created_by": "me", "a": 2}),
        ),
    ] {
        job[field] = value;
    }
    let created = server.ok("PUT", &path("ordered"), &job);
    let keys = |job: &Value| {
        job.as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&created),
        [
            "job_id",
            "job_type",
            "job_version",
            "create_time",
            "custom_settings",
            "groups",
            "description",
            "analysis_config",
            "analysis_limits",
            "data_description",
            "model_plot_config",
            "renormalization_window_days",
            "background_persist_interval",
            "model_snapshot_retention_days",
            "daily_model_snapshot_retention_after_days",
            "results_retention_days",
            "results_index_name",
            "allow_lazy_open"
        ]
    );
    assert_eq!(created["background_persist_interval"], "3600s");
    let got = server.ok(
        "GET",
        &format!("{}?exclude_generated", path("ordered")),
        &NO_BODY,
    );
    assert_eq!(
        keys(&got["jobs"][0])[..3],
        ["job_id", "custom_settings", "groups"]
    );
    assert_eq!(keys(&got["jobs"][0]["custom_settings"]), ["z", "a"]);
}

#[test]
fn refusals_name_the_first_thing_that_is_wrong() {
    let server = Server::start(&["--max-model-memory-limit", "9gb"]);
    let detector = |detector: Value| json!({"analysis_config": {"detectors": [detector]}, "data_description": {}});
    let illegal = "illegal_argument_exception";
    let parse = "x_content_parse_exception";
    for (body, kind, reason) in [
        (
            json!({"data_description": {}}),
            illegal,
            "An analysis_config must be set",
        ),
        (
            json!({"analysis_config": {"detectors": [{"function": "count"}]}}),
            illegal,
            "A data_description must be set",
        ),
        (
            json!({"analysis_config": {}, "data_description": {}}),
            parse,
            "Required [detectors]",
        ),
        (
            json!({"analysis_config": {"detectors": []}, "data_description": {}}),
            parse,
            "No detectors configured",
        ),
        (
            detector(json!({"function": "metric", "field_name": "time"})),
            illegal,
            "data_description.time_field may not be used in the analysis_config",
        ),
        (
            detector(json!({"function": "mean", "field_name": "."})),
            parse,
            "cannot be '.'",
        ),
        (
            detector(json!({"function": "count", "exclude_frequent": "some"})),
            parse,
            "Detector.ExcludeFrequent.SOME",
        ),
        (
            with("data_description", json!({"format": "wrong"})),
            parse,
            "[data_description] failed to parse field [format]",
        ),
        (
            with("data_description", json!({"time_format": "qqq"})),
            parse,
            "Invalid Time format string 'qqq'",
        ),
        (
            with("model_snapshot_id", json!("x")),
            parse,
            "unknown field [model_snapshot_id]",
        ),
        (
            with("job_type", json!("anomaly_detector")),
            parse,
            "unknown field [job_type]",
        ),
        (
            with("create_time", json!(1)),
            parse,
            "unknown field [create_time]",
        ),
        (
            with("analysis_limits", json!({"model_memory_limit": "10gb"})),
            "status_exception",
            "model_memory_limit [10gb] must be less than the value of the xpack.ml.max_model_memory_limit setting [9gb]",
        ),
        (
            with("analysis_limits", json!({"model_memory_limit": "10"})),
            parse,
            "failed to parse setting [model_memory_limit] with value [10] as a size in bytes: unit is missing or unrecognized",
        ),
        (
            with("background_persist_interval", json!("59m")),
            illegal,
            "background_persist_interval cannot be less than 3,600. Value = 3,540",
        ),
        (
            with("groups", json!(["x", "refused"])),
            "resource_already_exists_exception",
            "job [refused] and group [refused]",
        ),
        (
            with("job_id", json!("other")),
            illegal,
            "Inconsistent job_id; 'other' specified in the body differs from 'refused' specified as a URL argument",
        ),
        (
            with("results_index_name", json!("_a")),
            illegal,
            "Invalid results_index_name; '_a' can contain",
        ),
        (
            with("model_plot_config", json!({})),
            parse,
            "Required [enabled]",
        ),
    ] {
        server
            .call("PUT", &path("refused"), &body)
            .assert_error(400, kind, reason);
    }
    let (status, _) = server.get(&path("refused"));
    assert_eq!(status, 404);
    server.call("PUT", &path("Bad"), &plain()).assert_error(
        400,
        illegal,
        "Invalid job_id; 'Bad' can contain",
    );
    server
        .call("PUT", &path(&"a".repeat(65)), &plain())
        .assert_error(
            400,
            illegal,
            "The job id cannot contain more than 64 characters.",
        );
}

#[test]
fn groups_and_jobs_share_no_name() {
    let server = Server::start(&[]);
    server.ok("PUT", &path("a"), &with("groups", json!("web")));
    let kind = "resource_already_exists_exception";
    let same = |name: &str| {
        format!(
            "job and group names must be unique but job [{name}] and group [{name}] have the same name"
        )
    };
    server
        .call("PUT", &path("web"), &plain())
        .assert_error(400, kind, &same("web"));
    server
        .call("PUT", &path("b"), &with("groups", json!(["x", "a"])))
        .assert_error(400, kind, &same("a"));
    server.call("PUT", &path("a"), &plain()).assert_error(
        400,
        kind,
        "The job cannot be created with the Id 'a'. The Id is already used.",
    );
}

#[test]
fn validation_says_what_creation_would() {
    let server = Server::start(&["--max-model-memory-limit", "1gb"]);
    let job = "/_ml/anomaly_detectors/_validate";
    let detector = "/_ml/anomaly_detectors/_validate/detector";
    let fine = json!({"acknowledged": true});
    assert_eq!(server.ok("POST", job, &plain()), fine);
    assert_eq!(server.ok("POST", job, &with("job_id", json!("x"))), fine);
    // How much memory this cluster allows isn't asked.
    assert_eq!(
        server.ok(
            "POST",
            job,
            &with("analysis_limits", json!({"model_memory_limit": "2gb"}))
        ),
        fine
    );
    let invalid = "Invalid job_id; '_' can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; must \
                   start and end with alphanumeric";
    server
        .call("POST", job, &with("job_id", json!("_")))
        .assert_error(400, "illegal_argument_exception", invalid);
    server.call("POST", job, &NO_BODY).assert_error(
        400,
        "parse_exception",
        "request body is required",
    );
    assert_eq!(
        server.ok(
            "POST",
            detector,
            &json!({"function": "metric", "field_name": "x", "by_field_name": "y"})
        ),
        fine
    );
    let refused = server.call(
        "POST",
        detector,
        &json!({"function": "mean", "by_field_name": "y"}),
    );
    refused.assert_error(
        400,
        "status_exception",
        "field_name must be set when the 'mean' function is used",
    );
}

#[test]
fn jobs_are_found_by_lists_groups_and_wildcards() {
    let server = Server::start(&[]);
    for (id, groups) in [
        ("a-1", json!(["web"])),
        ("a-2", json!(["web", "db"])),
        ("b-1", json!([])),
    ] {
        server.ok("PUT", &path(id), &with("groups", groups));
    }
    for rest in ["", "/_stats"] {
        for (expression, expected) in [
            ("_all", vec!["a-1", "a-2", "b-1"]),
            ("*", vec!["a-1", "a-2", "b-1"]),
            ("b-1,web", vec!["a-1", "a-2", "b-1"]),
            ("d*", vec!["a-2"]),
            ("a-*,a-1", vec!["a-1", "a-2"]),
            ("none*", vec![]),
        ] {
            let found = server.ok("GET", &Client::job_path(expression, rest), &NO_BODY);
            let jobs = found["jobs"].as_array().expect("jobs");
            let ids: Vec<&str> = jobs
                .iter()
                .filter_map(|job| job["job_id"].as_str())
                .collect();
            assert_eq!(
                (ids, &found["count"]),
                (expected.clone(), &json!(expected.len())),
                "{expression}{rest}"
            );
        }
        for (expression, named) in [
            ("x,b-1,y", "x,y"),
            ("none*?allow_no_match=false", "none*"),
            ("c?allow_no_match=true", "c"),
        ] {
            let (list, query) = expression.split_once('?').unwrap_or((expression, ""));
            let refused = server.call(
                "GET",
                &format!("{}?{query}", Client::job_path(list, rest)),
                &NO_BODY,
            );
            refused.assert_error(
                404,
                "resource_not_found_exception",
                &format!("No known job with id '{named}'"),
            );
        }
    }
}

#[test]
fn memory_is_estimated() {
    let server = Server::start(&[]);
    let path = "/_ml/anomaly_detectors/_estimate_model_memory";
    let body = json!({
        "analysis_config": {
            "bucket_span": "5m", "influencers": ["source_ip", "dest_ip"],
            "detectors": [{"function": "sum", "field_name": "bytes", "by_field_name": "status", "partition_field_name": "app"}]
        },
        "overall_cardinality": {"status": 10, "app": "50"},
        "max_bucket_cardinality": {"source_ip": 300, "dest_ip": 30}
    });
    assert_eq!(
        server.ok("POST", path, &body),
        json!({"model_memory_estimate": "21mb"})
    );
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut body = body.clone();
        change(&mut body);
        server.call("POST", path, &body)
    };
    refused(&|body| body["overall_cardinality"] = json!({"app": 1})).assert_error(
        400,
        "illegal_argument_exception",
        "[Overall] cardinality estimate required for [by_field_name] [status] but not supplied",
    );
    refused(&|body| body["max_bucket_cardinality"]["dest_ip"] = json!(-3)).assert_error(
        400,
        "x_content_parse_exception",
        "[max_bucket_cardinality] contained negative cardinality [-3]",
    );
    refused(&|body| body["what"] = json!(1)).assert_error(
        400,
        "x_content_parse_exception",
        "unknown field [what]",
    );
    server.call("POST", path, &json!({})).assert_error(
        400,
        "action_request_validation_exception",
        "Validation Failed: 1: [analysis_config] was not specified;",
    );
}
