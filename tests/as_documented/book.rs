//! A document with its requests and answers, in their order.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::Value;

use crate::json::{depth, read};
use crate::support::{Client, Reply};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "HEAD"];

/// The text of the document whose file begins with `number`. None where the documents aren't here.
pub fn text(number: &str) -> Option<String> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/seeds");
    let Ok(files) = std::fs::read_dir(&seeds) else {
        println!("skipped: there is no {}", seeds.display());
        return None;
    };
    let mut files = files.map(|file| file.expect("a readable directory").path());
    let is_meant = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(number))
    };
    let file = files.find(is_meant).expect("the document");
    Some(std::fs::read_to_string(file).expect("a readable document"))
}

/// One or more ways to ask, what is sent, and the answers that are shown.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Methods and paths.
    pub lines: Vec<(String, String)>,
    /// Null where nothing is sent.
    pub body: Value,
    pub answers: Vec<Value>,
}

impl Exchange {
    /// Sends it each way, with `body` where that isn't null, and with placeholders of the path filled.
    pub fn send_each(&self, client: &Client, filled: &[(&str, &str)], body: &Value) -> Vec<Reply> {
        let body = match body {
            Value::Null => &self.body,
            body => body,
        };
        let lines = self.lines.iter();
        lines
            .map(|(method, path)| {
                let mut path = format!("/{}", path.trim_start_matches('/'));
                for (placeholder, value) in filled {
                    path = path.replace(placeholder, value);
                }
                assert!(!path.contains(['<', '{']), "{path} has a placeholder left");
                client.call(method, &path, body)
            })
            .collect()
    }

    /// Sends it as it stands, each way, and returns the answer to the last.
    #[track_caller]
    pub fn send(&self, client: &Client, filled: &[(&str, &str)]) -> Reply {
        let mut replies = self.send_each(client, filled, &Value::Null);
        replies.pop().expect("a request")
    }
}

/// What a line asks for.
fn request(line: &str) -> Option<(String, String)> {
    let (method, path) = line.trim().split_once(' ')?;
    let is_path = path.trim_start_matches('/').starts_with('_') && !path.contains(' ');
    (METHODS.contains(&method) && is_path).then(|| (method.to_owned(), path.to_owned()))
}

/// All of a document, in its order.
fn exchanges(text: &str) -> VecDeque<Exchange> {
    let mut found: VecDeque<Exchange> = VecDeque::new();
    let (mut follows, mut is_answer) = (false, false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(asked) = request(line) {
            match found.back_mut().filter(|_| follows) {
                Some(last) => last.lines.push(asked),
                None => found.push_back(Exchange {
                    lines: vec![asked],
                    ..Exchange::default()
                }),
            }
            (follows, is_answer) = (true, false);
            continue;
        }
        follows = false;
        is_answer |= line.to_lowercase().contains("response");
        let Some(last) = found.back_mut().filter(|_| matches!(line, "{" | "{}")) else {
            continue;
        };
        let (mut block, mut open) = (line.to_owned(), depth(line));
        while open > 0 {
            let line = lines.next().expect("the end of a block");
            open += depth(line);
            block.push('\n');
            block.push_str(line);
        }
        match last.body.is_null() && !is_answer {
            true => last.body = read(&block),
            false => last.answers.push(read(&block)),
        }
    }
    found
}

/// A document that is gone through from its first request to its last.
pub struct Book {
    pub text: String,
    left: VecDeque<Exchange>,
}

impl Book {
    pub fn open(number: &str) -> Option<Self> {
        let text = text(number)?;
        let left = exchanges(&text);
        Some(Self { text, left })
    }

    /// The next of its requests, which begins so and shows so many answers.
    #[track_caller]
    pub fn next(&mut self, asked: &str, answers: usize) -> Exchange {
        let next = self.left.pop_front().expect("another request");
        let (method, path) = &next.lines[0];
        assert_eq!(format!("{method} {path}"), asked);
        assert_eq!(next.answers.len(), answers, "answers of {asked}");
        next
    }

    /// That nothing of it is left.
    #[track_caller]
    pub fn close(&self) {
        assert!(self.left.is_empty(), "not sent: {:?}", self.left);
    }

    /// Fields that stand for themselves.
    pub fn fields(&self, name: &str) -> Vec<Value> {
        let begin = format!("\"{name}\":");
        let (mut found, mut lines) = (Vec::new(), self.text.lines());
        while let Some(line) = lines.next() {
            if !line.starts_with(&begin) {
                continue;
            }
            let (mut block, mut open) = (line.to_owned(), depth(line));
            while open > 0 {
                let line = lines.next().expect("the end of a field");
                open += depth(line);
                block.push('\n');
                block.push_str(line);
            }
            found.push(read(&format!("{{\n{block}\n}}"))[name].clone());
        }
        found
    }
}
