//! Detectors of OpenSearch's dialects for tests: data, definitions, refusals.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Client, Reply, Server};

pub const PLUGINS: &str = "/_plugins/_anomaly_detection/detectors";
pub const DISTRO: &str = "/_opendistro/_anomaly_detection/detectors";
pub const GUARD: &str = "/_anomaly_detection/api/detectors";

pub const BASES: [&str; 3] = [PLUGINS, DISTRO, GUARD];

pub const MINUTE: i64 = 60_000;
/// 2024-01-01, on the minute.
pub const START: i64 = 1_704_067_200_000;

/// Epoch milliseconds.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("a time")
}

pub fn bulk(client: &Client, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let kind = [("content-type", "application/x-ndjson")];
    let reply = client.send("POST", "/_bulk?refresh=true", &kind, Some(lines.as_bytes()));
    assert_eq!(reply.body["errors"], false, "{}", reply.text);
}

/// A log of shops: sums of orders a minute, from `start` on.
pub fn add_orders(client: &Client, index: &str, start: i64, minutes: i64, worst: Option<i64>) {
    let mut lines = Vec::new();
    for minute in 0..minutes {
        for (shop, factor) in [("north", 1), ("south", 3)] {
            let usual = 50 + (minute % 7) * factor;
            let amount = match worst {
                Some(worst) if worst == minute && shop == "north" => 5_000,
                _ => usual,
            };
            lines.push(json!({"index": {"_index": index}}));
            lines.push(json!({
                "at": start + minute * MINUTE + 20_000, "amount": amount, "shop": shop, "city": "here"
            }));
        }
    }
    bulk(client, &lines);
}

pub fn mapped(client: &Client, index: &str) {
    let mappings = json!({"mappings": {"properties": {
        "at": {"type": "date"}, "amount": {"type": "double"}, "shop": {"type": "keyword"},
        "city": {"type": "keyword"}, "note": {"type": "text"}, "never": {"type": "double"}
    }}});
    client.ok("PUT", &format!("/{index}"), &mappings);
}

pub fn server() -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    add_orders(&server, "shops-1", START, 10, None);
    server
}

/// A server whose orders go on until now.
pub fn up_to_now(minutes: i64, worst: Option<i64>) -> Server {
    let server = Server::start(&[]);
    mapped(&server, "shops-1");
    let start = now() - (minutes + 1) * MINUTE;
    let start = start - start.rem_euclid(MINUTE);
    add_orders(&server, "shops-1", start, minutes, worst);
    server
}

pub fn definition(name: &str) -> Value {
    json!({
        "name": name, "description": "orders & more", "time_field": "at", "indices": ["shops*"],
        "feature_attributes": [
            {"feature_name": "revenue", "feature_enabled": true, "aggregation_query": {"revenue_sum": {"sum": {"field": "amount"}}}}
        ],
        "filter_query": {"bool": {"filter": [{"range": {"amount": {"gt": 1}}}]}},
        "detection_interval": {"period": {"interval": 1, "unit": "minutes"}},
        "window_delay": {"period": {"interval": 30, "unit": "Seconds"}}
    })
}

pub fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

pub fn create(client: &Client, base: &str, body: &Value) -> Value {
    let reply = client.call("POST", base, body);
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.body
}

pub fn id(detector: &Value) -> &str {
    detector["_id"].as_str().expect("an id")
}

#[track_caller]
pub fn refused(reply: &Reply, status: u16, kind: &str, reason: &str) {
    let error = json!({"type": kind, "reason": reason});
    let envelope = json!({
        "error": {"root_cause": [error], "type": kind, "reason": reason}, "status": status
    });
    assert_eq!((reply.status, &reply.body), (status, &envelope));
}

/// A text, as it is from OpenSearch 2.15 on, and as it was before.
pub type Words = (&'static str, &'static str);

pub const fn always(words: &'static str) -> Words {
    (words, words)
}

pub fn says(base: &str, (now, before): Words) -> &'static str {
    match base {
        PLUGINS => now,
        _ => before,
    }
}

/// Sends to each dialect what all refuse.
#[track_caller]
pub fn all_refuse(
    client: &Client,
    method: &str,
    rest: &str,
    body: &Value,
    status: u16,
    words: Words,
) {
    for base in BASES {
        let reply = client.call(method, &format!("{base}{rest}"), body);
        refused(&reply, status, "status_exception", says(base, words));
    }
}
