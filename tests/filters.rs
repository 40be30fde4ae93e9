//! Filters over HTTP, and the rules that name them.

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

fn job(rules: &Value) -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "3600s",
            "detectors": [{
                "function": "mean", "field_name": "responsetime", "by_field_name": "airline", "custom_rules": rules
            }]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"}
    })
}

fn scoped(filter: &str) -> Value {
    job(&json!([{"scope": {"airline": {"filter_id": filter}}}]))
}

/// The audit messages are no part of the API; the store's file has them.
fn is_logged(server: &Server, message: &str) -> bool {
    server.log().contains(message)
}

#[test]
fn filters_are_put_got_changed_and_deleted() {
    let server = Server::start(&[]);
    let foo = json!({"filter_id": "filter-foo", "items": ["abc", "xyz"]});
    let foo2 = json!({
        "filter_id": "filter-foo2", "description": "This filter has a description", "items": ["*lmnop", "123"]
    });
    let put = server.ok(
        "PUT",
        "/_ml/filters/filter-foo",
        &json!({"items": ["xyz", "abc", "xyz"]}),
    );
    assert_eq!(put, foo);
    let body = json!({"description": "This filter has a description", "items": ["123", "*lmnop"]});
    assert_eq!(server.ok("PUT", "/_ml/filters/filter-foo2", &body), foo2);

    let get = |path: &str| server.ok("GET", &format!("/_ml/filters{path}"), &Value::Null);
    let both = json!({"count": 2, "filters": [foo, foo2]});
    for path in ["", "/_all", "/filter-foo,filter-foo2", "/filter*", "/*"] {
        assert_eq!(get(path), both, "{path}");
    }
    assert_eq!(
        get("?from=1&size=1"),
        json!({"count": 2, "filters": [foo2]})
    );
    assert_eq!(
        get("/filter-foo"),
        json!({"count": 1, "filters": [both["filters"][0]]})
    );
    assert_eq!(get("/x*"), json!({"count": 0, "filters": []}));
    server
        .call("GET", "/_ml/filters/filter-foo,gone", &Value::Null)
        .assert_error(
            404,
            "resource_not_found_exception",
            "Unable to find filter [gone]",
        );

    let update = json!({"description": "new", "add_items": ["c", "abc"], "remove_items": ["xyz"]});
    let updated = server.ok("POST", "/_ml/filters/filter-foo/_update", &update);
    let expected = json!({"filter_id": "filter-foo", "description": "new", "items": ["abc", "c"]});
    assert_eq!(updated, expected);
    assert_eq!(get("/filter-foo")["filters"][0], expected);
    let deleted = server.ok("DELETE", "/_ml/filters/filter-foo", &Value::Null);
    assert_eq!(deleted, json!({"acknowledged": true}));
    assert_eq!(get("")["count"], 1);
}

#[test]
fn what_is_wrong_with_filters_is_told_in_the_known_words() {
    let server = Server::start(&[]);
    server.ok("PUT", "/_ml/filters/f", &json!({"items": ["a"]}));
    let call =
        |method: &str, path: &str, body: Value| server.call(method, &format!("/_ml{path}"), &body);
    call("PUT", "/filters/f", json!({"items": []})).assert_error(
        400,
        "resource_already_exists_exception",
        "A filter with id [f] already exists",
    );
    call("PUT", "/filters/Invalid", json!({"items": []})).assert_error(
        400,
        "status_exception",
        "Invalid filter_id; 'Invalid' can contain lowercase alphanumeric",
    );
    call("PUT", "/filters/g", json!({"filter_id": "h"})).assert_error(
        400,
        "illegal_argument_exception",
        "Inconsistent filter_id; 'h' specified in the body differs from 'g'",
    );
    call("PUT", "/filters/g", json!({"item": []})).assert_error(
        400,
        "x_content_parse_exception",
        "unknown field [item] did you mean [items]?",
    );
    call("PUT", "/filters/g", Value::Null).assert_error(
        400,
        "parse_exception",
        "request body is required",
    );
    let many: Vec<String> = (0..10_001).map(|i| i.to_string()).collect();
    call("PUT", "/filters/g", json!({"items": many})).assert_error(
        400,
        "status_exception",
        "Filter [g] contains too many items; up to [10000] items are allowed",
    );
    call("POST", "/filters/f/_update", json!({"remove_items": ["b"]})).assert_error(
        400,
        "status_exception",
        "Cannot remove item [b] as it is not present in filter [f]",
    );
    call("POST", "/filters/g/_update", json!({})).assert_error(
        404,
        "resource_not_found_exception",
        "No filter with id [g] exists",
    );
    call("DELETE", "/filters/g", Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No filter with id [g] exists",
    );
}

