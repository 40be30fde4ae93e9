//! Anomaly detection as OpenSearch, Open Distro and Search Guard have it: detectors on data of this server, through each
//! prefix.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Client, Reply, Server, wait_until};

const PLUGINS: &str = "/_plugins/_anomaly_detection/detectors";
const DISTRO: &str = "/_opendistro/_anomaly_detection/detectors";
const GUARD: &str = "/_anomaly_detection/api/detectors";

const MINUTE: i64 = 60_000;
/// 2024-01-01, on the minute.
const START: i64 = 1_704_067_200_000;

/// Epoch milliseconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("a time")
}

fn bulk(client: &Client, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let kind = [("content-type", "application/x-ndjson")];
    let reply = client.send("POST", "/_bulk?refresh=true", &kind, Some(lines.as_bytes()));
    assert_eq!(reply.body["errors"], false, "{}", reply.text);
}

/// A log of shops: sums of orders a minute, from `start` on.
fn add_orders(client: &Client, index: &str, start: i64, minutes: i64, worst: Option<i64>) {
    let mut lines = Vec::new();
    for minute in 0..minutes {
        for (shop, factor) in [("north", 1), ("south", 3)] {
            let usual = 50 + (minute % 7) * factor;
            let amount = match worst {
                Some(worst) if worst == minute && shop == "north" => 5_000,
                _ => usual,
            };
            lines.push(json!({"index": {"_index": index}}));
            lines.push(json!({
                "at": start + minute * MINUTE + 20_000, "amount": amount, "shop": shop, "city": "here"
            }));
        }
    }
    bulk(client, &lines);
}

fn mapped(client: &Client, index: &str) {
    let mappings = json!({"mappings": {"properties": {
        "at": {"type": "date"}, "amount": {"type": "double"}, "shop": {"type": "keyword"},
        "city": {"type": "keyword"}, "note": {"type": "text"}, "never": {"type": "double"}
    }}});
    client.ok("PUT", &format!("/{index}"), &mappings);
}

fn server() -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    add_orders(&server, "shops-1", START, 10, None);
    server
}

fn definition(name: &str) -> Value {
    json!({
        "name": name, "description": "orders & more", "time_field": "at", "indices": ["shops*"],
        "feature_attributes": [
            {"feature_name": "revenue", "feature_enabled": true, "aggregation_query": {"revenue_sum": {"sum": {"field": "amount"}}}}
        ],
        "filter_query": {"bool": {"filter": [{"range": {"amount": {"gt": 1}}}]}},
        "detection_interval": {"period": {"interval": 1, "unit": "minutes"}},
        "window_delay": {"period": {"interval": 30, "unit": "Seconds"}}
    })
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

fn create(client: &Client, base: &str, body: &Value) -> Value {
    let reply = client.call("POST", base, body);
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body
}

fn id(detector: &Value) -> &str {
    detector["_id"].as_str().expect("an id")
}

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

#[track_caller]
fn refused(reply: &Reply, status: u16, kind: &str, reason: &str) {
    let error = json!({"type": kind, "reason": reason});
    let envelope = json!({
        "error": {"root_cause": [error], "type": kind, "reason": reason}, "status": status
    });
    assert_eq!((reply.status, &reply.body), (status, &envelope));
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
    assert_eq!(jobs["count"], 1);
    assert_eq!(
        jobs["jobs"][0]["analysis_config"]["detectors"][0]["function"],
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
    for (body, reason) in [
        (
            json!({}),
            "Must set both start time and end time with epoch of milliseconds".to_owned(),
        ),
        (
            json!({"start_time_ms": 2, "end_time_ms": 2}),
            "Start time should be before end time".to_owned(),
        ),
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
            with(range.clone(), "size", json!(0)),
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
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    let minutes = 120;
    let start = now() - (minutes + 1) * MINUTE;
    add_orders(
        &server,
        "shops-1",
        start - start.rem_euclid(MINUTE),
        minutes,
        None,
    );
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
