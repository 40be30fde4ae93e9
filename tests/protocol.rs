//! The protocol that all endpoints share, to the word.

mod support;

use std::io::Write;

use serde_json::{Value, json};
use support::{Client, Reply, Server};

const JOB: &str = "tide";
const JSON: (&str, &str) = ("content-type", "application/json");

fn server() -> Server {
    let server = Server::start(&[]);
    let config =
        json!({"analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {}});
    server.ok("PUT", &Client::job_path(JOB, ""), &config);
    server
}

fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    server.send("GET", path, headers, None)
}

/// The error is Elasticsearch's short one.
#[track_caller]
fn assert_plain(reply: &Reply, status: u16, told: &str) {
    let expected = json!({"error": told, "status": status});
    assert_eq!((reply.status, &reply.body), (status, &expected));
}

#[test]
fn media_types_are_read_and_answered() {
    let server = server();
    let path = "/_ml/filters/f";
    let put =
        |headers: &[(&str, &str)]| server.send("PUT", path, headers, Some(b"{\"items\": []}"));
    let vendored =
        |version| format!("application/vnd.elasticsearch+json;compatible-with={version}");
    let (eight, nine) = (vendored(8), vendored(9));

    assert_plain(&put(&[]), 406, "Content-Type header is missing");
    for kind in [
        "text/plain",
        "application/xml",
        "application/json; charset=latin1",
        "application/x-www-form-urlencoded",
    ] {
        let told = format!("Content-Type header [{kind}] is not supported");
        assert_plain(&put(&[("content-type", kind)]), 406, &told);
    }
    for (headers, names, told) in [
        (
            vec![("content-type", "nonsense")],
            "Content-Type",
            "invalid media-type [nonsense]".to_owned(),
        ),
        (
            vec![JSON, ("accept", "application/json; charset")],
            "Accept",
            "invalid parameters for header [application/json; charset]".to_owned(),
        ),
        (
            vec![("content-type", nine.as_str()), ("accept", eight.as_str())],
            "Accept, Content-Type",
            format!(
                "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
                 compatible version and the compatible versions must match. Accept={eight}, Content-Type={nine}"
            ),
        ),
        (
            vec![JSON, ("accept", nine.as_str())],
            "Accept, Content-Type",
            format!(
                "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
                 compatible version. Accept={nine}, Content-Type=application/json"
            ),
        ),
    ] {
        let reply = put(&headers);
        assert_eq!(reply.status, 400, "{}", reply.text);
        let error = &reply.body["error"];
        assert_eq!(error["type"], "media_type_header_exception");
        assert_eq!(
            error["reason"],
            format!("Invalid media-type value on headers [{names}]")
        );
        assert_eq!(error["caused_by"]["reason"], told);
    }
    for old in ["7", "10"] {
        let kind = vendored(old.parse().expect("a number"));
        let reply = ask(&server, "/_ml/info", &[("accept", &kind)]);
        let told =
            format!("Accept version must be either version 9 or 8, but found {old}. Accept={kind}");
        assert_eq!(
            reply.body["error"]["caused_by"],
            json!({"type": "status_exception", "reason": told})
        );
    }
    assert_plain(
        &ask(&server, "/_ml/info", &[("accept", "application/yaml")]),
        406,
        "Accept header [application/yaml] is not supported",
    );
    assert_plain(
        &ask(&server, "/_ml/info?format=yaml", &[]),
        406,
        "format [yaml] is not supported",
    );
    for accept in [
        "*/*",
        "text/html,application/xml;q=0.9,*/*;q=0.8",
        "application/json",
    ] {
        let reply = ask(&server, "/_ml/info", &[("accept", accept)]);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json")
        );
    }
    let made = put(&[("content-type", &eight), ("accept", &eight)]);
    assert_eq!(
        (made.status, made.header("content-type")),
        (200, eight.as_str()),
        "{}",
        made.text
    );
    let utf8 = "application/json; charset=UTF-8";
    assert_eq!(
        server
            .send("DELETE", path, &[("content-type", utf8)], None)
            .status,
        200
    );
}

