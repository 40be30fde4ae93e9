//! Forecasts: asked for, made beside the job, read, deleted, expired, and cut short by a crash.

mod support;

use serde_json::{Value, json};
use support::traffic::{self, BUCKET_SPAN, START, Traffic};
use support::{Client, Server, wait_until};

const JOB: &str = "foretold";
const HOSTS: usize = 3;
const DAYS: usize = 5;
const BUCKETS: usize = DAYS * 96;
/// Series of a mean and a count a host.
const SERIES: usize = 2 * HOSTS;

fn path(rest: &str) -> String {
    Client::job_path(JOB, rest)
}

/// An open job that has seen some days of traffic.
fn learnt(server: &Server) {
    server.create_open(JOB, &traffic::job_config());
    let data = Traffic::generate(7, HOSTS, BUCKETS);
    server.post_data(JOB, data.slice(0, data.len()));
    server.flush(JOB);
}

fn forecast(server: &Server, body: &Value) -> String {
    let answer = server.ok("POST", &path("/_forecast"), body);
    assert_eq!(answer["acknowledged"], true);
    answer["forecast_id"].as_str().expect("an id").to_owned()
}

fn request(server: &Server, id: &str) -> Value {
    let answer = server.ok("GET", &path("/results/forecasts"), &Value::Null);
    let all = answer["forecasts"].as_array().expect("a list").iter();
    let mut found = all.filter(|forecast| forecast["forecast_id"] == id);
    found.next().expect("the forecast").clone()
}

#[track_caller]
fn finished(server: &Server, id: &str) -> Value {
    let request = wait_until("the forecast to end", || {
        let request = request(server, id);
        let status = request["forecast_status"].as_str()?;
        ["finished", "failed"].contains(&status).then_some(request)
    });
    assert_eq!(request["forecast_status"], "finished", "{request}");
    request
}

fn points(server: &Server, id: &str, query: &str) -> (u64, Vec<Value>) {
    let query = format!("/results/forecasts/{id}{query}");
    let answer = server.ok("GET", &path(&query), &Value::Null);
    let points = answer["model_forecasts"].as_array().expect("a list");
    (answer["count"].as_u64().expect("a count"), points.clone())
}

