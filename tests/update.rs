//! `_update` over HTTP: what changes, when, and that nothing is lost.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::traffic::{self, Traffic};
use support::{Client, Server, wait_until};

const NO_BODY: Value = Value::Null;

fn update(job: &str) -> String {
    Client::job_path(job, "/_update")
}

fn get(server: &Client, job: &str) -> Value {
    server.ok("GET", &Client::job_path(job, ""), &NO_BODY)["jobs"][0].clone()
}

fn categories() -> Value {
    json!({
        "description": "before",
        "analysis_config": {
            "detectors": [
                {"function": "mean", "field_name": "x", "by_field_name": "host"},
                {"function": "count", "by_field_name": "mlcategory", "partition_field_name": "site"}
            ],
            "categorization_field_name": "message", "per_partition_categorization": {"enabled": true}
        },
        "analysis_limits": {"model_memory_limit": "10mb", "categorization_examples_limit": 9},
        "model_plot_config": {"enabled": true, "terms": "foo,bar"},
        "model_snapshot_retention_days": 3, "daily_model_snapshot_retention_after_days": 2,
        "data_description": {}
    })
}

#[test]
fn an_open_job_takes_all_but_its_limits() {
    let mut server = Server::start(&[]);
    server.create_open("job", &categories());
    let body = json!({
        "groups": ["group-1", "group-2"], "description": "after",
        "detectors": [
            {"detector_index": 0, "custom_rules": [{"conditions": [{"applies_to": "actual", "operator": "gt", "value": 10}]}]},
            {"detector_index": 1, "description": "updated description"}
        ],
        "model_prune_window": "60d", "model_plot_config": {"enabled": false, "terms": "foobar"},
        "renormalization_window_days": 10, "background_persist_interval": "3h", "model_snapshot_retention_days": 30,
        "results_retention_days": 40, "custom_settings": {"setting3": "custom3"}, "allow_lazy_open": true,
        "per_partition_categorization": {"enabled": true, "stop_on_warn": true}
    });
    let updated = server.ok("POST", &update("job"), &body);
    assert_eq!(updated["groups"], json!(["group-1", "group-2"]));
    assert_eq!(
        updated["model_plot_config"],
        json!({"enabled": false, "terms": "foobar", "annotations_enabled": false})
    );
    assert_eq!(
        updated["analysis_config"]["detectors"][0]["custom_rules"][0]["actions"],
        json!(["skip_result"])
    );
    assert_eq!(
        updated["analysis_config"]["detectors"][1]["detector_description"],
        "updated description"
    );
    assert_eq!(updated["analysis_config"]["model_prune_window"], "60d");
    assert_eq!(
        updated["analysis_config"]["per_partition_categorization"]["stop_on_warn"],
        true
    );
    assert_eq!(updated["daily_model_snapshot_retention_after_days"], 2);
    assert_eq!(updated["custom_settings"], json!({"setting3": "custom3"}));

    let limits = json!({"analysis_limits": {"model_memory_limit": "20mb"}});
    let refused = server.call("POST", &update("job"), &limits);
    refused.assert_error(
        400,
        "status_exception",
        "Cannot update analysis_limits while the job is open",
    );
    server.close("job");
    let updated = server.ok("POST", &update("job"), &limits);
    assert_eq!(
        updated["analysis_limits"],
        json!({"model_memory_limit": "20mb", "categorization_examples_limit": 4})
    );
    let before = get(&server, "job");
    server.kill_and_restart();
    assert_eq!(get(&server, "job"), before);
    assert_eq!(before["description"], "after");
}

