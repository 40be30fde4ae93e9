//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: detectors over the past, in real time and tried
//! out, and what they find.

mod support;

use serde_json::{Value, json};
use support::opensearch::{
    DISTRO, GUARD, MINUTE, PLUGINS, START, add_orders, create, definition, id, mapped, refused,
    up_to_now, with,
};
use support::{Client, Server, wait_until};

/// Runs the past of a detector, and waits for the end: the task.
fn analyse(client: &Client, base: &str, id: &str, minutes: i64) -> Value {
    let range = json!({"start_time": START, "end_time": START + minutes * MINUTE});
    let started = client.ok("POST", &format!("{base}/{id}/_start"), &range);
    wait_until("the past is analysed", || {
        let got = client.ok("GET", &format!("{base}/{id}?task=true"), &Value::Null);
        let task = got["historical_analysis_task"].clone();
        assert_eq!(task["task_id"], started["_id"]);
        let state = task["state"].as_str().expect("a state");
        assert_ne!(state, "FAILED");
        (state == "FINISHED").then_some(task)
    })
}

fn hits(client: &Client, base: &str, body: &Value) -> Vec<Value> {
    let found = client.ok("POST", &format!("{base}/results/_search"), body);
    let hits = found["hits"]["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["_source"].clone()).collect()
}

/// So many minutes of orders, in one of which the north sells too much.
const MINUTES: i64 = 400;
const WORST: i64 = 350;

fn server_with_anomaly() -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    add_orders(&server, "shops-1", START, MINUTES, Some(WORST));
    server
}

