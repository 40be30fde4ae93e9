//! Definitions of detectors that are wrong, refused in the words and with the statuses of each of OpenSearch's dialects.

mod support;

use serde_json::{Value, json};
use support::opensearch::{
    BASES, DISTRO, GUARD, PLUGINS, Words, always, create, definition, refused, says, server, with,
};

/// How a definition is refused.
#[derive(Clone, Copy, PartialEq)]
enum As {
    /// It can't be read at all.
    Unreadable,
    /// It is wrong in itself.
    Invalid,
    /// It doesn't go with the data, or with the other detectors.
    Found,
    /// A request that is wrong.
    Bad,
}

impl As {
    fn told(self, base: &str) -> (u16, &'static str) {
        match (self, base) {
            (Self::Unreadable, _) | (Self::Invalid, DISTRO) => (400, "illegal_argument_exception"),
            (Self::Invalid, _) => (500, "validation_exception"),
            (Self::Bad, _) | (Self::Found, DISTRO) => (400, "status_exception"),
            (Self::Found, _) => (500, "status_exception"),
        }
    }
}

fn period(interval: i64, unit: &str) -> Value {
    json!({"period": {"interval": interval, "unit": unit}})
}

fn features(count: usize) -> Value {
    let one = |n| json!({"feature_name": format!("f{n}"), "aggregation_query": {format!("a{n}"): {"sum": {"field": "amount"}}}});
    (0..count).map(one).collect()
}

/// Two features, with the name of the first one's aggregation and of the second one.
fn two(aggregation: &str, name: &str) -> Value {
    json!([
        {"feature_name": "a", "aggregation_query": {aggregation: {"sum": {"field": "amount"}}}},
        {"feature_name": name, "aggregation_query": {"b": {"max": {"field": "amount"}}}}
    ])
}

fn without_values(names: &[&str]) -> Value {
    let one = |name: &&str| json!({"feature_name": name, "aggregation_query": {*name: {"avg": {"field": "never"}}}});
    names.iter().map(one).collect()
}

/// What is wrong in itself, in the order in which it is looked for: each with all that comes behind it is told first.
fn invalid() -> Vec<(&'static str, Value, Words)> {
    let rule = |feature: &str, threshold: &str, value: Value| {
        json!([{"action": "IGNORE_ANOMALY", "conditions": [
            {"feature_name": feature, "threshold_type": threshold, "operator": "LTE", "value": value}
        ]}])
    };
    vec![
        (
            "window_delay",
            period(-1, "Minutes"),
            always("Window delay interval must be a positive integer"),
        ),
        (
            "name",
            json!(""),
            ("name should be set", "Detector name should be set"),
        ),
        ("time_field", json!(" "), always("Time field should be set")),
        ("indices", json!([]), always("Indices should be set")),
        (
            "suggested_seasonality",
            json!(257),
            always("Suggested seasonality must be between 2 and 256. Got 257."),
        ),
        (
            "shingle_size",
            json!(2000),
            (
                "Suggested shingle size must be between 1 and 128. Got 2000.",
                "Shingle size must be a positive integer",
            ),
        ),
        (
            "recency_emphasis",
            json!(1),
            always("Recency emphasis must be an integer greater than 1."),
        ),
        (
            "description",
            json!("x".repeat(1_001)),
            always("Description length is too long. Max length is 1000 characters."),
        ),
        (
            "history",
            json!(10_001),
            always("We cannot look back more than 10000 intervals."),
        ),
        (
            "imputation_option",
            json!({"method": "FIXED_VALUES", "default_fill": [
                {"feature_name": "revenue", "data": 0}, {"feature_name": "other", "data": 0}
            ]}),
            always(
                "Mismatch between the number of enabled features and default fill values. Number of default fill values: \
                 2. Number of enabled features: 1.",
            ),
        ),
        (
            "frequency",
            period(90, "Seconds"),
            always(
                "Frequency (90 seconds) must be a multiple of interval (1 minutes), including the interval itself.",
            ),
        ),
        (
            "rules",
            rule("who", "ACTUAL_OVER_EXPECTED_MARGIN", json!(1)),
            always(
                "Suppression Rule Error: Feature \"who\" specified in a suppression rule does not exist.",
            ),
        ),
        (
            "rules",
            rule("revenue", "ACTUAL_OVER_EXPECTED_RATIO", json!(0)),
            always(
                "Suppression Rule Error: The threshold value for feature \"revenue\" must be a positive number.",
            ),
        ),
        (
            "category_field",
            json!(["a", "b", "c"]),
            (
                "Currently we only support up to 2 categorical field/s in order to bound system resource consumption.",
                "We can have only 2 categorical field/s.",
            ),
        ),
    ]
}

