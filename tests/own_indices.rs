//! Indices of users: made and deleted, their mappings, settings and aliases, and what names mean.

mod support;

use serde_json::{Value, json};
use support::Server;
use support::documents::bulk;

fn names(answer: &Value) -> Vec<&String> {
    answer.as_object().expect("an object").keys().collect()
}

/// A server with some indices.
fn server() -> Server {
    let server = Server::start(&[]);
    for (name, hidden) in [
        ("logs-1", false),
        ("logs-2", false),
        ("measures", false),
        (".dark", true),
    ] {
        server.ok(
            "PUT",
            &format!("/{name}"),
            &json!({"settings": {"index.hidden": hidden}}),
        );
    }
    server
}

#[test]
fn an_index_is_made_told_of_and_deleted() {
    let server = Server::start(&[]);
    // As Elastic's own tests do.
    let body = json!({
        "settings": {"number_of_shards": 1, "index": {"number_of_replicas": "0"}},
        "mappings": {"properties": {"airline": {"type": "keyword"}, "time": {"type": "date"}, "responsetime": {"type": "float"},
                                    "message": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}},
        "aliases": {"flights": {"filter": {"term": {"airline": "AAL"}}}}
    });
    let made = server.ok("PUT", "/airline-data", &body);
    assert_eq!(
        made,
        json!({"acknowledged": true, "shards_acknowledged": true, "index": "airline-data"})
    );
    server
        .call("PUT", "/airline-data", &Value::Null)
        .assert_error(
            400,
            "resource_already_exists_exception",
            "index [airline-data/",
        );
    let told = server.ok("GET", "/airline-data", &Value::Null)["airline-data"].clone();
    assert_eq!(
        told["mappings"]["properties"]["responsetime"],
        json!({"type": "float"})
    );
    assert_eq!(told["settings"]["index"]["number_of_replicas"], "0");
    assert_eq!(told["settings"]["index"]["provided_name"], "airline-data");
    assert!(told["settings"]["index"]["uuid"].is_string());
    assert_eq!(
        told["aliases"]["flights"]["filter"],
        json!({"term": {"airline": "AAL"}})
    );
    assert_eq!(
        server.call("HEAD", "/airline-data", &Value::Null).status,
        200
    );
    assert_eq!(server.call("HEAD", "/other", &Value::Null).status, 404);
    let fields = server.ok("GET", "/airline-data/_mapping/field/mess*", &Value::Null);
    assert_eq!(
        fields["airline-data"]["mappings"]["message.raw"],
        json!({"full_name": "message.raw", "mapping": {"raw": {"type": "keyword"}}})
    );

    let more = json!({"properties": {"host": {"type": "ip"}}});
    assert_eq!(
        server.ok("PUT", "/airline-data/_mapping", &more)["acknowledged"],
        true
    );
    let clash = json!({"properties": {"airline": {"type": "long"}}});
    server
        .call("PUT", "/airline-data/_mapping", &clash)
        .assert_error(
            400,
            "illegal_argument_exception",
            "mapper [airline] cannot be changed from type [keyword] to [long]",
        );
    server.ok(
        "PUT",
        "/airline-data/_settings",
        &json!({"index": {"refresh_interval": "5s"}}),
    );
    let settings = server.ok(
        "GET",
        "/airline-data/_settings/index.refresh*?flat_settings=true",
        &Value::Null,
    );
    assert_eq!(
        settings["airline-data"]["settings"],
        json!({"index.refresh_interval": "5s"})
    );
    let fixed = json!({"index.number_of_shards": 4});
    server
        .call("PUT", "/airline-data/_settings", &fixed)
        .assert_error(400, "illegal_argument_exception", "");
    server
        .call("PUT", "/x", &json!({"mapping": {}}))
        .assert_error(
            400,
            "parse_exception",
            "unknown key [mapping] for create index",
        );
    let dotted = server.call("PUT", "/.dotted", &Value::Null);
    assert!(
        dotted.header("warning").contains("starts with a dot"),
        "{}",
        dotted.text
    );

    assert_eq!(server.delete("/airline-data").0, 200);
    assert_eq!(server.get("/airline-data").0, 404);
    server
        .call("DELETE", "/airline-data", &Value::Null)
        .assert_error(
            404,
            "index_not_found_exception",
            "no such index [airline-data]",
        );
}