#[test]
fn the_past_is_analysed_as_a_task_and_its_anomaly_found() {
    let server = server_with_anomaly();
    let detector = create(&server, GUARD, &definition("orders"));
    let detector_id = id(&detector);
    let task = analyse(&server, GUARD, detector_id, MINUTES);
    assert_eq!(task["task_type"], "HISTORICAL_SINGLE_ENTITY");
    assert_eq!(task["task_progress"], 1.0);
    assert_eq!(task["init_progress"], 1.0);
    assert_eq!(task["detector"]["name"], "orders");
    assert_eq!(
        task["detection_date_range"],
        json!({"start_time": START, "end_time": START + MINUTES * MINUTE})
    );
    let at = START + WORST * MINUTE;
    let anomalies = json!({
        "query": {"bool": {"filter": [
            {"term": {"detector_id": detector_id}}, {"range": {"anomaly_grade": {"gt": 0}}}
        ]}},
        "sort": [{"anomaly_grade": "desc"}], "size": 1
    });
    let found = hits(&server, GUARD, &anomalies);
    let worst = &found[0];
    assert_eq!(worst["data_start_time"], at, "{worst}");
    assert_eq!(worst["data_end_time"], at + MINUTE);
    assert_eq!(worst["task_id"], task["task_id"]);
    assert_eq!(worst["model_id"], format!("{detector_id}_model_rcf_0"));
    let feature_id = &detector["anomaly_detector"]["feature_attributes"][0]["feature_id"];
    let data = worst["feature_data"][0]["data"].as_f64().expect("a number");
    assert!(data > 5_000.0, "{worst}");
    assert_eq!(
        worst["feature_data"],
        json!([{"feature_id": feature_id, "feature_name": "revenue", "data": data}])
    );
    assert_eq!(
        worst["relevant_attribution"],
        json!([{"feature_id": feature_id, "data": 1.0}])
    );
    let expected = &worst["expected_values"][0]["value_list"][0];
    assert_eq!(expected["feature_id"], *feature_id);
    assert!(expected["data"].as_f64().expect("a number") < 500.0);
    for field in [
        "anomaly_score",
        "confidence",
        "threshold",
        "approx_anomaly_start_time",
    ] {
        assert!(worst[field].is_number(), "{field}");
    }
    // By time, and not among those of real time.
    let within = |bounds: Value| {
        json!({"query": {"bool": {
            "filter": [{"range": {"data_end_time": bounds}}], "must_not": [{"exists": {"field": "entity"}}]
        }}})
    };
    let one = hits(
        &server,
        PLUGINS,
        &within(json!({"gt": at, "lte": at + MINUTE})),
    );
    assert_eq!(one.len(), 1);
    assert_eq!(one[0]["anomaly_grade"], worst["anomaly_grade"]);
    let real_time = json!({"query": {"bool": {"must_not": [{"exists": {"field": "task_id"}}]}}});
    assert!(hits(&server, DISTRO, &real_time).is_empty());
    // As Open Distro had it at first.
    let early = server.ok(
        "GET",
        "/_opendistro/_anomaly_detection/results/_search",
        &anomalies,
    );
    assert_eq!(early["hits"]["hits"][0]["_source"]["start_time"], at);
    let index = early["hits"]["hits"][0]["_index"].as_str().expect("a name");
    assert!(
        index.starts_with(".opendistro-anomaly-results-history-"),
        "{index}"
    );
    // The indices that they are said to be in can be searched as such.
    for index in [
        index,
        ".opendistro-anomaly-results*",
        ".searchguard-ad-results-history-2024.01.01-1",
    ] {
        let found = server.ok("POST", &format!("/{index}/_search"), &anomalies);
        assert_eq!(
            found["hits"]["hits"][0]["_source"]["data_start_time"], at,
            "{index}"
        );
    }
    let found = server.ok(
        "GET",
        "/.opendistro-anomaly-detectors/_search",
        &Value::Null,
    );
    assert_eq!(found["hits"]["hits"][0]["_id"], *detector_id);
    let found = server.ok("GET", "/.searchguard-ad-state/_search", &Value::Null);
    assert_eq!(found["hits"]["hits"][0]["_id"], task["task_id"]);
    // Every other client sees it too.
    let records = server.ok(
        "GET",
        &format!(
            "/_ml/anomaly_detectors/{}/results/records",
            task["task_id"].as_str().expect("an id")
        ),
        &json!({"sort": "record_score", "desc": true}),
    );
    assert_eq!(records["records"][0]["timestamp"], at);
    // It is among the tasks, the statistics, and in the profile.
    let tasks = server.ok(
        "POST",
        &format!("{GUARD}/tasks/_search"),
        &json!({"query": {"term": {"state": "FINISHED"}}}),
    );
    assert_eq!(tasks["hits"]["hits"][0]["_id"], task["task_id"]);
    let profile = server.ok(
        "GET",
        &format!("{GUARD}/{detector_id}/_profile/ad_task"),
        &Value::Null,
    );
    let profiled = &profile["ad_task"];
    assert_eq!(profiled["ad_task"]["task_id"], task["task_id"]);
    assert_eq!(profiled["rcf_total_updates"], MINUTES);
    assert_eq!(profiled["shingle_size"], 8);
    assert_eq!(profiled["threshold_model_trained"], true);
    let stats = server.ok("GET", "/_anomaly_detection/api/stats/", &Value::Null);
    assert_eq!(stats["single_entity_detector_count"], 1);
    let node = stats["nodes"]
        .as_object()
        .expect("nodes")
        .values()
        .next()
        .expect("one");
    assert_eq!(node["ad_total_batch_task_execution_count"], 1);
    // Deleted by a query, and then with the detector.
    let worse = json!({"query": {"range": {"anomaly_grade": {"gt": 0}}}});
    let gone = server.ok("DELETE", &format!("{PLUGINS}/results"), &worse);
    assert!(gone["deleted"].as_u64().expect("a number") > 0, "{gone}");
    assert!(hits(&server, PLUGINS, &worse).is_empty());
    assert!(!hits(&server, PLUGINS, &json!({})).is_empty());
    server.ok("DELETE", &format!("{GUARD}/{detector_id}"), &Value::Null);
    assert!(hits(&server, PLUGINS, &json!({})).is_empty());
    assert_eq!(
        server.ok("GET", "/_ml/anomaly_detectors", &Value::Null)["count"],
        0
    );
}

