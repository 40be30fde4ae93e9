//! Documents for tests: results of an old cluster, and how they are written and found.

use serde_json::{Value, json};

use super::traffic;
use super::{Client, Reply, Server};

pub const JOB: &str = "moved";
pub const DAY: i64 = 86_400_000;
/// 2016-06-01.
pub const T: i64 = 1_464_739_200_000;

/// A server with a job that has never run.
pub fn server() -> Server {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path(JOB, ""), &traffic::job_config());
    server
}

pub fn index(server: &Server, index: &str, id: &str, document: &Value) -> Reply {
    server.call("PUT", &format!("/{index}/_doc/{id}"), document)
}

/// Writes lines of actions and documents.
pub fn bulk(server: &Server, path: &str, lines: &[Value]) -> Reply {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let kind = [("content-type", "application/x-ndjson")];
    server.send("POST", path, &kind, Some(lines.as_bytes()))
}

pub fn bucket(day: i64, score: f64) -> Value {
    json!({
        "job_id": JOB, "result_type": "bucket", "timestamp": T + day * DAY, "anomaly_score": score, "bucket_span": 3600
    })
}

pub fn results(server: &Server, rest: &str) -> Value {
    let path = Client::job_path(JOB, &format!("/results/{rest}"));
    server.ok("GET", &path, &Value::Null)
}

/// A server with results of two jobs, an annotation and a state.
pub fn filled() -> Server {
    let server = server();
    server.ok(
        "PUT",
        &Client::job_path("other", ""),
        &traffic::job_config(),
    );
    let mut lines = vec![];
    let mut add = |index: &str, id: &str, document: Value| {
        lines.push(json!({"index": {"_index": index, "_id": id}}));
        lines.push(document);
    };
    for day in 0..10 {
        add(
            ".ml-anomalies-moved",
            &format!("b{day}"),
            bucket(day, (day * 10) as f64),
        );
        let record = json!({
            "job_id": if day < 7 { JOB } else { "other" }, "result_type": "record", "timestamp": T + day * DAY,
            "bucket_span": 3600, "record_score": day * 10, "by_field_name": "airline",
            "by_field_value": (["AAL", "JZA"][day as usize % 2]), "is_interim": day == 3,
            "causes": [{"over_field_value": "a cause"}]
        });
        add(".ml-anomalies-shared", &format!("r{day}"), record);
    }
    add(".ml-anomalies-shared", "loose", json!({"new_field": "bar"}));
    add(".ml-state-000001", "moved_model_state_1#1", json!({}));
    add(
        ".ml-annotations-write",
        "note",
        json!({"job_id": JOB, "annotation": "Someone restarted the router", "timestamp": "2016-06-03T00:00:00Z",
               "create_username": "ann", "type": "annotation", "event": "user"}),
    );
    let reply = bulk(&server, "/_bulk", &lines);
    assert_eq!(reply.body["errors"], false, "{}", reply.text);
    server
}

pub fn search(server: &Server, index: &str, body: &Value) -> Value {
    server.ok("POST", &format!("/{index}/_search"), body)
}

pub fn ids(found: &Value) -> String {
    let hits = found["hits"]["hits"].as_array().expect("hits");
    let ids: Vec<&str> = hits
        .iter()
        .map(|hit| hit["_id"].as_str().expect("an id"))
        .collect();
    ids.join(" ")
}
