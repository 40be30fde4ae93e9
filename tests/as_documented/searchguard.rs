//! Search Guard's document.

use serde_json::{Value, json};

use crate::book::{Book, Exchange};
use crate::shape::{Reason, Shape};
use crate::support::opensearch::{GUARD, now};
use crate::support::{Client, Server, wait_until};
use crate::world::{HOST, MINUTE, Series, idle};

const BASE: &str = "_anomaly_detection/api/detectors";
/// The dates of the document's preview, on the minute. Epoch milliseconds.
const START: i64 = 1_633_048_860_000;
const MINUTES: i64 = 5_761;

const NO_USERS: &str = "there are no users here";
const TOLD_BY_OPENSEARCH: &str =
    "OpenSearch tells it of a detector that runs; the document forgets it";
const MISSING: [Reason; 4] = [
    ("user", NO_USERS),
    ("started_by", NO_USERS),
    ("error", "there is one where a job has failed"),
    (
        "ui_metadata",
        "only dashboards keep it with a detector, and are told it",
    ),
];

/// Sends a detector and returns its id.
#[track_caller]
fn create(server: &Client, body: &Value) -> String {
    let made = server.call("POST", GUARD, body);
    assert_eq!(made.status, 201, "{}", made.text);
    made.body["_id"].as_str().expect("an id").to_owned()
}

fn delete(server: &Client, id: &str) {
    server.ok("DELETE", &format!("{GUARD}/{id}"), &Value::Null);
}

#[track_caller]
fn ok(exchange: &Exchange, server: &Client, filled: &[(&str, &str)]) -> Value {
    let reply = exchange.send(server, filled);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.body
}

/// Those of the detectors that the document only shows.
fn features() -> Value {
    json!([{
        "feature_name": "test_feature", "aggregation_query": {"test_feature": {"sum": {"field": "value"}}}
    }])
}

fn named(body: &Value, name: &str) -> Value {
    let mut body = body.clone();
    body["name"] = name.into();
    body
}

/// A detector less what is another in each answer, with whole numbers where they are.
fn lasting(detector: &Value) -> Value {
    let mut detector = detector.clone();
    let fields = detector.as_object_mut().expect("a detector");
    fields.retain(|name, _| !matches!(name.as_str(), "user" | "last_update_time"));
    for feature in detector["feature_attributes"]
        .as_array_mut()
        .expect("features")
    {
        feature["feature_id"] = "an id".into();
    }
    serde_json::from_str(&detector.to_string().replace("1.0", "1")).expect("JSON")
}

/// The answers that say what is wrong are the documented ones, word for word.
fn check_validation(book: &mut Book, create: &Exchange) {
    let ways = book.next(&format!("POST {BASE}/_validate"), 0);
    let ways_of_model = book.next(&format!("POST {BASE}/_validate/model"), 0);
    let validate = book.next(&format!("POST {BASE}/_validate"), 2);
    let model = book.next(&format!("POST {BASE}/_validate/model"), 2);

    let server = Server::start(&[]);
    // Up to the next minute, so that nothing is late.
    Series::dense("server_log-1", now() / MINUTE * MINUTE - 400 * MINUTE, 402).add(&server);
    for exchange in [&ways, &ways_of_model, &validate] {
        for told in exchange.send_each(&server, &[], &validate.body) {
            assert_eq!((told.status, &told.body), (200, &validate.answers[0]));
        }
    }
    for told in ways.send_each(&server, &[], &create.body) {
        assert_eq!((told.status, &told.body), (200, &validate.answers[0]));
    }
    let mut unread = validate.body.clone();
    unread["feature_attributes"] = json!([{
        "feature_name": "average_total_rev", "feature_enabled": true,
        "aggregation_query": {"average_total_rev": {"avg": {"field": "nothing"}}}
    }]);
    for told in validate.send_each(&server, &[], &unread) {
        assert_eq!((told.status, &told.body), (200, &validate.answers[1]));
    }

    let start = now() / MINUTE * MINUTE - 2_000 * MINUTE;
    for (every, value, answer) in [
        (5, crate::world::load as fn(i64) -> f64, &model.answers[0]),
        (1, idle, &model.answers[1]),
    ] {
        server.ok("DELETE", "/server_log-1", &Value::Null);
        let index = "server_log-1";
        let minutes = 2_001;
        Series {
            index,
            start,
            minutes,
            every,
            value,
        }
        .add(&server);
        let told = model.send(&server, &[]);
        assert_eq!((told.status, &told.body), (200, answer));
    }
}

/// What is told of a detector that works.
struct Told {
    get_job: Exchange,
    get_task: Exchange,
}

