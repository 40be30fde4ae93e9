//! No acknowledged record is ever lost, and a crash changes no result: a job that is fed while its server is
//! killed again and again ends with exactly what an undisturbed server finds. Neither do the number of CPU
//! threads, nor how the records are cut into uploads.
//!
//! `TIDEWATCH_CRASHES` sets the number of kills (20), `TIDEWATCH_CRASH_SEED` the seed of their moments.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use support::outcome::Outcome;
use support::traffic::{self, Rng, Traffic};
use support::{Client, PATIENCE, Server};

const JOB: &str = "crash-test";
/// Three weeks of 15 minutes.
const BUCKETS: usize = 3 * 7 * 96;
/// A tiny journal, so that snapshots and cuts of the journal happen between the kills.
const SMALL_JOURNAL: [&str; 2] = ["--checkpoint-journal-bytes", "1mb"];

/// How the client treats the server with its leg of the long body.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leg {
    /// Sends it as fast as the server takes it; the kill comes somewhere on the way.
    Flood,
    /// Falls silent at its end, the connection still open, most often in the middle of a record.
    Pause,
    /// Hangs up at its end, most often in the middle of a record.
    HangUp,
    /// Ends the body at its end, as a client does that isn't disturbed.
    Finish,
}

/// One long `_data` body, sent by a thread of its own in chunks of random sizes that respect no record.
struct Upload {
    /// Hears when the wanted number of bytes is sent; or that it never will be.
    reached: Receiver<()>,
    /// Returns how many bytes may have reached the server, and its answer where there was one.
    thread: JoinHandle<(usize, Option<String>)>,
}

impl Upload {
    /// Sends `bytes` from record `from` on and reports once `report_at` of them are sent.
    fn start(
        client: &Client,
        traffic: &Arc<Traffic>,
        from: usize,
        bytes: usize,
        report_at: usize,
        leg: Leg,
    ) -> Self {
        let (report, reached) = mpsc::channel();
        let (address, traffic) = (client.address.clone(), Arc::clone(traffic));
        let thread = thread::spawn(move || {
            let body = &traffic.bytes[traffic.offsets[from]..][..bytes];
            let mut attempted = 0;
            let answer = upload(&address, body, leg, &mut attempted, |sent| {
                if sent >= report_at {
                    // Nobody listens any more after the first report.
                    let _ = report.send(());
                }
            });
            (attempted, answer.ok())
        });
        Self { reached, thread }
    }
}

fn upload(
    address: &str,
    body: &[u8],
    leg: Leg,
    attempted: &mut usize,
    sent: impl Fn(usize),
) -> io::Result<String> {
    let mut rng = Rng::new(body.len() as u64);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /_ml/anomaly_detectors/{JOB}/_data HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    sent(0);
    while *attempted < body.len() {
        let chunk = (1 + rng.below(32 * 1024)).min(body.len() - *attempted);
        let mut framed = format!("{chunk:x}\r\n").into_bytes();
        framed.extend_from_slice(&body[*attempted..*attempted + chunk]);
        framed.extend_from_slice(b"\r\n");
        *attempted += chunk;
        if let Err(broken) = stream.write_all(&framed) {
            // A server that refuses says why before it hangs up; a killed one says nothing.
            return read_answer(&mut stream).map_err(|_| broken);
        }
        sent(*attempted);
    }
    match leg {
        Leg::Flood | Leg::Pause => {}
        Leg::HangUp => stream.shutdown(Shutdown::Both)?,
        Leg::Finish => stream.write_all(b"0\r\n\r\n")?,
    }
    read_answer(&mut stream)
}

fn read_answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut answer = String::new();
    let end = stream.read_to_string(&mut answer);
    if answer.is_empty() {
        end?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

/// Sends the rest of the records as one body and waits for its acknowledgement.
fn upload_rest(client: &Client, traffic: &Arc<Traffic>, from: usize) {
    let bytes = traffic.bytes.len() - traffic.offsets[from];
    let upload = Upload::start(client, traffic, from, bytes, bytes, Leg::Finish);
    let (_, answer) = upload.thread.join().expect("the client thread");
    let answer = answer.expect("an answer to the last upload");
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
}

fn finish(client: &Client, job: &str) -> Outcome {
    client.flush(job);
    client.close(job);
    Outcome::of(client, job)
}

fn number_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}"))
    })
}

