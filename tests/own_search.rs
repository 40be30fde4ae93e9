//! Searches of users' indices, with scrolls and points in time; and of theirs and the internal ones together.

mod support;

use serde_json::{Value, json};
use support::documents::{bucket, bulk, ids, index, search};
use support::traffic;
use support::{Client, Server};

/// A server with an index of so many documents, numbered.
fn server(count: usize) -> Server {
    let server = Server::start(&[]);
    add(&server, 0, count);
    server
}

fn add(server: &Server, from: usize, to: usize) {
    let lines: Vec<Value> = (from..to)
        .flat_map(|n| {
            let parity = if n % 2 == 0 { "even" } else { "odd" };
            [
                json!({"index": {"_index": "numbers", "_id": n.to_string()}}),
                json!({"n": n, "parity": parity, "@timestamp": n * 1_000}),
            ]
        })
        .collect();
    let reply = bulk(server, "/_bulk?refresh=true", &lines);
    assert_eq!(reply.body["errors"], false, "{}", reply.text);
}

#[test]
fn a_search_is_answered_as_elasticsearch_does() {
    let server = server(20);
    let body = json!({
        "query": {"term": {"parity.keyword": "odd"}}, "sort": [{"n": "desc"}], "size": 2, "_source": ["n"],
        "aggs": {"most": {"max": {"field": "n"}}}
    });
    let found = search(&server, "numbers", &body);
    assert_eq!(
        found["hits"],
        json!({
            "total": {"value": 10, "relation": "eq"}, "max_score": null,
            "hits": [
                {"_index": "numbers", "_id": "19", "_score": null, "_source": {"n": 19}, "sort": [19]},
                {"_index": "numbers", "_id": "17", "_score": null, "_source": {"n": 17}, "sort": [17]}
            ]
        })
    );
    assert_eq!(found["aggregations"], json!({"most": {"value": 19.0}}));
    assert_eq!(found["_shards"]["successful"], 1);
    let path = "/numbers/_search?q=parity:odd&sort=n:asc&from=1&size=1&rest_total_hits_as_int=true&_source=false";
    let found = server.ok("GET", path, &Value::Null);
    assert_eq!(
        (&found["hits"]["total"], ids(&found)),
        (&json!(10), "3".to_owned())
    );
    assert_eq!(found["hits"]["hits"][0].get("_source"), None);
    let typed = server.ok(
        "POST",
        "/numbers/_search?size=0&typed_keys=true",
        &json!({"aggs": {"m": {"max": {"field": "n"}}}}),
    );
    assert_eq!(typed["aggregations"]["max#m"]["value"], 19.0);
    let filtered = server.ok(
        "GET",
        "/numbers/_search?filter_path=hits.total.value",
        &Value::Null,
    );
    assert_eq!(filtered, json!({"hits": {"total": {"value": 20}}}));

    for (body, kind, reason) in [
        (
            json!({"query": {"fuzzy": {}}}),
            "parsing_exception",
            "unknown query [fuzzy]",
        ),
        (
            json!({"from": 9_999, "size": 2}),
            "illegal_argument_exception",
            "Result window is too large",
        ),
        (
            json!({"highlight": {}}),
            "parsing_exception",
            "[highlight] is not supported",
        ),
    ] {
        let reply = server.call("POST", "/numbers/_search", &body);
        reply.assert_error(400, kind, reason);
    }
    // What only an index can tell is the failure of its shard.
    let unmapped = server.call("POST", "/numbers/_search", &json!({"sort": "nothing"}));
    unmapped.assert_error(400, "search_phase_execution_exception", "all shards failed");
    let error = &unmapped.body["error"];
    assert_eq!(error["root_cause"][0]["type"], "query_shard_exception");
    assert_eq!(
        (&error["phase"], &error["grouped"]),
        (&json!("query"), &json!(true))
    );

    server.ok(
        "PUT",
        "/numbers/_settings",
        &json!({"index.max_result_window": 10}),
    );
    let reply = server.call("POST", "/numbers/_search", &json!({"size": 11}));
    reply.assert_error(
        400,
        "illegal_argument_exception",
        "less than or equal to: [10] but was [11]",
    );
    let valid = server.ok(
        "GET",
        "/numbers/_validate/query?q=n:5&explain=true",
        &Value::Null,
    );
    assert_eq!(
        (&valid["valid"], &valid["explanations"][0]["index"]),
        (&json!(true), &json!("numbers"))
    );
    let valid = server.ok(
        "POST",
        "/numbers/_validate/query",
        &json!({"query": {"fuzzy": {}}}),
    );
    assert_eq!(valid, json!({"valid": false}));
}

