//! Calendars and their events over HTTP.

mod support;

use serde_json::{Value, json};
use support::{Client, Reply, Server};

fn job(groups: &[&str]) -> Value {
    json!({
        "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "groups": groups
    })
}

fn call(server: &Client, method: &str, path: &str, body: Value) -> Reply {
    server.call(method, &format!("/_ml/calendars{path}"), &body)
}

#[track_caller]
fn ok(server: &Client, method: &str, path: &str, body: Value) -> Value {
    server.ok(method, &format!("/_ml/calendars{path}"), &body)
}

#[track_caller]
fn get(server: &Client, path: &str) -> Value {
    ok(server, "GET", path, Value::Null)
}

/// `2017-12-DDT00:00:00Z`, epoch milliseconds.
fn december(day: i64) -> i64 {
    1_512_086_400_000 + (day - 1) * 86_400_000
}

fn event(description: &str, from: i64, to: i64) -> Value {
    json!({"description": description, "start_time": december(from), "end_time": december(to)})
}

fn descriptions(events: &Value) -> Vec<&str> {
    let events = events["events"].as_array().expect("a list").iter();
    events
        .map(|event| event["description"].as_str().expect("a text"))
        .collect()
}

#[test]
fn calendars_are_put_listed_and_deleted() {
    let mut server = Server::start(&[]);
    assert_eq!(get(&server, "/_all"), json!({"count": 0, "calendars": []}));
    let body = json!({"job_ids": ["z-job", "a-job", "z-job"], "description": "This is about..."});
    let advent = json!({
        "calendar_id": "advent", "job_ids": ["z-job", "a-job"], "description": "This is about..."
    });
    assert_eq!(ok(&server, "PUT", "/advent", body), advent);
    let empty = |id: &str| json!({"calendar_id": id, "job_ids": []});
    assert_eq!(ok(&server, "PUT", "/dogs", Value::Null), empty("dogs"));
    ok(&server, "PUT", "/cats", Value::Null);
    server.kill_and_restart();

    let all = json!({"count": 3, "calendars": [advent, empty("cats"), empty("dogs")]});
    assert_eq!(get(&server, ""), all);
    assert_eq!(get(&server, "/*"), all);
    assert_eq!(ok(&server, "POST", "", Value::Null), all);
    let dogs = json!({"count": 3, "calendars": [empty("dogs")]});
    assert_eq!(get(&server, "?from=2"), dogs);
    let page = json!({"page": {"from": 2, "size": 5}});
    assert_eq!(ok(&server, "POST", "", page), dogs);
    assert_eq!(
        get(&server, "/d*,cats"),
        json!({"count": 2, "calendars": [empty("cats"), empty("dogs")]})
    );
    assert_eq!(
        ok(&server, "DELETE", "/dogs", Value::Null),
        json!({"acknowledged": true})
    );
    assert_eq!(get(&server, "")["count"], 2);
    for (method, path) in [("GET", "/dogs"), ("DELETE", "/dogs"), ("GET", "/cats,dogs")] {
        call(&server, method, path, Value::Null).assert_error(
            404,
            "resource_not_found_exception",
            "No calendar with id [dogs]",
        );
    }
}

