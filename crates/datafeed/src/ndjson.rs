//! Records from a stream of JSON objects, pushed in pieces of any size.
//!
//! Objects are separated by whitespace or nothing; an array around them, with its commas, is tolerated. Where a
//! record can't be read, the bytes that count as that one bad record are
//! - the object, if it has an end after all (a wrong word or number, bad UTF-8, too deep);
//! - the rest of the line, if it breaks off on the line where it began, or if the line isn't an object at all;
//! - the lines up to the next one that starts with an object, if it breaks off on a later line: a line without its
//!   closing brace takes nothing with it, and a broken object of many lines counts once.
//!
//! All of this depends on the bytes alone, never on how they come in pieces or how batches are cut.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;
use tidewatch_model::record::RecordBatch;

use crate::json::Projector;
use crate::projection::{BatchLimit, MAX_RECORD_BYTES, Projection};
use crate::row;
use crate::scanner::{Scan, Scanner};

/// Bytes that are taken in at a time.
const PIECE: usize = 64 << 10;

/// A push parser in constant memory: what it holds is at most one record and a piece.
#[derive(Debug)]
pub struct NdjsonReader {
    projection: Arc<Projection>,
    limit: BatchLimit,
    projector: Projector,
    buffer: Vec<u8>,
    /// Where in the buffer the bytes begin that aren't used yet.
    at: usize,
    /// There is no line end from `at` to here.
    line_end: usize,
    /// Where the record that was read last stands; in the buffer until it takes more bytes.
    last: Range<usize>,
    /// An array has been opened, and nothing has come since.
    opened: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before the next record.
    Between,
    /// In a record that begins at `at`, of which so many bytes have been scanned.
    Record(Scanner, usize),
    /// In a record that is too long.
    TooLong(Scanner),
    /// In a line that is no record, or a part of a bad one which may go on after it.
    Line { continued: bool },
    /// At the start of a line which may be a part of the bad record before it.
    Continuation,
}

enum Progress {
    Made,
    /// Everything in the buffer that can be used has been.
    NeedsBytes,
}

impl NdjsonReader {
    pub fn new(projection: Arc<Projection>) -> Self {
        Self {
            limit: BatchLimit::default(),
            projector: Projector::new(&projection),
            projection,
            buffer: Vec::new(),
            at: 0,
            line_end: 0,
            last: 0..0,
            opened: false,
            state: State::Between,
        }
    }

    pub fn with_limit(mut self, limit: BatchLimit) -> Self {
        self.limit = limit;
        self
    }

    pub fn projection(&self) -> &Arc<Projection> {
        &self.projection
    }

