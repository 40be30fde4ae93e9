//! `_cat`, `_nodes`, `_xpack/usage` and the memory of the node: what people and clients look at.

mod support;

use serde_json::{Value, json};
use support::{Client, Server, traffic};

const NO_BODY: Value = Value::Null;
const JOBS: &str = "/_cat/ml/anomaly_detectors";

fn cat(server: &Client, path: &str) -> String {
    let reply = server.call("GET", path, &NO_BODY);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "text/plain; charset=UTF-8"),
        "{path}: {}",
        reply.text
    );
    reply.text
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn two_jobs() -> Server {
    let server = Server::start(&[]);
    let mut config = traffic::job_config();
    config["analysis_limits"] = json!({"model_memory_limit": "20mb"});
    server.create_open("open-job", &config);
    config["custom_settings"] = json!({"created_by": "a-wizard"});
    server.ok("PUT", &Client::job_path("a", ""), &config);
    server
}

#[test]
fn jobs_are_a_table() {
    let server = two_jobs();
    let text = cat(&server, JOBS);
    let lines: Vec<Vec<&str>> = text.lines().map(words).collect();
    assert_eq!(
        lines,
        [
            ["a", "closed", "0", "0b", "ok", "0", "0"],
            ["open-job", "opened", "0", "0b", "ok", "0", "0"],
        ]
    );
    let text = cat(&server, &format!("{JOBS}/open*?v"));
    let heading = [
        "id",
        "state",
        "data.processed_records",
        "model.bytes",
        "model.memory_status",
        "forecasts.total",
        "buckets.count",
    ];
    assert_eq!(words(text.lines().next().expect("a line")), heading);
    assert_eq!(text.lines().count(), 2);
    let text = cat(
        &server,
        &format!("{JOBS}?h=s,id,nothing&v=true&s=state:desc"),
    );
    assert_eq!(text, "     s id\nopened open-job\nclosed a\n");
    let text = cat(&server, &format!("{JOBS}/open-job?h=mml,ni&bytes=kb"));
    assert_eq!(words(&text)[0], "20480");
    assert_eq!(cat(&server, &format!("{JOBS}/none*")), "");

    let json = server.ok("GET", &format!("{JOBS}/a?format=json"), &NO_BODY);
    assert_eq!(
        json,
        json!([{
            "id": "a", "state": "closed", "data.processed_records": "0", "model.bytes": "0b", "model.memory_status": "ok",
            "forecasts.total": "0", "buckets.count": "0"
        }])
    );
    let accept = [(
        "accept",
        "application/vnd.elasticsearch+json;compatible-with=9",
    )];
    let reply = server.send(
        "GET",
        &format!("{JOBS}/a?h=node.*,opened_time"),
        &accept,
        None,
    );
    assert_eq!(
        reply.body,
        json!([{
            "node.id": null, "node.name": null, "node.ephemeral_id": null, "node.address": null, "opened_time": null
        }])
    );
    let accept = [("accept", "text/plain,application/json")];
    let reply = server.send("GET", &format!("{JOBS}/a?h=id"), &accept, None);
    assert_eq!(reply.text, "a\n");

    let help = cat(&server, &format!("{JOBS}?help"));
    assert_eq!(help.lines().count(), 61);
    assert!(help.starts_with("id "), "{help}");
    assert!(help.contains("| dpr,dataProcessedRecords "), "{help}");

    let refused = |path: &str, status, kind, reason| {
        server
            .call("GET", path, &NO_BODY)
            .assert_error(status, kind, reason);
    };
    refused(
        &format!("{JOBS}?s=wild"),
        400,
        "illegal_argument_exception",
        "Unable to sort by unknown sort key `wild`",
    );
    refused(
        &format!("{JOBS}?wild"),
        400,
        "illegal_argument_exception",
        "contains unrecognized parameter: [wild]",
    );
    let missing = "resource_not_found_exception";
    refused(
        &format!("{JOBS}/none"),
        404,
        missing,
        "No known job with id 'none'",
    );
    refused(
        &format!("{JOBS}/none*?allow_no_match=false"),
        404,
        missing,
        "No known job with id 'none*'",
    );
}

#[test]
fn other_tables() {
    let server = Server::start(&[]);
    assert!(cat(&server, "/_cat").starts_with("=^.^=\n/_cat/"));
    let health = server.ok("GET", "/_cat/health?format=json", &NO_BODY);
    assert_eq!(health[0]["status"], "green");
    let nodes = server.ok(
        "GET",
        "/_cat/nodes?format=json&h=id,ip,name&full_id=true",
        &NO_BODY,
    );
    assert_eq!(nodes[0]["ip"], "127.0.0.1");
    let info = server.ok("GET", "/_nodes", &NO_BODY);
    assert!(info["nodes"][nodes[0]["id"].as_str().expect("an id")].is_object());
}

