//! Open Distro's document.

use serde_json::{Value, json};

use crate::book::Book;
use crate::shape::{Reason, Shape};
use crate::support::opensearch::DISTRO;
use crate::support::{Client, Server, wait_until};
use crate::world::{MINUTE, Series};

const LATER: &str = "the document is of the first version; the last one, 1.13, tells it";
const MORE: [Reason; 12] = [
    ("anomaly_detector.window_delay", LATER),
    ("_source.window_delay", LATER),
    ("shingle_size", LATER),
    ("schema_version", LATER),
    ("detector_type", LATER),
    ("data_start_time", LATER),
    ("data_end_time", LATER),
    ("execution_start_time", LATER),
    ("execution_end_time", LATER),
    ("task_id", LATER),
    ("model_id", LATER),
    ("threshold", LATER),
];

/// The dates of the document's preview, on the minute. Epoch milliseconds.
const START: i64 = 1_573_089_720_000;
const MINUTES: i64 = 7_200;

/// The id of the detector that there is.
fn only(server: &Client) -> String {
    let found = server.ok("GET", &format!("{DISTRO}/_search"), &Value::Null);
    assert_eq!(found["hits"]["total"]["value"], 1, "{found}");
    let id = found["hits"]["hits"][0]["_id"].as_str();
    id.expect("an id").to_owned()
}

/// Waits until the history of a detector is analysed.
fn analyse(server: &Client, id: &str) {
    let range = json!({"start_time": START, "end_time": START + MINUTES * MINUTE});
    server.ok("POST", &format!("{DISTRO}/{id}/_start"), &range);
    wait_until("the history to be analysed", || {
        let told = server.ok("GET", &format!("{DISTRO}/{id}?task=true"), &Value::Null);
        let key = "historical_analysis_task";
        (told[key]["state"] == "FINISHED").then_some(())
    });
}

#[test]
fn open_distros_requests_are_answered_as_documented() {
    let Some(mut book) = Book::open("001") else {
        return;
    };
    let base = "_opendistro/_anomaly_detection";
    let create = book.next(&format!("POST {base}/detectors"), 1);
    let preview = book.next(&format!("POST {base}/detectors/<detector_id>/_preview"), 1);
    let results = book.next(&format!("GET /{base}/results/_search"), 1);
    let delete = book.next(&format!("DELETE {base}/detectors/<detectorId>"), 1);
    let update = book.next(&format!("PUT {base}/detectors/<detectorId>"), 1);
    let get = book.next(&format!("GET {base}/detectors/<detectorId>"), 1);
    let search = book.next(&format!("GET {base}/detectors/_search"), 1);
    book.close();

    let server = Server::start(&[]);
    Series::dense("order-1", START, MINUTES).add(&server);
    let mut shape = Shape::new(&[], &MORE);

    let made = create.send(&server, &[]);
    assert_eq!(made.status, 201, "{}", made.text);
    shape.check(&create.answers[0], &made.body);
    let id = only(&server);
    let of_it = [("<detectorId>", id.as_str()), ("<detector_id>", &id)];
    let told = get.send(&server, &of_it);
    assert_eq!(told.status, 200, "{}", told.text);
    shape.check(&get.answers[0], &told.body);

    let found = preview.send(&server, &of_it);
    assert_eq!(found.status, 200, "{}", found.text);
    // Of the detector the document shows how it begins.
    let documented = json!({
        "anomaly_result": preview.answers[0]["anomaly_result"],
        "anomaly_detector": create.answers[0]["anomaly_detector"]
    });
    shape.check(&documented, &found.body);

    analyse(&server, &id);
    for found in results.send_each(&server, &[], &Value::Null) {
        assert_eq!(found.status, 200, "{}", found.text);
        shape.check(&results.answers[0], &found.body);
    }

    let updated = update.send(&server, &of_it);
    assert_eq!(updated.status, 200, "{}", updated.text);
    shape.check(&update.answers[0], &updated.body);
    assert_eq!(updated.body["_version"], update.answers[0]["_version"]);

    let gone = delete.send(&server, &of_it);
    assert_eq!(gone.status, 200, "{}", gone.text);
    shape.check(&delete.answers[0], &gone.body);

    // The one that is found there looks at everything.
    let mut all = create.body.clone();
    let fields = all.as_object_mut().expect("a detector");
    fields.shift_remove("filter_query");
    create.send_each(&server, &[], &all);
    for found in search.send_each(&server, &[], &Value::Null) {
        assert_eq!(found.status, 200, "{}", found.text);
        shape.check(&search.answers[0], &found.body);
        assert_eq!(found.body["hits"]["total"]["value"], 1);
    }
    shape.close();
}
