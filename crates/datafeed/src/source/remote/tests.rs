//! Documents of a cluster that isn't one: every server's way of reading, and what can go wrong on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidewatch_model::record::Schema;
use tidewatch_model::time_format::TimeFormat;

use super::*;
use crate::config::IndicesOptions;
use crate::projection::Projection;
use crate::source::settings::{Endpoint, Urls};
use crate::source::standin::{Reply, Request, StandIn};

const ALL: Window = Window {
    start: 0,
    end: 100_000,
};

fn wanted(page_size: usize) -> Wanted {
    let mut schema = Schema::default();
    schema.column("host", false, true);
    schema.column("load.mean", true, false);
    schema.column("message", false, true);
    Wanted {
        datafeed_id: "d".to_owned(),
        indices: vec!["web-*".to_owned()],
        query: json!({"match_all": {}}).as_object().cloned().unwrap(),
        aggregations: None,
        runtime_mappings: Map::new(),
        script_fields: Map::new(),
        indices_options: IndicesOptions::default(),
        histogram: None,
        page_size,
        projection: Arc::new(Projection::new(schema, "time", TimeFormat::EpochMs)),
        written_time: TimeFormat::EpochMs,
        bucket_span: 60_000,
        summary_is_doc_count: false,
    }
}

fn remote(url: &str, page_size: usize) -> Remote {
    let endpoint = Endpoint {
        url: Urls(vec![url.to_owned()]),
        ..Endpoint::default()
    };
    Remote::new(Arc::new(Server::new(&endpoint).unwrap()), wanted(page_size))
}

/// A cluster of 60 documents, of which up to 12 have the same time.
struct Cluster {
    opensearch: bool,
    number: &'static str,
    /// Time and number, in the order in which the cluster would give those of the same time.
    documents: Vec<(i64, usize)>,
    /// What is kept, and how many documents have been given of it where that counts.
    kept: BTreeMap<String, (i64, usize)>,
    opened: usize,
    /// What the searches are answered instead, by their number.
    faults: BTreeMap<usize, Fault>,
    searches: usize,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Lost,
    Busy,
    Cut,
    Silent,
    Partial,
    TimedOut,
    Skipped,
}

const FAULTS: [Fault; 7] = [
    Fault::Lost,
    Fault::Busy,
    Fault::Cut,
    Fault::Silent,
    Fault::Partial,
    Fault::TimedOut,
    Fault::Skipped,
];

