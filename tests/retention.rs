//! Model snapshots and retention over HTTP: the ways back, what is kept and why, and what would go.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::traffic::{self, Traffic};
use support::{Client, Server};

const JOB: &str = "kept";

fn path(rest: &str) -> String {
    Client::job_path(JOB, rest)
}

fn snapshot(id: &str, rest: &str) -> String {
    path(&format!("/model_snapshots/{id}{rest}"))
}

/// A server with a job that was run twice, and the ids of its two snapshots.
fn with_two_snapshots(data: &Traffic) -> (Server, [String; 2]) {
    let server = Server::start(&[]);
    server.ok("PUT", &path(""), &traffic::job_config());
    let half = data.len() / 2;
    for (from, to) in [(0, half), (half, data.len())] {
        server.ok("POST", &path("/_open"), &Value::Null);
        server.post_data(JOB, data.slice(from, to));
        server.close(JOB);
    }
    let answer = server.ok("GET", &path("/model_snapshots?desc=false"), &Value::Null);
    assert_eq!(answer["count"], 2);
    let id = |n: usize| {
        answer["model_snapshots"][n]["snapshot_id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let ids = [id(0), id(1)];
    (server, ids)
}

fn buckets(server: &Server) -> i64 {
    let answer = server.ok("GET", &path("/results/buckets?size=0"), &Value::Null);
    answer["count"].as_i64().expect("a number")
}

fn active(server: &Server) -> Value {
    let job = &server.ok("GET", &path(""), &Value::Null)["jobs"][0];
    assert!(job["blocked"].is_null(), "{job}");
    job["model_snapshot_id"].clone()
}

#[test]
fn a_job_goes_back_to_a_snapshot_and_to_its_first_day() {
    let data = Traffic::generate(7, 2, 200);
    let (server, ids) = with_two_snapshots(&data);
    let all = buckets(&server);
    let answer = server.ok("POST", &snapshot(&ids[0], "/_revert"), &Value::Null);
    assert_eq!(answer["model"]["snapshot_id"], ids[0]);
    assert!(answer["model"]["quantiles"].is_null());
    assert_eq!((active(&server), buckets(&server)), (json!(ids[0]), all));
    let body = json!({"delete_intervening_results": true});
    server.ok("POST", &snapshot(&ids[0], "/_revert"), &body);
    assert!(buckets(&server) < all * 2 / 3);
    let counts = &server.stats(JOB)["data_counts"];
    let record = &answer["model"]["latest_record_time_stamp"];
    assert_eq!(&counts["latest_record_timestamp"], record);

    let both = format!(
        "{}?delete_intervening_results=true",
        snapshot(&ids[1], "/_revert")
    );
    let refused = server.call("POST", &both, &body);
    refused.assert_error(
        400,
        "illegal_argument_exception",
        "unrecognized parameter: [delete_intervening_results]",
    );
    let unknown = server.call("POST", &snapshot("not_exist", "/_revert"), &Value::Null);
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No model snapshot with id [not_exist] exists for job [kept]",
    );
    let unknown = server.call(
        "POST",
        "/_ml/anomaly_detectors/none/model_snapshots/1/_revert",
        &Value::Null,
    );
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'none'",
    );
    let wrong = server.call(
        "POST",
        &snapshot(&ids[0], "/_revert"),
        &json!({"delete": true}),
    );
    wrong.assert_error(400, "x_content_parse_exception", "unknown field [delete]");
    server.ok("POST", &path("/_open"), &Value::Null);
    let open = server.call("POST", &snapshot(&ids[0], "/_revert"), &Value::Null);
    open.assert_error(
        409,
        "status_exception",
        "Can only revert to a model snapshot when the job is closed.",
    );
    server.close(JOB);

    let empty = format!(
        "{}?delete_intervening_results=true",
        snapshot("empty", "/_revert")
    );
    let answer = server.ok("POST", &empty, &Value::Null);
    let model = &answer["model"];
    assert_eq!(
        (&model["snapshot_id"], &model["snapshot_doc_count"]),
        (&json!("empty"), &json!(0))
    );
    assert_eq!(model["description"], "empty snapshot");
    assert_eq!((active(&server), buckets(&server)), (Value::Null, 0));
    let kept = server.ok("GET", &path("/model_snapshots"), &Value::Null);
    assert_eq!(kept["count"], 2, "snapshots stay");
}

