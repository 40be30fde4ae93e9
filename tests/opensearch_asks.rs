//! What else is asked of detectors of OpenSearch's dialects: settings that suit the data, one interval, flat results.

mod support;

use serde_json::{Value, json};
use support::opensearch::{
    GUARD, MINUTE, PLUGINS, START, add_orders, bulk, create, definition, id, mapped, now, refused,
    up_to_now, with,
};
use support::{Client, Server, wait_until};

/// Past orders with an anomaly of the north.
fn with_anomaly() -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    add_orders(&server, "shops-1", START, 200, Some(150));
    server
}

fn minutes(number: i64) -> Value {
    json!({"period": {"interval": number, "unit": "Minutes"}})
}

#[test]
fn settings_are_suggested_by_the_data() {
    let server = up_to_now(100, None);
    let suggest = |types: &str, body: &Value| {
        server.call("POST", &format!("{PLUGINS}/_suggest/{types}"), body)
    };
    let body = with(definition("orders"), "detection_interval", minutes(10));
    let all = suggest("detection_interval,history,window_delay", &body);
    assert_eq!(all.status, 200, "{}", all.text);
    // There is data in each minute, for 100 of them, and the newest is little more than a minute old.
    assert_eq!(all.body["interval"], minutes(1));
    assert_eq!(all.body["history"], 99);
    assert_eq!(all.body["windowDelay"], minutes(20));
    let history = suggest("history", &body);
    assert_eq!(
        history.body,
        json!({"interval": minutes(10), "history": 40})
    );
    let interval = suggest("detection_interval,other", &body);
    assert_eq!(interval.body, json!({"interval": minutes(1)}));
    refused(
        &suggest("other", &body),
        400,
        "validation_exception",
        "Validation Failed: 1: The given suggest type doesn't exist;",
    );
    // Once in five minutes, until an hour ago.
    mapped(&server, "rare");
    let lines = (0..200).flat_map(|number| {
        let at = now() - 60 * MINUTE - number * 5 * MINUTE;
        [
            json!({"index": {"_index": "rare"}}),
            json!({"at": at, "amount": 5}),
        ]
    });
    bulk(&server, &lines.collect::<Vec<_>>());
    let rare = with(definition("rare"), "indices", json!(["rare"]));
    let found = suggest("detection_interval,window_delay", &rare).body;
    let interval = found["interval"]["period"]["interval"].as_i64();
    assert!((4..=5).contains(&interval.expect("an interval")), "{found}");
    let delay = found["windowDelay"]["period"]["interval"].as_i64();
    assert!((61..=64).contains(&delay.expect("a delay")), "{found}");
}

#[test]
fn one_interval_is_judged_when_asked() {
    let server = with_anomaly();
    let body = with(definition("orders"), "history", json!(100));
    let detector = create(&server, PLUGINS, &body);
    let run = |base: &str, id: &str, minute: i64| {
        // The detector waits for half a minute: what it sees is of the minute before.
        let end = START + (minute + 1) * MINUTE + 30_000;
        let body = json!({"period_start": end - MINUTE, "period_end": end});
        server.call("POST", &format!("{base}/{id}/_run"), &body)
    };
    let calm = run(GUARD, id(&detector), 149).body;
    assert_eq!(calm["anomalyGrade"], 0.0, "{calm}");
    assert!(calm["anomalyScore"].as_f64() > Some(0.0));
    assert_eq!(calm["rcfTotalUpdates"], 101);
    assert_eq!(calm["relevantAttribution"], Value::Null);
    let worst = run(PLUGINS, id(&detector), 150).body;
    assert!(worst["anomalyGrade"].as_f64() > Some(0.5), "{worst}");
    assert_eq!(worst["features"][0]["feature_name"], "revenue");
    assert!(worst["features"][0]["data"].as_f64() > Some(5_000.0));
    assert_eq!(worst["relevantAttribution"], json!([1.0]));
    assert!(worst["expectedValuesList"][0][0].as_f64() < Some(500.0));
    assert_eq!(worst["detectorIntervalInMinutes"], 1);
    // Nothing is kept, and nothing is made up.
    let none = json!({"query": {"match_all": {}}});
    let found = server.ok("POST", &format!("{PLUGINS}/results/_search"), &none);
    assert_eq!(found["hits"]["total"]["value"], 0);
    let jobs = server.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    assert_eq!(jobs["count"], 1);
    let later = run(PLUGINS, id(&detector), 5_000).body;
    assert_eq!(later["anomalyGrade"], "NaN");
    let error = later["error"].as_str().expect("an error");
    assert!(
        error.starts_with("No data in current window between "),
        "{error}"
    );
    let by_shop = with(definition("shops"), "category_field", json!(["shop"]));
    let by_shop = create(&server, PLUGINS, &by_shop);
    let told = run(PLUGINS, id(&by_shop), 150).body;
    assert_eq!(
        (&told["anomalyGrade"], &told["features"]),
        (&json!("NaN"), &json!([]))
    );
    let path = format!("{PLUGINS}/{}/_run", id(&detector));
    let bad = server.call("POST", &path, &json!({"period_start": 5, "period_end": 4}));
    refused(
        &bad,
        400,
        "action_request_validation_exception",
        "Validation Failed: 1: timestamp is invalid: start 5, end 4;",
    );
    refused(
        &run(PLUGINS, "nobody", 1),
        404,
        "status_exception",
        "Can't find config with id: nobody",
    );
}