#[test]
fn entities_have_forests_of_their_own() {
    let server = server_with_anomaly();
    let by_shop = with(
        definition("shops"),
        "category_field",
        json!(["shop", "city"]),
    );
    let detector = create(&server, PLUGINS, &by_shop);
    let detector_id = id(&detector);
    assert_eq!(
        detector["anomaly_detector"]["detector_type"],
        "MULTI_ENTITY"
    );
    let task = analyse(&server, PLUGINS, detector_id, MINUTES);
    assert_eq!(task["task_type"], "HISTORICAL_HC_DETECTOR");
    let of_north = json!({"query": {"bool": {"filter": [
        {"range": {"anomaly_grade": {"gt": 0}}},
        {"nested": {"path": "entity", "query": {"term": {"entity.value": "north"}}}}
    ]}}, "sort": [{"anomaly_grade": "desc"}]});
    let found = hits(&server, PLUGINS, &of_north);
    assert_eq!(found[0]["data_start_time"], START + WORST * MINUTE);
    assert_eq!(
        found[0]["entity"],
        json!([{"name": "shop", "value": "north"}, {"name": "city", "value": "here"}])
    );
    let top = |body: Value| {
        server.call(
            "GET",
            &format!("{PLUGINS}/{detector_id}/results/_topAnomalies?historical=true"),
            &body,
        )
    };
    let range = json!({"start_time_ms": START, "end_time_ms": START + MINUTES * MINUTE});
    let answer = top(with(range.clone(), "category_field", json!(["shop"])));
    let first = &answer.body["buckets"][0];
    assert_eq!(first["key"], json!({"shop": "north"}), "{}", answer.text);
    assert_eq!(first["max_anomaly_grade"], found[0]["anomaly_grade"]);
    assert!(first["doc_count"].as_u64() >= Some(1));
    // Numbers may be texts.
    let texts = json!({
        "start_time_ms": START.to_string(), "end_time_ms": (START + MINUTES * MINUTE).to_string(), "size": "1"
    });
    let answer = top(texts);
    let all = answer.body["buckets"].as_array().expect("buckets");
    assert_eq!(
        (all.len(), &all[0]["key"]["shop"]),
        (1, &json!("north")),
        "{}",
        answer.text
    );
    for (body, reason) in [
        (
            json!({}),
            "Must set both start time and end time with epoch of milliseconds",
        ),
        (
            json!({"start_time_ms": 2, "end_time_ms": 2}),
            "Start time should be before end time",
        ),
    ] {
        let reason = format!("Validation Failed: 1: {reason};");
        refused(
            &top(body),
            400,
            "action_request_validation_exception",
            &reason,
        );
    }
    for (body, reason) in [
        (
            with(range.clone(), "category_field", json!(["who"])),
            format!("Category field who doesn't exist for detector ID {detector_id}"),
        ),
        (
            with(range.clone(), "order", json!("name")),
            "Ordering by name is not a valid option".to_owned(),
        ),
        (
            with(range.clone(), "size", json!(1001)),
            "Size cannot exceed 1000".to_owned(),
        ),
        (
            with(range.clone(), "size", json!("many")),
            "Size must be a positive integer".to_owned(),
        ),
    ] {
        refused(&top(body), 400, "illegal_argument_exception", &reason);
    }
}

#[test]
fn a_preview_tells_what_would_be_found_and_leaves_nothing() {
    let server = server_with_anomaly();
    let detector = create(&server, GUARD, &definition("orders"));
    let period = json!({"period_start": START, "period_end": START + MINUTES * MINUTE});
    let defined = with(period.clone(), "detector", definition("tried"));
    let by_body = with(period.clone(), "detector_id", detector["_id"].clone());
    let by_path = format!("{GUARD}/{}/_preview", id(&detector));
    let plain = format!("{GUARD}/_preview");
    for (path, body, name, detector_id) in [
        (&plain, &defined, "tried", Value::Null),
        (&plain, &by_body, "orders", detector["_id"].clone()),
        (&by_path, &period, "orders", detector["_id"].clone()),
    ] {
        let told = server.ok("POST", path, body);
        assert_eq!(told["anomaly_detector"]["name"], name);
        let all = told["anomaly_result"].as_array().expect("results");
        assert_eq!(all.len(), usize::try_from(MINUTES).expect("a number"));
        assert_eq!(all[0]["anomaly_grade"], 0.0);
        assert_eq!(all[0]["confidence"], 0.0);
        assert_eq!(all[0]["detector_id"], detector_id);
        assert_eq!(all[0]["feature_data"][0]["feature_name"], "revenue");
        let grade = |result: &Value| result["anomaly_grade"].as_f64().expect("a number");
        let worst = all.iter().max_by(|a, b| grade(a).total_cmp(&grade(b)));
        assert_eq!(
            worst.expect("one")["data_start_time"],
            START + WORST * MINUTE
        );
    }
    assert_eq!(
        server.ok("GET", "/_ml/anomaly_detectors", &Value::Null)["count"],
        1
    );
    // A number may be of a part of the documents.
    let mut of_north = definition("north");
    of_north["feature_attributes"][0]["aggregation_query"] = json!({"in_north": {
        "filter": {"term": {"shop": "north"}}, "aggs": {"sold": {"max": {"field": "amount"}}}
    }});
    let tried = server.ok("POST", &plain, &with(period.clone(), "detector", of_north));
    let data = &tried["anomaly_result"][usize::try_from(WORST).expect("a place")]["feature_data"];
    assert_eq!(data[0]["data"], 5_000.0, "{tried}");
    let bad = |body: Value, status, reason| {
        let reply = server.call("POST", &plain, &body);
        refused(&reply, status, "status_exception", reason);
    };
    let both = "Must set both period start and end date with epoch of milliseconds";
    bad(json!({"period_start": 1}), 400, both);
    let order = "Period start date should be before end date";
    bad(json!({"period_start": 2, "period_end": 1}), 400, order);
    bad(period.clone(), 400, "Must set detector id or detector");
    let nobody = with(period.clone(), "detector_id", json!("nobody"));
    bad(nobody, 404, "Can't find anomaly detector with id:nobody");
    let none = with(definition("x"), "feature_attributes", json!([]));
    bad(
        with(period, "detector", none),
        400,
        "Can't preview detector without feature",
    );
}

