//! The anomaly detectors of Amazon Managed Prometheus over HTTP, from a Prometheus that isn't one. The official client's
//! tests are in `tests/acceptance/test_amp.py`.

mod support;

use serde_json::{Value, json};
use support::prometheus::prometheus;
use support::{Client, Reply, Server, wait_until};

const WORKSPACE: &str = "/workspaces/ws-1";
const DETECTORS: &str = "/workspaces/ws-1/anomalydetectors";

/// A wave with a little noise.
fn wave(at: i64) -> f64 {
    let noise = (at / 30 * 7_919).rem_euclid(101) as f64 / 200.0;
    (at as f64 / 600.0).sin() * 3.0 + noise
}

struct Set {
    server: Server,
    _dir: tempfile::TempDir,
}

fn set() -> Set {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!(
        "[sources.prom]\nkind = \"prometheus\"\nurl = \"{}\"\n[amp]\nhistory = \"3h\"\n",
        prometheus(wave)
    );
    std::fs::write(&path, settings).expect("a file");
    let path = path.display().to_string();
    Set {
        server: Server::start(&["--config", &path]),
        _dir: dir,
    }
}

fn body(alias: &str) -> Value {
    json!({
        "alias": alias, "evaluationIntervalInSeconds": 30,
        "configuration": {"randomCutForest": {"query": "avg by (instance) (load)"}},
        "labels": {"env": "test"}
    })
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, kind: &str) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.header("x-amzn-errortype"), kind, "{}", reply.text);
    assert!(reply.body["message"].is_string(), "{}", reply.text);
    assert!(!reply.header("x-amzn-requestid").is_empty());
    assert_eq!(reply.header("x-elastic-product"), "");
}

