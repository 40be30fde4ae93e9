//! Keeping jobs in order: validation, reset, model snapshots one by one, expired data.

mod support;

use serde_json::{Value, json};
use support::traffic::{self, Traffic};
use support::{Client, Server};

const JOB: &str = "kept";

fn path(rest: &str) -> String {
    Client::job_path(JOB, rest)
}

/// Opens the job, sends it records, and closes it: one more snapshot.
fn run_once(server: &Server, data: &Traffic, from: usize, to: usize) {
    server.ok("POST", &path("/_open"), &Value::Null);
    server.post_data(JOB, data.slice(from, to));
    server.close(JOB);
}

fn snapshot_ids(server: &Server) -> Vec<String> {
    let answer = server.ok("GET", &path("/model_snapshots?desc=false"), &Value::Null);
    let snapshots = answer["model_snapshots"].as_array().expect("a list").iter();
    snapshots
        .map(|snapshot| snapshot["snapshot_id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn a_job_is_validated_and_not_created() {
    let server = Server::start(&[]);
    let all = "/_ml/anomaly_detectors/_validate";
    let answer = server.ok("POST", all, &traffic::job_config());
    assert_eq!(answer, json!({"acknowledged": true}));
    let detector = format!("{all}/detector");
    server.ok(
        "POST",
        &detector,
        &json!({"function": "mean", "field_name": "value"}),
    );
    let wrong = server.call(
        "POST",
        &detector,
        &json!({"function": "mean", "by_field_name": "host"}),
    );
    wrong.assert_error(
        400,
        "status_exception",
        "field_name must be set when the 'mean' function is used",
    );
    let mut retention = traffic::job_config();
    retention["daily_model_snapshot_retention_after_days"] = 40.into();
    let wrong = server.call("POST", all, &retention);
    wrong.assert_error(
        400,
        "illegal_argument_exception",
        "cannot be greater than model_snapshot_retention_days [10]",
    );
    let jobs = server.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    assert_eq!(jobs["count"], 0);
}

#[test]
fn a_reset_job_is_as_new() {
    let server = Server::start(&[]);
    let data = Traffic::generate(7, 2, 120);
    server.ok("PUT", &path(""), &traffic::job_config());
    run_once(&server, &data, 0, data.len());
    let first = server.ok("GET", &path("/results/buckets?size=1000"), &Value::Null);
    server.ok("POST", &path("/_open"), &Value::Null);
    let open = server.call("POST", &path("/_reset"), &Value::Null);
    open.assert_error(
        409,
        "status_exception",
        "Can only reset a job when it is closed",
    );
    server.close(JOB);

    assert_eq!(
        server.ok("POST", &path("/_reset"), &Value::Null),
        json!({"acknowledged": true})
    );
    let stats = server.stats(JOB);
    assert_eq!(
        (&stats["data_counts"]["input_record_count"], &stats["state"]),
        (&json!(0), &json!("closed"))
    );
    assert!(snapshot_ids(&server).is_empty());
    let job = &server.ok("GET", &path(""), &Value::Null)["jobs"][0];
    assert!(
        job["model_snapshot_id"].is_null() && job["finished_time"].is_null(),
        "{job}"
    );
    let empty = server.ok("GET", &path("/results/buckets"), &Value::Null);
    assert_eq!(empty["count"], 0);

    // What it learns now it learns as the first time.
    run_once(&server, &data, 0, data.len());
    let again = server.ok("GET", &path("/results/buckets?size=1000"), &Value::Null);
    let scores = |answer: &Value| -> Vec<Value> {
        let buckets = answer["buckets"].as_array().expect("a list").iter();
        buckets
            .map(|bucket| {
                json!([
                    bucket["timestamp"],
                    bucket["anomaly_score"],
                    bucket["event_count"]
                ])
            })
            .collect()
    };
    assert_eq!(scores(&again), scores(&first));
}

#[test]
fn snapshots_are_described_kept_and_deleted() {
    let server = Server::start(&[]);
    let data = Traffic::generate(7, 2, 90);
    server.ok("PUT", &path(""), &traffic::job_config());
    run_once(&server, &data, 0, 100);
    run_once(&server, &data, 100, 200);
    let ids = snapshot_ids(&server);
    assert_eq!(ids.len(), 2);

    let update = path(&format!("/model_snapshots/{}/_update", ids[0]));
    let answer = server.ok(
        "POST",
        &update,
        &json!({"description": "before the release", "retain": true}),
    );
    assert_eq!(answer["acknowledged"], true);
    let stored = server.ok(
        "GET",
        &path(&format!("/model_snapshots/{}", ids[0])),
        &Value::Null,
    );
    let stored = &stored["model_snapshots"][0];
    assert_eq!(
        (&stored["description"], &stored["retain"]),
        (&json!("before the release"), &json!(true))
    );

    let active = server.call(
        "DELETE",
        &path(&format!("/model_snapshots/{}", ids[1])),
        &Value::Null,
    );
    active.assert_error(
        400,
        "illegal_argument_exception",
        "is the active snapshot for job 'kept', so cannot be deleted",
    );
    server.ok(
        "DELETE",
        &path(&format!("/model_snapshots/{}", ids[0])),
        &Value::Null,
    );
    let gone = server.call(
        "DELETE",
        &path(&format!("/model_snapshots/{}", ids[0])),
        &Value::Null,
    );
    gone.assert_error(404, "resource_not_found_exception", "exists for job [kept]");
    assert_eq!(snapshot_ids(&server), ids[1..]);
}

#[test]
fn results_past_their_retention_go() {
    let server = Server::start(&[]);
    let data = Traffic::generate(7, 2, 5 * 96);
    server.ok("PUT", &path(""), &traffic::job_config());
    run_once(&server, &data, 0, data.len());
    let count = |server: &Server| {
        server.ok("GET", &path("/results/buckets"), &Value::Null)["count"].as_u64()
    };
    let all = count(&server).expect("a count");
    let expire = |target: &str| {
        server.ok(
            "DELETE",
            &format!("/_ml/_delete_expired_data{target}"),
            &Value::Null,
        )
    };
    assert_eq!(expire(""), json!({"deleted": true}));
    assert_eq!(count(&server), Some(all), "without a retention all stays");

    server.ok(
        "POST",
        &path("/_update"),
        &json!({"results_retention_days": 2}),
    );
    assert_eq!(expire("/kept"), json!({"deleted": true}));
    // Two days before the latest bucket, which is still there.
    assert_eq!(count(&server), Some(2 * 96 + 1));
    let unknown = server.call("DELETE", "/_ml/_delete_expired_data/nobody", &Value::Null);
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'nobody'",
    );
}
