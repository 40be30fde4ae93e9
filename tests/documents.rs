//! Elasticsearch's internal indices as documents: results of an old cluster are written there and found.

mod support;

use serde_json::{Value, json};
use support::traffic::{self, START, Traffic};
use support::{Client, Reply, Server};

const JOB: &str = "moved";
const DAY: i64 = 86_400_000;
/// 2016-06-01.
const T: i64 = 1_464_739_200_000;

/// A server with a job that has never run.
fn server() -> Server {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path(JOB, ""), &traffic::job_config());
    server
}

fn index(server: &Server, index: &str, id: &str, document: &Value) -> Reply {
    server.call("PUT", &format!("/{index}/_doc/{id}"), document)
}

/// Writes lines of actions and documents.
fn bulk(server: &Server, path: &str, lines: &[Value]) -> Reply {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let kind = [("content-type", "application/x-ndjson")];
    server.send("POST", path, &kind, Some(lines.as_bytes()))
}

fn bucket(day: i64, score: f64) -> Value {
    json!({
        "job_id": JOB, "result_type": "bucket", "timestamp": T + day * DAY, "anomaly_score": score, "bucket_span": 3600
    })
}

fn results(server: &Server, rest: &str) -> Value {
    let path = Client::job_path(JOB, &format!("/results/{rest}"));
    server.ok("GET", &path, &Value::Null)
}

#[test]
fn a_result_that_is_written_as_a_document_is_served_as_a_result() {
    let server = server();
    let document = json!({
        "job_id": JOB, "result_type": "bucket", "timestamp": "2016-06-01T00:00:00Z", "anomaly_score": "90",
        "bucket_span": 1, "partition_scores": [{"a": 1}], "of_a_newer_version": true
    });
    let reply = index(&server, ".ml-anomalies-moved", "mine", &document);
    assert_eq!(
        (reply.status, &reply.body["result"], &reply.body["_id"]),
        (201, &json!("created"), &json!("mine")),
        "{}",
        reply.text
    );
    assert_eq!(reply.body["_index"], ".ml-anomalies-shared-000001");
    let expected = json!([{
        "job_id": JOB, "result_type": "bucket", "timestamp": T, "anomaly_score": 90.0, "bucket_span": 1,
        "initial_anomaly_score": 0.0, "event_count": 0, "is_interim": false, "bucket_influencers": [],
        "processing_time_ms": 0
    }]);
    assert_eq!(results(&server, "buckets")["buckets"], expected);

    // The same id is the same document, wherever in time it goes.
    for (day, name) in [
        (0, ".ml-anomalies-shared"),
        (3, ".ml-anomalies-.write-moved"),
    ] {
        let reply = index(&server, name, "mine", &bucket(day, 40.0));
        assert_eq!(
            (reply.status, &reply.body["result"]),
            (200, &json!("updated"))
        );
        let all = results(&server, "buckets");
        assert_eq!(all["count"], 1);
        assert_eq!(all["buckets"][0]["timestamp"], T + day * DAY);
    }
    let create = server.call("PUT", "/.ml-anomalies-moved/_create/mine", &bucket(0, 1.0));
    create.assert_error(
        409,
        "version_conflict_engine_exception",
        "document already exists",
    );
    let wrong =
        json!({"job_id": JOB, "result_type": "bucket", "timestamp": "soon", "bucket_span": 1});
    index(&server, ".ml-anomalies-moved", "wrong", &wrong).assert_error(
        400,
        "document_parsing_exception",
        "failed to parse field [timestamp] of type [date] in document with id 'wrong'",
    );
    index(&server, "logs", "1", &json!({})).assert_error(
        404,
        "index_not_found_exception",
        "no such index [logs]",
    );
}