#[test]
fn clients_find_the_node() {
    let server = Server::start(&[]);
    for path in [
        "/_nodes/http",
        "/_nodes/_all/http",
        "/_nodes/_local/http,os",
    ] {
        let info = server.ok("GET", path, &NO_BODY);
        assert_eq!(
            info["_nodes"],
            json!({"total": 1, "successful": 1, "failed": 0})
        );
        let nodes = info["nodes"].as_object().expect("nodes");
        let node = nodes.values().next().expect("a node");
        assert_eq!(
            node["http"]["publish_address"],
            server.address.as_str(),
            "{path}"
        );
        assert!(node["version"].is_string() && node["roles"].is_array());
        assert_eq!(node["settings"], NO_BODY);
    }
    let none = server.ok("GET", "/_nodes/other", &NO_BODY);
    assert_eq!(
        (&none["_nodes"]["total"], &none["nodes"]),
        (&json!(0), &json!({}))
    );
    let stats = server.ok("GET", "/_nodes/stats", &NO_BODY);
    assert_eq!(stats["_nodes"]["total"], 1);
}

#[test]
fn the_memory_of_open_jobs_is_told() {
    let server = Server::start(&[]);
    let read = |path: &str| {
        let answer = server.ok("GET", path, &NO_BODY);
        assert_eq!(
            answer["_nodes"],
            json!({"total": 1, "successful": 1, "failed": 0})
        );
        let nodes = answer["nodes"].as_object().expect("nodes");
        let (id, node) = nodes.iter().next().expect("a node");
        (id.clone(), node.clone())
    };
    let (id, node) = read("/_ml/memory/_stats");
    for of in [
        "native_code_overhead",
        "anomaly_detectors",
        "data_frame_analytics",
        "native_inference",
    ] {
        assert_eq!(node["mem"]["ml"][format!("{of}_in_bytes")], 0, "{of}");
    }
    for above in [
        "/mem/total_in_bytes",
        "/mem/adjusted_total_in_bytes",
        "/mem/ml/max_in_bytes",
        "/jvm/heap_max_in_bytes",
    ] {
        assert!(
            node.pointer(above)
                .and_then(Value::as_u64)
                .is_some_and(|bytes| bytes > 0),
            "{above}"
        );
    }
    let mut config = traffic::job_config();
    config["analysis_limits"] = json!({"model_memory_limit": "20mb"});
    server.create_open("job", &config);
    for path in [
        "/_ml/memory/ml:true/_stats?human",
        &format!("/_ml/memory/{id}/_stats?human=true"),
    ] {
        let (_, node) = read(path);
        assert_eq!(node["mem"]["ml"]["anomaly_detectors_in_bytes"], 30 << 20);
        assert_eq!(node["mem"]["ml"]["anomaly_detectors"], "30mb");
        assert_eq!(node["mem"]["ml"]["native_code_overhead"], "30mb");
    }
}

#[test]
fn usage_counts_jobs() {
    let server = two_jobs();
    let usage = server.ok("GET", "/_xpack/usage", &NO_BODY);
    let jobs = &usage["ml"]["jobs"];
    assert_eq!(
        (&usage["ml"]["enabled"], &usage["watcher"]["enabled"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(jobs["_all"]["count"], 2);
    assert_eq!(
        jobs["_all"]["created_by"],
        json!({"a_wizard": 1, "unknown": 1})
    );
    assert_eq!(jobs["closed"]["count"], 1);
    assert_eq!(jobs["opened"]["created_by"], json!({"unknown": 1}));
    assert_eq!(
        jobs["_all"]["forecasts"],
        json!({"total": 0, "forecasted_jobs": 0})
    );
    assert!(
        jobs["_all"]["detectors"]["avg"]
            .as_f64()
            .is_some_and(|avg| avg >= 1.0)
    );
}

#[test]
fn info_tells_the_limits_in_force() {
    let server = Server::start(&["--max-model-memory-limit", "512mb"]);
    let info = server.ok("GET", "/_ml/info", &NO_BODY);
    assert_eq!(
        info["defaults"]["anomaly_detectors"]["model_memory_limit"],
        "512mb"
    );
    assert_eq!(info["limits"]["max_model_memory_limit"], "512mb");
    assert_eq!(info["upgrade_mode"], false);
    let created = server.ok(
        "PUT",
        &Client::job_path("job", ""),
        &json!({
            "analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}
        }),
    );
    assert_eq!(created["analysis_limits"]["model_memory_limit"], "512mb");
}
