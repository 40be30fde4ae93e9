//! Categories of log messages: jobs that count by `mlcategory`, and what is told of their categories.

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const JOB: &str = "logs";
const START: u64 = 1_700_006_400;

fn config(more: Value) -> Value {
    let mut analysis = json!({
        "bucket_span": "1h", "categorization_field_name": "message",
        "detectors": [{"function": "count", "by_field_name": "mlcategory"}], "influencers": ["mlcategory"]
    });
    if let (Value::Object(analysis), Value::Object(more)) = (&mut analysis, more) {
        analysis.extend(more);
    }
    json!({"analysis_config": analysis, "data_description": {"time_field": "time", "time_format": "epoch"}})
}

fn line(time: u64, host: &str, message: &str) -> String {
    json!({"time": time, "host": host, "message": message}).to_string() + "\n"
}

/// Hours of messages of two kinds; in the last one many come of the first.
fn log(hours: std::ops::Range<u64>) -> Vec<u8> {
    let mut lines = String::new();
    for hour in hours.clone() {
        let time = START + hour * 3_600;
        let often = if hour + 1 == hours.end { 60 } else { 6 };
        for n in 0..often {
            let host = if n % 2 == 0 { "a" } else { "b" };
            let address = format!("10.1.{hour}.{n}");
            lines += &line(
                time + 7 * n,
                host,
                &format!("Failed password for bob from {address} port 2{n} ssh2"),
            );
        }
        for n in 0..4 {
            lines += &line(
                time + 500 + n,
                "a",
                &format!("session opened for user u{n} by (uid={n})"),
            );
        }
    }
    lines.into_bytes()
}

fn categories(server: &Server, rest: &str) -> Value {
    let path = Client::job_path(JOB, &format!("/results/categories{rest}"));
    server.ok("GET", &path, &Value::Null)
}

#[test]
fn messages_are_counted_by_category_and_categories_are_told() {
    let mut server = Server::start(&[]);
    server.create_open(JOB, &config(json!({})));
    server.post_data(JOB, &log(0..100));
    // A crash changes nothing.
    server.kill_and_restart();
    server.wait_state(JOB, "opened");
    server.post_data(JOB, &log(100..200));
    server.close(JOB);

    let all = categories(&server, "");
    assert_eq!(all["count"], 2);
    let first = &all["categories"][0];
    let examples = first["examples"].as_array().expect("examples");
    assert_eq!(
        (examples.len(), first["num_matches"].as_u64()),
        (4, Some(2 * (99 * 6 + 60)))
    );
    let mut without = first.clone();
    without
        .as_object_mut()
        .expect("an object")
        .retain(|name, _| name != "examples" && name != "num_matches");
    assert_eq!(
        without,
        json!({
            "job_id": JOB, "category_id": 1, "terms": "Failed password for bob from port ssh2",
            "regex": ".*?Failed.+?password.+?for.+?bob.+?from.+?port.+?ssh2.*", "max_matching_length": 59,
            "result_type": "category_definition", "mlcategory": "1",
            "grok_pattern": ".*?Failed.+?password.+?for.+?bob.+?from.+?%{IP:ipaddress}.+?port.+?%{NUMBER:field}.+?ssh2.*"
        })
    );
    assert_eq!(
        all["categories"][1]["terms"],
        "session opened for user by uid"
    );
    assert_eq!(
        categories(&server, "/2")["categories"][0],
        all["categories"][1]
    );
    assert_eq!(
        categories(&server, "?from=1&size=5")["categories"],
        json!([all["categories"][1]])
    );
    assert_eq!(
        categories(&server, "/17"),
        json!({"count": 0, "categories": []})
    );
    let path = Client::job_path(JOB, "/results/categories");
    let body = json!({"page": {"size": 1}});
    assert_eq!(
        server.ok("POST", &path, &body),
        json!({"count": 2, "categories": [first]})
    );

    let records = server.ok(
        "GET",
        &Client::job_path(JOB, "/results/records?size=1"),
        &Value::Null,
    );
    let record = &records["records"][0];
    assert_eq!(
        (&record["by_field_name"], &record["by_field_value"]),
        (&json!("mlcategory"), &json!("1"))
    );
    assert_eq!(
        (&record["actual"], &record["mlcategory"]),
        (&json!([60.0]), &json!(["1"]))
    );

    let size = &server.stats(JOB)["model_size_stats"];
    assert_eq!(
        [
            "categorized_doc_count",
            "total_category_count",
            "frequent_category_count",
            "rare_category_count"
        ]
        .map(|name| size[name].as_u64()),
        [2_108, 2, 2, 0].map(Some)
    );
    assert_eq!(size["categorization_status"], "ok");

    server.ok("POST", &Client::job_path(JOB, "/_reset"), &Value::Null);
    assert_eq!(categories(&server, "")["count"], 0);
}