#[test]
fn patterns_mean_what_they_say() {
    let server = server();
    for (expression, expected) in [
        ("logs-*", vec!["logs-1", "logs-2"]),
        ("*", vec!["logs-1", "logs-2", "measures"]),
        ("_all", vec!["logs-1", "logs-2", "measures"]),
        ("*,-logs-1", vec!["logs-2", "measures"]),
        ("logs-*,measures,-*-2", vec!["logs-1", "measures"]),
        (".da*", vec![".dark"]),
        ("measures,logs-1", vec!["logs-1", "measures"]),
        ("*?expand_wildcards=closed", vec![]),
        ("none,logs-1?ignore_unavailable=true", vec!["logs-1"]),
        ("none*", vec![]),
    ] {
        let told = server.ok("GET", &format!("/{expression}"), &Value::Null);
        let mut found = names(&told);
        found.sort();
        assert_eq!(found, expected.iter().collect::<Vec<_>>(), "{expression}");
    }
    let all = server.ok("GET", "/*?expand_wildcards=all", &Value::Null);
    assert!(names(&all).contains(&&".dark".to_owned()));
    for (path, status, kind) in [
        ("/none,logs-1", 404, "index_not_found_exception"),
        (
            "/none*?allow_no_indices=false",
            404,
            "index_not_found_exception",
        ),
        ("/-logs-1", 404, "index_not_found_exception"),
        ("/_none", 400, "invalid_index_name_exception"),
        (
            "/logs-1?expand_wildcards=some",
            400,
            "illegal_argument_exception",
        ),
        ("/far:logs", 404, "no_such_remote_cluster_exception"),
    ] {
        server
            .call("GET", path, &Value::Null)
            .assert_error(status, kind, "");
    }
    let resolved = server.ok("GET", "/_resolve/index/logs-*", &Value::Null);
    assert_eq!(
        resolved["indices"],
        json!([{"name": "logs-1", "attributes": ["open"]}, {"name": "logs-2", "attributes": ["open"]}])
    );

    // A pattern deletes nothing until that is allowed.
    for expression in ["logs-*", "_all", "*"] {
        server
            .call("DELETE", &format!("/{expression}"), &Value::Null)
            .assert_error(
                400,
                "illegal_argument_exception",
                "Wildcard expressions or all indices are not allowed",
            );
    }
    let allow = json!({"persistent": {"action.destructive_requires_name": false}});
    server.ok("PUT", "/_cluster/settings", &allow);
    server.ok("DELETE", "/logs-*", &Value::Null);
    assert_eq!(names(&server.get("/*").1), ["measures"]);
}

