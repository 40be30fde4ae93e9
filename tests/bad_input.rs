//! Whatever comes in, the answer is the error that Elasticsearch's clients know, the neighbours of a bad record
//! count, and the server works on.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, BUCKET_SPAN, START, Traffic};
use support::{Client, PATIENCE, Server};

const JOB: &str = "tough";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn server_with_open_job() -> Server {
    let server = Server::start(&[]);
    server.create_open(JOB, &traffic::job_config());
    server
}

/// A good record, that many seconds after the start.
fn good(second: u64) -> String {
    traffic::record((START + second) * 1000, "web-1", "eu", 10.0)
}

/// Fails unless the counts say that `processed` records were used and `invalid` had no readable date, and that
/// none is unaccounted for.
#[track_caller]
fn assert_counts(counts: &Value, processed: u64, invalid: u64) {
    let all = processed
        + invalid
        + counts["out_of_order_timestamp_count"]
            .as_u64()
            .expect("a count");
    assert_eq!(counts["processed_record_count"], processed, "{counts}");
    assert_eq!(counts["invalid_date_count"], invalid, "{counts}");
    assert_eq!(counts["input_record_count"], all, "{counts}");
}

/// Fails unless a new job can go through its whole life.
#[track_caller]
fn assert_works(server: &Client) {
    server.create_open("still-works", &traffic::job_config());
    let counts = server.post_data("still-works", good(0).repeat(3).as_bytes());
    assert_counts(&counts, 3, 0);
    server.flush("still-works");
    server.close("still-works");
    let (status, answer) = server.delete(&Client::job_path("still-works", ""));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_bad_line_is_counted_and_its_neighbours_are_used() {
    let server = server_with_open_job();
    let deep = format!(
        "{{\"time\":{},\"x\":{}{}}}\n",
        START * 1000,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let bad: [(&str, Vec<u8>); 7] = [
        ("malformed", b"{\"time\":17040\"672, \"host\"\n".to_vec()),
        ("not JSON at all", b"<xml/>\n".to_vec()),
        ("cut short", b"{\"time\":\n".to_vec()),
        ("a quote without end", b"{\"host\":\"web-1\n".to_vec()),
        (
            "not UTF-8",
            b"{\"time\":\"\xff\xfe\",\"host\":\"\xc3\x28\"}\n".to_vec(),
        ),
        (
            "brackets without end",
            [b"[".repeat(100_000), b"\n".to_vec()].concat(),
        ),
        (
            "a line of 2 MB",
            [
                b"{\"host\":\"".to_vec(),
                b"x".repeat(2 << 20),
                b"\"}\n".to_vec(),
            ]
            .concat(),
        ),
    ];
    let mut total = 0;
    for (what, line) in &bad {
        let body = [good(1).as_bytes(), line, good(2).as_bytes()].concat();
        let reply = server.send_data(JOB, &body);
        assert_eq!(reply.status, 202, "{what}: {}", reply.text);
        println!("{what}: {}", reply.text);
        assert_counts(&reply.body, 2, 1);
        total += 3;
    }
    // A valid record with a deep field that no job uses: used or not, it is counted and hurts nobody.
    let counts = server.post_data(JOB, [good(3), deep, good(4)].concat().as_bytes());
    assert_eq!(counts["input_record_count"], 3, "{counts}");
    assert!(
        counts["processed_record_count"].as_u64() >= Some(2),
        "{counts}"
    );
    assert_eq!(
        server.input_record_count(JOB),
        total + 3,
        "the sum of all uploads"
    );
    assert_works(&server);
}

#[test]
fn blank_lines_and_an_enclosing_array_are_no_records() {
    let server = server_with_open_job();
    assert_counts(
        &server.post_data(
            JOB,
            format!("\n\n{}\r\n  \n{}", good(0), good(1)).as_bytes(),
        ),
        2,
        0,
    );
    let last_without_newline = format!("{}{}", good(2), good(3).trim_end());
    assert_counts(
        &server.post_data(JOB, last_without_newline.as_bytes()),
        2,
        0,
    );
    let array = format!("[{},\n{}]", good(4).trim_end(), good(5).trim_end());
    let reply = server.send(
        "POST",
        &Client::job_path(JOB, "/_data"),
        &JSON,
        Some(array.as_bytes()),
    );
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert_counts(&reply.body, 2, 0);
    assert_works(&server);
}

#[test]
fn records_without_a_readable_time_are_counted() {
    let server = server_with_open_job();
    let times = ["\"yesterday\"", "null", "true", "{}", "[]", "\"\"", "1e400"];
    let mut lines = good(0) + "{\"host\":\"web-1\",\"value\":1}\n{}\n";
    for time in times {
        lines += &format!("{{\"time\":{time},\"host\":\"web-1\",\"value\":1}}\n");
    }
    lines += &good(1);
    assert_counts(
        &server.post_data(JOB, lines.as_bytes()),
        2,
        2 + times.len() as u64,
    );
    assert_works(&server);
}

#[test]
fn late_records_are_counted_and_dropped() {
    let server = server_with_open_job();
    let lines = [
        good(5 * BUCKET_SPAN + 500),
        good(5 * BUCKET_SPAN), // any order inside the newest bucket is fine
        good(5 * BUCKET_SPAN - 1),
        good(0),
        good(5 * BUCKET_SPAN + 501),
    ];
    let counts = server.post_data(JOB, lines.concat().as_bytes());
    assert_counts(&counts, 3, 0);
    assert_eq!(counts["out_of_order_timestamp_count"], 2, "{counts}");
    assert_works(&server);
}

#[test]
fn odd_numbers_leave_no_odd_results() {
    let server = server_with_open_job();
    let values = [
        "NaN",
        "1e999",
        "-1e999",
        "\"NaN\"",
        "\"Infinity\"",
        "\"ten\"",
        "null",
        "1e308",
        "-1e308",
        "[]",
        "{}",
    ];
    let mut lines = String::new();
    for bucket in 0..200 {
        let value = values[bucket as usize % values.len()];
        lines += &good(bucket * BUCKET_SPAN);
        let time = (START + bucket * BUCKET_SPAN + 1) * 1000;
        lines += &format!(
            "{{\"time\":{time},\"host\":\"web-1\",\"region\":\"eu\",\"value\":{value}}}\n"
        );
    }
    let counts = server.post_data(JOB, lines.as_bytes());
    assert_eq!(counts["input_record_count"], 400, "{counts}");
    assert!(
        counts["processed_record_count"].as_u64() >= Some(200),
        "{counts}"
    );
    server.close(JOB);

    let page = json!({"page": {"from": 0, "size": 1000}});
    for (kind, fields) in [
        ("buckets", ["anomaly_score", "initial_anomaly_score"]),
        ("records", ["record_score", "probability"]),
        ("influencers", ["influencer_score", "probability"]),
    ] {
        let answer = server.ok(
            "POST",
            &Client::job_path(JOB, &format!("/results/{kind}")),
            &page,
        );
        for result in answer[kind].as_array().expect("a list") {
            for field in fields {
                let limit = if field == "probability" { 1.0 } else { 100.0 };
                let number = result[field]
                    .as_f64()
                    .unwrap_or_else(|| panic!("no {field}: {result}"));
                assert!((0.0..=limit).contains(&number), "{field}: {result}");
            }
            for value in result["actual"].as_array().into_iter().flatten() {
                assert!(value.is_f64(), "{result}");
            }
        }
    }
    assert_works(&server);
}

#[test]
fn numbers_as_strings_are_numbers() {
    let plain = Traffic::generate(5, 3, 300);
    let text = String::from_utf8(plain.bytes.clone()).expect("UTF-8");
    let quoted: Vec<String> = text
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).expect("a record");
            for field in ["time", "value"] {
                record[field] = json!(record[field].to_string().trim_matches('"'));
            }
            record.to_string()
        })
        .collect();
    let run = |body: &str| {
        let server = server_with_open_job();
        server.post_data(JOB, body.as_bytes());
        server.close(JOB);
        Outcome::of(&server, JOB)
    };
    let (numbers, strings) = (run(&text), run(&quoted.join("\n")));
    numbers.assert_substantial(300);
    for kind in ["buckets", "records", "influencers"] {
        assert_eq!(numbers.lines(kind), strings.lines(kind), "{kind}");
    }
}

