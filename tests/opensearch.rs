//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: detectors made, shown, changed and found.

mod support;

use serde_json::{Value, json};
use support::opensearch::{
    DISTRO, GUARD, MINUTE, PLUGINS, START, add_orders, create, definition, id, now, refused,
    server, with,
};
use support::wait_until;

/// What is told, less what nobody can know before.
fn told(answer: &Value) -> Value {
    let mut told = answer["anomaly_detector"].clone();
    assert!(told["last_update_time"].as_i64().expect("a time") > START);
    told["last_update_time"] = 0.into();
    for feature in told["feature_attributes"].as_array_mut().expect("features") {
        assert_eq!(feature["feature_id"].as_str().expect("an id").len(), 20);
        feature["feature_id"] = "f".into();
    }
    told
}

fn feature() -> Value {
    json!({
        "feature_id": "f", "feature_name": "revenue", "feature_enabled": true,
        "aggregation_query": {"revenue_sum": {"sum": {"field": "amount"}}}
    })
}

fn told_filter() -> Value {
    json!({"bool": {
        "filter": [{"range": {"amount": {
            "from": 1, "to": null, "include_lower": false, "include_upper": true, "boost": 1.0
        }}}],
        "adjust_pure_negative": true, "boost": 1.0
    }})
}

#[test]
fn a_detector_is_told_as_each_dialect_tells_it() {
    let server = server();
    let created = server.call("POST", PLUGINS, &definition("orders"));
    assert_eq!(created.status, 201, "{}", created.text);
    let detector_id = id(&created.body);
    assert_eq!(
        created.header("location"),
        format!("/_opendistro/_anomaly_detection/{detector_id}")
    );
    assert_eq!(created.body["_version"], 1);
    assert_eq!(created.body["_seq_no"], 0);
    assert_eq!(created.body["_primary_term"], 1);
    let minute = json!({"period": {"interval": 1, "unit": "Minutes"}});
    let delay = json!({"period": {"interval": 30, "unit": "Seconds"}});
    let ratio = |kind: &str| json!({"feature_name": "revenue", "threshold_type": kind, "operator": "LTE", "value": 0.2});
    let expected = json!({
        "name": "orders", "description": "orders &amp; more", "time_field": "at", "indices": ["shops*"],
        "filter_query": told_filter(), "window_delay": delay, "shingle_size": 8, "schema_version": 0,
        "feature_attributes": [feature()], "recency_emphasis": 2560, "history": 40, "last_update_time": 0,
        "detection_interval": minute, "detector_type": "SINGLE_ENTITY",
        "rules": [{"action": "IGNORE_ANOMALY", "conditions": [
            ratio("ACTUAL_OVER_EXPECTED_RATIO"), ratio("EXPECTED_OVER_ACTUAL_RATIO")
        ]}]
    });
    assert_eq!(told(&created.body), expected);
    let got = server.ok("GET", &format!("{PLUGINS}/{detector_id}"), &Value::Null);
    assert_eq!(got["anomaly_detector"], created.body["anomaly_detector"]);
    let legacy = json!({
        "name": "orders", "description": "orders &amp; more", "time_field": "at", "indices": ["shops*"],
        "filter_query": told_filter(), "detection_interval": minute, "window_delay": delay, "shingle_size": 8,
        "schema_version": 0, "feature_attributes": [feature()], "last_update_time": 0,
        "detector_type": "SINGLE_ENTITY"
    });
    for base in [DISTRO, GUARD] {
        let got = server.ok("GET", &format!("{base}/{detector_id}"), &Value::Null);
        assert_eq!(told(&got), legacy, "{base}");
    }
    let head = server.call("HEAD", &format!("{GUARD}/{detector_id}"), &Value::Null);
    assert_eq!(head.status, 200);
    let head = server.call("HEAD", &format!("{GUARD}/nobody"), &Value::Null);
    assert_eq!(head.status, 404);
    // It is a job with a datafeed, as every other client sees it.
    let jobs = server.ok(
        "GET",
        &format!("/_ml/anomaly_detectors/{detector_id}"),
        &Value::Null,
    );
    let job = &jobs["jobs"][0];
    assert_eq!(job["analysis_config"]["bucket_span"], "60s");
    assert_eq!(job["analysis_config"]["detectors"][0]["function"], "sum");
    assert_eq!(
        job["analysis_config"]["detectors"][0]["field_name"],
        "revenue_sum"
    );
    assert_eq!(job["custom_settings"]["engine"], "random_cut_forest");
    let near = &job["custom_settings"]["random_cut_forest"]["ignore_near_expected"];
    assert_eq!(*near, json!([{"above_ratio": 0.2, "below_ratio": 0.2}]));
    assert_eq!(job["datafeed_config"]["query_delay"], "30s");
    // Deleting the job deletes the detector.
    server.ok(
        "DELETE",
        &format!("/_ml/anomaly_detectors/{detector_id}"),
        &Value::Null,
    );
    let gone = server.call("GET", &format!("{DISTRO}/{detector_id}"), &Value::Null);
    let reason = format!("Can't find detector with id: {detector_id}");
    refused(&gone, 404, "status_exception", &reason);
}