    /// Takes bytes from the front of `bytes` and adds the records that they complete to the batch. True when the
    /// batch is full: it is to be taken away, and `push` called again with the bytes that are left, if any. False
    /// when all bytes are taken and every record that is complete is in the batch.
    ///
    /// ```text
    /// while reader.push(&mut bytes, &mut batch) {
    ///     send(&mut batch);
    /// }
    /// ```
    pub fn push(&mut self, bytes: &mut &[u8], batch: &mut RecordBatch) -> bool {
        loop {
            if self.work(batch, false) {
                return true;
            }
            if bytes.is_empty() {
                return false;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            self.feed(piece);
            *bytes = rest;
        }
    }

    /// The stream has ended: what is left is a record, without a line end, or a bad one. True when the batch is
    /// full and `finish` is to be called again; after false the reader is ready for another stream.
    pub fn finish(&mut self, batch: &mut RecordBatch) -> bool {
        let full = self.work(batch, true);
        if !full {
            self.state = State::Between;
            self.opened = false;
        }
        full
    }

    /// Uses the bytes in the buffer until the batch is full.
    fn work(&mut self, batch: &mut RecordBatch, at_end: bool) -> bool {
        loop {
            if self.limit.reached(batch) {
                return true;
            }
            if matches!(self.step(batch, at_end), Progress::NeedsBytes) {
                return false;
            }
        }
    }

    fn step(&mut self, batch: &mut RecordBatch, at_end: bool) -> Progress {
        match &self.state {
            State::Between => self.between(batch),
            State::Record(..) => self.record(batch, at_end),
            State::TooLong(_) => self.too_long(batch),
            State::Line { continued } => self.line(batch, *continued),
            State::Continuation => self.continuation(),
        }
    }

    /// Adds bytes, and uses none of them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.line_end -= self.at;
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Goes on until `records` of the batch have been read, good and bad, and the bytes of the last are all used.
    /// False when that takes more bytes.
    pub(crate) fn read_to(&mut self, records: u64, batch: &mut RecordBatch, at_end: bool) -> bool {
        while batch.input.records < records || !self.is_between() {
            if matches!(self.step(batch, at_end), Progress::NeedsBytes) {
                return false;
            }
        }
        true
    }

    /// Whether what comes next is a record of its own.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Bytes that have been taken and not used.
    pub(crate) fn unused(&self) -> usize {
        self.buffer.len() - self.at
    }

    /// The record that was read last, as it was written.
    pub(crate) fn last(&self) -> &[u8] {
        &self.buffer[self.last.clone()]
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn consume(&mut self, count: usize, batch: &mut RecordBatch) {
        self.skip(count);
        batch.input.bytes += count as u64;
    }

    /// Passes over delimiters: each record counts one, whatever there is, so that a stream that was cut between a
    /// record and its line end counts as one that was not.
    fn skip(&mut self, count: usize) {
        self.at += count;
        self.line_end = self.line_end.max(self.at);
    }

    /// How many of the next bytes a test takes, and whether another follows.
    fn run(&self, test: impl Fn(u8) -> bool) -> (usize, bool) {
        let count = self.rest().iter().take_while(|byte| test(**byte)).count();
        (count, count < self.rest().len())
    }

    /// Puts the record that was read into the batch.
    fn deliver(&self, batch: &mut RecordBatch) {
        self.projector.row.deliver(&self.projection, batch);
        batch.input.bytes += 1;
    }

    fn between(&mut self, batch: &mut RecordBatch) -> Progress {
        let (mut count, mut more) = (0, false);
        for &byte in &self.buffer[self.at..] {
            // One array may enclose the records; an array in an array is none of them.
            let nested = byte == b'[' && self.opened;
            if nested || !is_delimiter(byte) {
                more = true;
                break;
            }
            self.opened = byte == b'[' || self.opened && is_blank(byte);
            count += 1;
        }
        self.skip(count);
        if !more {
            return Progress::NeedsBytes;
        }
        self.opened = false;
        if self.buffer[self.at] != b'{' {
            reject(batch);
            self.state = State::Line { continued: false };
            return Progress::Made;
        }
        // Most records are on one line, and are read at once. What isn't there, or isn't right, is scanned.
        let end = self.find_line_end().min(self.at + MAX_RECORD_BYTES);
        match self
            .projector
            .read_start(&self.projection, &self.buffer[self.at..end])
        {
            Some(len) => {
                self.deliver(batch);
                self.last = self.at..self.at + len;
                self.consume(len, batch);
            }
            None => self.state = State::Record(Scanner::new(), 0),
        }
        Progress::Made
    }

    /// The end of the line, or of the buffer.
    fn find_line_end(&mut self) -> usize {
        let rest = &self.buffer[self.line_end..];
        if rest.first() != Some(&b'\n') {
            self.line_end += memchr(b'\n', rest).unwrap_or(rest.len());
        }
        self.line_end
    }

    fn record(&mut self, batch: &mut RecordBatch, at_end: bool) -> Progress {
        let State::Record(scanner, scanned) = &mut self.state else {
            return Progress::Made;
        };
        let from = *scanned;
        let record = &self.buffer[self.at..];
        let record = &record[..record.len().min(MAX_RECORD_BYTES)];
        match scanner.scan(&record[from..]) {
            Scan::Complete(len) => {
                let len = from + len;
                if !scanner.is_too_deep()
                    && self.projector.read_whole(&self.projection, &record[..len])
                {
                    self.deliver(batch);
                } else {
                    reject(batch);
                }
                self.last = self.at..self.at + len;
                self.consume(len, batch);
                self.state = State::Between;
            }
            Scan::Broken(offset) => {
                let offset = from + offset;
                let line = record[..offset].iter().rposition(|byte| *byte == b'\n');
                let next = next_object_line(&record[..=offset]);
                reject(batch);
                let (skipped, state) = match (next, line) {
                    (Some(next), _) => (next, State::Between),
                    (None, Some(line)) => (line + 1, State::Continuation),
                    (None, None) => (offset, State::Line { continued: false }),
                };
                self.consume(skipped, batch);
                self.state = state;
            }
            Scan::Incomplete if record.len() == MAX_RECORD_BYTES || at_end => {
                let (skipped, state) = match next_object_line(record) {
                    Some(next) => (next, State::Between),
                    None => (record.len(), State::TooLong(scanner.clone())),
                };
                reject(batch);
                self.consume(skipped, batch);
                self.state = state;
            }
            Scan::Incomplete => {
                *scanned = record.len();
                return Progress::NeedsBytes;
            }
        }
        Progress::Made
    }

    fn too_long(&mut self, batch: &mut RecordBatch) -> Progress {
        let State::TooLong(scanner) = &mut self.state else {
            return Progress::Made;
        };
        let (skipped, state) = match scanner.scan(&self.buffer[self.at..]) {
            Scan::Complete(len) => (len, State::Between),
            Scan::Broken(offset) if scanner.broke_at_line_start() => (offset, State::Continuation),
            Scan::Broken(offset) => (offset, State::Line { continued: false }),
            Scan::Incomplete => {
                self.consume(self.buffer.len() - self.at, batch);
                return Progress::NeedsBytes;
            }
        };
        self.consume(skipped, batch);
        self.state = state;
        Progress::Made
    }

    fn line(&mut self, batch: &mut RecordBatch, continued: bool) -> Progress {
        let (count, more) = self.run(|byte| byte != b'\n');
        self.consume(count, batch);
        if !more {
            return Progress::NeedsBytes;
        }
        self.skip(1);
        self.state = if continued {
            State::Continuation
        } else {
            State::Between
        };
        Progress::Made
    }

    /// Lines that start with a key or a closing bracket go on with the record that broke off before them.
    fn continuation(&mut self) -> Progress {
        let (count, more) = self.run(is_blank);
        self.skip(count);
        if !more {
            return Progress::NeedsBytes;
        }
        self.state = match self.buffer[self.at] {
            b'"' | b'}' | b']' => State::Line { continued: true },
            _ => State::Between,
        };
        Progress::Made
    }
}

/// Counts a bad record, with its delimiter.
fn reject(batch: &mut RecordBatch) {
    row::reject(batch);
    batch.input.bytes += 1;
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Blanks, what an array has around its elements, and a byte order mark.
fn is_delimiter(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'[' | b']' | b',' | 0xEF | 0xBB | 0xBF)
}

/// Where an object starts a line, after the first line.
fn next_object_line(bytes: &[u8]) -> Option<usize> {
    let mut at = memchr(b'\n', bytes)?;
    loop {
        at += bytes[at..]
            .iter()
            .position(|byte| !is_blank(*byte) && *byte != b',')?;
        if bytes[at] == b'{' {
            return Some(at);
        }
        at += memchr(b'\n', &bytes[at..])?;
    }
}

#[cfg(test)]
mod tests;
