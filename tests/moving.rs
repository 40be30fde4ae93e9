//! `tidewatch import` and `tidewatch export` through the real binary: from Elasticsearch as it was and is, from
//! tidewatch, from files, and back.

#[path = "support/elasticsearch.rs"]
mod elasticsearch;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use elasticsearch::{Elasticsearch, Fault, KEY, fixture};
use serde_json::{Value, json};
use support::traffic::{self, Traffic};
use support::{Client, Server, binary, wait_until};

/// The first bucket of the fixtures' results.
const FIRST: i64 = 1_700_006_400_000;
const SPAN: i64 = 900_000;

fn url(server: &Server) -> String {
    format!("http://{}", server.address)
}

fn command(server: &Server, from: &str, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(["import", "--from", from, "--to", &url(server)])
        .args(more);
    command
}

fn import(server: &Server, from: &str, more: &[&str]) -> Output {
    command(server, from, more)
        .output()
        .expect("the binary runs")
}

/// The report, and the exit code.
#[track_caller]
fn report(output: &Output) -> (Value, i32) {
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    (report, output.status.code().expect("an exit code"))
}

fn export(server: &Server, to: &Path) -> (Value, i32) {
    export_from(&url(server), to, &[])
}

fn export_from(from: &str, to: &Path, more: &[&str]) -> (Value, i32) {
    let to = to.to_str().expect("UTF-8");
    let output = Command::new(binary())
        .args(["export", "--json", "--from", from, "--to", to])
        .args(more)
        .output()
        .expect("the binary runs");
    report(&output)
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path
                    .strip_prefix(directory)
                    .expect("below")
                    .display()
                    .to_string();
                all.insert(name, std::fs::read_to_string(&path).expect("text"));
            }
        }
    }
    all
}

/// What a file says that another server would say too: without what each makes up itself, in whatever order the
/// fields stand.
fn comparable(name: &str, text: &str) -> Vec<Value> {
    let generated: &[&str] = match name {
        "jobs.json" => &[
            "create_time",
            "finished_time",
            "model_snapshot_id",
            "model_snapshot_min_version",
        ],
        "events.json" => &["event_id"],
        _ => &[],
    };
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut values: Vec<Value> = values.map(|value| value.expect("JSON")).collect();
    let plural = name.trim_end_matches(".json");
    for one in values
        .iter_mut()
        .filter_map(|value| value[plural].as_array_mut())
        .flatten()
    {
        for field in generated {
            one.as_object_mut().expect("an object").shift_remove(*field);
        }
    }
    values
}

#[track_caller]
fn the_same_files(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, text) in &one {
        assert_eq!(
            comparable(name, text),
            comparable(name, &other[name]),
            "{name}"
        );
    }
}

fn definition<'a>(report: &'a Value, what: &str, id: &str) -> &'a Value {
    let all = report["definitions"].as_array().expect("a list");
    all.iter()
        .find(|one| one["what"] == what && one["id"] == id)
        .unwrap_or_else(|| panic!("no {what} {id} in {report:#}"))
}

#[track_caller]
fn counted(report: &Value, kind: &str, field: &str) -> u64 {
    let all = report["results"].as_array().expect("a list");
    let of_kind = all.iter().filter(|one| one["kind"] == kind);
    of_kind
        .map(|one| one[field].as_u64().expect("a number"))
        .sum()
}

fn count(server: &Server, job: &str, kind: &str) -> u64 {
    let path = Client::job_path(job, &format!("/results/{kind}?size=1"));
    server.ok("GET", &path, &Value::Null)["count"]
        .as_u64()
        .expect("a count")
}