#[test]
fn a_bulk_of_an_old_clusters_results_can_be_sent_again() {
    let server = server();
    let record = json!({
        "job_id": JOB, "result_type": "record", "timestamp": T, "bucket_span": 3600, "record_score": 80.0,
        "by_field_name": "airline", "by_field_value": "AAL", "actual": 3, "influencers": [
            {"influencer_field_name": "host", "influencer_field_values": ["a", "b"]}
        ]
    });
    let mut lines = vec![];
    let mut add = |id: &str, document: Value| {
        lines.push(json!({"index": {"_index": ".ml-anomalies-moved", "_id": id}}));
        lines.push(document);
    };
    for day in 0..5 {
        add(&format!("bucket-{day}"), bucket(day, day as f64));
    }
    add("record-1", record.clone());
    add(
        "record-2",
        json!({"job_id": JOB, "result_type": "record", "timestamp": T, "bucket_span": 3600}),
    );
    let influencer = json!({
        "job_id": JOB, "result_type": "influencer", "timestamp": T, "bucket_span": 3600, "influencer_field_name": "host",
        "influencer_field_value": "a", "influencer_score": 7
    });
    add("influencer", influencer);
    add(
        "category",
        json!({"job_id": JOB, "category_id": 4, "terms": "link up", "examples": "link up"}),
    );
    add(
        "moved_data_counts",
        json!({"job_id": JOB, "processed_record_count": 12, "latest_record_timestamp": "2016-06-05T00:00:00Z"}),
    );
    add(
        "moved_model_size_stats_2",
        json!({"job_id": JOB, "result_type": "model_size_stats", "model_bytes": 77, "log_time": 2_000}),
    );
    add(
        "moved_model_size_stats_1",
        json!({"job_id": JOB, "result_type": "model_size_stats", "model_bytes": 55, "log_time": 1_000}),
    );
    add(
        "moved_model_forecast_f_1",
        json!({"job_id": JOB, "result_type": "model_forecast", "forecast_id": "f", "timestamp": T, "bucket_span": 3600,
               "forecast_lower": 1.0, "forecast_upper": 3.0, "forecast_prediction": 2.0}),
    );
    add(
        "moved_model_forecast_request_stats_f",
        json!({"job_id": JOB, "result_type": "model_forecast_request_stats", "forecast_id": "f",
               "forecast_status": "finished", "processed_record_count": 1}),
    );
    for round in 0..2 {
        let reply = bulk(&server, "/_bulk", &lines);
        assert_eq!(
            (reply.status, &reply.body["errors"]),
            (200, &json!(false)),
            "{}",
            reply.text
        );
        let items = reply.body["items"].as_array().expect("items");
        assert_eq!(items.len(), lines.len() / 2);
        if round == 1 {
            assert!(
                items
                    .iter()
                    .all(|item| item["index"]["result"] == "updated"),
                "{}",
                reply.text
            );
        }
        assert_eq!(results(&server, "buckets")["count"], 5);
        let records = results(&server, "records");
        assert_eq!(records["count"], 2);
        let first = &records["records"][0];
        assert_eq!(
            (&first["airline"], &first["host"], &first["actual"]),
            (&json!(["AAL"]), &json!(["a", "b"]), &json!([3.0]))
        );
        assert_eq!(
            results(&server, "influencers")["influencers"][0]["host"],
            json!(["a"])
        );
        let categories = results(&server, "categories");
        assert_eq!(categories["count"], 1);
        assert_eq!(categories["categories"][0]["examples"], json!(["link up"]));
        let stats = server.stats(JOB);
        assert_eq!(stats["data_counts"]["processed_record_count"], 12);
        assert_eq!(stats["data_counts"]["latest_record_timestamp"], T + 4 * DAY);
        assert_eq!(
            stats["model_size_stats"]["model_bytes"], 77,
            "the newest of them"
        );
        assert_eq!(stats["forecasts_stats"]["total"], 1);
        let points = results(&server, "forecasts/f");
        assert_eq!(points["count"], 1, "{points}");
    }
}