#[test]
fn gzipped_records_are_taken_and_broken_gzip_is_refused() {
    let server = server_with_open_job();
    let path = Client::job_path(JOB, "/_data");
    let headers = [
        ("content-type", "application/x-ndjson"),
        ("content-encoding", "gzip"),
    ];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let records: String = (0..5000).map(good).collect();
    gzip.write_all(records.as_bytes())
        .expect("compression into memory");
    let packed = gzip.finish().expect("compression into memory");
    let reply = server.send("POST", &path, &headers, Some(&packed));
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert_counts(&reply.body, 5000, 0);

    let reply = server.send("POST", &path, &headers, Some(b"this is no gzip"));
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (400, &json!(400)),
        "{}",
        reply.text
    );
    let reply = server.send("POST", &path, &headers, Some(&packed[..packed.len() / 2]));
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (400, &json!(400)),
        "{}",
        reply.text
    );
    assert_works(&server);
}

#[test]
fn data_needs_a_job_and_an_open_one() {
    let server = Server::start(&[]);
    let unknown = server.send_data("nobody", good(0).as_bytes());
    unknown.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'nobody'",
    );
    for rest in [
        "/_open",
        "/_close",
        "/_flush",
        "/_update",
        "/results/buckets",
    ] {
        let body = if rest == "/_update" {
            json!({"description": "x"})
        } else {
            Value::Null
        };
        let unknown = server.call("POST", &Client::job_path("nobody", rest), &body);
        unknown.assert_error(
            404,
            "resource_not_found_exception",
            "No known job with id 'nobody'",
        );
    }

    server.ok("PUT", &Client::job_path("shut", ""), &traffic::job_config());
    let reason = "Cannot perform requested action because job [shut] is not open";
    server
        .send_data("shut", good(0).as_bytes())
        .assert_error(409, "status_exception", reason);
    let flush = server.call("POST", &Client::job_path("shut", "/_flush"), &Value::Null);
    flush.assert_error(409, "status_exception", reason);
    assert_eq!(server.input_record_count("shut"), 0);
    assert_works(&server);
}

