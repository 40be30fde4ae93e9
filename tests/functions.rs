//! Populations, rarity, places and times of day over HTTP: the records that clients get of them, and the model plot.

mod support;

use std::fmt::Write;

use serde_json::{Value, json};
use support::traffic::Rng;
use support::{Client, Server};

const JOB: &str = "functions";
/// A Monday, epoch seconds.
const START: i64 = 1_704_067_200;
const HOURS: i64 = 14 * 24;
/// Two o'clock at night, when everything odd happens.
const ODD: i64 = 12 * 24 + 2;
const ODD_MS: i64 = (START + ODD * 3_600) * 1_000;

fn config() -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [
                {"function": "high_sum", "field_name": "bytes", "over_field_name": "user"},
                {"function": "rare", "by_field_name": "process"},
                {"function": "rare", "by_field_name": "process", "over_field_name": "user"},
                {"function": "lat_long", "field_name": "place", "by_field_name": "user"},
                {"function": "lat_long", "field_name": "place", "over_field_name": "user"},
                {"function": "time_of_day", "by_field_name": "login"},
                {"function": "mean", "field_name": "bytes", "partition_field_name": "host"}
            ],
            "influencers": ["user", "host"]
        },
        "model_plot_config": {"enabled": true, "terms": "h1"},
        "data_description": {"time_field": "time", "time_format": "epoch"}
    })
}

/// Eight people on two hosts, all day; they log in from eight to five. User u3 of host h1 does everything odd.
fn rows() -> String {
    let mut rng = Rng::new(11);
    let mut lines = String::new();
    for hour in 0..HOURS {
        for user in 0..8 {
            let odd = hour == ODD && user == 3;
            let (lat, lon) = (48.0 + 0.01 * rng.normal(), 11.0 + 0.01 * rng.normal());
            let process = ["nginx", "cron", "sshd"][rng.below(3)];
            let bytes = 1_000.0 + 50.0 * rng.normal();
            let mut row = json!({
                "time": START + hour * 3_600 + 60 * user, "user": format!("u{user}"),
                "host": format!("h{}", user % 2), "process": process,
                "place": format!("{lat:.4},{lon:.4}"), "bytes": bytes.round()
            });
            if odd {
                row["process"] = "miner".into();
                row["place"] = "35.7,139.7".into();
                row["bytes"] = 40_000.into();
            }
            if odd || (8..17).contains(&(hour % 24)) {
                row["login"] = "ok".into();
            }
            writeln!(lines, "{row}").expect("writes to memory");
        }
    }
    lines
}

/// What one detector says of the odd hour, without its figures, which must be those of something very unlikely; all
/// others must be quiet.
fn odd_record(server: &Client, detector: usize) -> Value {
    let path = Client::job_path(JOB, "/results/records?size=1000&record_score=25");
    let all = server.ok("GET", &path, &Value::Null);
    let of_detector = |record: &&Value| record["detector_index"] == detector;
    let records = all["records"].as_array().expect("records").iter();
    let found: Vec<&Value> = records.filter(of_detector).collect();
    assert_eq!(found.len(), 1, "detector {detector}: {found:#?}");
    let mut record = found[0].clone();
    let fields = record.as_object_mut().expect("an object");
    for (field, most) in [
        ("probability", 1e-3),
        ("record_score", 100.0),
        ("initial_record_score", 100.0),
    ] {
        let figure = fields.remove(field).and_then(|figure| figure.as_f64());
        assert!(
            figure.is_some_and(|figure| (0.0..=most).contains(&figure)),
            "{field}: {figure:?}"
        );
    }
    assert!(
        fields
            .remove("multi_bucket_impact")
            .is_some_and(|impact| impact.is_number())
    );
    record
}

