//! The published examples of the API specification, sent to the server: each must be taken, and its answer must have
//! the keys of the example's. `TIDEWATCH_EXAMPLES` names their folder: one a call, with `request/` and `response/`.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Client, Server};

/// Records for a job of an example, three hours of them.
const RECORDS: &[u8] =
    b"{\"time\":1500001200000}\n{\"time\":1500004800000}\n{\"time\":1500008400000}\n";

#[test]
fn the_published_examples_are_taken() {
    let Some(folder) = std::env::var_os("TIDEWATCH_EXAMPLES") else {
        println!("skipped: TIDEWATCH_EXAMPLES names no folder of examples");
        return;
    };
    let folder = Path::new(&folder);
    let mut sent = 0;
    let mut wrong = Vec::new();
    for call in names(folder) {
        for file in names(&folder.join(&call).join("request")) {
            let request = read(&folder.join(&call).join("request").join(&file));
            let answers = ["response", "200_response"].map(|kind| folder.join(&call).join(kind));
            let answers = answers
                .iter()
                .flat_map(|dir| names(dir).into_iter().map(|n| dir.join(n)));
            let answers: Vec<Value> = answers.map(|path| read(&path)["value"].clone()).collect();
            sent += 1;
            if let Err(reason) = send(&call, &request, &answers) {
                wrong.push(format!("{call}: {reason}"));
            }
        }
    }
    println!("{sent} examples sent");
    assert!(sent > 0, "no examples in {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names in a directory, in their order; none where there is no directory.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.retain(|name| name != "README.md");
    names.sort();
    names
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a readable example");
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn send(call: &str, request: &Value, answers: &[Value]) -> Result<(), String> {
    let line = request["method_request"].as_str().unwrap_or_default();
    let (method, path) = line.split_once(' ').unwrap_or((line, ""));
    let mut body = request["value"].clone();
    let mut path = path.to_owned();
    if let Some(text) = body.as_str() {
        // One example has its path before its body.
        let (before, rest) = text.split_at(text.find('{').unwrap_or(0));
        if path.is_empty() {
            path = before.trim().to_owned();
        }
        body = serde_json::from_str(rest).map_err(|e| format!("{e}: {text}"))?;
    }
    let path = format!("/{}", path.trim_start_matches('/').replace('"', ""));
    let server = Server::start(&[]);
    prepare(&server, call, &path, &body);
    let reply = server.call(method, &path, &body);
    // The server gives events and snapshots their ids, so those of the examples are not there.
    let unknown = path.contains("/model_snapshots/") && !path.contains("/_all/");
    let expected = if unknown || path.contains("/events/") {
        404
    } else {
        200
    };
    if reply.status != expected {
        return Err(format!("{method} {path}: {} {}", reply.status, reply.text));
    }
    if expected == 404 {
        return Ok(());
    }
    let mut missing = answers.iter().filter(|a| a.get("task").is_none());
    match missing.find_map(|answer| missing_key(answer, &reply.body)) {
        Some(key) => Err(format!("{method} {path}: no {key} in {}", reply.text)),
        None => Ok(()),
    }
}

/// Makes what an example takes for granted.
fn prepare(server: &Client, call: &str, path: &str, body: &Value) {
    let plain = path.split('?').next().unwrap_or_default();
    let mut parts = plain.trim_start_matches("/_ml/").split('/');
    let (Some(kind), Some(id)) = (parts.next(), parts.next()) else {
        return;
    };
    if id.starts_with('_') || matches!(call, "put_job" | "put_calendar" | "put_filter") {
        return;
    }
    match kind {
        "anomaly_detectors" => {
            let id = id.replace('*', "x");
            let job = json!({ "analysis_config": { "detectors": [{ "function": "count" }] }, "data_description": {} });
            server.ok("PUT", &Client::job_path(&id, ""), &job);
            if matches!(call, "close_job" | "flush_job" | "forecast") {
                server.ok("POST", &Client::job_path(&id, "/_open"), &Value::Null);
                server.post_data(&id, RECORDS);
                server.flush(&id);
            }
        }
        "calendars" => {
            let jobs = json!({ "job_ids": ["total-requests"] });
            server.ok("PUT", &format!("/_ml/calendars/{id}"), &jobs);
        }
        "datafeeds" => {
            let job_id = match call {
                "put_datafeed" => body["job_id"].as_str().unwrap_or("fed"),
                _ => "fed",
            };
            let job = json!({ "analysis_config": { "detectors": [{ "function": "count" }] }, "data_description": {} });
            server.ok("PUT", &Client::job_path(job_id, ""), &job);
            if call == "put_datafeed" {
                return;
            }
            let mapping = json!({ "mappings": { "properties": { "time": { "type": "date" } } } });
            server.ok("PUT", "/requests", &mapping);
            let datafeed = json!({ "job_id": job_id, "indices": ["requests"] });
            server.ok("PUT", &format!("/_ml/datafeeds/{id}"), &datafeed);
            if call == "start_datafeed" {
                server.ok("POST", &Client::job_path(job_id, "/_open"), &Value::Null);
            }
        }
        "filters" => {
            let items =
                json!({ "items": body["remove_items"].as_array().cloned().unwrap_or_default() });
            server.ok("PUT", &format!("/_ml/filters/{id}"), &items);
        }
        _ => {}
    }
}

/// A key of the example that the answer has not, whatever its value.
fn missing_key(example: &Value, answer: &Value) -> Option<String> {
    for (key, value) in example.as_object()? {
        match answer.get(key) {
            // Only with security.
            None if key == "authorization" => {}
            None => return Some(key.clone()),
            Some(have) => {
                if let Some(below) = missing_key(value, have) {
                    return Some(format!("{key}.{below}"));
                }
            }
        }
    }
    None
}
