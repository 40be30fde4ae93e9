//! What detectors of Amazon Managed Prometheus find, and what lasts: gaps, series that come and go, previews, kills, an
//! outage of the receiver.

mod support;

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use support::amp::{
    DETECTORS, INTERVAL, Set, configuration, create, escaped, latest, noise, only, range, raw, set,
    shown, wait_active,
};
use support::prometheus::{Receiver, prometheus, prometheus_of};
use support::{Client, wait_until};

/// Half an hour without a value in each hour that is even, numbers that are none, and a 0 now and then.
fn gaps(_: &str, at: i64) -> Option<String> {
    match at / 60 % 60 {
        30.. => None,
        7 => Some("NaN".to_owned()),
        8 => Some("+Inf".to_owned()),
        9 if at % 60 == 0 => Some("0".to_owned()),
        _ => Some(noise(at).to_string()),
    }
}

#[test]
fn a_missing_value_is_an_anomaly_or_nothing_at_all() {
    let Set { server, _dir } = set(&prometheus_of(&["a"], gaps), "");
    let skips = create(
        &server,
        "skips",
        json!({"missingDataAction": {"skip": true}}),
    );
    let marks = create(
        &server,
        "marks",
        json!({"missingDataAction": {"markAsAnomaly": true}}),
    );
    wait_active(&server, &skips);
    wait_active(&server, &marks);
    let until = latest(&server, "anomaly_detector:score{alias='marks'}");
    let of = |alias: &str, metric: &str| {
        let selector = format!("anomaly_detector:{metric}{{alias='{alias}'}}");
        only(raw(&server, &selector, until))
    };
    let is_there =
        |at: i64| gaps("", at).is_some_and(|v| v.parse::<f64>().is_ok_and(f64::is_finite));
    for alias in ["skips", "marks"] {
        let values = of(alias, "value");
        assert!(values.keys().all(|&at| is_there(at)), "{values:?}");
        assert!(values.values().any(|&value| value == 0.0), "a 0 is a value");
    }
    let scores = of("skips", "score");
    assert!(scores.keys().all(|&at| is_there(at)));
    let marked = of("marks", "score");
    let gaps = marked.iter().filter(|(at, _)| !is_there(**at));
    let gaps: Vec<f64> = gaps.map(|(_, score)| *score).collect();
    assert!(
        gaps.len() > 60 && gaps.iter().all(|&score| score == 1.0),
        "{gaps:?}"
    );
    assert!(marked.values().all(|score| (0.0..=1.0).contains(score)));
    // Bands go on where there is no value, and are numbers.
    let upper = of("marks", "upper_band");
    assert_eq!(upper.len(), marked.len());
    assert!(upper.values().all(|band| band.abs() < 1e6), "{upper:?}");
}

/// `b` is there in every other hour only.
fn coming(instance: &str, at: i64) -> Option<String> {
    (instance == "a" || at / 3_600 % 2 == 0)
        .then(|| noise(at + 7 * i64::from(instance.as_bytes()[0])).to_string())
}

#[test]
fn series_come_and_go_and_a_preview_finds_the_same() {
    let Set { server, _dir } = set(&prometheus_of(&["a", "b"], coming), "");
    let near = json!({"ignoreNearExpectedFromAbove": {"amount": 0.1}, "ignoreNearExpectedFromBelow": {"ratio": 2.0}});
    let id = create(
        &server,
        "both",
        json!({"configuration": configuration(near)}),
    );
    wait_active(&server, &id);
    let end = latest(&server, "anomaly_detector:value");
    let values = raw(&server, "anomaly_detector:value", end);
    assert_eq!(values.len(), 2, "{values:?}");
    assert!(values[1].1.keys().all(|at| at / 3_600 % 2 == 0));
    assert!(values[0].1.len() > 400);

    let first = *values[0].1.keys().next().expect("a value");
    let query = escaped("RCF(avg by (instance) (load), 8, 256, 0.1,,, 2.0)");
    let path = format!("{DETECTORS}/preview?query={query}&start={first}&end={end}&step={INTERVAL}");
    let preview = shown(&server.ok("GET", &path, &Value::Null));
    assert_eq!(preview.len(), 8, "{preview:?}");
    for (labels, samples) in preview {
        let band = labels["anomaly_detector_preview"]
            .as_str()
            .unwrap_or("value");
        let instance = labels["instance"].as_str().expect("a label");
        let selector = format!("anomaly_detector:{band}{{instance='{instance}'}}");
        let own = only(raw(&server, &selector, end));
        assert_eq!(own, samples, "{band} of {instance}");
        assert!(samples.values().all(|value| value.abs() < 1e6), "{band}");
    }
}

