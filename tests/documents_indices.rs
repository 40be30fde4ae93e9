//! The internal indices as such: their names, their fields, and what goes with them.

mod support;

use serde_json::{Value, json};
use support::documents::{JOB, bulk, filled, search};
use support::traffic::Traffic;
use support::{Client, Server};

#[test]
fn documents_are_read_and_deleted_by_their_ids() {
    let server = filled();
    server.ok("POST", &Client::job_path("other", "/_open"), &Value::Null);
    server.post_data("other", &Traffic::generate(3, 3, 50).bytes);
    server.close("other");
    let get = |id: &str| {
        server.call(
            "GET",
            &format!("/.ml-anomalies-other/_doc/{id}"),
            &Value::Null,
        )
    };
    let counts = get("other_data_counts");
    assert_eq!(counts.status, 200, "{}", counts.text);
    assert_eq!(
        counts.body["_source"]["processed_record_count"],
        server.stats("other")["data_counts"]["processed_record_count"]
    );
    // Everything that a search finds is found by its id.
    let body = json!({"query": {"term": {"job_id": "other"}}, "size": 1_000});
    let found = search(&server, ".ml-anomalies-*", &body);
    let hits = found["hits"]["hits"].as_array().expect("hits");
    assert!(hits.len() > 40, "{}", hits.len());
    for hit in hits.iter().step_by(7).chain(hits.last()) {
        let reply = get(hit["_id"].as_str().expect("an id"));
        assert_eq!(reply.body["_source"], hit["_source"], "{hit}");
    }
    assert_eq!(
        server.ok("GET", "/.ml-anomalies-other/_source/r7", &Value::Null)["record_score"],
        70.0
    );
    assert_eq!(get("nothing").status, 404);
    assert_eq!(get("nothing").body["found"], false);

    let (status, gone) = server.delete("/.ml-anomalies-shared/_doc/r1");
    assert_eq!((status, &gone["result"]), (200, &json!("deleted")));
    assert_eq!(server.delete("/.ml-anomalies-shared/_doc/r1").0, 404);
    let own = found["hits"]["hits"][0]["_id"].as_str().expect("an id");
    assert!(own.starts_with("other_bucket_"), "{own}");
    assert_eq!(
        server
            .delete(&format!("/.ml-anomalies-shared/_doc/{own}"))
            .0,
        200
    );
    assert_eq!(get(own).status, 404);
    let query = json!({"query": {"term": {"by_field_value": "AAL"}}});
    let deleted = server.ok("POST", "/.ml-anomalies-*/_delete_by_query", &query);
    assert_eq!(
        (&deleted["deleted"], &deleted["total"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(
        server.ok("POST", "/.ml-anomalies-*/_count", &query)["count"],
        0
    );
    let lines = [
        json!({"delete": {"_index": ".ml-anomalies-shared", "_id": "b3"}}),
        json!({"delete": {"_index": ".ml-anomalies-shared", "_id": "b3"}}),
    ];
    let reply = bulk(&server, "/_bulk", &lines);
    let statuses: Vec<&Value> = reply.body["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|i| &i["delete"]["status"])
        .collect();
    assert_eq!(statuses, [200, 404]);
}

#[test]
fn indices_tell_their_names_and_fields() {
    let server = filled();
    for (path, status) in [
        ("/.ml-anomalies-moved", 200),
        ("/.ml-anomalies-shared", 200),
        ("/.ml-anomalies-shared-000001", 200),
        ("/.ml-state-000001", 200),
        ("/_alias/.ml-state-write", 200),
        ("/_alias/.ml-anomalies-.write-moved", 200),
        ("/.ml-anomalies-nobody", 404),
        ("/_alias/.ml-anomalies-nobody", 404),
        ("/logs", 404),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(
                server.call(method, path, &Value::Null).status,
                status,
                "{method} {path}"
            );
        }
    }
    let missing = server.call("GET", "/logs/_search", &Value::Null);
    missing.assert_error(404, "index_not_found_exception", "no such index [logs]");
    assert_eq!(missing.body["error"]["index"], "logs");
    assert_eq!(server.get("/logs/_search?ignore_unavailable=true").0, 200);
    assert_eq!(server.get("/logs*/_search").1["hits"]["total"]["value"], 0);
    assert_eq!(server.get("/logs*/_search?allow_no_indices=false").0, 404);
    let mapping = server.ok("GET", "/.ml-anomalies-shared/_mapping", &Value::Null);
    let mappings = &mapping[".ml-anomalies-shared"]["mappings"];
    assert!(mappings["_meta"]["version"].is_string());
    assert_eq!(mappings["properties"]["timestamp"]["type"], "date");
    let field = server.ok(
        "GET",
        "/.ml-anomalies-shared/_mapping/field/new_field",
        &Value::Null,
    );
    assert_eq!(
        field[".ml-anomalies-shared"]["mappings"]["new_field"]["mapping"]["new_field"]["type"],
        "keyword"
    );
    for path in ["/_refresh", "/.ml-anomalies-moved,.ml-state*/_refresh"] {
        server.ok("POST", path, &Value::Null);
    }
    assert_eq!(server.put("/.ml-anomalies-nobody", &Value::Null).0, 200);
    assert_eq!(server.get("/.ml-anomalies-nobody").0, 200);
    assert_eq!(server.put("/.ml-anomalies-nobody", &Value::Null).0, 400);
    // What belongs to a job goes with it.
    server.ok("DELETE", &Client::job_path(JOB, ""), &Value::Null);
    assert_eq!(server.get("/.ml-anomalies-moved").0, 404);
    assert_eq!(server.get("/.ml-state*/_count").1["count"], 0);
}

#[test]
fn texts_are_analyzed() {
    let server = Server::start(&[]);
    let body = json!({
        "char_filter": ["first_line_with_letters"], "tokenizer": "ml_standard",
        "filter": [{"type": "stop", "stopwords": ["UTC"]}], "text": "17\n[link-1] 12 UTC up"
    });
    let tokens = server.ok("POST", "/_analyze", &body)["tokens"].clone();
    assert_eq!(
        tokens,
        json!([
            {"token": "link-1", "start_offset": 4, "end_offset": 10, "type": "word", "position": 0},
            {"token": "up", "start_offset": 19, "end_offset": 21, "type": "word", "position": 3}
        ])
    );
    let wrong = server.call(
        "POST",
        "/_analyze",
        &json!({"tokenizer": "ml_unknown", "text": "a"}),
    );
    wrong.assert_error(
        400,
        "illegal_argument_exception",
        "failed to find global tokenizer under [ml_unknown]",
    );
}

#[test]
fn a_results_index_goes_with_what_it_tells_of_its_jobs() {
    let server = filled();
    server.ok("POST", &Client::job_path("other", "/_open"), &Value::Null);
    server.post_data("other", &Traffic::generate(3, 3, 20).bytes);
    let path = "/.ml-anomalies-shared";
    let open = server.call("DELETE", path, &Value::Null);
    open.assert_error(409, "status_exception", "because job [other] is open");
    server.close("other");
    server
        .call("DELETE", "/.ml-anomalies-other", &Value::Null)
        .assert_error(400, "illegal_argument_exception", "matches an alias");
    assert_eq!(server.delete(path).0, 200);
    assert_eq!(server.get("/.ml-anomalies-*/_count").1["count"], 0);
    let stats = server.stats("other");
    assert_eq!(stats["data_counts"]["processed_record_count"], 0);
    assert_eq!(stats["timing_stats"]["bucket_count"], 0);
    assert_eq!(
        server.get("/.ml-annotations-read/_doc/note").0,
        200,
        "annotations are elsewhere"
    );
}
