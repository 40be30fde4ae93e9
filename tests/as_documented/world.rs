//! What the documents' detectors look at.

use serde_json::{Value, json};

use crate::support::Client;
use crate::support::opensearch::bulk;

pub const MINUTE: i64 = 60_000;
/// The host that a document asks about.
pub const HOST: &str = "i-00f28ec1eb8997686";
/// Documents of one request.
const BATCH: usize = 5_000;

/// Documents of an index, from `start` on, one every `every` minutes.
pub struct Series {
    pub index: &'static str,
    /// Epoch milliseconds, on the minute.
    pub start: i64,
    pub minutes: i64,
    pub every: i64,
    pub value: fn(i64) -> f64,
}

/// The load of a server over a day, with a little noise, and two bad minutes every so often.
pub fn load(minute: i64) -> f64 {
    let day = (minute as f64 * std::f64::consts::TAU / 1_440.0).sin();
    let noise = (minute * 7_919).rem_euclid(101) as f64 / 50.0;
    let is_bad = minute % 1_000 > 997;
    50.0 + 10.0 * day + noise + if is_bad { 60.0 } else { 0.0 }
}

/// What a filter `value > 1` leaves little of.
pub fn idle(minute: i64) -> f64 {
    if minute % 400 == 0 { 5.0 } else { 0.0 }
}

impl Series {
    pub fn dense(index: &'static str, start: i64, minutes: i64) -> Self {
        Self {
            index,
            start,
            minutes,
            every: 1,
            value: load,
        }
    }

    pub fn add(&self, client: &Client) {
        if client
            .call("HEAD", &format!("/{}", self.index), &Value::Null)
            .status
            == 404
        {
            let mappings = json!({"mappings": {"properties": {
                "timestamp": {"type": "date"}, "value": {"type": "double"}, "ip": {"type": "ip"},
                "error_type": {"type": "keyword"}, "host": {"type": "keyword"}, "nothing": {"type": "double"}
            }}});
            client.ok("PUT", &format!("/{}", self.index), &mappings);
        }
        let minutes = (0..self.minutes).step_by(usize::try_from(self.every).expect("a step"));
        let lines: Vec<Value> = minutes
            .flat_map(|minute| {
                let document = json!({
                    "timestamp": self.start + minute * MINUTE, "value": (self.value)(minute), "ip": "10.0.0.7",
                    "error_type": "timeout", "host": HOST
                });
                [json!({"index": {"_index": self.index}}), document]
            })
            .collect();
        lines.chunks(BATCH).for_each(|lines| bulk(client, lines));
    }
}