fn create(server: &Client, alias: &str) -> String {
    let (status, made) = server.post(DETECTORS, &body(alias));
    assert_eq!(status, 202, "{made}");
    made["anomalyDetectorId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

fn wait_active(server: &Client, id: &str) -> Value {
    wait_until(&format!("{id} to be active"), || {
        let (_, told) = server.get(&format!("{DETECTORS}/{id}"));
        let detector = told["anomalyDetector"].clone();
        (detector["status"]["statusCode"] == "ACTIVE").then_some(detector)
    })
}

#[test]
fn a_detector_is_a_job_and_outlasts_a_kill_while_it_learns() {
    let mut set = set();
    let id = create(&set.server, "one");
    // Wherever the kill falls, the detector is brought to its end.
    set.server.kill_and_restart();
    let detector = wait_active(&set.server, &id);
    assert_eq!(
        detector["configuration"]["randomCutForest"]["sampleSize"],
        256
    );
    let job = set
        .server
        .ok("GET", &Client::job_path(&id, ""), &Value::Null);
    let settings = &job["jobs"][0]["custom_settings"];
    assert_eq!(settings["prometheus"]["alias"], "one");
    let query = &job["jobs"][0]["datafeed_config"]["query"]["promql"];
    assert_eq!(query["at"], "end", "{job}");

    // What is asked in the dialect is not in the way of an index of that name.
    let document = set
        .server
        .put("/tags/_doc/1?refresh=true", &json!({"a": 1}));
    assert_eq!(document.0, 201, "{}", document.1);
    let found = set.server.ok("GET", "/tags/_search", &Value::Null);
    assert_eq!(found["hits"]["total"]["value"], 1);

    let path = Client::job_path(&id, "?force=true");
    set.server.ok("DELETE", &path, &Value::Null);
    let gone = set
        .server
        .call("GET", &format!("{DETECTORS}/{id}"), &Value::Null);
    assert_refused(&gone, 404, "ResourceNotFoundException");
    assert_eq!(gone.body["resourceId"], id);
}

#[test]
fn its_results_are_series_and_a_put_learns_anew() {
    let Set { server, _dir } = set();
    let id = create(&server, "waves");
    wait_active(&server, &id);
    let now = chrono::Utc::now().timestamp();
    let query = |query: &str| {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (start, end) = (now - 3_600, now);
        let path =
            format!("{WORKSPACE}/api/v1/query_range?query={query}&start={start}&end={end}&step=30");
        let found = server.ok("GET", &path, &Value::Null);
        assert_eq!(found["data"]["resultType"], "matrix", "{found}");
        found["data"]["result"].as_array().cloned().expect("series")
    };
    let bands = query("anomaly_detector:upper_band{alias='waves'} > -100");
    assert_eq!(bands.len(), 1, "{bands:?}");
    assert_eq!(
        bands[0]["metric"],
        json!({"__name__": "anomaly_detector:upper_band", "alias": "waves", "env": "test", "instance": "a"})
    );
    let count = |series: &[Value]| series[0]["values"].as_array().map_or(0, Vec::len);
    assert!(count(&bands) >= 110, "{}", count(&bands));
    let values = query("anomaly_detector:value");
    assert_eq!(count(&values), count(&bands));

    let change =
        json!({"configuration": {"randomCutForest": {"query": "max(x)", "shingleSize": 4}}});
    let (status, put) = server.put(&format!("{DETECTORS}/{id}"), &change);
    assert_eq!(
        (status, &put["status"]["statusCode"]),
        (202, &json!("UPDATING"))
    );
    let detector = wait_active(&server, &id);
    assert_eq!(detector["evaluationIntervalInSeconds"], 60);
    assert_eq!(detector["alias"], "waves");
    wait_until("the first job to go", || {
        let (_, jobs) = server.get("/_ml/anomaly_detectors");
        (jobs["count"] == 1).then_some(())
    });
}

#[test]
fn what_is_wrong_is_refused_as_the_service_does() {
    let Set { server, _dir } = set();
    let mut unwrapped = body("a");
    unwrapped["configuration"]["randomCutForest"]["query"] = json!("up");
    let refused = server.call("POST", DETECTORS, &unwrapped);
    assert_refused(&refused, 400, "ValidationException");
    assert_eq!(
        refused.body["fieldList"][0]["name"],
        "configuration.randomCutForest.query"
    );
    // Clients check some of this themselves, and others don't.
    for (labels, name) in [
        (json!({"a": ""}), "labels.a"),
        (json!({"": "a"}), "labels."),
    ] {
        let mut wrong = body("a");
        wrong["labels"] = labels;
        let refused = server.call("POST", DETECTORS, &wrong);
        assert_refused(&refused, 400, "ValidationException");
        assert_eq!(refused.body["fieldList"][0]["name"], name);
    }
    let cut = server.send("POST", DETECTORS, &[], Some(b"{\"alias\": "));
    assert_refused(&cut, 400, "ValidationException");
    assert_eq!(cut.body["reason"], "CANNOT_PARSE");
    let long = vec![b' '; 2 << 20];
    let long = server.send("POST", DETECTORS, &[], Some(&long));
    assert_refused(&long, 400, "ValidationException");
    let id = create(&server, "a");
    assert_refused(
        &server.call("POST", DETECTORS, &body("a")),
        409,
        "ConflictException",
    );
    let put = format!("{DETECTORS}/nothing");
    assert_refused(
        &server.call("PUT", &put, &body("a")),
        400,
        "ValidationException",
    );
    let tags = "/tags/arn%3Aaws%3Aaps%3Aus-east-1%3A000000000000%3Aanomalydetector%2Fws-1%2Fad-0";
    let missing = server.call("GET", tags, &Value::Null);
    assert_refused(&missing, 404, "ResourceNotFoundException");
    let tags = tags.replace("ad-0", &id);
    server.ok("POST", &tags, &json!({"tags": {"a": "b"}}));
    let told = server.ok("GET", &tags, &Value::Null);
    assert_eq!(told, json!({"tags": {"a": "b"}}));
    let list = format!("{DETECTORS}?maxResults=0");
    assert_refused(
        &server.call("GET", &list, &Value::Null),
        400,
        "ValidationException",
    );
    let reply = server.call("GET", "/api/v1/query?query=rate(x[5m])", &Value::Null);
    assert_eq!(
        (reply.status, &reply.body["errorType"]),
        (400, &json!("bad_data"))
    );
}