impl Cluster {
    fn new(opensearch: bool, number: &'static str, order: usize) -> Self {
        let mut documents: Vec<(i64, usize)> = (0..60)
            .map(|n: usize| (100 + (n * n % 17) as i64 / 2, n))
            .collect();
        documents.sort_by_key(|(time, n)| (*time, n * order % 61));
        Self {
            opensearch,
            number,
            documents,
            kept: BTreeMap::new(),
            opened: 0,
            faults: BTreeMap::new(),
            searches: 0,
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let body = request.json();
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "/") => {
                let mut version = json!({"number": self.number});
                if self.opensearch {
                    version["distribution"] = "opensearch".into();
                }
                Reply::Json(200, json!({"version": version}))
            }
            ("GET", "/web-*/_field_caps") => {
                let column = |kind: &str| json!({kind: {"type": kind, "aggregatable": true}});
                Reply::Json(
                    200,
                    json!({"indices": ["web-1"], "fields": {
                    "time": column("date"), "host": column("keyword"), "load": {"object": {"aggregatable": false}},
                    "load.mean": column("double"), "message": {"text": {"type": "text", "aggregatable": false}}}}),
                )
            }
            ("POST", "/web-*/_pit") if !self.opensearch => {
                let id = self.keep(0);
                Reply::Json(200, json!({"id": id}))
            }
            ("POST", "/web-*/_search/point_in_time") if self.opensearch => {
                let id = self.keep(0);
                Reply::Json(200, json!({"pit_id": id}))
            }
            ("DELETE", _) => {
                let id = match &body {
                    body if body["id"].is_string() => body["id"].as_str(),
                    body if body["pit_id"].is_array() => body["pit_id"][0].as_str(),
                    body => body["scroll_id"][0].as_str(),
                };
                let known = id.is_some_and(|id| self.kept.remove(id).is_some());
                Reply::Json(if known { 200 } else { 404 }, json!({}))
            }
            ("POST", "/_search" | "/_search/scroll" | "/web-*/_search") => {
                self.searches += 1;
                let fault = self.faults.remove(&self.searches);
                let answer = self.search(path, &body);
                self.spoil(fault, answer)
            }
            _ => Reply::Json(500, json!({"error": request.path})),
        }
    }

    fn keep(&mut self, start: i64) -> String {
        self.opened += 1;
        let id = format!("kept-{}", self.opened);
        self.kept.insert(id.clone(), (start, 0));
        id
    }

    fn search(&mut self, path: &str, body: &Value) -> Option<Value> {
        let scroll = match path {
            "/_search/scroll" => Some(body["scroll_id"].as_str()?.to_owned()),
            "/_search" => None,
            _ => {
                let range = &body["query"]["bool"]["filter"][1]["range"]["time"];
                let id = self.keep(range["gte"].as_i64()?);
                self.kept.get_mut(&id)?.1 = 0;
                // How many documents a page has is said once.
                self.kept
                    .insert(format!("{id}-size"), (body["size"].as_i64()?, 0));
                Some(id)
            }
        };
        if let Some(id) = scroll {
            let size = self.kept.get(&format!("{id}-size"))?.0 as usize;
            let (start, given) = *self.kept.get(&id)?;
            let rest = self.documents.iter().enumerate();
            let rest = rest.filter(|(_, (time, _))| *time >= start);
            let hits: Vec<_> = rest
                .skip(given)
                .take(size)
                .map(|(at, document)| hit(at, *document))
                .collect();
            self.kept.get_mut(&id)?.1 += hits.len();
            return Some(json!({"_scroll_id": id, "hits": {"hits": hits}}));
        }
        let pit = body["pit"]["id"].as_str()?;
        self.kept.get(pit)?;
        let range = &body["query"]["bool"]["filter"][1]["range"]["time"];
        let start = range["gte"].as_i64()?;
        let exact = body["sort"][1]["_shard_doc"] == "asc";
        assert_eq!(body["sort"][0]["time"]["order"], "asc");
        let after = &body["search_after"];
        let is_next = |at: usize, time: i64| match (after[0].as_i64(), after[1].as_u64()) {
            (Some(last), Some(place)) if exact => (time, at as u64) > (last, place),
            (Some(last), _) => time > last,
            _ => true,
        };
        let hits: Vec<_> = self
            .documents
            .iter()
            .enumerate()
            .filter(|(at, (time, _))| *time >= start && is_next(*at, *time))
            .take(body["size"].as_u64()? as usize)
            .map(|(at, document)| hit(at, *document))
            .collect();
        Some(json!({"pit_id": pit, "hits": {"hits": hits}}))
    }

    fn spoil(&mut self, fault: Option<Fault>, answer: Option<Value>) -> Reply {
        let lost = json!({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed",
            "root_cause": [{"type": "search_context_missing_exception", "reason": "No search context found for id [7]"}]},
            "status": 404});
        let Some(mut answer) = answer else {
            return Reply::Json(404, lost);
        };
        match fault {
            None => {}
            Some(Fault::Lost) => {
                self.kept.clear();
                return Reply::Json(404, lost);
            }
            Some(Fault::Busy) => {
                let error =
                    json!({"type": "es_rejected_execution_exception", "reason": "queue is full"});
                return Reply::Json(429, json!({"error": error, "status": 429}));
            }
            Some(Fault::Cut) => return Reply::Cut(answer),
            Some(Fault::Silent) => return Reply::Nothing,
            Some(Fault::TimedOut) => answer["timed_out"] = true.into(),
            Some(Fault::Skipped) => {
                answer["_clusters"] = json!({"total": 2, "successful": 1, "skipped": 1})
            }
            Some(Fault::Partial) => {
                answer["_shards"] = json!({"total": 3, "successful": 2, "failed": 1,
                    "failures": [{"reason": {"type": "x", "reason": "disk is gone"}}]});
            }
        }
        Reply::Json(200, answer)
    }
}

fn hit(at: usize, (time, number): (i64, usize)) -> Value {
    json!({
        "_index": "web-1", "_score": null,
        "fields": {"time": [time.to_string()], "host": [format!("h{}", number % 5)], "load.mean": [number as f64 / 2.0]},
        "_source": {"message": format!("it is {number}")},
        "sort": [time, at]
    })
}