impl Told {
    fn check(&self, server: &Client, id: &str, shape: &mut Shape) {
        server.ok("POST", &format!("{GUARD}/{id}/_start"), &Value::Null);
        let range = json!({"start_time": START, "end_time": START + 100 * MINUTE});
        server.ok("POST", &format!("{GUARD}/{id}/_start"), &range);
        let of_it = [("<DETECTOR_ID>", id)];
        shape.check(&self.get_job.answers[0], &ok(&self.get_job, server, &of_it));
        // The document names them.
        let told = ok(&self.get_task, server, &of_it);
        for name in ["realtime_detection_task", "historical_analysis_task"] {
            assert!(told[name]["task_id"].is_string(), "{name} in {told}");
        }
        stop(server, id);
    }
}

/// Ends all that a detector does.
fn stop(server: &Client, id: &str) {
    server.ok("POST", &format!("{GUARD}/{id}/_stop"), &Value::Null);
    wait_until("the history to be analysed", || {
        let told = server.ok("GET", &format!("{GUARD}/{id}?task=true"), &Value::Null);
        let state = &told["historical_analysis_task"]["state"];
        (state.is_null() || state == "FINISHED").then_some(())
    });
}

/// The profiles of detectors in all their states.
fn check_profiles(book: &mut Book, body: &Value) {
    let base = format!("GET {BASE}/<DETECTOR_ID>/_profile");
    let ways = book.next(&format!("{base}/"), 0);
    let profile = book.next(&base, 2);
    let entity = book.next(&format!("{base}?_all=true"), 1);
    let of_history = book.next(&format!("{base}?_all"), 0);

    let server = Server::start(&[]);
    let minute = now() / MINUTE * MINUTE;
    Series::dense("server_log-1", minute - 300 * MINUTE, 301).add(&server);
    Series::dense("young_log-1", minute - 9 * MINUTE, 10).add(&server);
    let mut shape = Shape::new(
        &MISSING,
        &[
            ("coordinating_node", TOLD_BY_OPENSEARCH),
            ("models", TOLD_BY_OPENSEARCH),
            ("model_count", TOLD_BY_OPENSEARCH),
            ("estimated_minutes_left", TOLD_BY_OPENSEARCH),
            ("execution_end_time", "the analysis has come to its end"),
        ],
    );
    let id = create(&server, &named(body, "old"));
    shape.check(
        &profile.answers[0],
        &ok(&profile, &server, &[("<DETECTOR_ID>", &id)]),
    );
    let filled = [
        ("<DETECTOR_ID>", id.as_str()),
        ("<TYPE>", "state"),
        ("<TYPE1>", "state"),
        ("<TYPE2>", "error"),
    ];
    for exchange in [&ways, &of_history] {
        for told in exchange.send_each(&server, &filled, &Value::Null) {
            assert_eq!(told.status, 200, "{}", told.text);
        }
    }

    // One that has too little data to judge, and whose history was analysed.
    let mut young = named(body, "young");
    young["indices"] = json!(["young_log*"]);
    // As the document's, which looks at everything.
    young["filter_query"] = Value::Null;
    young["feature_attributes"] = features();
    let id = create(&server, &young);
    server.ok("POST", &format!("{GUARD}/{id}/_start"), &Value::Null);
    let range = json!({"start_time": minute - 9 * MINUTE, "end_time": minute});
    server.ok("POST", &format!("{GUARD}/{id}/_start"), &range);
    let told = wait_until("a profile of all", || {
        let told = ok(&of_history, &server, &[("<DETECTOR_ID>", &id)]);
        let path = format!("{GUARD}/{id}/_profile?_all=true");
        let all = server.ok("GET", &path, &Value::Null);
        assert_eq!(
            told.as_object().map(serde_json::Map::len),
            Some(1),
            "{told}"
        );
        let has_ended = all["ad_task"]["ad_task"]["state"] == "FINISHED";
        (all["init_progress"].is_object() && has_ended).then_some(all)
    });
    assert_eq!(told["state"], profile.answers[1]["state"]);
    shape.check(&profile.answers[1], &told);
    stop(&server, &id);

    // One entity of a detector that judges.
    let mut by_host = named(body, "by-host");
    by_host["category_field"] = json!(["host"]);
    let id = create(&server, &by_host);
    server.ok("POST", &format!("{GUARD}/{id}/_start"), &Value::Null);
    assert_eq!(entity.body["entity"][0]["value"], HOST);
    let told = wait_until("the entity to be judged", || {
        let reply = entity.send(&server, &[("<DETECTOR_ID>", &id)]);
        (reply.body["state"] == entity.answers[0]["state"]).then_some(reply.body)
    });
    shape.check(&entity.answers[0], &told);
    shape.close();
}