#[test]
fn a_job_that_cannot_be_is_not_created() {
    let server = Server::start(&[]);
    let path = Client::job_path(JOB, "");
    let with = |change: fn(&mut Value)| {
        let mut config = traffic::job_config();
        change(&mut config);
        server.call("PUT", &path, &config)
    };
    with(|c| c["foo"] = json!(1)).assert_error(
        400,
        "x_content_parse_exception",
        "[job_details] unknown field [foo]",
    );
    let nested = with(|c| c["analysis_config"]["foo"] = json!(1));
    nested.assert_error(400, "x_content_parse_exception", "unknown field [foo]");
    with(|c| c["job_id"] = json!("other")).assert_error(
        400,
        "illegal_argument_exception",
        "Inconsistent job_id",
    );
    let span = with(|c| c["analysis_config"]["bucket_span"] = json!("never"));
    span.assert_error(
        400,
        "x_content_parse_exception",
        "failed to parse field [bucket_span]",
    );
    let function = with(|c| c["analysis_config"]["detectors"][0]["function"] = json!("magic"));
    function.assert_error(400, "x_content_parse_exception", "Unknown function 'magic'");
    let deep = with(|c| {
        c["custom_settings"] = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
    });
    assert_eq!(deep.status, 200, "a hundred levels are fine: {}", deep.text);
    assert_eq!(server.delete(&path).0, 200);

    let depth = 200_000;
    let settings = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let too_deep = format!("{{\"custom_settings\":{settings}}}");
    for body in [
        too_deep.as_bytes(),
        b"{",
        b"[]",
        b"\"text\"",
        b"{\"analysis_config\":\xff}",
        b"null",
    ] {
        let reply = server.send("PUT", &path, &JSON, Some(body));
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        assert_eq!(
            (reply.status, &reply.body["status"]),
            (400, &json!(400)),
            "{shown}: {}",
            reply.text
        );
        assert!(
            reply.body["error"]["reason"].is_string(),
            "{shown}: {}",
            reply.text
        );
    }
    server.send("PUT", &path, &JSON, Some(b"")).assert_error(
        400,
        "parse_exception",
        "request body is required",
    );
    server.call("GET", &path, &Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No known job",
    );
    assert_works(&server);
}

