//! Jobs as the Google Play Developer Reporting API shows them.

mod support;

use serde_json::{Value, json};
use support::{Client, Server};

const JOB: &str = "crashes";
/// 2021-03-01, epoch seconds.
const START: i64 = 1_614_556_800;
/// When version 102 begins to crash more, in hours from the start: 2021-03-23T12:00Z.
const BAD: i64 = 540;
const BAD_HOURS: i64 = 6;
const ANOMALIES: &str = "/v1beta1/apps/com.example.shop/anomalies";

fn config(play: Value) -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{"function": "mean", "field_name": "crashRate", "partition_field_name": "versionCode"}]
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "custom_settings": {"play": play}
    })
}

/// An hour of the bad day.
fn hour(hour: i64) -> Value {
    json!({"year": 2021, "month": 3, "day": 23, "hours": hour, "timeZone": {"id": "UTC"}})
}

/// The rate of a version in an hour.
fn rate(version: i64, hour: i64) -> f64 {
    let wave = 0.3 * (hour as f64 * std::f64::consts::TAU / 24.0).sin();
    let noise = ((hour * 7_919 + version * 104_729) % 97) as f64 / 97.0 - 0.5;
    let is_bad = version == 102 && (BAD..BAD + BAD_HOURS).contains(&hour);
    1.0 + wave + 0.1 * noise + if is_bad { 1.5 } else { 0.0 }
}

fn settings() -> Value {
    json!({
        "app": "com.example.shop", "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": "up"
    })
}

/// The rates of two versions from an hour on, up to before another.
fn rates(from: i64, to: i64) -> Vec<u8> {
    let mut lines = String::new();
    for hour in from..to {
        for version in [101, 102] {
            let time = START + hour * 3_600;
            let record = json!({
                "time": time, "versionCode": version.to_string(), "crashRate": rate(version, hour)
            });
            lines.push_str(&format!("{record}\n"));
        }
    }
    lines.into_bytes()
}

#[track_caller]
fn refused(server: &Server, method: &str, path: &str, code: u16, status: &str) -> Value {
    let reply = server.call(method, path, &Value::Null);
    let error = &reply.body["error"];
    assert_eq!(reply.status, code, "{path}: {}", reply.text);
    assert_eq!(
        (error["code"].as_u64(), &error["status"]),
        (Some(code.into()), &json!(status))
    );
    assert!(error["message"].is_string(), "{}", reply.text);
    assert_eq!(
        reply.header("content-type"),
        "application/json; charset=UTF-8"
    );
    error.clone()
}