/// Creates the job with a rule, and a calendar of its own with an event that moves its clock: what comes of them must
/// outlast a crash as all else does.
fn create_with_rules(server: &Server) {
    let hosts = json!({"items": ["*-3"]});
    server.ok("PUT", "/_ml/filters/hosts", &hosts);
    server.ok("PUT", "/_ml/calendars/own", &json!({"job_ids": [JOB]}));
    let start = (traffic::START + 10 * 86_400) * 1_000;
    let event = json!({
        "description": "moved", "start_time": start, "end_time": start + 7_200_000, "force_time_shift": 3_600
    });
    let events = json!({"events": [event]});
    server.ok("POST", "/_ml/calendars/own/events", &events);
    let mut config = traffic::job_config();
    config["analysis_config"]["detectors"][1]["custom_rules"] = json!([{
        "actions": ["skip_result", "skip_model_update"], "scope": {"host": {"filter_id": "hosts"}},
        "conditions": [{"applies_to": "actual", "operator": "gt", "value": 3}]
    }]);
    server.create_open(JOB, &config);
}

/// Feeds the job on a server that is killed `crashes` times, each time going on from the record that the
/// restarted server asks for by its `input_record_count`.
fn run_with_crashes(traffic: &Arc<Traffic>, crashes: u64, seed: u64) -> Outcome {
    let mut rng = Rng::new(seed);
    let mut server = Server::start(&SMALL_JOURNAL);
    create_with_rules(&server);
    let (mut from, mut legs_with_progress) = (0, 0);
    // A machine that is slow, or busy with other things, gets longer legs until the server gets anywhere.
    let mut patience = Duration::ZERO;
    for crash in 0..crashes {
        // So long on average that the kills are spread over all the data.
        let remaining = traffic.bytes.len() - traffic.offsets[from];
        let bytes = rng
            .below(2 * remaining / (crashes - crash + 1) as usize)
            .min(remaining);
        let leg = [Leg::Flood, Leg::Pause, Leg::HangUp][rng.below(3)];
        // Part of the random moment: what is sent may be unread, journalled, in the model or in a snapshot.
        let (kill_at, delay) = match leg {
            Leg::Flood => (rng.below(bytes), 0),
            _ => (bytes, rng.below(150) as u64),
        };
        let upload = Upload::start(&server, traffic, from, bytes, kill_at, leg);
        let _ = upload.reached.recv_timeout(PATIENCE); // where it never is, the client's answer tells why
        thread::sleep(Duration::from_millis(delay) + patience);
        server.kill();
        let (attempted, answer) = upload.thread.join().expect("the client thread");
        assert!(
            answer.is_none(),
            "crash {crash}, {leg:?}: an answer to half a body: {answer:?}"
        );

        server.start_again();
        if rng.below(4) == 0 {
            server.kill_and_restart(); // a crash while it recovers from the crash
        }
        server.wait_state(JOB, "opened");
        let safe = server.input_record_count(JOB);
        println!(
            "crash {crash}, {leg:?}: from record {from}, {attempted} bytes sent, goes on from {safe}"
        );
        let whole = traffic.whole_in(traffic.offsets[from] + attempted);
        assert!(
            safe >= from,
            "crash {crash}, {leg:?}: {} records that were safe are lost",
            from.abs_diff(safe)
        );
        assert!(
            safe <= whole,
            "crash {crash}, {leg:?}: counts {safe} records, got {whole} whole ones"
        );
        if safe > from {
            legs_with_progress += 1;
            patience = Duration::ZERO;
        } else {
            patience = (2 * patience).max(Duration::from_millis(50));
        }
        from = safe;
    }
    // Kills at moments at which nothing was safe yet prove little: some must have come later.
    assert!(
        legs_with_progress >= crashes.min(3),
        "only {legs_with_progress} of {crashes} legs got anywhere"
    );
    upload_rest(&server, traffic, from);
    finish(&server, JOB)
}

/// Records whose score is not the initial one any more.
fn rescored(outcome: &Outcome) -> usize {
    let records = outcome.lines("records").iter();
    let records = records.map(|line| serde_json::from_str(line).expect("JSON"));
    records
        .filter(|of: &serde_json::Value| of["record_score"] != of["initial_record_score"])
        .count()
}

