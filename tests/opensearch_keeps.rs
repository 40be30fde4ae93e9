//! What a definition of a detector says beside what is analysed: it is kept, told, and does what it says.

mod support;

use serde_json::{Value, json};
use support::opensearch::{
    BASES, DISTRO, GUARD, PLUGINS, START, bulk, create, definition, id, mapped, refused, server,
    with,
};
use support::{Client, Server, wait_until};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A definition with all of some fields.
fn merged(mut body: Value, more: Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn told(client: &Client, base: &str, detector: &Value) -> Value {
    let path = format!("{base}/{}", id(detector));
    client.ok("GET", &path, &Value::Null)["anomaly_detector"].clone()
}

fn retention(client: &Client, job_id: &str) -> Value {
    let path = format!("/_ml/anomaly_detectors/{job_id}");
    client.ok("GET", &path, &Value::Null)["jobs"][0]["results_retention_days"].clone()
}

#[test]
fn what_has_no_effect_is_kept_and_told() {
    let server = server();
    let said = json!({
        "result_index": "opensearch-ad-plugin-result-own", "result_index_min_size": 51_200,
        "result_index_min_age": 7, "result_index_ttl": 60, "flatten_custom_result_index": true,
        "schema_version": 3, "last_ui_breaking_change_time": START, "auto_created": true,
        "detection_date_range": {"start_time": START, "end_time": START + DAY},
        "imputation_option": {"method": "fixed_values", "default_fill": [
            {"feature_name": "revenue", "data": 1.5}
        ]},
        "rules": [{"action": "ignore_anomaly", "conditions": [
            {"feature_name": "revenue", "threshold_type": "actual_is_over_expected"},
            {"feature_name": "revenue", "threshold_type": "Actual_Over_Expected_Margin", "operator": "lte", "value": 3},
        ]}]
    });
    let detector = create(&server, PLUGINS, &merged(definition("all"), said.clone()));
    let kept = told(&server, PLUGINS, &detector);
    let mut expected = said;
    expected["imputation_option"]["method"] = "FIXED_VALUES".into();
    expected["rules"] = json!([{"action": "IGNORE_ANOMALY", "conditions": [
        {"feature_name": "revenue", "threshold_type": "ACTUAL_IS_OVER_EXPECTED", "operator": null},
        {"feature_name": "revenue", "threshold_type": "ACTUAL_OVER_EXPECTED_MARGIN", "operator": "LTE", "value": 3.0},
    ]}]);
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(kept[name], *value, "{name}");
    }
    assert_eq!(detector["anomaly_detector"], kept);
    let search = json!({"query": {"range": {"result_index_ttl": {"gte": 60}}}});
    let found = server.ok("POST", &format!("{PLUGINS}/_search"), &search);
    assert_eq!(found["hits"]["hits"][0]["_source"], kept);
    // What is over the expected by any amount is none, whatever else is said.
    let path = format!("/_ml/anomaly_detectors/{}", id(&detector));
    let job = server.ok("GET", &path, &Value::Null);
    let near = &job["jobs"][0]["custom_settings"]["random_cut_forest"]["ignore_near_expected"];
    assert!(near[0]["above"].as_f64() > Some(1e300), "{near}");
    // Before 2.15 nothing of it was told.
    let before = told(&server, DISTRO, &detector);
    assert_eq!(before.get("result_index_ttl"), None);

    // Without an index of its own nothing is said of it; without rules there are the usual ones.
    let without = json!({
        "result_index_min_size": 1, "result_index_min_age": 1, "result_index_ttl": 1,
        "flatten_custom_result_index": true, "auto_created": false, "ui_metadata": {}, "rules": []
    });
    let detector = create(&server, PLUGINS, &merged(definition("without"), without));
    let kept = told(&server, PLUGINS, &detector);
    for name in [
        "result_index_min_size",
        "result_index_min_age",
        "result_index_ttl",
        "flatten_custom_result_index",
        "auto_created",
    ] {
        assert_eq!(kept.get(name), None, "{name}");
    }
    assert_eq!(kept["rules"][0]["conditions"][0]["value"], 0.2);
    assert_eq!(retention(&server, id(&detector)), Value::Null);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = server();
    let own = with(
        definition("own"),
        "result_index",
        json!("opensearch-ad-plugin-result-own"),
    );
    for name in [
        "result_index_min_size",
        "result_index_min_age",
        "result_index_ttl",
    ] {
        let body = with(own.clone(), name, json!(-1));
        let reason = format!("{name} must not be negative. Got -1.");
        let reply = server.call("POST", PLUGINS, &body);
        refused(&reply, 500, "validation_exception", &reason);
        let told = server.ok("POST", &format!("{PLUGINS}/_validate"), &body);
        assert_eq!(told["detector"]["result_index"]["message"], reason);
    }
    for (range, reason) in [
        (
            json!({"end_time": 1}),
            "Detection data range's start time must not be null",
        ),
        (
            json!({"start_time": 1}),
            "Detection data range's end time must not be null",
        ),
        (
            json!({"start_time": 1, "end_time": 1}),
            "Detection data range's end time must be after start time",
        ),
    ] {
        for base in BASES {
            let body = with(definition("range"), "detection_date_range", range.clone());
            let reply = server.call("POST", base, &body);
            refused(&reply, 400, "illegal_argument_exception", reason);
        }
    }
    let nameless = json!([{"action": "IGNORE_ANOMALY", "conditions": [
        {"threshold_type": "ACTUAL_OVER_EXPECTED_MARGIN", "operator": "LTE", "value": 1}
    ]}]);
    let reply = server.call(
        "POST",
        PLUGINS,
        &with(definition("rule"), "rules", nameless),
    );
    let reason = "Suppression Rule Error: A condition is missing the feature name.";
    refused(&reply, 500, "validation_exception", reason);
}