#[test]
fn a_detector_runs_in_real_time_from_its_start_to_its_stop() {
    let server = up_to_now(120, None);
    let detector = create(&server, PLUGINS, &definition("orders"));
    let path = format!("{PLUGINS}/{}", id(&detector));
    let legacy = format!("{GUARD}/{}", id(&detector));
    let profile = server.ok("GET", &format!("{path}/_profile"), &Value::Null);
    assert_eq!(profile, json!({"state": "DISABLED"}));
    // Never started: newer servers say nothing of it.
    assert_eq!(
        server.ok("POST", &format!("{path}/_stop"), &Value::Null),
        json!({"_id": detector["_id"]})
    );
    let reply = server.call("POST", &format!("{legacy}/_stop"), &Value::Null);
    let reason = format!("Anomaly detector job not exist: {}", id(&detector));
    refused(&reply, 400, "status_exception", &reason);
    assert_eq!(
        server.ok("POST", &format!("{path}/_start"), &Value::Null),
        json!({"_id": detector["_id"]})
    );
    let reply = server.call("POST", &format!("{path}/_start"), &Value::Null);
    let reason = format!("Anomaly detector job is already running: {}", id(&detector));
    refused(&reply, 200, "status_exception", &reason);
    for (base, reason) in [
        (&path, "Job is running"),
        (&legacy, "Detector job is running"),
    ] {
        let reason = format!("{reason}: {}", id(&detector));
        refused(
            &server.call("DELETE", base, &Value::Null),
            400,
            "status_exception",
            &reason,
        );
        let reply = server.call("PUT", base, &definition("orders"));
        refused(&reply, 400, "status_exception", &reason);
    }
    // The past that it reads first is enough for it to judge.
    let profile = wait_until("it has learnt", || {
        let profile = server.ok("GET", &format!("{path}/_profile?_all=true"), &Value::Null);
        (profile["state"] == "RUNNING").then_some(profile)
    });
    assert_eq!(profile["init_progress"], json!({"percentage": "100%"}));
    assert_eq!(profile["model_count"], 1);
    assert_eq!(
        profile["models"][0]["model_id"],
        format!("{}_model_rcf_0", id(&detector))
    );
    assert!(
        profile["total_size_in_bytes"].as_u64() > Some(0),
        "{profile}"
    );
    let got = server.ok("GET", &format!("{legacy}?job=true&task=true"), &Value::Null);
    let job = &got["anomaly_detector_job"];
    assert_eq!(
        (&job["enabled"], &job["name"]),
        (&json!(true), &detector["_id"])
    );
    assert_eq!(
        job["schedule"]["interval"]["start_time"],
        job["enabled_time"]
    );
    assert_eq!(job["lock_duration_seconds"], 60);
    assert_eq!(
        got["realtime_detection_task"]["task_type"],
        "REALTIME_SINGLE_ENTITY"
    );
    assert_eq!(got["realtime_detection_task"]["state"], "RUNNING");
    let stopped = server.ok("POST", &format!("{legacy}/_stop"), &Value::Null);
    assert_eq!(
        stopped,
        json!({"_id": detector["_id"], "_version": 0, "_seq_no": 0, "_primary_term": 0})
    );
    let reply = server.call("POST", &format!("{path}/_stop"), &Value::Null);
    let reason = format!("job is already stopped: {}", id(&detector));
    refused(&reply, 200, "status_exception", &reason);
    let got = server.ok("GET", &format!("{path}?job=true&task=true"), &Value::Null);
    assert_eq!(got["anomaly_detector_job"]["enabled"], false);
    assert!(got["anomaly_detector_job"]["disabled_time"].is_i64());
    assert_eq!(got["realtime_task"]["state"], "STOPPED");
    let reply = server.call("GET", &format!("{path}/_profile/other"), &Value::Null);
    let reason = "profiles to collect are missing or invalid";
    refused(&reply, 400, "illegal_argument_exception", reason);
    server.ok("DELETE", &path, &Value::Null);
}

