//! A stand-in for Elasticsearch as a source: it gives definitions and results as the APIs of 7.17, 8 and 9 do, as
//! `tests/fixtures/move` has them, and fails when it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

pub const KEY: &str = "a2V5OnNlY3JldA==";
const WINDOW: usize = 10_000;

pub struct Elasticsearch {
    pub url: String,
    cluster: Arc<Cluster>,
}

/// What shall go wrong, at requests whose path and parameters contain `at`.
pub struct Fault {
    pub at: &'static str,
    /// So many are answered before.
    pub after: usize,
    /// So many fail.
    pub times: usize,
    /// The answer's status; 0 for no answer at all.
    pub status: u16,
}

struct Cluster {
    definitions: Value,
    documents: Vec<Value>,
    faults: Mutex<Vec<Fault>>,
    asked: Mutex<Vec<String>>,
}

impl Elasticsearch {
    /// A cluster of this version, with these documents beside those of its fixture.
    pub fn start(version: &str, more: Vec<Value>) -> Self {
        Self::listen(version, more, None)
    }

    /// One that speaks TLS, with the certificate that `tls/ca.pem` vouches for.
    pub fn start_tls(version: &str) -> Self {
        let certificate =
            CertificateDer::from_pem_file(fixture("tls/server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(fixture("tls/server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a key that fits");
        Self::listen(version, Vec::new(), Some(Arc::new(config)))
    }

    fn listen(version: &str, more: Vec<Value>, tls: Option<Arc<ServerConfig>>) -> Self {
        let text = std::fs::read_to_string(fixture(&format!("{version}.json"))).expect("a fixture");
        let mut definitions: Value = serde_json::from_str(&text).expect("JSON");
        let Value::Array(mut documents) = definitions["documents"].take() else {
            panic!("no documents in the fixture");
        };
        documents.extend(more);
        let cluster = Arc::new(Cluster {
            definitions,
            documents,
            faults: Mutex::default(),
            asked: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let shared = Arc::clone(&cluster);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let cluster = Arc::clone(&shared);
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => cluster.serve(stream),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a connection");
                        cluster.serve(StreamOwned::new(connection, stream));
                    }
                });
            }
        });
        Self { url, cluster }
    }

    pub fn fail(&self, fault: Fault) {
        self.cluster.faults.lock().expect("faults").push(fault);
    }

    /// The requests since this was last asked.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.cluster.asked.lock().expect("a log"))
    }
}

/// The path of a fixture.
pub fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/move/{name}", env!("CARGO_MANIFEST_DIR"))
}

struct Request {
    method: String,
    path: String,
    parameters: Vec<(String, String)>,
    authorization: String,
    body: Value,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "authorization" => authorization = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            method,
            path: path.to_owned(),
            parameters: pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            authorization,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.parameters.iter();
        pairs
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.parameter(name)
            .map(|text| text.parse().expect("a number"))
    }
}