#[test]
fn what_is_wrong_with_calendars_is_told_in_the_known_words() {
    let server = Server::start(&[]);
    ok(&server, "PUT", "/mayan", Value::Null);
    call(&server, "PUT", "/mayan", Value::Null).assert_error(
        400,
        "status_exception",
        "Cannot create calendar with id [mayan] as it already exists",
    );
    for id in ["_all", "Mayas"] {
        call(&server, "PUT", &format!("/{id}"), Value::Null).assert_error(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: ",
        );
    }
    call(&server, "PUT", "/a", json!({"calendar_id": "b"})).assert_error(
        400,
        "illegal_argument_exception",
        "Inconsistent calendar_id; 'b'",
    );
    call(&server, "GET", "/mayan?size=10", Value::Null).assert_error(
        400,
        "action_request_validation_exception",
        "incompatible with [calendar_id]",
    );
    call(&server, "DELETE", "/mayan/jobs/otter", Value::Null).assert_error(
        400,
        "status_exception",
        "Cannot remove [otter] as it is not present in calendar [mayan]",
    );
    for (method, path) in [
        ("PUT", "/unknown/jobs/j"),
        ("DELETE", "/unknown/jobs/j"),
        ("GET", "/unknown/events"),
        ("DELETE", "/unknown/events/e"),
    ] {
        call(&server, method, path, Value::Null).assert_error(
            404,
            "resource_not_found_exception",
            "No calendar with id [unknown]",
        );
    }
    let post = |path: &str, event: Value| {
        call(
            &server,
            "POST",
            &format!("/{path}/events"),
            json!({"events": [event]}),
        )
    };
    post("unknown", event("e", 1, 2)).assert_error(
        404,
        "resource_not_found_exception",
        "No calendar with id [unknown]",
    );
    let none = call(&server, "POST", "/unknown/events", json!({"events": []}));
    none.assert_error(400, "status_exception", "At least 1 event is required");
    let mut wrong = event("e", 1, 2);
    wrong["calendar_id"] = "other".into();
    post("mayan", wrong).assert_error(400, "status_exception", "Inconsistent calendar_id; 'other'");
    for field in ["description", "start_time", "end_time"] {
        let mut wrong = event("e", 1, 2);
        wrong[field] = Value::Null;
        post("mayan", wrong).assert_error(
            400,
            "status_exception",
            &format!("Field [{field}] cannot be null"),
        );
    }
    post("mayan", event("e", 2, 2)).assert_error(
        400,
        "status_exception",
        "Event start time [2017-12-02T00:00:00Z] must come before end time [2017-12-02T00:00:00Z]",
    );
    let mut wrong = event("e", 1, 2);
    wrong["start"] = 1.into();
    post("mayan", wrong).assert_error(
        400,
        "x_content_parse_exception",
        "[scheduled_event] unknown field [start]",
    );
    call(&server, "GET", "/mayan/events?job_id=j", Value::Null).assert_error(
        400,
        "action_request_validation_exception",
        "If job_id is used calendar_id must be '_all' or '*'",
    );
    call(&server, "GET", "/_all/events?job_id=j", Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No known job with id 'j'",
    );
    assert_eq!(get(&server, "/mayan/events")["count"], 0);
}

#[test]
fn jobs_come_into_calendars_and_leave_them() {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path("tiger", ""), &job(&[]));
    ok(&server, "PUT", "/wildlife", json!({"job_ids": ["tiger"]}));
    let calendar = |ids: &[&str]| json!({"calendar_id": "wildlife", "job_ids": ids});
    assert_eq!(
        ok(
            &server,
            "PUT",
            "/wildlife/jobs/otter,future-group,tiger",
            Value::Null
        ),
        calendar(&["tiger", "otter", "future-group"])
    );
    call(&server, "DELETE", "/wildlife/jobs/otter,lion", Value::Null).assert_error(
        400,
        "status_exception",
        "Cannot remove [lion]",
    );
    assert_eq!(
        ok(&server, "DELETE", "/wildlife/jobs/otter", Value::Null),
        calendar(&["tiger", "future-group"])
    );
    server.ok("DELETE", &Client::job_path("tiger", ""), &Value::Null);
    assert_eq!(
        get(&server, "/wildlife")["calendars"][0],
        calendar(&["future-group"])
    );
}

