//! The life of a job: its states, lazy opening, closing and opening again, deletion, snapshots; and the life of
//! the server that keeps it.

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, BUCKET_SPAN, START, Traffic};
use support::{Client, Server, serve_command, wait_until};

const NO_BODY: Value = Value::Null;

fn lazy_config() -> Value {
    let mut config = traffic::job_config();
    config["allow_lazy_open"] = json!(true);
    config
}

#[track_caller]
fn create(server: &Client, job: &str, config: &Value) {
    server.ok("PUT", &Client::job_path(job, ""), config);
}

#[test]
fn a_job_beyond_the_capacity_is_refused_and_stays_closed() {
    let mut server = Server::start(&["--max-open-jobs", "1"]);
    server.create_open("first", &traffic::job_config());
    create(&server, "second", &traffic::job_config());

    let refused = server.call("POST", &Client::job_path("second", "/_open"), &NO_BODY);
    let reason = "Could not open job because no ML nodes with sufficient capacity were found";
    refused.assert_error(429, "status_exception", reason);
    assert_eq!(
        server.state("second"),
        "closed",
        "a refused job must not wait for its turn"
    );

    server.close("first");
    assert_eq!(
        server.state("second"),
        "closed",
        "nobody asked again for the second job"
    );
    server.ok("POST", &Client::job_path("second", "/_open"), &NO_BODY);
    server.wait_state("second", "opened");
    let refused = server.call("POST", &Client::job_path("first", "/_open"), &NO_BODY);
    refused.assert_error(429, "status_exception", reason);

    server.kill_and_restart();
    server.wait_state("second", "opened");
    assert_eq!(server.state("first"), "closed");
}

#[test]
fn a_lazy_job_waits_and_the_oldest_gets_the_free_place() {
    let mut server = Server::start(&["--max-open-jobs", "1"]);
    server.create_open("first", &traffic::job_config());
    for job in ["zebra", "ape"] {
        create(&server, job, &lazy_config());
        let opened = server.ok("POST", &Client::job_path(job, "/_open"), &NO_BODY);
        assert_eq!(opened, json!({"opened": true, "node": ""}));
        let stats = server.stats(job);
        assert_eq!(stats["state"], "opening", "{stats}");
        let why = stats["assignment_explanation"].as_str().unwrap_or_default();
        assert!(!why.is_empty(), "a waiting job says why: {stats}");
        assert!(
            stats.get("node").is_none(),
            "a waiting job has no node: {stats}"
        );
    }
    let early = server.send_data("zebra", b"{\"time\":1}\n");
    early.assert_error(409, "status_exception", "because job [zebra] is not open");

    server.kill_and_restart();
    server.wait_state("first", "opened");
    assert_eq!(server.state("zebra"), "opening", "waiting survives a crash");

    server.close("first");
    server.wait_state("zebra", "opened");
    assert_eq!(server.state("ape"), "opening", "it asked later");
    // One that still waits can be closed at once, and then no longer gets in.
    server.close("ape");
    server.close("zebra");
    assert_eq!(server.state("ape"), "closed");
}

#[test]
fn open_jobs_are_open_and_closed_ones_closed_after_a_kill() {
    let mut server = Server::start(&[]);
    for job in ["open", "closed"] {
        server.create_open(job, &traffic::job_config());
    }
    server.close("closed");
    server.kill_and_restart();
    server.wait_state("open", "opened");
    assert_eq!(server.state("closed"), "closed");
    let again = server.call("POST", &Client::job_path("open", "/_open"), &NO_BODY);
    again.assert_error(
        409,
        "status_exception",
        "because it has already been opened",
    );
}

#[test]
fn a_reopened_job_goes_on_as_if_never_closed() {
    const JOB: &str = "pause";
    let buckets = 5 * 96;
    let traffic = Traffic::generate(50, 3, buckets);
    // In the middle of a bucket, most likely.
    let cut = traffic.len() * 3 / 5 + 4;
    let run = |pause: bool| {
        let server = Server::start(&[]);
        server.create_open(JOB, &traffic::job_config());
        server.post_data(JOB, traffic.slice(0, cut));
        if pause {
            server.close(JOB);
            let job = &server.ok("GET", &Client::job_path(JOB, ""), &NO_BODY)["jobs"][0];
            assert!(
                job["finished_time"].is_u64(),
                "a closed job has finished: {job}"
            );
            server.ok("POST", &Client::job_path(JOB, "/_open"), &NO_BODY);
            server.wait_state(JOB, "opened");
            let job = &server.ok("GET", &Client::job_path(JOB, ""), &NO_BODY)["jobs"][0];
            assert!(
                job.get("finished_time").is_none(),
                "an open job has not finished: {job}"
            );
        }
        server.post_data(JOB, traffic.slice(cut, traffic.len()));
        server.close(JOB);
        Outcome::of(&server, JOB)
    };
    let straight = run(false);
    straight.assert_substantial(buckets);
    straight.assert_same(
        &run(true),
        "a straight run and one that was closed and reopened",
    );
}

