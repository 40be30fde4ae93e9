//! Records of CSV and NDJSON, one by one, with their places.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::{Map, Number, Value};
use tidewatch_model::record::RecordBatch;

use super::bytes::Bytes;
use super::layout::Layout;
use super::records::Step;
use crate::csv::{CsvReader, CsvSource};
use crate::ndjson::NdjsonReader;
use crate::projection::Projection;

const PIECE: usize = 64 << 10;

/// The bytes of a file from a place on.
#[derive(Clone)]
pub(super) struct Section {
    bytes: Arc<Mutex<Bytes>>,
    at: u64,
    ended: Arc<AtomicBool>,
}

impl Section {
    pub fn new(bytes: Arc<Mutex<Bytes>>, at: u64) -> Self {
        Self {
            bytes,
            at,
            ended: Arc::default(),
        }
    }
}

impl Read for Section {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.lock().read_at(self.at, into)?;
        self.at += count as u64;
        if count == 0 && !into.is_empty() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(count)
    }
}

pub(super) struct Lines {
    bytes: Arc<Mutex<Bytes>>,
    layout: Layout,
    projection: Arc<Projection>,
    /// There is no more to come: the last line needs no end.
    whole: bool,
    reader: Reader,
    /// Where the next record begins.
    at: u64,
    ended: Arc<AtomicBool>,
}

enum Reader {
    Csv(Box<CsvReader<Section>>),
    Ndjson {
        section: Section,
        reader: Box<NdjsonReader>,
        piece: Vec<u8>,
    },
}

impl Lines {
    pub fn new(
        bytes: Arc<Mutex<Bytes>>,
        layout: Layout,
        projection: Arc<Projection>,
        whole: bool,
    ) -> Self {
        let at = match &layout {
            Layout::Csv { header, .. } => *header,
            _ => 0,
        };
        let (reader, ended) = reader(&bytes, &layout, &projection, at);
        Self {
            bytes,
            layout,
            projection,
            whole,
            reader,
            at,
            ended,
        }
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    /// Goes to where a record begins.
    pub fn seek(&mut self, at: u64) {
        // One that has seen the end doesn't look again.
        if at != self.at || self.ended.load(Ordering::Relaxed) {
            (self.reader, self.ended) = reader(&self.bytes, &self.layout, &self.projection, at);
            self.at = at;
        }
    }

    pub fn next(&mut self, batch: &mut RecordBatch) -> io::Result<Step> {
        let before = batch.input;
        let mark = batch.mark();
        let waits = match &mut self.reader {
            Reader::Csv(reader) => {
                reader.read_one(batch)?;
                let ended = self.ended.load(Ordering::Relaxed);
                let some = batch.input.records > before.records;
                let waits = some && ended && !self.whole;
                if !waits {
                    self.at += (batch.input - before).bytes;
                }
                waits
            }
            Reader::Ndjson {
                section,
                reader,
                piece,
            } => {
                let wanted = before.records + 1;
                let mut waits = false;
                while !reader.read_to(wanted, batch, false) {
                    let count = section.read(piece)?;
                    if count > 0 {
                        reader.feed(&piece[..count]);
                    } else if self.whole {
                        reader.read_to(wanted, batch, true);
                        break;
                    } else {
                        waits = !reader.is_between();
                        break;
                    }
                }
                if !waits {
                    self.at = section.at - reader.unused() as u64;
                }
                waits
            }
        };
        if waits {
            batch.rewind(mark);
            return Ok(Step::Waiting);
        }
        let read = batch.input - before;
        Ok(match (read.records, read.invalid_dates) {
            (0, _) => Step::End,
            (_, 0) => Step::Record,
            _ => Step::Bad,
        })
    }

    /// The record that was read last, as a document.
    pub fn document(&self) -> Map<String, Value> {
        match &self.reader {
            Reader::Csv(reader) => {
                let columns = self.layout.columns().unwrap_or_default();
                let pairs = columns.iter().zip(reader.last());
                pairs
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| (name.clone(), value_of(&String::from_utf8_lossy(value))))
                    .collect()
            }
            Reader::Ndjson { reader, .. } => {
                serde_json::from_slice(reader.last()).unwrap_or_default()
            }
        }
    }
}

/// A number where it is one in JSON.
fn value_of(text: &str) -> Value {
    match text.parse::<Number>() {
        Ok(number) => Value::Number(number),
        Err(_) => text.into(),
    }
}

fn reader(
    bytes: &Arc<Mutex<Bytes>>,
    layout: &Layout,
    projection: &Arc<Projection>,
    at: u64,
) -> (Reader, Arc<AtomicBool>) {
    let section = Section::new(bytes.clone(), at);
    let ended = section.ended.clone();
    let reader = match layout {
        Layout::Csv {
            delimiter, columns, ..
        } => {
            let csv = CsvSource::headless(section, *delimiter, columns.clone());
            Reader::Csv(Box::new(csv.project(projection.clone())))
        }
        _ => Reader::Ndjson {
            section,
            reader: Box::new(NdjsonReader::new(projection.clone())),
            piece: vec![0; PIECE],
        },
    };
    (reader, ended)
}