#[test]
fn aliases_show_their_part_and_are_written_through() {
    let server = server();
    let actions = json!({"actions": [
        {"add": {"index": "logs-*", "alias": "logs"}},
        {"add": {"indices": ["logs-2"], "alias": "logs", "is_write_index": true}},
        {"add": {"index": "logs-1", "alias": "errors", "filter": {"term": {"level": "error"}}}}
    ]});
    server.ok("POST", "/_aliases", &actions);
    let lines = [
        json!({"index": {"_index": "logs", "_id": "w"}}),
        json!({"level": "error"}),
        json!({"index": {"_index": "logs-1", "_id": "e"}}),
        json!({"level": "error"}),
        json!({"index": {"_index": "logs-1", "_id": "i"}}),
        json!({"level": "info"}),
    ];
    let reply = bulk(&server, "/_bulk?refresh=true", &lines);
    assert_eq!(
        reply.body["items"][0]["index"]["_index"], "logs-2",
        "{}",
        reply.text
    );
    let count =
        |name: &str| server.get(&format!("/{name}/_count?q=level.keyword:*")).1["count"].clone();
    assert_eq!(
        [count("logs"), count("errors"), count("errors,logs-1")],
        [3, 1, 2]
    );
    assert_eq!(
        server.get("/errors/_doc/i").0,
        200,
        "an id is found through any alias"
    );
    server.call("GET", "/logs/_doc/e", &Value::Null).assert_error(
        400,
        "illegal_argument_exception",
        "alias [logs] has more than one index associated with it [logs-1, logs-2], can't execute a single index op",
    );
    assert_eq!(
        server.call("HEAD", "/_alias/errors", &Value::Null).status,
        200
    );
    let missing = server.call("GET", "/_alias/errors,gone", &Value::Null);
    assert_eq!(
        (missing.status, &missing.body["error"]),
        (404, &json!("alias [gone] missing"))
    );
    assert!(missing.body["logs-1"]["aliases"]["errors"].is_object());
    server.call("DELETE", "/errors", &Value::Null).assert_error(
        400,
        "illegal_argument_exception",
        "The provided expression [errors] matches an alias, specify the corresponding concrete indices instead.",
    );
    server.ok("PUT", "/measures/_alias/m", &json!({"is_hidden": true}));
    server.ok("DELETE", "/measures/_alias/m", &Value::Null);
    server
        .call("DELETE", "/measures/_alias/m", &Value::Null)
        .assert_error(404, "aliases_not_found_exception", "aliases [m] missing");
    server.ok(
        "POST",
        "/_aliases",
        &json!({"actions": [{"remove": {"index": "logs-2", "alias": "logs"}},
                            {"add": {"index": "logs-1", "alias": "logs", "is_write_index": false}}]}),
    );
    server.call("PUT", "/logs/_doc/x", &json!({})).assert_error(
        400,
        "illegal_argument_exception",
        "no write index is defined for alias [logs]",
    );
    server
        .call("PUT", "/measures/_alias/.ml-anomalies-x", &Value::Null)
        .assert_error(400, "invalid_alias_name_exception", "");
    server
        .call("PUT", "/.ml-annotations-000001/_alias/x", &Value::Null)
        .assert_error(400, "illegal_argument_exception", "internal index");
}

#[test]
fn a_closed_index_is_left_alone() {
    let server = server();
    server.ok("POST", "/logs-1/_close", &Value::Null);
    for (method, path) in [("GET", "/logs-1/_search"), ("PUT", "/logs-1/_doc/1")] {
        server
            .call(method, path, &json!({}))
            .assert_error(400, "index_closed_exception", "closed");
    }
    assert_eq!(names(&server.get("/logs-*").1), ["logs-2"]);
    assert_eq!(server.get("/logs-1").0, 200);
    assert_eq!(server.get("/logs-*/_search").0, 200);
    server.ok("POST", "/logs-*/_open", &Value::Null);
    assert_eq!(server.get("/logs-1/_search").0, 200);
    server.ok("POST", "/logs-1/_close", &Value::Null);
    assert_eq!(server.delete("/logs-1").0, 200);
    assert_eq!(server.call("PUT", "/logs-1/_doc/1", &json!({})).status, 201);
}

