//! `_validate` of OpenSearch's dialects: what would keep a detector from learning, and what would be better.

mod support;

use serde_json::{Value, json};
use support::opensearch::{GUARD, MINUTE, PLUGINS, bulk, definition, mapped, now, refused, with};
use support::{Client, Server};

/// A detector that waits longer for its data than this test takes to ask about what was just written.
fn patient(name: &str) -> Value {
    let delay = json!({"period": {"interval": 10, "unit": "Minutes"}});
    with(definition(name), "window_delay", delay)
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
    let body = with(patient("new"), "indices", json!(["sparse"]));
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

/// Documents of an index, the last one so many minutes ago, one each `every` minutes.
fn fill(client: &Client, index: &str, last: i64, every: i64, count: i64, more: fn(i64) -> Value) {
    mapped(client, index);
    let end = now() - last * MINUTE;
    let lines: Vec<Value> = (0..count)
        .flat_map(|n| {
            let mut document = more(n);
            document["at"] = (end - n * every * MINUTE).into();
            [json!({"index": {"_index": index}}), document]
        })
        .collect();
    bulk(client, &lines);
}

#[test]
fn what_keeps_a_model_from_learning_is_found() {
    let server = Server::start(&[]);
    let usual = |_| json!({"amount": 5, "shop": "a"});
    fill(&server, "late", 30, 1, 300, usual);
    fill(&server, "young", 0, 1, 39, usual);
    fill(&server, "dense", 0, 1, 300, |n| {
        let mut document = json!({"amount": 5, "shop": format!("shop-{n}")});
        if n % 100 == 0 {
            document["never"] = 1.into();
        }
        document
    });
    let on = |index: &str| with(patient("new"), "indices", json!([index]));
    let told = |body: &Value| {
        let path = format!("{PLUGINS}/_validate/model");
        server.ok("POST", &path, body)["model"].clone()
    };
    assert_eq!(told(&on("dense")), Value::Null);
    // One point fewer than a forest learns from with its shingle.
    let sparse = "Source index data is potentially too sparse for model training. Consider changing interval length or \
                  ingesting more data";
    assert_eq!(told(&on("young")), json!({"indices": {"message": sparse}}));
    let shorter = with(on("young"), "shingle_size", json!(7));
    assert_eq!(told(&shorter), Value::Null);
    let by_shop = with(on("dense"), "category_field", json!(["shop"]));
    let sparse = "Data is most likely too sparse with the given category fields. Consider revising category field/s or \
                  ingesting more data.";
    assert_eq!(
        told(&by_shop),
        json!({"category_field": {"message": sparse}})
    );
    let rare = json!([
        {"feature_name": "rare", "aggregation_query": {"rare": {"max": {"field": "never"}}}},
        {"feature_name": "usual", "aggregation_query": {"usual": {"max": {"field": "amount"}}}}
    ]);
    let sparse = "Data is most likely too sparse when given feature queries are applied. Consider revising feature queries";
    assert_eq!(
        told(&with(on("dense"), "feature_attributes", rare)),
        json!({"feature_attributes": {"message": format!("{sparse}: rare"), "sub_issues": {"rare": sparse}}})
    );
    // It is late by what the message says, in whole minutes.
    for base in [PLUGINS, GUARD] {
        let told = server.ok("POST", &format!("{base}/_validate/model"), &on("late"));
        let told = &told["model"]["window_delay"];
        let minutes = told["suggested_value"]["period"]["interval"]
            .as_i64()
            .expect("minutes");
        assert!((30..40).contains(&minutes), "{told}");
        let consider = match base {
            PLUGINS => ". Consider",
            _ => ", consider",
        };
        let message = format!(
            "Latest seen data point is at least {minutes} minutes ago{consider} changing window delay to at least \
             {minutes} minutes."
        );
        assert_eq!(told["message"], message);
        let longer = json!({"period": {"interval": minutes + 60, "unit": "Minutes"}});
        let waits = with(on("late"), "window_delay", longer);
        let told = server.ok("POST", &format!("{base}/_validate/model"), &waits);
        assert_eq!(told, json!({}));
    }
}
