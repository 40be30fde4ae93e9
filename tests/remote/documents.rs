//! Documents of four hosts, with one that is slow for a while, and one moment that has more than a page can hold.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::traffic::{Rng, START};

pub const START_MS: i64 = START as i64 * 1000;
pub const BUCKET_MS: i64 = 900_000;
const BUCKETS: i64 = 300;
pub const END: i64 = START_MS + BUCKETS * BUCKET_MS;
/// A search gives 10,000 documents at most.
const CROWD: usize = 10_500;

struct Document {
    time: i64,
    host: usize,
    note: usize,
    /// An eighth is the smallest part: sums are exact in whatever order.
    value: f64,
}

pub struct Documents {
    documents: Vec<Document>,
    /// The bucket in which a host is slow.
    pub anomaly: i64,
}

impl Documents {
    pub fn generate(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut documents = Vec::new();
        for bucket in 0..BUCKETS {
            for at in 0..5 {
                for host in 0..4 {
                    let crowd = if (bucket, at, host) == (120, 3, 1) {
                        CROWD
                    } else {
                        1
                    };
                    for _ in 0..crowd {
                        let normal = 20.0 + (rng.unit() * 40.0).round() / 8.0;
                        let is_slow = (bucket, host) == (250, 2);
                        documents.push(Document {
                            time: START_MS + bucket * BUCKET_MS + at * 180_000,
                            host,
                            note: rng.below(3),
                            value: if is_slow { normal * 8.0 } else { normal },
                        });
                    }
                }
            }
        }
        Self {
            documents,
            anomaly: START_MS + 250 * BUCKET_MS,
        }
    }

    pub fn first(&self) -> Value {
        self.documents[0].json()
    }

    /// As records to be sent.
    pub fn lines(&self) -> Vec<u8> {
        let mut lines = String::new();
        for document in &self.documents {
            let _ = writeln!(lines, "{}", document.json());
        }
        lines.into_bytes()
    }

    /// One record for each host in each interval of so many milliseconds.
    pub fn averages(&self, interval: i64) -> Vec<u8> {
        let mut sums: BTreeMap<(i64, usize), (f64, u64)> = BTreeMap::new();
        let mut latest: BTreeMap<i64, i64> = BTreeMap::new();
        for document in &self.documents {
            let at = document.time.div_euclid(interval);
            let sum = sums.entry((at, document.host)).or_default();
            *sum = (sum.0 + document.value, sum.1 + 1);
            latest.insert(at, document.time);
        }
        let mut lines = String::new();
        for ((at, host), (sum, count)) in sums {
            let record = json!({"time": latest[&at], "host": format!("host-{host}"),
                "value": sum / count as f64, "doc_count": count});
            let _ = writeln!(lines, "{record}");
        }
        lines.into_bytes()
    }

    /// Writes them to a cluster, into two indices of several shards, in an order that isn't theirs.
    pub fn index(&self, url: &str, name: &str) {
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let mapping = json!({
            "settings": {"index": {"number_of_shards": 3, "number_of_replicas": 0}},
            "mappings": {"properties": {
                "time": {"type": "date"}, "host": {"type": "keyword"}, "value": {"type": "double"},
                "note": {"type": "text"}
            }}
        });
        for part in 0..2 {
            let sent = agent
                .put(format!("{url}/{name}-{part}"))
                .content_type("application/json")
                .send(mapping.to_string());
            sent.expect("an index");
        }
        let step = 7_919;
        let count = self.documents.len();
        assert_ne!(count % step, 0);
        let order: Vec<_> = (0..count)
            .map(|at| &self.documents[at * step % count])
            .collect();
        for some in order.chunks(5_000) {
            let mut lines = String::new();
            for document in some {
                let part = document.note % 2;
                let _ = writeln!(lines, "{{\"index\":{{\"_index\":\"{name}-{part}\"}}}}");
                let _ = writeln!(lines, "{}", document.json());
            }
            let mut answer = agent
                .post(format!("{url}/_bulk?refresh=true"))
                .content_type("application/x-ndjson")
                .send(lines)
                .expect("an answer");
            let body = answer
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_string();
            let body: Value = serde_json::from_str(&body.expect("a body")).expect("JSON");
            assert_eq!(body["errors"], false);
        }
    }
}

impl Document {
    fn json(&self) -> Value {
        json!({"time": self.time, "host": format!("host-{}", self.host),
            "note": format!("note-{}", self.note), "value": self.value})
    }
}
