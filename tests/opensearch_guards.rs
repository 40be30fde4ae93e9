//! Requests that come at the wrong time, or ask for what isn't there, refused in the words of each of OpenSearch's
//! dialects.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::{Value, json};
use support::opensearch::{
    BASES, DISTRO, GUARD, PLUGINS, START, add_orders, all_refuse, always, create, definition, id,
    mapped, refused, says, server, with,
};
use support::{Server, wait_until};

#[test]
fn settings_limit_detectors_and_turn_them_off() {
    let server = server();
    let set = |name: &str, value: Value| {
        let name = format!("plugins.anomaly_detection.{name}");
        server.ok(
            "PUT",
            "/_cluster/settings",
            &json!({"transient": {name: value}}),
        );
    };
    let by_shop = |name: &str| with(definition(name), "category_field", json!(["shop"]));
    set("max_multi_entity_anomaly_detectors", json!(1));
    create(&server, GUARD, &by_shop("first"));
    let words = (
        "Can't create more than 1 HC anomaly detectors.",
        "Can't create more than 1 multi-entity anomaly detectors.",
    );
    all_refuse(&server, "POST", "", &by_shop("second"), 400, words);
    set("max_anomaly_detectors", json!(1));
    let words = (
        "Can't create more than 1 single-stream anomaly detectors.",
        "Can't create more than 1 single-entity anomaly detectors.",
    );
    all_refuse(&server, "POST", "", &definition("third"), 400, words);
    let told = server.ok("POST", &format!("{GUARD}/_validate"), &definition("third"));
    assert_eq!(told["detector"]["general_settings"]["message"], words.1);
    set("max_anomaly_detectors", Value::Null);
    create(&server, DISTRO, &definition("third"));

    set("enabled", json!(false));
    for (method, rest) in [
        ("POST", ""),
        ("GET", "/_search"),
        ("GET", "/count"),
        ("POST", "/nobody/_start"),
    ] {
        for base in BASES {
            let words = (
                "AD functionality is disabled. To enable update plugins.anomaly_detection.enabled to true",
                "AD plugin is disabled. To enable update plugins.anomaly_detection.enabled to true",
            );
            let reply = server.call(method, &format!("{base}{rest}"), &definition("third"));
            refused(&reply, 500, "illegal_state_exception", says(base, words));
        }
    }
    set("enabled", json!(true));
    let count = server.ok("GET", &format!("{PLUGINS}/count"), &Value::Null);
    assert_eq!(count["count"], 2);
}

#[test]
fn detectors_that_there_are_not() {
    let server = server();
    let words = (
        "Can't find config with id: nobody",
        "Can't find detector with id: nobody",
    );
    let range = json!({"start_time": START, "end_time": START + 1});
    for (method, rest, body) in [
        ("GET", "/nobody", Value::Null),
        ("PUT", "/nobody", definition("new")),
        ("POST", "/nobody/_start", Value::Null),
        ("POST", "/nobody/_start", range),
        ("POST", "/nobody/_stop", Value::Null),
        ("POST", "/nobody/_stop?historical=true", Value::Null),
        ("GET", "/nobody/_profile", Value::Null),
        (
            "GET",
            "/nobody/results/_topAnomalies",
            json!({"start_time_ms": 1, "end_time_ms": 2}),
        ),
    ] {
        all_refuse(&server, method, rest, &body, 404, words);
    }
    let period = json!({"period_start": START, "period_end": START + 1});
    let words = always("Can't find anomaly detector with id:nobody");
    all_refuse(&server, "POST", "/nobody/_preview", &period, 404, words);
    for base in BASES {
        let reply = server.call("DELETE", &format!("{base}/nobody"), &Value::Null);
        assert_eq!(
            (reply.status, &reply.body["result"]),
            (404, &json!("not_found"))
        );
    }
}

/// An OpenSearch elsewhere that answers no search until it is released.
struct Far {
    url: String,
    released: Arc<(Mutex<bool>, Condvar)>,
}