#[test]
fn an_anomaly_grows_under_its_name_until_its_job_goes() {
    let server = Server::start(&[]);
    server.create_open(JOB, &config(settings()));
    server.post_data(JOB, &rates(0, BAD + 2));
    server.flush(JOB);
    let first = server.ok("GET", ANOMALIES, &Value::Null);
    let name = first["anomalies"][0]["name"].clone();
    assert_eq!(first["anomalies"][0]["timelineSpec"]["endTime"], hour(13));

    server.post_data(JOB, &rates(BAD + 2, BAD + 12));
    server.flush(JOB);
    let answer = server.ok("GET", ANOMALIES, &Value::Null);
    let metric = &answer["anomalies"][0]["metric"];
    // What the worst hour had, as the records and the plot have it.
    let plots = server.ok(
        "GET",
        &Client::job_path(
            JOB,
            "/results/model_plots?start=2021-03-23T12:00:00Z&end=2021-03-23T18:00:00Z",
        ),
        &Value::Null,
    );
    let worst = plots["model_plots"]
        .as_array()
        .expect("plots")
        .iter()
        .max_by(|a, b| {
            a["actual"]
                .as_f64()
                .partial_cmp(&b["actual"].as_f64())
                .expect("numbers")
        })
        .expect("a plot");
    let text = |value: &Value| value.as_f64().expect("a number").to_string();
    assert_eq!(metric["decimalValue"]["value"], text(&worst["actual"]));
    assert_eq!(
        answer,
        json!({"anomalies": [{
            "name": name,
            "metricSet": "apps/com.example.shop/crashRateMetricSet",
            "timelineSpec": {"aggregationPeriod": "HOURLY", "startTime": hour(12), "endTime": hour(18)},
            "dimensions": [{"dimension": "versionCode", "int64Value": "102"}],
            "metric": {
                "metric": "crashRate",
                "decimalValue": {"value": metric["decimalValue"]["value"]},
                "decimalValueConfidenceInterval": {
                    "lowerBound": metric["decimalValueConfidenceInterval"]["lowerBound"],
                    "upperBound": metric["decimalValueConfidenceInterval"]["upperBound"],
                }
            }
        }]})
    );

    // As the official client escapes it, with what every method of Google's takes.
    let filtered = |start: &str, end: &str| {
        let filter = format!("activeBetween%28{start}%2C+{end}%29");
        let path = format!(
            "{ANOMALIES}?filter={filter}&pageSize=10&alt=json&key=k&%24.xgafv=2&quotaUser=u"
        );
        server.ok("GET", &path, &Value::Null)
    };
    let quoted = |time: &str| format!("%22{}%22", time.replace(':', "%3A"));
    assert_eq!(
        filtered("UNBOUNDED", &quoted("2021-11-21T00:00:00-04:00")),
        answer
    );
    assert_eq!(
        filtered(&quoted("2021-03-23T17:59:59Z"), "UNBOUNDED"),
        answer
    );
    assert_eq!(
        filtered(&quoted("2021-03-23T18:00:00Z"), "UNBOUNDED"),
        json!({})
    );

    let one_line = server.call(
        "GET",
        &format!("{ANOMALIES}?prettyPrint=false"),
        &Value::Null,
    );
    assert_eq!((one_line.text.lines().count(), one_line.body), (1, answer));
    server.ok(
        "DELETE",
        &Client::job_path(JOB, "?force=true"),
        &Value::Null,
    );
    refused(&server, "GET", ANOMALIES, 404, "NOT_FOUND");
    assert_eq!(
        server.ok("GET", "/v1beta1/apps/-/anomalies", &Value::Null),
        json!({})
    );
}

#[test]
fn a_shift_of_six_hours_is_one_anomaly_of_six_hours_with_either_engine() {
    let server = Server::start(&[]);
    let mut forest = config(settings());
    forest["custom_settings"]["engine"] = "random_cut_forest".into();
    for config in [config(settings()), forest] {
        server.create_open(JOB, &config);
        server.post_data(JOB, &rates(0, BAD + 30));
        server.close(JOB);
        let answer = server.ok("GET", ANOMALIES, &Value::Null);
        let anomalies = answer["anomalies"].as_array().expect("anomalies").iter();
        let of_bad = anomalies.filter(|one| one["dimensions"][0]["int64Value"] == "102");
        let spans: Vec<[&Value; 2]> = of_bad
            .map(|one| &one["timelineSpec"])
            .map(|spec| [&spec["startTime"], &spec["endTime"]])
            .collect();
        assert_eq!(spans, [[&hour(12), &hour(18)]], "{config}: {answer:#}");
        server.ok("DELETE", &Client::job_path(JOB, ""), &Value::Null);
    }
}