#[test]
fn job_ids_are_checked_and_unique() {
    let server = Server::start(&[]);
    let config = traffic::job_config();
    let long = "x".repeat(65);
    for id in [
        "Upper",
        "end-",
        "-start",
        "a%20space",
        "caf%C3%A9",
        "a%2Fb",
        "..%2F..%2Fetc",
        "x'--",
        &long,
    ] {
        let reply = server.call("PUT", &Client::job_path(id, ""), &config);
        let reason = if id == long {
            "more than 64 characters"
        } else {
            "Invalid job_id"
        };
        reply.assert_error(400, "illegal_argument_exception", reason);
    }
    let longest = "x".repeat(64);
    for id in ["a", "a.b-c_d", "0", &longest] {
        server.ok("PUT", &Client::job_path(id, ""), &config);
        let again = server.call("PUT", &Client::job_path(id, ""), &config);
        again.assert_error(
            400,
            "resource_already_exists_exception",
            "The Id is already used.",
        );
    }
    assert_eq!(server.get("/_ml/anomaly_detectors").1["count"], 4);
    assert_works(&server);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let server = Server::start(&[]);
    let text = "x".repeat(128 << 20);
    let body = format!("{{\"description\":\"{text}\"}}");
    let mut stream = TcpStream::connect(&server.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    write!(
        stream,
        "PUT /_ml/anomaly_detectors/{JOB} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.address,
        body.len()
    )
    .expect("the head to be sent");
    // The server may answer and hang up while the client still writes.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let refused = answer.starts_with("HTTP/1.1 413 ") || answer.starts_with("HTTP/1.1 400 ");
    assert!(refused, "expected 413 or 400, got «{answer}»");
    assert_works(&server);
}

/// What comes of `rest`, sent a moment after `head`, on one connection.
fn answers(server: &Server, head: &str, rest: &str) -> String {
    let mut stream = TcpStream::connect(&server.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(head.as_bytes()).expect("the head sent");
    std::thread::sleep(Duration::from_millis(100));
    // A server that has hung up may refuse it: then the answers tell.
    let _ = stream.write_all(rest.as_bytes());
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    String::from_utf8_lossy(&answers).into_owned()
}

/// Clients keep their connections, and a request that is refused before its body has come in must not cost them one.
#[test]
fn a_refused_body_leaves_its_connection_usable() {
    let server = Server::start(&[]);
    let next = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    for (request, headers, status) in [
        (
            "PUT /_ml/nowhere/at/all",
            "Content-Type: application/json\r\n",
            400,
        ),
        (
            "PUT /_ml/anomaly_detectors/x",
            "Content-Type: text/plain\r\n",
            406,
        ),
        (
            "PUT /_ml/anomaly_detectors/x?bogus=1",
            "Content-Type: application/json\r\n",
            400,
        ),
        (
            "PATCH /_ml/anomaly_detectors/x",
            "Content-Type: application/json\r\n",
            405,
        ),
        (
            "POST /_plugins/_anomaly_detection/detectors/_validate/else",
            "Content-Type: application/json\r\n",
            500,
        ),
        (
            "POST /_ml/anomaly_detectors/x/_data",
            "Content-Type: application/json\r\n",
            404,
        ),
        (
            "POST /workspaces/ws-1/anomalydetectors",
            "Content-Type: application/json\r\n",
            400,
        ),
    ] {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: 9\r\n\r\n",
            server.address
        );
        let answers = answers(&server, &head, &format!("{{\"a\": 12}}{next}"));
        assert!(
            answers.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answers}"
        );
        let (_, second) = answers
            .split_once("HTTP/1.1 200 ")
            .unwrap_or_else(|| panic!("{request}: {answers}"));
        assert!(!second.is_empty(), "{answers}");
    }
    // One that asks whether to send its body at all hears that it need not, and that the connection ends.
    let head = format!(
        "PUT /_ml/nowhere HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        server.address
    );
    let answers = answers(&server, &head, "");
    assert!(answers.starts_with("HTTP/1.1 400 "), "{answers}");
    assert!(
        answers.to_lowercase().contains("connection: close"),
        "{answers}"
    );
    assert_works(&server);
}

#[test]
fn requests_are_checked_as_elasticsearch_does() {
    let server = server_with_open_job();
    let job = Client::job_path(JOB, "");
    let config = traffic::job_config().to_string();
    let other = Client::job_path("other", "");
    let plain = server.send(
        "PUT",
        &other,
        &[("content-type", "text/plain")],
        Some(config.as_bytes()),
    );
    assert_eq!(
        (plain.status, &plain.body["status"]),
        (406, &json!(406)),
        "{}",
        plain.text
    );
    let says_why =
        plain.text.contains("media_type_header_exception") || plain.text.contains("Content-Type");
    assert!(says_why, "{}", plain.text);
    assert_eq!(server.get(&other).0, 404, "a refused request has no effect");

    let unknown = server.call("GET", &format!("{job}?bogus=1"), &Value::Null);
    unknown.assert_error(
        400,
        "illegal_argument_exception",
        "contains unrecognized parameter: [bogus]",
    );
    let typo = server.call("DELETE", &format!("{job}?forces=true"), &Value::Null);
    typo.assert_error(
        400,
        "illegal_argument_exception",
        "contains unrecognized parameter: [forces]",
    );
    assert_eq!(
        server.state(JOB),
        "opened",
        "a refused request has no effect"
    );

    let wrong = server.call("PUT", &format!("{job}/_open"), &Value::Null);
    assert_eq!(
        (wrong.status, &wrong.body["status"]),
        (405, &json!(405)),
        "{}",
        wrong.text
    );
    assert_eq!(wrong.header("allow"), "POST");
    assert_eq!(wrong.header("x-elastic-product"), "Elasticsearch");

    let nowhere = server.call("GET", "/_ml/nowhere/at/all", &Value::Null);
    assert_eq!(nowhere.status, 400, "{}", nowhere.text);
    assert!(
        nowhere
            .text
            .contains("no handler found for uri [/_ml/nowhere/at/all] and method [GET]"),
        "{}",
        nowhere.text
    );
    assert_works(&server);
}

#[test]
fn bytes_that_are_no_http_hurt_nobody() {
    let server = server_with_open_job();
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"POST /_ml HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(&server.address).expect("a connection");
        let _ = stream.write_all(noise);
    }
    assert_works(&server);
}
