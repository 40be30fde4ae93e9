//! Scores against a job's own past: an early anomaly says less once many larger ones have come, and more again when the
//! job calms down. The initial scores stay.

mod support;

use serde_json::{Value, json};
use support::outcome::Outcome;
use support::traffic::{self, BUCKET_SPAN, Rng, START};
use support::{Client, Server};

const JOB: &str = "noisy";
const HOSTS: usize = 30;
/// Buckets: the early anomaly, where larger ones begin, where they end, and the end.
const EARLY: usize = 150;
const NOISE: usize = 200;
const CALM: usize = 320;
const END: usize = 1_000;

/// Records of all hosts in some buckets. Host by host one value goes wild, so that none is used to it.
fn records(buckets: std::ops::Range<usize>) -> Vec<u8> {
    let mut text = String::new();
    for bucket in buckets {
        let mut rng = Rng::new(bucket as u64);
        let time = (START + bucket as u64 * BUCKET_SPAN) * 1_000;
        for host in 0..HOSTS {
            let mut value = 100.0 + rng.normal();
            if bucket == EARLY && host == 0 {
                value += 12.0;
            }
            let is_noisy = (NOISE..CALM).contains(&bucket) && bucket % 4 == 0;
            if is_noisy && host == (bucket - NOISE) / 4 {
                value += 60.0;
            }
            text += &traffic::record(time, &format!("host-{host}"), "eu", value);
        }
    }
    text.into_bytes()
}

/// The scores of the early anomaly: of the bucket, its record, its influencer; now and initially.
fn early(server: &Server) -> [(f64, f64); 3] {
    let start = (START + EARLY as u64 * BUCKET_SPAN) * 1_000;
    let range = format!("?start={start}&end={}", start + BUCKET_SPAN * 1_000);
    let highest = |kind: &str, score: &str| {
        let path = Client::job_path(
            JOB,
            &format!("/results/{kind}{range}&sort={score}&desc=true"),
        );
        let result = server.ok("GET", &path, &Value::Null)[kind][0].clone();
        let number = |name: &str| {
            result[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name}: {result}"))
        };
        if kind == "buckets" {
            let all = result["bucket_influencers"]
                .as_array()
                .expect("a list")
                .iter();
            let all = all.map(|of| of[score].as_f64().expect("a score"));
            assert_eq!(number(score), all.fold(0.0, f64::max));
        }
        (number(score), number(&format!("initial_{score}")))
    };
    [
        highest("buckets", "anomaly_score"),
        highest("records", "record_score"),
        highest("influencers", "influencer_score"),
    ]
}

/// How many buckets a client is told of that asks for those of a score.
fn alarms(server: &Server, score: f64) -> u64 {
    let path = Client::job_path(JOB, &format!("/results/buckets?anomaly_score={score}"));
    server.ok("GET", &path, &Value::Null)["count"]
        .as_u64()
        .expect("a count")
}

fn start(window_days: Option<i64>) -> Server {
    let server = Server::start(&[]);
    let mut config = traffic::job_config();
    if let Some(days) = window_days {
        config["renormalization_window_days"] = json!(days);
    }
    server.create_open(JOB, &config);
    server
}

fn post(server: &Server, buckets: std::ops::Range<usize>) {
    server.post_data(JOB, &records(buckets));
    server.flush(JOB);
}

#[test]
fn an_early_anomaly_falls_with_what_comes_after_and_rises_in_the_calm() {
    let mut server = start(None);
    post(&server, 0..NOISE);
    let alone = early(&server);
    for (now, initial) in alone {
        assert!(now == initial && now > 30.0, "{alone:?}");
    }
    for from in (NOISE..CALM).step_by(20) {
        post(&server, from..from + 20);
        server.kill_and_restart();
        server.wait_state(JOB, "opened");
    }
    let after = early(&server);
    for ((now, initial), (_, before)) in after.into_iter().zip(alone) {
        assert_eq!(initial, before);
        assert!(now < initial / 2.0, "{alone:?} {after:?}");
    }
    let told = alarms(&server, 50.0);
    assert!(told < 10, "{told} of 30: only what stands out among them");

    // Closed and opened: the past is known still.
    server.close(JOB);
    server.ok("POST", &Client::job_path(JOB, "/_open"), &Value::Null);
    post(&server, CALM..END);
    let calm = early(&server);
    for ((now, initial), (fallen, _)) in calm.into_iter().zip(after) {
        assert!(now > fallen && now <= initial, "{after:?} {calm:?}");
    }

    let undisturbed = start(None);
    post(&undisturbed, 0..END);
    let [one, two] = [&server, &undisturbed].map(|server| {
        server.close(JOB);
        Outcome::of(server, JOB)
    });
    for kind in ["buckets", "records", "influencers"] {
        assert!(one.lines(kind) == two.lines(kind), "the {kind} differ");
    }
}

/// Results without what changes with the past.
fn initially(server: &Server) -> Vec<Value> {
    let strip = |mut result: Value| {
        let scores = [
            "anomaly_score",
            "record_score",
            "influencer_score",
            "processing_time_ms",
        ];
        let fields = result.as_object_mut().expect("a result");
        scores.iter().for_each(|name| drop(fields.remove(*name)));
        for of in fields
            .get_mut("bucket_influencers")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            of.as_object_mut()
                .expect("a result")
                .remove("anomaly_score");
        }
        result
    };
    let mut all = Vec::new();
    for kind in ["buckets", "records", "influencers"] {
        let path = Client::job_path(JOB, &format!("/results/{kind}?sort=timestamp&size=10000"));
        let answer = server.ok("GET", &path, &Value::Null);
        let results = answer[kind].as_array().expect("a list").iter().cloned();
        all.extend(results.map(strip));
    }
    all
}

#[test]
fn without_a_window_scores_stay_and_initial_scores_are_the_same_with_any() {
    let server = start(Some(0));
    post(&server, 0..CALM);
    for (now, initial) in early(&server) {
        assert_eq!(now, initial);
    }
    assert!(alarms(&server, 50.0) >= 30);

    let other = start(Some(2));
    post(&other, 0..CALM);
    let (now, initial) = early(&other)[0];
    assert!(now < initial, "{now} {initial}");
    assert!(
        initially(&server) == initially(&other),
        "initial scores changed"
    );
}
