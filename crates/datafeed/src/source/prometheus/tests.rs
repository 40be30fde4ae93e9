//! A Prometheus that isn't one.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;

use super::*;
use crate::config::IndicesOptions;
use crate::projection::Projection;
use crate::source::settings::{Secret, Urls};
use crate::source::standin::{Reply, Request, StandIn};

const STEP: i64 = 30_000;
/// The first sample and, long before now, the last.
const FIRST: i64 = 1_500_000_000_000;
const LAST: i64 = FIRST + 2_000 * STEP;

const ALL: Window = Window {
    start: 0,
    end: LAST + 1,
};

fn wanted(promql: Value) -> Wanted {
    let mut schema = Schema::default();
    schema.column("value", true, false);
    schema.column("instance", false, true);
    Wanted {
        datafeed_id: "d".to_owned(),
        indices: vec!["*".to_owned()],
        query: json!({"promql": promql}).as_object().cloned().unwrap(),
        aggregations: None,
        runtime_mappings: Map::new(),
        script_fields: Map::new(),
        indices_options: IndicesOptions::default(),
        histogram: None,
        page_size: 1000,
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        written_time: TimeFormat::EpochMs,
        bucket_span: 60_000,
        summary_is_doc_count: false,
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: Urls(vec![url.to_owned()]),
        bearer_token: Some(Secret::new("sesame")),
        ..Endpoint::default()
    }
}

fn series(url: &str) -> Series {
    let server = Arc::new(Prometheus::new(&endpoint(url)).unwrap());
    server
        .source(wanted(json!({"query": "up # all", "step": "30s"})))
        .unwrap()
}

/// What one instance, of `a` and `b`, has at a time.
fn sample(instance: usize, time: i64) -> Option<String> {
    let n = (time - FIRST) / STEP;
    let is_there = (FIRST..=LAST).contains(&time) && !(500..900).contains(&n);
    match (instance, n % 7) {
        _ if !is_there => None,
        (1, 3) => None,
        (1, 5) => Some("NaN".to_owned()),
        _ => Some((n + instance as i64).to_string()),
    }
}

fn answer(request: &Request) -> Reply {
    let form = |name: &str| {
        let parts = request
            .body
            .split('&')
            .map(|part| part.split_once('=').unwrap());
        let text = parts.into_iter().find(|(key, _)| *key == name).unwrap().1;
        text.replace("%28", "(").replace("%0A", "\n")
    };
    let time = |name: &str| (form(name).parse::<f64>().unwrap() * 1000.0).round() as i64;
    assert!(
        request
            .headers
            .iter()
            .any(|header| header == "authorization: Bearer sesame")
    );
    let success = |data: Value| Reply::Json(200, json!({"status": "success", "data": data}));
    if request.path == "/api/v1/labels" {
        let any = time("start") <= LAST && time("end") >= FIRST;
        return success(if any { json!(["instance"]) } else { json!([]) });
    }
    let times: Vec<i64> = (time("start")..=time("end"))
        .step_by(time("step") as usize)
        .collect();
    if times.len() > 1_000 && !form("query").starts_with("count(") {
        let error = "query processing would load too many samples into memory in query execution";
        return Reply::Json(
            422,
            json!({"status": "error", "errorType": "execution", "error": error}),
        );
    }
    let numbers = |at: i64| {
        let both = [0, 1].map(|instance| sample(instance, at));
        both.into_iter()
            .flatten()
            .filter(|text| text != "NaN")
            .count()
    };
    let seconds = |ms: i64| json!(ms as f64 / 1000.0);
    let result = match form("query").starts_with("count(") {
        true => {
            let values = times
                .into_iter()
                .map(|at| (at, numbers(at)))
                .filter(|(_, n)| *n > 0);
            let values: Vec<_> = values
                .map(|(at, n)| json!([seconds(at), n.to_string()]))
                .collect();
            json!([{"metric": {}, "values": values}])
        }
        // Not in the order of their names.
        false => [1, 0]
            .map(|instance| {
                let values = times
                    .iter()
                    .filter_map(|at| Some(json!([seconds(*at), sample(instance, *at)?])));
                let values: Vec<_> = values.collect();
                let name = ["a", "b"][instance];
                json!({"metric": {"__name__": "up", "instance": name}, "values": values})
            })
            .into_iter()
            .filter(|series| series["values"] != json!([]))
            .collect(),
    };
    success(json!({"resultType": "matrix", "result": result}))
}