#[test]
fn fields_are_told_across_indices() {
    let server = Server::start(&[]);
    let mapping = |of: &str| json!({"mappings": {"properties": {"n": {"type": of}, "o": {"properties": {"t": {"type": "text"}}}}}});
    server.ok("PUT", "/a", &mapping("long"));
    server.ok("PUT", "/b", &mapping("keyword"));
    let told = server.ok("GET", "/a,b/_field_caps?fields=n,o*", &Value::Null);
    assert_eq!(told["indices"], json!(["a", "b"]));
    assert_eq!(told["fields"]["n"]["long"]["indices"], json!(["a"]));
    assert_eq!(
        told["fields"]["o.t"],
        json!({"text": {"type": "text", "metadata_field": false, "searchable": true, "aggregatable": false}})
    );
    assert_eq!(told["fields"]["o"]["object"]["searchable"], false);
    let told = server.ok(
        "POST",
        "/a/_field_caps",
        &json!({"fields": ["*"], "runtime_mappings": {"r": {"type": "date"}}}),
    );
    assert_eq!(told["fields"]["r"]["date"]["aggregatable"], true);
    assert_eq!(told["fields"]["_id"]["_id"]["metadata_field"], true);
    server
        .call("GET", "/a/_field_caps", &Value::Null)
        .assert_error(
            400,
            "action_request_validation_exception",
            "no fields specified",
        );
}

#[test]
fn indices_are_counted_and_what_is_missing_is_said() {
    let server = server();
    bulk(
        &server,
        "/logs-1/_bulk?refresh=true",
        &[
            json!({"index": {}}),
            json!({"n": 1}),
            json!({"index": {}}),
            json!({"n": 2}),
        ],
    );
    let stats = server.ok("GET", "/logs-*/_stats/docs", &Value::Null);
    assert_eq!(stats["_all"]["total"]["docs"]["count"], 2);
    assert_eq!(stats["indices"]["logs-1"]["primaries"]["docs"]["count"], 2);
    let table = server.ok(
        "GET",
        "/_cat/indices/logs-*?format=json&h=index,status,docs.count&s=index",
        &Value::Null,
    );
    assert_eq!(
        table,
        json!([{"index": "logs-1", "status": "open", "docs.count": "2"}, {"index": "logs-2", "status": "open", "docs.count": "0"}])
    );
    assert_eq!(
        server.ok("GET", "/_cat/count/logs-1?format=json", &Value::Null)[0]["count"],
        "2"
    );
    for path in [
        "/_flush",
        "/logs-1/_forcemerge?max_num_segments=1",
        "/logs-*/_cache/clear",
    ] {
        server.ok("POST", path, &Value::Null);
    }
    // There are none, which may be asked; none are made.
    assert_eq!(
        server.get("/_index_template").1,
        json!({"index_templates": []})
    );
    assert_eq!(server.get("/_index_template/x").0, 404);
    assert_eq!(server.get("/_ingest/pipeline/x"), (404, json!({})));
    for (method, path, what) in [
        (
            "PUT",
            "/_index_template/x",
            "[index templates] is not supported",
        ),
        ("PUT", "/_ingest/pipeline/x", "[pipelines] is not supported"),
        ("POST", "/_reindex", "[reindex] is not supported"),
        (
            "GET",
            "/logs-1/_explain/1",
            "[explanations of scores] is not supported",
        ),
    ] {
        server
            .call(method, path, &json!({}))
            .assert_error(400, "illegal_argument_exception", what);
    }
}

#[test]
fn an_index_may_have_the_name_of_what_prometheus_reads() {
    let server = Server::start(&[]);
    server.ok("PUT", "/metrics", &json!({}));
    assert_eq!(server.send("HEAD", "/metrics", &[], None).status, 200);
    let lines = [json!({"index": {}}), json!({"value": 1})];
    bulk(&server, "/metrics/_bulk?refresh=true", &lines);
    let found = server.ok("GET", "/metrics/_count", &Value::Null);
    assert_eq!(found["count"], 1);
    let page = server.send("GET", "/metrics", &[], None).text;
    assert!(page.contains("tidewatch_jobs"), "{page}");
    assert_eq!(
        names(&server.ok("GET", "/metri*", &Value::Null)),
        ["metrics"]
    );
    server.ok("DELETE", "/metrics", &Value::Null);
    assert_eq!(server.send("HEAD", "/metrics", &[], None).status, 404);
}
