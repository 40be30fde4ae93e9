//! What is told of detectors of Amazon Managed Prometheus: which series there are, why one falls short, and what becomes
//! of deletions that are asked for again.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::amp::{
    DETECTORS, INTERVAL, Set, WORKSPACE, configuration, create, escaped, noise, raw, set,
    wait_active,
};
use support::prometheus::{prometheus, prometheus_of};
use support::{Client, wait_until};

/// `b` is there in every other hour only, and then not in its first minutes.
fn coming(instance: &str, at: i64) -> Option<String> {
    let is_there = instance == "a" || (at / 3_600 % 2 == 0 && at % 3_600 > 300);
    is_there.then(|| noise(at + 7 * i64::from(instance.as_bytes()[0])).to_string())
}

fn told(server: &Client, path: &str, matching: &str, window: (i64, i64)) -> Vec<Value> {
    let (start, end) = window;
    let matching = escaped(matching);
    let path = format!("{WORKSPACE}/api/v1/{path}?match%5B%5D={matching}&start={start}&end={end}");
    let answer = server.ok("GET", &path, &Value::Null);
    answer["data"].as_array().expect("a list").clone()
}

#[test]
fn the_series_of_a_window_are_those_that_have_a_sample_in_it() {
    let Set { server, _dir } = set(&prometheus_of(&["a", "b"], coming), "");
    let id = create(&server, "both", json!({"labels": {"env": "test"}}));
    wait_active(&server, &id);
    let now = chrono::Utc::now().timestamp();
    let samples = raw(&server, "{__name__=~'anomaly_detector:.*'}", now);
    assert_eq!(samples.len(), 8, "{samples:?}");
    let all_times = samples.iter().flat_map(|(_, samples)| samples.keys());
    let first = *all_times.clone().min().expect("a sample");
    let last = *all_times.max().expect("a sample");
    let even = (first / 7_200 + 1) * 7_200;
    let windows = [
        // Before the forests could tell, one step, each kind of hour, a few of its minutes, all there is and more.
        (first, first + 600),
        (first + INTERVAL, first + INTERVAL),
        (first + INTERVAL + 1, first + 2 * INTERVAL - 1),
        (even, even + 240),
        (even, even + 600),
        (even - 3_599, even - 1),
        (first, last),
        (-99_999_999_999, last),
        (first - 9_000, first - 1),
    ];
    for window in windows {
        for matching in [
            "{__name__=~'anomaly_detector:.*'}",
            "anomaly_detector:score",
            "{instance='b',env='test'}",
            "anomaly_detector:value{alias='other'}",
        ] {
            let selected = raw(&server, matching, now);
            let there = selected.iter().filter(|(_, samples)| {
                let mut within = samples.range(window.0..=window.1);
                window.0 <= window.1 && within.next().is_some()
            });
            let expected: Vec<&Value> = there.map(|(labels, _)| labels).collect();
            let series = told(&server, "series", matching, window);
            assert_eq!(
                series.iter().collect::<Vec<_>>(),
                expected,
                "{matching} in {window:?}"
            );
            let names = expected.iter().flat_map(|labels| {
                let labels = labels.as_object().expect("labels");
                labels.keys().map(String::as_str)
            });
            let names: BTreeSet<&str> = names.collect();
            assert_eq!(
                json!(told(&server, "labels", matching, window)),
                json!(names),
                "{matching} in {window:?}"
            );
            let values = expected
                .iter()
                .filter_map(|labels| labels["instance"].as_str());
            let values: BTreeSet<&str> = values.collect();
            assert_eq!(
                json!(told(&server, "label/instance/values", matching, window)),
                json!(values),
                "{matching} in {window:?}"
            );
        }
    }
}

