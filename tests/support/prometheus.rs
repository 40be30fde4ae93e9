//! A Prometheus that isn't one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

/// Answers each query with one series, by the time of each value in seconds: its address.
pub fn prometheus(value: fn(i64) -> f64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || while answer(&stream, value).is_some() {});
        }
    });
    url
}

fn answer(mut stream: &TcpStream, value: fn(i64) -> f64) -> Option<()> {
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
    let body = String::from_utf8(body).ok()?;
    let form = |name: &str| {
        let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let seconds = |name: &str| form(name)?.parse::<f64>().ok().map(|s| s as i64);
    let data = if path.contains("/labels") {
        json!(["instance"])
    } else if path.contains("query_range") {
        let (start, end, step) = (seconds("start")?, seconds("end")?, seconds("step")?);
        let values: Vec<Value> = (start..=end)
            .step_by(usize::try_from(step).ok()?)
            .filter(|at| !value(*at).is_nan())
            .map(|at| json!([at, value(at).to_string()]))
            .collect();
        json!({"resultType": "matrix", "result": [{"metric": {"instance": "a"}, "values": values}]})
    } else {
        json!({"resultType": "vector", "result": []})
    };
    let told = json!({"status": "success", "data": data}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        told.len()
    );
    stream.write_all((head + &told).as_bytes()).ok()
}
