//! Records from CSV with a header row.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;

use ::csv::{ByteRecord, Reader, ReaderBuilder};
use tidewatch_model::record::RecordBatch;

use crate::projection::{BatchLimit, MAX_RECORD_BYTES, Projection};
use crate::row::{Row, Scalar, Target, reject};

/// Bytes in which the end of the header line is looked for, to guess the delimiter.
const HEADER_BYTES: usize = 64 << 10;

/// CSV whose header has been read: its fields are known, and what to take from them can be decided.
#[derive(Debug)]
pub struct CsvSource<R: Read> {
    input: Input<R>,
    fields: Vec<String>,
}

/// A pull reader in constant memory.
#[derive(Debug)]
pub struct CsvReader<R: Read> {
    projection: Arc<Projection>,
    limit: BatchLimit,
    input: Input<R>,
    targets: Vec<Target>,
    row: Row,
    record: ByteRecord,
}

impl<R: Read> CsvSource<R> {
    /// Reads the header. Without a delimiter it is the one of comma, semicolon and tab that the header line has
    /// most often.
    pub fn new(mut source: R, delimiter: Option<u8>) -> io::Result<Self> {
        let mut head = Vec::new();
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => guess_delimiter(read_line(&mut source, &mut head)?),
        };
        let mut input = Input::new(source, head, delimiter);
        let mut header = ByteRecord::new();
        match input.read(&mut header)? {
            Step::Record | Step::End => {}
            Step::TooLong => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the CSV header is too long",
                ));
            }
        }
        let fields = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        Ok(Self { input, fields })
    }

    /// The header's names, in its order.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Rows without a header before them.
    pub(crate) fn headless(source: R, delimiter: u8, fields: Vec<String>) -> Self {
        Self {
            input: Input::new(source, Vec::new(), delimiter),
            fields,
        }
    }

    pub(crate) fn delimiter(&self) -> u8 {
        self.input.delimiter
    }

    /// Bytes of the header.
    pub(crate) fn header_bytes(&self) -> u64 {
        self.input.uncounted
    }

    pub fn project(self, projection: Arc<Projection>) -> CsvReader<R> {
        CsvReader {
            targets: self
                .fields
                .iter()
                .map(|name| projection.target(name))
                .collect(),
            row: Row::new(&projection),
            projection,
            limit: BatchLimit::default(),
            input: self.input,
            record: ByteRecord::new(),
        }
    }
}