impl Far {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let released: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let held = Arc::clone(&released);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = Arc::clone(&held);
                thread::spawn(move || while answer(&stream, &held).is_some() {});
            }
        });
        Self { url, released }
    }

    fn release(&self) {
        *self.released.0.lock().expect("a flag") = true;
        self.released.1.notify_all();
    }
}

fn answer(mut stream: &TcpStream, held: &(Mutex<bool>, Condvar)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begin = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let line = head[begin..].trim().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let (status, told) = match head.lines().next()?.contains("_field_caps") {
        true => {
            let of = |kind: &str| json!({kind: {"type": kind, "searchable": true, "aggregatable": true}});
            let fields = json!({"at": of("date"), "amount": of("double")});
            ("200 OK", json!({"indices": ["shops"], "fields": fields}))
        }
        false => {
            let released = held.0.lock().expect("a flag");
            let _released = held
                .1
                .wait_while(released, |released| !*released)
                .expect("a flag");
            ("503 Service Unavailable", json!({}))
        }
    };
    let told = told.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        told.len()
    );
    stream.write_all((head + &told).as_bytes()).ok()
}

/// A server that knows an OpenSearch by the name of `far`.
fn server_with(url: &str) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!("[sources.far]\nkind = \"opensearch\"\nurl = \"{url}\"\n");
    std::fs::write(&path, settings).expect("a file");
    Server::start(&["--config", &path.display().to_string()])
}

#[test]
fn a_source_that_never_answers_holds_up_its_own_detector_alone() {
    // Whoever connects waits until the listener goes.
    let silence = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silence.local_addr().expect("an address"));
    let server = server_with(&url);
    mapped(&server, "shops-1");
    add_orders(&server, "shops-1", START, 10, None);
    let far = with(definition("far"), "indices", json!(["far:shops"]));
    let far = create(&server, PLUGINS, &far);
    let near = create(&server, PLUGINS, &definition("near"));
    let start = |detector: &Value| format!("{PLUGINS}/{}/_start", id(detector));
    let failed = thread::scope(|scope| {
        let starting = scope.spawn(|| server.call("POST", &start(&far), &Value::Null));
        wait_until("its job to be open", || {
            let path = format!("/_ml/anomaly_detectors/{}/_stats", id(&far));
            let stats = server.ok("GET", &path, &Value::Null);
            (stats["jobs"][0]["state"] == "opened").then_some(())
        });
        // By Elasticsearch's API it is as long as is asked for.
        let path = format!("/_ml/datafeeds/{}/_start?timeout=50ms", id(&far));
        let reason = format!(
            "Starting datafeed [{}] timed out after [50ms]: its source has not answered",
            id(&far)
        );
        let reply = server.call("POST", &path, &Value::Null);
        refused(&reply, 503, "status_exception", &reason);
        // Others come, change, start, stop and go.
        let other = create(&server, PLUGINS, &definition("other"));
        let path = format!("{PLUGINS}/{}", id(&near));
        let body = with(definition("near"), "description", json!("changed"));
        assert_eq!(server.ok("PUT", &path, &body)["_version"], 2);
        let body = with(definition("near"), "shingle_size", json!(4));
        assert_eq!(server.ok("PUT", &path, &body)["_version"], 3);
        server.ok("POST", &start(&near), &Value::Null);
        server.ok("POST", &format!("{path}/_stop"), &Value::Null);
        server.ok("DELETE", &format!("{PLUGINS}/{}", id(&other)), &Value::Null);
        assert!(!starting.is_finished(), "it was waited for");
        drop(silence);
        starting.join().expect("an answer")
    });
    let error = &failed.body["error"];
    assert_eq!(
        (failed.status, &error["type"]),
        (503, &json!("status_exception")),
        "{}",
        failed.text
    );
    let profile = format!("{PLUGINS}/{}/_profile", id(&far));
    let profile = server.ok("GET", &profile, &Value::Null);
    assert_eq!(profile, json!({"state": "DISABLED"}));
}