#[test]
fn definitions_that_are_wrong_in_themselves() {
    let server = server();
    let mut earlier: Vec<(&str, Value)> = Vec::new();
    for (field, value, words) in invalid().into_iter().rev() {
        // Alone, and before all that is looked for later.
        let mut all = definition("new");
        for (field, value) in &earlier {
            all = with(all, field, Value::clone(value));
        }
        for body in [definition("new"), all] {
            let body = with(body, field, value.clone());
            for base in BASES {
                let (status, kind) = As::Invalid.told(base);
                let words = says(base, words);
                refused(&server.call("POST", base, &body), status, kind, words);
                let told = server.ok("POST", &format!("{base}/_validate"), &body);
                assert_eq!(told, json!({"detector": {field: {"message": words}}}));
            }
        }
        earlier.push((field, value));
    }
    for interval in [0, -1] {
        let body = with(
            definition("new"),
            "detection_interval",
            period(interval, "Minutes"),
        );
        let words = "Detection interval must be a positive integer";
        refused(
            &server.call("POST", PLUGINS, &body),
            500,
            "validation_exception",
            words,
        );
    }
    for (value, words) in [
        (
            json!({"method": "FIXED_VALUES"}),
            "Enabled features are present, but no default fill values are provided.",
        ),
        (
            json!({"method": "FIXED_VALUES", "default_fill": [{"feature_name": "other", "data": 0}]}),
            "Missing feature name: revenue.",
        ),
    ] {
        let body = with(definition("new"), "imputation_option", value);
        let reply = server.call("POST", PLUGINS, &body);
        refused(&reply, 500, "validation_exception", words);
    }
    // Each has result indices of its own, or none.
    let body = with(definition("new"), "result_index", json!("mine"));
    for (base, words) in [
        (
            PLUGINS,
            "Result index must start with opensearch-ad-plugin-result-",
        ),
        (GUARD, "Result index must start with searchguard-ad-result-"),
    ] {
        refused(
            &server.call("POST", base, &body),
            500,
            "validation_exception",
            words,
        );
    }
    let body = with(
        definition("new"),
        "result_index",
        json!("opensearch-ad-plugin-result-A"),
    );
    let words = "Result index name has invalid character. Valid characters are a-z, 0-9, -(hyphen) and _(underscore)";
    refused(
        &server.call("POST", PLUGINS, &body),
        500,
        "validation_exception",
        words,
    );
    let count = server.ok("GET", &format!("{PLUGINS}/count"), &Value::Null);
    assert_eq!(count["count"], 0);
}