#[test]
fn a_detector_at_its_memory_limit_says_so() {
    let instances = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let many = |_: &str, at: i64| Some(noise(at).to_string());
    let Set { server, _dir } = set(
        &prometheus_of(instances, many),
        "model_memory_limit = \"1mb\"\n",
    );
    let id = create(&server, "many", json!({}));
    let detector = wait_active(&server, &id);
    let reason = detector["status"]["statusReason"].as_str();
    let reason = reason.unwrap_or_else(|| panic!("no reason: {detector}"));
    assert!(
        reason.starts_with("The models have reached their memory limit: model bytes ["),
        "{reason}"
    );
    let listed = server.ok("GET", DETECTORS, &Value::Null);
    let listed = &listed["anomalyDetectors"][0];
    assert_eq!(listed["status"], detector["status"]);
    // The job is told the same by Elasticsearch's API; a datafeed that somebody stops there isn't passed over either.
    let stats = server.ok("GET", "/_ml/anomaly_detectors/_stats", &Value::Null);
    let job = &stats["jobs"][0];
    assert_eq!(job["model_size_stats"]["memory_status"], "hard_limit");
    server.ok("POST", "/_ml/datafeeds/_all/_stop", &json!({}));
    let stopped = server.ok("GET", &format!("{DETECTORS}/{id}"), &Value::Null);
    let status = &stopped["anomalyDetector"]["status"];
    assert_eq!(status["statusCode"], "ACTIVE");
    let reason = status["statusReason"].as_str().expect("a reason");
    assert!(
        reason.ends_with("; The datafeed that evaluates the query is stopped"),
        "{reason}"
    );
}

#[test]
fn a_deletion_that_is_asked_for_again_spares_what_came_after() {
    let Set { server, _dir } = set(&prometheus(noise), "");
    let id = "ad-00000000-0000-4000-8000-000000000001";
    let path = format!("{DETECTORS}/{id}");
    let put = || {
        let body = json!({"configuration": configuration(json!({}))});
        wait_until("its place to be free", || {
            (server.put(&path, &body).0 == 202).then_some(())
        });
        wait_active(&server, id)["createdAt"].clone()
    };
    let first = put();
    let deletion = format!("{path}?clientToken=one");
    assert_eq!(server.delete(&deletion).0, 202);
    wait_until("it to be gone", || {
        (server.get(&path).0 == 404).then_some(())
    });
    assert_eq!(server.delete(&deletion).0, 202);
    let second = put();
    assert_ne!(first, second);
    // The client of the first deletion never heard that it was done.
    assert_eq!(server.delete(&deletion).0, 202);
    assert_eq!(wait_active(&server, id)["createdAt"], second);
    assert_eq!(server.delete(&format!("{path}?clientToken=two")).0, 202);
    wait_until("it to be gone", || {
        (server.get(&path).0 == 404).then_some(())
    });
}

#[test]
fn a_workspace_that_was_deleted_stays_so_while_its_detectors_go() {
    let Set { server, _dir } = set(&prometheus(noise), "");
    let is_over = Arc::new(AtomicBool::new(false));
    let listing = {
        let (client, is_over): (Client, _) = ((*server).clone(), is_over.clone());
        std::thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                client.ok("GET", "/workspaces", &Value::Null);
            }
        })
    };
    for n in 0..5 {
        let (status, made) = server.post("/workspaces", &json!({"alias": format!("w{n}")}));
        assert_eq!(status, 202, "{made}");
        let path = format!(
            "/workspaces/{}",
            made["workspaceId"].as_str().expect("an id")
        );
        for alias in ["one", "two", "three"] {
            let body = json!({"alias": alias, "configuration": configuration(json!({}))});
            let (status, made) = server.post(&format!("{path}/anomalydetectors"), &body);
            assert_eq!(status, 202, "{made}");
        }
        assert_eq!(server.delete(&path).0, 202);
    }
    wait_until("the jobs to be gone", || {
        let (_, jobs) = server.get("/_ml/anomaly_detectors");
        (jobs["count"] == 0).then_some(())
    });
    is_over.store(true, Ordering::SeqCst);
    listing.join().expect("answers");
    let left = server.ok("GET", "/workspaces", &Value::Null);
    assert_eq!(left["workspaces"], json!([]), "{left}");
}