#[test]
fn what_may_not_be_is_refused_and_nothing_changes() {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path("job", ""), &categories());
    server.ok(
        "PUT",
        &Client::job_path("other", ""),
        &traffic::job_config(),
    );
    let before = get(&server, "job");
    let (status, illegal, parse) = (
        "status_exception",
        "illegal_argument_exception",
        "x_content_parse_exception",
    );
    for (body, kind, reason) in [
        (
            json!({"model_prune_window": "5m"}),
            status,
            "model_prune_window [5m] must be at least 2 times greater than bucket_span [5m]",
        ),
        (
            json!({"model_prune_window": "2m"}),
            status,
            "model_prune_window [2m] must be a multiple of bucket_span [5m]",
        ),
        (
            json!({"model_prune_window": "8w"}),
            parse,
            "[job_update] failed to parse field [model_prune_window]",
        ),
        (
            json!({"daily_model_snapshot_retention_after_days": 31}),
            illegal,
            "The value of daily_model_snapshot_retention_after_days [31] cannot be greater than model_snapshot_retention_days [3]",
        ),
        (
            json!({"model_snapshot_retention_days": 1, "description": "x"}),
            illegal,
            "The value of daily_model_snapshot_retention_after_days [2] cannot be greater than model_snapshot_retention_days [1]",
        ),
        (
            json!({"detectors": [{"detector_index": 2}]}),
            status,
            "Supplied detector_index [2] is >= the number of detectors [2]",
        ),
        (
            json!({"detectors": [{"detector_index": 0, "function": "max"}]}),
            parse,
            "[detector_update] unknown field [function]",
        ),
        (
            json!({"per_partition_categorization": {"enabled": false}}),
            status,
            "analysis_config.per_partition_categorization.enabled cannot be updated",
        ),
        (
            json!({"groups": ["other"]}),
            "resource_already_exists_exception",
            "job and group names must be unique but job [other] and group [other] have the same name",
        ),
        (
            json!({"bucket_span": "1h"}),
            parse,
            "[job_update] unknown field [bucket_span]",
        ),
        (
            json!({"model_snapshot_id": "x"}),
            parse,
            "[job_update] unknown field [model_snapshot_id]",
        ),
        (json!({"groups": null}), parse, "[job_update]"),
        (
            json!({"background_persist_interval": "1m"}),
            illegal,
            "background_persist_interval cannot be less than 3,600. Value = 60",
        ),
        (NO_BODY, "parse_exception", "request body is required"),
    ] {
        server
            .call("POST", &update("job"), &body)
            .assert_error(400, kind, reason);
    }
    assert_eq!(get(&server, "job"), before);
    let body = json!({"description": "x"});
    server.call("POST", &update("_all"), &body).assert_error(
        400,
        status,
        "Cannot update more than 1 job at a time",
    );
    server.call("POST", &update("none"), &body).assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'none'",
    );
    // The documentation's example has one detector without a list.
    let one = json!({"job_id": "ignored", "description": null, "detectors": {"detector_index": 0, "description": "one"}});
    let updated = server.ok("POST", &update("job"), &one);
    assert_eq!(updated["description"], "before");
    assert_eq!(
        updated["analysis_config"]["detectors"][0]["detector_description"],
        "one"
    );
    assert_eq!(server.ok("POST", &update("job"), &json!({})), updated);
}

#[test]
fn updates_side_by_side_all_count() {
    let server = Server::start(&[]);
    server.create_open("job", &categories());
    let fields: [fn(usize) -> Value; 8] = [
        |n| json!({"description": format!("d{n}")}),
        |n| json!({"groups": [format!("g{n}")]}),
        |n| json!({"custom_settings": {"n": n}}),
        |n| json!({"results_retention_days": n}),
        |n| json!({"renormalization_window_days": n}),
        |n| json!({"detectors": [{"detector_index": 0, "description": format!("a{n}")}]}),
        |n| json!({"detectors": [{"detector_index": 1, "description": format!("b{n}")}]}),
        |n| json!({"background_persist_interval": format!("{}h", n + 1)}),
    ];
    const LAST: usize = 25;
    thread::scope(|scope| {
        for field in fields {
            let client = Client::clone(&server);
            scope.spawn(move || {
                for n in 1..=LAST {
                    client.ok("POST", &update("job"), &field(n));
                }
            });
        }
    });
    let job = get(&server, "job");
    for (pointer, value) in [
        ("/description", json!("d25")),
        ("/groups", json!(["g25"])),
        ("/custom_settings", json!({"n": 25})),
        ("/results_retention_days", json!(25)),
        ("/renormalization_window_days", json!(25)),
        (
            "/analysis_config/detectors/0/detector_description",
            json!("a25"),
        ),
        (
            "/analysis_config/detectors/1/detector_description",
            json!("b25"),
        ),
        ("/background_persist_interval", json!("26h")),
    ] {
        assert_eq!(job.pointer(pointer), Some(&value), "{pointer}");
    }
}

#[test]
fn a_running_job_plots_and_is_held_by_rules_at_once() {
    let server = Server::start(&[]);
    let mut config = traffic::job_config();
    config["model_plot_config"] = json!({"enabled": false});
    server.create_open("job", &config);
    let plots = || {
        let path = Client::job_path("job", "/results/model_plots");
        server.ok("GET", &path, &NO_BODY)["count"]
            .as_u64()
            .unwrap_or(0)
    };
    let traffic = Traffic::generate(7, 2, 40);
    let half = traffic.len() / 2;
    server.post_data("job", traffic.slice(0, half));
    server.flush("job");
    assert_eq!(plots(), 0);
    server.ok(
        "POST",
        &update("job"),
        &json!({"model_plot_config": {"enabled": true}}),
    );
    server.post_data("job", traffic.slice(half, traffic.len()));
    server.flush("job");
    wait_until("model plots", || (plots() > 0).then_some(()));
}

#[test]
fn a_waiting_job_that_wants_less_is_let_in() {
    let server = Server::start(&["--node-memory", "100mb"]);
    let mut config = traffic::job_config();
    config["analysis_limits"] = json!({"model_memory_limit": "200mb"});
    config["allow_lazy_open"] = json!(true);
    server.ok("PUT", &Client::job_path("job", ""), &config);
    let opened = server.ok("POST", &Client::job_path("job", "/_open"), &NO_BODY);
    assert_eq!(opened["node"], "");
    let limits = json!({"analysis_limits": {"model_memory_limit": "20mb"}});
    server.ok("POST", &update("job"), &limits);
    server.wait_state("job", "opened");
}
