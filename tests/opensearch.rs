//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: detectors made, shown, changed and validated.

mod support;

use serde_json::{Value, json};
use support::Server;
use support::opensearch::{
    DISTRO, GUARD, MINUTE, PLUGINS, START, bulk, create, definition, id, mapped, now, refused,
    server, with,
};

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
fn what_is_wrong_with_a_detector_is_told_in_the_words_of_its_dialect() {
    let server = server();
    create(&server, PLUGINS, &definition("taken"));
    server.ok(
        "PUT",
        "/empty",
        &json!({"mappings": {"properties": {"at": {"type": "date"}}}}),
    );
    let base = || definition("new");
    let features = |count: usize| -> Value {
        let one = |n| json!({"feature_name": format!("f{n}"), "aggregation_query": {format!("a{n}"): {"sum": {"field": "amount"}}}});
        (0..count).map(one).collect()
    };
    let twice = |name: &str, other: &str| {
        json!([
            {"feature_name": "a", "aggregation_query": {name: {"sum": {"field": "amount"}}}},
            {"feature_name": other, "aggregation_query": {"b": {"max": {"field": "amount"}}}}
        ])
    };
    let invalid = (500, "validation_exception");
    let bad = (400, "status_exception");
    let illegal = (400, "illegal_argument_exception");
    for (body, (status, kind), reason) in [
        (
            with(base(), "name", json!("")),
            invalid,
            "name should be set",
        ),
        (
            with(base(), "name", json!("a b")),
            invalid,
            "Valid characters for name are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)",
        ),
        (
            with(base(), "name", json!("x".repeat(65))),
            invalid,
            "Name should be shortened. The maximum limit is 64 characters.",
        ),
        (
            with(base(), "time_field", json!("")),
            invalid,
            "Time field should be set",
        ),
        (
            with(base(), "indices", json!([])),
            invalid,
            "Indices should be set",
        ),
        (
            with(base(), "time_field", json!("when")),
            invalid,
            "Timestamp field: (when) is not found in the (shops-1) index mapping",
        ),
        (
            with(base(), "time_field", json!("shop")),
            invalid,
            "Timestamp field: (shop) must be of type date",
        ),
        (
            with(base(), "shingle_size", json!(2000)),
            invalid,
            "Suggested shingle size must be between 1 and 128. Got 2000.",
        ),
        (
            with(base(), "recency_emphasis", json!(1)),
            invalid,
            "Recency emphasis must be an integer greater than 1.",
        ),
        (
            with(base(), "history", json!(10_001)),
            invalid,
            "We cannot look back more than 10000 intervals.",
        ),
        (
            with(base(), "category_field", json!(["a", "b", "c"])),
            invalid,
            "Currently we only support up to 2 categorical field/s in order to bound system resource consumption.",
        ),
        (
            with(base(), "category_field", json!(["note"])),
            illegal,
            "Categorical field note must be of type keyword or ip.",
        ),
        (
            with(base(), "category_field", json!(["nothing"])),
            illegal,
            "Can't find the categorical field nothing in index [shops*]",
        ),
        (
            with(base(), "result_index", json!("mine")),
            invalid,
            "Result index must start with opensearch-ad-plugin-result-",
        ),
        (
            with(
                base(),
                "frequency",
                json!({"period": {"interval": 90, "unit": "Seconds"}}),
            ),
            invalid,
            "Frequency (90 Seconds) must be a multiple of interval (1 Minutes), including the interval itself.",
        ),
        (
            with(
                base(),
                "imputation_option",
                json!({"method": "FIXED_VALUES"}),
            ),
            invalid,
            "Mismatch between the number of enabled features and default fill values. Number of default fill values: 0. \
             Number of enabled features: 1.",
        ),
        (
            with(
                base(),
                "rules",
                json!([{"action": "IGNORE_ANOMALY", "conditions": [
                    {"feature_name": "who", "threshold_type": "ACTUAL_OVER_EXPECTED_MARGIN", "operator": "LTE", "value": 1}
                ]}]),
            ),
            invalid,
            "Suppression Rule Error: Feature \"who\" specified in a suppression rule does not exist.",
        ),
        (
            with(
                base(),
                "detection_interval",
                json!({"period": {"interval": 1, "unit": "Days"}}),
            ),
            illegal,
            "Timeunit Days is not supported",
        ),
        (
            with(base(), "indices", json!(["empty"])),
            bad,
            "Can't create anomaly detector as no document is found in the indices: [empty]",
        ),
        (
            with(base(), "feature_attributes", features(6)),
            bad,
            "Can't create more than 5 feature(s)",
        ),
        (
            with(base(), "feature_attributes", twice("a", "a")),
            bad,
            "There are duplicate feature names: a",
        ),
        (
            with(base(), "feature_attributes", twice("b", "c")),
            bad,
            "Config has duplicate feature aggregation query names: b",
        ),
        (
            with(
                base(),
                "feature_attributes",
                json!([
                    {"feature_name": "x", "aggregation_query": {"x": {"avg": {"field": "never"}}}}
                ]),
            ),
            bad,
            "Feature has an invalid query returning empty aggregated data: x",
        ),
        (
            definition("taken"),
            (409, "status_exception"),
            "Cannot create anomaly detector with name [taken] as it's already used by another detector",
        ),
    ] {
        let reply = server.call("POST", PLUGINS, &body);
        refused(&reply, status, kind, reason);
    }
    let gone = server.call(
        "POST",
        PLUGINS,
        &with(base(), "indices", json!(["nowhere"])),
    );
    gone.assert_error(404, "index_not_found_exception", "no such index [nowhere]");
    // Open Distro's are arguments, in words of its own.
    let reply = server.call("POST", DISTRO, &with(base(), "name", json!("")));
    refused(
        &reply,
        400,
        "illegal_argument_exception",
        "Detector name should be set",
    );
    let reply = server.call("POST", GUARD, &with(base(), "shingle_size", json!(61)));
    refused(
        &reply,
        500,
        "validation_exception",
        "Shingle size must be a positive integer",
    );
    let all = server.ok("GET", &format!("{PLUGINS}/count"), &Value::Null);
    assert_eq!(all, json!({"count": 1, "match": false}));
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
fn validation_tells_what_is_wrong_and_what_would_be_better() {
    let server = Server::start(&[]);
    let now = now();
    mapped(&server, "sparse");
    let lines: Vec<Value> = (0..200)
        .flat_map(|n| {
            [
                json!({"index": {"_index": "sparse"}}),
                json!({"at": now - n * 5 * MINUTE, "amount": 5, "shop": "a"}),
            ]
        })
        .collect();
    bulk(&server, &lines);
    let body = with(definition("new"), "indices", json!(["sparse"]));
    let validate = |base: &str, types: &str, body: &Value| {
        server.ok("POST", &format!("{base}/_validate{types}"), body)
    };
    assert_eq!(validate(GUARD, "", &body), json!({}));
    assert_eq!(validate(GUARD, "/detector", &body), json!({}));
    // Every fifth minute has data.
    let suggested = json!({"period": {"interval": 4, "unit": "Minutes"}});
    let message = "The selected detector interval might collect sparse data. Consider changing interval length to: 4";
    assert_eq!(
        validate(GUARD, "/model", &body),
        json!({"model": {"detection_interval": {"message": message, "suggested_value": suggested}}})
    );
    let mut wide = with(body.clone(), "detection_interval", suggested);
    assert_eq!(validate(PLUGINS, "/detector,model", &wide), json!({}));
    wide["filter_query"] = json!({"range": {"amount": {"gt": 100}}});
    assert_eq!(
        validate(PLUGINS, "/model", &wide)["model"]["filter_query"]["message"],
        "Data is too sparse after data filter is applied. Consider changing the data filter"
    );
    let empty =
        json!([{"feature_name": "rev", "aggregation_query": {"rev": {"avg": {"field": "never"}}}}]);
    assert_eq!(
        validate(GUARD, "", &with(body.clone(), "feature_attributes", empty)),
        json!({"detector": {"feature_attributes": {
            "message": "Feature has invalid query returning empty aggregated data: rev",
            "sub_issues": {"rev": "Feature has invalid query returning empty aggregated data"}
        }}})
    );
    let mut missing = body.clone();
    missing
        .as_object_mut()
        .expect("an object")
        .shift_remove("detection_interval");
    assert_eq!(
        validate(PLUGINS, "", &missing),
        json!({"detector": {"detection_interval": {"message": "Detection interval should be set"}}})
    );
    let reply = server.call("POST", &format!("{PLUGINS}/_validate/else"), &body);
    refused(
        &reply,
        500,
        "illegal_state_exception",
        "The given validation type doesn't exist",
    );
    // Nothing was made.
    assert_eq!(
        server.ok("GET", "/_ml/anomaly_detectors", &Value::Null)["count"],
        0
    );
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