#[test]
fn an_open_job_is_only_deleted_by_force() {
    let server = Server::start(&[]);
    server.create_open("doomed", &traffic::job_config());
    let path = Client::job_path("doomed", "");
    let refused = server.call("DELETE", &path, &NO_BODY);
    refused.assert_error(
        409,
        "status_exception",
        "Cannot delete job [doomed] because the job is opened",
    );
    assert_eq!(server.state("doomed"), "opened");

    let (status, answer) = server.delete(&format!("{path}?force=true"));
    assert_eq!(
        (status, &answer["acknowledged"]),
        (200, &json!(true)),
        "{answer}"
    );
    let gone = server.call("GET", &path, &NO_BODY);
    gone.assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'doomed'",
    );
    // Its id is free again, and nothing of the former job is left.
    server.create_open("doomed", &traffic::job_config());
    assert_eq!(server.input_record_count("doomed"), 0);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start(&[]);
    server.create_open("mine", &traffic::job_config());
    let dir = server.data_dir();
    let parent = dir.parent().expect("the data directory has a parent");
    let mut second = serve_command(parent, &[])
        .stderr(Stdio::piped())
        .spawn()
        .expect("a second server");
    let ended = wait_until("the second server to give up", || {
        second.try_wait().expect("a child")
    });
    let output = second.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(!ended.success(), "a second server ended well: {said}");
    assert!(
        output.stdout.is_empty(),
        "it claims to listen: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        ["in use", "locked", "another"]
            .iter()
            .any(|word| said.contains(word)),
        "unclear: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(server.state("mine"), "opened", "the first server goes on");
}

#[test]
fn signals_stop_the_server_cleanly() {
    let traffic = Traffic::generate(60, 2, 96);
    let mut server = Server::start(&[]);
    server.create_open("kept", &traffic::job_config());
    let half = traffic.len() / 2;
    for (signal, records) in [
        ("TERM", traffic.slice(0, half)),
        ("INT", traffic.slice(half, traffic.len())),
    ] {
        server.post_data("kept", records);
        let count = server.input_record_count("kept");
        let ended = server.signal_and_wait(signal);
        assert_eq!(ended.code(), Some(0), "SIG{signal}: {ended}");
        server.start_again();
        server.wait_state("kept", "opened");
        assert_eq!(
            server.input_record_count("kept"),
            count,
            "after SIG{signal}"
        );
    }
    assert_eq!(server.input_record_count("kept"), traffic.len());
}

#[test]
fn flush_shows_the_open_bucket_as_interim() {
    const JOB: &str = "interim";
    let server = Server::start(&[]);
    server.create_open(JOB, &traffic::job_config());
    let record = |second: u64| traffic::record((START + second) * 1000, "web-1", "eu", 10.0);
    let full: String = (0..4 * BUCKET_SPAN).step_by(100).map(record).collect();
    server.post_data(JOB, full.as_bytes());
    server.post_data(JOB, record(4 * BUCKET_SPAN + 60).as_bytes());

    let open_bucket = (START + 4 * BUCKET_SPAN) * 1000;
    let buckets = |query: &str| -> Vec<(u64, bool)> {
        let (status, answer) =
            server.get(&Client::job_path(JOB, &format!("/results/buckets{query}")));
        assert_eq!(status, 200, "{answer}");
        let of = |b: &Value| {
            (
                b["timestamp"].as_u64().expect("ms"),
                b["is_interim"].as_bool().expect("a flag"),
            )
        };
        answer["buckets"]
            .as_array()
            .expect("buckets")
            .iter()
            .map(of)
            .collect()
    };
    let plain = server.flush(JOB);
    assert_eq!(plain["last_finalized_bucket_end"], open_bucket, "{plain}");
    assert_eq!(buckets("").len(), 4);

    let path = Client::job_path(JOB, "/_flush?calc_interim=true");
    let flushed = server.ok("POST", &path, &NO_BODY);
    assert_eq!(
        flushed["last_finalized_bucket_end"], open_bucket,
        "{flushed}"
    );
    let (all, last) = (buckets(""), (open_bucket, true));
    assert_eq!((all.len(), all.last()), (5, Some(&last)));
    assert!(all[..4].iter().all(|(_, interim)| !interim), "{all:?}");
    assert_eq!(buckets("?exclude_interim=true").len(), 4);

    // The final bucket takes the place of the interim one.
    server.post_data(JOB, record(5 * BUCKET_SPAN + 60).as_bytes());
    server.flush(JOB);
    let all = buckets("");
    assert_eq!(
        (all.len(), all.last()),
        (5, Some(&(open_bucket, false))),
        "{all:?}"
    );
}