#[test]
fn methods_and_paths_are_told() {
    let server = server();
    let flush = Client::job_path(JOB, "/_flush");
    let wrong = server.send("PUT", &format!("{flush}?a=1"), &[JSON], Some(b"{}"));
    let told =
        format!("Incorrect HTTP method for uri [{flush}?a=1] and method [PUT], allowed: [POST]");
    assert_plain(&wrong, 405, &told);
    assert_eq!(wrong.header("allow"), "POST");

    let options = server.send("OPTIONS", &flush, &[], None);
    assert_eq!(
        (
            options.status,
            options.header("allow"),
            options.text.as_str()
        ),
        (200, "POST", "")
    );
    let nowhere = server.send("OPTIONS", "/_ml/nowhere", &[], None);
    assert_eq!((nowhere.status, nowhere.header("allow")), (200, ""));
    let nowhere = server.send("GET", "/_ml/nowhere", &[], None);
    let told = "no handler found for uri [/_ml/nowhere] and method [GET]";
    assert_eq!(
        (nowhere.status, nowhere.body),
        (400, json!({"error": told}))
    );

    for path in [
        "/",
        "/_ml/info",
        "/_ml/anomaly_detectors?pretty&filter_path=count",
        "/_ml/anomaly_detectors/missing",
    ] {
        let got = server.send("GET", path, &[], None);
        let head = server.send("HEAD", path, &[], None);
        assert_eq!(
            (head.status, head.text.as_str()),
            (got.status, ""),
            "{path}"
        );
        let of = |reply: &Reply, name| reply.header(name).to_owned();
        assert_eq!(of(&head, "content-type"), of(&got, "content-type"));
        assert_eq!(
            of(&head, "content-length"),
            got.text.len().to_string(),
            "{path}"
        );
    }
}

#[test]
fn escapes_in_uris_are_read_or_refused() {
    let server = server();
    for (path, told) in [
        (
            "/_ml/anomaly_detectors/a%zz",
            "invalid escape sequence `%zz' at index 24 of: /_ml/anomaly_detectors/a%zz",
        ),
        (
            "/_ml/info?a=%",
            "unterminated escape sequence at end of string: %",
        ),
        (
            "/_ml/anomaly_detectors/%FF",
            "the escapes are no UTF-8: /_ml/anomaly_detectors/%FF",
        ),
    ] {
        ask(&server, path, &[]).assert_error(400, "bad_parameter_exception", told);
    }
    let long = "x".repeat(3_000);
    for id in ["a.b", "a%2Fb", "..%2F..", "%00", "%C3%A9", &long] {
        let reply = ask(&server, &Client::job_path(id, ""), &[]);
        reply.assert_error(404, "resource_not_found_exception", "No known job with id");
        let reply = ask(&server, &Client::job_path(id, "?x%C3%A9"), &[]);
        reply.assert_error(
            400,
            "illegal_argument_exception",
            "contains unrecognized parameter: [xé]",
        );
    }
}

#[test]
fn errors_tell_their_root_and_trace() {
    let server = server();
    let body = r#"{"analysis_config": {"detectors": [{"function": "mean"}]}}"#;
    let path = Client::job_path("new", "?error_trace&pretty&filter_path=status");
    let reply = server.send("PUT", &path, &[JSON], Some(body.as_bytes()));
    let root = "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name must be set";
    let error = &reply.body["error"];
    assert_eq!(
        error["root_cause"][0]["type"], "status_exception",
        "{}",
        reply.text
    );
    assert_eq!(error["root_cause"][0]["reason"], root);
    assert_eq!(
        error["reason"],
        "[1:55] [job_details] failed to parse field [analysis_config]"
    );
    assert_eq!(error["caused_by"]["caused_by"]["reason"], root);
    for error in [error, &error["caused_by"], &error["root_cause"][0]] {
        assert!(
            error["stack_trace"]
                .as_str()
                .is_some_and(|trace| trace.contains(root)),
            "{error}"
        );
    }
    assert!(
        reply.text.contains("\n  \"status\" : 400\n}\n"),
        "errors aren't filtered: {}",
        reply.text
    );
    ask(&server, "/_ml/info?error_trace=maybe", &[]).assert_error(
        400,
        "illegal_argument_exception",
        "Failed to parse value [maybe] as only [true] or [false] are allowed.",
    );
}