#[test]
fn search_guards_requests_are_answered_as_documented() {
    let Some(mut book) = Book::open("004") else {
        return;
    };
    let one = format!("{BASE}/<DETECTOR_ID>");
    let make = book.next(&format!("POST {BASE}"), 1);
    let make_hc = book.next(&format!("POST {BASE}"), 1);
    check_validation(&mut book, &make);
    let get = book.next(&format!("GET {one}"), 1);
    let get_job = book.next(&format!("GET {one}?job=true"), 1);
    let get_task = book.next(&format!("GET {one}?task=true"), 0);
    let update = book.next(&format!("PUT {one}"), 1);
    let remove = book.next(&format!("DELETE {one}"), 1);
    let preview = book.next(&format!("POST {BASE}/_preview"), 1);
    let preview_named = book.next(&format!("POST {BASE}/_preview"), 0);
    let preview_by_id = book.next(&format!("POST {BASE}/VEHKTXwBwf_U8gjUXY2s/_preview"), 0);
    let search = book.next(&format!("GET {BASE}/_search"), 1);
    check_profiles(&mut book, &update.body);
    book.close();

    let server = Server::start(&[]);
    Series::dense("server_log-1", START, MINUTES).add(&server);
    let mut shape = Shape::new(
        &MISSING[..1],
        &[(
            "result_index",
            "the document forgets what its request names",
        )],
    );
    let detector = "anomaly_detector";

    let made = make.send(&server, &[]);
    assert_eq!(made.status, 201, "{}", made.text);
    shape.check(&make.answers[0], &made.body);
    let mut expected = lasting(&make.answers[0][detector]);
    expected["result_index"] = make.body["result_index"].clone();
    assert_eq!(lasting(&made.body[detector]), expected);
    let id = made.body["_id"].as_str().expect("an id");
    let of_it = [("<DETECTOR_ID>", id), ("VEHKTXwBwf_U8gjUXY2s", id)];
    let told = ok(&get, &server, &of_it);
    shape.check(&get.answers[0], &told);
    assert_eq!(told[detector], made.body[detector]);
    Told { get_job, get_task }.check(&server, id, &mut shape);

    // By definition, by id in the body and in the path.
    let found = ok(&preview, &server, &[]);
    shape.check(&preview.answers[0], &found);
    assert_eq!(
        lasting(&found[detector]),
        lasting(&preview.answers[0][detector])
    );
    let mut by_id = preview_named.body.clone();
    by_id["detector_id"] = id.into();
    let told = preview_named.send_each(&server, &[], &by_id);
    for told in [told[0].body.clone(), ok(&preview_by_id, &server, &of_it)] {
        assert_eq!(told["anomaly_result"][0]["detector_id"], id, "{told}");
        let without = |told: &Value| {
            let results = told["anomaly_result"].as_array().expect("results").iter();
            results
                .map(|one| (one["data_start_time"].clone(), one["anomaly_grade"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(without(&told), without(&found));
    }

    let updated = ok(&update, &server, &of_it);
    shape.check(&update.answers[0], &updated);
    assert_eq!(updated["_version"], update.answers[0]["_version"]);
    let mut expected = lasting(&update.answers[0][detector]);
    expected["result_index"] = make.body["result_index"].clone();
    assert_eq!(lasting(&updated[detector]), expected);
    let gone = ok(&remove, &server, &of_it);
    shape.check(&remove.answers[0], &gone);

    let made = make_hc.send(&server, &[]);
    assert_eq!(made.status, 201, "{}", made.text);
    shape.check(&make_hc.answers[0], &made.body);
    assert_eq!(
        lasting(&made.body[detector]),
        lasting(&make_hc.answers[0][detector])
    );
    delete(&server, made.body["_id"].as_str().expect("an id"));
    // The one that is found there looks at everything, and has a feature of another name.
    let mut all = make_hc.body.clone();
    all["feature_attributes"] = features();
    let fields = all.as_object_mut().expect("a detector");
    fields.shift_remove("filter_query");
    let id = create(&server, &all);
    for found in search.send_each(&server, &[], &Value::Null) {
        assert_eq!(found.status, 200, "{}", found.text);
        shape.check(&search.answers[0], &found.body);
        assert_eq!(found.body["hits"]["hits"][0]["_id"], id.as_str());
    }
    for (number, categories) in book.fields("category_field").into_iter().enumerate() {
        let mut body = named(&make_hc.body, &format!("by-{number}"));
        body["category_field"] = categories.clone();
        let made = server.call("POST", GUARD, &body);
        assert_eq!(
            made.body[detector]["category_field"], categories,
            "{}",
            made.text
        );
    }
    shape.close();
}