/// The records of a window, asked for again where something went wrong, and what did.
async fn read(remote: &Remote, window: Window) -> (Vec<String>, Vec<SourceError>) {
    let (mut records, mut errors) = (Vec::new(), Vec::new());
    let mut next = window.start;
    let mut pages = None;
    while errors.len() < 10 {
        let reader = match &mut pages {
            Some(reader) => reader,
            None => {
                let rest = Window {
                    start: next,
                    ..window
                };
                pages.insert(remote.read(rest).await.unwrap())
            }
        };
        match reader.next().await {
            Ok(None) => return (records, errors),
            Ok(Some(page)) => {
                for record in page.batch.records() {
                    assert!(
                        (next..page.until).contains(&record.time),
                        "{next} {}",
                        page.until
                    );
                    records.push(format!(
                        "{} {:?} {:?} {:?}",
                        record.time,
                        record.text(0),
                        record.number(1),
                        record.text(2)
                    ));
                }
                next = page.until;
            }
            Err(error) => {
                // Half of the times the same reader goes on, and half of the times a new one.
                if errors.len() % 2 == 1 {
                    pages = None;
                }
                errors.push(error);
            }
        }
    }
    panic!("no end of errors: {errors:?}");
}

fn expected() -> Vec<String> {
    let mut documents = Cluster::new(false, "7.17.0", 1).documents;
    documents.sort_by(|(a_time, a), (b_time, b)| {
        a_time
            .cmp(b_time)
            .then((a % 5).cmp(&(b % 5)))
            .then(a.cmp(b))
    });
    let line = |(time, n): &(i64, usize)| {
        let host = format!("h{}", n % 5);
        let message = format!("it is {n}");
        format!(
            "{time} {:?} {:?} {:?}",
            Some(host),
            Some(*n as f64 / 2.0),
            Some(message)
        )
    };
    documents.iter().map(line).collect()
}

const SERVERS: [(bool, &str); 4] = [
    (false, "9.1.0"),
    (true, "2.19.2"),
    (true, "3.3.0"),
    (false, "7.9.3"),
];

fn serve(cluster: Cluster) -> (StandIn, Arc<Mutex<Cluster>>) {
    let cluster = Arc::new(Mutex::new(cluster));
    let shared = cluster.clone();
    (
        StandIn::start(move |request| shared.lock().answer(request)),
        cluster,
    )
}