#[test]
fn updates_count_versions_and_guard_what_can_not_change() {
    let server = server();
    let detector = create(&server, PLUGINS, &definition("orders"));
    let path = format!("{PLUGINS}/{}", id(&detector));
    // In place: what is learnt stays as it is.
    let mut body = definition("orders");
    body["description"] = "another".into();
    body["filter_query"] = json!({"term": {"shop": "north"}});
    let updated = server.ok(
        "PUT",
        &format!("{path}?if_seq_no=0&if_primary_term=1"),
        &body,
    );
    assert_eq!(
        (&updated["_version"], &updated["_seq_no"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(updated["anomaly_detector"]["description"], "another");
    let jobs = server.ok(
        "GET",
        &format!("/_ml/anomaly_detectors/{}", id(&detector)),
        &Value::Null,
    );
    assert_eq!(jobs["jobs"][0]["description"], "another");
    assert_eq!(
        jobs["jobs"][0]["datafeed_config"]["query"],
        json!({"term": {"shop": "north"}})
    );
    // The whole of what was told can be sent back.
    let again = server.ok("PUT", &path, &updated["anomaly_detector"]);
    assert_eq!(again["_version"], 3);
    assert_eq!(
        again["anomaly_detector"]["filter_query"],
        updated["anomaly_detector"]["filter_query"]
    );
    let stale = server.call(
        "PUT",
        &format!("{path}?if_seq_no=0&if_primary_term=1"),
        &body,
    );
    let reason = format!(
        "There was a problem updating the config:[{}]",
        id(&detector)
    );
    refused(&stale, 400, "status_exception", &reason);
    // Other features are another job, under the same name to clients.
    body["feature_attributes"][0]["aggregation_query"] =
        json!({"most": {"max": {"field": "amount"}}});
    let changed = server.ok("PUT", &path, &body);
    assert_eq!(
        (&changed["_id"], &changed["_version"]),
        (&detector["_id"], &json!(4))
    );
    let jobs = server.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    assert_eq!(jobs["count"], 2);
    assert_eq!(
        jobs["jobs"][1]["analysis_config"]["detectors"][0]["function"],
        "max"
    );
    let got = server.ok("GET", &path, &Value::Null);
    assert_eq!(got["_version"], 4);
    let by_shop = with(body.clone(), "category_field", json!(["shop"]));
    let reply = server.call("PUT", &path, &by_shop);
    refused(
        &reply,
        400,
        "status_exception",
        "Can't change category field",
    );
    let legacy = format!("{GUARD}/{}", id(&detector));
    let reply = server.call("PUT", &legacy, &by_shop);
    refused(
        &reply,
        400,
        "status_exception",
        "Can't change detector category field",
    );
    let own = with(
        body.clone(),
        "result_index",
        json!("searchguard-ad-result-x"),
    );
    let reply = server.call("PUT", &legacy, &own);
    refused(
        &reply,
        400,
        "status_exception",
        "Can't change detector result index",
    );
    let reply = server.call("PUT", &format!("{PLUGINS}/nobody"), &body);
    refused(
        &reply,
        404,
        "status_exception",
        "Can't find config with id: nobody",
    );
    // It goes with its job, and goes once.
    let deleted = server.ok("DELETE", &legacy, &Value::Null);
    assert_eq!(
        deleted,
        json!({
            "_index": ".searchguard-ad-anomaly-detectors", "_id": detector["_id"], "_version": 5,
            "result": "deleted", "forced_refresh": true,
            "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 4, "_primary_term": 1
        })
    );
    let reply = server.call(
        "DELETE",
        &format!("{DISTRO}/{}", id(&detector)),
        &Value::Null,
    );
    assert_eq!(
        (reply.status, &reply.body["result"]),
        (404, &json!("not_found"))
    );
    assert_eq!(reply.body["_type"], "_doc");
    assert_eq!(
        server.ok("GET", "/_ml/anomaly_detectors", &Value::Null)["count"],
        0
    );
}

#[test]
fn detectors_are_searched_counted_and_matched() {
    let server = server();
    let first = create(
        &server,
        PLUGINS,
        &with(definition("Test.orders"), "indices", json!(["shops-1"])),
    );
    let by_shop = with(definition("by_shop"), "category_field", json!(["shop"]));
    let second = create(
        &server,
        PLUGINS,
        &with(by_shop, "ui_metadata", json!({"a": 1})),
    );
    let search = |base: &str, query: Value| {
        let found = server.ok("POST", &format!("{base}/_search"), &json!({"query": query}));
        let hits = found["hits"]["hits"].as_array().expect("hits").clone();
        let ids: Vec<Value> = hits.iter().map(|hit| hit["_id"].clone()).collect();
        (hits, ids)
    };
    let (hits, ids) = search(DISTRO, json!({"match": {"name": "test.orders"}}));
    assert_eq!(ids, [first["_id"].clone()]);
    assert_eq!(hits[0]["_index"], ".opendistro-anomaly-detectors");
    assert_eq!(hits[0]["_type"], "_doc");
    assert_eq!(
        (&hits[0]["_version"], &hits[0]["_seq_no"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(hits[0]["_source"]["indices"], json!(["shops-1"]));
    for query in [
        json!({"term": {"detector_type": "MULTI_ENTITY"}}),
        json!({"term": {"name.keyword": "by_shop"}}),
        json!({"exists": {"field": "category_field"}}),
        json!({"wildcard": {"name": {"value": "by*"}}}),
    ] {
        let (hits, ids) = search(GUARD, query.clone());
        assert_eq!(ids, [second["_id"].clone()], "{query}");
        assert_eq!(hits[0]["_index"], ".searchguard-ad-anomaly-detectors");
        assert!(hits[0]["_source"].get("ui_metadata").is_none());
    }
    let (_, ids) = search(GUARD, json!({"wildcard": {"indices": {"value": "shops*"}}}));
    assert_eq!(ids.len(), 2);
    let (_, ids) = search(
        PLUGINS,
        json!({"range": {"last_update_time": {"lt": START}}}),
    );
    assert!(ids.is_empty());
    let dashboards = server.send(
        "GET",
        &format!("{PLUGINS}/{}", id(&second)),
        &[("user-agent", "OpenSearch Dashboards/2.15")],
        None,
    );
    assert_eq!(
        dashboards.body["anomaly_detector"]["ui_metadata"],
        json!({"a": 1})
    );
    assert_eq!(
        server.ok("GET", &format!("{GUARD}/count"), &Value::Null)["count"],
        2
    );
    for (name, is_there) in [("by_shop", true), ("other", false)] {
        let told = server.ok("GET", &format!("{PLUGINS}/match?name={name}"), &Value::Null);
        assert_eq!(told, json!({"count": 0, "match": is_there}));
    }
}

#[test]
fn a_detector_without_features_is_kept_and_can_not_be_started() {
    let server = server();
    let none = create(
        &server,
        PLUGINS,
        &with(definition("none"), "feature_attributes", json!([])),
    );
    let mut off = definition("off");
    off["feature_attributes"][0]["feature_enabled"] = false.into();
    let off = create(&server, PLUGINS, &off);
    for (detector, which) in [
        (&none, "no features configured"),
        (&off, "no enabled features configured"),
    ] {
        let reply = server.call(
            "POST",
            &format!("{PLUGINS}/{}/_start", id(detector)),
            &Value::Null,
        );
        refused(
            &reply,
            400,
            "status_exception",
            &format!("Can't start job as {which}"),
        );
        let reply = server.call(
            "POST",
            &format!("{DISTRO}/{}/_start", id(detector)),
            &Value::Null,
        );
        refused(
            &reply,
            400,
            "status_exception",
            &format!("Can't start detector job as {which}"),
        );
    }
    let reply = server.call("POST", &format!("{PLUGINS}/nobody/_start"), &Value::Null);
    refused(
        &reply,
        404,
        "status_exception",
        "Can't find config with id: nobody",
    );
}

#[test]
fn statistics_that_there_are_not() {
    let server = server();
    let root = "/_plugins/_anomaly_detection/stats";
    for (stats, reason) in [
        (
            "detector_coun,models,zzz",
            "request [/_plugins/_anomaly_detection/stats/detector_coun,models,zzz] contains unrecognized stats: \
             [detector_coun] -> did you mean any of [detector_count, hc_detector_count]?, [zzz]",
        ),
        (
            "_all,models",
            "Request /_plugins/_anomaly_detection/stats/_all,models contains _all and individual stats",
        ),
    ] {
        let reply = server.call("GET", &format!("{root}/{stats}"), &Value::Null);
        refused(&reply, 400, "illegal_argument_exception", reason);
    }
    // Each dialect has names of its own for two of them.
    let reply = server.call(
        "GET",
        &format!("{root}/single_entity_detector_count"),
        &Value::Null,
    );
    assert_eq!(reply.status, 400, "{}", reply.text);
    let told = server.ok(
        "GET",
        "/_anomaly_detection/api/stats/single_entity_detector_count",
        &Value::Null,
    );
    assert_eq!(told["single_entity_detector_count"], 0);
    let told = server.ok("GET", &format!("{root}/detector_count"), &Value::Null);
    assert_eq!(
        (
            &told["detector_count"],
            told.as_object().map(serde_json::Map::len)
        ),
        (&json!(0), Some(2))
    );
}

#[test]
fn the_models_that_work_are_among_the_statistics() {
    let server = server();
    let start = now() / MINUTE * MINUTE - 100 * MINUTE;
    add_orders(&server, "shops-1", start, 100, None);
    let by_shop = with(definition("by_shop"), "category_field", json!(["shop"]));
    let detector = create(&server, PLUGINS, &by_shop);
    let path = format!("{PLUGINS}/{}", id(&detector));
    let stats = |wanted: &str| {
        let path = format!("/_plugins/_anomaly_detection/stats/{wanted}");
        let told = server.ok("GET", &path, &Value::Null);
        let mut nodes = told["nodes"].as_object().expect("nodes").values();
        nodes.next().expect("a node").clone()
    };
    assert_eq!(stats("model_count"), json!({"model_count": 0}));
    server.ok("POST", &format!("{path}/_start"), &Value::Null);
    let told = wait_until("models", || {
        let told = stats("model_count,models");
        (told["model_count"] == 2).then_some(told)
    });
    let (begun, model) = (start, &told["models"][0]);
    assert_eq!(model["detector_id"], detector["_id"]);
    assert_eq!(model["model_type"], "entity");
    assert_eq!(model["entity"], json!([{"name": "shop", "value": "north"}]));
    assert!(
        model["last_used_time"].as_i64().expect("a time") > begun,
        "{model}"
    );
    server.ok("POST", &format!("{path}/_stop"), &Value::Null);
    assert_eq!(
        stats("model_count,models"),
        json!({"model_count": 0, "models": []})
    );
}