#[test]
fn of_many_that_come_together_one_has_the_name_and_no_more_than_there_is_room_for() {
    let server = server();
    let together = |names: &[String]| -> Vec<(u16, Value)> {
        thread::scope(|scope| {
            let calls = names
                .iter()
                .map(|name| scope.spawn(|| server.call("POST", PLUGINS, &definition(name))));
            let calls: Vec<_> = calls.collect();
            let replies = calls
                .into_iter()
                .map(|call| call.join().expect("an answer"));
            let replies = replies.map(|reply| (reply.status, reply.body));
            replies.collect()
        })
    };
    let same = together(&["same".to_owned(), "same".to_owned(), "same".to_owned()]);
    let mut codes: Vec<u16> = same.iter().map(|(code, _)| *code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [201, 409, 409]);
    let room = json!({"transient": {"plugins.anomaly_detection.max_anomaly_detectors": 3}});
    server.ok("PUT", "/_cluster/settings", &room);
    let names: Vec<String> = (0..6).map(|number| format!("other-{number}")).collect();
    let others = together(&names);
    let (made, refused): (Vec<_>, Vec<_>) = others.into_iter().partition(|(code, _)| *code == 201);
    let mut writes: Vec<i64> = made
        .iter()
        .filter_map(|(_, made)| made["_seq_no"].as_i64())
        .collect();
    writes.sort_unstable();
    assert_eq!(writes, [1, 2]);
    let words = "Can't create more than 3 single-stream anomaly detectors.";
    assert!(
        refused
            .iter()
            .all(|(code, body)| *code == 400 && body["error"]["reason"] == words),
        "{refused:?}"
    );
}

#[test]
fn a_history_that_is_analysed_guards_its_detector() {
    let far = Far::start();
    let server = server_with(&far.url);
    let body = with(definition("far"), "indices", json!(["far:shops"]));
    let detector = create(&server, PLUGINS, &body);
    let one = |rest: &str| format!("/{}{rest}", id(&detector));
    let stop = one("/_stop?historical=true");
    let range = json!({"start_time": START, "end_time": START + 3_600_000});
    all_refuse(
        &server,
        "POST",
        &stop,
        &Value::Null,
        400,
        always("Detector not started"),
    );
    let started = server.ok("POST", &format!("{PLUGINS}{}", one("/_start")), &range);
    let words = always("Detector is already running");
    all_refuse(&server, "POST", &one("/_start"), &range, 400, words);
    for (method, body) in [("PUT", &body), ("DELETE", &Value::Null)] {
        for (base, status, reason) in [
            (PLUGINS, 400, "Historical is running"),
            (DISTRO, 500, "Detector is running"),
            (GUARD, 500, "Detector is running"),
        ] {
            let reply = server.call(method, &format!("{base}{}", one("")), body);
            refused(&reply, status, "status_exception", reason);
        }
    }
    // It ends with the search that it waits for.
    let stopped = thread::scope(|scope| {
        let stopping = scope.spawn(|| server.ok("POST", &format!("{GUARD}{stop}"), &Value::Null));
        wait_until("the run to be told to stop", || {
            let path = format!("/_ml/anomaly_detectors/{}", id(&started));
            let job = &server.ok("GET", &path, &Value::Null)["jobs"][0];
            job["custom_settings"]["opensearch_task"]["stopped"].as_i64()
        });
        far.release();
        stopping.join().expect("an answer")
    });
    assert_eq!(stopped["_id"], started["_id"]);
    all_refuse(
        &server,
        "POST",
        &stop,
        &Value::Null,
        400,
        always("No running task found"),
    );
    let path = format!("{PLUGINS}{}", one("?task=true"));
    let told = server.ok("GET", &path, &Value::Null);
    let task = &told["historical_analysis_task"];
    assert_eq!(
        (&task["task_id"], &task["state"]),
        (&started["_id"], &json!("STOPPED"))
    );
    server.ok("DELETE", &format!("{PLUGINS}{}", one("")), &Value::Null);
}