/// A server with a job that has analysed some days, and with all that hangs on it.
fn busy_server() -> Server {
    let server = Server::start(&[]);
    server.ok(
        "PUT",
        "/_ml/filters/safe",
        &json!({"items": ["web-9"], "description": "ours"}),
    );
    let mut job = traffic::job_config();
    job["model_plot_config"] = json!({"enabled": true});
    job["groups"] = json!(["web"]);
    job["analysis_config"]["detectors"][0]["custom_rules"] = json!([{"actions": ["skip_result"],
        "scope": {"host": {"filter_id": "safe"}}}]);
    server.create_open("busy", &job);
    let events = json!({"events": [{"description": "a day off", "start_time": 1, "end_time": 2}]});
    server.ok(
        "PUT",
        "/_ml/calendars/days-off",
        &json!({"job_ids": ["web"], "description": "d"}),
    );
    server.ok("POST", "/_ml/calendars/days-off/events", &events);
    server.post_data("busy", &Traffic::generate(7, 3, 600).bytes);
    server.flush("busy");
    let asked = server.ok(
        "POST",
        &Client::job_path("busy", "/_forecast?duration=2h"),
        &Value::Null,
    );
    assert_eq!(asked["acknowledged"], true);
    wait_until("the forecast", || {
        let path = Client::job_path("busy", "/results/forecasts");
        let forecasts = server.ok("GET", &path, &Value::Null);
        (forecasts["forecasts"][0]["forecast_status"] == "finished").then_some(())
    });
    server.close("busy");
    server
}

#[test]
fn an_export_is_taken_in_again_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let (first, second) = (
        directory.path().join("first"),
        directory.path().join("second"),
    );
    let server = busy_server();
    let (told, code) = export(&server, &first);
    assert_eq!(code, 0, "{told:#}");
    let written = files(&first);
    for kind in [
        "buckets",
        "records",
        "influencers",
        "model_plots",
        "forecasts",
        "model_forecasts",
    ] {
        let lines = written[&format!("results/busy/{kind}.ndjson")]
            .lines()
            .count() as u64;
        assert_eq!(counted(&told, kind, "new"), lines, "{kind}");
        assert!(lines > 0, "{kind}");
    }

    let empty = Server::start(&[]);
    let (told, code) = report(&import(&empty, first.to_str().expect("UTF-8"), &["--json"]));
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(
        counted(&told, "buckets", "new"),
        count(&server, "busy", "buckets")
    );
    export(&empty, &second);
    the_same_files(&first, &second);

    // Over HTTP, without files between, it is the same.
    let third = directory.path().join("third");
    let other = Server::start(&[]);
    let (told, code) = report(&import(&other, &url(&server), &["--json"]));
    assert_eq!(code, 0, "{told:#}");
    export(&other, &third);
    the_same_files(&first, &third);

    // Once more changes nothing.
    let (told, code) = report(&import(&other, &url(&server), &["--json"]));
    assert_eq!(code, 0, "{told:#}");
    for one in told["definitions"].as_array().expect("a list") {
        assert_eq!(one["outcome"], "was_there", "{one}");
    }
    for one in told["results"].as_array().expect("a list") {
        assert_eq!(
            (&one["new"], &one["not_taken"]),
            (&json!(0), &json!(0)),
            "{one}"
        );
    }
    export(&other, &third);
    the_same_files(&first, &third);
}