#[test]
fn a_crash_leaves_a_job_before_or_after_its_way_back() {
    let data = Traffic::generate(7, 2, 300);
    let (mut server, ids) = with_two_snapshots(&data);
    let all = buckets(&server);
    let mut target = 0;
    for pause in 0..8 {
        let client = (*server).clone();
        let url = format!(
            "http://{}{}",
            client.address,
            snapshot(&ids[target], "/_revert")
        );
        let body = json!({"delete_intervening_results": true}).to_string();
        let asked = thread::spawn(move || {
            // It may never be answered.
            let _ = ureq::post(url)
                .header("content-type", "application/json")
                .send(body);
        });
        thread::sleep(std::time::Duration::from_millis(pause));
        server.kill_and_restart();
        asked.join().expect("no panic");
        server.wait_state(JOB, "closed");
        let counts = server.stats(JOB)["data_counts"]["latest_record_timestamp"].clone();
        let which = active(&server);
        let model = &server.ok(
            "GET",
            &snapshot(which.as_str().expect("an id"), ""),
            &Value::Null,
        );
        assert_eq!(
            counts, model["model_snapshots"][0]["latest_record_time_stamp"],
            "all of one moment"
        );
        if which == ids[0] {
            assert!(buckets(&server) < all);
            target = 1;
        } else {
            assert_eq!(which, ids[1]);
        }
    }
}