#[tokio::test]
async fn every_document_comes_once_in_one_order_whatever_the_server_and_the_page() {
    for (opensearch, number) in SERVERS {
        for (order, page_size) in [(1, 1), (7, 2), (13, 5), (29, 12), (31, 60), (40, 1000)] {
            let (server, cluster) = serve(Cluster::new(opensearch, number, order));
            let (records, errors) = read(&remote(&server.url, page_size), ALL).await;
            assert_eq!(errors, []);
            assert_eq!(records, expected(), "{number} by {page_size}");
            let deadline = Instant::now() + Duration::from_secs(60);
            while Instant::now() < deadline {
                if cluster.lock().kept.keys().all(|id| id.ends_with("size")) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let kept = cluster.lock().kept.clone();
            assert!(
                kept.keys().all(|id| id.ends_with("size")),
                "given back: {kept:?}"
            );
        }
    }
}

#[tokio::test]
async fn whatever_goes_wrong_costs_no_document() {
    for (opensearch, number) in SERVERS {
        for (at, fault) in FAULTS.into_iter().enumerate() {
            let mut cluster = Cluster::new(opensearch, number, 7 + at);
            for search in [1 + at % 2, 4, 5] {
                cluster.faults.insert(search, fault);
            }
            let (server, _) = serve(cluster);
            let (records, errors) = read(&remote(&server.url, 7), ALL).await;
            assert_eq!(records, expected(), "{number} {fault:?}");
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert!(
                errors
                    .iter()
                    .all(|e| matches!(e, SourceError::Unavailable(_))),
                "{told:?}"
            );
            let says = match fault {
                // It is begun again without a word.
                Fault::Lost => {
                    assert_eq!(told, [""; 0]);
                    continue;
                }
                Fault::Busy => "queue is full (429)",
                Fault::Cut | Fault::Silent => &server.url,
                Fault::Partial => "[1] shards out of [3] failed: disk is gone",
                Fault::TimedOut => "timed out",
                Fault::Skipped => {
                    "[1] remote clusters out of [2] were skipped when performing datafeed search"
                }
            };
            assert!(
                !told.is_empty() && told.iter().all(|told| told.contains(says)),
                "{told:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_preview_shows_documents_as_a_client_would_send_them() {
    let (server, _) = serve(Cluster::new(false, "7.9.3", 1));
    let shown = remote(&server.url, 7).preview(ALL, 2).await.unwrap();
    let first = json!({"time": 100, "host": "h0", "load.mean": 0.0, "message": "it is 0"});
    assert_eq!((json!(shown[0]), shown.len()), (first, 2));
    let seen = server.seen.lock();
    let search = seen
        .iter()
        .find(|request| request.path.contains("_search"))
        .unwrap();
    assert_eq!(
        search.json()["docvalue_fields"],
        json!([{"field": "time", "format": "epoch_millis"}, {"field": "host"}, {"field": "load.mean"}])
    );
    assert_eq!(search.json()["_source"], json!(["message"]));
    assert!(search.path.contains("allow_partial_search_results=false"));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_before_anything_is() {
    let caps = Arc::new(Mutex::new((200, json!({}))));
    let answer = caps.clone();
    let server = StandIn::start(move |request| match request.path.as_str() {
        "/" => Reply::Json(200, json!({"version": {"number": "7.10.0"}})),
        _ => {
            let (status, body) = answer.lock().clone();
            Reply::Json(status, body)
        }
    });
    let check = async |status: u16, body: Value, wanted: Wanted| {
        *caps.lock() = (status, body);
        let remote = Remote::new(remote(&server.url, 1).0.server.clone(), wanted);
        match remote.check().await.unwrap_err() {
            SourceError::Refused { status, reason, .. } => (status, reason),
            SourceError::Unavailable(reason) => (0, reason),
        }
    };
    let date = json!({"date": {"aggregatable": true}});
    let number = json!({"double": {"aggregatable": true}});
    let missing = json!({"error": {"type": "index_not_found_exception", "reason": "no such index [utopia]",
        "root_cause": [{"type": "index_not_found_exception", "index": "utopia"}]}, "status": 404});
    for (status, body, told) in [
        (
            404,
            missing,
            (
                404,
                "datafeed [d] cannot retrieve data because index [utopia] does not exist",
            ),
        ),
        (
            200,
            json!({"indices": [], "fields": {}}),
            (
                400,
                "datafeed [d] cannot retrieve data because no index matches datafeed's indices [web-*]",
            ),
        ),
        (
            200,
            json!({"indices": ["a"], "fields": {"time": date, "load.mean": number, "message": number}}),
            (
                400,
                "[d] cannot retrieve field [host] because it has no mappings",
            ),
        ),
        (
            200,
            json!({"indices": ["a"], "fields": {"time": {"text": {"aggregatable": false}}}}),
            (
                400,
                "[d] cannot retrieve time field [time] because it is not aggregatable",
            ),
        ),
        (
            200,
            json!({"indices": ["a"], "fields": {"time": date, "host": {"aggregate_metric_double": {"aggregatable": true}}}}),
            (
                400,
                "[d] field [host] is of type [aggregate_metric_double] and cannot be used in a datafeed without aggregations",
            ),
        ),
        (
            503,
            json!({"error": {"type": "x", "reason": "no master"}}),
            (0, "no master (503)"),
        ),
    ] {
        let outcome = check(status, body, wanted(1)).await;
        assert_eq!(outcome, (told.0, told.1.to_owned()));
    }
    let mut runtime = wanted(1);
    runtime.runtime_mappings = json!({"host": {"type": "keyword"}})
        .as_object()
        .cloned()
        .unwrap();
    let outcome = check(200, json!({}), runtime).await;
    assert_eq!(
        outcome,
        (
            400,
            "[runtime_mappings] are not known to Elasticsearch 7.10.0".to_owned()
        )
    );
}

#[tokio::test]
async fn a_node_that_is_away_is_passed_over_and_one_that_heard_is_not_asked_twice() {
    let (server, _) = serve(Cluster::new(false, "9.1.0", 1));
    // Nobody listens there.
    let away = "http://127.0.0.1:1";
    let endpoint = |urls: &[&str]| Endpoint {
        url: Urls(urls.iter().map(|url| url.to_string()).collect()),
        ..Endpoint::default()
    };
    let nodes = Server::new(&endpoint(&[away, &server.url])).unwrap();
    let (records, _) = read(&Remote::new(Arc::new(nodes), wanted(1000)), ALL).await;
    assert_eq!(records, expected());
    let asked = server.paths();
    let expected = [
        "GET /",
        "GET /web-*/_field_caps",
        "POST /web-*/_pit",
        "POST /_search",
    ];
    let sorted = |mut paths: Vec<String>| {
        paths.retain(|path| !path.starts_with("DELETE"));
        paths.sort();
        paths
    };
    assert_eq!(sorted(asked), sorted(expected.map(str::to_owned).to_vec()));
    let nobody = Server::new(&endpoint(&[away])).unwrap();
    let error = Remote::new(Arc::new(nobody), wanted(1))
        .check()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SourceError::Unavailable(reason) if reason.contains(away)),
        "{error}"
    );
}