#[tokio::test]
async fn every_sample_is_a_record_and_gaps_stay() {
    let server = StandIn::start(answer);
    let series = series(&server.url);
    let mut expected = Vec::new();
    for time in (FIRST..=LAST).step_by(STEP as usize) {
        for instance in [0, 1] {
            let number = sample(instance, time).and_then(|text| text.parse().ok());
            if let Some(number) = number.filter(|number: &f64| number.is_finite()) {
                expected.push((time, number, ["a", "b"][instance].to_owned()));
            }
        }
    }
    let mut pages = Source::read(&series, ALL).await.unwrap();
    let mut read = Vec::new();
    let mut from = 0;
    while let Some(page) = pages.next().await.unwrap() {
        for record in page.batch.records() {
            assert!((from..page.until).contains(&record.time));
            let (value, instance) = (record.number(0).unwrap(), record.text(1).unwrap());
            read.push((record.time, value, instance.to_owned()));
        }
        from = page.until;
    }
    assert_eq!(read, expected);

    let summary = Source::summary(&series, ALL).await.unwrap();
    let known = Summary {
        earliest: Some(FIRST),
        latest: Some(LAST),
        documents: expected.len() as u64,
    };
    assert_eq!(summary, known);
    let counts = Source::counts(&series, ALL, 60_000).await.unwrap();
    assert_eq!(counts[0], (FIRST, 4));
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(all, known.documents);
    assert!(counts.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let shown = Source::preview(&series, ALL, 2).await.unwrap();
    assert_eq!(
        json!(shown),
        json!([{"time": FIRST, "value": 0.0, "instance": "a"}, {"time": FIRST, "value": 1.0, "instance": "b"}])
    );
    let asked = server.paths().len();
    assert!(
        asked < 200,
        "nobody asks for each minute since 1970: {asked}"
    );
}

#[tokio::test]
async fn a_sample_may_stand_for_the_step_that_ends_with_it() {
    let server = StandIn::start(answer);
    let mut wanted = wanted(json!({"query": "up", "step": "30s", "at": "end"}));
    let mut schema = Schema::default();
    schema.column("value", true, false);
    schema.column("__labels__", false, true);
    wanted.projection = Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs));
    let prometheus = Arc::new(Prometheus::new(&endpoint(&server.url)).unwrap());
    let series = prometheus.source(wanted).unwrap();
    let window = Window {
        start: FIRST,
        end: FIRST + 2 * STEP,
    };
    let mut pages = Source::read(&series, window).await.unwrap();
    let page = pages.next().await.unwrap().unwrap();
    let read: Vec<_> = page
        .batch
        .records()
        .map(|record| {
            let series = record.text(1).unwrap().to_owned();
            (record.time - FIRST, record.number(0).unwrap(), series)
        })
        .collect();
    let [a, b] = ["a", "b"].map(|name| format!("{{\"instance\":\"{name}\"}}"));
    let expected = [
        (STEP - 1, 1.0, a.clone()),
        (STEP - 1, 2.0, b.clone()),
        (2 * STEP - 1, 2.0, a),
        (2 * STEP - 1, 3.0, b),
    ];
    assert_eq!(read, expected);
    assert!(pages.next().await.unwrap().is_none());
    let counts = Source::counts(&series, window, STEP).await.unwrap();
    assert_eq!(counts, [(FIRST, 2), (FIRST + STEP, 2)]);
}

#[tokio::test]
async fn where_there_is_nothing_nothing_is_asked_for() {
    let server = StandIn::start(answer);
    let window = Window {
        start: 0,
        end: FIRST - 1,
    };
    let mut pages = Source::read(&series(&server.url), window).await.unwrap();
    assert!(pages.next().await.unwrap().is_none());
    assert_eq!(server.paths(), ["POST /api/v1/labels"]);
}

#[test]
fn what_prometheus_has_not_is_refused() {
    let server = Arc::new(Prometheus::new(&endpoint("http://a")).unwrap());
    let refused = |wanted: Wanted| match server.source(wanted) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let query = |step: &str| wanted(json!({"query": "up", "step": step}));
    assert_eq!(refused(query("20s")), "");
    assert_eq!(
        refused(query("40s")),
        "[promql] [step] [40s] must be a divisor of the bucket_span [60000ms]"
    );
    let mut scripted = query("20s");
    scripted.script_fields.insert("x".to_owned(), json!({}));
    assert_eq!(
        refused(scripted),
        "a source of kind [prometheus] has no [script_fields]"
    );
    let mut index = query("20s");
    index.indices = vec!["up".to_owned()];
    assert!(refused(index).contains("has no index [up]"));
    let mut query = query("20s");
    query.query = json!({"match_all": {}}).as_object().cloned().unwrap();
    assert!(refused(query).contains("is asked a [promql] query"));
    let keyed = Endpoint {
        api_key: Some(Secret::new("x")),
        bearer_token: None,
        ..endpoint("http://a")
    };
    assert!(Prometheus::new(&keyed).is_err());
}

#[test]
fn a_window_is_asked_for_at_multiples_of_the_step() {
    let window = |start, end| Window { start, end };
    let points = |window| {
        let points = Points::within(window, 30_000);
        (points.first, points.last)
    };
    assert_eq!(points(window(0, 60_000)), (0, 30_000));
    assert_eq!(points(window(1, 60_001)), (30_000, 60_000));
    assert!(Points::within(window(1, 30_000), 30_000).is_empty());
    let (some, rest) = Points::within(window(0, 150_000), 30_000).split(3);
    assert_eq!(
        (some.last, rest.first, rest.last),
        (60_000, 90_000, 120_000)
    );
    assert!(rest.split(2).1.is_empty());
    assert_eq!(seconds(1_234), "1.234");
    assert_eq!(seconds(30_000), "30.000");
}