#[test]
fn a_filter_in_use_stays_and_its_changes_are_told_to_its_jobs() {
    let mut server = Server::start(&[]);
    let path = |job: &str| Client::job_path(job, "");
    server.ok("PUT", &path("b"), &scoped("f"));
    server.ok("PUT", &path("a"), &scoped("f"));
    server.ok("PUT", &path("other"), &job(&json!([])));
    // A job may name a filter that isn't there, but can't be opened so.
    let open = Client::job_path("a", "/_open");
    server.call("POST", &open, &Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "Unable to find filter [f]",
    );
    assert_eq!(server.state("a"), "closed");
    server.ok("PUT", "/_ml/filters/f", &json!({"items": ["c"]}));
    server.ok("POST", &open, &Value::Null);
    server
        .call("DELETE", "/_ml/filters/f", &Value::Null)
        .assert_error(
            409,
            "status_exception",
            "Cannot delete filter [f] currently used by jobs [a, b]",
        );
    let update = json!({"add_items": ["a", "b"], "remove_items": ["c"]});
    server.ok("POST", "/_ml/filters/f/_update", &update);
    let told = "Filter [f] has been modified; added items: ['a', 'b'], removed items: ['c']";
    assert!(is_logged(&server, told));
    server.kill_and_restart();
    assert_eq!(server.state("a"), "opened");
    server.ok("DELETE", &format!("{}?force=true", path("a")), &Value::Null);
    server.ok("DELETE", &path("b"), &Value::Null);
    server.ok("DELETE", "/_ml/filters/f", &Value::Null);
}

#[test]
fn rules_are_shown_changed_and_checked() {
    let server = Server::start(&[]);
    let created = server.ok("PUT", &Client::job_path("j", ""), &scoped("f"));
    let rules = |job: &Value| job["analysis_config"]["detectors"][0]["custom_rules"].clone();
    assert_eq!(
        rules(&created),
        json!([{
            "actions": ["skip_result"], "scope": {"airline": {"filter_id": "f", "filter_type": "include"}}
        }])
    );
    let update = Client::job_path("j", "/_update");
    let condition = json!({"applies_to": "actual", "operator": "lt", "value": 10.0});
    let update_to =
        |rules: Value| json!({"detectors": [{"detector_index": 0, "custom_rules": rules}]});
    let new = json!([{"actions": ["skip_model_update"], "conditions": [condition]}]);
    let updated = server.ok("POST", &update, &update_to(new.clone()));
    assert_eq!(rules(&updated), new);
    server
        .call(
            "POST",
            &update,
            &update_to(json!([{"scope": {"x": {"filter_id": "f"}}}])),
        )
        .assert_error(
            400,
            "status_exception",
            "Invalid detector rule: scope field 'x' is invalid; select from [airline]",
        );
    let kept = server.ok("GET", &Client::job_path("j", ""), &Value::Null);
    assert_eq!(rules(&kept["jobs"][0]), new);
    let without = server.ok("POST", &update, &update_to(json!([])));
    assert_eq!(rules(&without), Value::Null);

    server
        .call("PUT", &Client::job_path("k", ""), &job(&json!([{}])))
        .assert_error(
            400,
            "x_content_parse_exception",
            "Invalid detector rule: at least scope or a condition is required",
        );
    let wrong = json!([{"conditions": [{"applies_to": "actual", "operator": "eq", "value": 1}]}]);
    server
        .call("PUT", &Client::job_path("k", ""), &job(&wrong))
        .assert_error(
            400,
            "x_content_parse_exception",
            "[rule_condition] failed to parse field [operator]",
        );
}