#[test]
fn each_partition_has_its_own_categories() {
    let server = Server::start(&[]);
    let per_partition = json!({
        "detectors": [{"function": "count", "by_field_name": "mlcategory", "partition_field_name": "host"}],
        "per_partition_categorization": {"enabled": true, "stop_on_warn": true}
    });
    server.create_open(JOB, &config(per_partition));
    server.post_data(JOB, &log(0..40));
    server.flush(JOB);

    let all = categories(&server, "");
    let of = |value: &str| {
        let page = categories(&server, &format!("?partition_field_value={value}"));
        let ids = page["categories"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|c| c["category_id"].as_u64());
        ids.flatten().collect::<Vec<_>>()
    };
    assert_eq!(
        (all["count"].as_u64(), of("a"), of("b"), of("c")),
        (Some(3), vec![1, 3], vec![2], vec![])
    );
    let second = &all["categories"][1];
    assert_eq!(
        (
            &second["partition_field_name"],
            &second["partition_field_value"],
            &second["host"]
        ),
        (&json!("host"), &json!("b"), &json!("b"))
    );
    // All that "b" writes is of one kind: that is no use, and it was given up.
    assert_eq!(
        server.stats(JOB)["model_size_stats"]["categorization_status"],
        "warn"
    );
    assert_eq!(second["num_matches"], 100);
    let annotations = server.ok("GET", &Client::job_path(JOB, "/annotations"), &Value::Null);
    let told = annotations["annotations"]
        .as_array()
        .expect("a list")
        .iter();
    let told: Vec<&Value> = told
        .filter(|a| a["event"] == "categorization_status_change")
        .collect();
    assert_eq!(told.len(), 1, "{annotations}");
    assert_eq!(
        told[0]["annotation"],
        "Categorization status changed to 'warn' for 'host' 'b'"
    );

    let job = Client::job_path(JOB, "/_update");
    let update =
        |body: Value| server.call("POST", &job, &json!({"per_partition_categorization": body}));
    update(json!({"enabled": false})).assert_error(
        400,
        "status_exception",
        "analysis_config.per_partition_categorization.enabled cannot be updated",
    );
    let updated = update(json!({"enabled": true, "stop_on_warn": false}));
    assert_eq!(updated.status, 200);
}

#[test]
fn what_does_not_fit_is_refused() {
    let server = Server::start(&[]);
    let path = Client::job_path(JOB, "");
    let create = |more: Value| server.call("PUT", &path, &config(more));
    let refused = |more: Value| {
        let reply = create(more);
        (
            reply.status,
            reply.body["error"]["caused_by"]["reason"].clone(),
        )
    };
    assert_eq!(
        refused(json!({"detectors": [{"function": "count"}]})),
        (
            400,
            json!(
                "categorization_field_name is set but mlcategory is not used in any detector by/over/partition field"
            )
        )
    );
    assert_eq!(
        refused(json!({"categorization_analyzer": {"tokenizer": "wild"}})),
        (400, json!("failed to find global tokenizer under [wild]"))
    );
    let created = server.ok(
        "PUT",
        &path,
        &config(json!({"categorization_filters": ["\\[.*\\]"]})),
    );
    let analysis = &created["analysis_config"];
    assert_eq!(analysis["categorization_filters"], Value::Null);
    assert_eq!(
        analysis["categorization_analyzer"]["char_filter"][1]["pattern"],
        "\\[.*\\]"
    );
    assert_eq!(
        analysis["per_partition_categorization"],
        json!({"enabled": false})
    );
    let update = server.ok(
        "POST",
        &Client::job_path(JOB, "/_update"),
        &json!({"categorization_filters": ["x+"]}),
    );
    let char_filters = &update["analysis_config"]["categorization_analyzer"]["char_filter"];
    assert_eq!(
        (
            char_filters.as_array().map(Vec::len),
            &char_filters[1]["pattern"]
        ),
        (Some(2), &json!("x+"))
    );

    let call = |rest: &str, body: Value| {
        server.call(
            "POST",
            &Client::job_path(JOB, &format!("/results/categories{rest}")),
            &body,
        )
    };
    let incompatible = "Param [category_id] is incompatible with [from, size].";
    call("/1?from=0", Value::Null).assert_error(400, "illegal_argument_exception", incompatible);
    call("/1", json!({"page": {"size": 3}})).assert_error(
        400,
        "illegal_argument_exception",
        incompatible,
    );
    call("?size=-1", Value::Null).assert_error(
        400,
        "illegal_argument_exception",
        "Parameter [size] cannot be < 0",
    );
    call("/one", Value::Null).assert_error(400, "number_format_exception", "For input string");
    let unknown = call("", json!({"from": 0}));
    assert_eq!(
        (unknown.status, unknown.body["error"]["type"].as_str()),
        (400, Some("x_content_parse_exception"))
    );
    let missing = server.call(
        "GET",
        &Client::job_path("missing", "/results/categories"),
        &Value::Null,
    );
    missing.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'missing'",
    );
    let defaults = &server.ok("GET", "/_ml/info", &Value::Null)["defaults"]["anomaly_detectors"];
    assert_eq!(
        defaults["categorization_analyzer"]["tokenizer"],
        "ml_standard"
    );
}