#[test]
fn entities_are_profiled_as_the_documents_say() {
    let server = up_to_now(200, None);
    let by_shop = with(definition("shops"), "category_field", json!(["shop"]));
    let detector = create(&server, GUARD, &by_shop);
    let path = format!("{GUARD}/{}", id(&detector));
    let started = server.ok("POST", &format!("{path}/_start"), &Value::Null);
    assert_eq!(
        started,
        json!({"_id": detector["_id"], "_version": 1, "_seq_no": 0, "_primary_term": 1})
    );
    let profile = wait_until("they have learnt", || {
        let profile = server.ok("GET", &format!("{path}/_profile?_all=true"), &Value::Null);
        (profile["state"] == "RUNNING").then_some(profile)
    });
    assert_eq!(
        (&profile["total_entities"], &profile["active_entities"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(profile["model_count"], 2);
    let entity = json!([{"name": "shop", "value": "north"}]);
    let by_body = server.ok(
        "GET",
        &format!("{path}/_profile?_all=true"),
        &json!({"entity": entity}),
    );
    assert_eq!(by_body["is_active"], true);
    assert_eq!(by_body["init_progress"], json!({"percentage": "100%"}));
    assert_eq!(by_body["state"], "RUNNING");
    let models = profile["models"].as_array().expect("models");
    let own = models
        .iter()
        .find(|model| model["entity"] == entity)
        .expect("its model");
    assert_eq!(by_body["model"]["model_id"], own["model_id"]);
    let seen = by_body["last_sample_timestamp"].as_i64().expect("a time");
    assert_eq!(by_body["last_active_timestamp"], seen + MINUTE);
    let by_path = server.ok(
        "GET",
        &format!("{path}/_profile/state?category_field=shop&entity=south"),
        &Value::Null,
    );
    assert_eq!(by_path, json!({"state": "RUNNING"}));
    let nobody = json!({"entity": [{"name": "shop", "value": "east"}]});
    let reply = server.call("POST", &format!("{path}/_profile"), &nobody);
    refused(
        &reply,
        400,
        "illegal_argument_exception",
        "Cannot find entity",
    );
    let unknown = json!({"entity": [{"name": "city", "value": "here"}]});
    let reply = server.call("POST", &format!("{path}/_profile"), &unknown);
    let reason = "Cannot find shop";
    refused(&reply, 400, "illegal_argument_exception", reason);
    let got = server.ok("GET", &format!("{path}?task=true"), &Value::Null);
    assert_eq!(
        got["realtime_detection_task"]["task_type"],
        "REALTIME_HC_DETECTOR"
    );
    // No data of now, and so no anomalies: the entities with most of them are none.
    let range = json!({"start_time_ms": START, "end_time_ms": START + 1});
    let top = format!("{path}/results/_topAnomalies");
    assert_eq!(server.ok("POST", &top, &range), json!({"buckets": []}));
    let reply = server.call("POST", &format!("{top}?historical=true"), &range);
    let reason = format!(
        "No historical tasks found for detector ID {}",
        id(&detector)
    );
    refused(&reply, 400, "resource_not_found_exception", &reason);
    server.ok("POST", &format!("{path}/_stop"), &Value::Null);
    // Of what doesn't run no model is told, nor of what has data and no results.
    let stopped = server.ok(
        "GET",
        &format!("{path}/_profile?_all=true"),
        &json!({"entity": entity}),
    );
    let told: Vec<&String> = stopped.as_object().expect("an object").keys().collect();
    assert_eq!(
        told,
        [
            "is_active",
            "last_active_timestamp",
            "last_sample_timestamp"
        ]
    );
    assert_eq!(stopped["is_active"], false);
    let new = create(&server, GUARD, &with(by_shop, "name", json!("new")));
    let profile = format!("{GUARD}/{}/_profile", id(&new));
    let profile = server.ok("GET", &profile, &json!({"entity": entity}));
    assert_eq!(profile, json!({}));
}
