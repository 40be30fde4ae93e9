//! Requests that come at the wrong time, or ask for what isn't there, refused in the words of each of OpenSearch's
//! dialects.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::{Value, json};
use support::opensearch::{
    BASES, DISTRO, GUARD, PLUGINS, START, all_refuse, always, create, definition, id, refused,
    says, server, with,
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
        ("GET", "/nobody/results/_topAnomalies", Value::Null),
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

#[test]
fn a_history_that_is_analysed_guards_its_detector() {
    let far = Far::start();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!(
        "[sources.far]\nkind = \"opensearch\"\nurl = \"{}\"\n",
        far.url
    );
    std::fs::write(&path, settings).expect("a file");
    let server = Server::start(&["--config", &path.display().to_string()]);
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