#[test]
fn a_flush_can_advance_over_time_without_data() {
    const JOB: &str = "advance";
    let server = Server::start(&[]);
    server.create_open(JOB, &traffic::job_config());
    server.post_data(
        JOB,
        traffic::record(START * 1000, "web-1", "eu", 10.0).as_bytes(),
    );
    let to = START + 3 * BUCKET_SPAN;
    let flushed = server.ok(
        "POST",
        &Client::job_path(JOB, "/_flush"),
        &json!({"advance_time": to.to_string()}),
    );
    assert_eq!(flushed["last_finalized_bucket_end"], to * 1000, "{flushed}");
    let (_, answer) = server.get(&Client::job_path(JOB, "/results/buckets"));
    assert_eq!(answer["count"], 3, "{answer}");
}

#[test]
fn closing_leaves_a_model_snapshot() {
    const JOB: &str = "snapshot";
    let server = Server::start(&[]);
    let traffic = Traffic::generate(70, 2, 96);
    let snapshots = || server.ok("GET", &Client::job_path(JOB, "/model_snapshots"), &NO_BODY);
    server.create_open(JOB, &traffic::job_config());
    assert_eq!(snapshots(), json!({"count": 0, "model_snapshots": []}));
    server.post_data(JOB, &traffic.bytes);
    server.close(JOB);

    let listed = snapshots();
    let job = &server.ok("GET", &Client::job_path(JOB, ""), &NO_BODY)["jobs"][0];
    let id = job["model_snapshot_id"]
        .as_str()
        .expect("a closed job names its snapshot");
    let of_id = |s: &&Value| s["snapshot_id"] == id;
    let found = listed["model_snapshots"]
        .as_array()
        .expect("a list")
        .iter()
        .find(of_id);
    let snapshot = found.unwrap_or_else(|| panic!("snapshot {id} is not in {listed}"));
    assert_eq!(
        (&snapshot["job_id"], &snapshot["retain"]),
        (&json!(JOB), &json!(false)),
        "{snapshot}"
    );
    assert!(
        snapshot["model_size_stats"]["model_bytes"].as_u64() > Some(0),
        "{snapshot}"
    );
    let latest = &server.stats(JOB)["data_counts"]["latest_record_timestamp"];
    assert_eq!(&snapshot["latest_record_time_stamp"], latest, "{snapshot}");
    let one = server.ok(
        "GET",
        &Client::job_path(JOB, &format!("/model_snapshots/{id}")),
        &NO_BODY,
    );
    assert_eq!(
        (&one["count"], &one["model_snapshots"][0]),
        (&json!(1), snapshot)
    );

    // Closing again changes nothing.
    server.close(JOB);
    assert_eq!(snapshots(), listed);
}

#[test]
fn records_sent_again_stand_in_the_place_of_the_first() {
    let mut server = Server::start(&[]);
    let config = json!({
        "analysis_config": {"bucket_span": "1m", "latency": "5m", "detectors": [{"function": "count"}]},
        "data_description": {"time_field": "time", "time_format": "epoch"}
    });
    server.create_open("again", &config);
    let send = |server: &Server, parameters: &str, seconds: &[i64]| {
        let lines: String = seconds
            .iter()
            .map(|second| format!("{{\"time\": {second}}}\n"))
            .collect();
        let path = Client::job_path("again", &format!("/_data{parameters}"));
        let headers = [("content-type", "application/x-ndjson")];
        let reply = server.send("POST", &path, &headers, Some(lines.as_bytes()));
        assert_eq!(reply.status, 202, "{}", reply.text);
    };
    send(&server, "", &[60, 61, 120, 121, 122, 180]);
    // The second minute still takes records: it is sent again, with one record less.
    send(&server, "?reset_start=121&reset_end=180", &[120, 121]);
    send(&server, "?reset_start=180", &[180, 181]);
    // What is forgotten stays so after a crash.
    server.kill_and_restart();
    server.wait_state("again", "opened");
    server.close("again");
    server.ok("POST", &Client::job_path("again", "/_open"), &Value::Null);
    let advance = json!({"advance_time": "600"});
    server.ok("POST", &Client::job_path("again", "/_flush"), &advance);
    let buckets = server.ok(
        "GET",
        &Client::job_path("again", "/results/buckets?end=240000"),
        &Value::Null,
    );
    let counts: Vec<i64> = buckets["buckets"]
        .as_array()
        .expect("buckets")
        .iter()
        .filter_map(|bucket| bucket["event_count"].as_i64())
        .collect();
    assert_eq!(counts, [2, 2, 2]);
}