#[test]
fn definitions_that_do_not_go_with_what_there_is() {
    let server = server();
    create(&server, PLUGINS, &definition("taken"));
    let empty = json!({"mappings": {"properties": {"at": {"type": "date"}}}});
    server.ok("PUT", "/empty", &empty);
    for (field, value, how, words) in [
        (
            "name",
            json!("a b"),
            As::Found,
            (
                "Valid characters for name are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)",
                "Valid characters for detector name are a-z, A-Z, 0-9, -(hyphen), _(underscore) and .(period)",
            ),
        ),
        (
            "name",
            json!("x".repeat(65)),
            As::Found,
            always("Name should be shortened. The maximum limit is 64 characters."),
        ),
        (
            "time_field",
            json!("when"),
            As::Found,
            (
                "Timestamp field: (when) is not found in the (shops-1) index mapping",
                "Timestamp field: (when) is not found in index mapping",
            ),
        ),
        (
            "time_field",
            json!("shop"),
            As::Found,
            always("Timestamp field: (shop) must be of type date"),
        ),
        (
            "indices",
            json!(["nothing*"]),
            As::Found,
            always("Timestamp field: (at) is not found in index mapping"),
        ),
        (
            "category_field",
            json!(["note"]),
            As::Found,
            (
                "Categorical field note must be of type keyword or ip.",
                "A categorical field must be of type keyword or ip.",
            ),
        ),
        (
            "category_field",
            json!(["nothing"]),
            As::Found,
            (
                "Can't find the categorical field nothing in index [shops*]",
                "Can't find the categorical field nothing",
            ),
        ),
        (
            "indices",
            json!(["empty"]),
            As::Bad,
            always("Can't create anomaly detector as no document is found in the indices: [empty]"),
        ),
        (
            "feature_attributes",
            features(6),
            As::Bad,
            always("Can't create more than 5 feature(s)"),
        ),
        (
            "feature_attributes",
            two("a", "a"),
            As::Bad,
            always("There are duplicate feature names: a"),
        ),
        (
            "feature_attributes",
            two("b", "c"),
            As::Bad,
            (
                "Config has duplicate feature aggregation query names: b",
                "Detector has duplicate feature aggregation query names: b",
            ),
        ),
    ] {
        let body = with(definition("new"), field, value);
        for base in BASES {
            let (status, kind) = how.told(base);
            let words = says(base, words);
            refused(&server.call("POST", base, &body), status, kind, words);
            let told = server.ok("POST", &format!("{base}/_validate"), &body);
            let field = match words.starts_with("Timestamp") {
                true => "time_field",
                false => field,
            };
            assert_eq!(told, json!({"detector": {field: {"message": words}}}));
        }
    }
    // What is wrong with each feature stands in brackets, and is told of each alone.
    let body = with(
        definition("new"),
        "feature_attributes",
        without_values(&["x", "y"]),
    );
    for base in BASES {
        let each = says(
            base,
            (
                "Feature has an invalid query returning empty aggregated data",
                "Feature has invalid query returning empty aggregated data",
            ),
        );
        let message = format!("{each}: x, {each}: y");
        let (status, kind) = As::Found.told(base);
        let reason =
            format!("Validation failed for feature(s) of detector new Exceptions: [{message}]");
        refused(&server.call("POST", base, &body), status, kind, &reason);
        let told = server.ok("POST", &format!("{base}/_validate"), &body);
        let issue = json!({"message": message, "sub_issues": {"x": each, "y": each}});
        assert_eq!(told, json!({"detector": {"feature_attributes": issue}}));
    }
    let taken = server.ok("GET", &format!("{PLUGINS}/_search"), &Value::Null);
    let taken = taken["hits"]["hits"][0]["_id"].as_str().expect("an id");
    for (base, status, by) in [
        (PLUGINS, 409, "another detector".to_owned()),
        (GUARD, 409, format!("detector [{taken}]")),
        (DISTRO, 400, format!("detector [{taken}]")),
    ] {
        let reason = format!(
            "Cannot create anomaly detector with name [taken] as it's already used by {by}"
        );
        let reply = server.call("POST", base, &definition("taken"));
        refused(&reply, status, "status_exception", &reason);
    }
}

#[test]
fn definitions_that_can_not_be_read_are_no_issues() {
    let server = server();
    for base in BASES {
        let (status, kind) = As::Unreadable.told(base);
        for (field, value, words) in [
            (
                "detection_interval",
                period(1, "Days"),
                "Time unit Days is not supported",
            ),
            (
                "feature_attributes",
                json!([{"feature_name": "", "aggregation_query": {"a": {"sum": {"field": "amount"}}}}]),
                "Feature name should be set",
            ),
        ] {
            let body = with(definition("new"), field, value);
            refused(&server.call("POST", base, &body), status, kind, words);
            let path = format!("{base}/_validate");
            refused(&server.call("POST", &path, &body), status, kind, words);
        }
        // A query that there isn't is wrong in itself.
        let query = with(definition("new"), "filter_query", json!({"nothing": {}}));
        let told = server.ok("POST", &format!("{base}/_validate"), &query);
        let message = told["detector"]["filter_query"]["message"]
            .as_str()
            .expect("a message");
        assert!(
            message.starts_with("Custom query error in data filter: "),
            "{message}"
        );
        // An index that there isn't: an error where a detector is made, an issue where it is tried.
        let gone = with(definition("new"), "indices", json!(["nowhere"]));
        let reply = server.call("POST", base, &gone);
        reply.assert_error(404, "index_not_found_exception", "no such index [nowhere]");
        let told = server.ok("POST", &format!("{base}/_validate"), &gone);
        assert_eq!(
            told,
            json!({"detector": {"indices": {"message": "index does not exist"}}})
        );
        let reply = server.call(
            "POST",
            &format!("{base}/_validate/else"),
            &definition("new"),
        );
        let words = "The given validation type doesn't exist";
        refused(&reply, 500, "illegal_state_exception", words);
    }
}
