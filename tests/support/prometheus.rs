//! A Prometheus that isn't one: what is asked for is made up, and what is written to it is kept.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// What the series `instance` has at a time in seconds, as it is written; None where there is nothing.
pub type Values = fn(instance: &str, at: i64) -> Option<String>;

/// Answers each query with one series, by the time of each value in seconds, without those that aren't numbers: its
/// address.
pub fn prometheus(value: fn(i64) -> f64) -> String {
    serve(move |request| {
        let values = move |_: &str, at: i64| {
            let value = Some(value(at)).filter(|value| !value.is_nan());
            value.map(|value| value.to_string())
        };
        Some(answered(request, &["a"], values))
    })
}

/// Same with several series.
pub fn prometheus_of(instances: &'static [&'static str], values: Values) -> String {
    serve(move |request| Some(answered(request, instances, values)))
}

struct Request {
    path: String,
    body: Vec<u8>,
}

impl Request {
    fn seconds(&self, name: &str) -> Option<i64> {
        let body = String::from_utf8_lossy(&self.body);
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        value.parse::<f64>().ok().map(|seconds| seconds as i64)
    }
}

/// Answers requests for as long as there is an answer: the address.
fn serve(answer: impl Fn(&Request) -> Option<(u16, Value)> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || while one(&stream, &answer).is_some() {});
        }
    });
    url
}

fn one(mut stream: &TcpStream, answer: &impl Fn(&Request) -> Option<(u16, Value)>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length, mut path) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end().to_ascii_lowercase();
        if path.is_empty() {
            path = text;
        } else if let Some(told) = text.strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        } else if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, told) = answer(&Request { path, body })?;
    let told = told.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        told.len()
    );
    stream.write_all((head + &told).as_bytes()).ok()
}

fn answered(
    request: &Request,
    instances: &[&str],
    value: impl Fn(&str, i64) -> Option<String>,
) -> (u16, Value) {
    let data = if request.path.contains("/labels") {
        json!(["instance"])
    } else if request.path.contains("query_range") {
        let seconds = |name: &str| request.seconds(name).expect("a number");
        let (start, end, step) = (seconds("start"), seconds("end"), seconds("step"));
        let times = || (start..=end).step_by(usize::try_from(step).expect("a step"));
        let series = instances.iter().map(|instance| {
            let values = times().filter_map(|at| Some(json!([at, value(instance, at)?])));
            let values: Vec<Value> = values.collect();
            json!({"metric": {"instance": instance}, "values": values})
        });
        let series = series.filter(|series| series["values"] != json!([]));
        json!({"resultType": "matrix", "result": series.collect::<Vec<_>>()})
    } else {
        json!({"resultType": "vector", "result": []})
    };
    (200, json!({"status": "success", "data": data}))
}

/// Labels, and the samples in the order in which they came: milliseconds and values.
pub type Kept = BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>;

/// Takes remote writes, unless it is away.
#[derive(Clone, Default)]
pub struct Receiver {
    pub is_away: Arc<AtomicBool>,
    pub kept: Arc<Mutex<Kept>>,
}

impl Receiver {
    /// Its address.
    pub fn start(&self) -> String {
        let own = self.clone();
        serve(move |request| {
            if own.is_away.load(Ordering::SeqCst) {
                return Some((503, json!("away")));
            }
            let body = snap::raw::Decoder::new().decompress_vec(&request.body);
            let mut kept = own.kept.lock().expect("a lock");
            for (field, series) in fields(&body.expect("snappy")) {
                assert_eq!(field, 1);
                let (mut labels, mut samples) = (BTreeMap::new(), Vec::new());
                for (field, part) in fields(series) {
                    let parts = fields(part);
                    if field == 1 {
                        let text = |n: usize| String::from_utf8(parts[n].1.to_vec()).expect("text");
                        labels.insert(text(0), text(1));
                    } else {
                        let value = parts[0].1.try_into().expect("eight bytes");
                        samples.push((varint(&mut &*parts[1].1) as i64, f64::from_le_bytes(value)));
                    }
                }
                kept.entry(labels).or_default().extend(samples);
            }
            Some((204, json!("")))
        })
    }
}

/// The fields of a message of protobuf: their numbers and bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1,
            1 => 8,
            _ => varint(&mut bytes) as usize,
        };
        let (part, rest) = bytes.split_at(length);
        found.push((tag >> 3, part));
        bytes = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}
