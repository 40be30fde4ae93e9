//! A server of a test: answers HTTP as it is told, in the order of the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// What a request said.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its parameters.
    pub path: String,
    pub headers: Vec<String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What it is answered.
pub enum Reply {
    Json(u16, Value),
    /// Half of the answer, and the end of the connection.
    Cut(Value),
    /// The end of the connection.
    Nothing,
}

pub struct StandIn {
    pub url: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    /// Answers one request a connection, until the test's process ends.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let answer = Arc::new(Mutex::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                // A client may open a connection and wait with its request.
                std::thread::spawn(move || serve(stream.unwrap(), &log, &*answer));
            }
        });
        Self { url, seen }
    }

    /// Method and path, without parameters, of every request.
    pub fn paths(&self) -> Vec<String> {
        let seen = self.seen.lock();
        let path = |request: &Request| {
            let path = request.path.split('?').next().unwrap_or_default();
            format!("{} {path}", request.method)
        };
        seen.iter().map(path).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &Mutex<impl Fn(&Request) -> Reply>,
) {
    let Some(request) = read(&stream) else { return };
    let reply = {
        let answer = answer.lock();
        log.lock().push(request.clone());
        answer(&request)
    };
    let (status, body, cut) = match reply {
        Reply::Json(status, body) => (status, body.to_string(), false),
        Reply::Cut(body) => (200, body.to_string(), true),
        Reply::Nothing => return,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let sent = if cut { &body[..body.len() / 2] } else { &body };
    // A client that went away is no matter of the server's.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(sent.as_bytes());
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
        headers.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
