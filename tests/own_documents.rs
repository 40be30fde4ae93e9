//! Documents of users: written one by one and in bulk, read again, changed and deleted.

mod support;

use serde_json::{Value, json};
use support::documents::bulk;
use support::{Reply, Server};

fn put(server: &Server, path: &str, document: &Value) -> Reply {
    server.call("PUT", path, document)
}

/// What became of each action of a bulk: its status, and its result or error.
fn fates(reply: &Reply) -> Vec<(i64, String)> {
    let items = reply.body["items"].as_array().expect(&reply.text);
    let fate = |item: &Value| {
        let about = item.as_object().and_then(|item| item.values().next());
        let about = about.expect("an action");
        let what = about["result"].as_str().or(about["error"]["type"].as_str());
        (
            about["status"].as_i64().expect("a status"),
            what.expect("a word").to_owned(),
        )
    };
    items.iter().map(fate).collect()
}

fn fate(status: i64, what: &str) -> (i64, String) {
    (status, what.to_owned())
}

#[test]
fn a_document_is_written_read_and_deleted() {
    let server = Server::start(&[]);
    let reply = put(&server, "/logs/_doc/a%2Fb", &json!({"n": 1}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.header("location"), "/logs/_doc/a%2Fb");
    assert_eq!(
        reply.body,
        json!({"_index": "logs", "_id": "a/b", "_version": 1, "result": "created",
               "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1})
    );
    // It is there before any refresh, and byte for byte.
    let got = server.call("GET", "/logs/_doc/a%2Fb", &Value::Null);
    assert_eq!(
        got.body,
        json!({"_index": "logs", "_id": "a/b", "_version": 1, "_seq_no": 0, "_primary_term": 1, "found": true,
               "_source": {"n": 1}})
    );
    let again = put(
        &server,
        "/logs/_doc/a%2Fb?refresh=true",
        &json!({"n": 2, "o": {"p": 3, "q": 4}}),
    );
    assert_eq!(
        (
            again.status,
            &again.body["result"],
            &again.body["_version"],
            &again.body["forced_refresh"]
        ),
        (200, &json!("updated"), &json!(2), &json!(true))
    );
    let path = "/logs/_doc/a%2Fb?_source_includes=o&_source_excludes=o.q";
    assert_eq!(server.get(path).1["_source"], json!({"o": {"p": 3}}));
    assert_eq!(
        server
            .get("/logs/_doc/a%2Fb?_source=false")
            .1
            .get("_source"),
        None
    );
    assert_eq!(
        server.get("/logs/_source/a%2Fb?_source=n").1,
        json!({"n": 2})
    );
    server
        .call("GET", "/logs/_source/b", &Value::Null)
        .assert_error(
            404,
            "resource_not_found_exception",
            "Document not found [logs]/[b]",
        );
    assert_eq!(
        server.get("/logs/_doc/b"),
        (404, json!({"_index": "logs", "_id": "b", "found": false}))
    );
    assert_eq!(
        server.call("HEAD", "/logs/_doc/b", &Value::Null).status,
        404
    );
    server
        .call("GET", "/nothing/_doc/b", &Value::Null)
        .assert_error(404, "index_not_found_exception", "no such index [nothing]");

    let added = server.call("POST", "/logs/_doc", &json!({"n": 3}));
    assert_eq!(added.status, 201);
    let id = added.body["_id"].as_str().expect("an id").to_owned();
    assert!(id.len() >= 20, "{id}");

    let gone = server.delete("/logs/_doc/a%2Fb");
    assert_eq!(
        (gone.0, &gone.1["result"], &gone.1["_version"]),
        (200, &json!("deleted"), &json!(3))
    );
    assert_eq!(server.delete("/logs/_doc/a%2Fb").1["result"], "not_found");
    assert_eq!(server.get("/logs/_doc/a%2Fb").0, 404);
    server
        .call("DELETE", "/nothing/_doc/b", &Value::Null)
        .assert_error(404, "index_not_found_exception", "no such index [nothing]");
}

#[test]
fn a_write_holds_to_its_conditions() {
    let server = Server::start(&[]);
    let document = json!({"n": 1});
    assert_eq!(put(&server, "/logs/_create/1", &document).status, 201);
    let exists = put(&server, "/logs/_doc/1?op_type=create", &document);
    exists.assert_error(
        409,
        "version_conflict_engine_exception",
        "[1]: version conflict, document already exists (current version [1])",
    );
    let error = &exists.body["error"];
    assert_eq!(
        (&error["index"], &error["shard"]),
        (&json!("logs"), &json!("0"))
    );
    assert!(
        error["index_uuid"]
            .as_str()
            .is_some_and(|uuid| uuid.len() > 10)
    );
    assert_eq!(
        put(
            &server,
            "/logs/_doc/1?if_seq_no=0&if_primary_term=1",
            &document
        )
        .status,
        200
    );
    put(&server, "/logs/_doc/1?if_seq_no=0&if_primary_term=1", &document).assert_error(
        409,
        "version_conflict_engine_exception",
        "[1]: version conflict, required seqNo [0], primary term [1]. current document has seqNo [1] and primary term [1]",
    );
    put(&server, "/logs/_doc/1?if_seq_no=0", &document).assert_error(
        400,
        "action_request_validation_exception",
        "ifSeqNo is set, but primary term is [0]",
    );
    let path = "/logs/_doc/2?version_type=external&version=";
    assert_eq!(
        put(&server, &format!("{path}7"), &document).body["_version"],
        7
    );
    assert_eq!(put(&server, &format!("{path}7"), &document).status, 409);
    assert_eq!(
        put(&server, &format!("{path}9"), &document).body["_version"],
        9
    );

    for (path, body, status, kind, reason) in [
        (
            "/logs/_doc/1?pipeline=x",
            &document,
            400,
            "illegal_argument_exception",
            "pipeline with id [x] does not exist",
        ),
        (
            "/logs/_doc/1?refresh=soon",
            &document,
            400,
            "illegal_argument_exception",
            "Unknown value for refresh: [soon].",
        ),
        (
            "/logs/_doc/1?require_alias=true",
            &document,
            404,
            "index_not_found_exception",
            "is not an alias",
        ),
        (
            "/logs/_doc/1?op_type=x",
            &document,
            400,
            "illegal_argument_exception",
            "opType must be",
        ),
        (
            "/logs/_doc/1",
            &Value::Null,
            400,
            "action_request_validation_exception",
            "source is missing",
        ),
        (
            "/_logs/_doc/1",
            &document,
            400,
            "invalid_index_name_exception",
            "must not start with '_'",
        ),
        (
            "/Logs/_doc/1",
            &document,
            400,
            "invalid_index_name_exception",
            "must be lowercase",
        ),
    ] {
        put(&server, path, body).assert_error(status, kind, reason);
    }
}

#[test]
fn a_part_of_a_document_is_updated() {
    let server = Server::start(&[]);
    put(
        &server,
        "/logs/_doc/1",
        &json!({"a": {"b": 1, "c": 2}, "d": [1]}),
    );
    let update = |id: &str, body: Value| server.call("POST", &format!("/logs/_update/{id}"), &body);
    let part = json!({"doc": {"a": {"b": 5}, "d": [2, 3]}, "_source": true});
    let done = update("1", part.clone());
    assert_eq!(
        (done.status, &done.body["result"]),
        (200, &json!("updated")),
        "{}",
        done.text
    );
    assert_eq!(
        done.body["get"]["_source"],
        json!({"a": {"b": 5, "c": 2}, "d": [2, 3]})
    );
    let nothing = update("1", part);
    assert_eq!(
        (
            &nothing.body["result"],
            &nothing.body["_version"],
            &nothing.body["_shards"]["total"]
        ),
        (&json!("noop"), &json!(2), &json!(0))
    );
    let missing = update("2", json!({"doc": {"x": 1}}));
    missing.assert_error(404, "document_missing_exception", "[2]: document missing");
    assert_eq!(missing.body["error"]["index"], "logs");
    let made = update("2", json!({"doc": {"x": 1}, "doc_as_upsert": true}));
    assert_eq!(
        (made.status, &made.body["result"]),
        (201, &json!("created"))
    );
    let made = update("3", json!({"doc": {"x": 1}, "upsert": {"y": 2}}));
    assert_eq!(made.status, 201);
    assert_eq!(server.get("/logs/_source/3").1, json!({"y": 2}));
    update("1", json!({"script": "ctx._source.a = 1"})).assert_error(
        400,
        "illegal_argument_exception",
        "[script] is not supported in an update",
    );
    update("1", json!({})).assert_error(
        400,
        "action_request_validation_exception",
        "script or doc is missing",
    );
}

#[test]
fn a_bulk_goes_to_many_indices_and_answers_in_order() {
    let server = Server::start(&[]);
    let lines = [
        json!({"index": {"_index": "a", "_id": "1"}}),
        json!({"n": 1}),
        json!({"create": {"_index": "b", "_id": "1"}}),
        json!({"n": 1}),
        json!({"create": {"_index": "a", "_id": "1"}}),
        json!({"n": 2}),
        json!({"update": {"_index": "a", "_id": "1"}}),
        json!({"doc": {"m": 1}}),
        json!({"delete": {"_index": "b", "_id": "1"}}),
        json!({"delete": {"_index": "b", "_id": "1"}}),
        json!({"delete": {"_index": "none", "_id": "1"}}),
        json!({"index": {"_index": "a", "_id": "bad"}}),
        json!({"n": "a word"}),
        json!({"index": {"_index": "a", "pipeline": "p"}}),
        json!({"n": 5}),
        json!({"index": {"_index": "_a"}}),
        json!({"n": 5}),
        json!({"index": {"_index": "a"}}),
        json!({"n": 6}),
    ];
    let reply = bulk(&server, "/_bulk?refresh=true", &lines);
    assert_eq!(
        (reply.status, &reply.body["errors"]),
        (200, &json!(true)),
        "{}",
        reply.text
    );
    assert_eq!(
        fates(&reply),
        [
            fate(201, "created"),
            fate(201, "created"),
            fate(409, "version_conflict_engine_exception"),
            fate(200, "updated"),
            fate(200, "deleted"),
            fate(404, "not_found"),
            fate(404, "index_not_found_exception"),
            fate(400, "document_parsing_exception"),
            fate(400, "illegal_argument_exception"),
            fate(400, "invalid_index_name_exception"),
            fate(201, "created"),
        ],
        "{}",
        reply.text
    );
    assert_eq!(reply.body["items"][0]["index"]["forced_refresh"], true);
    assert_eq!(server.get("/a/_source/1").1, json!({"n": 1, "m": 1}));
    assert_eq!(server.get("/a,b/_count").1["count"], 2);
    let reply = bulk(&server, "/a/_bulk?require_alias=true", &lines[17..]);
    assert_eq!(reply.body["errors"], true);
}

#[test]
fn a_bulk_that_is_wrong_in_a_line_writes_nothing() {
    let server = Server::start(&[]);
    let good = "{\"index\":{\"_id\":\"1\"}}\n{\"n\":1}\n";
    let kind = [("content-type", "application/x-ndjson")];
    let send = |text: &str| server.send("POST", "/logs/_bulk", &kind, Some(text.as_bytes()));
    send(&format!("{good}[1]\n{{}}\n")).assert_error(
        400,
        "illegal_argument_exception",
        "Malformed action/metadata line [3], expected START_OBJECT but found [START_ARRAY]",
    );
    send(&format!("{good}{{\"index\":{{}}}}\n{{\"n\":2}}")).assert_error(
        400,
        "illegal_argument_exception",
        "The bulk request must be terminated by a newline",
    );
    send(&format!("{good}{{\"index\":{{\"version\":1}}}}\n{{}}\n")).assert_error(
        400,
        "action_request_validation_exception",
        "internal versioning can not be used",
    );
    assert_eq!(server.get("/logs").0, 404, "nothing was written");
    assert_eq!(send(good).body["errors"], false);
}

#[test]
fn many_documents_are_read_at_once() {
    let server = Server::start(&[]);
    put(&server, "/a/_doc/1", &json!({"n": 1, "m": 2}));
    put(&server, "/b/_doc/1", &json!({"n": 2}));
    let body = json!({"docs": [
        {"_index": "a", "_id": "1", "_source": ["n"]}, {"_index": "b", "_id": "2"}, {"_index": "c", "_id": "1"}
    ]});
    let docs = server.ok("POST", "/_mget", &body)["docs"].clone();
    assert_eq!(
        (&docs[0]["found"], &docs[0]["_source"]),
        (&json!(true), &json!({"n": 1}))
    );
    assert_eq!(docs[1], json!({"_index": "b", "_id": "2", "found": false}));
    assert_eq!(docs[2]["error"]["type"], "index_not_found_exception");
    let docs = server.ok("GET", "/a/_mget", &json!({"ids": ["1", "2"]}))["docs"].clone();
    assert_eq!(
        (&docs[0]["found"], &docs[1]["found"]),
        (&json!(true), &json!(false))
    );
    server
        .call("POST", "/_mget", &json!({"docs": [{"_id": "1"}]}))
        .assert_error(
            400,
            "action_request_validation_exception",
            "1: index is missing for doc 0;",
        );
    server
        .call("POST", "/_mget", &json!({"docs": []}))
        .assert_error(
            400,
            "action_request_validation_exception",
            "no documents to get",
        );
}

#[test]
fn a_document_that_is_too_long_is_answered() {
    let server = Server::start(&[]);
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(24 << 20));
    let kind = [("content-type", "application/json")];
    let reply = server.send("PUT", "/logs/_doc/1", &kind, Some(long.as_bytes()));
    reply.assert_error(
        413,
        "illegal_argument_exception",
        "entity content is too long",
    );
    let reply = server.send("POST", "/_search", &kind, Some(long.as_bytes()));
    assert_eq!(reply.status, 413);
    let lines = format!(
        "{{\"index\":{{\"_id\":\"1\"}}}}\n{long}\n{{\"index\":{{\"_id\":\"2\"}}}}\n{{\"n\":1}}\n"
    );
    let reply = server.send("POST", "/logs/_bulk", &kind, Some(lines.as_bytes()));
    assert_eq!(
        fates(&reply),
        [
            fate(413, "illegal_argument_exception"),
            fate(201, "created")
        ]
    );
}

#[test]
fn what_was_acknowledged_outlives_the_server() {
    let mut server = Server::start(&[]);
    let lines: Vec<Value> = (0..500)
        .flat_map(|n| {
            [
                json!({"index": {"_id": n.to_string()}}),
                json!({"n": n, "t": "a word"}),
            ]
        })
        .collect();
    assert_eq!(bulk(&server, "/logs/_bulk", &lines).body["errors"], false);
    server.kill_and_restart();
    assert_eq!(
        server.get("/logs/_source/499").1,
        json!({"n": 499, "t": "a word"})
    );
    server.ok("POST", "/logs/_refresh", &Value::Null);
    assert_eq!(server.get("/logs/_count?q=t:word").1["count"], 500);
}
