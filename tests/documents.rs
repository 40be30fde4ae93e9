//! Results of an old cluster are written as documents, and served as results.

mod support;

use serde_json::{Value, json};
use support::documents::{DAY, JOB, T, bucket, bulk, index, results, server};
use support::traffic::{self, START, Traffic};
use support::{Client, Server};

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
    // What is no index of results is an index of the user's own.
    assert_eq!(index(&server, "logs", "1", &json!({})).status, 201);
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
            (201, "created"),
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
