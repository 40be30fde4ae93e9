//! Results are searched as documents, as dashboards do.

mod support;

use serde_json::{Value, json};
use support::Client;
use support::documents::{DAY, JOB, T, bulk, filled, ids, index, search};

#[test]
fn documents_are_found_by_queries() {
    let server = filled();
    let of = |query: Value| {
        let body = json!({"query": query, "size": 100, "sort": "timestamp"});
        ids(&search(&server, ".ml-anomalies-*", &body))
    };
    let records = json!({"term": {"result_type": "record"}});
    assert_eq!(
        of(json!({"bool": {"filter": [records, {"range": {"record_score": {"gte": 60}}}]}})),
        "r6 r7 r8 r9"
    );
    let range = json!({"range": {"timestamp": {"gte": "2016-06-03", "lte": "2016-06-04"}}});
    assert_eq!(of(json!({"bool": {"must": [records, range]}})), "r2 r3");
    assert_eq!(
        of(json!({"query_string": {"query": "airline:JZA AND is_interim:true"}})),
        "r3"
    );
    assert_eq!(
        of(json!({"query_string": {"query": "\"a cause\" AND job_id:other"}})),
        "r7 r8 r9"
    );
    assert_eq!(of(json!({"exists": {"field": "new_field"}})), "loose");
    assert_eq!(
        of(json!({"ids": {"values": ["b2", "r2", "nothing"]}})),
        "b2 r2"
    );

    // An alias of a job shows its documents alone.
    let all = json!({"query": {"query_string": {"query": "result_type:record"}}});
    let path = "/.ml-anomalies-other/_search?rest_total_hits_as_int=true";
    assert_eq!(server.ok("POST", path, &all)["hits"]["total"], 3);
    let path = "/.ml-anomalies-shared/_search?rest_total_hits_as_int=true&expand_wildcards=all";
    assert_eq!(server.ok("POST", path, &all)["hits"]["total"], 10);
    assert_eq!(
        server.ok("GET", "/.ml-state*/_count", &Value::Null)["count"],
        1
    );
    let note = json!({"query": {"match": {"annotation": "ROUTER"}}});
    let found = search(&server, ".ml-annotations-read", &note);
    assert_eq!(ids(&found), "note");
    assert_eq!(
        found["hits"]["hits"][0]["_source"]["timestamp"],
        T + 2 * DAY
    );
    assert_eq!(found["hits"]["hits"][0]["_index"], ".ml-annotations-000001");
    let notes = server.ok("GET", &Client::job_path(JOB, "/annotations"), &Value::Null);
    assert_eq!(notes["annotations"][0]["create_username"], "ann");

    for (query, kind, reason) in [
        (
            json!({"fuzzy": {}}),
            "parsing_exception",
            "unknown query [fuzzy]",
        ),
        (
            json!({"query_string": {"query": "a:("}}),
            "query_shard_exception",
            "Failed to parse query [a:(]",
        ),
        (
            json!({"range": {"timestamp": {"gte": "soon"}}}),
            "parse_exception",
            "failed to parse date field [soon]",
        ),
    ] {
        let reply = server.call("POST", "/.ml-anomalies-*/_search", &json!({"query": query}));
        let told = &reply.body["error"]["root_cause"][0];
        assert_eq!((reply.status, &told["type"]), (400, &json!(kind)));
        let text = told["reason"].as_str().unwrap_or_default();
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn pages_of_a_search_are_in_order() {
    let server = filled();
    let body = |more: Value| {
        let mut body = json!({
            "query": {"term": {"result_type": "record"}}, "sort": [{"record_score": "desc"}, "_id"], "size": 3,
            "_source": ["record_score"]
        });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    let first = search(&server, ".ml-anomalies-*", &body(json!({})));
    assert_eq!(ids(&first), "r9 r8 r7");
    assert_eq!(
        first["hits"]["total"],
        json!({"value": 10, "relation": "eq"})
    );
    let last = &first["hits"]["hits"][2];
    assert_eq!(
        (&last["sort"], &last["_source"]),
        (&json!([70.0, "r7"]), &json!({"record_score": 70.0}))
    );
    assert_eq!(
        ids(&search(
            &server,
            ".ml-anomalies-*",
            &body(json!({"search_after": last["sort"]}))
        )),
        "r6 r5 r4"
    );
    assert_eq!(
        ids(&search(
            &server,
            ".ml-anomalies-*",
            &body(json!({"from": 8}))
        )),
        "r1 r0"
    );
    let total =
        |more: Value| search(&server, ".ml-anomalies-*", &body(more))["hits"]["total"].clone();
    assert_eq!(
        total(json!({"track_total_hits": 4})),
        json!({"value": 4, "relation": "gte"})
    );
    assert_eq!(total(json!({"track_total_hits": false})), Value::Null);
    let too_deep = server.call(
        "POST",
        "/.ml-anomalies-*/_search",
        &body(json!({"from": 9_998})),
    );
    too_deep.assert_error(
        400,
        "illegal_argument_exception",
        "Result window is too large",
    );
}

#[test]
fn results_are_added_up() {
    let server = filled();
    let body = json!({
        "size": 0, "query": {"term": {"result_type": "record"}},
        "aggs": {
            "most": {"max": {"field": "record_score"}},
            "jobs": {"terms": {"field": "job_id", "order": {"best": "desc"}}, "aggs": {
                "best": {"max": {"field": "record_score"}}
            }},
            "weeks": {"date_histogram": {"field": "timestamp", "calendar_interval": "week"}, "aggs": {
                "mean": {"avg": {"field": "record_score"}}
            }},
            "airlines": {"cardinality": {"field": "by_field_value"}},
            "late": {"filter": {"range": {"timestamp": {"gte": "2016-06-09"}}}}
        }
    });
    let found = search(&server, ".ml-anomalies-*", &body)["aggregations"].clone();
    assert_eq!(found["most"]["value"], 90.0);
    assert_eq!(
        found["jobs"]["buckets"],
        json!([
            {"key": "other", "doc_count": 3, "best": {"value": 90.0}},
            {"key": "moved", "doc_count": 7, "best": {"value": 60.0}}
        ])
    );
    // The first of June was a Wednesday.
    assert_eq!(
        found["weeks"]["buckets"],
        json!([
            {"key_as_string": "2016-05-30T00:00:00.000Z", "key": T - 2 * DAY, "doc_count": 5, "mean": {"value": 20.0}},
            {"key_as_string": "2016-06-06T00:00:00.000Z", "key": T + 5 * DAY, "doc_count": 5, "mean": {"value": 70.0}}
        ])
    );
    assert_eq!(
        (&found["airlines"]["value"], &found["late"]["doc_count"]),
        (&json!(2), &json!(2))
    );
    let days = |histogram: Value| {
        let mut histogram = histogram;
        histogram["field"] = "timestamp".into();
        histogram["fixed_interval"] = "1d".into();
        let body = json!({
            "size": 0, "query": {"range": {"timestamp": {"gte": T, "lt": T + 3 * DAY}}},
            "aggs": {"days": {"date_histogram": histogram}}
        });
        let found = search(&server, ".ml-anomalies-*", &body);
        let days = found["aggregations"]["days"]["buckets"].as_array().cloned();
        let day = |one: Value| (one["key"].as_i64().expect("a time") - T) / DAY;
        days.expect("days").into_iter().map(day).collect::<Vec<_>>()
    };
    let there = days(json!({"min_doc_count": 1}));
    let newest_first: Vec<i64> = there.iter().rev().copied().collect();
    assert!(there.len() > 1 && there.is_sorted());
    assert_eq!(
        days(json!({"min_doc_count": 1, "order": {"_key": "desc"}})),
        newest_first
    );
    // Dashboards want the whole of the time that is shown.
    let bounds = json!({"min": T - 2 * DAY, "max": "2016-06-06T12:00:00Z"});
    assert_eq!(
        days(json!({"extended_bounds": bounds})),
        (-2..=5).collect::<Vec<_>>()
    );
    let text = json!({"size": 0, "aggs": {"a": {"date_histogram": {
        "field": "timestamp", "calendar_interval": "month", "format": "epoch_millis"
    }}}});
    let found = search(&server, ".ml-anomalies-*", &text)["aggregations"]["a"]["buckets"].clone();
    assert_eq!(found[0]["key_as_string"], T.to_string());
    let refused = json!({"aggs": {"a": {"nonsense": {"field": "x"}}}});
    let reply = server.call("POST", "/.ml-anomalies-*/_search", &refused);
    reply.assert_error(
        400,
        "parsing_exception",
        "Unknown aggregation type [nonsense]",
    );
}

#[test]
fn objects_within_a_document_are_searched_one_by_one() {
    let server = filled();
    let influencer = |name: &str, value: &str| json!({"influencer_field_name": name, "influencer_field_values": [value]});
    let document = json!({
        "job_id": "moved", "result_type": "record", "timestamp": T + 40 * DAY, "bucket_span": DAY / 1000,
        "detector_index": 0, "record_score": 1.0, "function": "mean",
        "influencers": [influencer("airline", "AAL"), influencer("host", "h1")]
    });
    let reply = index(&server, ".ml-anomalies-shared", "nested", &document);
    assert_eq!(reply.status, 201, "{}", reply.text);
    let count = |name: &str, value: &str| {
        let all = json!({"filter": [
            {"term": {"influencers.influencer_field_name": name}},
            {"term": {"influencers.influencer_field_values": value}}
        ]});
        let query = json!({"nested": {"path": "influencers", "query": {"bool": all}}});
        let query =
            json!({"bool": {"filter": [query, {"range": {"timestamp": {"gte": T + 40 * DAY}}}]}});
        search(&server, ".ml-anomalies-*", &json!({"query": query}))["hits"]["total"]["value"]
            .clone()
    };
    assert_eq!(count("airline", "AAL"), 1);
    assert_eq!(count("airline", "h1"), 0);
}

#[test]
fn many_searches_go_in_one_request() {
    let server = filled();
    let records = json!({"size": 0, "query": {"term": {"result_type": "record"}}});
    let lines = [
        json!({"index": ".ml-anomalies-*"}),
        records.clone(),
        json!({"index": ["nope"]}),
        records.clone(),
        json!({"index": ["nope"], "ignore_unavailable": true}),
        json!({}),
    ];
    let reply = bulk(&server, "/_msearch", &lines);
    assert_eq!(reply.status, 200, "{}", reply.text);
    let responses = &reply.body["responses"];
    let alone = search(&server, ".ml-anomalies-*", &records);
    assert_eq!(responses[0]["hits"], alone["hits"]);
    assert_eq!(responses[0]["status"], 200);
    assert_eq!(responses[1]["error"]["type"], "index_not_found_exception");
    assert_eq!(
        (&responses[1]["status"], &responses[2]["status"]),
        (&json!(404), &json!(200))
    );
    let reply = bulk(&server, "/.ml-anomalies-*/_msearch", &[json!({}), records]);
    assert_eq!(reply.body["responses"][0]["hits"], alone["hits"]);
}