#[test]
fn what_a_job_watches_is_queried() {
    let server = Server::start(&[]);
    server.create_open(JOB, &config(settings()));
    server.post_data(JOB, &rates(0, BAD + 12));
    server.close(JOB);
    let path = "/v1beta1/apps/com.example.shop/crashRateMetricSet:query?alt=json";
    let spec = json!({"aggregationPeriod": "HOURLY", "startTime": hour(12), "endTime": hour(16)});
    let body = |changes: Value| {
        let mut body = json!({
            "metrics": ["crashRate"], "dimensions": ["versionCode"], "timelineSpec": spec
        });
        for (name, value) in changes.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    let query = |changes: Value| server.ok("POST", path, &body(changes));
    let whole = query(json!({"userCohort": "OS_PUBLIC"}));
    let rows = whole["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 8, "{whole}");
    for (place, row) in rows.iter().enumerate() {
        let (at, version) = (place as i64 / 2, 101 + place as i64 % 2);
        let value = row["metrics"][0]["decimalValue"]["value"].as_str();
        let value: f64 = value.and_then(|text| text.parse().ok()).expect("a decimal");
        assert!((value - rate(version, BAD + at)).abs() < 1e-9, "{row}");
        assert_eq!(
            *row,
            json!({
                "aggregationPeriod": "HOURLY", "startTime": hour(12 + at),
                "dimensions": [{"dimension": "versionCode", "int64Value": version.to_string()}],
                "metrics": [{"metric": "crashRate", "decimalValue": row["metrics"][0]["decimalValue"]}]
            })
        );
    }
    // Page by page it is the same; a token is for no other query.
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = query(json!({"pageSize": 3, "pageToken": token}));
        paged.extend(page["rows"].as_array().expect("rows").clone());
        let Some(next) = page["nextPageToken"].as_str() else {
            break;
        };
        next.clone_into(&mut token);
    }
    assert_eq!(&paged, rows);
    // What a filter pins needs no dimension of its own.
    let pinned = query(json!({"dimensions": [], "filter": "versionCode = 102"}));
    assert_eq!(pinned["rows"].as_array().map(Vec::len), Some(4), "{pinned}");
    let fields = format!("{path}&fields=rows(metrics/metric)");
    assert_eq!(
        server.ok(
            "POST",
            &fields,
            &body(json!({"filter": "versionCode=\"101\""}))
        )["rows"][0],
        json!({"metrics": [{"metric": "crashRate"}]})
    );
    // Only what is final: the last hour isn't.
    let open =
        query(json!({"timelineSpec": {"aggregationPeriod": "HOURLY", "startTime": hour(20)}}));
    assert_eq!(open["rows"].as_array().map(Vec::len), Some(6), "{open}");

    let refused = |changes: Value, told: &str| {
        let reply = server.call("POST", path, &body(changes));
        let error = &reply.body["error"];
        assert_eq!(
            (reply.status, &error["status"]),
            (400, &json!("INVALID_ARGUMENT"))
        );
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(told), "{message}");
    };
    refused(
        json!({"metrics": ["anrRate"]}),
        "unknown metric anrRate of crashRateMetricSet",
    );
    let there = "Jobs have: crashRate by [versionCode] (HOURLY)";
    for changes in [
        json!({"metrics": ["distinctUsers"]}),
        json!({"dimensions": []}),
        json!({"dimensions": ["countryCode"]}),
        json!({"filter": "countryCode = US"}),
        json!({"timelineSpec": {"aggregationPeriod": "DAILY"}}),
    ] {
        refused(changes, there);
    }
    refused(
        json!({"filter": "versionCode > 1"}),
        "expected '=' at position 12",
    );
    refused(json!({"userCohort": "OS_BETA"}), "jobs know no cohorts");
    refused(json!({"pageToken": token}), "all other parameters");
    refused(json!({"pageSize": -1}), "-1 is negative");
    refused(
        json!({"metric": "x"}),
        "Unknown name \"metric\": Cannot find field.",
    );
    let other = path.replace("crashRate", "anrRate");
    let reply = server.call("POST", &other, &json!({}));
    assert_eq!(reply.status, 404, "{}", reply.text);
}