/// Hours of orders, of several days.
fn with_days(days: i64) -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    let lines = (0..days * 24).flat_map(|hour| {
        [
            json!({"index": {"_index": "shops-1"}}),
            json!({"at": START + hour * HOUR + 60_000, "amount": 50 + hour % 7}),
        ]
    });
    bulk(&server, &lines.collect::<Vec<_>>());
    server
}

#[test]
fn results_go_when_they_are_older_than_their_index_keeps_them() {
    const DAYS: i64 = 10;
    let server = with_days(DAYS);
    let more = json!({
        "result_index": "searchguard-ad-result-own", "result_index_ttl": 2,
        "detection_interval": {"period": {"interval": 60, "unit": "Minutes"}}
    });
    let mut body = merged(definition("hours"), more);
    let detector = create(&server, GUARD, &body);
    let path = format!("{GUARD}/{}", id(&detector));
    assert_eq!(retention(&server, id(&detector)), 2);
    let range = json!({"start_time": START, "end_time": START + DAYS * DAY});
    let task = server.ok("POST", &format!("{path}/_start"), &range);
    wait_until("the past is analysed", || {
        let got = server.ok("GET", &format!("{path}?task=true"), &Value::Null);
        (got["historical_analysis_task"]["state"] == "FINISHED").then_some(())
    });
    let first = || {
        let asked = json!({"size": 1, "sort": [{"data_start_time": "asc"}]});
        let own = format!("{GUARD}/results/_search/searchguard-ad-result-own");
        let found = server.ok("POST", &own, &asked);
        found["hits"]["hits"][0]["_source"]["data_start_time"]
            .as_i64()
            .expect("a result")
    };
    let newest = START + DAYS * DAY - HOUR;
    assert!(first() < newest - 2 * DAY);
    server.ok("DELETE", "/_ml/_delete_expired_data", &Value::Null);
    // The last interval of a run may be no bucket yet.
    let kept_from = newest - 2 * DAY;
    assert!((kept_from - HOUR..=kept_from).contains(&first()));
    assert_eq!(retention(&server, id(&task)), 2);

    // An update may change it, and take it away; Search Guard's leaves the index out.
    let other = create(
        &server,
        PLUGINS,
        &merged(
            definition("other"),
            json!({
                "result_index": "opensearch-ad-plugin-result-own", "result_index_ttl": 5
            }),
        ),
    );
    let path_of_other = format!("{PLUGINS}/{}", id(&other));
    for days in [json!(9), Value::Null] {
        let body = merged(
            definition("other"),
            json!({
                "result_index": "opensearch-ad-plugin-result-own", "result_index_ttl": days
            }),
        );
        server.ok("PUT", &path_of_other, &body);
        assert_eq!(retention(&server, id(&other)), days);
    }
    body.as_object_mut()
        .expect("an object")
        .retain(|name, _| !name.starts_with("result_index"));
    server.ok("PUT", &path, &body);
    assert_eq!(retention(&server, id(&detector)), 2);
    assert_eq!(told(&server, PLUGINS, &detector)["result_index_ttl"], 2);
    // What is analysed anew is kept as it is said now.
    let body = merged(
        definition("other"),
        json!({
            "result_index": "opensearch-ad-plugin-result-own", "result_index_ttl": 4, "shingle_size": 4
        }),
    );
    server.ok("PUT", &path_of_other, &body);
    assert_eq!(retention(&server, &format!("{}.4", id(&other))), 4);
}