/// An array of numbers, taken out of a record or one of its causes.
fn numbers(of: &mut Value, field: &str) -> Vec<f64> {
    let taken = of.as_object_mut().and_then(|of| of.remove(field));
    let taken = taken.unwrap_or_else(|| panic!("no {field} in {of}"));
    let numbers = taken.as_array().expect("an array").iter();
    numbers
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

/// The fields that all records of the odd hour have, and more.
fn record(detector: usize, more: Value) -> Value {
    let mut record = json!({
        "job_id": JOB, "result_type": "record", "bucket_span": 3_600, "detector_index": detector, "is_interim": false,
        "timestamp": ODD_MS, "user": ["u3"], "host": ["h1"], "influencers": [
            {"influencer_field_name": "user", "influencer_field_values": ["u3"]},
            {"influencer_field_name": "host", "influencer_field_values": ["h1"]}
        ]
    });
    if let (Value::Object(record), Value::Object(more)) = (&mut record, more) {
        record.extend(more);
    }
    record
}

/// Takes an explanation of a deviation away.
fn take_deviation(record: &mut Value, kind: &str) {
    let explained = record["anomaly_score_explanation"].take();
    assert_eq!(explained["anomaly_type"], kind, "{explained}");
    assert!(
        explained["single_bucket_impact"].as_u64() >= Some(3),
        "{explained}"
    );
    record
        .as_object_mut()
        .expect("an object")
        .remove("anomaly_score_explanation");
}

fn near(found: &[f64], expected: &[f64], off: f64) {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= off;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(close),
        "{found:?} is not near {expected:?}"
    );
}

#[test]
fn every_kind_of_function_tells_its_own_fields() {
    let server = Server::start(&[]);
    server.create_open(JOB, &config());
    server.post_data(JOB, rows().as_bytes());
    server.close(JOB);

    a_population_tells_of_its_member(&server);
    what_is_rare_is_told(&server);
    places_are_told_as_pairs(&server);
    a_time_is_told_in_seconds(&server);
    the_plot_is_of_its_terms(&server);
    let bucket = Client::job_path(JOB, &format!("/results/buckets/{ODD_MS}"));
    let bucket = server.ok("GET", &bucket, &Value::Null)["buckets"][0].clone();
    for influencer in bucket["bucket_influencers"]
        .as_array()
        .expect("influencers")
    {
        assert_eq!(
            (&influencer["job_id"], &influencer["timestamp"]),
            (&json!(JOB), &json!(ODD_MS))
        );
    }
}

fn a_population_tells_of_its_member(server: &Client) {
    let mut told = odd_record(server, 0);
    take_deviation(&mut told, "spike");
    let cause = &mut told["causes"][0];
    near(&numbers(cause, "actual"), &[40_000.0], 0.0);
    near(&numbers(cause, "typical"), &[1_000.0], 100.0);
    cause
        .as_object_mut()
        .expect("an object")
        .remove("probability");
    let of = json!({
        "function": "high_sum", "function_description": "sum", "field_name": "bytes",
        "over_field_name": "user", "over_field_value": "u3"
    });
    let mut expected = record(0, of.clone());
    expected["causes"] = json!([of]);
    assert_eq!(told, expected);
}

fn what_is_rare_is_told(server: &Client) {
    let mut told = odd_record(server, 1);
    near(&numbers(&mut told, "actual"), &[1.0], 0.0);
    near(&numbers(&mut told, "typical"), &[0.0], 0.01);
    let explained = told["anomaly_score_explanation"].take();
    assert_eq!(explained["by_field_first_occurrence"], true);
    assert!(
        explained["by_field_relative_rarity"].as_f64() > Some(10.0),
        "{explained}"
    );
    let of = json!({
        "function": "rare", "function_description": "rare", "by_field_name": "process", "by_field_value": "miner",
        "process": ["miner"], "anomaly_score_explanation": null
    });
    assert_eq!(told, record(1, of));

    let mut told = odd_record(server, 2);
    let cause = told["causes"][0].take();
    assert_eq!(
        (
            &cause["by_field_value"],
            &cause["over_field_value"],
            &cause["function"]
        ),
        (&json!("miner"), &json!("u3"), &json!("rare"))
    );
    assert_eq!(
        (&told["over_field_value"], &told["by_field_value"]),
        (&json!("u3"), &Value::Null)
    );
}

