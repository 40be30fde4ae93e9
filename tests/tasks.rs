//! Deletion and reset as tasks, through HTTP.

mod support;

use serde_json::{Value, json};
use support::traffic::{self, Traffic};
use support::{Client, Server, wait_until};

const NO_BODY: Value = Value::Null;

fn id_of(started: &Value) -> String {
    started["task"].as_str().expect("a task").to_owned()
}

/// The end of a task.
fn end(server: &Client, id: &str) -> Value {
    let path = format!("/_tasks/{id}?wait_for_completion=true&timeout=30s");
    let task = server.ok("GET", &path, &NO_BODY);
    assert_eq!(task["completed"], true, "{task}");
    task
}

/// An open job with some results.
fn busy(server: &Client, job: &str) {
    server.create_open(job, &traffic::job_config());
    let traffic = Traffic::generate(20, 3, 2 * 96);
    server.post_data(job, traffic.slice(0, traffic.len()));
}

#[test]
fn what_is_not_waited_for_is_a_task() {
    let server = Server::start(&[]);
    busy(&server, "j");
    let refused = server.call("DELETE", &Client::job_path("j", ""), &NO_BODY);
    refused.assert_error(
        409,
        "status_exception",
        "Cannot delete job [j] because the job is opened",
    );

    // A task is begun whatever comes of it.
    let path = Client::job_path("j", "?wait_for_completion=false");
    let task = end(&server, &id_of(&server.ok("DELETE", &path, &NO_BODY)));
    assert_eq!(task["error"]["type"], "status_exception", "{task}");
    let path = Client::job_path("j", "/_reset?wait_for_completion=false");
    let task = end(&server, &id_of(&server.ok("POST", &path, &NO_BODY)));
    assert_eq!(
        task["error"]["reason"], "Can only reset a job when it is closed.",
        "{task}"
    );
    assert_eq!(task["task"]["description"], "job-j");

    let path = Client::job_path(
        "j",
        "?force=true&wait_for_completion=false&delete_user_annotations=true",
    );
    let id = id_of(&server.ok("DELETE", &path, &NO_BODY));
    // Whoever deletes it again waits for the same, or comes too late.
    let again = server.call("DELETE", &Client::job_path("j", "?force=true"), &NO_BODY);
    assert!(matches!(again.status, 200 | 404), "{}", again.text);
    let task = end(&server, &id);
    assert_eq!(task["response"], json!({"acknowledged": true}));
    let told = &task["task"];
    assert_eq!(
        (
            &told["type"],
            &told["action"],
            &told["description"],
            &told["cancellable"],
            &told["headers"]
        ),
        (
            &json!("transport"),
            &json!("cluster:admin/xpack/ml/job/delete"),
            &json!("delete-job-j"),
            &json!(false),
            &json!({})
        )
    );
    assert_eq!(
        id,
        format!(
            "{}:{}",
            told["node"].as_str().unwrap_or_default(),
            told["id"]
        )
    );
    assert!(told["start_time_in_millis"].is_u64() && told["running_time_in_nanos"].is_u64());
    let gone = server.call("GET", &Client::job_path("j", ""), &NO_BODY);
    gone.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'j'",
    );
}

#[test]
fn a_reset_job_is_as_new_and_opens_again() {
    let server = Server::start(&[]);
    busy(&server, "j");
    server.close("j");
    let reset = server.ok("POST", &Client::job_path("j", "/_reset"), &NO_BODY);
    assert_eq!(reset, json!({"acknowledged": true}));
    let job = &server.ok("GET", &Client::job_path("j", ""), &NO_BODY)["jobs"][0];
    for field in ["blocked", "deleting", "finished_time", "model_snapshot_id"] {
        assert!(job.get(field).is_none(), "{field}: {job}");
    }
    assert_eq!(server.stats("j")["data_counts"]["input_record_count"], 0);
    let buckets = server.ok("GET", &Client::job_path("j", "/results/buckets"), &NO_BODY);
    assert_eq!(buckets["count"], 0);
    server.ok("POST", &Client::job_path("j", "/_open"), &NO_BODY);
    server
        .call("POST", &Client::job_path("no", "/_reset"), &NO_BODY)
        .assert_error(
            404,
            "resource_not_found_exception",
            "No known job with id 'no'",
        );
}