fn error(status: u16, kind: &str, reason: &str) -> (u16, Value) {
    let error =
        json!({"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason});
    (status, json!({"error": error, "status": status}))
}

/// A page of a list that the API gives.
fn page(request: &Request, plural: &str, all: Vec<Value>) -> (u16, Value) {
    let from = request.number("from").unwrap_or(0);
    let size = request.number("size").unwrap_or(100);
    if from + size > WINDOW {
        let reason = format!(
            "Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was [{}]",
            from + size
        );
        return error(400, "illegal_argument_exception", &reason);
    }
    let count = all.len();
    let page: Vec<Value> = all.into_iter().skip(from).take(size).collect();
    (200, json!({"count": count, plural: page}))
}

impl Cluster {
    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = Request::read(&mut stream) {
            let line = format!(
                "{} {} {:?}",
                request.method, request.path, request.parameters
            );
            self.asked.lock().expect("a log").push(line.clone());
            let (status, body) = match self.fault(&line) {
                Some(0) => loop {
                    thread::park();
                },
                Some(status) => error(status, "exception", "told to fail"),
                None => self.answer(&request),
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if stream
                .get_mut()
                .write_all((head + &body).as_bytes())
                .is_err()
            {
                return;
            }
        }
    }

    fn fault(&self, line: &str) -> Option<u16> {
        let mut faults = self.faults.lock().expect("faults");
        let fault = faults
            .iter_mut()
            .find(|fault| line.contains(fault.at) && fault.times > 0)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.status)
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        if request.authorization != format!("ApiKey {KEY}") {
            let reason = "missing authentication credentials for REST request";
            return error(401, "security_exception", reason);
        }
        let list = |name: &str| self.definitions[name].as_array().expect("a list").clone();
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", [""]) => (200, self.definitions["root"].clone()),
            ("GET", ["_ml", "anomaly_detectors"]) => {
                let jobs = list("jobs");
                (200, json!({"count": jobs.len(), "jobs": jobs}))
            }
            ("GET", ["_ml", "datafeeds"]) => {
                let datafeeds = list("datafeeds");
                (
                    200,
                    json!({"count": datafeeds.len(), "datafeeds": datafeeds}),
                )
            }
            ("GET", ["_ml", "filters"]) => page(request, "filters", list("filters")),
            ("GET", ["_ml", "calendars"]) => page(request, "calendars", list("calendars")),
            ("GET", ["_ml", "calendars", id, "events"]) => {
                let mut events = list("events");
                events.retain(|event| event["calendar_id"] == **id);
                page(request, "events", events)
            }
            ("GET", ["_ml", "anomaly_detectors", job, "results", plural]) => {
                self.results(request, job, plural)
            }
            ("GET", ["_ml", "anomaly_detectors", job, "model_snapshots"]) => {
                let snapshots = self.of(job, |document| document.get("snapshot_id").is_some());
                page(request, "model_snapshots", snapshots)
            }
            ("POST", [index, "_pit"]) => {
                assert_eq!(request.parameter("keep_alive"), Some("5m"));
                (200, json!({"id": index}))
            }
            ("POST", [index, "_count"]) => (
                200,
                json!({"count": self.hits(index, &request.body["query"]).len()}),
            ),
            ("POST", ["_search"]) => (200, self.search(&request.body)),
            ("DELETE", ["_pit"]) => (200, json!({"succeeded": true, "num_freed": 1})),
            _ => {
                let reason = format!(
                    "no handler found for uri [{}] and method [{}]",
                    request.path, request.method
                );
                (400, json!({"error": reason, "status": 400}))
            }
        }
    }

    fn of(&self, job: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mine = |document: &&Value| document["job_id"] == job && wanted(document);
        self.documents.iter().filter(mine).cloned().collect()
    }

    fn results(&self, request: &Request, job: &str, plural: &str) -> (u16, Value) {
        let (kind, score) = match plural {
            "buckets" => ("bucket", "anomaly_score"),
            "records" => ("record", "record_score"),
            "influencers" => ("influencer", "influencer_score"),
            "categories" => ("category_definition", ""),
            _ => return error(400, "illegal_argument_exception", plural),
        };
        let number = |name: &str| -> Option<f64> {
            request
                .parameter(name)
                .map(|text| text.parse().expect("a number"))
        };
        let field = |document: &Value, name: &str| document[name].as_f64().unwrap_or(0.0);
        let mut all = self.of(job, |document| {
            document["result_type"] == kind
                && (request.parameter("exclude_interim") != Some("true")
                    || document["is_interim"] != true)
                && number("start").is_none_or(|start| field(document, "timestamp") >= start)
                && number("end").is_none_or(|end| field(document, "timestamp") < end)
                && number(score).is_none_or(|least| field(document, score) >= least)
        });
        if let Some(sort) = request.parameter("sort") {
            all.sort_by(|one, other| field(one, sort).total_cmp(&field(other, sort)));
            if request.parameter("desc") == Some("true") {
                all.reverse();
            }
        }
        page(request, plural, all)
    }

    fn hits(&self, index: &str, query: &Value) -> Vec<Value> {
        let filters = query["bool"]["filter"].as_array().expect("filters");
        let annotations = index.starts_with(".ml-annotations");
        let fits = |document: &Value, filter: &Value| {
            if let Some(term) = filter["term"].as_object() {
                return term.iter().all(|(field, value)| document[field] == *value);
            }
            let range = &filter["range"]["timestamp"];
            let time = document["timestamp"].as_i64();
            range["gte"].as_i64().is_none_or(|from| time >= Some(from))
                && range["lt"].as_i64().is_none_or(|to| time < Some(to))
        };
        let mut hits: Vec<Value> = self
            .documents
            .iter()
            .filter(|document| document.get("annotation").is_some() == annotations)
            .filter(|document| filters.iter().all(|filter| fits(document, filter)))
            .cloned()
            .collect();
        hits.sort_by_key(|document| document["timestamp"].as_i64());
        hits
    }

    fn search(&self, body: &Value) -> Value {
        let index = body["pit"]["id"].as_str().expect("a view");
        let after = body["search_after"][1].as_u64().map_or(0, |last| last + 1);
        let size = body["size"].as_u64().expect("a size");
        let hits: Vec<Value> = (0u64..)
            .zip(self.hits(index, &body["query"]))
            .filter(|(place, _)| (after..after + size).contains(place))
            .map(|(place, document)| {
                json!({"_index": "x", "_id": place.to_string(), "_source": document,
                       "sort": [document["timestamp"], place]})
            })
            .collect();
        json!({"pit_id": index, "took": 1, "timed_out": false, "hits": {"hits": hits}})
    }
}