#[test]
fn twenty_kills_change_no_result() {
    let crashes = number_from_env("TIDEWATCH_CRASHES", 20);
    let seed = number_from_env("TIDEWATCH_CRASH_SEED", 42);
    println!("{crashes} kills, their moments from seed {seed}");
    let traffic = Arc::new(Traffic::restless(7, 10, BUCKETS));

    let undisturbed = {
        let server = Server::start(&[]);
        create_with_rules(&server);
        upload_rest(&server, &traffic, 0);
        finish(&server, JOB)
    };
    undisturbed.assert_substantial(BUCKETS);
    let scheduled = undisturbed.lines("buckets").iter();
    let scheduled = scheduled.filter(|line| line.contains("scheduled_events"));
    assert_eq!(scheduled.count(), 8, "two hours of quarters");
    assert!(rescored(&undisturbed) > 0, "no result was ever rescored");
    let all = format!("input_record_count: {}", traffic.len());
    assert!(
        undisturbed.lines("data_counts").contains(&all),
        "{:?}",
        undisturbed.lines("data_counts")
    );

    let crashed = run_with_crashes(&traffic, crashes, seed);
    undisturbed.assert_same(&crashed, "the undisturbed run and the one with kills");
}

#[test]
fn an_acknowledged_upload_survives_a_kill_at_once() {
    let traffic = Traffic::generate(8, 3, 20);
    let mut server = Server::start(&[]);
    server.create_open(JOB, &traffic::job_config());
    let mut sent = 0;
    for size in [1, 1, 7, 40, 1, 50] {
        server.post_data(JOB, traffic.slice(sent, sent + size));
        sent += size;
        server.kill_and_restart();
        server.wait_state(JOB, "opened");
        assert_eq!(
            server.input_record_count(JOB),
            sent,
            "after an upload of {size} and a kill"
        );
    }
}

#[test]
fn cpu_threads_change_no_result() {
    const JOBS: [&str; 3] = ["first", "second", "third"];
    let buckets = 4 * 96;
    let feeds: Vec<Traffic> = (0..3)
        .map(|i| Traffic::generate(20 + i, 6, buckets))
        .collect();
    // Three jobs are fed at once, so that four threads have something to do side by side.
    let run = |threads: &str| -> Vec<Outcome> {
        let server = Server::start(&["--threads", threads]);
        let client: &Client = &server;
        thread::scope(|scope| {
            let fed: Vec<_> = JOBS
                .iter()
                .zip(&feeds)
                .map(|(job, feed)| {
                    scope.spawn(move || {
                        client.create_open(job, &traffic::job_config());
                        client.post_data(job, &feed.bytes);
                        finish(client, job)
                    })
                })
                .collect();
            fed.into_iter()
                .map(|thread| thread.join().expect("a fed job"))
                .collect()
        })
    };
    for ((one, four), job) in run("1").iter().zip(&run("4")).zip(JOBS) {
        one.assert_substantial(buckets);
        one.assert_same(four, &format!("1 and 4 threads, job {job}"));
    }
}

#[test]
fn the_cut_into_uploads_changes_no_result() {
    let buckets = 3 * 96;
    let traffic = Traffic::generate(30, 2, buckets);
    let server = Server::start(&[]);
    let run = |size: usize| {
        // The same id each time: results name their job.
        server.create_open(JOB, &traffic::job_config());
        let mut input = 0;
        for from in (0..traffic.len()).step_by(size) {
            let to = traffic.len().min(from + size);
            let counts = server.post_data(JOB, traffic.slice(from, to));
            input += counts["input_record_count"].as_u64().expect("a count");
        }
        assert_eq!(
            input,
            traffic.len() as u64,
            "uploads of {size} count their own records"
        );
        let outcome = finish(&server, JOB);
        let (status, answer) = server.delete(&Client::job_path(JOB, ""));
        assert_eq!(status, 200, "{answer}");
        outcome
    };
    let whole = run(traffic.len());
    whole.assert_substantial(buckets);
    for size in [1, 7, 500] {
        whole.assert_same(&run(size), &format!("one upload and uploads of {size}"));
    }
}