fn places_are_told_as_pairs(server: &Client) {
    let mut told = odd_record(server, 3);
    take_deviation(&mut told, "spike");
    near(&numbers(&mut told, "actual"), &[35.7, 139.7], 0.0);
    near(&numbers(&mut told, "typical"), &[48.0, 11.0], 0.1);
    let geo = told["geo_results"].take();
    assert_eq!(geo["actual_point"], "35.7,139.7");
    let typical = geo["typical_point"].as_str().expect("a point").split(',');
    let typical: Vec<f64> = typical
        .map(|number| number.parse().expect("a number"))
        .collect();
    near(&typical, &[48.0, 11.0], 0.1);
    let of = json!({
        "function": "lat_long", "function_description": "lat_long", "field_name": "place", "by_field_name": "user",
        "by_field_value": "u3", "geo_results": null
    });
    assert_eq!(told, record(3, of));

    // Of a population's member they are with its causes.
    let mut told = odd_record(server, 4);
    assert_eq!((told.get("actual"), told.get("geo_results")), (None, None));
    let cause = &mut told["causes"][0];
    near(&numbers(cause, "actual"), &[35.7, 139.7], 0.0);
    assert_eq!(cause["geo_results"]["actual_point"], "35.7,139.7");
}

fn a_time_is_told_in_seconds(server: &Client) {
    let mut told = odd_record(server, 5);
    take_deviation(&mut told, "dip");
    near(&numbers(&mut told, "actual"), &[2.0 * 3_600.0 + 180.0], 0.0);
    // The nearest of the usual.
    near(&numbers(&mut told, "typical"), &[8.5 * 3_600.0], 3_600.0);
    let of = json!({
        "function": "time_of_day", "function_description": "time", "by_field_name": "login", "by_field_value": "ok",
        "login": ["ok"]
    });
    assert_eq!(told, record(5, of));
}

/// Of all the values that things are split by, the plot has those of `terms`.
fn the_plot_is_of_its_terms(server: &Client) {
    let plots = |more: &str| {
        let path = Client::job_path(JOB, &format!("/results/model_plots{more}"));
        server.ok("GET", &path, &Value::Null)
    };
    let all = plots("?size=10000");
    let found = all["model_plots"].as_array().expect("plots");
    assert_eq!(all["count"], found.len());
    for plot in found {
        assert_eq!(plot["partition_field_value"], "h1", "{plot}");
        let [lower, median, upper] = ["model_lower", "model_median", "model_upper"]
            .map(|field| plot[field].as_f64().expect("a number"));
        assert!(lower <= median && median <= upper, "{plot}");
    }
    let times: Vec<i64> = found
        .iter()
        .filter_map(|plot| plot["timestamp"].as_i64())
        .collect();
    assert!(
        times.is_sorted() && times.len() as i64 > HOURS - 24,
        "{}",
        times.len()
    );

    let odd = plots(&format!("?start={ODD_MS}&end={}", ODD_MS + 1));
    assert_eq!(odd["count"], 1);
    let mut plot = odd["model_plots"][0].clone();
    let fields = plot.as_object_mut().expect("an object");
    fields.retain(|field, _| !field.starts_with("model_") || field == "model_feature");
    let actual = fields.remove("actual").and_then(|actual| actual.as_f64());
    assert!(actual > Some(5_000.0), "{actual:?}");
    assert_eq!(
        plot,
        json!({
            "job_id": JOB, "result_type": "model_plot", "timestamp": ODD_MS, "bucket_span": 3_600, "detector_index": 6,
            "partition_field_name": "host", "partition_field_value": "h1",
            "model_feature": "'arithmetic mean value by person'"
        })
    );
    assert_eq!(plots("?from=1&size=2")["model_plots"], json!(found[1..3]));
    let none = Client::job_path("nobody", "/results/model_plots");
    server.call("GET", &none, &Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'nobody'",
    );
}
