//! Documents on their way into a tidewatch server, many a request.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::http::{Failure, Remote, chain};
use super::kind::Kind;
use super::report::Results;

/// What a request holds at most, but for a single larger document.
const BATCH_BYTES: usize = 4 << 20;
const BATCH: usize = 2_000;
/// Different reasons that are told of one kind.
const REASONS: usize = 3;

pub struct Writer<'a> {
    remote: &'a Remote,
    path: String,
    job_id: &'a str,
    kind: Kind,
    lines: Vec<u8>,
    waiting: usize,
    refused: BTreeMap<String, u64>,
    pub done: Results,
}

impl<'a> Writer<'a> {
    pub fn new(remote: &'a Remote, job_id: &'a str, kind: Kind) -> Self {
        Self {
            remote,
            path: match kind {
                Kind::Annotation => "/.ml-annotations-write/_bulk".to_owned(),
                _ => format!("/.ml-anomalies-.write-{job_id}/_bulk"),
            },
            job_id,
            kind,
            lines: Vec::new(),
            waiting: 0,
            refused: BTreeMap::new(),
            done: Results::of(job_id, kind),
        }
    }

    pub fn write(&mut self, mut document: Value) -> Result<(), Failure> {
        self.kind.restore(self.job_id, &mut document);
        let Some(id) = self.kind.id(self.job_id, &document) else {
            self.refuse("it lacks a field that tells it from others".to_owned());
            return Ok(());
        };
        let action = json!({"index": {"_id": id}});
        for line in [action, document] {
            self.lines.extend_from_slice(line.to_string().as_bytes());
            self.lines.push(b'\n');
        }
        self.waiting += 1;
        if self.waiting == BATCH || self.lines.len() >= BATCH_BYTES {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        if self.waiting == 0 {
            return Ok(());
        }
        let answer = match self.remote.send_lines(&self.path, &self.lines) {
            Ok(answer) => answer,
            Err(failure) if failure.is_final() => return Err(failure),
            Err(failure) => {
                for _ in 0..self.waiting {
                    self.refuse(failure.to_string());
                }
                Value::Null
            }
        };
        self.lines.clear();
        self.waiting = 0;
        for item in answer["items"].as_array().into_iter().flatten() {
            let item = &item["index"];
            if !item["error"].is_null() {
                self.refuse(chain(&item["error"]).unwrap_or_else(|| item["error"].to_string()));
            } else if item["result"] == "created" {
                self.done.new += 1;
            } else {
                self.done.again += 1;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, why: String) {
        self.done.not_taken += 1;
        if self.refused.len() < REASONS || self.refused.contains_key(&why) {
            *self.refused.entry(why).or_default() += 1;
        }
    }

    /// Sends what is left, and says what became of all.
    pub fn finish(mut self) -> Result<Results, Failure> {
        self.send()?;
        for (why, count) in self.refused {
            self.done.why.push(format!("{count}: {why}"));
        }
        Ok(self.done)
    }
}