fn analyse(client: &Client, path: &str) {
    let range = json!({"start_time": START, "end_time": START + 200 * MINUTE});
    client.ok("POST", &format!("{path}/_start"), &range);
    wait_until("the past is analysed", || {
        let got = client.ok("GET", &format!("{path}?task=true"), &Value::Null);
        let state = &got["historical_analysis_task"]["state"];
        assert_ne!(state, "FAILED");
        (state == "FINISHED").then_some(())
    });
}

#[test]
fn results_are_flat_in_an_index_beside_their_own() {
    let server = with_anomaly();
    let mut body = with(definition("Shops"), "category_field", json!(["shop"]));
    body["result_index"] = "opensearch-ad-plugin-result-own".into();
    body["flatten_custom_result_index"] = true.into();
    let detector = create(&server, PLUGINS, &body);
    assert_eq!(
        detector["anomaly_detector"]["flatten_custom_result_index"],
        true
    );
    let path = format!("{PLUGINS}/{}", id(&detector));
    analyse(&server, &path);
    let asked = json!({
        "query": {"bool": {"filter": [
            {"term": {"entity_shop": "north"}}, {"range": {"feature_data_revenue": {"gt": 1000}}}
        ]}},
        "aggs": {"most": {"max": {"field": "feature_data_revenue"}}}
    });
    let flat = "opensearch-ad-plugin-result-own_flattened_shops";
    let search = |index: &str| server.ok("POST", &format!("/{index}/_search"), &asked);
    let found = search(flat);
    assert_eq!(found["hits"]["total"]["value"], 1, "{found}");
    let hit = &found["hits"]["hits"][0];
    assert_eq!(hit["_index"], flat);
    let result = &hit["_source"];
    assert_eq!(result["data_start_time"], START + 150 * MINUTE);
    assert_eq!(result["feature_data_revenue"], 5_000.0);
    assert_eq!(result["relevant_attribution_revenue"], 1.0);
    assert_eq!(
        result["expected_values_revenue"],
        result["expected_values"][0]["value_list"][0]["data"]
    );
    assert_eq!(result["entity_shop"], "north");
    assert_eq!(found["aggregations"]["most"]["value"], 5_000.0);
    // The usual index has none of it, and other detectors have no such index.
    let usual = search("opensearch-ad-plugin-result-own");
    assert_eq!(usual["hits"]["total"]["value"], 0);
    let every = json!({"query": {"match_all": {}}, "track_total_hits": true});
    let count = |names: &str| {
        let path = format!("{PLUGINS}/results/_search/{names}?only_query_custom_result_index=true");
        server.ok("POST", &path, &every)["hits"]["total"]["value"].clone()
    };
    let one = count("opensearch-ad-plugin-result-own").as_i64();
    let both = count("opensearch-ad-plugin-result-own*").as_i64();
    assert!(one > Some(0));
    assert_eq!(both, one.map(|one| 2 * one));
    body["flatten_custom_result_index"] = false.into();
    server.ok("PUT", &path, &body);
    // The run that was is as it was then.
    assert_eq!(count("opensearch-ad-plugin-result-own*").as_i64(), both);
    // Of what isn't there nothing is found, but where nothing else is asked.
    let other = format!(
        "{PLUGINS}/results/_search/opensearch-ad-plugin-result-own_flattened_other,shops-1"
    );
    let found = server.ok("POST", &other, &every);
    assert_eq!(found["hits"]["total"]["value"], 0);
    let only = server.call(
        "POST",
        &format!("{other}?only_query_custom_result_index=true"),
        &every,
    );
    let reason = "No custom result indices found";
    refused(&only, 400, "illegal_argument_exception", reason);
    let usual = format!("{PLUGINS}/results/_search?only_query_custom_result_index=");
    server.ok("POST", &format!("{usual}false"), &every);
    let only = server.call("POST", &format!("{usual}true"), &every);
    let reason = "No custom result index set.";
    refused(&only, 500, "illegal_state_exception", reason);
}
