//! The command line: what `detect`, `demo` and `config` print.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, Traffic};
use support::{Client, Server, binary};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn stdout(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Without the fields that tell of the clock or of the job's name, in the order of the keys.
fn cleaned(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).expect("a line of JSON");
    let fields = value.as_object_mut().expect("an object");
    fields.remove("processing_time_ms");
    fields.remove("job_id");
    let influencers = fields
        .get_mut("bucket_influencers")
        .and_then(Value::as_array_mut);
    for influencer in influencers.into_iter().flatten() {
        influencer
            .as_object_mut()
            .expect("an object")
            .remove("job_id");
    }
    let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
    serde_json::to_string(&sorted).expect("JSON")
}

#[test]
fn detect_gives_the_documents_of_the_api() {
    let data = Traffic::generate(11, 3, 500);
    let directory = tempfile::tempdir().expect("a directory");
    let (file, job) = (
        directory.path().join("data.ndjson"),
        directory.path().join("job.json"),
    );
    std::fs::write(&file, &data.bytes).expect("written");
    std::fs::write(&job, traffic::job_config().to_string()).expect("written");
    let (file, job) = (file.to_str().expect("UTF-8"), job.to_str().expect("UTF-8"));
    // As they come, late ones too: what is read from files is put in order first.
    let detected = Command::new(binary())
        .args(["detect", "-", "--job", job, "--ndjson"])
        .stdin(std::fs::File::open(file).expect("the file"))
        .output()
        .expect("the binary runs");
    let detected = stdout(&detected);

    let server = Server::start(&[]);
    server.create_open("same", &traffic::job_config());
    server.post_data("same", &data.bytes);
    let path = Client::job_path("same", "/_flush");
    server.ok(
        "POST",
        &path,
        &json!({"advance_time": (traffic::START + 500 * traffic::BUCKET_SPAN).to_string()}),
    );
    let outcome = Outcome::of(&server, "same");

    let served = ["buckets", "records", "influencers"]
        .into_iter()
        .flat_map(|kind| outcome.lines(kind));
    let served: BTreeSet<String> = served.map(|line| cleaned(line)).collect();
    let detected: BTreeSet<String> = detected.lines().map(cleaned).collect();
    assert!(served.len() > 500 && served.iter().any(|line| line.contains("record_score")));
    assert_eq!(detected, served);
}

#[test]
fn detect_guesses_the_time_and_tells_in_a_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data.csv");
    let mut csv = "when,timestamp,load\n".to_owned();
    for quarter in 0..2_000u64 {
        let load = if quarter == 1_500 {
            900
        } else {
            100 + quarter * 7_919 % 23
        };
        csv += &format!("x,{},{load}\n", 1_704_067_200 + quarter * 900);
    }
    std::fs::write(&file, csv).expect("written");
    let file = file.to_str().expect("UTF-8");
    let table = stdout(&run(&[
        "detect",
        file,
        "--function",
        "mean",
        "--field",
        "load",
    ]));
    assert!(table.contains("2024-01-16T15:00:00Z"), "{table}");
    assert!(
        table.contains("mean(load)") && table.contains("900.00"),
        "{table}"
    );
    assert!(
        table.contains("2000 records in 2000 buckets of 15m"),
        "{table}"
    );

    // A job that says nothing of the time leaves it to be guessed as well.
    let job = directory.path().join("job.json");
    let config =
        json!({"analysis_config": {"detectors": [{"function": "mean", "field_name": "load"}]}});
    std::fs::write(&job, config.to_string()).expect("written");
    let table = stdout(&run(&[
        "detect",
        file,
        "--job",
        job.to_str().expect("UTF-8"),
    ]));
    assert!(
        table.contains("2000 records in 5998 buckets of 5m"),
        "{table}"
    );

    let wrong = run(&["detect", file, "--function", "wild"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("Unknown function 'wild'"));
}

#[test]
fn detect_reads_standard_input() {
    let mut child = Command::new(binary())
        .args([
            "detect",
            "-",
            "--function",
            "count",
            "--time-format",
            "epoch",
            "--ndjson",
            "--results",
            "buckets",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("piped");
    for minute in 0..60 {
        writeln!(input, "{{\"time\": {}}}", 1_704_067_200 + minute * 60).expect("written");
    }
    drop(input);
    let text = stdout(&child.wait_with_output().expect("it ends"));
    let buckets: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        buckets
            .iter()
            .map(|bucket| bucket["event_count"].as_u64())
            .collect::<Vec<_>>(),
        [Some(15); 4]
    );
}

#[test]
fn the_demo_finds_its_incidents() {
    let text = stdout(&run(&["demo", "--exit"]));
    assert_eq!(text.matches("Incident: ").count(), 4, "{text}");
    assert!(!text.contains("not found"), "{text}");
    assert!(text.contains("curl -s 'http://127.0.0.1:"), "{text}");
}

#[test]
fn config_tells_what_is_in_force() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tidewatch.toml");
    std::fs::write(
        &file,
        "max_open_jobs = 3\nthreads = 7\nnode_memory = \"2gb\"\n",
    )
    .expect("written");
    let output = Command::new(binary())
        .args([
            "config",
            "--threads",
            "1",
            "--config",
            file.to_str().expect("UTF-8"),
        ])
        .env("TIDEWATCH_NODE_MEMORY", "3gb")
        .output()
        .expect("the binary runs");
    let text = stdout(&output);
    for line in [
        "max_open_jobs = 3",
        "threads = 1",
        "node_memory = \"3gb\"",
        "maintenance = \"0 30 0 * * *\"",
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    std::fs::write(&file, "max_open_job = 3\n").expect("written");
    let wrong = run(&["config", "--config", file.to_str().expect("UTF-8")]);
    assert!(
        !wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("max_open_job")
    );
}

#[test]
fn a_reader_may_stop_reading() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("data.ndjson");
    std::fs::write(&file, Traffic::generate(1, 3, 2_000).bytes).expect("written");
    let mut child = Command::new(binary())
        .args([
            "detect",
            file.to_str().expect("UTF-8"),
            "--function",
            "count",
            "--time-format",
            "epoch_ms",
            "--ndjson",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn detect_refuses_a_rule_whose_filter_is_on_a_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let (job, data) = (dir.path().join("job.json"), dir.path().join("data.ndjson"));
    let mut config = traffic::job_config();
    config["analysis_config"]["detectors"][0]["custom_rules"] =
        json!([{"scope": {"host": {"filter_id": "safe"}}}]);
    std::fs::write(&job, config.to_string()).expect("written");
    std::fs::write(
        &data,
        "{\"time\":1700000000000,\"host\":\"a\",\"value\":1}\n",
    )
    .expect("written");
    let output = run(&[
        "detect",
        data.to_str().expect("a path"),
        "--job",
        job.to_str().expect("a path"),
    ]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("a rule has a scope"), "{told}");
}
