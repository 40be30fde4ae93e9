//! Jobs that wait for room, and what lets them in.

mod support;

use serde_json::{Value, json};
use support::traffic;
use support::{Client, Server};

const NO_BODY: Value = Value::Null;

fn open(server: &Client, job: &str) -> support::Reply {
    server.call("POST", &Client::job_path(job, "/_open"), &NO_BODY)
}

fn set(server: &Client, name: &str, value: Value) {
    server.ok(
        "PUT",
        "/_cluster/settings",
        &json!({"transient": {name: value}}),
    );
}

/// Asks for a job to be opened that has to wait.
#[track_caller]
fn wait(server: &Client, job: &str, config: &Value) {
    server.ok("PUT", &Client::job_path(job, ""), config);
    let opened = open(server, job);
    assert_eq!(
        opened.body,
        json!({"opened": true, "node": ""}),
        "{}",
        opened.text
    );
}

fn lazy() -> Value {
    let mut config = traffic::job_config();
    config["allow_lazy_open"] = json!(true);
    config
}

#[test]
fn more_room_lets_the_oldest_in() {
    let server = Server::start(&["--max-open-jobs", "1"]);
    server.create_open("first", &traffic::job_config());
    for job in ["zebra", "ape", "bee"] {
        wait(&server, job, &lazy());
    }
    let stats = server.stats("ape");
    assert_eq!(
        stats["assignment_explanation"],
        "persistent task is awaiting node assignment."
    );
    assert_eq!(stats["health"]["status"], "red");
    assert_eq!(stats["health"]["issues"][0]["type"], "assignment_failed");
    open(&server, "ape").assert_error(
        409,
        "status_exception",
        "Cannot open job [ape] because it has already been opened",
    );
    // A setting is raised, a job that is open is deleted, one that waits is.
    set(&server, "xpack.ml.max_open_jobs", json!(2));
    server.wait_state("zebra", "opened");
    assert_eq!(
        (server.state("ape"), server.state("bee")),
        ("opening".into(), "opening".into())
    );
    server
        .call("DELETE", &Client::job_path("ape", ""), &NO_BODY)
        .assert_error(
            409,
            "status_exception",
            "Cannot delete job [ape] because the job is opening",
        );
    server.ok("DELETE", &Client::job_path("ape", "?force=true"), &NO_BODY);
    server.ok(
        "DELETE",
        &Client::job_path("first", "?force=true"),
        &NO_BODY,
    );
    server.wait_state("bee", "opened");
    let stats = server.stats("bee");
    assert_eq!(
        (&stats["assignment_explanation"], &stats["health"]),
        (&json!(""), &json!({"status": "green"}))
    );
}

#[test]
fn nodes_that_may_come_let_every_job_wait() {
    let server = Server::start(&["--max-open-jobs", "1"]);
    server.create_open("first", &traffic::job_config());
    server.ok(
        "PUT",
        &Client::job_path("second", ""),
        &traffic::job_config(),
    );
    let refused = open(&server, "second");
    refused.assert_error(
        429,
        "status_exception",
        "Could not open job because no ML nodes with sufficient capacity were found",
    );
    refused.assert_error(
        429,
        "status_exception",
        "Could not open job because no suitable nodes were found, allocation explanation [Not opening job [second] on \
         node [{tidewatch}]. Reason: This node is full. Number of opened jobs and allocated native inference processes \
         [1], xpack.ml.max_open_jobs [1].]",
    );
    set(&server, "xpack.ml.max_lazy_ml_nodes", json!(2));
    let opened = open(&server, "second");
    assert_eq!(
        opened.body,
        json!({"opened": true, "node": ""}),
        "{}",
        opened.text
    );
    // With assignment off nobody gets in, and one says so.
    set(
        &server,
        "cluster.persistent_tasks.allocation.enable",
        json!("none"),
    );
    server.close("first");
    assert_eq!(
        server.stats("second")["assignment_explanation"],
        "no persistent task assignments are allowed due to cluster settings"
    );
    set(
        &server,
        "cluster.persistent_tasks.allocation.enable",
        Value::Null,
    );
    server.wait_state("second", "opened");
}

#[test]
fn jobs_are_counted_with_their_limits_and_what_processes_take() {
    // Two jobs of 50 MB with 10 MB each beside them, and 30 MB once: one more byte would be too much.
    let server = Server::start(&["--node-memory", "150mb"]);
    let mut config = lazy();
    config["analysis_limits"] = json!({"model_memory_limit": "50mb"});
    server.create_open("first", &config);
    server.create_open("second", &config);
    assert_eq!(
        server.stats("first")["model_size_stats"]["assignment_memory_basis"],
        "model_memory_limit"
    );
    config["analysis_limits"] = json!({"model_memory_limit": "1mb"});
    wait(&server, "third", &config);
    config["allow_lazy_open"] = json!(false);
    server.ok("PUT", &Client::job_path("fourth", ""), &config);
    open(&server, "fourth").assert_error(
        429,
        "status_exception",
        "This node has insufficient available memory. Available memory for ML [157286400 (150mb)], memory required by \
         existing jobs [157286400 (150mb)], estimated memory required for this job [11534336 (11mb)].",
    );
    // A larger share of the machine is room as well.
    set(&server, "xpack.ml.max_machine_memory_percent", json!(40));
    server.wait_state("third", "opened");
}
