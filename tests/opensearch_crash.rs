//! A server that is killed while detectors of OpenSearch's dialects come, change and go has whole ones, or none.
//!
//! `TIDEWATCH_CRASHES` sets the number of kills (12), `TIDEWATCH_CRASH_SEED` the seed of their moments.

mod support;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::opensearch::{MINUTE, PLUGINS, add_orders, definition, id, mapped, now};
use support::traffic::Rng;
use support::{Client, PATIENCE, Server, wait_until};

/// An answer's body; an error where the server goes meanwhile.
fn ask(address: &str, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let read = body.and_then(|body| serde_json::from_str(body).ok());
    read.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The definition of a detector whose description says what its data is asked.
fn defined(name: &str, least: i64, shingle: i64) -> Value {
    let mut body = definition(name);
    body["description"] = least.to_string().into();
    body["filter_query"] = json!({"range": {"amount": {"gt": least}}});
    body["shingle_size"] = shingle.into();
    body
}

/// Lets detectors come, run, change and go until the server does.
fn disturb(address: &str, round: u64) -> io::Result<()> {
    for number in 0.. {
        let name = format!("d-{round}-{number}");
        let created = ask(address, "POST", PLUGINS, &defined(&name, 1, 4))?;
        let path = format!("{PLUGINS}/{}", id(&created));
        ask(address, "POST", &format!("{path}/_start"), &Value::Null)?;
        ask(address, "POST", &format!("{path}/_stop"), &Value::Null)?;
        ask(address, "PUT", &path, &defined(&name, 2, 4))?;
        ask(address, "PUT", &path, &defined(&name, 3, 6))?;
        let range = json!({"start_time": now() - 20 * MINUTE, "end_time": now()});
        ask(address, "POST", &format!("{path}/_start"), &range)?;
        ask(address, "PUT", &path, &defined(&name, 4, 8))?;
        if number % 2 == 0 {
            let stop = format!("{path}/_stop?historical=true");
            ask(address, "POST", &stop, &Value::Null)?;
            ask(address, "DELETE", &path, &Value::Null)?;
        }
    }
    Ok(())
}

/// What is wrong with the jobs, the datafeeds and the detectors that they are.
fn wrong(client: &Client) -> Option<String> {
    let all = json!({"size": 1000});
    let found = client.ok("POST", &format!("{PLUGINS}/_search"), &all);
    let detectors = found["hits"]["hits"].as_array().expect("hits");
    let mut current = Vec::new();
    let jobs = client.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    for job in jobs["jobs"].as_array().expect("jobs") {
        let (job_id, settings) = (&job["job_id"], &job["custom_settings"]);
        let kept = match (&settings["opensearch"], &settings["opensearch_task"]) {
            (kept, Value::Null) => kept,
            (_, task) => {
                if !detectors
                    .iter()
                    .any(|hit| hit["_id"] == task["detector_id"])
                {
                    return Some(format!("the run {job_id} is of no detector"));
                }
                continue;
            }
        };
        let Some(hit) = detectors.iter().find(|hit| hit["_id"] == kept["id"]) else {
            return Some(format!("the job {job_id} is of no detector"));
        };
        let feed = &job["datafeed_config"];
        if !settings["replaced_by"].is_null() {
            if !feed.is_null() {
                return Some(format!("the former job {job_id} has a datafeed"));
            }
            continue;
        }
        if current.contains(&kept["id"]) {
            return Some(format!("two jobs are of {}", kept["id"]));
        }
        current.push(kept["id"].clone());
        let least = hit["_source"]["description"].as_str().expect("a text");
        let least: i64 = least.parse().expect("a number");
        if feed["query"] != json!({"range": {"amount": {"gt": least}}}) {
            return Some(format!("the datafeed of {job_id} asks something else"));
        }
        let feed_id = feed["datafeed_id"].as_str().expect("an id");
        let of_job = Client::job_path(job_id.as_str().expect("an id"), "/_stats");
        let of_feed = format!("/_ml/datafeeds/{feed_id}/_stats");
        let ((200, stats), (200, feed)) = (client.get(&of_job), client.get(&of_feed)) else {
            return Some(format!("{job_id} goes meanwhile"));
        };
        let state = &stats["jobs"][0]["state"];
        if (state == "opened") != (feed["datafeeds"][0]["state"] == "started") {
            return Some(format!(
                "{job_id} is {state}, and its datafeed something else"
            ));
        }
        if job["description"] != hit["_source"]["description"] {
            return Some(format!("the job {job_id} says something else"));
        }
    }
    (current.len() != detectors.len()).then(|| "a detector without a job".to_owned())
}

fn number_from_env(name: &str, default: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn kills_of_the_server_leave_no_half_detector() {
    let crashes = number_from_env("TIDEWATCH_CRASHES", 12);
    let mut rng = Rng::new(number_from_env("TIDEWATCH_CRASH_SEED", 42));
    let mut server = Server::start(&[]);
    mapped(&server, "shops-1");
    let start = now() - 60 * MINUTE;
    add_orders(&server, "shops-1", start, 60, None);
    for round in 0..crashes {
        let address = server.address.clone();
        let client = thread::spawn(move || disturb(&address, round).is_err());
        thread::sleep(Duration::from_millis(rng.below(1_500) as u64));
        server.kill();
        assert!(client.join().expect("the client"), "the server went on");
        server.start_again();
        if rng.below(4) == 0 {
            server.kill_and_restart();
        }
        wait_until("whole detectors", || match wrong(&server) {
            Some(what) => {
                println!("after kill {round}: {what}");
                None
            }
            None => Some(()),
        });
    }
    let found = server.ok(
        "POST",
        &format!("{PLUGINS}/_search"),
        &json!({"size": 1000}),
    );
    let left = found["hits"]["hits"].as_array().expect("hits");
    println!("{} detectors are left", left.len());
    assert!(!left.is_empty());
    for hit in left {
        let path = format!("{PLUGINS}/{}", id(hit));
        server.call("POST", &format!("{path}/_stop"), &Value::Null);
        let stop = format!("{path}/_stop?historical=true");
        server.call("POST", &stop, &Value::Null);
        server.ok("DELETE", &path, &Value::Null);
    }
    let jobs = server.ok("GET", "/_ml/anomaly_detectors", &Value::Null);
    assert_eq!(jobs["count"], 0);
}