#[test]
fn a_bulk_answers_for_each_of_its_documents() {
    let server = server();
    let lines = [
        json!({"create": {"_id": "a"}}),
        bucket(0, 1.0),
        json!({"create": {"_id": "a"}}),
        bucket(1, 1.0),
        json!({"index": {"_id": "b"}}),
        json!({"job_id": JOB, "result_type": "bucket", "timestamp": T, "bucket_span": "long"}),
        json!({"index": {"_index": "logs"}}),
        json!({}),
        json!({"index": {}}),
        bucket(2, 1.0),
    ];
    let reply = bulk(&server, "/.ml-anomalies-moved/_bulk?refresh=true", &lines);
    assert_eq!(
        (reply.status, &reply.body["errors"]),
        (200, &json!(true)),
        "{}",
        reply.text
    );
    let items = reply.body["items"].as_array().expect("items");
    let told: Vec<(i64, &str)> = items
        .iter()
        .map(|item| item.get("index").unwrap_or(&item["create"]))
        .map(|item| {
            let what = item["result"].as_str().or(item["error"]["type"].as_str());
            (
                item["status"].as_i64().expect("a status"),
                what.expect("a word"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (201, "created"),
            (409, "version_conflict_engine_exception"),
            (400, "document_parsing_exception"),
            (404, "index_not_found_exception"),
            (201, "created"),
        ]
    );
    assert_eq!(results(&server, "buckets")["count"], 2);
    bulk(&server, "/_bulk", &[json!({"index": {"_id": "a"}})]).assert_error(
        400,
        "action_request_validation_exception",
        "index is missing",
    );
    bulk(&server, "/_bulk", &[json!({"send": {}})]).assert_error(
        400,
        "illegal_argument_exception",
        "found [send]",
    );
    bulk(&server, "/_bulk", &[]).assert_error(
        400,
        "action_request_validation_exception",
        "no requests added",
    );
}

#[test]
fn what_was_written_stays_beside_what_the_engine_finds() {
    let server = server();
    let start = (START * 1_000) as i64;
    let document = |time: i64| json!({"job_id": JOB, "result_type": "record", "timestamp": time, "bucket_span": 300, "record_score": 50.0});
    for (id, time) in [("before", start - DAY), ("within", start)] {
        assert_eq!(
            index(&server, ".ml-anomalies-moved", id, &document(time)).status,
            201
        );
    }
    server.ok("POST", &Client::job_path(JOB, "/_open"), &Value::Null);
    server.post_data(JOB, &Traffic::generate(3, 3, 50).bytes);
    server.flush(JOB);
    let before = format!("records?end={start}");
    assert_eq!(results(&server, &before)["count"], 1);
    // The engine's bucket takes the place of what was there of its time.
    let within = format!("records?start={start}&end={}", start + 1);
    assert_eq!(results(&server, &within)["count"], 0);
    let buckets = results(&server, "buckets");
    let count = buckets["count"].as_i64().expect("a count");
    assert!(count > 40, "{count}");
    // A document can be written beside the engine's, and over it by the name that it has.
    assert_eq!(
        index(&server, ".ml-anomalies-moved", "beside", &document(start)).status,
        201
    );
    assert_eq!(results(&server, &within)["count"], 1);
    let first = &buckets["buckets"][0];
    let id = format!("{JOB}_bucket_{start}_{}", first["bucket_span"]);
    let mut changed = first.clone();
    changed["anomaly_score"] = json!(99.0);
    let reply = index(&server, ".ml-anomalies-moved", &id, &changed);
    assert_eq!(reply.body["result"], "updated", "{}", reply.text);
    let now = results(&server, "buckets");
    assert_eq!(now["count"], count);
    assert_eq!(now["buckets"][0]["anomaly_score"], 99.0);
}

/// A server with results of two jobs, an annotation and a state.
fn filled() -> Server {
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

fn search(server: &Server, index: &str, body: &Value) -> Value {
    server.ok("POST", &format!("/{index}/_search"), body)
}

fn ids(found: &Value) -> String {
    let hits = found["hits"]["hits"].as_array().expect("hits");
    let ids: Vec<&str> = hits
        .iter()
        .map(|hit| hit["_id"].as_str().expect("an id"))
        .collect();
    ids.join(" ")
}

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
        reply.assert_error(400, kind, reason);
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
    let refused = json!({"aggs": {"a": {"geo_bounds": {"field": "x"}}}});
    let reply = server.call("POST", "/.ml-anomalies-*/_search", &refused);
    reply.assert_error(
        400,
        "parsing_exception",
        "Unknown aggregation type [geo_bounds]",
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
fn a_job_is_not_made_over_what_another_left_and_peoples_notes_outlive_it() {
    let server = Server::start(&[]);
    let old = json!({"job_id": JOB, "result_type": "bucket", "timestamp": T, "bucket_span": 3600});
    // The index where the results of the job are going to be.
    let config = traffic::job_config();
    let index_name = match config["results_index_name"].as_str() {
        Some(name) => format!(".ml-anomalies-custom-{name}"),
        None => ".ml-anomalies-shared".to_owned(),
    };
    index(&server, &index_name, "old", &old);
    index(
        &server,
        ".ml-state",
        &format!("{JOB}_quantiles"),
        &json!({}),
    );
    let put = || server.call("PUT", &Client::job_path(JOB, ""), &config);
    put().assert_error(
        409,
        "status_exception",
        &format!(
            "[1] result and [1] state documents exist for a prior job with Id [{JOB}]. Please create the job with a \
             different Id"
        ),
    );
    assert_eq!(server.delete(&format!("/{index_name}/_doc/old")).0, 200);
    let state = format!("/.ml-state/_doc/{JOB}_quantiles");
    assert_eq!(server.delete(&state).0, 200);
    assert_eq!(put().status, 200);

    for (id, by) in [("own", "_xpack"), ("ann's", "ann")] {
        let note = json!({"job_id": JOB, "annotation": id, "timestamp": T, "create_username": by, "type": "annotation"});
        index(&server, ".ml-annotations-write", id, &note);
    }
    let left = || {
        let found = server.ok("GET", "/.ml-annotations-read/_count", &Value::Null);
        found["count"].as_i64()
    };
    assert_eq!(left(), Some(2));
    server.ok("DELETE", &Client::job_path(JOB, ""), &Value::Null);
    assert_eq!(left(), Some(1));
    assert_eq!(server.get("/.ml-annotations-read/_doc/ann's").0, 200);
    assert_eq!(put().status, 200, "notes are no results");
    let path = Client::job_path(JOB, "?delete_user_annotations=true");
    server.ok("DELETE", &path, &Value::Null);
    assert_eq!(left(), Some(0));
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
fn snapshots_of_an_old_cluster_are_told_of() {
    let server = server();
    let write = |id: &str, document: Value| {
        let reply = index(&server, ".ml-anomalies-moved", id, &document);
        assert_eq!(reply.status, 201, "{}", reply.text);
    };
    write(
        "moved-1",
        json!({"job_id": JOB, "snapshot_id": "1", "timestamp": "2016-06-02T00:00:00Z", "snapshot_doc_count": 1}),
    );
    write(
        "moved_model_snapshot_2",
        json!({"job_id": JOB, "snapshot_id": "2", "timestamp": T, "snapshot_doc_count": 2, "retain": true,
               "description": "kept", "model_size_stats": {"model_bytes": 10, "log_time": "2016-06-01T00:00:00Z"},
               "quantiles": {"job_id": JOB, "quantile_state": "old"}}),
    );
    let path = Client::job_path(JOB, "/model_snapshots");
    let snapshots = server.ok("GET", &path, &Value::Null);
    assert_eq!(snapshots["count"], 2, "{snapshots}");
    let [newer, older] = [0, 1].map(|at| snapshots["model_snapshots"][at].clone());
    assert_eq!(
        newer,
        json!({"job_id": JOB, "min_version": "6.3.0", "timestamp": T + DAY, "snapshot_id": "1", "snapshot_doc_count": 1,
               "retain": false})
    );
    assert_eq!(
        (&older["description"], &older["retain"]),
        (&json!("kept"), &json!(true))
    );
    assert_eq!(older["model_size_stats"]["model_bytes"], 10);
    assert_eq!(older["quantiles"], Value::Null);
    let updated = server.ok(
        "POST",
        &format!("{path}/1/_update"),
        &json!({"description": "named"}),
    );
    assert_eq!(updated["model"]["description"], "named");
    // Without a name and a body, a document is told of by its snapshot.
    let found = server.ok(
        "GET",
        "/.ml-anomalies-moved/_doc/moved_model_snapshot_1",
        &Value::Null,
    );
    assert_eq!(found["_source"]["description"], "named");
    assert_eq!(
        server.ok("DELETE", &format!("{path}/2"), &Value::Null)["acknowledged"],
        true
    );
    assert_eq!(
        server
            .get("/.ml-anomalies-moved/_doc/moved_model_snapshot_2")
            .0,
        404
    );
}

#[test]
fn buckets_are_expanded_by_their_records() {
    let server = server();
    let record = |id: &str, probability: f64, score: f64, by: &str| {
        let document = json!({
            "job_id": JOB, "result_type": "record", "timestamp": T, "bucket_span": 3600, "record_score": score,
            "probability": probability, "by_field_name": "airline", "by_field_value": by, "is_interim": true
        });
        assert_eq!(
            index(&server, ".ml-anomalies-moved", id, &document).status,
            201
        );
    };
    record("common", 0.02, 50.0, "b");
    record("rare", 0.001, 50.0, "a");
    record("scored", 0.03, 60.0, "c");
    let mut with_influencers = bucket(0, 50.0);
    with_influencers["bucket_influencers"] =
        json!([{"influencer_field_name": "bucket_time", "anomaly_score": 50.0}]);
    with_influencers["is_interim"] = json!(true);
    assert_eq!(
        index(&server, ".ml-anomalies-moved", "told", &with_influencers).status,
        201
    );
    assert_eq!(
        index(&server, ".ml-anomalies-moved", "quiet", &bucket(1, 0.0)).status,
        201
    );
    let all = results(&server, "buckets?expand=true");
    let values = |records: &Value| -> Vec<String> {
        let records = records.as_array().expect("records");
        records
            .iter()
            .map(|record| {
                record["by_field_value"]
                    .as_str()
                    .expect("a value")
                    .to_owned()
            })
            .collect()
    };
    // The most unusual first; a bucket with nothing to tell has no records.
    assert_eq!(values(&all["buckets"][0]["records"]), ["a", "b", "c"]);
    assert_eq!(all["buckets"][1].get("records"), None);
    // Records of one score are in the order of their values, with the score's direction.
    assert_eq!(
        values(&results(&server, "records")["records"]),
        ["c", "b", "a"]
    );
    assert_eq!(
        values(&results(&server, "records?desc=false")["records"]),
        ["a", "b", "c"]
    );
    // One bucket is told though it is interim; its records are not.
    let one = results(
        &server,
        &format!("buckets/{T}?expand=true&exclude_interim=true"),
    );
    assert_eq!(
        (&one["count"], one["buckets"][0].get("records")),
        (&json!(1), None)
    );
    assert_eq!(results(&server, "buckets?exclude_interim=true")["count"], 1);
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