impl<R: Read> CsvReader<R> {
    pub fn with_limit(mut self, limit: BatchLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Adds records to the batch until it is full. False when there are no more: what has been added is the last.
    pub fn next_batch(&mut self, batch: &mut RecordBatch) -> io::Result<bool> {
        while !self.limit.reached(batch) {
            let step = self.input.read(&mut self.record);
            batch.input.bytes += std::mem::take(&mut self.input.uncounted);
            match step? {
                Step::Record => self.deliver(batch),
                Step::TooLong => reject(batch),
                Step::End => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Adds one record, good or bad. False when there is none.
    pub(crate) fn read_one(&mut self, batch: &mut RecordBatch) -> io::Result<bool> {
        self.limit = BatchLimit {
            records: batch.input.records as usize + 1,
            weight: usize::MAX,
        };
        self.next_batch(batch)
    }

    /// The values that were read last.
    pub(crate) fn last(&self) -> &ByteRecord {
        &self.record
    }

    fn deliver(&mut self, batch: &mut RecordBatch) {
        let Self {
            row,
            projection,
            targets,
            record,
            ..
        } = self;
        row.clear();
        for (at, value) in record.iter().enumerate() {
            let Ok(value) = std::str::from_utf8(value) else {
                return reject(batch);
            };
            // Values beyond the header have no name.
            match targets.get(at) {
                Some(target) if target.is_wanted() => {
                    row.put(projection, *target, Scalar::Text(value))
                }
                _ => row.skip(),
            }
        }
        row.deliver(projection, batch);
    }
}

enum Step {
    Record,
    /// A record has been left out; reading goes on at the next line.
    TooLong,
    End,
}

/// Rows, none of them longer than a record may be. A quote that is never closed costs what is read until then, not
/// the rest of the file.
#[derive(Debug)]
struct Input<R: Read> {
    /// None after an error.
    rows: Option<Reader<Bounded<R>>>,
    delimiter: u8,
    /// Bytes of the rows that have been read and not yet counted.
    uncounted: u64,
}

impl<R: Read> Input<R> {
    fn new(source: R, head: Vec<u8>, delimiter: u8) -> Self {
        let inner = BufReader::with_capacity(HEADER_BYTES, Cursor::new(head).chain(source));
        let bounded = Bounded {
            inner,
            given: 0,
            bound: 0,
        };
        Self {
            rows: Some(rows(bounded, delimiter)),
            delimiter,
            uncounted: 0,
        }
    }

    fn read(&mut self, record: &mut ByteRecord) -> io::Result<Step> {
        let Some(rows) = &mut self.rows else {
            return Ok(Step::End);
        };
        let start = rows.position().byte();
        // The record may be as long as it may, and is too long by one more.
        rows.get_mut().bound = start + MAX_RECORD_BYTES as u64 + 1;
        let found = rows.read_byte_record(record);
        let len = rows.position().byte() - start;
        self.uncounted += len;
        match found {
            Ok(true) if len > MAX_RECORD_BYTES as u64 => Ok(Step::TooLong),
            Ok(true) => Ok(Step::Record),
            Ok(false) => Ok(Step::End),
            Err(error) => {
                let bounded = self
                    .rows
                    .take()
                    .map(Reader::into_inner)
                    .filter(|bounded| bounded.is_at_bound());
                let Some(Bounded { mut inner, .. }) = bounded else {
                    return Err(error.into());
                };
                self.uncounted += inner.skip_until(b'\n')? as u64;
                self.rows = Some(rows_after(inner, self.delimiter));
                Ok(Step::TooLong)
            }
        }
    }
}

fn rows<R: Read>(bounded: Bounded<R>, delimiter: u8) -> Reader<Bounded<R>> {
    // The header is read as a row.
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bounded)
}

fn rows_after<R: Read>(inner: Head<R>, delimiter: u8) -> Reader<Bounded<R>> {
    rows(
        Bounded {
            inner,
            given: 0,
            bound: 0,
        },
        delimiter,
    )
}

/// A source of which the first bytes have been read before.
type Head<R> = BufReader<io::Chain<Cursor<Vec<u8>>, R>>;

/// Fails, rather than giving more bytes than it may.
#[derive(Debug)]
struct Bounded<R: Read> {
    inner: Head<R>,
    given: u64,
    bound: u64,
}

impl<R: Read> Bounded<R> {
    fn is_at_bound(&self) -> bool {
        self.given >= self.bound
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.fill_buf()?;
        let left = usize::try_from(self.bound.saturating_sub(self.given)).unwrap_or(usize::MAX);
        if left == 0 && !bytes.is_empty() {
            return Err(io::Error::other("the record is too long"));
        }
        let count = bytes.len().min(into.len()).min(left);
        into[..count].copy_from_slice(&bytes[..count]);
        self.inner.consume(count);
        self.given += count as u64;
        Ok(count)
    }
}

/// Reads until there is a line that isn't blank, and gives that.
fn read_line<'a>(source: &mut impl Read, head: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let mut piece = vec![0; 4096];
    let line = |head: &[u8]| {
        let start = head
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let end = head[start..]
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'))?;
        Some(start..start + end)
    };
    while head.len() < HEADER_BYTES && line(head).is_none() {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line(head).map_or(head.as_slice(), |range| &head[range]))
}

fn guess_delimiter(line: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in line {
        quoted ^= *byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += u32::from(!quoted && byte == delimiter);
        }
    }
    // The first of those that are as frequent.
    counts
        .iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::projection::tests::{Read as Seen, projection};

    /// Gives so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len());
            self.0.read(&mut into[..count])
        }
    }

    fn read_slow(bytes: &[u8], size: usize, limit: BatchLimit) -> Seen {
        let projection = Arc::new(projection());
        let source = CsvSource::new(Slow(bytes, size), None).unwrap();
        let mut reader = source.project(projection.clone()).with_limit(limit);
        let (mut batch, mut read) = (projection.batch(), Seen::default());
        while reader.next_batch(&mut batch).unwrap() {
            read.take(&mut batch, 4);
        }
        read.take(&mut batch, 4);
        read
    }

    fn read(bytes: impl AsRef<[u8]>) -> Seen {
        let bytes = bytes.as_ref();
        let whole = read_slow(bytes, usize::MAX, BatchLimit::default());
        assert_eq!(whole.input.bytes, bytes.len() as u64);
        let small = if bytes.len() < 10_000 { 1 } else { 9_999 };
        assert_eq!(
            read_slow(
                bytes,
                small,
                BatchLimit {
                    records: 2,
                    weight: 100
                }
            ),
            whole
        );
        whole
    }

    #[test]
    fn rows_are_projected() {
        let read = read(
            "t, n ,s,b,\"o.p\",x\r\n1,2.5,web,7,a,z\n2,,\"a,\"\"b\",x,,\n\n3\nx,1,s\n4,NaN,s,1,p,x,more\n",
        );
        assert_eq!(
            read.records,
            [
                "1 2.5/- -/web 7/7 -/a",
                "2 -/- -/a,\"b -/x -/-",
                "3 -/- -/- -/- -/-",
                "4 -/- -/s 1/1 -/p",
            ]
        );
        assert_eq!(read.counts(), (5, 1, 5 + 5 + 2 + 6, 3 + 4 + 2 + 1));
    }

    #[test]
    fn delimiters_are_guessed() {
        for text in [
            "t,n\n1,2",
            "t;n\n1;2",
            "t\tn\n1\t2",
            "\n\"t\";\"n\";\"a,,,\"\n1;2",
            "\u{feff}t,n\r\n1,2\r\n",
        ] {
            assert_eq!(read(text).records, ["1 2/- -/- -/- -/-"], "{text}");
        }
        let given = CsvSource::new("t|n;n".as_bytes(), Some(b'|')).unwrap();
        assert_eq!(given.fields(), ["t", "n;n"]);
    }

    #[test]
    fn what_is_no_text_is_bad() {
        assert_eq!(read(b"t,s\n1,\xff\n2,a\n").counts(), (2, 1, 1, 3));
        assert_eq!(read("").counts(), (0, 0, 0, 0));
    }

    #[test]
    fn length_is_limited() {
        let row = |len: usize| format!("1,{}\n", "x".repeat(len - 3));
        let (good, long) = (row(MAX_RECORD_BYTES), row(MAX_RECORD_BYTES + 1));
        let huge = row(3 * MAX_RECORD_BYTES);
        let open = format!("1,\"{}", row(2 * MAX_RECORD_BYTES));
        let read = read(format!(
            "t,s\n{good}{long}{good}{huge}2,a\n{open}3,b\n{open}"
        ));
        let times: Vec<_> = read.records.iter().map(|record| &record[..1]).collect();
        assert_eq!((times, read.counts().1), (vec!["1", "1", "2", "3"], 4));
        assert!(CsvSource::new(huge.as_bytes(), None).is_err());
    }

    proptest! {
        #[test]
        fn pieces_and_batches_change_nothing(text in "t,[nsbx]{1,2},s\n([0-9a,;\"\t\r\n ]|\\PC){0,60}", size in 1_usize..9) {
            let whole = read_slow(text.as_bytes(), usize::MAX, BatchLimit::default());
            prop_assert_eq!(whole.input.bytes, text.len() as u64);
            let slow = read_slow(text.as_bytes(), size, BatchLimit { records: size, weight: 50 });
            prop_assert_eq!(whole, slow);
        }

        #[test]
        fn arbitrary_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..9) {
            let whole = read_slow(&bytes, usize::MAX, BatchLimit::default());
            prop_assert_eq!(whole, read_slow(&bytes, size, BatchLimit { records: 1, weight: 1 }));
        }
    }
}