#[test]
fn events_are_posted_found_and_deleted() {
    let server = Server::start(&[]);
    ok(&server, "PUT", "/events", Value::Null);
    ok(&server, "PUT", "/others", Value::Null);
    let mut custom = event("2", 5, 6);
    custom["start_time"] = "2017-12-05T00:00:00Z".into();
    custom["calendar_id"] = "events".into();
    custom["skip_model_update"] = false.into();
    custom["force_time_shift"] = (-3600).into();
    let body =
        json!({"events": [event("4", 12, 15), event("3", 12, 13), custom, event("1", 1, 2)]});
    let posted = ok(&server, "POST", "/events/events", body);
    assert_eq!(descriptions(&posted), ["4", "3", "2", "1"]);
    let other = json!({"events": [event("other", 3, 4)]});
    ok(&server, "POST", "/others/events", other);

    let all = get(&server, "/events/events");
    assert_eq!(all["count"], 4);
    assert_eq!(descriptions(&all), ["1", "2", "3", "4"]);
    let ids: Vec<&str> = all["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["event_id"].as_str().expect("an id"))
        .collect();
    assert_eq!(
        all["events"][0],
        json!({
            "description": "1", "start_time": december(1), "end_time": december(2), "skip_result": true,
            "skip_model_update": true, "calendar_id": "events", "event_id": ids[0]
        })
    );
    assert_eq!(
        all["events"][1],
        json!({
            "description": "2", "start_time": december(5), "end_time": december(6), "skip_result": true,
            "skip_model_update": false, "force_time_shift": -3600, "calendar_id": "events", "event_id": ids[1]
        })
    );
    let found = |query: &str| {
        let events = get(&server, &format!("/events/events?{query}"));
        descriptions(&events).join("")
    };
    assert_eq!(found("from=1&size=2"), "23");
    assert_eq!(found("end=2017-12-12T00:00:00Z"), "12");
    assert_eq!(found("start=2017-12-05T03:00:00Z"), "234");
    assert_eq!(found("start=2017-12-02T00:00:00Z&end=2017-12-12"), "2");
    assert_eq!(get(&server, "/_all/events")["count"], 5);

    let wrong = call(
        &server,
        "DELETE",
        &format!("/others/events/{}", ids[0]),
        Value::Null,
    );
    wrong.assert_error(
        400,
        "status_exception",
        "does not match the request calendar_id [others]",
    );
    call(&server, "DELETE", "/events/events/missing", Value::Null).assert_error(
        404,
        "resource_not_found_exception",
        "No event with id [missing]",
    );
    let deleted = ok(
        &server,
        "DELETE",
        &format!("/events/events/{}", ids[0]),
        Value::Null,
    );
    assert_eq!(deleted, json!({"acknowledged": true}));
    assert_eq!(found(""), "234");
    ok(&server, "DELETE", "/events", Value::Null);
    assert_eq!(descriptions(&get(&server, "/*/events")), ["other"]);
}

#[test]
fn events_are_found_by_job_and_by_group() {
    let server = Server::start(&[]);
    server.ok("PUT", &Client::job_path("grouped", ""), &job(&["ben"]));
    server.ok("PUT", &Client::job_path("single", ""), &job(&[]));
    for (id, jobs, number) in [
        ("everywhere", json!(["_all"]), 1),
        ("of-ben", json!(["ben"]), 2),
        ("of-one", json!(["single", "grouped"]), 3),
        ("unused", json!(["none"]), 4),
    ] {
        ok(&server, "PUT", &format!("/{id}"), json!({"job_ids": jobs}));
        let body = json!({"events": [event(id, number, number + 1)]});
        ok(&server, "POST", &format!("/{id}/events"), body);
    }
    let found = |name: &str| {
        let events = get(&server, &format!("/_all/events?job_id={name}"));
        descriptions(&events).join(" ")
    };
    assert_eq!(found("grouped"), "everywhere of-ben of-one");
    assert_eq!(found("single"), "everywhere of-one");
    assert_eq!(found("ben"), "everywhere of-ben");
    let later = get(&server, "/_all/events?job_id=grouped&start=2017-12-03");
    assert_eq!(descriptions(&later), ["of-one"]);
}