#[test]
fn a_cluster_of_7_17_is_taken_over() {
    let cluster = Elasticsearch::start("7.17", Vec::new());
    let server = Server::start(&[]);
    let refused = import(&server, &cluster.url, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(
        why.contains("missing authentication credentials") && why.contains("--api-key"),
        "{why}"
    );

    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--dry-run", "--api-key", KEY],
    ));
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(
        (&told["doing"], counted(&told, "buckets", "new")),
        (&json!("dry_run"), 8)
    );
    assert_eq!(
        server.ok("GET", "/_ml/anomaly_detectors", &Value::Null)["count"],
        0
    );

    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", "key:secret"],
    ));
    assert_eq!(code, 0, "{told:#}");
    let datafeeds = server.ok("GET", "/_ml/datafeeds", &Value::Null);
    assert_eq!(datafeeds["datafeeds"][0]["indices"], json!(["requests-*"]));
    assert_eq!(datafeeds["datafeeds"][0]["query_delay"], "81ms");
    for (what, id) in [
        ("datafeed", "datafeed-web-latency"),
        ("job", "web-latency"),
        ("filter", "staging_hosts"),
        ("calendar", "holidays"),
    ] {
        assert_eq!(definition(&told, what, id)["outcome"], "taken", "{told:#}");
    }
    for (kind, new) in [
        ("buckets", 8),
        ("records", 2),
        ("influencers", 1),
        ("categories", 0),
        ("model_plots", 24),
        ("forecasts", 1),
        ("model_forecasts", 2),
        ("annotations", 2),
        ("model_snapshots", 1),
    ] {
        assert_eq!(counted(&told, kind, "new"), new, "{kind}: {told:#}");
        assert_eq!(counted(&told, kind, "not_taken"), 0, "{kind}: {told:#}");
    }
    let job =
        server.ok("GET", &Client::job_path("web-latency", ""), &Value::Null)["jobs"][0].clone();
    assert_eq!(job["description"], "how long requests take");
    assert_eq!(job["custom_settings"]["created_by"], "single-metric-wizard");
    let records = server.ok(
        "GET",
        &Client::job_path("web-latency", "/results/records"),
        &Value::Null,
    );
    assert_eq!(records["records"][0]["record_score"], 62.5);
    assert_eq!(records["records"][0]["timestamp"], FIRST + 5 * SPAN);
    let events = server.ok("GET", "/_ml/calendars/holidays/events", &Value::Null);
    assert_eq!(events["count"], 2);
    assert_eq!(events["events"][0]["skip_result"], true);

    // Again, and after the source has gone on: nothing twice.
    let (told, _) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    assert_eq!(
        (
            counted(&told, "buckets", "new"),
            counted(&told, "annotations", "new")
        ),
        (0, 0)
    );
    assert_eq!(count(&server, "web-latency", "buckets"), 8);
    assert_eq!(
        server.ok("GET", "/_ml/calendars/holidays/events", &Value::Null)["count"],
        2
    );
    let annotations = server.ok(
        "GET",
        &Client::job_path("web-latency", "/annotations"),
        &Value::Null,
    );
    assert_eq!(annotations["count"], 2);

    // What the operator changes here stays, and is told.
    let update = json!({"description": "mine"});
    server.ok(
        "POST",
        &Client::job_path("web-latency", "/_update"),
        &update,
    );
    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    let job = definition(&told, "job", "web-latency");
    assert_eq!((&job["outcome"], code), (&json!("not_taken"), 3));
    assert!(
        job["why"][0]
            .as_str()
            .expect("why")
            .contains("description: \"mine\" here"),
        "{job}"
    );
    let text = import(
        &server,
        &cluster.url,
        &["--api-key", KEY, "--jobs", "web,gone*,lost"],
    );
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(
        text.contains("there is no such job or group at the source"),
        "{text}"
    );
    assert!(text.contains("written again"), "{text}");
}

#[test]
fn what_cannot_be_taken_is_told_with_its_reason() {
    let cluster = Elasticsearch::start("8.19", Vec::new());
    cluster.fail(Fault {
        at: "_pit",
        after: 0,
        times: usize::MAX,
        status: 403,
    });
    let server = Server::start(&[]);
    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    assert_eq!(code, 3);
    assert_eq!(
        definition(&told, "job", "logs")["outcome"],
        "taken",
        "{told:#}"
    );
    let stemmed = definition(&told, "job", "logs-stemmed");
    assert!(
        stemmed["why"][0]
            .as_str()
            .expect("why")
            .contains("porter_stem"),
        "{stemmed}"
    );
    let leaving = definition(&told, "job", "leaving");
    assert_eq!(leaving["why"][0], "it is being deleted at the source");
    let all = told["results"].as_array().expect("a list");
    let plots = all
        .iter()
        .find(|one| one["kind"] == "model_plots")
        .expect("model plots");
    let why = plots["why"][0].as_str().expect("why");
    assert!(
        why.starts_with("the index .ml-anomalies-logs can't be read"),
        "{why}"
    );
    assert_eq!(counted(&told, "categories", "new"), 2);
    let categories = server.ok(
        "GET",
        &Client::job_path("logs", "/results/categories"),
        &Value::Null,
    );
    assert_eq!(categories["categories"][0]["terms"], "node shut down");
}