#[test]
fn the_next_day_is_told_with_its_bounds() {
    let server = Server::start(&[]);
    learnt(&server);
    let id = forecast(&server, &json!({"duration": "1d"}));
    let stats = finished(&server, &id);
    let start = stats["forecast_start_timestamp"].as_u64().expect("a time");
    assert_eq!(start % (BUCKET_SPAN * 1_000), 0);
    assert_eq!(
        start.abs_diff((START + DAYS as u64 * 86_400) * 1_000),
        BUCKET_SPAN * 1_000
    );
    assert_eq!(stats["forecast_end_timestamp"], start + 86_400_000);
    assert_eq!(stats["result_type"], "model_forecast_request_stats");
    assert_eq!(stats["processed_record_count"], 96 * SERIES as u64);
    assert_eq!(stats["forecast_progress"], 1.0);
    assert_eq!(stats["forecast_messages"], json!([]));
    let created = stats["forecast_create_timestamp"].as_u64();
    assert_eq!(
        stats["forecast_expiry_timestamp"].as_u64(),
        created.map(|at| at + 14 * 86_400_000)
    );
    assert!(stats["forecast_memory_bytes"].as_u64() > Some(0));

    let (count, all) = points(&server, &id, "?size=1000");
    assert_eq!((count, all.len()), (96 * SERIES as u64, 96 * SERIES));
    assert!(all.is_sorted_by_key(|point| point["timestamp"].as_u64()));
    assert_eq!(all[0]["timestamp"], start);
    let mut missed = 0;
    for point in &all {
        assert_eq!(point["result_type"], "model_forecast");
        assert_eq!(
            (
                &point["job_id"],
                &point["forecast_id"],
                &point["bucket_span"]
            ),
            (&json!(JOB), &json!(id), &json!(BUCKET_SPAN))
        );
        let [lower, median, upper] = ["forecast_lower", "forecast_prediction", "forecast_upper"]
            .map(|name| point[name].as_f64().expect("a number"));
        assert!(
            0.0 <= lower && lower <= median && median <= upper,
            "{point}"
        );
        let host = point["partition_field_value"].as_str().expect("a host");
        let host: f64 = host
            .strip_prefix("web-")
            .and_then(|n| n.parse().ok())
            .expect("a number");
        let truth = if point["detector_index"] == 0 {
            assert_eq!(point["model_feature"], "'arithmetic mean value by person'");
            let day = point["timestamp"].as_f64().expect("a time") / 86_400_000.0;
            100.0 + 10.0 * host + 30.0 * (day * std::f64::consts::TAU).sin()
        } else {
            3.0
        };
        missed += usize::from(!(lower..=upper).contains(&truth));
    }
    assert!(missed < all.len() / 50, "{missed} of {}", all.len());

    let from = start + 3 * BUCKET_SPAN * 1_000;
    let to = from + 2 * BUCKET_SPAN * 1_000;
    let query = format!("?start={from}&end={to}&from=2&size=5");
    let (count, page) = points(&server, &id, &query);
    assert_eq!(count, 2 * SERIES as u64);
    assert_eq!(page, all[3 * SERIES + 2..3 * SERIES + 7]);

    let told = server.stats(JOB)["forecasts_stats"].clone();
    assert_eq!(
        (&told["total"], &told["forecasted_jobs"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(told["records"]["max"], 96.0 * SERIES as f64);
    assert_eq!(told["status"], json!({"finished": 1}));
}

#[test]
fn what_cannot_be_forecast_is_refused() {
    let server = Server::start(&[]);
    let url = path("/_forecast");
    let refused = |url: &str, body: &Value, status: u16, kind: &str, reason: &str| {
        server
            .call("POST", url, body)
            .assert_error(status, kind, reason);
    };
    let nothing = Value::Null;
    refused(
        &url,
        &nothing,
        404,
        "resource_not_found_exception",
        "No known job with id 'foretold'",
    );
    server.create_open(JOB, &traffic::job_config());
    let no_data = "Cannot run forecast: Forecast cannot be executed as job requires data to have been processed and \
                   modeled";
    refused(&url, &nothing, 400, "status_exception", no_data);
    let argument = "illegal_argument_exception";
    for (body, reason) in [
        (
            json!({"duration": "0s"}),
            "[duration] must be positive: [0s]",
        ),
        (
            json!({"duration": "-1"}),
            "[duration] must be positive: [-1]",
        ),
        (
            json!({"duration": "3651d"}),
            "[duration] must be 3650d or less: [3651d]",
        ),
        (
            json!({"expires_in": "-1"}),
            "[expires_in] must be non-negative: [-1]",
        ),
        (
            json!({"max_model_memory": "500mb"}),
            "[max_model_memory] must be less than 500mb",
        ),
        (
            json!({"max_model_memory": "1000kb"}),
            "[max_model_memory] must be at least 1mb.",
        ),
    ] {
        refused(&url, &body, 400, argument, reason);
        let (name, value) = body
            .as_object()
            .and_then(|body| body.iter().next())
            .expect("a field");
        let query = format!("{url}?{name}={}", value.as_str().expect("text"));
        refused(&query, &nothing, 400, argument, reason);
    }
    let short = "[duration] must be greater or equal to the bucket span: [10m/15m]";
    refused(
        &url,
        &json!({"duration": "10m"}),
        400,
        "status_exception",
        short,
    );
    let both = format!("{url}?duration=1h");
    refused(
        &both,
        &json!({"duration": "1h"}),
        400,
        argument,
        "unrecognized parameter: [duration]",
    );
    refused(
        &url,
        &json!({"durations": "1h"}),
        400,
        "x_content_parse_exception",
        "unknown field [durations]",
    );
    server.close(JOB);
    refused(
        &url,
        &nothing,
        409,
        "status_exception",
        "because job [foretold] is not open",
    );
}

#[test]
fn forecasts_are_deleted_when_asked_and_when_expired() {
    let server = Server::start(&[]);
    learnt(&server);
    let short = forecast(&server, &json!({"duration": "1h", "expires_in": "1ms"}));
    let long = forecast(&server, &json!({"duration": "1h", "expires_in": "0"}));
    let named = forecast(&server, &Value::Null);
    for id in [&short, &long, &named] {
        finished(&server, id);
    }
    assert_eq!(
        request(&server, &long).get("forecast_expiry_timestamp"),
        None
    );
    server.ok("DELETE", "/_ml/_delete_expired_data", &Value::Null);
    let ids = || {
        let answer = server.ok("GET", &path("/results/forecasts"), &Value::Null);
        let all = answer["forecasts"].as_array().expect("a list").iter();
        all.map(|one| one["forecast_id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), [long.clone(), named.clone()]);

    let missing = "resource_not_found_exception";
    let reason = format!("No forecast(s) [{short}] exists for job [{JOB}]");
    let gone = path(&format!("/results/forecasts/{short}"));
    server
        .call("GET", &gone, &Value::Null)
        .assert_error(404, missing, &reason);
    let gone = path(&format!("/_forecast/{short}"));
    server
        .call("DELETE", &gone, &Value::Null)
        .assert_error(404, missing, &reason);
    let done = json!({"acknowledged": true});
    assert_eq!(
        server.ok(
            "DELETE",
            &path(&format!("/_forecast/{named}")),
            &Value::Null
        ),
        done
    );
    assert_eq!(ids(), [long]);
    assert_eq!(server.ok("DELETE", &path("/_forecast"), &Value::Null), done);
    assert_eq!(ids(), [""; 0]);
    // Without any, it is as asked; the job need not even exist.
    assert_eq!(
        server.ok(
            "DELETE",
            "/_ml/anomaly_detectors/none/_forecast/_all",
            &Value::Null
        ),
        done
    );
    let strict = path("/_forecast/_all?allow_no_forecasts=false");
    let reason = format!("No forecast(s) [_all] exists for job [{JOB}]");
    server
        .call("DELETE", &strict, &Value::Null)
        .assert_error(404, missing, &reason);
}

#[test]
fn a_job_goes_on_beside_its_forecast_and_a_crash_ends_it() {
    let mut server = Server::start(&[]);
    learnt(&server);
    // Millions of values, which take their time.
    let id = forecast(&server, &json!({"duration": "3650d"}));
    let delete = path(&format!("/_forecast/{id}"));
    let reason = format!(
        "Forecast(s) [{id}] for job [{JOB}] needs to be either FAILED or FINISHED to be deleted"
    );
    server
        .call("DELETE", &delete, &Value::Null)
        .assert_error(409, "status_exception", &reason);
    let time = (START + (DAYS as u64 + 1) * 86_400) * 1_000;
    let line = traffic::record(time, "web-0", "eu", 100.0);
    let counts = server.post_data(JOB, line.as_bytes());
    assert_eq!(counts["processed_record_count"], 1);
    assert_ne!(request(&server, &id)["forecast_status"], "finished");
    for _ in 0..2 {
        forecast(&server, &json!({"duration": "1h"}));
    }
    let full = server.call("POST", &path("/_forecast"), &Value::Null);
    full.assert_error(
        400,
        "status_exception",
        "Cannot run forecast: [3] forecasts of the job",
    );
    wait_until("the first values", || {
        (points(&server, &id, "?size=1").0 > 0).then_some(())
    });

    server.kill_and_restart();
    let failed = request(&server, &id);
    assert_eq!(failed["forecast_status"], "failed");
    let message = failed["forecast_messages"][0].as_str().expect("a reason");
    assert!(message.contains("stop of the server"), "{message}");
    assert_eq!(
        server.stats(JOB)["forecasts_stats"]["status"],
        json!({"failed": 3})
    );
    let again = forecast(&server, &json!({"duration": "1h"}));
    finished(&server, &again);
    server.ok("DELETE", &delete, &Value::Null);
}