#[test]
fn snapshots_are_found_by_ids_times_and_pages() {
    let data = Traffic::generate(7, 2, 100);
    let (server, ids) = with_two_snapshots(&data);
    let found = |rest: &str| -> Vec<String> {
        let answer = server.ok(
            "GET",
            &path(&format!("/model_snapshots{rest}")),
            &Value::Null,
        );
        let all = answer["model_snapshots"].as_array().expect("a list").iter();
        all.map(|one| one["snapshot_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let (old, new) = (&ids[0], &ids[1]);
    assert_eq!(found(""), [new.clone(), old.clone()]);
    assert_eq!(found("/_all?sort=min_version&desc=false").len(), 2);
    assert_eq!(found("?sort=snapshot_id&desc=false"), ids);
    assert_eq!(
        found("?sort=model_size_stats.model_bytes"),
        [new.clone(), old.clone()]
    );
    assert_eq!(found("?size=1"), [new.as_str()]);
    assert_eq!(found("?from=1"), [old.as_str()]);
    assert_eq!(found(&format!("/{old}")), [old.as_str()]);
    assert_eq!(found(&format!("/{new},{old}")).len(), 2);
    assert_eq!(found(&format!("/{}*?end=2001-01-01", &old[..4])), [""; 0]);
    assert_eq!(found("/*?start=2001-01-01T00:00:00Z").len(), 2);
    assert_eq!(found("/none"), [""; 0], "as a search for what is not there");
    let answer = server.ok(
        "POST",
        &path("/model_snapshots/_all"),
        &json!({"desc": false, "page": {"size": 1}}),
    );
    assert_eq!(
        (
            &answer["count"],
            &answer["model_snapshots"][0]["snapshot_id"]
        ),
        (&json!(2), &json!(old))
    );
    let unknown = server.call(
        "GET",
        "/_ml/anomaly_detectors/none/model_snapshots",
        &Value::Null,
    );
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'none'",
    );
    for (method, rest, body) in [
        ("POST", "/_update", json!({"retain": true})),
        ("DELETE", "", Value::Null),
    ] {
        let unknown = server.call(
            method,
            &format!("/_ml/anomaly_detectors/none/model_snapshots/7{rest}"),
            &body,
        );
        unknown.assert_error(
            404,
            "resource_not_found_exception",
            "No model snapshot with id [7] exists for job [none]",
        );
    }

    // All of them are current: there is nothing to upgrade.
    let current = server.call(
        "POST",
        &snapshot(old, "/_upgrade?wait_for_completion=true&timeout=1m"),
        &Value::Null,
    );
    current.assert_error(
        409,
        "status_exception",
        "as it is already compatible with current version",
    );
    let unknown = server.call("POST", &snapshot("9999999999", "/_upgrade"), &Value::Null);
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No model snapshot with id [9999999999]",
    );
    let none = server.ok("GET", &snapshot("_all", "/_upgrade/_stats"), &Value::Null);
    assert_eq!(none, json!({"count": 0, "model_snapshot_upgrades": []}));
    let none = server.call(
        "GET",
        &snapshot("9999999999", "/_upgrade/_stats"),
        &Value::Null,
    );
    none.assert_error(
        404,
        "resource_not_found_exception",
        "no snapshot upgrade is running for snapshot_id [9999999999]",
    );
    let none = server.call(
        "GET",
        &snapshot("_all", "/_upgrade/_stats?allow_no_match=false"),
        &Value::Null,
    );
    none.assert_error(
        404,
        "resource_not_found_exception",
        "no snapshot upgrade is running",
    );
}

#[test]
fn what_would_go_is_told_before_it_goes() {
    let data = Traffic::generate(7, 2, 5 * 96);
    let (server, ids) = with_two_snapshots(&data);
    let all = buckets(&server);
    let retention = server.ok("GET", &path("/_retention"), &Value::Null);
    assert_eq!(retention["settings"]["model_snapshot_retention_days"], 10);
    assert_eq!(retention["settings"]["results_retention_days"], Value::Null);
    assert_eq!(retention["active_snapshot_id"], ids[1]);
    let reasons = |retention: &Value| -> Vec<Value> {
        let snapshots = retention["model_snapshots"]
            .as_array()
            .expect("a list")
            .iter();
        snapshots.map(|one| one["reason"].clone()).collect()
    };
    assert_eq!(reasons(&retention), ["recent", "active"]);
    assert!(retention["model_snapshots"][0]["kept_until_newest_snapshot_at"].is_i64());
    assert!(retention["next_run"].is_i64());

    let update = json!({"results_retention_days": 2, "model_snapshot_retention_days": 0,
        "daily_model_snapshot_retention_after_days": 0});
    let dry = server.ok("POST", &path("/_update?dry_run=true"), &update);
    assert_eq!(dry["job"]["results_retention_days"], 2);
    let would = &dry["would_delete"];
    assert_eq!(would["model_snapshots"][0]["snapshot_id"], ids[0]);
    assert_eq!(would["model_snapshots"][0]["reason"], "past_retention");
    assert!(would["results"].as_i64().expect("a number") >= all - 2 * 96 - 1);
    let job = &server.ok("GET", &path(""), &Value::Null)["jobs"][0];
    assert!(
        job["results_retention_days"].is_null(),
        "nothing has changed"
    );
    let wrong =
        json!({"model_snapshot_retention_days": 3, "daily_model_snapshot_retention_after_days": 4});
    let wrong = server.call("POST", &path("/_update?dry_run"), &wrong);
    wrong.assert_error(
        400,
        "illegal_argument_exception",
        "cannot be greater than model_snapshot_retention_days [3]",
    );
    let wrong = server.call("POST", &path("/_update?dry_run=maybe"), &update);
    wrong.assert_error(
        400,
        "illegal_argument_exception",
        "Failed to parse value [maybe]",
    );

    server.ok("POST", &path("/_update"), &update);
    server.ok(
        "POST",
        &snapshot(&ids[0], "/_update"),
        &json!({"retain": true}),
    );
    let retention = server.ok("GET", &path("/_retention"), &Value::Null);
    assert_eq!(reasons(&retention), ["retained", "active"]);
    server.ok(
        "POST",
        &snapshot(&ids[0], "/_update"),
        &json!({"retain": false}),
    );
    let expire = |rest: &str, body: &Value| {
        server.ok("DELETE", &format!("/_ml/_delete_expired_data{rest}"), body)
    };
    for rest in ["?dry_run=true", "/kept?dry_run=true"] {
        let dry = expire(rest, &Value::Null);
        assert_eq!(
            (&dry["dry_run"], &dry["deleted"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(&dry["jobs"][0], would, "as the update said");
    }
    assert_eq!(buckets(&server), all);
    assert_eq!(
        expire("?timeout=0s", &Value::Null),
        json!({"deleted": false}),
        "no time"
    );
    assert_eq!(buckets(&server), all);
    let body = json!({"timeout": "10h", "requests_per_second": 100000.0});
    assert_eq!(expire("/kept", &body), json!({"deleted": true}));
    assert_eq!(buckets(&server), 2 * 96 + 1);
    let left = server.ok("GET", &path("/model_snapshots"), &Value::Null);
    assert_eq!(
        (&left["count"], &left["model_snapshots"][0]["snapshot_id"]),
        (&json!(1), &json!(ids[1]))
    );
    let wrong = server.call(
        "DELETE",
        "/_ml/_delete_expired_data?requests_per_second=0",
        &Value::Null,
    );
    wrong.assert_error(
        400,
        "action_request_validation_exception",
        "[requests_per_second] must either be -1 or greater than 0",
    );
    for what in [
        "/_ml/_delete_expired_data/nobody?dry_run=true",
        "/_ml/_delete_expired_data/nobody",
    ] {
        let unknown = server.call("DELETE", what, &Value::Null);
        unknown.assert_error(
            404,
            "resource_not_found_exception",
            "No known job with id 'nobody'",
        );
    }
    let unknown = server.call(
        "GET",
        "/_ml/anomaly_detectors/nobody/_retention",
        &Value::Null,
    );
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'nobody'",
    );
}