#[test]
fn files_of_a_cluster_are_taken_under_any_names() {
    let cluster = Elasticsearch::start("7.17", Vec::new());
    let directory = tempfile::tempdir().expect("a directory");
    let all = directory.path().join("all");
    let (told, code) = export_from(&cluster.url, &all, &["--api-key", KEY]);
    assert_eq!(code, 0, "{told:#}");
    let written = files(&all);
    assert!(written["datafeeds.json"].contains("\"indices\": [\n        \"requests-*\""));
    assert_eq!(
        written["results/web-latency/model_plots.ndjson"]
            .lines()
            .count(),
        24
    );

    // All in one file, and beside it an answer of another kind, one with a page of records, and one to a search.
    let mixed = directory.path().join("mixed");
    std::fs::create_dir(&mixed).expect("a directory");
    let whole: String = written.values().map(String::as_str).collect();
    std::fs::write(mixed.join("whole.jsonl"), whole).expect("written");
    std::fs::write(mixed.join("info.json"), r#"{"upgrade_mode": false}"#).expect("written");
    let one = record("web-latency", FIRST, "web-9", 7.5);
    let page = json!({"count": 1, "records": [one]});
    std::fs::write(mixed.join("page.json"), format!("{page:#}")).expect("written");
    let other = record("web-latency", FIRST, "web-8", 8.5);
    let found = json!({"hits": {"hits": [{"_id": "x", "_source": other}]}});
    std::fs::write(mixed.join("found.json"), found.to_string()).expect("written");

    let server = Server::start(&[]);
    let (told, code) = report(&import(
        &server,
        mixed.to_str().expect("UTF-8"),
        &["--json"],
    ));
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(definition(&told, "job", "web-latency")["outcome"], "taken");
    assert_eq!(counted(&told, "buckets", "new"), 8);
    assert_eq!(counted(&told, "model_forecasts", "new"), 2);
    assert_eq!(counted(&told, "records", "new"), 4);
    let sources = told["definitions"].as_array().expect("a list").iter();
    let unknown: Vec<&Value> = sources.filter(|one| one["what"] == "file").collect();
    assert_eq!(unknown.len(), 1, "{told:#}");
    assert!(
        unknown[0]["id"]
            .as_str()
            .expect("a file")
            .ends_with("info.json")
    );
}

fn record(job: &str, time: i64, host: &str, score: f64) -> Value {
    json!({"job_id": job, "result_type": "record", "probability": 0.001, "multi_bucket_impact": -5.0,
        "record_score": score, "initial_record_score": score, "bucket_span": 900, "detector_index": 0,
        "is_interim": false, "timestamp": time, "partition_field_name": "host", "partition_field_value": host,
        "function": "mean", "function_description": "mean", "typical": [1.0], "actual": [2.0],
        "field_name": "latency"})
}

/// Results of a year's quarters, and one moment with more than any page holds.
fn many() -> Vec<Value> {
    let day = 86_400_000;
    let mut all = Vec::new();
    for at in 0..100 {
        let time = FIRST + at * day;
        all.push(json!({"job_id": "api", "result_type": "bucket", "timestamp": time, "anomaly_score": 1.5,
            "bucket_span": 900, "initial_anomaly_score": 1.5, "event_count": 3, "is_interim": false,
            "bucket_influencers": [], "processing_time_ms": 1}));
        all.push(record("api", time, "web-1", (at % 7) as f64));
    }
    for host in 0..10_050 {
        let score = f64::from(host % 90) + 1.0;
        all.push(record(
            "api",
            FIRST + 50 * day + SPAN,
            &format!("host-{host}"),
            score,
        ));
    }
    all
}

#[test]
fn what_was_broken_off_goes_on() {
    let cluster = Elasticsearch::start("9.1", many());
    let server = Server::start(&[]);
    // The source is busy for a moment, then fails in the middle of the records.
    cluster.fail(Fault {
        at: "results/buckets",
        after: 1,
        times: 1,
        status: 429,
    });
    cluster.fail(Fault {
        at: "results/records",
        after: 3,
        times: 1,
        status: 500,
    });
    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    assert_eq!(code, 3, "{told:#}");
    assert_eq!(counted(&told, "buckets", "new"), 100);
    let done = counted(&told, "records", "new");
    assert!((1..10_150).contains(&done), "{done}");

    // It hangs, and is killed.
    cluster.fail(Fault {
        at: "results/records",
        after: 3,
        times: 1,
        status: 0,
    });
    cluster.asked();
    let mut child = command(&server, &cluster.url, &["--api-key", KEY])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut asked = 0;
    wait_until("the import to ask for records", || {
        let log = cluster.asked();
        asked += log
            .iter()
            .filter(|line| line.contains("results/records"))
            .count();
        (asked >= 4).then_some(())
    });
    child.kill().expect("killed");
    child.wait().expect("gone");

    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(count(&server, "api", "buckets"), 100);
    assert_eq!(count(&server, "api", "records"), 10_150);

    // What can't have changed isn't read again: all but the day before the newest.
    let (told, code) = report(&import(
        &server,
        &cluster.url,
        &["--json", "--api-key", KEY],
    ));
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(counted(&told, "records", "skipped"), 10_148);
    assert_eq!(
        (
            counted(&told, "records", "new"),
            counted(&told, "records", "again")
        ),
        (0, 2)
    );
}

#[test]
fn a_server_takes_nothing_from_itself() {
    let server = Server::start(&[]);
    let output = import(&server, &url(&server), &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("are one server"), "{told}");
}

#[test]
fn results_of_its_own_are_kept() {
    let cluster = Elasticsearch::start("7.17", Vec::new());
    let server = Server::start(&[]);
    let args = ["--json", "--api-key", KEY];
    report(&import(&server, &cluster.url, &args));
    let path = Client::job_path("web-latency", "/_open");
    server.ok("POST", &path, &Value::Null);
    // From the fifth bucket on the server has data of its own.
    let lines: String = (4 * 15..10 * 15)
        .map(|minute| {
            let time = FIRST + minute * 60_000;
            format!("{{\"@timestamp\": {time}, \"latency\": 100.5, \"host\": \"web-1\"}}\n")
        })
        .collect();
    server.post_data("web-latency", lines.as_bytes());
    server.close("web-latency");
    let path = Client::job_path("web-latency", "/results/buckets");
    let buckets = server.ok("GET", &path, &Value::Null);
    let events = |buckets: &Value| -> Vec<Value> {
        let all = buckets["buckets"].as_array().expect("a list");
        all.iter()
            .map(|bucket| bucket["event_count"].clone())
            .collect()
    };
    assert_eq!(
        events(&buckets)[..6],
        [40, 40, 40, 40, 15, 15].map(Value::from)
    );
    let (told, _) = report(&import(&server, &cluster.url, &args));
    assert_eq!(server.ok("GET", &path, &Value::Null), buckets);
    let note = told["notes"][0].as_str().expect("a note");
    assert!(note.contains("since 2023-11-15T01:00:00Z"), "{note}");
}

#[test]
fn https_is_believed_when_someone_vouches_for_it() {
    let cluster = Elasticsearch::start_tls("7.17");
    let server = Server::start(&[]);
    let run = |more: &[&str]| {
        let args = [&["--dry-run", "--api-key", KEY], more].concat();
        import(&server, &cluster.url, &args)
    };
    let stranger = run(&[]);
    assert_eq!(stranger.status.code(), Some(1));
    let why = String::from_utf8_lossy(&stranger.stderr);
    assert!(why.contains("certificate") && why.contains("--ca"), "{why}");
    let ca = fixture("tls/ca.pem");
    for trusted in [&["--ca", &ca][..], &["--insecure"]] {
        let output = run(trusted);
        assert_eq!(output.status.code(), Some(0), "{trusted:?}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("Elasticsearch 7.17.9 at https://")
        );
    }
}
