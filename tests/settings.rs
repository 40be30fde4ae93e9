//! The settings of the cluster, and upgrade mode, through HTTP.

mod support;

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, Traffic};
use support::{Client, Server};

const NO_BODY: Value = Value::Null;
const SETTINGS: &str = "/_cluster/settings";

fn open(server: &Client, job: &str) -> support::Reply {
    server.call("POST", &Client::job_path(job, "/_open"), &NO_BODY)
}

#[test]
fn persistent_settings_outlast_a_restart_and_transient_ones_go_first() {
    let mut server = Server::start(&[]);
    assert_eq!(
        server.ok("GET", SETTINGS, &NO_BODY),
        json!({"persistent": {}, "transient": {}})
    );
    let set = json!({
        "persistent": {"xpack.ml.max_model_memory_limit": "9gb", "xpack": {"ml": {"max_open_jobs": 7}}},
        "transient": {"xpack.ml.max_model_memory_limit": "1gb", "logger.org.elasticsearch.xpack.ml": "TRACE"}
    });
    let answer = server.ok("PUT", SETTINGS, &set);
    assert_eq!(
        answer["persistent"],
        json!({"xpack": {"ml": {"max_model_memory_limit": "9gb", "max_open_jobs": "7"}}})
    );
    let limit = |server: &Server| {
        server.ok("GET", "/_ml/info", &NO_BODY)["limits"]["max_model_memory_limit"].clone()
    };
    assert_eq!(limit(&server), "1gb");
    let flat = server.ok(
        "GET",
        &format!("{SETTINGS}?flat_settings=true&include_defaults=true"),
        &NO_BODY,
    );
    assert_eq!(
        flat["transient"]["logger.org.elasticsearch.xpack.ml"],
        "TRACE"
    );
    assert_eq!(flat["defaults"]["xpack.ml.max_lazy_ml_nodes"], "0");
    assert!(
        flat["defaults"].get("xpack.ml.max_open_jobs").is_none(),
        "it is set"
    );

    server.kill_and_restart();
    assert_eq!(limit(&server), "9gb");
    let mut config = traffic::job_config();
    config["analysis_limits"] = json!({"model_memory_limit": "10gb"});
    server.call("PUT", &Client::job_path("big", ""), &config).assert_error(
        400,
        "status_exception",
        "model_memory_limit [10gb] must be less than the value of the xpack.ml.max_model_memory_limit setting [9gb]",
    );
    server.ok(
        "PUT",
        SETTINGS,
        &json!({"persistent": {"xpack.ml.max_model_*": null}}),
    );
    server.ok("PUT", &Client::job_path("big", ""), &config);
    assert_eq!(limit(&server), Value::Null);
}

#[test]
fn one_wrong_setting_changes_none() {
    let server = Server::start(&[]);
    let refused = |body: &Value, kind: &str, reason: &str| {
        server
            .call("PUT", SETTINGS, body)
            .assert_error(400, kind, reason);
    };
    let illegal = "illegal_argument_exception";
    refused(
        &json!({"transient": {"xpack.ml.max_open_jobs": 3, "xpack.ml.nonsense": 1}}),
        illegal,
        "transient setting [xpack.ml.nonsense], not recognized",
    );
    refused(
        &json!({"persistent": {"xpack.ml.max_open_jobs": 3, "xpack.ml.max_lazy_ml_nodes": -1}}),
        illegal,
        "Failed to parse value [-1] for setting [xpack.ml.max_lazy_ml_nodes] must be >= 0",
    );
    refused(
        &json!({"persistent": {}}),
        "action_request_validation_exception",
        "no settings to update",
    );
    server.call("PUT", SETTINGS, &NO_BODY).assert_error(
        400,
        "parse_exception",
        "request body is required",
    );
    assert_eq!(
        server.ok("GET", SETTINGS, &NO_BODY),
        json!({"persistent": {}, "transient": {}})
    );
}

#[test]
fn no_job_is_opened_while_assignment_is_off() {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path("j", ""), &traffic::job_config());
    let allocation = |value: Value| {
        let setting = json!({"transient": {"cluster.persistent_tasks.allocation.enable": value}});
        server.ok("PUT", SETTINGS, &setting);
    };
    allocation(json!("none"));
    open(&server, "j").assert_error(
        429,
        "status_exception",
        "Cannot open jobs because persistent task assignment is disabled by the \
         [cluster.persistent_tasks.allocation.enable] setting",
    );
    assert_eq!(server.state("j"), "closed");
    allocation(Value::Null);
    assert_eq!(open(&server, "j").status, 200);
}

#[test]
fn jobs_stand_still_in_upgrade_mode_and_lose_nothing() {
    const JOB: &str = "still";
    let buckets = 5 * 96;
    let traffic = Traffic::generate(50, 3, buckets);
    let cut = traffic.len() / 2;
    let run = |upgrade: bool| {
        let mut server = Server::start(&[]);
        server.create_open(JOB, &traffic::job_config());
        server.ok(
            "PUT",
            &Client::job_path("other", ""),
            &traffic::job_config(),
        );
        server.post_data(JOB, traffic.slice(0, cut));
        if upgrade {
            let mode = |server: &Server, enabled: bool| {
                let path = format!("/_ml/set_upgrade_mode?enabled={enabled}");
                for _ in 0..2 {
                    assert_eq!(
                        server.ok("POST", &path, &NO_BODY),
                        json!({"acknowledged": true})
                    );
                }
                assert_eq!(
                    server.ok("GET", "/_ml/info", &NO_BODY)["upgrade_mode"],
                    enabled
                );
            };
            mode(&server, true);
            for restart in [false, true] {
                if restart {
                    server.kill_and_restart();
                }
                let stats = server.stats(JOB);
                assert_eq!(stats["state"], "opened");
                assert_eq!(
                    stats["assignment_explanation"],
                    "persistent task cannot be assigned while upgrade mode is enabled."
                );
                assert!(
                    stats.get("node").is_none() && stats.get("open_time").is_none(),
                    "{stats}"
                );
                let tasks = server.ok(
                    "GET",
                    "/_tasks?actions=xpack/ml/job*,xpack/ml/datafeed*",
                    &NO_BODY,
                );
                assert_eq!(tasks, json!({"nodes": {}}));
                for (job, call, action) in [
                    ("other", "_open", "open"),
                    (JOB, "_close", "close"),
                    (JOB, "_flush", "flush"),
                ] {
                    server.call("POST", &Client::job_path(job, &format!("/{call}")), &NO_BODY).assert_error(
                        429,
                        "status_exception",
                        &format!("Cannot perform cluster:admin/xpack/ml/job/{action} action while upgrade mode is enabled"),
                    );
                }
                server
                    .call("POST", &Client::job_path("other", "/_reset"), &NO_BODY)
                    .assert_error(
                        409,
                        "status_exception",
                        "cannot reset job while indices are being upgraded",
                    );
            }
            mode(&server, false);
            let stats = server.stats(JOB);
            assert_eq!(
                (&stats["state"], &stats["assignment_explanation"]),
                (&json!("opened"), &json!(""))
            );
            assert!(
                server
                    .call("GET", "/_cat/tasks", &NO_BODY)
                    .text
                    .contains("xpack/ml/job")
            );
        }
        server.post_data(JOB, traffic.slice(cut, traffic.len()));
        server.close(JOB);
        Outcome::of(&server, JOB)
    };
    let straight = run(false);
    straight.assert_substantial(buckets);
    straight.assert_same(
        &run(true),
        "a straight run and one with upgrade mode in its middle",
    );
}