#[test]
fn a_scroll_shows_every_document_once_as_it_was() {
    let server = server(50);
    for body in [
        json!({"size": 7, "sort": "_doc"}),
        json!({"size": 7}),
        json!({"size": 7, "sort": [{"parity.keyword": "asc"}]}),
    ] {
        let mut page = server.ok("POST", "/numbers/_search?scroll=1m", &body);
        let id = page["_scroll_id"].as_str().expect("an id").to_owned();
        // What comes and goes meanwhile is not of the scroll.
        add(&server, 50, 60);
        assert_eq!(server.delete("/numbers/_doc/49?refresh=true").0, 200);
        let mut seen = Vec::new();
        while !ids(&page).is_empty() {
            assert_eq!(
                page["hits"]["total"],
                json!({"value": 50, "relation": "eq"})
            );
            seen.extend(ids(&page).split(' ').map(str::to_owned));
            let hit = &page["hits"]["hits"][0];
            let asked = body.get("sort").map(|_| 1);
            assert_eq!(
                hit.get("sort")
                    .map(|sort| sort.as_array().map_or(0, Vec::len)),
                asked,
                "{hit}"
            );
            page = server.ok(
                "POST",
                "/_search/scroll",
                &json!({"scroll": "1m", "scroll_id": id}),
            );
        }
        seen.sort_by_key(|id| id.parse::<usize>().expect("a number"));
        assert_eq!(seen, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
        let cleared = server.call("DELETE", "/_search/scroll", &json!({"scroll_id": [id]}));
        assert_eq!(cleared.body, json!({"succeeded": true, "num_freed": 1}));
        let again = server.call("DELETE", "/_search/scroll", &json!({"scroll_id": id}));
        assert_eq!((again.status, &again.body["num_freed"]), (404, &json!(0)));
        let gone = server.call("POST", "/_search/scroll", &json!({"scroll_id": id}));
        gone.assert_error(404, "search_phase_execution_exception", "all shards failed");
        let cause = &gone.body["error"]["root_cause"][0];
        assert_eq!(cause["type"], "search_context_missing_exception");
        assert!(
            cause["reason"]
                .as_str()
                .is_some_and(|text| text.starts_with("No search context found for id ["))
        );
        add(&server, 49, 50);
        for n in 50..60 {
            server.delete(&format!("/numbers/_doc/{n}"));
        }
        server.ok("POST", "/numbers/_refresh", &Value::Null);
    }
    server
        .call("POST", "/_search/scroll", &json!({"scroll_id": "x"}))
        .assert_error(400, "illegal_argument_exception", "Cannot parse scroll id");
    for (path, reason) in [
        (
            "scroll=1m&size=0",
            "[size] cannot be [0] in a scroll context",
        ),
        (
            "scroll=1m&from=1",
            "using [from] is not allowed in a scroll context",
        ),
    ] {
        let reply = server.call("GET", &format!("/numbers/_search?{path}"), &Value::Null);
        reply.assert_error(400, "action_request_validation_exception", reason);
    }
    let long = server.call("GET", "/numbers/_search?scroll=2d", &Value::Null);
    long.assert_error(400, "search_phase_execution_exception", "all shards failed");
    server.ok("GET", "/numbers/_search?scroll=1m", &Value::Null);
    assert_eq!(server.delete("/_search/scroll/_all").1["num_freed"], 1);
}

#[test]
fn a_point_in_time_stays_as_it_was() {
    let server = server(10);
    let pit = server.ok("POST", "/numbers/_pit?keep_alive=1m", &Value::Null);
    let id = pit["id"].clone();
    add(&server, 10, 20);
    let body = |after: Option<&Value>| {
        let mut body = json!({"pit": {"id": id, "keep_alive": "1m"}, "sort": [{"parity.keyword": "desc"}], "size": 4});
        if let Some(after) = after {
            body["search_after"] = after.clone();
        }
        body
    };
    let mut seen = Vec::new();
    let mut page = server.ok("POST", "/_search", &body(None));
    assert_eq!(page["pit_id"], id);
    while let Some(last) = page["hits"]["hits"].as_array().and_then(|hits| hits.last()) {
        assert_eq!(
            last["sort"].as_array().map(Vec::len),
            Some(2),
            "with what tells equals apart"
        );
        seen.extend(ids(&page).split(' ').map(str::to_owned));
        page = server.ok("POST", "/_search", &body(Some(&last["sort"])));
    }
    seen.sort();
    assert_eq!(seen, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    server
        .call("POST", "/numbers/_search", &body(None))
        .assert_error(
            400,
            "action_request_validation_exception",
            "[indices] cannot be used with point in time",
        );
    let closed = server.call("DELETE", "/_pit", &json!({"id": id}));
    assert_eq!(closed.body, json!({"succeeded": true, "num_freed": 1}));
    assert_eq!(
        server.call("DELETE", "/_pit", &json!({"id": id})).status,
        404
    );
    assert_eq!(server.call("POST", "/_search", &body(None)).status, 404);
    server
        .call("POST", "/numbers/_pit", &Value::Null)
        .assert_error(
            400,
            "action_request_validation_exception",
            "[keep_alive] is not specified",
        );

    // As OpenSearch has them.
    let pit = server.ok(
        "POST",
        "/numbers/_search/point_in_time?keep_alive=1m",
        &Value::Null,
    );
    let id = pit["pit_id"].clone();
    assert!(pit["creation_time"].is_i64());
    assert_eq!(
        server.ok("POST", "/_search", &json!({"pit": {"id": id}}))["hits"]["total"]["value"],
        20
    );
    assert_eq!(
        server.get("/_search/point_in_time/_all").1["pits"][0]["pit_id"],
        id
    );
    let closed = server.call("DELETE", "/_search/point_in_time", &json!({"pit_id": [id]}));
    assert_eq!(
        closed.body,
        json!({"pits": [{"successful": true, "pit_id": id}]})
    );
    server.ok("POST", "/numbers/_pit?keep_alive=1m", &Value::Null);
    server.delete("/numbers");
    assert_eq!(
        server.get("/_search/point_in_time/_all").1["pits"],
        json!([])
    );
}

#[test]
fn what_a_query_finds_is_deleted() {
    let server = server(30);
    let odd = json!({"query": {"term": {"parity.keyword": "odd"}}, "max_docs": 4});
    let done = server.ok("POST", "/numbers/_delete_by_query?refresh=true", &odd);
    assert_eq!(
        (
            &done["total"],
            &done["deleted"],
            &done["version_conflicts"],
            &done["failures"]
        ),
        (&json!(4), &json!(4), &json!(0), &json!([]))
    );
    let done = server.ok(
        "POST",
        "/numbers/_delete_by_query?refresh&q=parity:odd",
        &Value::Null,
    );
    assert_eq!(done["deleted"], 11);
    assert_eq!(server.get("/numbers/_count").1["count"], 15);
    // A document that was written since the last refresh is another one.
    server.ok(
        "PUT",
        "/numbers/_settings",
        &json!({"index.refresh_interval": "-1"}),
    );
    server.call("PUT", "/numbers/_doc/0", &json!({"n": 0, "parity": "even"}));
    let all = json!({"query": {"match_all": {}}});
    let reply = server.call("POST", "/numbers/_delete_by_query", &all);
    assert_eq!(
        (reply.status, &reply.body["version_conflicts"]),
        (409, &json!(1)),
        "{}",
        reply.text
    );
    assert_eq!(
        reply.body["failures"][0]["cause"]["type"],
        "version_conflict_engine_exception"
    );
    server.ok("POST", "/numbers/_refresh", &Value::Null);
    let path = "/numbers/_delete_by_query?conflicts=proceed&wait_for_completion=false&refresh=true";
    let task = server.ok("POST", path, &all)["task"].clone();
    let path = format!(
        "/_tasks/{}?wait_for_completion=true",
        task.as_str().expect("a task")
    );
    let ended = server.ok("GET", &path, &Value::Null);
    assert_eq!(ended["response"]["deleted"], 1, "{ended}");
    assert_eq!(server.get("/numbers/_count").1["count"], 0);
    server
        .call("POST", "/numbers/_delete_by_query", &Value::Null)
        .assert_error(
            400,
            "action_request_validation_exception",
            "query is missing",
        );
}

#[test]
fn results_and_documents_are_found_together() {
    let server = server(3);
    server.ok(
        "PUT",
        &Client::job_path("moved", ""),
        &traffic::job_config(),
    );
    assert_eq!(
        index(&server, ".ml-anomalies-moved", "b", &bucket(0, 50.0)).status,
        201
    );
    let body = json!({"query": {"bool": {"should": [{"term": {"anomaly_score": 50}}, {"term": {"n": 2}}]}}});
    let found = search(&server, "numbers,.ml-anomalies-moved", &body);
    assert_eq!(found["hits"]["total"]["value"], 2, "{found}");
    let lines = [
        json!({"index": "numbers"}),
        json!({"size": 0}),
        json!({"index": "gone"}),
        json!({}),
    ];
    let reply = bulk(&server, "/_msearch?rest_total_hits_as_int=true", &lines);
    assert_eq!(
        reply.body["responses"][0]["hits"]["total"], 3,
        "{}",
        reply.text
    );
    assert_eq!(reply.body["responses"][1]["status"], 404);
}

#[test]
fn a_script_that_is_wrong_shows_its_place() {
    let server = server(3);
    let search = |source: &str| {
        json!({
            "runtime_mappings": {"half": {"type": "double", "script": {"source": source}}},
            "query": {"range": {"half": {"gt": 1}}}
        })
    };
    let source = "emit(doc['n'].value / (doc['n'].value - doc['n'].value))";
    let body = search(source).to_string();
    let kind = [("content-type", "application/json")];
    let refused = server.send("POST", "/numbers/_search", &kind, Some(body.as_bytes()));
    assert_eq!(refused.status, 400, "{}", refused.text);
    let error = &refused.body["error"]["failed_shards"][0]["reason"];
    let error = match error {
        Value::Null => &refused.body["error"],
        error => error,
    };
    assert_eq!(error["type"], "script_exception", "{}", refused.text);
    assert_eq!(error["script"], source);
    assert_eq!(error["lang"], "painless");
    assert_eq!(error["script_stack"][1], "                    ^---- HERE");
    assert_eq!(
        error["caused_by"],
        json!({"type": "arithmetic_exception", "reason": "/ by zero"})
    );
}
