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
            self.buffer.drain(..self.at);
            self.line_end -= self.at;
            self.at = 0;
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            self.buffer.extend_from_slice(piece);
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
            let progress = match &self.state {
                State::Between => self.between(batch),
                State::Record(..) => self.record(batch, at_end),
                State::TooLong(_) => self.too_long(batch),
                State::Line { continued } => self.line(batch, *continued),
                State::Continuation => self.continuation(),
            };
            if matches!(progress, Progress::NeedsBytes) {
                return false;
            }
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::projection::tests::{Read, projection};

    fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: BatchLimit) -> Read {
        let projection = Arc::new(projection());
        let mut reader = NdjsonReader::new(projection.clone()).with_limit(limit);
        let (mut batch, mut read) = (projection.batch(), Read::default());
        for mut piece in pieces {
            while reader.push(&mut piece, &mut batch) {
                read.take(&mut batch, 4);
            }
            assert!(piece.is_empty() && !limit.reached(&batch));
        }
        while reader.finish(&mut batch) {
            read.take(&mut batch, 4);
        }
        read.take(&mut batch, 4);
        read
    }

    /// Reads it whole, and checks that pieces and batches of any size give the same.
    fn read(text: impl AsRef<[u8]>) -> Read {
        let bytes = text.as_ref();
        let whole = read_pieces([bytes], BatchLimit::default());
        assert!(whole.input.bytes <= bytes.len() as u64 + whole.input.records);
        let sizes: &[usize] = if bytes.len() < 10_000 {
            &[1, 2, 3, 7]
        } else {
            &[1_000, 65_537, 1 << 20]
        };
        for size in sizes {
            let limit = BatchLimit {
                records: *size,
                weight: 300,
            };
            assert_eq!(
                read_pieces(bytes.chunks(*size), limit),
                whole,
                "pieces of {size}"
            );
        }
        whole
    }

    #[test]
    fn fields_are_projected() {
        let read = read(
            r#"{"t":1,"n":2.5,"s":"web","b":"7","o":{"p":"x","q":{"r":1}},"z":[1,2]}
               {"t":"2","n":"-1e3","s":12,"b":[3],"o.p":true}
               {"t":3.0,"n":true,"s":0.1,"b":["a",null,2,""],"o":{"p":null}}
               {"t":[4],"n":null,"s":"","b":[1,2],"o":{"p":{"x":1}}}
               {"t":5,"n":[],"s":[[1]],"b":[{"a":1}],"o":[{"p":1}]}
               {"t":6,"n":"NaN","s":18446744073709551615,"b":" 1 ","o":{"p":1e21}}"#,
        );
        assert_eq!(
            read.records,
            [
                "1 2.5/- -/web 7/7 -/x",
                "2 -1000/- -/12 3/3 -/true",
                "3 -/- -/0.1 -/a,2 -/-",
                "4 -/- -/- -/1,2 -/-",
                "5 -/- -/- -/- -/-",
                "6 -/- -/18446744073709551615 1/ 1  -/1000000000000000000000",
            ]
        );
        let missing = [0, 0, 3, 4, 4, 1].iter().sum();
        assert_eq!(read.counts(), (6, 0, 6 + 4 + 4 + 4 + 4 + 4, missing));
    }

    #[test]
    fn the_last_of_a_repeated_field_wins() {
        let read = read(
            r#"{"t":1,"n":1,"n":2,"s":"a","s":"b","b":1,"b":null,"t":9}
               {"t":1,"s":["a","b"],"s":["c","d"],"n":1,"n":"x"}
               {"t":1,"t":"x"}"#,
        );
        assert_eq!(read.records, ["9 2/- -/b -/- -/-", "1 -/- -/c,d -/- -/-"]);
        assert_eq!(read.counts(), (3, 1, 7 + 4 + 1, 2 + 3 + 4));
    }

    #[test]
    fn a_time_that_is_no_time_is_a_bad_record_with_its_fields() {
        let read = read(
            "{\"n\":1}{\"t\":\"x\",\"n\":1}{\"t\":true}{\"t\":[1,2]}{\"t\":{\"a\":1}}{}{\"t\":1e999}",
        );
        assert_eq!(read.counts(), (7, 7, 3, 3 + 3 + 4 * 5));
    }

    #[test]
    fn numbers_that_are_too_big_are_missing_and_the_record_counts() {
        let read = read(
            "{\"t\":1,\"n\":1e999,\"s\":\"1e999\",\"b\":-1E+9999,\"o.p\":[1e999,2]}\n{\"t\":2,\"n\":1}",
        );
        assert_eq!(read.records, ["1 -/- -/1e999 -/- -/2", "2 1/- -/- -/- -/-"]);
        assert_eq!(read.counts(), (2, 0, 5, 2 + 3));
        let digits = format!("{{\"t\":1,\"n\":{}}}", "9".repeat(400));
        assert_eq!(super::tests::read(digits).records, ["1 -/- -/- -/- -/-"]);
    }

    #[test]
    fn objects_are_found_however_they_are_separated() {
        for text in [
            "{\"t\":1}\n{\"t\":2}\n{\"t\":3}\n",
            "{\"t\":1}{\"t\":2} {\"t\":3}",
            "\u{feff}[{\"t\":1},{\"t\":2},\r\n{\"t\":3}]\n",
            "[\n{\n  \"t\":\n  1\n},\n{\"t\":2}\n, {\n\"t\":3,\"x\":{\n\"y\":[\n{\"t\":4},\n{\"t\":5}\n]}}]",
        ] {
            let read = read(text);
            assert_eq!(read.counts().1, 0, "{text}");
            assert_eq!(
                read.records,
                [1, 2, 3].map(|time| format!("{time} -/- -/- -/- -/-")),
                "{text}"
            );
        }
        for text in ["", " \n\n", "[]", "[\n]\n"] {
            assert_eq!(read(text).counts(), (0, 0, 0, 0));
        }
    }

    #[test]
    fn bad_lines_leave_the_good_ones_beside_them() {
        for (bad, count) in [
            ("{\"a\":1", 1),
            ("{\"a\":", 1),
            ("{\"a", 1),
            ("{", 1),
            ("{\"a\":\"x\\", 1),
            ("{\"a\":[1,", 1),
            ("{\"a\":tru}", 1),
            ("{\"a\":1,}", 1),
            ("{\"a\":\"\\ud800\"}", 1),
            ("{\"a\":01}", 1),
            ("{a:1}", 1),
            ("}", 1),
            ("hello", 1),
            ("\"x\"", 1),
            ("12 {\"t\":7}", 1),
            ("null", 1),
            ("{\"a\":1\n{\"b\":2", 2),
            ("hello\nworld", 2),
            ("{\n\"a\":1\n\"b\":{\n}\n}", 1),
            ("{\"a\":1\nhello", 2),
        ] {
            let read = read(format!("{{\"t\":1}}\n{bad}\n{{\"t\":2}}\r\n\n{{\"t\":3}}"));
            let bad = format!("{bad:?}");
            assert_eq!(
                read.records,
                [1, 2, 3].map(|time| format!("{time} -/- -/- -/- -/-")),
                "{bad}"
            );
            assert_eq!(
                (read.counts().0, read.counts().1),
                (3 + count, count),
                "{bad}"
            );
        }
        assert_eq!(
            read(b"{\"t\":1,\"x\":\"\xff\"}{\"t\":2}").counts(),
            (2, 1, 0, 4)
        );
        assert_eq!(
            read(b"{\"t\":1}\n\xff\xfe\n{\"t\":2}").counts(),
            (3, 1, 0, 8)
        );
        assert_eq!(read("{\"t\":1}\n{\"t\":2").counts(), (2, 1, 0, 4));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| {
            format!(
                "{{\"t\":1,\"x\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        let read = read(format!(
            "{}{}{}{{\"t\":2}}",
            nested(32),
            nested(33),
            nested(128)
        ));
        assert_eq!((read.records.len(), read.counts().1), (2, 2));
        let objects = |depth: usize| {
            format!(
                "{}{}",
                "{\"x\":".repeat(depth - 1) + "{\"t\":1",
                "}".repeat(depth)
            )
        };
        let read = super::tests::read(format!(
            "{}\n{}\n{{\"t\":2}}",
            objects(1_000),
            "[".repeat(100_000)
        ));
        assert_eq!((read.records.len(), read.counts().1), (1, 2));
    }

    #[test]
    fn length_is_limited() {
        let record = |len: usize| format!("{{\"t\":1,\"s\":\"{}\"}}", "x".repeat(len - 14));
        let good = record(MAX_RECORD_BYTES);
        assert_eq!(good.len(), MAX_RECORD_BYTES);
        let long = record(MAX_RECORD_BYTES + 1);
        let cut = &record(3 * MAX_RECORD_BYTES)[..2 * MAX_RECORD_BYTES];
        let list = format!("{{\"a\":[{}1", "1,\n".repeat(MAX_RECORD_BYTES));
        let read = read(format!(
            "{good}\n{long}{long}\n{good}\n{cut}\n{list}\n{{\"t\":2}}\n{{\"t\":3}}\n{cut}"
        ));
        assert_eq!((read.records.len(), read.counts().1), (4, 5));
    }

    #[test]
    fn an_object_that_swallows_a_megabyte_of_lines_gives_them_back() {
        let lines = "{\"t\":1,\"s\":\"some text\"},\n".repeat(50_000);
        let read = read(format!("[\n{{\"a\":[\n{lines}"));
        assert_eq!((read.records.len(), read.counts().1), (50_000, 1));
    }

    #[test]
    fn memory_is_bounded() {
        let projection = Arc::new(projection());
        let mut reader = NdjsonReader::new(projection.clone());
        let mut batch = projection.batch();
        let long = [b"{\"s\":\"".as_slice(), &vec![b'x'; 8 << 20]].concat();
        assert!(!reader.push(&mut &long[..], &mut batch));
        assert!(reader.buffer.capacity() <= 2 * MAX_RECORD_BYTES + 2 * PIECE);
        assert_eq!(
            (batch.input.bytes, batch.input.records),
            (long.len() as u64 + 1, 1)
        );
    }

    #[test]
    fn batches_are_cut_at_the_limit() {
        let projection = Arc::new(projection());
        let mut reader = NdjsonReader::new(projection.clone());
        let mut batch = projection.batch();
        let text = "{\"t\":1}\n".repeat(10_000);
        let mut bytes = text.as_bytes();
        let mut sizes = Vec::new();
        while reader.push(&mut bytes, &mut batch) {
            sizes.push(batch.len());
            batch.clear();
        }
        assert_eq!((sizes, batch.len()), (vec![4096, 4096], 10_000 - 8192));
    }

    #[test]
    fn a_record_counts_one_delimiter_wherever_the_stream_was_cut() {
        let count = |pieces: &[&str]| {
            pieces
                .iter()
                .map(|piece| {
                    read_pieces([piece.as_bytes()], BatchLimit::default())
                        .input
                        .bytes
                })
                .sum::<u64>()
        };
        let (one, two) = ("{\"t\":1}", "{\"t\":22}");
        let whole = count(&[&format!("{one}\n{two}\n")]);
        assert_eq!(whole, (one.len() + two.len() + 2) as u64);
        assert_eq!(count(&[one, &format!("{two}\n")]), whole);
        assert_eq!(count(&[&format!("{one}\n"), two]), whole);
    }

    #[test]
    fn one_array_may_enclose_the_records_and_no_more() {
        let counts = |text: &str| {
            let input = read_pieces([text.as_bytes()], BatchLimit::default()).input;
            (input.records, input.invalid_dates)
        };
        assert_eq!(counts("[{\"t\":1},\n{\"t\":2}]"), (2, 0));
        assert_eq!(counts("{\"t\":1}\n[[[[[\n{\"t\":2}\n"), (3, 1));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let tokens = prop::sample::select(vec![
            "{\"t\":1}",
            "{\"t\":2,\"n\":1e999}",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\n",
            "\n",
            " ",
            "{\"t\":",
            "\"s\":",
            "\"a\"",
            "1",
            "null",
            "tru",
            "{\"a\":1",
            "{\"s\":[\"x\",1]",
            "{\n\"o\":{\"p\":\n2},\"t\":7}",
            "é",
            "\u{feff}",
            "e9",
            "-",
            "\n{\"t\":3,\"b\":\"4\"}\n",
        ]);
        let token = prop_oneof![
            8 => tokens.prop_map(|token| token.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
    }

    fn invariant(
        bytes: &[u8],
        cuts: &[usize],
        records: usize,
        weight: usize,
    ) -> Result<(), TestCaseError> {
        let whole = read_pieces([bytes], BatchLimit::default());
        prop_assert!(whole.input.bytes <= bytes.len() as u64 + whole.input.records);
        prop_assert_eq!(
            whole.input.records,
            whole.records.len() as u64 + whole.input.invalid_dates
        );
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        for cut in cuts {
            let (piece, left) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = left;
        }
        pieces.push(rest);
        prop_assert_eq!(&read_pieces(pieces, BatchLimit { records, weight }), &whole);
        prop_assert_eq!(
            &read_pieces(bytes.chunks(1), BatchLimit { records, weight }),
            &whole
        );
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn pieces_and_batches_change_nothing(
            bytes in text(), cuts in prop::collection::vec(0_usize..20, 0..20), records in 1_usize..5, weight in 1_usize..500,
        ) {
            invariant(&bytes, &cuts, records, weight)?;
        }

        #[test]
        fn arbitrary_bytes_are_read(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0_usize..20, 0..20),
        ) {
            invariant(&bytes, &cuts, 1, 1)?;
        }

        #[test]
        fn a_good_line_is_read_whatever_line_is_before_it(line in prop_oneof!["[^\n]{0,40}", "[{}\\[\\]:,\"a1 \\\\]{0,20}"]) {
            let read = read_pieces([format!("{line}\n{{\"t\":77,\"n\":5}}\n").as_bytes()], BatchLimit::default());
            prop_assert!(read.records.iter().any(|record| record == "77 5/- -/- -/- -/-"), "{:?}", read);
        }
    }
}