#[test]
fn a_job_is_seen_when_its_settings_say_so() {
    let server = Server::start(&[]);
    let mut bad = settings();
    bad["metric"] = "anrRate".into();
    let path = Client::job_path(JOB, "");
    server
        .call("PUT", &path, &config(bad.clone()))
        .assert_error(
            400,
            "illegal_argument_exception",
            "unknown metric [anrRate] of [crashRateMetricSet]",
        );

    let mut unseen = config(Value::Null);
    unseen["custom_settings"] = json!({"other": 1});
    server.ok("PUT", &path, &unseen);
    refused(&server, "GET", ANOMALIES, 404, "NOT_FOUND");
    let update = Client::job_path(JOB, "/_update");
    server
        .call("POST", &update, &json!({"custom_settings": {"play": bad}}))
        .assert_error(
            400,
            "illegal_argument_exception",
            "unknown metric [anrRate]",
        );
    server.ok(
        "POST",
        &update,
        &json!({"custom_settings": {"play": settings()}}),
    );
    // It keeps what a long anomaly is told by.
    let job = server.ok("GET", &path, &Value::Null)["jobs"][0].clone();
    assert_eq!(job["model_plot_config"]["enabled"], true);
    assert_eq!(server.ok("GET", ANOMALIES, &Value::Null), json!({}));
    assert_eq!(
        server.ok(
            "GET",
            "/v1beta1/apps:search?pageSize=5&alt=json",
            &Value::Null
        ),
        json!({"apps": [{"name": "apps/com.example.shop", "packageName": "com.example.shop"}]})
    );
    // No bucket yet.
    let set = "apps/com.example.shop/crashRateMetricSet";
    assert_eq!(
        server.ok("GET", &format!("/v1beta1/{set}?alt=json"), &Value::Null),
        json!({"name": set, "freshnessInfo": {"freshnesses": []}})
    );
}

#[test]
fn errors_are_googles() {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path(JOB, ""), &config(settings()));
    let invalid = |query: &str| {
        refused(
            &server,
            "GET",
            &format!("{ANOMALIES}?{query}"),
            400,
            "INVALID_ARGUMENT",
        )
    };
    let error = invalid("filter=x");
    let told = "expected activeBetween(start, end) at position 0, found 'x'";
    assert_eq!(
        error["message"],
        format!("Invalid value for filter: {told}")
    );
    assert_eq!(
        error["details"],
        json!([{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "filter", "description": told}]
        }])
    );
    // What isn't of an answer, and isn't told as nothing.
    let error = invalid("fields=anomalies(metric/value)");
    assert_eq!(error["message"], "Invalid field selection value");
    for query in [
        "pageSize=-1",
        "pageSize=x",
        "pageToken=x",
        "alt=proto",
        "fields=a(",
        "colour=red",
        "filter=%zz",
    ] {
        invalid(query);
    }
    for (method, path, code, status) in [
        ("GET", "/v1beta1/apps/com.none/anomalies", 404, "NOT_FOUND"),
        (
            "GET",
            "/v1beta1/apps/com.example.shop/anomalies/1",
            404,
            "NOT_FOUND",
        ),
        ("DELETE", ANOMALIES, 404, "NOT_FOUND"),
        (
            "GET",
            "/v1beta1/apps/com.example.shop/anrRateMetricSet",
            404,
            "NOT_FOUND",
        ),
        (
            "GET",
            "/v1beta1/apps/com.example.shop/otherMetricSet",
            404,
            "NOT_FOUND",
        ),
        (
            "POST",
            "/v1beta1/apps/com.none/crashRateMetricSet:query?alt=json",
            404,
            "NOT_FOUND",
        ),
        (
            "GET",
            "/v1beta1/apps/com.example.shop/errorIssues:search",
            501,
            "UNIMPLEMENTED",
        ),
        (
            "GET",
            "/v1beta1/apps/com.example.shop:fetchReleaseFilterOptions",
            501,
            "UNIMPLEMENTED",
        ),
        (
            "GET",
            "/v1beta1/apps/%zz/anomalies",
            400,
            "INVALID_ARGUMENT",
        ),
    ] {
        refused(&server, method, path, code, status);
    }
    // An index may have the version's name.
    server.put("/v1beta1/_doc/1?refresh=true", &json!({"a": 1}));
    assert_eq!(server.get("/v1beta1/_doc/1").1["_source"], json!({"a": 1}));
}