#[test]
fn a_kill_between_the_steps_of_a_put_leaves_one_detector_that_learns() {
    let mut set = set(&prometheus(noise), "");
    let id = create(&set.server, "put", json!({}));
    wait_active(&set.server, &id);
    let path = format!("{DETECTORS}/{id}");
    for shingle in [3, 4, 5] {
        let change = json!({"configuration": configuration(json!({"shingleSize": shingle})),
            "evaluationIntervalInSeconds": INTERVAL});
        let (first, second) = (
            set.server.put(&path, &change),
            set.server.put(&path, &change),
        );
        assert_eq!((first.0, second.0), (202, 202), "{} {}", first.1, second.1);
        set.server.kill_and_restart();
        let detector = wait_active(&set.server, &id);
        let forest = &detector["configuration"]["randomCutForest"];
        assert_eq!(forest["shingleSize"], shingle);
        assert_eq!(detector["alias"], "put");
        wait_until("one job to be left", || {
            let (_, jobs) = set.server.get("/_ml/anomaly_detectors");
            (jobs["count"] == 1).then_some(())
        });
        let (_, list) = set.server.get(DETECTORS);
        assert_eq!(list["anomalyDetectors"].as_array().map(Vec::len), Some(1));
    }
    // One that ends in good order while it learns does so, too.
    let change = json!({"configuration": configuration(json!({"shingleSize": 6}))});
    assert_eq!(set.server.put(&path, &change).0, 202);
    assert!(set.server.signal_and_wait("TERM").success());
    set.server.start_again();
    let detector = wait_active(&set.server, &id);
    assert_eq!(
        detector["configuration"]["randomCutForest"]["shingleSize"],
        6
    );

    // A put that was done is not done again, and a deletion is known after a restart.
    let (status, _) = set.server.delete(&format!("{path}?clientToken=gone"));
    assert_eq!(status, 202);
    wait_until("the detector to be gone", || {
        (set.server.get(&path).0 == 404).then_some(())
    });
    set.server.kill_and_restart();
    assert_eq!(
        set.server.delete(&format!("{path}?clientToken=gone")).0,
        202
    );
    assert_eq!(
        set.server.delete(&format!("{path}?clientToken=other")).0,
        404
    );
    // A deletion that the kill cut short goes on.
    wait_until("its job to be gone", || {
        let (_, jobs) = set.server.get("/_ml/anomaly_detectors");
        (jobs["count"] == 0).then_some(())
    });
}

#[test]
fn what_comes_at_one_time_is_done_once() {
    let Set { server, _dir } = set(&prometheus(noise), "");
    let body = |alias: &str, token: &str| json!({"alias": alias, "clientToken": token, "configuration": configuration(json!({}))});
    let at_once = |bodies: Vec<Value>| -> Vec<(u16, Value)> {
        let threads = bodies.into_iter().map(|body| {
            let client: Client = (*server).clone();
            std::thread::spawn(move || client.post(DETECTORS, &body))
        });
        let threads: Vec<_> = threads.collect();
        let each = threads
            .into_iter()
            .map(|thread| thread.join().expect("an answer"));
        each.collect()
    };
    let same = at_once(vec![body("same", "t"); 8]);
    assert!(same.iter().all(|(status, _)| *status == 202), "{same:?}");
    assert!(
        same.iter()
            .all(|(_, told)| told["anomalyDetectorId"] == same[0].1["anomalyDetectorId"])
    );
    let bodies = (0..8).map(|n| body("alias", &n.to_string()));
    let other = at_once(bodies.collect());
    let count = |status: u16| other.iter().filter(|(found, _)| *found == status).count();
    assert_eq!((count(202), count(409)), (1, 7), "{other:?}");

    // A retry of a put that another put has followed does nothing.
    let id = same[0].1["anomalyDetectorId"].as_str().expect("an id");
    let path = format!("{DETECTORS}/{id}");
    let put = |shingle: u64, token: &str| {
        let change = json!({"configuration": configuration(json!({"shingleSize": shingle})), "clientToken": token});
        server.put(&path, &change)
    };
    assert_eq!(
        (put(3, "one").0, put(4, "two").0, put(3, "one").0),
        (202, 202, 202)
    );
    assert_eq!(put(5, "one").0, 409);
    let detector = wait_active(&server, id);
    assert_eq!(
        detector["configuration"]["randomCutForest"]["shingleSize"],
        4
    );
    // Deleted while it learns.
    assert_eq!(put(5, "three").0, 202);
    assert_eq!(server.delete(&path).0, 202);
    wait_until("its jobs to be gone", || {
        let (_, jobs) = server.get("/_ml/anomaly_detectors");
        (jobs["count"] == 1 && server.get(&path).0 == 404).then_some(())
    });
}

#[test]
fn an_outage_of_the_receiver_loses_nothing() {
    let receiver = Receiver::default();
    receiver.is_away.store(true, Ordering::SeqCst);
    let more = format!("[amp.remote_write]\nurl = \"{}/write\"\n", receiver.start());
    let mut set = set(&prometheus(noise), &more);
    let id = create(&set.server, "sent", json!({}));
    let made = wait_active(&set.server, &id)["createdAt"].as_f64();
    let first = (made.expect("seconds") as i64 / INTERVAL + 1) * INTERVAL;
    // Some evaluations while it is away, and a restart.
    wait_until("an evaluation that can't be sent", || {
        (latest(&set.server, "anomaly_detector:value") >= first).then_some(())
    });
    set.server.kill_and_restart();
    wait_active(&set.server, &id);
    receiver.is_away.store(false, Ordering::SeqCst);
    let sent = wait_until("what was found to be sent", || {
        let kept = receiver.kept.lock().expect("a lock").clone();
        let last = kept
            .values()
            .filter_map(|samples| samples.last())
            .map(|(at, _)| *at)
            .max();
        last.filter(|last| *last >= first * 1_000)?;
        Some(kept)
    });
    assert_eq!(sent.len(), 4, "{sent:?}");
    let now = chrono::Utc::now().timestamp();
    for (labels, samples) in sent {
        assert_eq!(labels["alias"], "sent");
        let times = samples.iter().map(|(at, _)| *at / 1_000);
        let times: Vec<i64> = times.collect();
        assert!(
            times.windows(2).all(|pair| pair[1] == pair[0] + INTERVAL),
            "{times:?}"
        );
        assert_eq!(times[0], first);
        let own = only(range(
            &set.server,
            &format!("{{__name__='{}'}}", labels["__name__"]),
            times[0],
            now,
        ));
        for (at, value) in samples {
            assert_eq!(own.get(&(at / 1_000)), Some(&value), "{labels:?} at {at}");
        }
    }
}