#[test]
fn bodies_are_limited_also_when_they_are_packed() {
    let server = server();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..11 {
        packed.write_all(&[b' '; 1 << 20]).expect("written");
    }
    let packed = packed.finish().expect("packed");
    let gzip = [JSON, ("content-encoding", "gzip")];
    let reply = server.send("PUT", &Client::job_path("new", ""), &gzip, Some(&packed));
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (413, &json!(413)),
        "{}",
        reply.text
    );
    let reply = server.send(
        "PUT",
        &Client::job_path("new", ""),
        &gzip,
        Some(b"no gzip at all"),
    );
    reply.assert_error(400, "parse_exception", "the request body could not be read");
    let other = [JSON, ("content-encoding", "br")];
    let reply = server.send("PUT", &Client::job_path("new", ""), &other, Some(b"{}"));
    assert_plain(&reply, 415, "Content-Encoding header [br] is not supported");
}

#[test]
fn parameters_and_bodies_mean_the_same() {
    let server = server();
    let buckets = Client::job_path(JOB, "/results/buckets");
    let body = json!({"page": {"from": 0, "size": -1}});
    let told = "Parameter [size] cannot be < 0";
    server
        .call("POST", &buckets, &body)
        .assert_error(400, "illegal_argument_exception", told);
    server
        .call("GET", &buckets, &body)
        .assert_error(400, "illegal_argument_exception", told);
    let source = format!(
        "{buckets}?source_content_type=application%2Fjson&source=%7B%22page%22:%7B%22size%22:-1%7D%7D"
    );
    for method in ["GET", "POST"] {
        server.send(method, &source, &[], None).assert_error(
            400,
            "illegal_argument_exception",
            told,
        );
    }
    let ask = |query: &str| server.call("GET", &format!("{buckets}?{query}"), &Value::Null);
    ask("size=-1").assert_error(400, "illegal_argument_exception", told);
    let number = ask("size=x");
    number.assert_error(
        400,
        "illegal_argument_exception",
        "Failed to parse int parameter [size] with value [x]",
    );
    assert_eq!(
        number.body["error"]["caused_by"],
        json!({"type": "number_format_exception", "reason": "For input string: \"x\""})
    );
    ask("anomaly_score=x").assert_error(
        400,
        "number_format_exception",
        "For input string: \\\"x\\\"",
    );
    ask("source=%7B%7D").assert_error(
        400,
        "validation_exception",
        "Validation Failed: 1: source and source_content_type parameters are required;",
    );
    ask("allow_no_jobs=true").assert_error(
        400,
        "illegal_argument_exception",
        "unrecognized parameter: [allow_no_jobs]",
    );
    let wrong = server.call("POST", &buckets, &json!({"size": 1}));
    wrong.assert_error(
        400,
        "x_content_parse_exception",
        "[1:2] [cluster:monitor/xpack/ml/job/results/buckets/get] unknown field [size]",
    );
    let flush = Client::job_path(JOB, "/_flush");
    let flush = |query: &str| server.send("POST", &format!("{flush}?{query}"), &[], None);
    flush("calc_interim=true&start=200&end=100").assert_error(
        400,
        "illegal_argument_exception",
        "Invalid time range: end time '100' is earlier than start time '200'.",
    );
    flush("advance_time=1970-01-02&skip_time=86400").assert_error(
        400,
        "status_exception",
        "advance_time [1970-01-02] must be later than skip_time [86400]",
    );
    let close = Client::job_path(JOB, "/_close?timeout=8w");
    server.send("POST", &close, &[], None).assert_error(
        400,
        "illegal_argument_exception",
        "failed to parse setting [timeout] with value [8w] as a time value: unit is missing or unrecognized",
    );
}

#[test]
fn people_are_told_times_and_sizes() {
    let server = server();
    let stats = Client::job_path(JOB, "/_stats");
    let plain = server.get(&stats).1;
    let human = server
        .get(&format!(
            "{stats}?human&filter_path=jobs.model_size_stats.log_time*"
        ))
        .1;
    let size = &human["jobs"][0]["model_size_stats"];
    assert_eq!(
        size["log_time"], plain["jobs"][0]["model_size_stats"]["log_time"],
        "{human}"
    );
    assert!(
        size["log_time_string"]
            .as_str()
            .is_some_and(|text| text.ends_with("Z")),
        "{human}"
    );
}