#[test]
fn a_deletion_that_was_cut_short_goes_on_at_the_next_start() {
    let mut server = Server::start(&[]);
    busy(&server, "j");
    busy(&server, "other");
    let buckets = |server: &Server, job: &str| {
        server.ok("GET", &Client::job_path(job, "/results/buckets"), &NO_BODY)["count"].clone()
    };
    let kept = buckets(&server, "other");
    server.ok(
        "DELETE",
        &Client::job_path("j", "?force=true&wait_for_completion=false"),
        &NO_BODY,
    );
    server.kill_and_restart();
    // Killed before the deletion was stored, it is as if it had never been asked for.
    let job = server.call("GET", &Client::job_path("j", ""), &NO_BODY);
    if job.status == 200 && job.body["jobs"][0].get("blocked").is_none() {
        server.ok(
            "DELETE",
            &Client::job_path("j", "?force=true&wait_for_completion=false"),
            &NO_BODY,
        );
    }
    wait_until("the job to be gone", || {
        (server
            .call("GET", &Client::job_path("j", ""), &NO_BODY)
            .status
            == 404)
            .then_some(())
    });
    server.wait_state("other", "opened");
    assert_eq!(buckets(&server, "other"), kept);
    // Nothing of it is left to a job of the same id.
    server.create_open("j", &traffic::job_config());
    assert_eq!(buckets(&server, "j"), 0);
}

#[test]
fn tasks_are_listed_and_unknown_ones_are_not_found() {
    let server = Server::start(&[]);
    server.create_open("j", &traffic::job_config());
    let jobs = server.ok(
        "GET",
        "/_tasks?actions=xpack/ml/job*&detailed=true",
        &NO_BODY,
    );
    let node = jobs["nodes"]
        .as_object()
        .and_then(|nodes| nodes.values().next())
        .expect("a node");
    let task = node["tasks"]
        .as_object()
        .and_then(|tasks| tasks.values().next())
        .expect("a task");
    assert_eq!(
        (&task["type"], &task["description"]),
        (&json!("persistent"), &json!("job-j"))
    );
    let all = server.ok("GET", "/_tasks?group_by=none", &NO_BODY);
    assert_eq!(all["tasks"].as_array().map(Vec::len), Some(2), "{all}");
    let table = server.call("GET", "/_cat/tasks?v=true", &NO_BODY).text;
    assert!(
        table.starts_with("action") && table.contains("xpack/ml/job[c]"),
        "{table}"
    );
    let rows = server.ok("GET", "/_cat/tasks?format=json", &NO_BODY);
    assert!(rows[0]["task_id"].is_string(), "{rows}");
    server.close("j");
    assert_eq!(
        server.ok("GET", "/_tasks?actions=xpack/ml/job*", &NO_BODY),
        json!({"nodes": {}})
    );

    let missing = |id: &str, status: u16, kind: &str, reason: &str| {
        server
            .call("GET", &format!("/_tasks/{id}"), &NO_BODY)
            .assert_error(status, kind, reason);
    };
    missing(
        "node_id:123456",
        404,
        "resource_not_found_exception",
        "belongs to the node [node_id] which isn't part",
    );
    missing(
        "nonsense",
        400,
        "illegal_argument_exception",
        "malformed task id nonsense",
    );
    let cancelled = server.ok("POST", "/_tasks/_cancel?actions=unknown_action", &NO_BODY);
    assert_eq!(cancelled, json!({"nodes": {}}));
    let cancelled = server.ok("POST", "/_tasks/node_id:1/_cancel", &NO_BODY);
    assert_eq!(
        cancelled["node_failures"][0]["caused_by"]["type"],
        "resource_not_found_exception"
    );
}
