//! A server with the dialect of Amazon Managed Prometheus, its detectors, and the series that it gives.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Client, Server, wait_until};

pub const WORKSPACE: &str = "/workspaces/ws-1";
pub const DETECTORS: &str = "/workspaces/ws-1/anomalydetectors";
pub const INTERVAL: i64 = 30;

/// About 10, by the time; no two alike.
pub fn noise(at: i64) -> f64 {
    let mixed = (at / INTERVAL).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    10.0 + (mixed >> 40 & 0xffff) as f64 / 65_536.0
}

pub struct Set {
    pub server: Server,
    pub _dir: tempfile::TempDir,
}

pub fn set(url: &str, more: &str) -> Set {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("settings.toml");
    let settings = format!(
        "[sources.prom]\nkind = \"prometheus\"\nurl = \"{url}\"\n[amp]\nhistory = \"4h\"\n{more}"
    );
    std::fs::write(&path, settings).expect("a file");
    let path = path.display().to_string();
    Set {
        server: Server::start(&["--config", &path]),
        _dir: dir,
    }
}

pub fn configuration(more: Value) -> Value {
    let mut forest = json!({"query": "avg by (instance) (load)"});
    let more = more.as_object().expect("an object").clone();
    forest.as_object_mut().expect("an object").extend(more);
    json!({"randomCutForest": forest})
}

pub fn create(server: &Client, alias: &str, more: Value) -> String {
    let mut body = json!({
        "alias": alias, "evaluationIntervalInSeconds": INTERVAL, "configuration": configuration(json!({}))
    });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    let (status, made) = server.post(DETECTORS, &body);
    assert_eq!(status, 202, "{made}");
    made["anomalyDetectorId"]
        .as_str()
        .expect("an id")
        .to_owned()
}

pub fn wait_active(server: &Client, id: &str) -> Value {
    wait_until(&format!("{id} to be active"), || {
        let (_, told) = server.get(&format!("{DETECTORS}/{id}"));
        let detector = told["anomalyDetector"].clone();
        let status = &detector["status"]["statusCode"];
        assert!(!status.to_string().contains("FAILED"), "{detector}");
        (status == "ACTIVE").then_some(detector)
    })
}

pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The series of an answer: their labels, and values by time in seconds.
pub type Shown = Vec<(Value, BTreeMap<i64, f64>)>;

pub fn shown(answer: &Value) -> Shown {
    let result = answer["data"]["result"].as_array().expect("series");
    let each = result.iter().map(|series| {
        let samples = series["values"].as_array().expect("samples").iter();
        let samples = samples.map(|sample| {
            let value = sample[1].as_str().expect("text").parse().expect("a number");
            (sample[0].as_i64().expect("seconds"), value)
        });
        (series["metric"].clone(), samples.collect())
    });
    each.collect()
}

pub fn range(server: &Client, query: &str, start: i64, end: i64) -> Shown {
    let query = escaped(query);
    let path = format!(
        "{WORKSPACE}/api/v1/query_range?query={query}&start={start}&end={end}&step={INTERVAL}"
    );
    shown(&server.ok("GET", &path, &Value::Null))
}

/// All samples of a metric up to a time, where a gap is one.
pub fn raw(server: &Client, selector: &str, until: i64) -> Shown {
    let query = escaped(&format!("{selector}[5h]"));
    let path = format!("{WORKSPACE}/api/v1/query?query={query}&time={until}");
    shown(&server.ok("GET", &path, &Value::Null))
}

/// The latest evaluation that anything was found at: what is asked up to it stays the same while the detectors go on.
pub fn latest(server: &Client, selector: &str) -> i64 {
    let found = raw(server, selector, chrono::Utc::now().timestamp());
    let times = found.iter().flat_map(|(_, samples)| samples.keys());
    *times.max().expect("a sample")
}

#[track_caller]
pub fn only(shown: Shown) -> BTreeMap<i64, f64> {
    assert_eq!(shown.len(), 1, "{shown:?}");
    shown.into_iter().next().expect("one").1
}
